//! A scenario: who calls whom over the declared capacity, and what the called parties do. One file of it
//! drives the live demo and the simulation alike.

mod document;
mod load;
mod traffic;

use std::collections::BTreeMap;

use busyhour_base::{AccountSid, CallSpec, Direction, Instructions, Span, StatusEvents, Webhook};

use crate::behaviour::Behaviour;

pub use document::{
    BatchDocument, CallersDocument, HabitDocument, KeyChoice, KeysDocument, MessagesDocument,
    ReactionName, RecordingDocument, ScenarioDocument, SpeechDocument, SpreadDocument,
    WritersDocument,
};
pub use load::load;
pub use traffic::{Caller, Callers, Messages, PATIENCE, Writers, Written};

/// A scenario, checked against the declared capacity.
#[derive(Clone, PartialEq, Debug)]
pub struct Scenario {
    /// What called parties do.
    pub behaviour: Behaviour,
    /// Submitted at the start, all at once.
    pub batches: Vec<Batch>,
    /// Who calls the tenants' numbers.
    pub callers: Vec<Callers>,
    /// Messages, submitted after the batches.
    pub messages: Vec<Messages>,
    /// Who writes to the tenants' numbers.
    pub writers: Vec<Writers>,
    /// Recordings that the application server makes up, by file name.
    pub recordings: BTreeMap<String, Span>,
    /// Measured lengths of speech, by its words; they go before any estimate.
    pub speech: BTreeMap<String, Span>,
}

/// A batch of calls to consecutive numbers.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Batch {
    /// The tenant's name for it.
    pub name: String,
    /// Name of the tenant in the declaration.
    pub tenant: String,
    /// Its account.
    pub account: AccountSid,
    /// Calling number, one of the tenant's.
    pub from: String,
    /// First called number, without its `+`.
    pub first_to: u64,
    /// How many calls.
    pub calls: u32,
    /// First document.
    pub first_document: Webhook,
    /// Asked when a document fails.
    pub fallback: Option<Webhook>,
    /// How long a call may ring.
    pub ring_timeout: Span,
    /// How long it may last after the answer.
    pub time_limit: Span,
}

impl Batch {
    /// The called numbers, in order.
    pub fn called(&self) -> impl Iterator<Item = String> + use<> {
        let first = self.first_to;
        (0..u64::from(self.calls)).map(move |n| format!("+{}", first + n))
    }

    /// The calls, in order, as a tenant asks for them.
    pub fn requests(&self) -> impl Iterator<Item = CallSpec> {
        self.called().map(|to| CallSpec {
            to,
            from: self.from.clone(),
            instructions: Instructions::Url(self.first_document.clone()),
            fallback: self.fallback.clone(),
            status_callback: None,
            status_events: StatusEvents::default(),
            send_digits: None,
            ring_timeout: self.ring_timeout,
            time_limit: self.time_limit,
            direction: Direction::OutboundApi,
        })
    }
}
