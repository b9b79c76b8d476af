//! What became of the tenants' messages: by the records, and by the account of the carrier that they were handed to.

use std::collections::{BTreeMap, VecDeque};

use busyhour_base::Span;
use busyhour_crds::spacing;
use serde::{Deserialize, Serialize};

/// One tenant's messages.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MessagesReport {
    /// The tenant.
    pub tenant: String,
    /// Accepted messages.
    pub accepted: u64,
    /// Their segments.
    pub segments: u64,
    /// Ended messages by their last status, as the API words it.
    pub outcomes: BTreeMap<String, u64>,
    /// Of those that failed, or were not delivered, how many did so for each reason: by status, and by the reason's code.
    pub reasons: BTreeMap<String, BTreeMap<String, u64>>,
    /// One row per message, in the order in which they were accepted.
    pub messages: Vec<MessageRow>,
}

/// One message.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct MessageRow {
    /// Recipient.
    pub to: String,
    /// Its last status, as the API words it; empty if it has no outcome.
    pub status: String,
    /// The code of the reason why it failed, or was not delivered; empty if neither is so.
    pub reason: String,
    /// How many outcomes it has. Anything but 1 is a broken promise.
    pub outcomes: u32,
    /// How many segments.
    pub segments: u64,
    /// When the carrier was first handed it, in microseconds from the first of all.
    pub start_us: Option<u64>,
    /// How often the carrier was handed it.
    pub handed: u32,
}

/// The account of a carrier that takes messages.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MessageCarrierReport {
    /// In the declaration.
    pub name: String,
    /// Messages that it was handed.
    pub handed: u64,
    /// Messages that it was handed more than once.
    pub duplicates: u64,
    /// Segments in a rolling second by contract.
    pub segments_per_second: u64,
    /// Most segments in a rolling second.
    pub segments_peak: u64,
}

/// A message as it was handed to a carrier.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Handed {
    /// The message's name, unique.
    pub message: String,
    /// When, in microseconds from any fixed instant.
    pub at_us: u64,
    /// How many segments.
    pub segments: u64,
}

impl MessagesReport {
    /// Sums a tenant's messages up.
    pub fn new(tenant: &str, messages: Vec<MessageRow>) -> Self {
        let mut outcomes = BTreeMap::new();
        let mut reasons = BTreeMap::<_, BTreeMap<_, _>>::new();
        for MessageRow { status, reason, .. } in messages.iter().filter(|row| row.outcomes > 0) {
            *outcomes.entry(status.clone()).or_default() += 1;
            if !reason.is_empty() {
                let of_status = reasons.entry(status.clone()).or_default();
                *of_status.entry(reason.clone()).or_default() += 1;
            }
        }
        Self {
            tenant: tenant.to_owned(),
            accepted: messages.len() as u64,
            segments: messages.iter().map(|message| message.segments).sum(),
            outcomes,
            reasons,
            messages,
        }
    }

    /// Each message has one outcome, and a carrier was handed it once.
    pub(super) fn failures(&self) -> Vec<String> {
        let mut failures = Vec::new();
        for MessageRow { to, outcomes, handed, .. } in &self.messages {
            if *outcomes != 1 {
                failures
                    .push(format!("the message to {to} has {outcomes} outcomes instead of one"));
            }
            if *handed > 1 {
                failures.push(format!("the message to {to} was handed over {handed} times"));
            }
        }
        failures
    }
}

impl MessageCarrierReport {
    /// From everything that a carrier was handed, whose segments leave one after the other at the rate of its contract.
    pub fn new(name: &str, segments_per_second: u32, mut handed: Vec<Handed>) -> Self {
        handed.sort_by(|a, b| (a.at_us, &a.message).cmp(&(b.at_us, &b.message)));
        let spacing = spacing(Span::from_secs(1), segments_per_second);
        let mut instants: Vec<_> = handed
            .iter()
            .flat_map(|one| (0..one.segments).map(|n| one.at_us + spacing.times(n).as_micros()))
            .collect();
        instants.sort_unstable();
        let (mut second, mut segments_peak) = (VecDeque::<u64>::new(), 0);
        for at in instants {
            while second.front().is_some_and(|first| *first + 1_000_000 <= at) {
                second.pop_front();
            }
            second.push_back(at);
            segments_peak = segments_peak.max(second.len() as u64);
        }
        let mut times = BTreeMap::<_, u64>::new();
        for one in &handed {
            *times.entry(&one.message).or_default() += 1;
        }
        Self {
            name: name.to_owned(),
            handed: times.len() as u64,
            duplicates: times.values().filter(|times| **times > 1).count() as u64,
            segments_per_second: segments_per_second.into(),
            segments_peak,
        }
    }

    pub(super) fn failures(&self) -> Vec<String> {
        let mut failures = Vec::new();
        if self.segments_peak > self.segments_per_second {
            failures.push(format!(
                "{} took {} segments in a second, by contract {}",
                self.name, self.segments_peak, self.segments_per_second
            ));
        }
        if self.duplicates > 0 {
            failures.push(format!("{} messages were handed over more than once", self.duplicates));
        }
        failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::Report;

    fn handed(message: &str, at_us: u64, segments: u64) -> Handed {
        Handed { message: message.to_owned(), at_us, segments }
    }

    #[test]
    fn a_carriers_account_finds_a_rate_too_high_and_a_message_twice() {
        let good = [handed("a", 0, 3), handed("b", 1_000_000, 1)];
        let account = MessageCarrierReport::new("c", 3, good.to_vec());
        assert_eq!((account.handed, account.segments_peak), (2, 3));
        assert_eq!(account.failures(), Vec::<String>::new());
        let bad = [handed("a", 0, 3), handed("b", 999_000, 1), handed("b", 5_000_000, 1)];
        let account = MessageCarrierReport::new("c", 2, bad.to_vec());
        assert_eq!((account.duplicates, account.segments_peak), (1, 3));
        assert_eq!(account.failures().len(), 2);
    }

    #[test]
    fn a_message_without_an_outcome_or_with_two_hand_overs_is_a_failure() {
        let row = |outcomes, handed| MessageRow {
            to: "+1".to_owned(),
            status: "delivered".to_owned(),
            reason: String::new(),
            outcomes,
            segments: 1,
            start_us: Some(0),
            handed,
        };
        let report = MessagesReport::new("t", vec![row(1, 1), row(1, 0)]);
        assert_eq!((report.failures(), report.outcomes["delivered"]), (Vec::new(), 2));
        assert_eq!(MessagesReport::new("t", vec![row(0, 1), row(1, 2)]).failures().len(), 2);
    }

    #[test]
    fn what_expired_is_told_apart_from_what_failed_otherwise() {
        let row = |status: &str, reason: &str| MessageRow {
            status: status.to_owned(),
            reason: reason.to_owned(),
            outcomes: 1,
            ..MessageRow::default()
        };
        let rows = vec![
            row("failed", "expired"),
            row("failed", "message_filtered"),
            row("delivered", ""),
            row("failed", "expired"),
            row("undelivered", "unreachable_handset"),
        ];
        let report = Report {
            messages: vec![MessagesReport::new("t", rows)],
            ..Report::new(1, &[], Vec::new(), Vec::new())
        };
        let line = "messages of t: 5 accepted, 0 segments, 1 delivered, \
             3 failed (expired 2, message_filtered 1), 1 undelivered (unreachable_handset 1)\n";
        assert!(report.table().contains(line), "{}", report.table());
        let json = serde_json::to_value(&report.messages[0]).expect("JSON");
        let expected = serde_json::json!({
            "failed": {"expired": 2, "message_filtered": 1},
            "undelivered": {"unreachable_handset": 1},
        });
        assert_eq!(json["reasons"], expected);
        assert_eq!(json["messages"][0]["reason"], "expired");
    }
}
