//! What carriers say of messages, and what becomes of those that a carrier was asked to send when the process that asked ended.

use std::sync::Arc;

use busyhour_base::{MessageEvent, MessageStatus, Reason, Span, Timestamp};

use super::{Stage, State, lines::Counted};
use crate::{
    effect::{Effect, Reply},
    message::{MessageReport, Reported},
};

impl State {
    pub(super) fn message_reports(
        &mut self,
        reports: &[MessageReport],
        fx: &mut Vec<Effect>,
    ) -> Reply {
        for report in reports {
            self.message_report(report, fx);
        }
        Reply::Done
    }

    fn message_report(&mut self, report: &MessageReport, fx: &mut Vec<Effect>) {
        let Some(id) = self.reported(&report.of) else {
            self.messages.stray_reports += 1;
            return;
        };
        match (self.messages.all[id].stage, &report.event) {
            (Stage::Sending(live), MessageEvent::NotSent(reason)) => {
                self.message_not_sent(id, live, *reason, fx);
            }
            (Stage::Sending(live), MessageEvent::Accepted(reference)) => {
                self.message_taken(id, live, reference, fx);
            }
            (Stage::Sending(_), MessageEvent::Refused(reason)) => {
                self.message_came_to_nothing(id, MessageStatus::Failed, *reason, fx);
            }
            (Stage::Sending(_), MessageEvent::InDoubt(reason)) => {
                self.end_message(id, MessageStatus::Failed, *reason, fx);
            }
            (Stage::Sent(_), MessageEvent::Delivered) => {
                self.end_message(id, MessageStatus::Delivered, Reason::Delivered, fx);
            }
            (Stage::Sent(_), MessageEvent::Undelivered(reason)) => {
                self.message_came_to_nothing(id, MessageStatus::Undelivered, *reason, fx);
            }
            // Said again, or said of a message that has ended.
            _ => self.messages.stray_reports += 1,
        }
    }

    fn reported(&self, of: &Reported) -> Option<u32> {
        match of {
            Reported::Attempt { message, attempt } => {
                let id = *self.messages.index.get(message)?;
                (self.messages.all[id].attempt == *attempt).then_some(id)
            }
            Reported::Reference { carrier, reference } => {
                let key = (Arc::clone(carrier), Arc::clone(reference));
                self.messages.references.get(&key).copied()
            }
        }
    }

    /// Nothing was sent: it goes back to the head of its queue as a call does, unless that has happened too often.
    fn message_not_sent(&mut self, id: u32, live: u32, reason: Reason, fx: &mut Vec<Effect>) {
        let message = &self.messages.all[id];
        // Attempts that came to an end were sent.
        let line = self.messages.lines.get(message.line);
        let (batch, sent) = line.map_or((None, 0), |line| (Some(line.batch), line.earlier.len()));
        if message.attempt - sent as u16 >= self.options.attempts_max {
            return self.end_message(id, MessageStatus::Failed, reason, fx);
        }
        let expired = self.messages.times.get(message.times).and_then(|times| times.expires);
        if expired.is_some_and(|expires| expires.0 <= self.now) {
            return self.end_message(id, MessageStatus::Failed, Reason::Expired, fx);
        }
        if self.is_oversized(id) {
            return self.end_message(id, MessageStatus::Failed, Reason::SegmentsOverCap, fx);
        }
        if let Some(over) = batch.and_then(|batch| self.batch_is_over(batch)) {
            return self.end_unsent_message(id, over, fx);
        }
        self.line_moves(id, Counted::InProgress, Counted::Waits);
        let messages = &mut self.messages;
        let live = messages.live.remove(live).expect("a message at a carrier has its part");
        let message = &mut messages.all[id];
        message.stage = Stage::Queued;
        let counts = &mut messages.tenants[message.tenant].counts;
        counts.sending -= 1;
        counts.waiting += 1;
        let (lane, asked) = (message.lane, messages.asked(id));
        messages.queue.answered(lane, live.channel, None);
        messages.queue.put_back(lane, id, asked, reason, live.number);
        self.message_changed(id, MessageStatus::Queued, reason, fx);
    }

    /// The carrier has taken it: the channel is free again, and its report is awaited if it sends any.
    fn message_taken(&mut self, id: u32, live: u32, reference: &Arc<str>, fx: &mut Vec<Effect>) {
        let now = self.now;
        let messages = &mut self.messages;
        let part = &mut messages.live[live];
        part.reference = Some(Arc::clone(reference));
        let held = now - part.handed_at;
        let (channel, carrier) = (part.channel, Arc::clone(&part.carrier));
        let message = &mut messages.all[id];
        message.stage = Stage::Sent(live);
        let named = (message.message, message.attempt);
        let counts = &mut messages.tenants[message.tenant].counts;
        counts.sending -= 1;
        counts.sent += 1;
        messages.queue.answered(message.lane, channel, Some(held));
        messages.holding.note(Span(held));
        messages.unreported_count += 1;
        let reports =
            messages.carriers.get(&carrier).is_some_and(|known| known.contract.delivery_reports);
        let key = (carrier, Arc::clone(reference));
        if !reports {
            return self.end_message(id, MessageStatus::Sent, Reason::Sent, fx);
        }
        // A carrier that gives one name to two messages gets its reports for the later one.
        messages.references.insert(key, id);
        messages.unreported.push_back(named);
        self.await_report(live);
        self.message_changed(id, MessageStatus::Sent, Reason::Ready, fx);
        self.bound_unreported(fx);
    }

    /// Beyond the bound the oldest message that awaits a report ends without one.
    fn bound_unreported(&mut self, fx: &mut Vec<Effect>) {
        let most = self.message_options.unreported_max;
        while self.messages.unreported_count > most || self.messages.unreported.len() > 2 * most {
            let Some((message, attempt)) = self.messages.unreported.pop_front() else { return };
            let Some(id) = self.messages.index.get(&message).copied() else { continue };
            let awaits = matches!(self.messages.all[id].stage, Stage::Sent(_));
            if awaits && self.messages.all[id].attempt == attempt {
                self.end_message(id, MessageStatus::Sent, Reason::NoDeliveryReport, fx);
            }
        }
    }

    /// What was handed over under an earlier entry without an answer is in doubt, and never sent again. What this very
    /// entry starts is carried out by the process that has begun.
    pub(super) fn carriers_restarted(&mut self, fx: &mut Vec<Effect>) -> Reply {
        let applied = self.applied;
        let doubtful: Vec<u32> = self
            .messages
            .live
            .iter()
            .filter(|(_, live)| live.entry < applied)
            .map(|(_, live)| live.message)
            .filter(|id| matches!(self.messages.all[*id].stage, Stage::Sending(_)))
            .collect();
        for id in doubtful {
            self.end_message(id, MessageStatus::Failed, Reason::InDoubtRestart, fx);
        }
        self.ask_again(fx);
        Reply::Done
    }

    /// Messages that were taken and whose report is awaited: carrier, reference, and since when.
    pub fn messages_unreported(&self) -> impl Iterator<Item = (Arc<str>, Arc<str>, Timestamp)> {
        self.messages.live.iter().filter_map(|(_, live)| {
            let reference = Arc::clone(live.reference.as_ref()?);
            Some((Arc::clone(&live.carrier), reference, Timestamp(live.handed_at)))
        })
    }
}
