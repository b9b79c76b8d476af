//! What the controller needs of a carrier that takes messages. What is behind it, a protocol or nothing at all, is the
//! adapter's own affair.

use std::sync::Arc;

use busyhour_api::{Brought, Receipt};
use busyhour_base::{MessageEvent, MessageSid, Reason, Timestamp};
use busyhour_controller_core::message::{MessageReport, Reported, Send};
use futures::future::BoxFuture;
use tokio::sync::{
    mpsc::{self, error::TrySendError},
    oneshot,
};

use super::arriving::Arriving;

/// The way to one carrier.
pub(super) trait Adapter: std::marker::Send + Sync {
    /// Hands a message over and completes with the carrier's answer. It is called once for each attempt, when the message is
    /// due. The engine leaves as much time after a message as its segments take at the contract's rate, so that an adapter
    /// that sends one segment after the other at that rate never breaks the contract. Dropped before it completes, it must
    /// be assumed to have been sent.
    fn send(&self, message: Handover) -> BoxFuture<'static, Answer>;

    /// Messages that the carrier took from an earlier process and has not reported on.
    fn resume(&self, taken: Vec<Taken>);

    /// Has the carrier bring a message to a tenant's number, as it otherwise does of itself ([`Ear::arrival`]).
    fn bring(&self, message: Brought) -> BoxFuture<'static, Option<Receipt>>;
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
    arriving: mpsc::Sender<Arriving>,
}

impl Ear {
    pub(super) fn new(
        carrier: Arc<str>,
        heard: mpsc::Sender<MessageReport>,
        arriving: mpsc::Sender<Arriving>,
    ) -> Self {
        Self { carrier, heard, arriving }
    }

    /// A message to a tenant's number. The carrier may forget it once it is taken or refused, not before: what is taken is
    /// durable, and brought again under the same reference it is the same message. `None` is no answer at all; the carrier
    /// brings the message again.
    pub(super) async fn arrival(&self, message: Brought) -> Option<Receipt> {
        let (tell, told) = oneshot::channel();
        let carrier = Arc::clone(&self.carrier);
        match self.arriving.try_send(Arriving { carrier, message, tell }) {
            Ok(()) => told.await.ok(),
            Err(TrySendError::Full(_)) => Some(Receipt::Later(Reason::QueueFull)),
            Err(TrySendError::Closed(_)) => None,
        }
    }

    /// A delivery report. Waits while too many wait for the log; lost only when the controller stops.
    pub(super) async fn delivery(&self, reference: Arc<str>, event: MessageEvent) {
        let of = Reported::Reference { carrier: Arc::clone(&self.carrier), reference };
        let _ = self.heard.send(MessageReport { of, event }).await;
    }
}
