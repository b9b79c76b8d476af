//! Finished calls in SQL.
//!
//! The state machine forgets a call once its outcome is here: the controller takes rows from the
//! outbox, stores them with [`Records::store`], and only then tells the log that they are recorded.
//! A crash in between stores the same rows again, which changes nothing. A row, once stored, never
//! changes; a different row under the same number is refused ([`RecordsError::Conflict`]).
//!
//! SQLite in WAL mode: one connection writes, a pool of read-only connections answers the API, and
//! neither waits for the other. Commits are synced (`synchronous = FULL`), since the state machine
//! drops its own copy on the strength of them.

mod error;
mod messages;
mod query;
mod row;
mod schema;
mod store;

pub use error::RecordsError;
pub use messages::MessageFilter;
pub use query::{CallFilter, PAGE_MAX};
pub use store::Records;
