//! The words that every part of Busyhour shares: ids, time, limits and reasons.
//!
//! Nothing here reads a clock, draws a random number or does I/O.

mod call;
pub mod message;
mod number;
pub mod pacing;
mod reason;
mod refusal;
mod sid;
mod time;

pub use call::{CallEvent, CallSpec, Ending, Instructions, Method, Outcome, StatusEvents, Webhook};
pub use message::{Body, Direction, Keyword, MessageEvent, MessageSpec, MessageStatus, Segments};
pub use number::is_e164;
pub use reason::Reason;
pub use refusal::refusal;
pub use sid::{
    AccountSid, ApplicationSid, BatchSid, CallSid, KeySid, MessageSid, NumberSid, SidError, SidKey,
};
pub use time::{Span, Timestamp};
