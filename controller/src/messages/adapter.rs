//! What the controller needs of a carrier that takes messages. What is behind it, a protocol or nothing at all, is the
//! adapter's own affair.

use std::sync::Arc;

use busyhour_base::{MessageEvent, MessageSid, Reason, Timestamp};
use busyhour_controller_core::message::{MessageReport, Reported, Send};
use futures::future::BoxFuture;
use tokio::sync::mpsc;

/// The way to one carrier.
pub(super) trait Adapter: std::marker::Send + Sync {
    /// Hands a message over and completes with the carrier's answer. It is called once for each attempt, when the message is
    /// due. The engine leaves as much time after a message as its segments take at the contract's rate, so that an adapter
    /// that sends one segment after the other at that rate never breaks the contract. Dropped before it completes, it must
    /// be assumed to have been sent.
    fn send(&self, message: Handover) -> BoxFuture<'static, Answer>;

    /// Messages that the carrier took from an earlier process and has not reported on.
    fn resume(&self, taken: Vec<Taken>);
}

/// A message to be sent.
pub(super) struct Handover {
    /// Its public id.
    pub sid: MessageSid,
    /// The order.
    pub send: Send,
}

/// What a carrier answers to a message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Answer {
    /// It took every segment, and will name the message so.
    Accepted(Arc<str>),
    /// It took none, and would not if asked again.
    Refused(Reason),
    /// Nothing was sent, and it may be tried again.
    NotSent(Reason),
    /// None came: whether it has the message is unknown.
    None,
}

impl Answer {
    /// The word for metrics.
    pub(super) const fn word(&self) -> &'static str {
        match self {
            Self::Accepted(_) => "accepted",
            Self::Refused(_) => "refused",
            Self::NotSent(_) => "not_sent",
            Self::None => "none",
        }
    }
}

/// A message that a carrier has taken.
#[derive(Clone, Debug)]
pub(super) struct Taken {
    /// The carrier's name for it.
    pub reference: Arc<str>,
    /// When it was handed over.
    pub at: Timestamp,
}

/// Where an adapter says what the carrier says unasked.
#[derive(Clone)]
pub(super) struct Ear {
    carrier: Arc<str>,
    heard: mpsc::Sender<MessageReport>,
}

impl Ear {
    pub(super) fn new(carrier: Arc<str>, heard: mpsc::Sender<MessageReport>) -> Self {
        Self { carrier, heard }
    }

    /// A delivery report. Waits while too many wait for the log; lost only when the controller stops.
    pub(super) async fn delivery(&self, reference: Arc<str>, event: MessageEvent) {
        let of = Reported::Reference { carrier: Arc::clone(&self.carrier), reference };
        let _ = self.heard.send(MessageReport { of, event }).await;
    }
}
