//! A run's report, from what the carrier saw and what the records say.

use std::collections::BTreeMap;

use busyhour_base::{Direction, Outcome, Reason, Timestamp};
use busyhour_controller_core::view::Record;

use super::{carrier::Seen, world::World};
use crate::report::{CallRow, InboundReport, Report, TenantTerms};

impl World<'_> {
    /// The report, as it would be made of a live run.
    pub(super) fn report(&self) -> Report {
        let tenants = &self.input.capacity.declaration.tenants;
        let terms: Vec<_> = tenants
            .iter()
            .map(|tenant| TenantTerms {
                name: tenant.name.to_string(),
                spacing: tenant.limits.throttle.map(|throttle| throttle.spacing),
            })
            .collect();
        let names: BTreeMap<_, _> =
            tenants.iter().map(|t| (t.account, t.name.to_string())).collect();
        let outbound =
            self.watch.accepted().iter().filter(|(call, _)| !self.callers.is_call(**call));
        let calls = outbound.map(|(call, account)| {
            let records = self.watch.records.get(call).map(Vec::as_slice).unwrap_or_default();
            let last = records.last();
            let seen = self.carriers.values().find_map(|carrier| carrier.seen(call.0));
            CallRow {
                to: last.map(|record| record.spec.to.clone()).unwrap_or_default(),
                tenant: names.get(account).cloned().unwrap_or_default(),
                start_us: seen.map(|seen| seen.invited.as_micros()),
                end_us: seen.and_then(|seen| seen.ended).map(Timestamp::as_micros),
                outcome: last.map(|record| record.ending.outcome),
                outcomes: u32::try_from(records.len()).unwrap_or(u32::MAX),
                held_by: last.map_or(Reason::Ready, |record| record.held_by),
                answered: seen.is_some_and(|seen| seen.answered),
                speech_heard: seen.is_some_and(Seen::speech_heard),
                digits: last.map(|record| record.ending.digits.clone()).unwrap_or_default(),
            }
        });
        let carriers = self.carriers.values().map(|carrier| carrier.account().clone()).collect();
        let seed = self.input.scenario.behaviour.seed;
        let report = Report::new(seed, &terms, carriers, calls.collect());
        let (messages, message_carriers) =
            self.messages.reports(&self.input.capacity.message_carriers);
        let (inbound, writers) = (self.inbound(), self.writers_report());
        Report { inbound, messages, writers, message_carriers, ..report }
    }

    /// What became of the callers, beside the records of their calls.
    fn inbound(&self) -> Vec<InboundReport> {
        let mut counted = BTreeMap::<&str, u64>::new();
        let completed = |record: &&Record| {
            record.spec.direction == Direction::Inbound
                && record.ending.outcome == Outcome::Completed
        };
        for record in self.watch.records.values().flatten().filter(completed) {
            *counted.entry(&record.spec.to).or_default() += 1;
        }
        let report = |(number, callers)| {
            InboundReport::new(number, callers, counted.get(number).copied().unwrap_or_default())
        };
        self.callers.rows().into_iter().map(report).collect()
    }
}
