//! What can go wrong with records.

use std::path::PathBuf;

use busyhour_controller_core::{message::MessageId, spec::CallId};

/// Why records could not be stored or read.
#[derive(Debug, thiserror::Error)]
pub enum RecordsError {
    /// The database could not be opened or brought up to date.
    #[error("records at {path}: cannot open: {source}")]
    Open {
        /// Its file.
        path: PathBuf,
        /// What SQLite says.
        source: sqlx::Error,
    },
    /// A later version wrote it; reading it with this one could lose columns.
    #[error(
        "records at {path}: schema version {found} is newer than the {known} that this version knows"
    )]
    Newer {
        /// Its file.
        path: PathBuf,
        /// `user_version` in the file.
        found: i64,
        /// The highest that this version knows.
        known: i64,
    },
    /// A statement failed.
    #[error("records: {doing}: {source}")]
    Sql {
        /// What was tried.
        doing: &'static str,
        /// What SQLite says.
        source: sqlx::Error,
    },
    /// A stored value is not one that was ever written: the file was changed by other hands or has rotted.
    #[error("records: call {call}: column {column} holds {value:?}, which is no {expected}")]
    Damaged {
        /// The row.
        call: i64,
        /// The column.
        column: &'static str,
        /// What it holds, cut to 64 characters.
        value: String,
        /// What it should hold.
        expected: &'static str,
    },
    /// A number too large for SQLite's signed 64 bits.
    #[error("records: call {call:?}: {column} = {value} is beyond 2^63 - 1")]
    Range {
        /// The row.
        call: CallId,
        /// The column.
        column: &'static str,
        /// The number.
        value: u64,
    },
    /// A call's request could not be written as JSON.
    #[error("records: call {call:?}: its request cannot be written: {source}")]
    Spec {
        /// The row.
        call: CallId,
        /// Why.
        source: serde_json::Error,
    },
    /// A stored value of a message is not one that was ever written. The value is not shown: it may be personal.
    #[error("records: message {message}: column {column} holds no {expected}")]
    DamagedMessage {
        /// The row.
        message: i64,
        /// The column.
        column: &'static str,
        /// What it should hold.
        expected: &'static str,
    },
    /// A message's request could not be written as JSON.
    #[error("records: message {message:?}: its request cannot be written: {source}")]
    MessageSpec {
        /// The row.
        message: MessageId,
        /// Why.
        source: serde_json::Error,
    },
    /// Another outcome is recorded for this message. Nothing of the batch of rows was stored.
    #[error(
        "records: message {message:?} is recorded with another outcome; the log and the records do not belong together"
    )]
    MessageConflict {
        /// Which message.
        message: MessageId,
    },
    /// Another outcome is recorded for this call. Nothing of the batch of rows was stored.
    #[error(
        "records: call {call:?} is recorded with another outcome; the log and the records do not belong together"
    )]
    Conflict {
        /// Which call.
        call: CallId,
    },
}
