//! `Batch`: a batch is created as a draft, takes lines, is started, paused, resumed and canceled (DC-3).
//!
//! | from | start | pause | resume | cancel |
//! |---|---|---|---|---|
//! | draft | scheduled or running | wrong state | wrong state | cancelled |
//! | scheduled | as it is | paused | as it is | cancelled |
//! | running | as it is | paused | as it is | cancelling, cancelled |
//! | paused | wrong state | as it is | scheduled or running | cancelling, cancelled |
//! | cancelling, cancelled | wrong state | wrong state | wrong state | as it is |
//! | completed, expired | wrong state | wrong state | wrong state | wrong state |

use std::{collections::BTreeSet, sync::Arc};

use busyhour_base::{Reason, Timestamp};
use serde::{Deserialize, Serialize};

use super::{State, calls::Stage, tick::Due};
use crate::{
    command::BatchCommand,
    effect::{Effect, Reply},
    engine::{
        lanes::Pacing,
        wheel::{Handle, NO_TIMER},
    },
    spec::{BatchId, BatchPlan, Urgency},
    view::{BatchStatus, Counts},
};

/// A batch.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Batch {
    pub id: BatchId,
    pub tenant: u32,
    pub plan: Arc<BatchPlan>,
    pub status: BatchStatus,
    /// Its lane, or [`crate::engine::ring::NIL`] once it has ended and its calls are in the records.
    pub lane: u32,
    pub counts: Counts,
    pub created_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    /// Its end has come.
    pub past_end: bool,
    /// Its end came before all its calls had started.
    pub expired: bool,
    /// Calls that are not in the records.
    pub unrecorded: u64,
    /// The lines that it has taken, by the tenant's names for them.
    pub custom_ids: BTreeSet<Arc<str>>,
    /// When it opens, in the engine's wheel.
    pub begin: Handle,
    /// When it ends, in the wheel of expiries.
    pub end: Handle,
}

impl Batch {
    /// Whether it needs nobody's word to come to its end.
    pub const fn runs_by_itself(&self) -> bool {
        !matches!(self.status, BatchStatus::Draft | BatchStatus::Paused)
    }

    /// Whether it has come to its end.
    pub const fn has_ended(&self) -> bool {
        matches!(
            self.status,
            BatchStatus::Completed | BatchStatus::Expired | BatchStatus::Cancelled
        )
    }

    /// When its lane opens by itself.
    pub fn opens(&self) -> Option<Timestamp> {
        self.plan.not_before.filter(|_| self.status == BatchStatus::Scheduled)
    }
}

impl State {
    pub(super) fn batch_command(&mut self, command: &BatchCommand, fx: &mut Vec<Effect>) -> Reply {
        let done = match command {
            BatchCommand::Create { account, idempotency, plan } => self
                .tenant(*account)
                .and_then(|tenant| self.create_batch(tenant, *idempotency, plan)),
            BatchCommand::Start { account, batch } => {
                self.batch_named(*account, *batch).and_then(|batch| self.start_batch(batch))
            }
            BatchCommand::Pause { account, batch } => {
                self.batch_named(*account, *batch).and_then(|batch| self.pause_batch(batch))
            }
            BatchCommand::Resume { account, batch } => {
                self.batch_named(*account, *batch).and_then(|batch| self.resume_batch(batch))
            }
            BatchCommand::Cancel { account, batch, hang_up } => self
                .batch_named(*account, *batch)
                .and_then(|batch| match self.batches[batch].status {
                    BatchStatus::Completed | BatchStatus::Expired => Err(Reason::WrongState),
                    _ => Ok(self.cancel_batch(batch, *hang_up, fx)),
                }),
        };
        done.unwrap_or_else(Reply::Refused)
    }

    fn batch_named(
        &self,
        account: busyhour_base::AccountSid,
        batch: BatchId,
    ) -> Result<u32, Reason> {
        self.tenant(account).and_then(|tenant| self.batch_of(tenant, batch))
    }

    /// A tenant's own batch.
    pub(super) fn batch_of(&self, tenant: u32, batch: BatchId) -> Result<u32, Reason> {
        let id = self.batch_index.get(&batch).copied().ok_or(Reason::UnknownBatch)?;
        if self.batches[id].tenant == tenant { Ok(id) } else { Err(Reason::UnknownBatch) }
    }

    fn create_batch(
        &mut self,
        tenant: u32,
        idempotency: Option<u128>,
        plan: &BatchPlan,
    ) -> Result<Reply, Reason> {
        let now = Timestamp(self.now);
        if let Some(first) = self.tenants[tenant].remembered.get(idempotency, self.now) {
            return Ok(first);
        }
        let state = &self.tenants[tenant];
        if state.suspended {
            return Err(Reason::Suspended);
        }
        if state.batches.len() - state.ended_batches.len() >= self.options.open_batches_max {
            return Err(Reason::TooLarge);
        }
        if plan.not_after.is_some_and(|end| end <= plan.not_before.unwrap_or(now).max(now)) {
            return Err(Reason::Expired);
        }
        self.batches_given += 1;
        let id = BatchId(self.batches_given);
        let pacing = Pacing {
            spacing: plan.throttle.map_or(0, |throttle| throttle.spacing.0),
            concurrent: plan.max_concurrent,
        };
        let batch = self.batches.insert(Batch {
            id,
            tenant,
            plan: Arc::new(plan.clone()),
            status: BatchStatus::Draft,
            lane: crate::engine::ring::NIL,
            counts: Counts::default(),
            created_at: now,
            started_at: None,
            ended_at: None,
            past_end: false,
            expired: false,
            unrecorded: 0,
            custom_ids: BTreeSet::new(),
            begin: NO_TIMER,
            end: NO_TIMER,
        });
        let lane =
            self.add_lane(tenant, Some(batch), Urgency::Ordinary, pacing, Some(Reason::Draft));
        self.batches[batch].lane = lane;
        if let Some(end) = plan.not_after {
            self.batches[batch].end = self.expiries.set(end.0, Due::Batch.of(batch));
        }
        self.batch_index.insert(id, batch);
        self.tenants[tenant].batches.insert(id);
        let reply = Reply::Batch(id);
        self.tenants[tenant].remembered.put(idempotency, self.now, &reply);
        Ok(reply)
    }

    fn start_batch(&mut self, batch: u32) -> Result<Reply, Reason> {
        match self.batches[batch].status {
            BatchStatus::Draft => self.open_batch(batch),
            BatchStatus::Scheduled | BatchStatus::Running => {}
            _ => return Err(Reason::WrongState),
        }
        Ok(Reply::Done)
    }

    fn pause_batch(&mut self, batch: u32) -> Result<Reply, Reason> {
        match self.batches[batch].status {
            BatchStatus::Scheduled | BatchStatus::Running => {
                self.shut_batch(batch);
                self.batches[batch].status = BatchStatus::Paused;
                self.engine.park(self.batches[batch].lane, Reason::Paused);
            }
            BatchStatus::Paused => {}
            _ => return Err(Reason::WrongState),
        }
        Ok(Reply::Done)
    }

    fn resume_batch(&mut self, batch: u32) -> Result<Reply, Reason> {
        match self.batches[batch].status {
            BatchStatus::Paused => self.open_batch(batch),
            BatchStatus::Scheduled | BatchStatus::Running => {}
            _ => return Err(Reason::WrongState),
        }
        Ok(Reply::Done)
    }

    /// Runs a batch, or schedules it for its time.
    fn open_batch(&mut self, batch: u32) {
        let state = &mut self.batches[batch];
        match state.plan.not_before.filter(|begin| begin.0 > self.now) {
            Some(begin) => {
                state.status = BatchStatus::Scheduled;
                state.begin = self.engine.set_timer(begin.0, Due::Batch.of(batch));
                self.engine.park(state.lane, Reason::NotBefore);
            }
            None => {
                state.status = BatchStatus::Running;
                self.engine.unpark(state.lane);
            }
        }
        self.settle_batch(batch);
    }

    /// Its scheduled time has come.
    pub(super) fn batch_opens(&mut self, batch: u32) {
        let state = &mut self.batches[batch];
        state.begin = NO_TIMER;
        state.status = BatchStatus::Running;
        self.engine.unpark(state.lane);
    }

    /// Its timer for its beginning goes.
    pub(super) fn shut_batch(&mut self, batch: u32) {
        let begin = std::mem::replace(&mut self.batches[batch].begin, NO_TIMER);
        if begin != NO_TIMER {
            self.engine.cancel_timer(begin);
        }
    }

    /// The requests of a tenant that wait, oldest first.
    pub(super) fn waiting_of(&self, tenant: u32) -> impl Iterator<Item = u32> {
        self.requests
            .listed(self.tenants[tenant].calls)
            .filter(|id| matches!(self.requests.stage(*id), Stage::Scheduled | Stage::Queued))
    }
}
