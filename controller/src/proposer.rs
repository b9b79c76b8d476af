//! The way into the log, and to what it has made of the state.

use std::{cell::Cell, time::Duration};

use busyhour_api::Applied;
use busyhour_base::Timestamp;
use busyhour_controller_core::{State, command::Command, effect::Reply};
use busyhour_log::{Log, Pending, ProposeError};

use crate::machine::Core;

/// A full queue in front of the log is tried again after this time by those who must get through.
const RETRY: Duration = Duration::from_millis(20);

/// So many are handed in at once, however many more will come: that takes long enough for the log to begin with them.
const TOGETHER: usize = 128;

/// Whoever hands in so many is one of a crowd, and makes room for the others.
const CROWD: usize = 4;

thread_local! {
    /// How many commands this thread has laid down and not handed in; `None` if it hands in each at once.
    static LAID: Cell<Option<usize>> = const { Cell::new(None) };
}

/// From now on what this thread proposes waits until it calls [`Proposer::hand_in`], which it must do before it sleeps. If it
/// does not, the log finds it when it looks around, some tenth of a second later.
pub(crate) fn lay_on_this_thread() {
    LAID.set(Some(0));
}

/// Counts a command that was laid down, and says whether that is enough to be handed in before all are there.
fn is_enough_with_one_more() -> bool {
    let laid = LAID.get().map(|laid| laid + 1);
    LAID.set(laid);
    laid.is_some_and(|laid| laid >= TOGETHER)
}

/// How many commands this thread has laid down since this was last asked.
fn take_laid() -> usize {
    let laid = LAID.get().unwrap_or(0);
    if laid > 0 {
        LAID.set(Some(0));
    }
    laid
}

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
        let (at, reply) = self.submit(command)?.await?;
        Ok(Applied { at, reply })
    }

    fn submit(&self, command: Command) -> Result<Pending<(Timestamp, Reply)>, ProposeError> {
        if LAID.get().is_none() {
            return self.log.submit(command);
        }
        let pending = self.log.lay(command)?;
        if is_enough_with_one_more() {
            self.hand_in();
        }
        Ok(pending)
    }

    /// Has the log look at what this thread has laid down.
    ///
    /// After many it lets others run: the log's thread, and those that read or answer for other connections. Busy as it is, the
    /// kernel would let it go on to the end of its slice, some milliseconds in which all requests but its own wait.
    pub(crate) fn hand_in(&self) {
        let laid = take_laid();
        if laid > 0 {
            self.log.hand_in();
        }
        if laid >= CROWD {
            std::thread::yield_now();
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_lays_down_hands_in_before_too_many_wait() {
        let laying = std::thread::spawn(|| {
            assert_eq!(take_laid(), 0);
            lay_on_this_thread();
            assert_eq!(take_laid(), 0, "nothing yet");
            for _ in 0..2 {
                let mut enough = (0..TOGETHER).map(|_| is_enough_with_one_more());
                assert_eq!(enough.position(|enough| enough), Some(TOGETHER - 1));
                assert_eq!(take_laid(), TOGETHER);
                assert_eq!(take_laid(), 0, "it was asked before");
            }
            assert!(!is_enough_with_one_more());
            assert_eq!(take_laid(), 1, "one is handed in, too");
        });
        laying.join().unwrap();
        assert_eq!(LAID.get(), None, "another thread has promised nothing");
    }
}
