//! What a run came to, live or simulated: the same type, the same sums and the same table for both.
//!
//! A [`Report`] is made from what the **carrier** saw (who was invited when, how many channels and set-ups
//! there were at once, what was heard) and from the **records** (outcomes, and which limit held each call). The
//! controller's own idea of its channels does not enter.

mod compare;
mod inbound;
mod messages;
mod spacing;
mod table;
mod words;
mod writers;

use std::collections::BTreeMap;

use busyhour_base::{Outcome, Reason, Span};
use serde::{Deserialize, Serialize};

pub use compare::{Comparison, Difference, compare};
pub use inbound::{CallerRow, InboundReport, Refused};
pub use messages::{Handed, MessageCarrierReport, MessageRow, MessagesReport};
pub use spacing::{SpacingError, spacing_error};
pub use writers::{WriterRow, WritersReport};

/// What a run came to.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Report {
    /// Of the scenario.
    pub seed: u64,
    /// From the first INVITE to the end of the last call, in microseconds.
    pub lasted_us: u64,
    /// One row per tenant, in order of name.
    pub tenants: Vec<TenantReport>,
    /// By their own accounts.
    pub carriers: Vec<CarrierReport>,
    /// Calls to the tenants' numbers, by number.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inbound: Vec<InboundReport>,
    /// Messages, by tenant.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub messages: Vec<MessagesReport>,
    /// Messages to the tenants' numbers, by number.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub writers: Vec<WritersReport>,
    /// Carriers that take messages, by their own accounts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub message_carriers: Vec<MessageCarrierReport>,
    /// One row per accepted call, in order of dispatch; those that were never dialled come last.
    pub calls: Vec<CallRow>,
}

/// What a tenant's calls came to.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct TenantReport {
    /// In the declaration.
    pub name: String,
    /// The spacing of its throttle, in microseconds.
    pub spacing_us: Option<u64>,
    /// Accepted calls.
    pub accepted: u64,
    /// Ended calls, by outcome.
    pub outcomes: Outcomes,
    /// Calls that the called party answered.
    pub answered: u64,
    /// Answered calls in which the carrier heard speech.
    pub speech_heard: u64,
    /// Answered calls in which the application gathered a key.
    pub with_digits: u64,
    /// How far the carrier saw its INVITEs from the ideal grid of its throttle; nothing if it never bound.
    pub spacing_error: Option<SpacingError>,
    /// Dialled calls by the limit that held them last.
    #[serde(with = "words::reasons")]
    pub held_by: BTreeMap<Reason, u64>,
}

/// Ended calls, by outcome.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Outcomes {
    /// Answered and ended.
    pub completed: u64,
    /// Busy or rejected.
    pub busy: u64,
    /// Rang out.
    pub no_answer: u64,
    /// Could not be completed, or in doubt.
    pub failed: u64,
    /// Ended before the answer by the tenant.
    pub canceled: u64,
}

impl Outcomes {
    /// Counts one more.
    pub fn count(&mut self, outcome: Outcome) {
        *match outcome {
            Outcome::Completed => &mut self.completed,
            Outcome::Busy => &mut self.busy,
            Outcome::NoAnswer => &mut self.no_answer,
            Outcome::Failed => &mut self.failed,
            Outcome::Canceled => &mut self.canceled,
        } += 1;
    }

    /// All of them.
    pub const fn total(&self) -> u64 {
        self.completed + self.busy + self.no_answer + self.failed + self.canceled
    }
}

/// A carrier's own account.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CarrierReport {
    /// In the declaration.
    pub name: String,
    /// Channels by contract.
    pub channels: u64,
    /// Most channels in use at once.
    pub channels_peak: u64,
    /// Call set-ups in a rolling second by contract.
    pub calls_per_second: u64,
    /// Most set-ups in a rolling second.
    pub setups_peak: u64,
    /// Set-ups over either part of the contract.
    pub breaches: u64,
    /// INVITEs for a call that had one before.
    pub duplicates: u64,
}

/// One accepted call.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CallRow {
    /// Called number.
    pub to: String,
    /// Name of its tenant.
    pub tenant: String,
    /// When the carrier saw its INVITE, in microseconds from any fixed instant; [`Report::new`] makes it count
    /// from the first INVITE.
    pub start_us: Option<u64>,
    /// When the carrier had its channel free again, likewise.
    pub end_us: Option<u64>,
    /// How it ended; nothing if it has no outcome.
    #[serde(with = "words::outcome")]
    pub outcome: Option<Outcome>,
    /// How many outcomes it has. Anything but 1 is a broken promise.
    pub outcomes: u32,
    /// The limit that held it last.
    #[serde(with = "words::reason")]
    pub held_by: Reason,
    /// The called party answered.
    pub answered: bool,
    /// The carrier heard speech in it.
    pub speech_heard: bool,
    /// Keys that the application gathered.
    pub digits: String,
}

/// A tenant's part of the declaration, as far as the report needs it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TenantTerms {
    /// Its name.
    pub name: String,
    /// The spacing of its throttle.
    pub spacing: Option<Span>,
}

impl Report {
    /// Sums a run up.
    pub fn new(
        seed: u64,
        tenants: &[TenantTerms],
        carriers: Vec<CarrierReport>,
        mut calls: Vec<CallRow>,
    ) -> Self {
        let first = calls.iter().filter_map(|call| call.start_us).min().unwrap_or_default();
        for time in
            calls.iter_mut().flat_map(|call| [&mut call.start_us, &mut call.end_us]).flatten()
        {
            *time = time.saturating_sub(first);
        }
        calls.sort_by(|a, b| {
            let key =
                |call: &CallRow| (call.start_us.unwrap_or(u64::MAX), call.outcome, call.to.clone());
            key(a).cmp(&key(b))
        });
        let mut tenants: Vec<_> =
            tenants.iter().map(|terms| TenantReport::new(terms, &calls)).collect();
        tenants.sort_by(|a, b| a.name.cmp(&b.name));
        let lasted_us = calls.iter().filter_map(|call| call.end_us).max().unwrap_or_default();
        Self {
            seed,
            lasted_us,
            tenants,
            carriers,
            inbound: Vec::new(),
            messages: Vec::new(),
            writers: Vec::new(),
            message_carriers: Vec::new(),
            calls,
        }
    }

    /// Everything in which the run broke a promise: each accepted call and message has exactly one outcome, the contract is
    /// kept, nothing is dialled or handed over twice, no caller is turned away but by an application, and speech is heard in
    /// every answered call. Empty if it was a good run.
    pub fn failures(&self) -> Vec<String> {
        let mut failures = Vec::new();
        for call in &self.calls {
            if call.outcomes != 1 || call.outcome.is_none() {
                failures.push(format!(
                    "the call to {} has {} outcomes instead of one",
                    call.to, call.outcomes
                ));
            }
            if call.answered && !call.speech_heard {
                failures.push(format!(
                    "the carrier heard no speech in the answered call to {}",
                    call.to
                ));
            }
        }
        for carrier in &self.carriers {
            failures.extend(carrier.failures());
        }
        failures.extend(self.inbound.iter().flat_map(InboundReport::failures));
        failures.extend(self.messages.iter().flat_map(MessagesReport::failures));
        failures.extend(self.writers.iter().flat_map(WritersReport::failures));
        failures.extend(self.message_carriers.iter().flat_map(MessageCarrierReport::failures));
        if self.calls.is_empty() {
            failures.push("no call was accepted".to_owned());
        }
        failures
    }
}

impl CarrierReport {
    fn failures(&self) -> Vec<String> {
        let (carrier, mut failures) = (self, Vec::new());
        if carrier.breaches > 0 {
            failures.push(format!(
                "{} call set-ups breached the contract with {}",
                carrier.breaches, carrier.name
            ));
        }
        if carrier.duplicates > 0 {
            failures.push(format!("{} calls were dialled more than once", carrier.duplicates));
        }
        failures
    }
}

impl TenantReport {
    /// Sums up the calls of one tenant; `calls` are in order of dispatch.
    fn new(terms: &TenantTerms, calls: &[CallRow]) -> Self {
        let own = || calls.iter().filter(|call| call.tenant == terms.name);
        let mut outcomes = Outcomes::default();
        own().filter_map(|call| call.outcome).for_each(|outcome| outcomes.count(outcome));
        let mut held_by = BTreeMap::new();
        for call in own().filter(|call| call.start_us.is_some()) {
            *held_by.entry(call.held_by).or_default() += 1;
        }
        let starts = own().filter_map(|call| Some((call.start_us?, call.held_by)));
        Self {
            name: terms.name.clone(),
            spacing_us: terms.spacing.map(Span::as_micros),
            accepted: own().count() as u64,
            outcomes,
            answered: own().filter(|call| call.answered).count() as u64,
            speech_heard: own().filter(|call| call.answered && call.speech_heard).count() as u64,
            with_digits: own().filter(|call| !call.digits.is_empty()).count() as u64,
            spacing_error: terms.spacing.and_then(|spacing| spacing_error(spacing, starts)),
            held_by,
        }
    }
}
