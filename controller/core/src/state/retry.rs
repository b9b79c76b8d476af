//! Placing a call again: the attempt that ended is noted, and the call waits for the next one
//! (`RELIABILITY.md`, invariant 2: a new attempt needs a definitive failure).

use std::sync::Arc;

use busyhour_base::{Ending, Reason, Timestamp};

use super::{
    State,
    batch::Batch,
    calls::{Stage, asked},
    tick::Due,
};
use crate::{
    effect::{Effect, Phase},
    view::{Attempt, BatchStatus},
};

impl Batch {
    /// When a line of it is tried once more that so many attempts came to nothing of, the last one just now, if it is.
    pub fn next_attempt(
        &self,
        made: u16,
        expires: Option<Timestamp>,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let over = matches!(self.status, BatchStatus::Cancelling | BatchStatus::Cancelled);
        if over || self.past_end {
            return None;
        }
        let at = now + self.plan.retry.as_ref()?.delay(made)?;
        let ends = [expires, self.plan.not_after, self.last_window_ends(now)];
        let last = ends.into_iter().flatten().min();
        // Behind what is known of its calling hours there may be an opening.
        let known = self.plan.openings.as_ref().map_or(at, |openings| openings.through);
        let begins = self.first_open(at).unwrap_or(known.max(at));
        last.is_none_or(|last| begins < last).then_some(at)
    }
}

impl State {
    /// When the call is placed again after this end of an attempt, if it is.
    pub(super) fn next_attempt(&self, id: u32, live: u32, ending: &Ending) -> Option<Timestamp> {
        let live = &self.live[live];
        let lane = &self.lanes[self.requests.lane(id)];
        let batch = &self.batches[lane.batch.filter(|_| lane.canceled.is_none())?];
        let retry = batch.plan.retry.as_ref()?;
        let definitive = ending.confirmed && live.answered_at.is_none() && live.hang_up.is_none();
        if !definitive || !retry.on.takes(ending.outcome, ending.reason) {
            return None;
        }
        // Going from carrier to carrier is one attempt of the batch.
        let earlier = self.earlier.get(&id).into_iter().flatten();
        let made = earlier.filter(|attempt| !attempt.passed_on).count() as u16 + 1;
        batch.next_attempt(made, self.requests.times(id).expires, Timestamp(self.now))
    }

    /// An attempt has ended and the call waits for the next one.
    pub(super) fn try_again(
        &mut self,
        id: u32,
        live: u32,
        ending: &Ending,
        at: Timestamp,
        fx: &mut Vec<Effect>,
    ) {
        self.attempt_ended(id, live, ending, false);
        let lane = self.lane_again(id);
        if at.0 <= self.now {
            self.requests.set_stage(id, Stage::Queued);
            self.engine.push_back(lane, id, asked(self.requests.call(id)), Reason::Retry);
        } else {
            let (number, times) = self.requests.times_mut(id);
            (times.not_before, times.again) = (Some(at), true);
            times.begin = self.engine.set_timer(at.0, Due::Call.of(number));
            self.engine.put_off(lane, id);
            self.requests.set_stage(id, Stage::Scheduled);
        }
        self.changed(id, Phase::Queued, fx);
    }

    /// An attempt has ended and is noted; its call waits, and is in no queue yet. `passed_on` says that it goes to the next
    /// carrier.
    pub(super) fn attempt_ended(&mut self, id: u32, live: u32, ending: &Ending, passed_on: bool) {
        let call = &self.live[live];
        let attempt = Attempt {
            number: self.requests.attempt(id),
            carrier: Arc::clone(&self.carriers[call.carrier].name),
            agent: Arc::clone(&self.agents[usize::from(call.agent)].name),
            held_by: call.held_by,
            due: Timestamp(call.due),
            dialled_at: Timestamp(call.dialled_at),
            ended_at: Timestamp(self.now),
            outcome: ending.outcome,
            reason: ending.reason,
            sip_code: ending.sip_code,
            ring: ending.ring,
            passed_on,
        };
        self.earlier.entry(id).or_default().push(attempt);
        self.give_back(live, Some(ending));
        let lane = self.requests.lane(id);
        self.count(lane, |counts| {
            counts.in_progress -= 1;
            counts.queued += 1;
        });
    }
}
