//! How a batch ends: canceled, expired, or completed; and when it is forgotten.

use busyhour_base::{Reason, Timestamp};

use super::{
    State,
    calls::{Live, Stage},
};
use crate::{
    effect::{Effect, Reply},
    engine::{ring::NIL, wheel::NO_TIMER},
    spec::{BatchId, Kind},
    view::{BatchEvent, BatchStatus},
};

impl State {
    /// What waits is canceled; what is in progress drains, or is hung up. A message that a carrier has cannot be called back.
    pub(super) fn cancel_batch(
        &mut self,
        batch: u32,
        hang_up: bool,
        fx: &mut Vec<Effect>,
    ) -> Reply {
        if self.batches[batch].has_ended() {
            return Reply::Done;
        }
        self.ungate_batch(batch);
        self.batches[batch].status = BatchStatus::Cancelling;
        self.end_waiting(batch, Reason::BatchCanceled);
        if hang_up {
            let of_it =
                |live: &Live| self.lanes[self.requests.lane(live.request)].batch == Some(batch);
            let calls: Vec<_> =
                self.live.iter().filter(|(_, live)| of_it(live)).map(|(id, _)| id).collect();
            for live in calls {
                self.hang_up(live, Reason::BatchCanceled, fx);
            }
        }
        self.settle_batch(batch, fx);
        Reply::Done
    }

    /// Its end, or that of its last window, has come: what has not started expires.
    pub(super) fn batch_expires(&mut self, batch: u32, fx: &mut Vec<Effect>) {
        let status = self.batches[batch].status;
        if matches!(status, BatchStatus::Cancelling) || self.batches[batch].has_ended() {
            return;
        }
        self.ungate_batch(batch);
        let state = &mut self.batches[batch];
        state.past_end = true;
        state.expired = state.counts.queued > 0 || status == BatchStatus::Draft;
        state.status = BatchStatus::Running;
        self.end_waiting(batch, Reason::Expired);
        self.settle_batch(batch, fx);
    }

    /// Ends every request of a batch that waits, with this entry and the next ones. None of them starts any more.
    fn end_waiting(&mut self, batch: u32, reason: Reason) {
        let state = &self.batches[batch];
        if state.kind() == Kind::Message {
            return self.end_message_lanes(state.tenant, state.gate, reason);
        }
        for lane in self.lanes_of_batch(batch) {
            self.cancel_lane(lane, reason);
        }
    }

    /// Why a request of this batch that was not sent does not go back to its queue, if it does not.
    pub(super) fn batch_is_over(&mut self, batch: u32) -> Option<Reason> {
        let state = &mut self.batches[batch];
        match state.status {
            BatchStatus::Cancelling | BatchStatus::Cancelled => Some(Reason::BatchCanceled),
            _ if state.past_end => {
                state.expired = true;
                Some(Reason::Expired)
            }
            _ => None,
        }
    }

    /// A batch none of whose requests waits or is in progress has ended, unless it still takes lines.
    pub(super) fn settle_batch(&mut self, batch: u32, fx: &mut Vec<Effect>) {
        let state = &mut self.batches[batch];
        let open = state.counts.queued + state.counts.in_progress > 0;
        if open || state.has_ended() || (state.status == BatchStatus::Draft) {
            return;
        }
        state.status = match state.status {
            BatchStatus::Cancelling => BatchStatus::Cancelled,
            _ if state.expired => BatchStatus::Expired,
            _ => BatchStatus::Completed,
        };
        state.ended_at = Some(Timestamp(self.now));
        state.forget_names();
        let end = std::mem::replace(&mut state.end, NO_TIMER);
        if end != NO_TIMER {
            self.expiries.cancel(end);
        }
        let (tenant, id) = (state.tenant, state.id);
        self.ungate_batch(batch);
        self.tenants[tenant].ended_batches.push_back(id);
        self.close_gate(batch);
        self.notice(batch, BatchEvent::Finished, fx);
        while self.tenants[tenant].ended_batches.len() > self.options.ended_batches_max {
            let oldest = self.tenants[tenant].ended_batches[0];
            if self.batches[self.batch_index[&oldest]].unrecorded > 0 {
                break;
            }
            self.forget_batch(oldest);
        }
    }

    /// An ended batch needs its gate until its last request is in the records.
    pub(super) fn close_gate(&mut self, batch: u32) {
        let state = &mut self.batches[batch];
        if state.has_ended() && state.unrecorded == 0 && state.gate != NIL {
            let gate = std::mem::replace(&mut state.gate, NIL);
            let (kind, tenant) = (state.kind(), state.tenant);
            self.remove_batch_gate(kind, tenant, gate);
        }
    }

    fn remove_batch_gate(&mut self, kind: Kind, tenant: u32, gate: u32) {
        match kind {
            Kind::Call => self.engine.remove_gate(gate),
            // Its lanes have stayed as long as the gate.
            Kind::Message => self.messages.remove_batch(tenant, gate),
        }
    }

    /// Forgets a batch of which no request is left.
    pub(super) fn forget_batch(&mut self, id: BatchId) {
        let Some(batch) = self.batch_index.remove(&id) else { return };
        let state = self.batches.remove(batch).expect("the batch exists");
        self.owing.remove(&id);
        if state.begin != NO_TIMER {
            self.engine_of(state.kind()).cancel_timer(state.begin);
        }
        for timer in [state.close, state.end] {
            if timer != NO_TIMER {
                self.expiries.cancel(timer);
            }
        }
        if state.gate != NIL {
            self.remove_batch_gate(state.kind(), state.tenant, state.gate);
        }
        let tenant = &mut self.tenants[state.tenant];
        tenant.batches.remove(&id);
        tenant.ended_batches.retain(|ended| *ended != id);
    }

    /// Ends a call in progress at its agent's hand: the outcome is what the agent then reports.
    pub(super) fn hang_up(&mut self, live: u32, reason: Reason, fx: &mut Vec<Effect>) {
        let call = &mut self.live[live];
        call.hang_up = Some(reason);
        let (agent, id) = (crate::spec::AgentIx(call.agent), call.request);
        debug_assert!(matches!(self.requests.stage(id), Stage::Live(_)));
        let (call, attempt) = (self.requests.call(id), self.requests.attempt(id));
        fx.push(Effect::HangUp { agent, call, attempt, reason });
    }
}
