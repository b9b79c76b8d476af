//! `Submit`: each call is accepted and queued, or refused with a reason and without effect.

use std::sync::Arc;

use busyhour_base::{Reason, Timestamp};

use super::State;
use crate::{
    command::Submit,
    effect::{Accepted, Effect, Reply},
    engine::{
        forecast::Position,
        lanes::{LaneKey, URGENCIES},
        ring::NIL,
    },
    spec::{Excess, Kind, NewCall, NewRequest, Urgency},
};

impl State {
    pub(super) fn submit(&mut self, submit: &Submit, fx: &mut Vec<Effect>) -> Reply {
        let (tenant, batch) = match self.may_submit(submit) {
            Ok(may) => may,
            Err(reason) => return Reply::Refused(reason),
        };
        let now = self.now;
        if let Some(first) = self.tenants[tenant].remembered.get(submit.idempotency, now) {
            return first;
        }
        let submit_one = |call: &NewCall| {
            self.has_bytes(tenant)?;
            match batch {
                Some(batch) => {
                    let plan = Arc::clone(&self.batches[batch].plan);
                    let key = plan.key(&call.spec.to, None);
                    self.submit_line(tenant, batch, call.into(), key, fx)
                }
                None => self.submit_one(tenant, None, call.into(), fx),
            }
        };
        let verdicts: Vec<_> = submit.calls.iter().map(submit_one).collect();
        if let [Err(reason)] = verdicts[..] {
            return Reply::Refused(reason);
        }
        let any = verdicts.iter().any(Result::is_ok);
        let reply = Reply::Submitted(verdicts);
        if any {
            self.tenants[tenant].remembered.put(submit.idempotency, now, &reply);
        }
        reply
    }

    fn may_submit(&self, submit: &Submit) -> Result<(u32, Option<u32>), Reason> {
        let tenant = self.tenant(submit.account)?;
        if self.tenants[tenant].suspended {
            return Err(Reason::Suspended);
        }
        if submit.calls.len() > self.options.submit_max {
            return Err(Reason::TooLarge);
        }
        let Some(batch) = submit.batch else { return Ok((tenant, None)) };
        let batch = self.batch_of(tenant, batch)?;
        match self.batches[batch].kind() {
            Kind::Call => Ok((tenant, Some(batch))),
            Kind::Message => Err(Reason::WrongState),
        }
    }

    /// A line of a draft, unless one that means the same call was taken.
    pub(super) fn submit_line(
        &mut self,
        tenant: u32,
        batch: u32,
        new: NewRequest<'_>,
        key: Option<&str>,
        fx: &mut Vec<Effect>,
    ) -> Result<Accepted, Reason> {
        self.batches[batch].takes_line(new.custom_id, key)?;
        let accepted = self.submit_one(tenant, Some(batch), new, fx)?;
        if let Some(key) = key {
            self.batches[batch].keys.insert(key);
        }
        Ok(accepted)
    }

    pub(super) fn submit_one(
        &mut self,
        tenant: u32,
        batch: Option<u32>,
        new: NewRequest<'_>,
        fx: &mut Vec<Effect>,
    ) -> Result<Accepted, Reason> {
        // Only carriers begin inbound calls, by `Offer`.
        let call = new.rest;
        if call.urgency == Urgency::Inbound {
            return Err(Reason::WrongState);
        }
        let now = Timestamp(self.now);
        let begins = call.not_before.unwrap_or(now).max(now);
        if call.expires.is_some_and(|expires| expires <= begins) {
            return Err(Reason::Expired);
        }
        let key = self.lane_key(tenant, batch, new);
        self.has_room(tenant, key)?;
        let lane = self.tenants[tenant].lanes.get(&key);
        let ahead_in_lane = lane.map_or(0, |lane| u64::from(self.engine.lane_len(*lane)));
        let starts = self.expected_start(Position::of_call(tenant, key, ahead_in_lane)).max(begins);
        // A batch may take days: its own schedule says when it ends, and it shows how long it takes before it is started.
        if batch.is_none() && starts.since(begins) > self.tenants[tenant].limits.wait_max {
            return Err(Reason::WaitTooLong);
        }
        let lane = self.lane_of(tenant, batch, key);
        let wait = starts.since(now);
        Ok(Accepted { call: self.take_in(lane, new, wait, fx), wait })
    }

    /// The bound on memory for what its calls are asked with. It is looked at before what is taken whole.
    pub(super) fn has_bytes(&self, tenant: u32) -> Result<(), Reason> {
        let state = &self.tenants[tenant];
        if state.bytes < state.limits.queue_bytes_max { Ok(()) } else { Err(Reason::QueueBytes) }
    }

    /// The bound on how many wait, and the caps of a tenant that would rather be refused than wait.
    pub(super) fn has_room(&self, tenant: u32, key: LaneKey) -> Result<(), Reason> {
        let state = &self.tenants[tenant];
        if state.counts.queued >= u64::from(state.limits.queue_max) {
            return Err(Reason::QueueFull);
        }
        if state.limits.excess == Excess::Refuse {
            let own = self.engine.tenant_gate(tenant, key.kind);
            let used_up = |gate: u32| gate != NIL && self.cap_used_up(gate);
            if [own, key.application, key.number].into_iter().any(used_up) {
                return Err(Reason::CapRefused);
            }
        }
        Ok(())
    }

    /// Whether what has started within a window and what waits for it fill it.
    fn cap_used_up(&self, gate: u32) -> bool {
        let caps = self.engine.gate_caps(gate);
        let waiting = self.engine.gate(gate).queued(URGENCIES as u8 - 1);
        caps.windows().any(|window| {
            waiting.saturating_add(caps.used(&window, self.now)) >= u64::from(window.count)
        })
    }

    /// The expected start of a request, over every limit for which one can be told.
    fn expected_start(&self, position: Position) -> Timestamp {
        let mut start = self.now;
        self.engine.limits(position, |_, at| start = start.max(at.unwrap_or(0)));
        Timestamp(start)
    }
}
