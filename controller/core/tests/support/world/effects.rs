//! What an entry asks of the outside: the world holds each dial to the contracts, and carries it out.

use busyhour_base::{Outcome, Reason, Span, Timestamp};
use busyhour_controller_core::{
    effect::Dial,
    spec::{AgentIx, CallId, Openings},
};

use super::{Channel, World};

impl World {
    /// Holds a dial to every limit, as the world outside counts them.
    pub(super) fn dialled(&mut self, at: Timestamp, dial: &Dial) {
        let carrier = self.declared.carriers.iter().find(|c| c.name == dial.carrier);
        let carrier = carrier.expect("a dial goes over a declared carrier").clone();
        self.channels.retain(|channel| channel.until.is_none_or(|until| until > at));
        let held =
            self.channels.iter().filter(|channel| channel.carrier == *carrier.name).count() as u32;
        let in_use = self
            .channels
            .iter()
            .filter(|c| c.carrier == *carrier.name && c.until.is_none() && !c.inbound);
        assert!(held < carrier.channels.total(), "MT-12: {held} of {:?}", carrier.channels);
        assert!((in_use.count() as u32) < carrier.service_ports, "MT-11: service ports");
        self.channels.push(Channel {
            carrier: carrier.name.to_string(),
            call: dial.call,
            attempt: dial.attempt,
            inbound: false,
            until: None,
        });
        assert!(
            !self.ringing_for(&carrier.name) || self.could_not_ring(&carrier.name),
            "MT-6: a request took what a caller waits for"
        );

        let setups = self.setups.entry(carrier.name.to_string()).or_default();
        if carrier.setup_spacing > Span::ZERO {
            let per_second = (1_020_000 / carrier.setup_spacing.0) as usize;
            if let Some(earlier) = setups.len().checked_sub(per_second) {
                let span = at.since(setups[earlier]);
                assert!(span > Span::from_secs(1), "MT-12: {per_second} set-ups in {span}");
            }
        }
        setups.push(at);

        assert!(dial.at <= at, "a dial is due when its entry is made, or was before");
        let tenant = self.declared.tenants.iter().find(|t| t.account == dial.account);
        if let Some(tenant) = tenant {
            assert!(!tenant.suspended, "a suspended tenant starts nothing");
            if let (Some(throttle), Some(last)) =
                (tenant.limits.throttle, self.last_due.get(&dial.account.0))
            {
                assert!(
                    dial.at.since(*last) >= throttle.spacing,
                    "MT-2: {:?}",
                    dial.at.since(*last)
                );
            }
            for cap in &tenant.limits.caps {
                let mine = |(_, d): &&(Timestamp, Dial)| d.account == dial.account;
                let forgotten = self.forgotten.get(&dial.account.0).copied().unwrap_or(0);
                let inside = self.machine.dials[forgotten..].iter().rev().filter(mine);
                let inside = inside
                    .skip_while(|(_, d)| (d.call, d.attempt) != (dial.call, dial.attempt))
                    .take_while(|(other, _)| at.since(*other) < cap.window)
                    .count();
                assert!(inside <= cap.count as usize, "MT-3: {inside} in {:?}", cap.window);
            }
        }
        self.last_due.insert(dial.account.0, dial.at);
        self.dialled_in_batch(at, dial);
    }

    /// Holds a dial to its batch's plan: pacing, calling hours, attempts (DC-3).
    pub(super) fn dialled_in_batch(&mut self, at: Timestamp, dial: &Dial) {
        let state = &self.machine.state;
        let batch_of = |call| state.call(call).and_then(|view| view.batch);
        let Some(batch) = batch_of(dial.call) else { return };
        let Some(plan) = self.plans.get(&batch) else { return };
        let open = |openings: &Openings| openings.spans.iter().any(|s| s.from <= at && at < s.to);
        assert!(plan.openings.as_ref().is_none_or(open), "{:?} out of hours", dial.call);
        assert!(
            plan.not_after.is_none_or(|end| at < end),
            "{:?} behind its batch's end",
            dial.call
        );
        assert!(plan.not_before.is_none_or(|begin| at >= begin), "{:?} is early", dial.call);
        if let (Some(throttle), Some(last)) = (plan.throttle, self.last_due_of.get(&batch)) {
            assert!(dial.at.since(*last) >= throttle.spacing, "the batch's pace");
        }
        if let Some(most) = plan.max_concurrent {
            let mine = |channel: &&Channel| {
                channel.until.is_none() && batch_of(channel.call) == Some(batch)
            };
            let up = self.channels.iter().filter(mine).count();
            assert!(up <= most as usize, "{up} of a batch are up");
        }
        if let Some((made, _, ended)) = self.definite.get(&dial.call) {
            let delay = plan.retry.as_ref().and_then(|retry| retry.delay(*made));
            let delay = delay.expect("no more attempts than the plan allows");
            assert!(at.since(*ended) >= delay, "another attempt after {}", at.since(*ended));
        }
        self.last_due_of.insert(batch, dial.at);
    }

    pub(super) fn hang_up(&mut self, number: AgentIx, call: CallId, attempt: u16) {
        let Some(agent) = self.agents.iter().position(|a| a.number == Some(number) && a.connected)
        else {
            return;
        };
        if self.agents[agent].inbox.contains(&(call, attempt)) {
            self.not_sent(agent, call, attempt, Reason::CanceledByTenant);
        } else if self.agents[agent].journal.get(&(call, attempt)).is_some_and(|leg| leg.live) {
            self.finish(agent, call, attempt, Outcome::Canceled, true);
        }
    }
}
