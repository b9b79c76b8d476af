//! The replicated state machine: `apply(entry) -> reply, effects`.
//!
//! Integers only, no clock, no randomness, no I/O: every replica that has applied the same entries
//! holds the same state (`RELIABILITY.md`, invariant 6), and the simulator runs this very code.

pub mod command;
pub mod effect;
pub mod engine;
pub mod few;
pub mod forward;
pub mod message;
pub mod paged;
pub mod spec;
mod state;
pub mod view;

pub use state::{MessageOptions, Options, RestoreError, State};
