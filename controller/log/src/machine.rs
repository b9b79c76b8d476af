//! What stands above the log: a deterministic machine that is fed its entries.

use busyhour_base::Timestamp;
use serde::{Serialize, de::DeserializeOwned};

/// Whether an entry is applied for the first time in the life of this log, as far as anyone can
/// know.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// The entry was in the log when it was opened. Its effects may have been executed before and
    /// must not be executed again; what is still owed is to be derived from the state once
    /// [`Log::open`](crate::Log::open) has returned.
    Replay,
    /// The entry was proposed since and is durable now: its effects are to be executed.
    Live,
}

/// Why a machine cannot take a snapshot back.
pub type RestoreError = Box<dyn std::error::Error + Send + Sync>;

/// A state machine that is replicated by the log.
///
/// The log keeps it behind a lock for its readers and is the only one to write to it. A machine
/// must be deterministic: the same entries give the same state, whether applied live or replayed.
pub trait Machine: Send + Sync + 'static {
    /// What changes it.
    type Command: Serialize + DeserializeOwned + Send + 'static;
    /// What it answers to the proposer.
    type Reply: Send + 'static;

    /// Applies one command. It is durable by then.
    ///
    /// `index` counts the commands of this log from 1 without gaps and never names two commands.
    /// `at` is the instant at which the command's group was written; it never goes back.
    fn apply(
        &mut self,
        index: u64,
        at: Timestamp,
        mode: Mode,
        command: Self::Command,
    ) -> Self::Reply;

    /// Called after the last command of each group, still under the same lock: the place to hand on
    /// collected effects at once, before the proposers hear of them.
    fn settled(&mut self, _mode: Mode) {}

    /// The whole state as bytes. Readers may go on meanwhile, entries wait.
    fn snapshot(&self) -> Vec<u8>;

    /// Replaces the state with that of a snapshot.
    fn restore(&mut self, bytes: &[u8]) -> Result<(), RestoreError>;
}
