//! Messages that are lines of batches (DC-3): what a line has beside what every message has, how its batch counts it, and how
//! the lines of a batch that is over end.

use std::sync::Arc;

use busyhour_base::{MessageSpec, MessageStatus, Reason, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Messages, Stage, State};
use crate::{
    effect::Effect,
    engine::ring::NIL,
    message::{AcceptedMessage, MessageAttempt, NewMessage},
    spec::{LineRequest, Rest},
    view::{BatchStatus, Counts},
};

/// What only a line of a batch has.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Line {
    pub batch: u32,
    /// The tenant's name for it.
    pub custom_id: Option<Arc<str>>,
    /// Attempts that came to nothing, and after which it was sent again.
    pub earlier: Vec<MessageAttempt>,
}

/// Which line of which batch a new message is.
#[derive(Clone, Copy, Debug)]
pub(super) struct LineOf<'a> {
    pub batch: u32,
    pub custom_id: Option<&'a str>,
}

/// Where a batch counts a line.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Counted {
    /// Scheduled or queued.
    Waits,
    /// With a carrier, or awaiting its report.
    InProgress,
    /// Over.
    Ended(MessageStatus),
}

impl Counts {
    fn at(&mut self, place: Counted) -> Option<&mut u64> {
        match place {
            Counted::Waits => Some(&mut self.queued),
            Counted::InProgress => Some(&mut self.in_progress),
            Counted::Ended(status) => status.end().map(|end| &mut self.ended[end]),
        }
    }
}

impl Messages {
    /// What a message whose time has not come waits for.
    pub(super) fn put_off_for(&self, id: u32) -> Reason {
        let line = self.lines.get(self.all[id].line);
        let again = line.is_some_and(|line| !line.earlier.is_empty());
        if again { Reason::Retry } else { Reason::NotBefore }
    }
}

impl State {
    /// A line of a draft, unless one that means the same message was taken.
    pub(in crate::state) fn submit_message_line(
        &mut self,
        tenant: u32,
        batch: u32,
        line: LineRequest<'_>,
        key: Option<&str>,
        fx: &mut Vec<Effect>,
    ) -> Result<AcceptedMessage, Reason> {
        let LineRequest { to, custom_id, rest } = line;
        let Rest::Message(text) = rest else { return Err(Reason::WrongState) };
        self.batches[batch].takes_line(custom_id, key)?;
        let spec = MessageSpec { to: to.to_owned(), ..MessageSpec::clone(&text.spec) };
        let new = NewMessage {
            spec: Arc::new(spec),
            body: 0,
            not_before: text.not_before,
            expires: text.expires,
            urgency: text.urgency,
        };
        let line = LineOf { batch, custom_id };
        let accepted = self.submit_message(tenant, &new, &text.body, Some(line), fx)?;
        if let Some(key) = key {
            self.batches[batch].keys.insert(key);
        }
        Ok(accepted)
    }

    /// A message that was just accepted is a line.
    pub(super) fn enter_line(&mut self, id: u32, line: LineOf<'_>) {
        let LineOf { batch, custom_id } = line;
        let named = custom_id.map(Arc::from);
        let line = Line { batch, custom_id: named, earlier: Vec::new() };
        self.messages.all[id].line = self.messages.lines.insert(line);
        let batch = &mut self.batches[batch];
        batch.unrecorded += 1;
        batch.counts.accepted += 1;
        batch.counts.queued += 1;
        if let Some(name) = custom_id.filter(|_| batch.status == BatchStatus::Draft) {
            batch.custom_ids.insert(name);
        }
    }

    /// The batch of a message, if it is a line.
    fn batch_of_message(&self, id: u32) -> Option<u32> {
        self.messages.lines.get(self.messages.all[id].line).map(|line| line.batch)
    }

    /// A batch counts a line somewhere else.
    pub(super) fn line_moves(&mut self, id: u32, from: Counted, to: Counted) {
        let Some(batch) = self.batch_of_message(id) else { return };
        let batch = &mut self.batches[batch];
        if let Some(count) = batch.counts.at(from) {
            *count -= 1;
        }
        if let Some(count) = batch.counts.at(to) {
            *count += 1;
        }
    }

    /// A line is handed to a carrier.
    pub(super) fn line_starts(&mut self, id: u32) {
        let Some(batch) = self.batch_of_message(id) else { return };
        let segments = self.messages.bodies.segments(self.messages.all[id].body).count;
        let batch = &mut self.batches[batch];
        batch.started_at.get_or_insert(Timestamp(self.now));
        batch.started += u64::from(segments);
    }

    /// A line has ended: its batch may be over with it.
    pub(super) fn settle_line(&mut self, id: u32, fx: &mut Vec<Effect>) {
        if let Some(batch) = self.batch_of_message(id) {
            self.notice_progress(batch, fx);
            self.settle_batch(batch, fx);
        }
    }

    /// A line is in the records.
    pub(super) fn forget_line(&mut self, line: u32) {
        if let Some(line) = self.messages.lines.remove(line) {
            self.batches[line.batch].unrecorded -= 1;
            self.close_gate(line.batch);
        }
    }

    /// Ends everything of a batch that waits, with this entry and the next ones. None of it starts any more.
    pub(in crate::state) fn end_message_lanes(&mut self, tenant: u32, gate: u32, reason: Reason) {
        if gate == NIL {
            return;
        }
        let Messages { queue, sweeps, .. } = &mut self.messages;
        let lanes = queue.retire_batch(tenant, gate);
        // One without requests may go with its batch at once.
        let lanes = lanes.into_iter().filter(|lane| queue.engine().next_retired(*lane).is_some());
        sweeps.extend(lanes.map(|lane| (lane, reason)));
    }

    /// Ends the next of the messages of batches that are over. A lane that is empty by then is done with: it may be gone at the
    /// next entry.
    pub(in crate::state) fn sweep_messages(&mut self, fx: &mut Vec<Effect>) {
        let mut left = self.options.sweep_max;
        while let Some((lane, reason)) = self.messages.sweeps.front().copied() {
            match self.messages.queue.engine().next_retired(lane) {
                Some(_) if left == 0 => return,
                Some(message) => {
                    left -= 1;
                    self.end_unsent_message(message, reason, fx);
                }
                None => {
                    self.messages.sweeps.pop_front();
                }
            }
        }
    }

    /// Whether messages of batches are still to be ended.
    pub(in crate::state) fn sweeps_messages(&self) -> bool {
        !self.messages.sweeps.is_empty()
    }

    /// Ends a message that no carrier has.
    pub(super) fn end_unsent_message(&mut self, id: u32, reason: Reason, fx: &mut Vec<Effect>) {
        let status = match reason {
            Reason::CanceledByTenant | Reason::BatchCanceled => MessageStatus::Canceled,
            _ => MessageStatus::Failed,
        };
        debug_assert!(!matches!(self.messages.all[id].stage, Stage::Sent(_)));
        self.end_message(id, status, reason, fx);
    }
}
