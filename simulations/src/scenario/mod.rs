//! A scenario: who calls whom over the declared capacity, and what the called parties do. One file of it
//! drives the live demo and the simulation alike.

mod batch;
mod document;
mod load;
mod traffic;

use std::collections::BTreeMap;

use busyhour_base::Span;
use busyhour_controller_core::spec::Kind;

use crate::behaviour::Behaviour;

pub use batch::{Batch, BatchLines, Calls, Texts};
pub use document::{
    BatchDocument, BatchKind, CallersDocument, HabitDocument, KeyChoice, KeysDocument,
    MessagesDocument, PacingDocument, ReactionName, RecordingDocument, ScenarioDocument,
    SpeechDocument, SpreadDocument, WritersDocument,
};
pub use load::load;
pub use traffic::{Caller, Callers, Messages, PATIENCE, Writers, Written};

/// A scenario, checked against the declared capacity.
#[derive(Clone, PartialEq, Debug)]
pub struct Scenario {
    /// What called parties do.
    pub behaviour: Behaviour,
    /// Submitted at the start, all at once: those of calls first, those of messages after the single messages.
    pub batches: Vec<Batch>,
    /// Who calls the tenants' numbers.
    pub callers: Vec<Callers>,
    /// Single messages, submitted after the batches of calls.
    pub messages: Vec<Messages>,
    /// Who writes to the tenants' numbers.
    pub writers: Vec<Writers>,
    /// Recordings that the application server makes up, by file name.
    pub recordings: BTreeMap<String, Span>,
    /// Measured lengths of speech, by its words; they go before any estimate.
    pub speech: BTreeMap<String, Span>,
}

impl Scenario {
    /// The batches whose lines are of this kind, in order.
    pub fn batches_of(&self, kind: Kind) -> impl Iterator<Item = &Batch> {
        self.batches.iter().filter(move |batch| batch.kind() == kind)
    }
}
