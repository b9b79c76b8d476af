//! The durable, replicated log beneath the controller.

pub mod disk;

mod applier;
mod batch;
mod config;
mod driver;
mod error;
mod growth;
mod log;
mod machine;
mod node;
mod queue;
mod raft_log;
mod status;
mod storage;

pub use config::{Clock, Config, OnFatal};
pub use error::{Damage, Fatal, OpenError, ProposeError};
pub use log::Log;
pub use machine::{Machine, Mode, RestoreError};
pub use queue::Pending;
pub use status::{Recovery, Status, Torn};
