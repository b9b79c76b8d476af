//! Sending a line of a batch again: the attempt that came to nothing is noted, and the message waits for the next one. Only
//! what the carrier said for certain counts: a message in doubt is never sent again (`RELIABILITY.md`, invariant 2).

use std::sync::Arc;

use busyhour_base::{MessageStatus, Reason, Timestamp};

use super::{
    Begins, Stage, State, Times,
    lines::{Counted, LineOf},
};
use crate::{
    effect::Effect,
    engine::wheel::NO_TIMER,
    message::{AcceptedMessage, MessageAttempt, MessageRecord, NewMessage},
    spec::AgainMessage,
};

impl State {
    /// The carrier did not take a message, or could not deliver it: it ends, or waits for another attempt.
    pub(super) fn message_came_to_nothing(
        &mut self,
        id: u32,
        status: MessageStatus,
        reason: Reason,
        fx: &mut Vec<Effect>,
    ) {
        match self.next_message_attempt(id, status) {
            Some(at) => self.send_again(id, status, reason, at, fx),
            None => self.end_message(id, status, reason, fx),
        }
    }

    fn next_message_attempt(&self, id: u32, status: MessageStatus) -> Option<Timestamp> {
        let message = &self.messages.all[id];
        let line = self.messages.lines.get(message.line)?;
        let batch = &self.batches[line.batch];
        if !batch.plan.retry.as_ref()?.on.takes_message(status) || self.is_oversized(id) {
            return None;
        }
        let expires = self.messages.times.get(message.times).and_then(|times| times.expires);
        batch.next_attempt(line.earlier.len() as u16 + 1, expires, Timestamp(self.now))
    }

    fn send_again(
        &mut self,
        id: u32,
        status: MessageStatus,
        reason: Reason,
        at: Timestamp,
        fx: &mut Vec<Effect>,
    ) {
        let attempt = self.message_record(id, status, reason).and_then(MessageAttempt::last_of);
        self.leave_stage(id);
        self.line_moves(id, Counted::InProgress, Counted::Waits);
        let messages = &mut self.messages;
        let message = &mut messages.all[id];
        messages.tenants[message.tenant].counts.waiting += 1;
        if let Some(line) = messages.lines.get_mut(message.line) {
            line.earlier.extend(attempt);
        }
        let lane = message.lane;
        if at.0 <= self.now {
            message.stage = Stage::Queued;
            let asked = messages.asked(id);
            messages.queue.push_back(lane, id, asked, Reason::Retry);
        } else {
            message.stage = Stage::Scheduled;
            messages.queue.put_off(lane, id);
            self.begin_at(id, at);
        }
        self.message_changed(id, MessageStatus::Queued, Reason::Retry, fx);
    }

    /// A line that came to nothing is sent again on its tenant's word, as a message of its own.
    pub(in crate::state) fn send_line_again(
        &mut self,
        tenant: u32,
        batch: u32,
        line: &AgainMessage,
        fx: &mut Vec<Effect>,
    ) -> Result<AcceptedMessage, Reason> {
        let nothing = matches!(line.status, MessageStatus::Failed | MessageStatus::Undelivered);
        let end = line.status.end().filter(|_| nothing).ok_or(Reason::WrongState)?;
        self.batches[batch].comes_again(end, line.seq, self.messages.records_given)?;
        self.may_send(tenant, &line.text.spec.from, &line.text.body)?;
        self.run_on(batch);
        let new = NewMessage {
            spec: Arc::clone(&line.text.spec),
            body: 0,
            not_before: line.text.not_before,
            expires: line.text.expires,
            urgency: line.text.urgency,
        };
        let of = LineOf { batch, custom_id: line.custom_id.as_deref() };
        let accepted = match self.submit_message(tenant, &new, &line.text.body, Some(of), fx) {
            Ok(accepted) => accepted,
            Err(reason) => {
                // With nothing that waits it is over again.
                self.settle_batch(batch, fx);
                return Err(reason);
            }
        };
        self.batches[batch].goes_again(end, line.seq);
        let messages = &mut self.messages;
        let message = &mut messages.all[messages.index[&accepted.message]];
        message.attempt = line.attempts;
        if let Some(own) = messages.lines.get_mut(message.line) {
            own.earlier.clone_from(&line.earlier);
        }
        Ok(accepted)
    }

    /// A message's time is this instant.
    fn begin_at(&mut self, id: u32, at: Timestamp) {
        let messages = &mut self.messages;
        let mut times = messages.all[id].times;
        if messages.times.get(times).is_none() {
            let (begin, end) = (NO_TIMER, NO_TIMER);
            let none = Times { message: id, not_before: None, expires: None, begin, end };
            times = messages.times.insert(none);
            messages.all[id].times = times;
        }
        let begin = messages.queue.set_timer(at.0, Begins::Message.of(times));
        let times = &mut messages.times[times];
        (times.not_before, times.begin) = (Some(at), begin);
    }
}

impl MessageAttempt {
    /// The attempt with which a record ends, if there was one.
    pub(crate) fn last_of(record: MessageRecord) -> Option<Self> {
        Some(Self {
            number: record.attempts,
            carrier: Arc::clone(record.carrier.as_ref()?),
            reference: record.reference,
            held_by: record.held_by,
            due: record.due?,
            sent_at: record.sent_at?,
            ended_at: record.ended_at,
            status: record.status,
            reason: record.reason,
        })
    }
}
