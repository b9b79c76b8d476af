//! What the log says of itself, for metrics and for people.

use std::path::PathBuf;

use busyhour_base::Span;

/// A look at the log at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Raft's term.
    pub term: u64,
    /// Index of the last raft entry that is committed.
    pub commit: u64,
    /// Index of the last raft entry that is applied.
    pub applied: u64,
    /// Number of the last command that is applied.
    pub commands: u64,
    /// Groups written since the log was opened, each with one fdatasync.
    pub groups: u64,
    /// How long the last group took to write and sync.
    pub last_sync: Span,
    /// Bytes of log since the last snapshot.
    pub log_bytes: u64,
    /// Raft index of the last snapshot; 0 if there is none.
    pub snapshot_index: u64,
    /// Size of the last snapshot.
    pub snapshot_bytes: u64,
    /// Why the last snapshot could not be written, if it could not.
    pub snapshot_error: Option<String>,
    /// Proposals that wait to be written.
    pub queued_commands: usize,
    /// Their size in bytes.
    pub queued_bytes: usize,
}

/// What was found when the log was opened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Raft index of the snapshot that was restored; 0 if there was none.
    pub snapshot_index: u64,
    /// Commands that were replayed after it.
    pub replayed: u64,
    /// The torn end of a write that was never acknowledged, if there was one.
    pub torn: Option<Torn>,
}

/// A write that the last end of the process interrupted, and that was blanked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Torn {
    /// In which file.
    pub file: PathBuf,
    /// Where it began.
    pub offset: u64,
    /// How many of its sectors had reached the disk.
    pub sectors: u64,
}
