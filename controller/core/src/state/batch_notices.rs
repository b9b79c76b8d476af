//! What a batch's callback is owed. A notice is owed until it is settled, whatever happens to whoever delivers it.
//!
//! There is one at a time: a later one takes the place of an earlier one, since each tells of the batch as it then is.

use busyhour_base::{Reason, Timestamp};
use serde::{Deserialize, Serialize};

use super::State;
use crate::{
    effect::{Effect, Reply},
    spec::BatchId,
    view::{BatchEvent, Notice},
};

/// Notices of a batch.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Notices {
    pub owed: Option<Notice>,
    /// The number of the last one.
    given: u64,
    /// How many steps of progress were noticed.
    steps: u64,
}

impl State {
    /// More of a batch's calls have ended: its callback is owed a notice at each step.
    pub(super) fn notice_progress(&mut self, batch: u32, fx: &mut Vec<Effect>) {
        let state = &self.batches[batch];
        let Some(step) = state.plan.callback.as_ref().map(|hook| u64::from(hook.progress_permille))
        else {
            return;
        };
        let ended: u64 = state.counts.ended.iter().sum();
        let share = ended * 1_000 / state.counts.accepted.max(1);
        let Some(steps) = share.checked_div(step) else { return };
        if steps > state.notices.steps {
            self.batches[batch].notices.steps = steps;
            self.notice(batch, BatchEvent::Progress, fx);
        }
    }

    /// A batch's callback is owed a notice.
    pub(super) fn notice(&mut self, batch: u32, event: BatchEvent, fx: &mut Vec<Effect>) {
        let state = &mut self.batches[batch];
        if state.plan.callback.is_none() {
            return;
        }
        state.notices.given += 1;
        let notice = Notice { number: state.notices.given, event, since: Timestamp(self.now) };
        state.notices.owed = Some(notice);
        self.owing.insert(state.id);
        fx.push(Effect::BatchNews { batch: state.id });
    }

    /// A notice was accepted, or given up.
    pub(super) fn told(
        &mut self,
        batch: BatchId,
        number: u64,
        accepted: bool,
    ) -> Result<Reply, Reason> {
        let id = self.batch_index.get(&batch).copied().ok_or(Reason::UnknownBatch)?;
        let notices = &mut self.batches[id].notices;
        match notices.owed {
            Some(owed) if owed.number <= number => {
                notices.owed = None;
                self.owing.remove(&batch);
                let told =
                    if accepted { &mut self.notices_told } else { &mut self.notices_given_up };
                *told += 1;
                Ok(Reply::Done)
            }
            _ => Err(Reason::WrongState),
        }
    }

    /// What a batch's callback is owed.
    pub fn batch_notice(&self, batch: BatchId) -> Option<Notice> {
        self.batches[*self.batch_index.get(&batch)?].notices.owed
    }

    /// The batches whose callbacks are owed a notice.
    pub fn batches_owing(&self) -> impl Iterator<Item = BatchId> {
        self.owing.iter().copied()
    }

    /// Notices that were accepted, and that were given up.
    pub const fn notices_settled(&self) -> (u64, u64) {
        (self.notices_told, self.notices_given_up)
    }
}
