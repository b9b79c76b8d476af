//! The command line of Busyhour: one binary, every part a subcommand.
//!
//! [`stage`] runs a whole installation on one machine, for the demo and for the whole-system tests.

pub mod args;
pub mod client;
pub mod commands;
pub mod demo;
pub mod model;
pub mod part;
pub mod process;
pub mod stage;
pub mod words;
