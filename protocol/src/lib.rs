//! The messages between the controller and its agents, and the gRPC stream that carries them.
//!
//! [`v1`] is what travels. Either end turns it into checked values at once: [`DialOrder`] for a dial, and
//! `TryFrom` into the types of `busyhour_base` for requests and reports. A message that breaks a rule is
//! refused as a whole, with a [`FieldError`] that names the field, its value and what is allowed.

mod ask;
mod error;
mod inbound;
mod order;
mod report;
mod secret;
mod spec;
mod transit;

pub use ask::{AskOrder, REPLIES_MAX, Replies, Reply};
pub use error::FieldError;
pub use inbound::{AnswerOrder, InboundTrunk, Refusal};
pub use order::{DialOrder, Trunk, attempt};
pub use report::{DIGITS_MAX, outcome, reason};
pub use secret::Secret;
pub use transit::Transit;

/// Version 1 of the protocol, generated from `proto/busyhour.proto`.
#[allow(missing_docs, clippy::doc_markdown)]
pub mod v1 {
    tonic::include_proto!("busyhour.v1");
}
