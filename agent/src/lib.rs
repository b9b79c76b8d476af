//! The node agent process: SIP, media, speech and webhooks around the pure core.
//!
//! | part | does |
//! |---|---|
//! | [`run`] | wires everything, drains and stops |
//! | `link` | the gRPC stream to the controller, and the reports that it repeats until acknowledged |
//! | `journal` | what this agent has sent, on disk before it is sent |
//! | `call` | one task per call, which drives the core's leg |
//! | [`sip`] | `rsipstack` behind a trait of ours, with dialogs and session timers of our own |
//! | [`media`] | threads with a 20 ms clock |
//! | [`speech`], [`audio`] | words and files to sound, made once and shared |
//! | [`http`] | documents, audio and callbacks, guarded against addresses that tenants must not reach |
//!
//! **Invariants.** An INVITE leaves only after its journal entry is on disk, under a fence that is stored, within
//! its lease. A call that was admitted is reported ended exactly once, whatever fails. Every queue has a bound.

pub mod audio;
mod call;
mod clock;
pub mod http;
pub mod journal;
mod link;
pub mod media;
mod metric_definitions;
mod node;
mod options;
mod pacer;
mod recovery;
mod run;
pub mod sip;
pub mod speech;

pub use options::{AgentError, Options, Ready};
pub use run::run;
