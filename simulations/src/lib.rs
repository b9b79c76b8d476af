//! The simulator: the production cores in virtual time, and what it shares with the live test carrier and
//! the demo, so that a run and its simulation can be compared: [`behaviour`], [`scenario`], [`report`].
//!
//! Nothing here reads a clock, draws randomness of its own or does I/O: files are read by the caller, and
//! every draw follows from the scenario's seed.

pub mod behaviour;
pub mod report;
pub mod scenario;
pub mod simulator;
