//! The rules of an agent's journal: what is written before a call may be sent, and what a restart learns from it
//! (`RELIABILITY.md`, protocol 3 to 6).
//!
//! The journal is a file of frames; each frame is what was written and synced at once. Nothing here touches the
//! file: [`frame`] turns entries into bytes and back, [`Journal`] folds entries into what is known.
//!
//! **The shell must** write a frame with the entries of [`Journal::to_send`] and sync it before the first byte of
//! an INVITE leaves; write [`Entry::Answered`] before it relies on a dialog surviving it, and [`Entry::Ended`] once
//! nothing of the call is left; and give every entry that was synced to [`Journal::apply`].

pub mod frame;
mod state;

use busyhour_base::{CallSid, Ending};
use serde::{Deserialize, Serialize};

pub use state::{Journal, KNOWN_MAX, Known, Standing};

/// One attempt at one call.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Attempt {
    /// The call's number in the controller's log.
    pub call: u64,
    /// Counts its attempts.
    pub attempt: u32,
}

/// Something that must survive a restart.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Entry {
    /// No order under a lower fence is obeyed any more.
    Fence(u64),
    /// The INVITE may leave from now on.
    Sending(Attempt),
    /// A dialog was established.
    Answered(Attempt, Box<Dialog>),
    /// Nothing of the call is left at this agent, and the controller is to hear how it ended.
    Ended(Attempt, Box<Ending>),
    /// The controller has settled it: a duplicate of its order can not come any more.
    Forget(Attempt),
}

/// What a BYE needs after a restart (RFC 3261 section 12.2.1.1).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Dialog {
    /// The Call-ID, since a restarted agent knows the call by its number only.
    pub call_id: String,
    /// Our URI with our tag, as in `From`.
    pub from: String,
    /// The far end's URI with its tag, as in `To`.
    pub to: String,
    /// Where requests go: the far end's `Contact`.
    pub target: String,
    /// The route set, in order.
    pub routes: Vec<String>,
    /// The last sequence number that we used.
    pub sequence: u32,
    /// The carrier, by name.
    pub carrier: String,
    /// Its address, `host:port`.
    pub address: String,
}

/// The Call-ID of an attempt: the same whenever and wherever it is derived, so that an attempt that was sent
/// twice in spite of everything is one call to the carrier.
pub fn call_id(call: CallSid, attempt: u32, host: &str) -> String {
    format!("{call}-{attempt}@{host}")
}
