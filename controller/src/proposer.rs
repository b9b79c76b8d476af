//! The way into the log, and to what it has made of the state.

use std::time::Duration;

use busyhour_api::Applied;
use busyhour_controller_core::{State, command::Command};
use busyhour_log::{Log, ProposeError};

use crate::machine::Core;

/// A full queue in front of the log is tried again after this time by those who must get through.
const RETRY: Duration = Duration::from_millis(20);

/// Proposes commands and reads the state. Clones share the log.
#[derive(Clone)]
pub(crate) struct Proposer {
    log: Log<Core>,
}

impl Proposer {
    pub(crate) fn new(log: Log<Core>) -> Self {
        Self { log }
    }

    /// Completes when the command is durable and applied. What is refused had no effect.
    pub(crate) async fn propose(&self, command: Command) -> Result<Applied, ProposeError> {
        let (at, reply) = self.log.propose(command).await?;
        Ok(Applied { at, reply })
    }

    /// The same for commands that must not be given up for a full queue or a full disk: waits and tries again.
    pub(crate) async fn insist(
        &self,
        command: impl Fn() -> Command,
    ) -> Result<Applied, ProposeError> {
        loop {
            match self.propose(command()).await {
                Err(ProposeError::Busy { .. } | ProposeError::NoRoom(_)) => {
                    tokio::time::sleep(RETRY).await;
                }
                done => return done,
            }
        }
    }

    /// [`Proposer::insist`] for a thread outside of the async runtime.
    pub(crate) fn insist_blocking(
        &self,
        command: impl Fn() -> Command,
    ) -> Result<Applied, ProposeError> {
        loop {
            match futures::executor::block_on(self.propose(command())) {
                Err(ProposeError::Busy { .. } | ProposeError::NoRoom(_)) => {
                    std::thread::sleep(RETRY);
                }
                done => return done,
            }
        }
    }

    /// A short look at the state. Entries wait meanwhile.
    pub(crate) fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        self.core(|core| look(core.state()))
    }

    /// A short look at the state with what surrounds it.
    pub(crate) fn core<T>(&self, look: impl FnOnce(&Core) -> T) -> T {
        look(&self.log.machine().read())
    }

    pub(crate) fn status(&self) -> busyhour_log::Status {
        self.log.status()
    }
}
