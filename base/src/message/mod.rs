//! A message as its tenant asked for it, and what becomes of it: the words that all parts share.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{Reason, Webhook};

pub mod gsm7;
mod keyword;
mod segments;

pub use keyword::Keyword;
pub use segments::{Encoding, Segments, split};

/// The text of a message. It is personal, so that neither logs nor errors can show it: `Debug` tells its length only.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Body(Arc<str>);

impl Body {
    /// The longest text, in characters (`WIRE.md`, code 21617).
    pub const CHARS_MAX: usize = 1_600;

    /// The text, for whoever sends or shows it.
    pub fn text(&self) -> &str {
        &self.0
    }
}

impl<T: Into<Arc<str>>> From<T> for Body {
    fn from(text: T) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({} bytes)", self.0.len())
    }
}

/// Who began a call or a message.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub enum Direction {
    /// Somebody called one of the tenant's numbers, or sent it there.
    Inbound,
    /// The tenant asked for it through the API.
    #[default]
    OutboundApi,
    /// The tenant's application answered an inbound message with it.
    OutboundReply,
}

impl Direction {
    /// Every direction.
    pub const ALL: [Self; 3] = [Self::Inbound, Self::OutboundApi, Self::OutboundReply];

    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::OutboundApi => "outbound-api",
            Self::OutboundReply => "outbound-reply",
        }
    }
}

/// One message without its text, which is kept apart and shared (MT-8).
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct MessageSpec {
    /// Recipient in E.164.
    pub to: String,
    /// Sender in E.164.
    pub from: String,
    /// Who began it.
    pub direction: Direction,
    /// Told of progress.
    pub status_callback: Option<Webhook>,
}

/// Where a message is in its life (`WIRE.md`, message status).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub enum MessageStatus {
    /// Its time has not come.
    Scheduled,
    /// In its number's queue.
    Queued,
    /// Handed to a carrier, which has not answered yet.
    Sending,
    /// The carrier has taken it.
    Sent,
    /// It is on the recipient's handset.
    Delivered,
    /// The carrier took it and could not deliver it.
    Undelivered,
    /// It was not sent, or whether it was is unknown.
    Failed,
    /// Its tenant canceled it before it was sent.
    Canceled,
    /// Inbound: it waits for the tenant's application.
    Receiving,
    /// Inbound: the tenant's application was asked.
    Received,
}

impl MessageStatus {
    /// Every status.
    pub const ALL: [Self; 10] = [
        Self::Scheduled,
        Self::Queued,
        Self::Sending,
        Self::Sent,
        Self::Delivered,
        Self::Undelivered,
        Self::Failed,
        Self::Canceled,
        Self::Receiving,
        Self::Received,
    ];

    /// How messages that a tenant sends end.
    pub const ENDS: [Self; 5] =
        [Self::Delivered, Self::Sent, Self::Undelivered, Self::Failed, Self::Canceled];

    /// The place of an end in [`MessageStatus::ENDS`]; `None` for what is no end of a message that was to be sent.
    pub fn end(self) -> Option<usize> {
        Self::ENDS.into_iter().position(|end| end == self)
    }

    /// The word on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Queued => "queued",
            Self::Sending => "sending",
            Self::Sent => "sent",
            Self::Delivered => "delivered",
            Self::Undelivered => "undelivered",
            Self::Failed => "failed",
            Self::Canceled => "canceled",
            Self::Receiving => "receiving",
            Self::Received => "received",
        }
    }

    /// The status of this word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == word)
    }
}

/// What a carrier says of a message that was handed to it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum MessageEvent {
    /// Proof that nothing was sent: it goes back to the head of its queue.
    NotSent(Reason),
    /// The carrier took every segment, and names the message so in its delivery report.
    Accepted(Arc<str>),
    /// The carrier took none of it, and would not if asked again.
    Refused(Reason),
    /// No answer came, or it was lost: whether the carrier took it is unknown, and it is not sent again.
    InDoubt(Reason),
    /// A delivery report: it arrived.
    Delivered,
    /// A delivery report: it will not arrive.
    Undelivered(Reason),
}

/// The field's code for why a message failed (`WIRE.md`); none if nothing went wrong, or if its tenant wanted it so.
pub const fn error_code(reason: Reason) -> Option<u32> {
    match reason {
        Reason::Ready
        | Reason::Sent
        | Reason::Delivered
        | Reason::Received
        | Reason::NoApplication
        | Reason::NoDeliveryReport
        | Reason::CanceledByTenant
        | Reason::BatchCanceled => None,
        Reason::Expired => Some(30_036),
        Reason::QueueFull => Some(30_001),
        Reason::Suspended => Some(30_002),
        Reason::OptedOut => Some(21_610),
        Reason::UnreachableHandset => Some(30_003),
        Reason::MessageBlocked => Some(30_004),
        Reason::UnknownHandset => Some(30_005),
        Reason::MessageFiltered => Some(30_007),
        Reason::DocumentFailed => Some(11_200),
        _ => Some(30_008),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_is_not_shown() {
        let body = Body::from("meet me at noon");
        let spec = MessageSpec {
            to: "+15550100001".to_owned(),
            from: "+15550100002".to_owned(),
            direction: Direction::OutboundApi,
            status_callback: None,
        };
        assert_eq!(format!("{body:?}"), "Body(15 bytes)");
        assert!(!format!("{:?}", (spec, body)).contains("noon"));
    }

    #[test]
    fn every_status_has_a_word_that_leads_back() {
        for status in MessageStatus::ALL {
            assert_eq!(MessageStatus::from_word(status.as_str()), Some(status));
        }
    }
}
