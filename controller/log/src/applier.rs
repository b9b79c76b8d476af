//! Handing committed commands to the machine, each with its number and its instant.

use std::sync::Arc;

use busyhour_base::Timestamp;
use bytes::Bytes;
use parking_lot::RwLock;
use tokio::sync::oneshot;

use crate::{
    batch::{self, Commands},
    error::{OpenError, ProposeError},
    machine::{Frozen, Machine, Mode},
    queue::Answer,
};

/// The proposals of one entry, from their being written to their being answered.
///
/// Who waits for an answer is kept apart from the commands, so that nobody is let go unanswered if
/// a machine panics.
pub(crate) struct InFlight<M: Machine> {
    pub(crate) at: Timestamp,
    pub(crate) commands: Vec<M::Command>,
    pub(crate) waiting: Vec<oneshot::Sender<Answer<M>>>,
}

impl<M: Machine> InFlight<M> {
    /// Answers each its own.
    pub(crate) fn answer(&mut self, replies: Vec<M::Reply>) {
        for (waiting, reply) in self.waiting.drain(..).zip(replies) {
            // Whoever does not wait any more need not be told.
            let _ = waiting.send(Ok(reply));
        }
    }

    /// Answers everyone the same.
    pub(crate) fn refuse(mut self, error: &ProposeError) {
        self.refuse_all(error);
    }

    fn refuse_all(&mut self, error: &ProposeError) {
        for waiting in self.waiting.drain(..) {
            // As above.
            let _ = waiting.send(Err(error.clone()));
        }
    }
}

/// Whoever is let go without an answer is told that nobody knows.
impl<M: Machine> Drop for InFlight<M> {
    fn drop(&mut self) {
        self.refuse_all(&ProposeError::InDoubt);
    }
}

/// The machine, and how far it is.
pub(crate) struct Applier<M: Machine> {
    machine: Arc<RwLock<M>>,
    /// Number of the last command.
    commands: u64,
    /// Its instant.
    at: Timestamp,
}

impl<M: Machine> Applier<M> {
    pub(crate) fn new(machine: Arc<RwLock<M>>, commands: u64, at: Timestamp) -> Self {
        Self { machine, commands, at }
    }

    pub(crate) fn commands(&self) -> u64 {
        self.commands
    }

    pub(crate) fn at(&self) -> Timestamp {
        self.at
    }

    /// Whether nobody reads the machine at the moment.
    pub(crate) fn is_free(&self) -> bool {
        self.machine.try_write().is_some()
    }

    pub(crate) fn freeze(&self) -> Box<dyn Frozen> {
        Box::new(self.machine.write().freeze())
    }

    /// Applies what was just written, from the very commands that were proposed, and gives the
    /// replies.
    pub(crate) fn live(&mut self, group: &mut InFlight<M>) -> Vec<M::Reply> {
        self.at = group.at;
        let mut machine = self.machine.write();
        let commands = group.commands.drain(..);
        let replies = commands
            .map(|command| {
                self.commands += 1;
                machine.apply(self.commands, self.at, Mode::Live, command)
            })
            .collect();
        machine.settled(Mode::Live);
        replies
    }

    /// Applies an entry from its bytes.
    pub(crate) fn replay(&mut self, data: Bytes) -> Result<(), OpenError> {
        let refuse = |index, what| OpenError::Command { index, what };
        let commands = Commands::read(data).map_err(|what| refuse(self.commands + 1, what))?;
        self.at = commands.at;
        let mut machine = self.machine.write();
        for bytes in commands {
            let index = self.commands + 1;
            let bytes = bytes.map_err(|what| refuse(index, what))?;
            let command = batch::command(&bytes).map_err(|what| refuse(index, what))?;
            self.commands = index;
            machine.apply(index, self.at, Mode::Replay, command);
        }
        machine.settled(Mode::Replay);
        Ok(())
    }
}
