//! Batches, of calls or of messages.

use std::sync::Arc;

use busyhour_base::{
    AccountSid, Body, CallSpec, Direction, Instructions, MessageSpec, Span, StatusEvents,
    Timestamp, Webhook, pacing,
};
use busyhour_controller_core::spec::{Kind, NewCall, NewText, Rest, Throttle, Urgency};

use super::PacingDocument;

/// A batch to consecutive numbers.
#[derive(Clone, PartialEq, Debug)]
pub struct Batch {
    /// The tenant's name for it.
    pub name: String,
    /// Name of the tenant in the declaration.
    pub tenant: String,
    /// Its account.
    pub account: AccountSid,
    /// Calling number, or sender: one of the tenant's.
    pub from: String,
    /// First number that is called or written to, without its `+`.
    pub first_to: u64,
    /// How many lines.
    pub count: u32,
    /// How fast it runs; as fast as other limits allow if it says nothing.
    pub pacing: PacingDocument,
    /// What the lines have in common.
    pub lines: BatchLines,
}

/// What the lines of a batch are.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum BatchLines {
    /// Calls.
    Calls(Calls),
    /// Messages.
    Texts(Texts),
}

/// What a batch's calls have in common.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Calls {
    /// First document.
    pub first_document: Webhook,
    /// Asked when a document fails.
    pub fallback: Option<Webhook>,
    /// How long a call may ring.
    pub ring_timeout: Span,
    /// How long it may last after the answer.
    pub time_limit: Span,
}

/// What a batch's messages have in common.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Texts {
    /// The text.
    pub body: Body,
    /// From its submission until it expires, if it does.
    pub validity: Option<Span>,
}

impl Batch {
    /// What its lines are.
    pub const fn kind(&self) -> Kind {
        match self.lines {
            BatchLines::Calls(_) => Kind::Call,
            BatchLines::Texts(_) => Kind::Message,
        }
    }

    /// The spacing that its pace asks for.
    pub fn throttle(&self) -> Option<Throttle> {
        self.pacing.cps.and_then(pacing::spacing).map(|spacing| Throttle { spacing })
    }

    /// The numbers that are called or written to, in order, each with its line's name.
    pub fn numbers(&self) -> impl Iterator<Item = (String, String)> + use<'_> {
        let number = |n| format!("+{}", self.first_to + n);
        (0..u64::from(self.count)).map(move |n| (number(n), format!("{}-{n}", self.name)))
    }

    /// A line but for its number and name, as a tenant asks for it at this instant.
    pub fn line(&self, now: Timestamp) -> Rest {
        let (to, from) = (String::new(), self.from.clone());
        match &self.lines {
            BatchLines::Calls(calls) => NewCall::of(Arc::new(CallSpec {
                to,
                from,
                instructions: Instructions::Url(calls.first_document.clone()),
                fallback: calls.fallback.clone(),
                status_callback: None,
                status_events: StatusEvents::default(),
                send_digits: None,
                ring_timeout: calls.ring_timeout,
                time_limit: calls.time_limit,
                direction: Direction::OutboundApi,
            }))
            .into(),
            BatchLines::Texts(texts) => NewText {
                spec: Arc::new(MessageSpec {
                    to,
                    from,
                    direction: Direction::OutboundApi,
                    status_callback: None,
                }),
                body: texts.body.clone(),
                not_before: None,
                expires: texts.validity.map(|validity| now + validity),
                urgency: Urgency::Ordinary,
            }
            .into(),
        }
    }
}
