//! Acceptance: each message is queued or scheduled, or refused with a reason and without effect.

use std::sync::Arc;

use busyhour_base::{Body, MessageSpec, MessageStatus, Reason, Segments, Span, Timestamp};

use super::{Place, Stage, State, lines::LineOf};
use crate::{
    effect::{Effect, Reply},
    engine::ring::NIL,
    message::{AcceptedMessage, NewMessage, SubmitMessages},
    spec::{Excess, Urgency},
};

impl State {
    pub(super) fn submit_messages(
        &mut self,
        submit: &SubmitMessages,
        fx: &mut Vec<Effect>,
    ) -> Reply {
        let tenant = match self.may_submit_messages(submit) {
            Ok(tenant) => tenant,
            Err(reason) => return Reply::Refused(reason),
        };
        let now = self.now;
        if let Some(first) = self.tenants[tenant].remembered.get(submit.idempotency, now) {
            return first;
        }
        let mut verdicts = Vec::with_capacity(submit.messages.len());
        for new in &submit.messages {
            verdicts.push(match submit.bodies.get(new.body as usize) {
                Some(body) => self.submit_message(tenant, new, body, None, fx),
                None => Err(Reason::TooLarge),
            });
        }
        if let [Err(reason)] = verdicts[..] {
            return Reply::Refused(reason);
        }
        let any = verdicts.iter().any(Result::is_ok);
        let reply = Reply::Messages(verdicts);
        if any {
            self.tenants[tenant].remembered.put(submit.idempotency, now, &reply);
        }
        reply
    }

    fn may_submit_messages(&self, submit: &SubmitMessages) -> Result<u32, Reason> {
        let tenant = self.tenant(submit.account)?;
        if self.tenants[tenant].suspended {
            return Err(Reason::Suspended);
        }
        if submit.messages.len() > self.message_options.submit_max {
            return Err(Reason::TooLarge);
        }
        Ok(tenant)
    }

    pub(super) fn submit_message(
        &mut self,
        tenant: u32,
        new: &NewMessage,
        body: &Body,
        line: Option<LineOf<'_>>,
        fx: &mut Vec<Effect>,
    ) -> Result<AcceptedMessage, Reason> {
        let account = self.tenants[tenant].account;
        if self.messages.opt_outs.has(account, &new.spec.from, &new.spec.to) {
            return Err(Reason::OptedOut);
        }
        self.accept_message(tenant, new, body, (line, false), fx)
    }

    /// The same, whoever has opted out; `answers_keyword` has it sent to them too.
    pub(super) fn accept_message(
        &mut self,
        tenant: u32,
        new: &NewMessage,
        body: &Body,
        (line, answers_keyword): (Option<LineOf<'_>>, bool),
        fx: &mut Vec<Effect>,
    ) -> Result<AcceptedMessage, Reason> {
        let now = Timestamp(self.now);
        let begins = new.not_before.unwrap_or(now).max(now);
        if new.expires.is_some_and(|expires| expires <= begins) {
            return Err(Reason::Expired);
        }
        self.may_send(tenant, &new.spec.from, body)?;
        let place = Place {
            tenant,
            number: &new.spec.from,
            urgency: new.urgency,
            batch: line.map_or(NIL, |line| self.batches[line.batch].gate),
        };
        let starts = self.messages.queue.expected_start(place, self.now).max(begins);
        let wait_max = self.messages.tenants[tenant].limits.wait_max;
        let late = starts.since(begins) > wait_max || new.expires.is_some_and(|at| at <= starts);
        // A batch may take days: its own schedule says when it ends, and it shows how long it takes before it is started.
        if late && line.is_none() {
            return Err(Reason::WaitTooLong);
        }
        let body = self.messages.bodies.hold(body).ok_or(Reason::TextsFull)?;
        let lane = self.messages.queue.lane_of(place);
        let wait = starts.since(now);
        let id = self.take_in_message(lane, new, body, wait, (tenant, line), fx);
        self.messages.all[id].answers_keyword = answers_keyword;
        let (message, segments) =
            (self.messages.all[id].message, self.messages.bodies.segments(body));
        Ok(AcceptedMessage { message, segments, wait })
    }

    /// Whether a tenant has this number, and room for one more message of its.
    pub(super) fn may_send(&self, tenant: u32, from: &str, body: &Body) -> Result<(), Reason> {
        if !self.messages.queue.knows(tenant, from) {
            return Err(Reason::UnknownNumber);
        }
        let most = self.messages.queue.segments_max(tenant, from);
        if most < u32::MAX && u32::from(Segments::of(body.text()).count) > most {
            return Err(Reason::SegmentsOverCap);
        }
        let state = &self.messages.tenants[tenant];
        let waiting = state.counts.waiting;
        if waiting >= u64::from(state.limits.queue_max) {
            return Err(Reason::QueueFull);
        }
        let refuses = state.limits.excess == Excess::Refuse;
        let segments = || Segments::of(body.text()).count;
        if refuses && self.messages.queue.is_over_cap(tenant, from, segments(), self.now) {
            return Err(Reason::CapRefused);
        }
        Ok(())
    }

    fn take_in_message(
        &mut self,
        lane: u32,
        new: &NewMessage,
        body: u32,
        wait: Span,
        (tenant, line): (u32, Option<LineOf<'_>>),
        fx: &mut Vec<Effect>,
    ) -> u32 {
        let id = self.insert_message(tenant, lane, &new.spec, body, Stage::Queued);
        self.messages.all[id].wait_ms = u32::try_from(wait.as_millis()).unwrap_or(u32::MAX);
        let counts = &mut self.messages.tenants[tenant].counts;
        counts.accepted += 1;
        counts.waiting += 1;
        if let Some(line) = line {
            self.enter_line(id, line);
        }
        self.time_message(id, new.not_before, new.expires);
        let status = match self.messages.all[id].stage {
            Stage::Scheduled => MessageStatus::Scheduled,
            _ => MessageStatus::Queued,
        };
        self.message_changed(id, status, Reason::Ready, fx);
        if status == MessageStatus::Queued {
            let asked = self.messages.asked(id);
            self.messages.queue.push_back(lane, id, asked, Reason::Ready);
        }
        id
    }

    /// A message that was not asked for by a command of its own. One that answers a keyword goes out whoever has opted out.
    pub(super) fn submit_answer(
        &mut self,
        tenant: u32,
        spec: &Arc<MessageSpec>,
        body: &Body,
        answers_keyword: bool,
        fx: &mut Vec<Effect>,
    ) -> Result<AcceptedMessage, Reason> {
        let new = NewMessage {
            spec: Arc::clone(spec),
            body: 0,
            not_before: None,
            expires: None,
            // Somebody has just written and waits for the answer.
            urgency: Urgency::Synchronous,
        };
        if answers_keyword {
            return self.accept_message(tenant, &new, body, (None, true), fx);
        }
        self.submit_message(tenant, &new, body, None, fx)
    }
}
