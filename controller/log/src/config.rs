//! How a log is set up: where it lies, its clock, its bounds.

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use busyhour_base::Timestamp;

use crate::{
    error::{Fatal, OpenError},
    storage::{SECTOR, group_sectors},
};

/// Where the log takes the instant of a group from.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// What is done when the log can no longer keep its promise.
pub type OnFatal = Arc<dyn Fn(&Fatal) + Send + Sync>;

/// How a log is set up. [`Config::new`] gives the values for production.
#[derive(Clone)]
pub struct Config {
    /// The folder of its files. It is created if its parent exists, and locked while the log is
    /// open.
    pub folder: PathBuf,
    /// This replica's number in its group, never 0. Fixed when the folder is first used.
    pub node: u64,
    /// Read once for each group of commands.
    pub clock: Clock,
    /// How many proposals may wait to be written. One more is refused as
    /// [`Busy`](crate::ProposeError::Busy).
    pub queue_commands: usize,
    /// How many bytes of serialised commands may wait to be written, with the same refusal.
    pub queue_bytes: usize,
    /// The largest serialised command. A larger one is refused as
    /// [`TooLarge`](crate::ProposeError::TooLarge).
    pub command_bytes: usize,
    /// A group is closed when it holds this much; it may exceed it by less than one command.
    pub group_bytes: usize,
    /// The size of one log file, written out in full before it is used.
    pub segment_bytes: u64,
    /// A snapshot is due when the log since the last one has grown to this size, or to the size of
    /// the last snapshot if that is more. Proposals are refused at four times as much: then
    /// snapshots cannot be written.
    pub snapshot_after_bytes: u64,
    /// How long after the last group the log stays idle before it writes down that the last was
    /// durable. Until then its loss by whole sectors cannot be told from a torn write.
    pub idle_mark: Duration,
    /// Called when the log cannot go on, before any waiting proposer hears of it. The default logs
    /// the reason and aborts the process; anything else is for tests.
    pub on_fatal: OnFatal,
}

impl Config {
    /// Values for production; `clock` is the wall clock of the process.
    pub fn new(folder: impl Into<PathBuf>, clock: Clock) -> Self {
        Self {
            folder: folder.into(),
            node: 1,
            clock,
            queue_commands: 16_384,
            queue_bytes: 64 << 20,
            command_bytes: 1 << 20,
            group_bytes: 1 << 20,
            segment_bytes: 16 << 20,
            snapshot_after_bytes: 64 << 20,
            idle_mark: Duration::from_millis(5),
            on_fatal: Arc::new(abort),
        }
    }

    /// Refuses values that cannot work, naming them.
    pub(crate) fn validate(&self) -> Result<(), OpenError> {
        let refuse =
            |field, value: u64, allowed: String| Err(OpenError::Config { field, value, allowed });
        if self.node == 0 {
            return refuse("node", 0, "at least 1".into());
        }
        if self.queue_commands == 0 {
            return refuse("queue_commands", 0, "at least 1".into());
        }
        if !self.segment_bytes.is_multiple_of(SECTOR as u64) {
            let allowed = format!("a multiple of {SECTOR}");
            return refuse("segment_bytes", self.segment_bytes, allowed);
        }
        // The header, the mark, the largest group and the group that closes the file.
        let sectors = 3 + group_sectors(self.group_bytes.saturating_add(self.command_bytes), 1);
        let least = sectors.saturating_mul(SECTOR as u64);
        if self.segment_bytes < least {
            let allowed =
                format!("at least {least}, for group_bytes and command_bytes to fit together");
            return refuse("segment_bytes", self.segment_bytes, allowed);
        }
        Ok(())
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("folder", &self.folder)
            .field("node", &self.node)
            .finish_non_exhaustive()
    }
}

/// The end of the process: whoever has proposed something must not be told anything any more.
fn abort(fatal: &Fatal) {
    tracing::error!(%fatal, "the log cannot go on; the process ends so that nothing false is acknowledged");
    std::process::abort();
}
