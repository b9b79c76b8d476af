//! The end of a message: exactly one outcome for each that was accepted, and a row for the records.

use std::sync::Arc;

use busyhour_base::{MessageStatus, Reason, Span, Timestamp};

use super::{Stage, State, lines::Counted};
use crate::{
    effect::{Effect, Reply},
    engine::wheel::NO_TIMER,
    message::MessageRecord,
};

impl State {
    /// Ends a message, wherever it is.
    pub(super) fn end_message(
        &mut self,
        id: u32,
        status: MessageStatus,
        reason: Reason,
        fx: &mut Vec<Effect>,
    ) {
        let Some(mut record) = self.message_record(id, status, reason) else { return };
        let stage = self.messages.all[id].stage;
        let was_waiting = matches!(stage, Stage::Scheduled | Stage::Queued);
        let was_sent = matches!(stage, Stage::Sent(_));
        self.leave_stage(id);
        self.untime_message(id);
        let messages = &mut self.messages;
        messages.records_given += 1;
        record.seq = messages.records_given;
        let message = &mut messages.all[id];
        message.stage = Stage::Ended(record.seq);
        messages.tenants[message.tenant].counts.ended += 1;
        messages.outbox.push_back(record);
        let from = if was_waiting { Counted::Waits } else { Counted::InProgress };
        self.line_moves(id, from, Counted::Ended(status));
        // That it was sent was told when the carrier took it, unless that is how it ends.
        if status != MessageStatus::Sent || !was_sent || reason == Reason::Sent {
            self.message_changed(id, status, reason, fx);
        }
        self.settle_line(id, fx);
    }

    /// A message gives back what it holds where it is.
    pub(super) fn leave_stage(&mut self, id: u32) {
        let now = self.now;
        let messages = &mut self.messages;
        let message = &messages.all[id];
        let (lane, tenant) = (message.lane, message.tenant);
        let counts = &mut messages.tenants[tenant].counts;
        match message.stage {
            Stage::Ended(_) => {}
            Stage::Scheduled => {
                counts.waiting -= 1;
                messages.queue.take_up(lane, id);
            }
            Stage::Queued => {
                counts.waiting -= 1;
                messages.queue.unqueue(lane, id);
            }
            Stage::Sending(live) => {
                counts.sending -= 1;
                let live = messages.live.remove(live).expect("it is at a carrier");
                messages.queue.answered(lane, live.channel, Some(now - live.handed_at));
                messages.holding.note(Span(now - live.handed_at));
                self.forget_message_carriers();
            }
            Stage::Sent(live) => {
                counts.sent -= 1;
                messages.unreported_count -= 1;
                let live = messages.live.remove(live).expect("a carrier has it");
                if live.report_by != NO_TIMER {
                    messages.expiries.cancel(live.report_by);
                }
                let key = live.reference.map(|reference| (live.carrier, reference));
                if let Some(key) = key.filter(|key| messages.references.get(key) == Some(&id)) {
                    messages.references.remove(&key);
                }
            }
            Stage::Receiving | Stage::Asked => {
                counts.receiving -= 1;
                self.leave_inbound(id);
            }
        }
    }

    pub(super) fn message_record(
        &self,
        id: u32,
        status: MessageStatus,
        reason: Reason,
    ) -> Option<MessageRecord> {
        let messages = &self.messages;
        let message = &messages.all[id];
        let live = match message.stage {
            Stage::Ended(_) => return None,
            // Its turn had come, and nothing was sent.
            Stage::Sending(_) if reason == Reason::OptedOut => None,
            Stage::Sending(live) | Stage::Sent(live) => Some(&messages.live[live]),
            _ => None,
        };
        let origin = messages.origins.get(&id);
        let carrier = live.map(|live| &live.carrier).or(origin.map(|origin| &origin.carrier));
        let reference = live.and_then(|live| live.reference.as_ref());
        let line = messages.lines.get(message.line);
        Some(MessageRecord {
            seq: 0,
            message: message.message,
            account: self.tenants[message.tenant].account,
            spec: Arc::clone(&message.spec),
            body: messages.bodies.body(message.body).clone(),
            segments: messages.bodies.segments(message.body),
            status,
            reason,
            accepted_at: message.accepted_at,
            due: live.map(|live| Timestamp(live.due)),
            held_by: live.map_or(Reason::Ready, |live| live.held_by),
            sent_at: live
                .map(|live| Timestamp(live.handed_at))
                .or(origin.map(|_| message.accepted_at)),
            ended_at: Timestamp(self.now),
            attempts: message.attempt,
            carrier: carrier.cloned(),
            reference: reference.or(origin.map(|origin| &origin.reference)).cloned(),
            batch: line.map(|line| self.batches[line.batch].id),
            custom_id: line.and_then(|line| line.custom_id.clone()),
            earlier: line.map(|line| line.earlier.clone()).unwrap_or_default(),
        })
    }

    /// Rows that are in the records leave the state, and their texts with them.
    pub(super) fn messages_recorded(&mut self, through: u64) -> Reply {
        while self.messages.outbox.front().is_some_and(|record| record.seq <= through) {
            let messages = &mut self.messages;
            let Some(record) = messages.outbox.pop_front() else { break };
            let Some(id) = messages.index.remove(&record.message) else { continue };
            let message = &messages.all[id];
            let (tenant, body, line) = (message.tenant, message.body, message.line);
            messages.tenants[tenant].all.remove(&mut messages.all, id);
            messages.all.remove(id);
            messages.origins.remove(&id);
            messages.bodies.release(body);
            self.forget_line(line);
            self.forget_if_gone(tenant);
        }
        Reply::Done
    }

    /// At most `max` finished messages that wait for the records, in the order of their ends.
    pub fn message_outbox(&self, max: usize) -> impl Iterator<Item = &MessageRecord> {
        self.messages.outbox.iter().take(max)
    }
}
