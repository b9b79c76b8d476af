//! The API through its router, over a real state machine in memory and real records on disk.

mod bad_input;
mod batch_options;
mod batches;
mod calls;
mod explain;
mod identity;
mod list;
mod message_batches;
mod messages;
mod operation;
mod resumable;
mod support;
mod uploads;
