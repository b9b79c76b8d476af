//! `Reports`: what agents say of calls. Applying a report twice changes nothing, and one that fits no attempt in
//! progress is counted and passed over.

use busyhour_base::{CallEvent, Ending, Reason, Timestamp};

use super::{
    State,
    calls::{Stage, asked},
    end::Teller,
};
use crate::{
    command::CallReport,
    effect::{Effect, Phase, Reply},
    engine::ledger::SETUP_LATENESS_MAX_US,
};

impl State {
    pub(super) fn reports(&mut self, reports: &[CallReport], fx: &mut Vec<Effect>) -> Reply {
        for report in reports {
            match self.attempt(report) {
                Some((id, live)) => self.report(id, live, report, fx),
                None => self.report_of_ringing(report, fx),
            }
        }
        self.forget_carriers();
        Reply::Done
    }

    /// The attempt that a report speaks of, if it is in progress at that agent.
    fn attempt(&self, report: &CallReport) -> Option<(u32, u32)> {
        let id = self.requests.find(report.call)?;
        let Stage::Live(live) = self.requests.stage(id) else { return None };
        let fits =
            self.requests.attempt(id) == report.attempt && self.live[live].agent == report.agent.0;
        fits.then_some((id, live))
    }

    /// The caller of a call that rings for want of capacity has given up. All else fits no attempt.
    fn report_of_ringing(&mut self, report: &CallReport, fx: &mut Vec<Effect>) {
        match (self.rings_at(report), &report.event) {
            (Some(id), CallEvent::Ended(ending)) => {
                self.end(id, ending.clone(), Teller::Controller, fx);
            }
            _ => self.stray_reports += 1,
        }
    }

    fn report(&mut self, id: u32, live: u32, report: &CallReport, fx: &mut Vec<Effect>) {
        let phase = self.live[live].phase;
        let heard_at = report.heard_at.0.min(self.now);
        match &report.event {
            CallEvent::NotSent(reason) if phase == Phase::Dialling => {
                self.not_sent(id, live, *reason, fx);
            }
            CallEvent::NotSent(_) => self.stray_reports += 1,
            CallEvent::Sent => self.reaches(id, live, Phase::Sent, heard_at, fx),
            CallEvent::Ringing => self.reaches(id, live, Phase::Ringing, heard_at, fx),
            CallEvent::Answered => self.reaches(id, live, Phase::InProgress, heard_at, fx),
            CallEvent::Ended(ending) => self.attempt_over(id, live, ending, fx),
        }
    }

    /// An attempt has ended: the call goes to the next carrier, waits for another attempt, or ends too.
    fn attempt_over(&mut self, id: u32, live: u32, ending: &Ending, fx: &mut Vec<Effect>) {
        if self.has_next_carrier(id, live, ending) {
            return self.try_elsewhere(id, live, ending, fx);
        }
        let mut ending = ending.clone();
        match self.next_attempt(id, live, &ending) {
            Some(at) => self.try_again(id, live, &ending, at, fx),
            None => {
                self.exhausted(id, &mut ending);
                self.end(id, ending, Teller::Agent, fx);
            }
        }
    }

    /// A call goes on to a later phase. Phases never go back, though reports may come twice. `heard_at`, not this
    /// entry's instant, is what a set-up's lateness is told by: a slow disk delays reports, not set-ups.
    fn reaches(&mut self, id: u32, live: u32, phase: Phase, heard_at: u64, fx: &mut Vec<Effect>) {
        let now = self.now;
        let call = &mut self.live[live];
        if phase <= call.phase {
            return;
        }
        let inbound = self.is_inbound(id);
        let call = &mut self.live[live];
        if call.phase == Phase::Dialling {
            // Of the set-up of an inbound call its carrier decides.
            if !inbound {
                let slot = call.due.max(call.dialled_at.saturating_sub(SETUP_LATENESS_MAX_US));
                self.engine.left_late(call.carrier, slot, call.moved, heard_at);
            }
            self.engine.sent(call.carrier, self.requests.lane(id));
        }
        call.phase = phase;
        if phase == Phase::InProgress {
            call.answered_at = Some(now);
            if inbound {
                let tenant = self.lanes[self.requests.lane(id)].tenant;
                self.tenants[tenant].inbound.answered += 1;
            }
        }
        self.changed(id, phase, fx);
    }

    /// Proof that nothing was sent: the call goes back to the head of its queue for its next attempt, where several stand in the
    /// order in which they were started. The channel is free, the throttle's slot is spent.
    /// An inbound call was not answered and ends: its caller is gone.
    pub(super) fn not_sent(&mut self, id: u32, live: u32, reason: Reason, fx: &mut Vec<Effect>) {
        if self.is_inbound(id) {
            return self.end_unanswered(id, reason, fx);
        }
        let call = self.live[live];
        self.give_back(live, None);
        if matches!(reason, Reason::AgentFull | Reason::AgentDraining) {
            let until = Timestamp(self.now) + self.options.agent_rest;
            self.engine.rest_worker(call.agent, until.0);
        }
        let lane = self.lane_again(id);
        self.count(lane, |counts| {
            counts.in_progress -= 1;
            counts.queued += 1;
        });
        self.requests.set_stage(id, Stage::Queued);
        let asked = asked(self.requests.call(id));
        self.engine.put_back(lane, id, asked, reason, call.number);
        match call.hang_up.or_else(|| self.stays_out(id, reason)) {
            Some(reason) => self.end_unsent(id, reason, fx),
            None => self.changed(id, Phase::Queued, fx),
        }
    }

    /// Why a call that was not sent does not go back to its queue, if it does not.
    fn stays_out(&mut self, id: u32, not_sent: Reason) -> Option<Reason> {
        let owner = self.lanes[self.requests.lane(id)];
        // Attempts that came to an end were sent.
        let sent = self.earlier.get(&id).map_or(0, Vec::len) as u16;
        let (attempt, expires) =
            (self.requests.attempt(id) - sent, self.requests.times(id).expires);
        if expires.is_some_and(|expires| expires.0 <= self.now) {
            return Some(Reason::Expired);
        }
        let tenant = &self.tenants[owner.tenant];
        if tenant.suspended && !tenant.declared {
            return Some(Reason::Suspended);
        }
        let over = owner.batch.and_then(|batch| self.batch_is_over(batch)).or(owner.canceled);
        over.or_else(|| (attempt >= self.options.attempts_max).then_some(not_sent))
    }
}
