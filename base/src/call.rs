//! A call as its tenant asked for it, and what becomes of it: the words that controller and agent share.

use serde::{Deserialize, Serialize};

use crate::{Direction, Reason, Span};

/// HTTP method of a webhook.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub enum Method {
    /// The field's default.
    #[default]
    Post,
    /// Parameters in the query.
    Get,
}

/// An address of the tenant's application server.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Webhook {
    /// Absolute URL; may hold URI templates such as `{To}` (SP-1).
    pub url: String,
    /// How it is asked.
    pub method: Method,
}

/// Where a call's instructions come from.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Instructions {
    /// Ask the application server.
    Url(Webhook),
    /// The document itself, at most 4,000 characters.
    Document(String),
}

/// Which call progress events a status callback is sent for. `completed` stands for every final status.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct StatusEvents {
    /// The call was handed to a carrier.
    pub initiated: bool,
    /// It rings.
    pub ringing: bool,
    /// It was answered.
    pub answered: bool,
    /// It ended, in whatever way.
    pub completed: bool,
}

impl Default for StatusEvents {
    fn default() -> Self {
        Self { initiated: false, ringing: false, answered: false, completed: true }
    }
}

/// One call: as its tenant asked for it (`WIRE.md`, `calls.create`), or as a carrier offered it and the called number's
/// application wants it treated.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct CallSpec {
    /// Called party: E.164 or a SIP address.
    pub to: String,
    /// Calling party.
    pub from: String,
    /// First document.
    pub instructions: Instructions,
    /// Asked when the first fails.
    pub fallback: Option<Webhook>,
    /// Told of progress.
    pub status_callback: Option<Webhook>,
    /// Of which progress.
    pub status_events: StatusEvents,
    /// Keys pressed after the answer; `w` is half a second.
    pub send_digits: Option<String>,
    /// How long it may ring. An inbound call rings while it waits for capacity, and then while its application is asked.
    pub ring_timeout: Span,
    /// How long it may last after the answer.
    pub time_limit: Span,
    /// Who began it; [`Direction::OutboundReply`] is for messages only.
    #[serde(default)]
    pub direction: Direction,
}

/// What happens to a call at its agent.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum CallEvent {
    /// Proof that nothing was sent: it goes back to the head of its queue.
    NotSent(Reason),
    /// The INVITE is on its way.
    Sent,
    /// It rings.
    Ringing,
    /// It was answered.
    Answered,
    /// It is over.
    Ended(Ending),
}

/// How a call ended.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Ending {
    /// In the words of the field.
    pub outcome: Outcome,
    /// Why.
    pub reason: Reason,
    /// Final SIP status; 0 if there was none.
    pub sip_code: u16,
    /// From INVITE to answer or end.
    pub ring: Span,
    /// From answer to end; nothing if it was not answered.
    pub talk: Span,
    /// Keys that the called party pressed, at most 64.
    pub digits: String,
    /// The carrier has confirmed the end. If not, the channel goes into quarantine.
    pub confirmed: bool,
}

/// A final call status (`WIRE.md`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum Outcome {
    /// Answered and ended.
    Completed,
    /// Busy or rejected by the called party.
    Busy,
    /// Rang out.
    NoAnswer,
    /// Could not be completed, or in doubt.
    Failed,
    /// Ended before the answer by its tenant.
    Canceled,
}

impl Outcome {
    /// Every final status.
    pub const ALL: [Self; 5] =
        [Self::Completed, Self::Busy, Self::NoAnswer, Self::Failed, Self::Canceled];

    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Busy => "busy",
            Self::NoAnswer => "no-answer",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
        }
    }
}
