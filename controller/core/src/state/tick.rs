//! What time brings: expiries, scheduled calls, batches that open or end, agents that stay away, and calls that start.

use std::sync::Arc;

use busyhour_base::{Reason, Timestamp};

use super::{
    State,
    calls::{Live, Stage, asked},
};
use crate::{
    effect::{Dial, Effect, Phase},
    engine::{Event, Start, wheel::NO_TIMER},
    spec::{AgentIx, NewCall},
};

/// What a timer is for; with the id below it is the timer's key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Due {
    /// A scheduled call's time, or a call's expiry.
    Call,
    /// A batch's time, or its end.
    Batch,
    /// The end of an agent's grace.
    Grace,
    /// The end of a batch's calling window.
    Window,
}

impl Due {
    const SHIFT: u32 = 27;

    pub const fn of(self, id: u32) -> u32 {
        assert!(id < 1 << Self::SHIFT, "fewer than 2^27 of a kind");
        (self as u32) << Self::SHIFT | id
    }

    const fn split(key: u32) -> (Self, u32) {
        let due = match key >> Self::SHIFT {
            0 => Self::Call,
            1 => Self::Batch,
            2 => Self::Grace,
            _ => Self::Window,
        };
        (due, key & ((1 << Self::SHIFT) - 1))
    }
}

impl State {
    /// Everything that is due by now: first what ends, then what begins.
    pub(super) fn advance(&mut self, fx: &mut Vec<Effect>) {
        while let Some((_, key)) = self.expiries.pop(self.now) {
            match Due::split(key) {
                (Due::Call, times) => self.call_expires(times, fx),
                (Due::Batch, batch) => {
                    self.batches[batch].end = NO_TIMER;
                    self.batch_expires(batch, fx);
                }
                (Due::Window, batch) => self.batch_closes(batch, fx),
                (Due::Grace, _) => {}
            }
        }
        self.drain(fx);
    }

    /// The engine's events up to now.
    pub(super) fn drain(&mut self, fx: &mut Vec<Effect>) {
        while let Some(event) = self.engine.next(self.now) {
            match event {
                Event::Start(start) if self.ringing.contains_key(&start.request) => {
                    self.admitted(start, fx);
                }
                Event::Start(start) => self.started(start, fx),
                Event::Timer(key) => match Due::split(key) {
                    (Due::Call, times) => self.call_begins(times),
                    (Due::Batch, batch) => self.batch_opens(batch),
                    (Due::Grace, agent) => self.agent_lost(agent as u16, fx),
                    (Due::Window, _) => {}
                },
            }
        }
    }

    /// Notes a new call's own times and sets its timers.
    pub(super) fn time(&mut self, id: u32, new: &NewCall) {
        let (now, not_before, expires) = (Timestamp(self.now), new.not_before, new.expires);
        if not_before.is_none() && expires.is_none() {
            return;
        }
        let (number, times) = self.requests.times_mut(id);
        (times.not_before, times.expires) = (not_before, expires);
        let begin = not_before.filter(|begin| *begin > now);
        if let Some(begin) = begin {
            times.begin = self.engine.set_timer(begin.0, Due::Call.of(number));
        }
        if let Some(end) = expires {
            times.end = self.expiries.set(end.0, Due::Call.of(number));
        }
        if begin.is_some() {
            self.requests.set_stage(id, Stage::Scheduled);
            self.engine.put_off(self.requests.lane(id), id);
        }
    }

    /// A call's timers go.
    pub(super) fn untime(&mut self, id: u32) {
        let times = self.requests.times(id);
        if times.begin != NO_TIMER {
            self.engine.cancel_timer(times.begin);
        }
        if times.end != NO_TIMER {
            self.expiries.cancel(times.end);
        }
    }

    fn call_begins(&mut self, times: u32) {
        let id = self.requests.timed(times);
        let held_by = self.held_by(id);
        self.requests.times_mut(id).1.begin = NO_TIMER;
        self.requests.set_stage(id, Stage::Queued);
        let (lane, call) = (self.requests.lane(id), self.requests.call(id));
        self.engine.take_up(lane, id);
        self.engine.push_back(lane, id, asked(call), held_by);
    }

    fn call_expires(&mut self, times: u32, fx: &mut Vec<Effect>) {
        let id = self.requests.timed(times);
        self.requests.times_mut(id).1.end = NO_TIMER;
        match self.requests.stage(id) {
            Stage::Live(_) => {}
            Stage::Offered => self.ring_out(id, fx),
            _ => self.end_unsent(id, Reason::Expired, fx),
        }
    }

    /// From when on nothing but limits held a request.
    fn could_start_at(&self, id: u32) -> Timestamp {
        let accepted_at = self.requests.accepted_at(id);
        self.requests.times(id).not_before.map_or(accepted_at, |begin| begin.max(accepted_at))
    }

    fn started(&mut self, start: Start, fx: &mut Vec<Effect>) {
        let Start { request: id, lane, carrier, worker, due, held_by, number } = start;
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
            moved: self.engine.ledger().get(carrier).moved(),
            hang_up: None,
        });
        self.requests.set_stage(id, Stage::Live(live));
        let attempt = self.requests.begin_attempt(id);
        self.count(lane, |counts| {
            counts.queued -= 1;
            counts.in_progress += 1;
        });
        if let Some(batch) = self.lanes[lane].batch {
            let batch = &mut self.batches[batch];
            batch.started_at.get_or_insert(Timestamp(self.now));
            batch.started += 1;
        }
        let tenant = &mut self.tenants[self.lanes[lane].tenant];
        tenant.dialled.count(self.now);
        let account = tenant.account;
        let carrier = &mut self.carriers[carrier];
        carrier.setups.count(self.now);
        let carrier = Arc::clone(&carrier.name);
        fx.push(Effect::Dial(Dial {
            call: self.requests.call(id),
            attempt,
            account,
            carrier,
            agent: AgentIx(worker),
            fence: self.agents[usize::from(worker)].fence,
            at: Timestamp(due),
            held_by,
            waited: Timestamp(due).since(self.could_start_at(id)),
            spec: self.requests.spec(id),
        }));
        self.changed(id, Phase::Dialling, fx);
    }
}
