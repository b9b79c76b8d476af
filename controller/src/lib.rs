//! The controller process: wires the state machine to its log, its agents, the API, the records and the
//! declared documents.
//!
//! Nothing here decides what a call does: every decision is an entry in the log, applied by
//! `busyhour_controller_core`. What this crate adds is time ([`clock`]), durability before action, and delivery:
//!
//! - an order to dial leaves only after its intent is durable, and carries the fence that makes it void
//!   once the agent has been given up;
//! - a report is acknowledged only after it is durable, a call forgotten only after it is in the records;
//! - whatever a crash may swallow on the way out is derived from the state when an agent comes back.

mod callbacks;
pub mod clock;
mod declared;
mod durable;
mod effects;
mod gauges;
mod health;
mod hours;
mod installation;
mod link;
mod machine;
pub mod memory;
mod messages;
mod metric_definitions;
mod notices;
mod options;
mod outbox;
mod platform;
mod proposer;
mod reasons;
mod run;
mod serve;
mod ticker;
mod trace;

pub use options::{Options, Ready, RunError};
pub use run::run;
