//! What stands above the log: a deterministic machine that is fed its entries.

use std::io::{self, Read, Write};

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

/// A state as it was at one instant.
pub trait Frozen: Send + 'static {
    /// Writes it from beginning to end.
    fn write(&self, to: &mut dyn Write) -> io::Result<()>;
}

impl Frozen for Vec<u8> {
    fn write(&self, to: &mut dyn Write) -> io::Result<()> {
        to.write_all(self)
    }
}

/// A state machine that is replicated by the log.
///
/// The log keeps it behind a lock for its readers and is the only one to write to it. A machine
/// must be deterministic: the same entries give the same state, whether applied live or replayed.
pub trait Machine: Send + Sync + 'static {
    /// What changes it.
    type Command: Serialize + DeserializeOwned + Send + 'static;
    /// What it answers to the proposer.
    type Reply: Send + 'static;
    /// Its state at one instant.
    type Frozen: Frozen;

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

    /// The whole state as it is now. Entries wait meanwhile, so that this is to take a few milliseconds at most however much
    /// there is; what is frozen is written while entries go on.
    fn freeze(&mut self) -> Self::Frozen;

    /// Replaces the state with that of a snapshot: what [`Frozen::write`] wrote and no more. The bytes are those that were
    /// written; if reading them fails, the machine is not used any more.
    fn restore(&mut self, from: &mut dyn Read) -> Result<(), RestoreError>;
}
