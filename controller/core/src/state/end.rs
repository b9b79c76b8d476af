//! The end of a call: exactly one outcome for each that was accepted (`RELIABILITY.md`, invariant 1).

use std::sync::Arc;

use busyhour_base::{Ending, Outcome, Reason, Span, Timestamp};

use super::{State, calls::Stage};
use crate::{
    effect::{Effect, Phase},
    engine::Channel,
    view::Record,
};

/// Who tells the tenant of a call's end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Teller {
    /// The agent that ran the call.
    Agent,
    /// Whoever carries out [`Effect::Notify`]: no agent runs the call.
    Controller,
}

impl State {
    /// Ends a call that no agent runs.
    pub(super) fn end_unsent(&mut self, id: u32, reason: Reason, fx: &mut Vec<Effect>) {
        let outcome = match reason {
            Reason::CanceledByTenant | Reason::BatchCanceled => Outcome::Canceled,
            _ => Outcome::Failed,
        };
        self.end(id, ending(outcome, reason, true), Teller::Controller, fx);
    }

    /// Ends a call of which it cannot be known whether it rang. It is not dialled again, and its channel
    /// stays in quarantine.
    pub(super) fn end_in_doubt(&mut self, id: u32, reason: Reason, fx: &mut Vec<Effect>) {
        self.end(id, ending(Outcome::Failed, reason, false), Teller::Controller, fx);
    }

    /// Ends a call, wherever it is, and puts its record into the outbox.
    pub(super) fn end(&mut self, id: u32, ending: Ending, teller: Teller, fx: &mut Vec<Effect>) {
        let lane = self.requests.lane(id);
        let mut record = self.record(id, ending);
        match self.requests.stage(id) {
            Stage::Ended(_) => return,
            Stage::Scheduled => self.engine.take_up(lane, id),
            Stage::Queued => self.engine.unqueue(lane, id),
            Stage::Offered => self.stop_ringing(id, record.ending.reason, fx),
            Stage::Live(live) => self.give_back(live, Some(&record.ending)),
        }
        let was_live = matches!(self.requests.stage(id), Stage::Live(_));
        let outcome = record.ending.outcome;
        self.count(lane, |counts| {
            counts.queued -= u64::from(!was_live);
            counts.in_progress -= u64::from(was_live);
            counts.ended[outcome as usize] += 1;
        });
        self.untime(id);
        record.earlier = self.earlier.remove(&id).unwrap_or_default();
        self.records_given += 1;
        record.seq = self.records_given;
        self.requests.set_stage(id, Stage::Ended(record.seq));
        if teller == Teller::Controller {
            let (call, account) = (record.call, record.account);
            fx.push(Effect::Notify { call, account, spec: Arc::clone(&record.spec), outcome });
        }
        self.outbox.push_back(record);
        self.changed(id, Phase::Ended(outcome), fx);
        if let Some(batch) = self.lanes[lane].batch {
            self.notice_progress(batch, fx);
            self.settle_batch(batch, fx);
        }
    }

    /// A call in progress gives back its channel, its worker's slot and its place in its lane. Without an
    /// ending it was not sent at all.
    pub(super) fn give_back(&mut self, live: u32, ending: Option<&Ending>) {
        let live = self.live.remove(live).expect("a live call has its part");
        let lane = self.requests.lane(live.request);
        let until = Timestamp(self.now) + self.carriers[live.carrier].quarantine;
        let channel = match ending {
            Some(ending) if !ending.confirmed => Channel::Quarantine(until.0),
            _ => Channel::Free,
        };
        let held = ending.map(|_| self.now - live.dialled_at);
        if let Some(held) = held.map(Span) {
            self.holding.note(held);
            self.tenants[self.lanes[lane].tenant].holding.note(held);
        }
        let leased = live.phase == Phase::Dialling;
        self.engine.finished(lane, live.carrier, live.agent, channel, held, leased);
        let talk = ending.map_or(0, |ending| ending.talk.0);
        if talk > 0 && !self.is_inbound(live.request) {
            let route = self.route_by_table(live.request);
            self.engine.charge(live.carrier, route, talk);
        }
    }

    fn record(&self, id: u32, ending: Ending) -> Record {
        let owner = self.lanes[self.requests.lane(id)];
        let live = match self.requests.stage(id) {
            Stage::Live(live) => Some(&self.live[live]),
            _ => None,
        };
        let place = live.map(|live| (live.carrier, live.agent));
        let place = place.or_else(|| self.ringing.get(&id).map(|r| (r.carrier, r.agent)));
        Record {
            seq: 0,
            call: self.requests.call(id),
            account: self.tenants[owner.tenant].account,
            spec: self.requests.spec(id),
            application: self.application_of(&owner),
            accepted_at: self.requests.accepted_at(id),
            due: live.map(|live| Timestamp(live.due)),
            held_by: live.map_or_else(|| self.held_by(id), |live| live.held_by),
            dialled_at: live.map(|live| Timestamp(live.dialled_at)),
            answered_at: live.and_then(|live| live.answered_at).map(Timestamp),
            ended_at: Timestamp(self.now),
            attempts: self.requests.attempt(id),
            carrier: place.map(|(carrier, _)| Arc::clone(&self.carriers[carrier].name)),
            agent: place.map(|(_, agent)| Arc::clone(&self.agents[usize::from(agent)].name)),
            batch: owner.batch.map(|batch| self.batches[batch].id),
            custom_id: self.requests.custom_id(id),
            ending,
            earlier: Vec::new(),
        }
    }
}

fn ending(outcome: Outcome, reason: Reason, confirmed: bool) -> Ending {
    Ending {
        outcome,
        reason,
        sip_code: 0,
        ring: Span::ZERO,
        talk: Span::ZERO,
        digits: String::new(),
        confirmed,
    }
}
