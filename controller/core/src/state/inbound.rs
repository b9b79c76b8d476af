//! `Offer`: calls that carriers offer. Each is refused at once, or becomes a call with exactly one record: it gets its
//! channel and is answered, or rings for a bounded time until it does (MT-6, MT-9).
//!
//! An offered call lives at one agent and ends with that agent's link: the agent refuses what it was not told to
//! answer, and the state does the same from its side. Nothing of it is ever tried again, since the caller is gone.

use std::sync::Arc;

use busyhour_base::{Ending, Outcome, Reason, Span, Timestamp};
use serde::{Deserialize, Serialize};

use super::{
    State,
    calls::{Live, Stage},
    end::Teller,
};
use crate::{
    command::{CallReport, Offer},
    effect::{Answer, Effect, Phase, Reply, Ringing as Rings},
    engine::{Start, inbound::Offered, lanes::LaneKey},
    spec::{AgentIx, CallId, NewCall, Urgency},
};

/// The one attempt of an inbound call.
const ATTEMPT: u16 = 1;

/// Where an offered call rings.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Ringing {
    pub agent: u16,
    pub offer: u64,
    pub carrier: u32,
}

impl State {
    pub(super) fn offers(&mut self, offers: &[Offer], fx: &mut Vec<Effect>) -> Reply {
        let verdicts = offers.iter().map(|offer| self.offer(offer, fx)).collect();
        Reply::Offered(verdicts)
    }

    fn offer(&mut self, offer: &Offer, fx: &mut Vec<Effect>) -> Result<CallId, Reason> {
        let (tenant, carrier) = self.may_offer(offer)?;
        self.agents[usize::from(offer.agent.0)].offers = offer.offer;
        let (call, id) = self.take_in_offered(tenant, offer, fx);
        let ringing = Ringing { agent: offer.agent.0, offer: offer.offer, carrier };
        self.ringing.insert(id, ringing);
        let lane = self.requests.lane(id);
        self.engine.offer(Offered { request: id, lane, carrier, worker: offer.agent.0 });
        self.drain(fx);
        if self.requests.stage(id) == Stage::Offered {
            fx.push(Effect::Ring(Rings {
                call,
                attempt: ATTEMPT,
                agent: offer.agent,
                offer: offer.offer,
                fence: self.agents[usize::from(offer.agent.0)].fence,
                waits_for: self.engine.offer_waits_for(id).unwrap_or(Reason::Ready),
            }));
            self.changed(id, Phase::Ringing, fx);
        }
        Ok(call)
    }

    /// Whose call it is, and over which carrier; or why it is refused without a trace.
    fn may_offer(&self, offer: &Offer) -> Result<(u32, u32), Reason> {
        let agent = self.agents.get(usize::from(offer.agent.0)).ok_or(Reason::WrongState)?;
        if !agent.connected || agent.incarnation != offer.incarnation {
            return Err(Reason::LinkLost);
        }
        if agent.draining {
            return Err(Reason::AgentDraining);
        }
        if offer.offer <= agent.offers {
            return Err(Reason::Duplicate);
        }
        let tenant = self.tenant(offer.account)?;
        if self.tenants[tenant].suspended {
            return Err(Reason::Suspended);
        }
        let carrier = *self.carrier_names.get(&offer.carrier).ok_or(Reason::UnknownCarrier)?;
        if !self.carriers[carrier].declared {
            return Err(Reason::UnknownCarrier);
        }
        if self.ringing.len() >= self.options.ringing_max {
            return Err(Reason::TooLarge);
        }
        Ok((tenant, carrier))
    }

    fn take_in_offered(
        &mut self,
        tenant: u32,
        offer: &Offer,
        fx: &mut Vec<Effect>,
    ) -> (CallId, u32) {
        // No throttle, cap or choice of carrier is for calls that carriers offer.
        let key = LaneKey { urgency: Urgency::Inbound as u8, ..LaneKey::default() };
        let lane = self.lane_of(tenant, None, key);
        self.lanes[lane].requests += 1;
        let call = self.number_call();
        let new = NewCall {
            expires: Some(Timestamp(self.now) + offer.spec.ring_timeout),
            urgency: Urgency::Inbound,
            ..NewCall::of(Arc::clone(&offer.spec))
        };
        let now = self.now;
        let id = self.with_requests(tenant, |requests| {
            requests.insert(call, (lane, false), (&new).into(), now, Span::ZERO)
        });
        self.requests.set_stage(id, Stage::Offered);
        self.requests.begin_attempt(id);
        let tenant = &mut self.tenants[tenant];
        self.requests.list(&mut tenant.calls, call);
        tenant.inbound.offered += 1;
        tenant.inbound.ringing += 1;
        self.count(lane, |counts| {
            counts.accepted += 1;
            counts.queued += 1;
        });
        self.changed(id, Phase::Queued, fx);
        self.time(id, &new);
        (call, id)
    }

    /// An offered call has its channel and its slot.
    pub(super) fn admitted(&mut self, start: Start, fx: &mut Vec<Effect>) {
        let Start { request: id, lane, carrier, worker, due, held_by, number } = start;
        let ringing = self.ringing.remove(&id).expect("an offered call rings somewhere");
        let live = self.live.insert(Live {
            request: id,
            carrier,
            agent: worker,
            phase: Phase::Dialling,
            due,
            held_by,
            number,
            dialled_at: self.now,
            answered_at: None,
            moved: 0,
            hang_up: None,
        });
        self.requests.set_stage(id, Stage::Live(live));
        self.count(lane, |counts| {
            counts.queued -= 1;
            counts.in_progress += 1;
        });
        self.tenants[self.lanes[lane].tenant].inbound.ringing -= 1;
        fx.push(Effect::Answer(Answer {
            call: self.requests.call(id),
            attempt: ATTEMPT,
            account: self.tenants[self.lanes[lane].tenant].account,
            carrier: Arc::clone(&self.carriers[carrier].name),
            agent: AgentIx(worker),
            offer: ringing.offer,
            fence: self.agents[usize::from(worker)].fence,
            held_by,
            spec: self.requests.spec(id),
        }));
        self.changed(id, Phase::Dialling, fx);
    }

    /// Whether a carrier began this call.
    pub(super) fn is_inbound(&self, id: u32) -> bool {
        self.engine.lane_urgency(self.requests.lane(id)) == Urgency::Inbound
    }

    /// It has rung for as long as it may: the caller hears what it waited for in vain.
    pub(super) fn ring_out(&mut self, id: u32, fx: &mut Vec<Effect>) {
        let reason = self.engine.offer_waits_for(id).unwrap_or(Reason::Workers);
        self.end_unanswered(id, reason, fx);
    }

    /// Ends an offered call that was not answered, and never will be: its carrier is told so, or has been.
    pub(super) fn end_unanswered(&mut self, id: u32, reason: Reason, fx: &mut Vec<Effect>) {
        let ring = Timestamp(self.now).since(self.requests.accepted_at(id));
        let ending = Ending {
            outcome: Outcome::Failed,
            reason,
            sip_code: 0,
            ring,
            talk: Span::ZERO,
            digits: String::new(),
            confirmed: true,
        };
        self.end(id, ending, Teller::Controller, fx);
    }

    /// The part of an offered call's end that is its own.
    pub(super) fn stop_ringing(&mut self, id: u32, reason: Reason, fx: &mut Vec<Effect>) {
        self.engine.withdraw_offer(id);
        let Some(Ringing { agent, offer, .. }) = self.ringing.remove(&id) else { return };
        self.tenants[self.lanes[self.requests.lane(id)].tenant].inbound.ringing -= 1;
        if reason != Reason::CallerGaveUp {
            fx.push(Effect::Refuse { agent: AgentIx(agent), offer, reason });
        }
    }

    /// An agent says that a caller has given up before there was room for the call.
    pub(super) fn rings_at(&self, report: &CallReport) -> Option<u32> {
        let id = self.requests.find(report.call)?;
        let ringing = self.ringing.get(&id)?;
        (ringing.agent == report.agent.0 && report.attempt == ATTEMPT).then_some(id)
    }

    /// An agent's link is gone, and with it every call that rings there.
    pub(super) fn offers_lost(&mut self, agent: u16, fx: &mut Vec<Effect>) {
        self.end_ringing(|ringing| ringing.agent == agent, Reason::LinkLost, fx);
    }

    /// A carrier is not declared any more.
    pub(super) fn offers_of_carrier_end(&mut self, carrier: u32, fx: &mut Vec<Effect>) {
        self.end_ringing(|ringing| ringing.carrier == carrier, Reason::UnknownCarrier, fx);
    }

    /// A tenant is suspended and not declared any more.
    pub(super) fn offers_to_tenant_end(&mut self, tenant: u32, fx: &mut Vec<Effect>) {
        let offered = self.ringing.keys().copied();
        let of_it = offered.filter(|id| self.lanes[self.requests.lane(*id)].tenant == tenant);
        for id in of_it.collect::<Vec<_>>() {
            self.end_unanswered(id, Reason::Suspended, fx);
        }
    }

    fn end_ringing(&mut self, of: impl Fn(&Ringing) -> bool, reason: Reason, fx: &mut Vec<Effect>) {
        let ringing = self.ringing.iter().filter(|(_, ringing)| of(ringing));
        let mut ending: Vec<_> = ringing.map(|(id, _)| (self.requests.call(*id), *id)).collect();
        ending.sort_unstable();
        for (_, id) in ending {
            self.end_unanswered(id, reason, fx);
        }
    }
}
