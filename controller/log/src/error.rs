//! What can go wrong, and what each case means to whoever sees it.

use std::{fmt, io, path::PathBuf};

use crate::machine::RestoreError;

/// Why a log was not opened. Nothing in its folder was changed, except that the torn end of an
/// unacknowledged write may have been blanked before a later step failed.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// A setting cannot work.
    #[error("{field} is {value}; allowed: {allowed}")]
    Config {
        /// Which.
        field: &'static str,
        /// Its value.
        value: u64,
        /// What would be accepted.
        allowed: String,
    },
    /// Another process has it open.
    #[error("{folder} is in use by another process")]
    Locked {
        /// The folder.
        folder: PathBuf,
    },
    /// The folder belongs to another replica.
    #[error(
        "{folder} holds the log of node {found}, not of node {wanted}; check the node number or the folder"
    )]
    OtherNode {
        /// The folder.
        folder: PathBuf,
        /// Whose log it is.
        found: u64,
        /// Who asked for it.
        wanted: u64,
    },
    /// The disk refused.
    #[error("{doing} {path}: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Acknowledged data is damaged or missing.
    #[error(transparent)]
    Damaged(#[from] Damage),
    /// The machine does not take its snapshot back.
    #[error("{path}: the state in this snapshot is not understood by this version: {source}")]
    Restore {
        /// The snapshot.
        path: PathBuf,
        /// What the machine said.
        source: RestoreError,
    },
    /// A command in the log is not understood.
    #[error("command {index} of the log is not understood by this version: {what}")]
    Command {
        /// Its number.
        index: u64,
        /// What is wrong with it.
        what: String,
    },
    /// The log failed while it was being opened.
    #[error(transparent)]
    Fatal(#[from] Fatal),
}

/// Damage to data that may have been acknowledged. It is never cut off: the operator decides.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}, at byte {offset}: {what}. {remedy}", file.display())]
pub struct Damage {
    /// The file.
    pub file: PathBuf,
    /// Where in it.
    pub offset: u64,
    /// What was found.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

/// Why the log cannot go on. The process is to end: what was proposed and not answered is in doubt,
/// and opening the log again resolves it.
#[derive(Debug, thiserror::Error)]
pub enum Fatal {
    /// The disk refused a write that must not fail. After a failed fsync nothing is known about
    /// what is on the disk.
    #[error("{doing} {path}: {source}")]
    Io {
        /// What was being done.
        doing: &'static str,
        /// To which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The consensus library refused.
    #[error("raft: {0}")]
    Raft(#[from] raft::Error),
    /// The machine or the log itself panicked.
    #[error("the thread of the log panicked: {0}")]
    Panic(String),
}

/// Why a proposal has no reply.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProposeError {
    /// Too much waits to be written. Nothing was done; try again later.
    #[error("the log is busy: {commands} proposals with {bytes} bytes are waiting")]
    Busy {
        /// How many proposals wait.
        commands: usize,
        /// Their size.
        bytes: usize,
    },
    /// The command is larger than the log takes. Nothing was done.
    #[error("the command has {bytes} bytes; at most {limit} are allowed")]
    TooLarge {
        /// Its size.
        bytes: usize,
        /// What is allowed.
        limit: usize,
    },
    /// The command cannot be serialised. Nothing was done.
    #[error("the command cannot be serialised: {0}")]
    Encode(String),
    /// There is no room to write it: the disk is full. Nothing was done; it is tried anew with each
    /// proposal, so that it goes on by itself once there is room.
    #[error("no room for the log: {0}")]
    NoRoom(String),
    /// The log is shut down. Nothing was done.
    #[error("the log is shut down")]
    Closed,
    /// The log failed while the command was being written: it may or may not have been done.
    #[error("the log failed; whether the command was done is known after it is opened again")]
    InDoubt,
}

/// What a panic said.
pub(crate) fn panic_message(payload: &(dyn std::any::Any + Send)) -> String {
    payload
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}

impl Fatal {
    /// For use in `map_err`.
    pub(crate) fn io(
        doing: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { doing, path, source }
    }
}

impl OpenError {
    /// For use in `map_err`.
    pub(crate) fn io(
        doing: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { doing, path, source }
    }
}

impl Damage {
    /// With the remedy that holds for any damage to the log itself.
    pub(crate) fn of_log(file: impl Into<PathBuf>, offset: u64, what: impl fmt::Display) -> Self {
        Self {
            file: file.into(),
            offset,
            what: what.to_string(),
            remedy: "Acknowledged entries may be affected, so nothing was changed. Copy the whole folder away first; \
                     then restore this file from a copy of the same folder, or the whole folder from a backup"
                .to_owned(),
        }
    }
}
