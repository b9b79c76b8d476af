//! What agents say of calls: ends, attempts that were not sent, set-ups that left late (MT-12, MT-17, DC-3).

use busyhour_base::{CallEvent, Ending, Outcome, Reason};
use busyhour_controller_core::{command::CallReport, spec::CallId};

use super::{
    Instant, Model,
    carrier::{SETUP_LATENESS_MAX, Way},
    requests::Place,
    turns::Range,
    why::Held,
};

/// Attempts of a call that was not sent (`RELIABILITY.md`, protocol 4).
pub const ATTEMPTS_MAX: u32 = 10;

impl Model {
    pub(super) fn report(&mut self, report: &CallReport) {
        if self.report_of_caller(report) {
            return;
        }
        let Some(request) = self.requests.get(&report.call) else { return };
        let Place::Up { carrier, due, made, moved, sent, answered, back } = request.place else {
            return;
        };
        let (account, to) = (request.account, request.to.clone());
        if !matches!(report.event, CallEvent::NotSent(_) | CallEvent::Ended(_)) {
            if !sent {
                let slot = due.max(made - SETUP_LATENESS_MAX);
                let heard = report.heard_at.0.min(self.now);
                self.capacity.line_mut(carrier).left(slot, moved, heard);
            }
            let answered = answered || report.event == CallEvent::Answered;
            let sent = true;
            self.at(report.call).place =
                Place::Up { carrier, due, made, moved, sent, answered, back };
        }
        match &report.event {
            CallEvent::Ended(ending) => {
                let now = self.now;
                self.leave(usize::from(report.agent.0));
                let line = self.capacity.line_mut(carrier);
                line.give_back(account, Way::Outbound, ending.confirmed, now);
                self.capacity.charge(carrier, &to, ending.talk, now);
                self.turns.used(account, now - made, now);
                let again = !answered && self.goes_on(report.call, ending, carrier);
                if !again {
                    self.attempt_ended(report.call, ending, answered);
                }
            }
            CallEvent::NotSent(reason) if !sent => {
                self.leave(usize::from(report.agent.0));
                let now = self.now;
                self.capacity.line_mut(carrier).give_back(account, Way::Outbound, true, now);
                self.not_sent(report.call, *reason, back);
            }
            _ => {}
        }
    }

    pub(super) fn leave(&mut self, agent: usize) {
        self.agents[agent].calls -= 1;
    }

    /// A call waits again, in this place of its queue.
    fn put(&mut self, call: CallId, place: Range<i64>, why: Reason) {
        let (now, request) = (self.now, self.at(call));
        request.place = Place::Waiting(place);
        request.held = Held::new(why, now);
    }

    /// A call that a carrier could not complete goes to the next one, behind those that were failed before it, while it may
    /// still start.
    fn goes_on(&mut self, call: CallId, ending: &Ending, carrier: usize) -> bool {
        let request = &self.requests[&call];
        let left = self
            .capacity
            .route(&request.to)
            .into_iter()
            .filter(|(line, _)| *line != carrier && !request.without.contains(line));
        let over = request.canceled
            || request.expires.is_some_and(|at| at <= self.now)
            || request.batch.is_some_and(|batch| self.batches[&batch].over);
        let failed = ending.confirmed && ending.reason == Reason::CarrierFailure;
        if !failed || over || left.count() == 0 {
            return false;
        }
        let before = self.root_of(&self.requests[&call]);
        self.at(call).without.push(carrier);
        let after = self.root_of(&self.requests[&call]);
        let late = self.requests[&call].table != self.tables;
        self.turns.carry(&before, &after, late);
        self.readied += 1;
        self.put(call, Range::at(self.readied), Reason::CarrierFailure);
        true
    }

    /// It goes back to the head of its queue and loses no place to others that do (MT-4), unless it is over or was tried too often.
    fn not_sent(&mut self, call: CallId, reason: Reason, back: Range<i64>) {
        self.put(call, back, reason);
        let now = self.now;
        let request = self.at(call);
        request.unsent += 1;
        let batch = request.batch;
        let over = request.canceled
            || request.unsent >= ATTEMPTS_MAX
            || request.expires.is_some_and(|at| at <= now);
        if over || batch.is_some_and(|batch| self.batches[&batch].over) {
            self.end(call);
        }
    }

    /// A line of a batch is placed again after a definitive failure of a kind that the batch names, if it can still begin.
    fn attempt_ended(&mut self, call: CallId, ending: &Ending, answered: bool) {
        match self.next_attempt(call, ending).filter(|_| !answered) {
            Some(at) => {
                let now = self.now;
                let before = self.root_of(&self.requests[&call]);
                let request = self.at(call);
                request.failed += 1;
                request.without.clear();
                let after = self.root_of(&self.requests[&call]);
                let late = self.requests[&call].table != self.tables;
                self.turns.carry(&before, &after, late);
                self.planned += 1;
                let planned = self.planned;
                let request = self.at(call);
                request.planned = planned;
                // One that is placed again at once was never scheduled.
                request.not_before = if at > now { Some(at) } else { request.not_before };
                request.place = Place::Scheduled;
                self.begin();
            }
            None => self.end(call),
        }
    }

    fn next_attempt(&self, call: CallId, ending: &Ending) -> Option<Instant> {
        let (now, request) = (self.now, &self.requests[&call]);
        let batch = &self.batches[&request.batch?];
        let on = batch.plan.retry.as_ref()?.on;
        let named = match ending.outcome {
            Outcome::Busy => on.busy,
            Outcome::NoAnswer => on.no_answer,
            Outcome::Failed => on.failed,
            _ => false,
        };
        let fits = ending.confirmed && named && !request.canceled;
        batch.next_attempt(request.failed, request.expires, now).filter(|_| fits)
    }
}
