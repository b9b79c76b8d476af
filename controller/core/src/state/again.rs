//! `Again`: lines of a batch that came to nothing are placed again on their tenant's word (DC-3).
//!
//! Such a line is over and recorded, so it becomes a call or a message of its own: under its name, its attempts numbered on, so
//! that (batch, name, attempt) is dialled or sent at most once. Of each outcome records are placed again in order, and how far that is
//! stands in the state: however often the same is asked, each record is placed again once.

use busyhour_base::{Outcome, Reason, Timestamp};

use super::{State, batch::Batch, tick::Due};
use crate::{
    effect::{Accepted, Effect, Reply},
    engine::{gate::Scope, ring::NIL, wheel::NO_TIMER},
    spec::{Again, AgainLine, Kind, NewRequest},
    view::BatchStatus,
};

impl Batch {
    /// Whether a line with this record, of those that ended so, may be placed again.
    pub fn comes_again(&self, end: usize, record: u64, records_given: u64) -> Result<(), Reason> {
        if record <= self.again_through[end] {
            return Err(Reason::Duplicate);
        }
        let known = record <= records_given && self.counts.ended[end] > 0;
        if known { Ok(()) } else { Err(Reason::WrongState) }
    }

    /// It was accepted once more. The line counts once, by where its last call or message is.
    pub fn goes_again(&mut self, end: usize, record: u64) {
        self.counts.accepted -= 1;
        self.counts.ended[end] -= 1;
        self.again_through[end] = record;
    }
}

impl State {
    pub(super) fn place_again(
        &mut self,
        again: &Again,
        fx: &mut Vec<Effect>,
    ) -> Result<Reply, Reason> {
        let tenant = self.tenant(again.account)?;
        let batch = self.batch_of(tenant, again.batch)?;
        if self.tenants[tenant].suspended {
            return Err(Reason::Suspended);
        }
        if again.lines.len().max(again.messages.len()) > self.options.submit_max {
            return Err(Reason::TooLarge);
        }
        self.may_run_on(batch)?;
        Ok(match self.batches[batch].kind() {
            Kind::Call => Reply::Submitted(in_order(&again.lines, |line| {
                self.place_line_again(tenant, batch, line, fx)
            })),
            Kind::Message => Reply::Messages(in_order(&again.messages, |line| {
                self.send_line_again(tenant, batch, line, fx)
            })),
        })
    }

    /// Whether lines of it may be placed again.
    fn may_run_on(&self, batch: u32) -> Result<(), Reason> {
        let state = &self.batches[batch];
        if state.plan.not_after.is_some_and(|end| end.0 <= self.now) {
            return Err(Reason::Expired);
        }
        match state.status {
            BatchStatus::Scheduled | BatchStatus::Running | BatchStatus::Paused => Ok(()),
            BatchStatus::Completed | BatchStatus::Expired => {
                let tenant = &self.tenants[state.tenant];
                let open = tenant.batches.len() - tenant.ended_batches.len();
                if open < self.options.open_batches_max { Ok(()) } else { Err(Reason::TooLarge) }
            }
            _ => Err(Reason::WrongState),
        }
    }

    fn place_line_again(
        &mut self,
        tenant: u32,
        batch: u32,
        line: &AgainLine,
        fx: &mut Vec<Effect>,
    ) -> Result<Accepted, Reason> {
        let outcome = line.outcome as usize;
        let placeable = matches!(line.outcome, Outcome::Busy | Outcome::NoAnswer | Outcome::Failed);
        if !placeable {
            return Err(Reason::WrongState);
        }
        self.batches[batch].comes_again(outcome, line.seq, self.records_given)?;
        let call = NewRequest::from(&line.call);
        self.has_bytes(tenant)?;
        self.has_room(tenant, self.lane_key(tenant, Some(batch), call))?;
        self.run_on(batch);
        let accepted = match self.submit_one(tenant, Some(batch), call, fx) {
            Ok(accepted) => accepted,
            Err(reason) => {
                // With nothing that waits it is over again.
                self.settle_batch(batch, fx);
                return Err(reason);
            }
        };
        self.batches[batch].goes_again(outcome, line.seq);
        let id = self.requests.find(accepted.call).expect("it was just accepted");
        self.requests.go_on_from(id, line.attempts);
        if !line.earlier.is_empty() {
            self.earlier.insert(id, line.earlier.clone());
        }
        Ok(accepted)
    }

    /// A batch that has ended goes on behind a run-up, with the gate that it gave up when its last call was recorded. So does one
    /// whose last window has closed while calls of it are up: what is placed again waits for the next window.
    pub(super) fn run_on(&mut self, batch: u32) {
        if !self.batches[batch].has_ended() && !self.batches[batch].past_end {
            return;
        }
        self.run_up(batch);
        let state = &mut self.batches[batch];
        (state.ended_at, state.past_end, state.expired) = (None, false, false);
        let (tenant, id, end) = (state.tenant, state.id, state.plan.not_after);
        if state.gate == NIL {
            let pacing = state.pacing();
            let kind = state.kind();
            let engine = self.engine_of(kind);
            let gate = engine.add_gate(Scope::Batch);
            engine.set_gate(gate, pacing);
            self.batches[batch].gate = gate;
        }
        if let Some(Timestamp(end)) = end.filter(|_| self.batches[batch].end == NO_TIMER) {
            self.batches[batch].end = self.expiries.set(end, Due::Batch.of(batch));
        }
        self.tenants[tenant].ended_batches.retain(|ended| *ended != id);
        self.gate_batch(batch);
    }
}

/// The verdicts on lines in the order of their records.
fn in_order<L, T>(
    lines: &[L],
    mut place: impl FnMut(&L) -> Result<T, Reason>,
) -> Vec<Result<T, Reason>> {
    let mut verdicts = Vec::with_capacity(lines.len());
    let mut full = None;
    for line in lines {
        let verdict = match full {
            Some(reason) => Err(reason),
            None => place(line),
        };
        // A record is passed over only if it was placed again: behind one that was not nothing is taken.
        full = verdict.as_ref().err().copied().filter(|reason| *reason != Reason::Duplicate);
        verdicts.push(verdict);
    }
    verdicts
}
