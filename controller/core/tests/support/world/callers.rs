//! Calls that carriers begin: offered to agents, answered or left to ring, given up.

use busyhour_base::{Direction, Outcome, Reason, Span, Timestamp};
use busyhour_controller_core::{
    command::{Command, Offer},
    effect::{Answer, Phase, Reply},
    spec::{AgentIx, CallId},
};

use super::{Channel, World, pick};
use crate::support::{account, call};

impl World {
    /// A caller is let in: over the channels that the world outside counts.
    pub(super) fn admitted(&mut self, at: Timestamp, answer: &Answer) {
        let carrier = self.declared.carriers.iter().find(|c| c.name == answer.carrier);
        let carrier = carrier.expect("a caller comes over a declared carrier").clone();
        self.channels.retain(|channel| channel.until.is_none_or(|until| until > at));
        let held = self.channels.iter().filter(|channel| channel.carrier == *carrier.name);
        let held = held.count() as u32;
        assert!(held < carrier.channels.total(), "MT-12: {held} of {:?}", carrier.channels);
        self.channels.push(Channel {
            carrier: carrier.name.to_string(),
            call: answer.call,
            attempt: answer.attempt,
            inbound: true,
            until: None,
        });
    }

    /// Whether a caller of this carrier still rings, by the agents' own accounts.
    pub(super) fn ringing_for(&self, carrier: &str) -> bool {
        let state = &self.machine.state;
        let ringing = self.agents.iter().filter(|agent| agent.connected);
        let mut calls = ringing.flat_map(|agent| agent.ringing.values().flatten());
        calls.any(|(call, _)| {
            state.call(*call).is_some_and(|view| {
                view.phase == Phase::Ringing && view.carrier.as_deref() == Some(carrier)
            })
        })
    }

    /// Whether every caller of this carrier rings at an agent that has no slot left.
    pub(super) fn could_not_ring(&self, carrier: &str) -> bool {
        let state = &self.machine.state;
        let full = |agent: AgentIx| {
            state.agents().any(|view| view.agent == agent && view.in_use >= view.slots)
        };
        let calls = self.agents.iter().flat_map(|agent| agent.ringing.values().flatten());
        let mut views = calls.filter_map(|(call, _)| state.call(*call));
        views.all(|view| {
            let rings = view.phase == Phase::Ringing && view.carrier.as_deref() == Some(carrier);
            !rings || view.agent.is_some_and(full)
        })
    }

    pub(super) fn ringing_at(
        &mut self,
        agent: AgentIx,
        offer: u64,
    ) -> Option<&mut Option<(CallId, u16)>> {
        self.agent_of(agent)?.ringing.get_mut(&offer)
    }

    /// The caller may have gone in the meantime.
    pub(super) fn deliver_answer(&mut self, answer: &Answer) {
        let rings = self.agent_of(answer.agent).and_then(|me| me.ringing.remove(&answer.offer));
        if rings.is_some() {
            self.deliver(answer.agent, answer.fence, answer.call, answer.attempt);
        } else if let Some(at) =
            self.agents.iter().position(|a| a.number == Some(answer.agent) && a.connected)
        {
            self.finish(at, answer.call, answer.attempt, Outcome::NoAnswer, true);
        }
    }

    /// A carrier offers a call at an agent; with `twice` the agent's message is heard again.
    pub fn offer(&mut self, agent: usize, tenant: u128, carrier: &str, ring: Span, twice: bool) {
        let me = &mut self.agents[agent];
        let (Some(number), true) = (me.number, me.connected) else { return };
        me.offers += 1;
        me.ringing.insert(me.offers, None);
        let mut spec = (*call("+15550100001").spec).clone();
        (spec.direction, spec.ring_timeout) = (Direction::Inbound, ring);
        let offer = Offer {
            agent: number,
            incarnation: me.incarnation,
            offer: me.offers,
            carrier: carrier.into(),
            account: account(tenant),
            spec: spec.into(),
        };
        let number = offer.offer;
        let Reply::Offered(verdicts) = self.apply(Command::Offer(vec![offer.clone()])) else {
            panic!("offers get verdicts")
        };
        if verdicts[0].is_err() {
            self.agents[agent].ringing.remove(&number);
        } else if twice {
            let again = self.apply(Command::Offer(vec![offer]));
            assert_eq!(again, Reply::Offered(vec![Err(Reason::Duplicate)]));
        }
    }

    /// A caller who hears it ring hangs up.
    pub fn give_up(&mut self, agent: usize, which: usize) {
        let ringing = &self.agents[agent].ringing;
        let known: Vec<_> =
            ringing.iter().filter_map(|(offer, call)| Some((*offer, (*call)?))).collect();
        if let (Some((offer, (call, attempt))), true) =
            (pick(&known, which), self.agents[agent].connected)
        {
            self.agents[agent].ringing.remove(&offer);
            self.finish(agent, call, attempt, Outcome::NoAnswer, true);
        }
    }
}
