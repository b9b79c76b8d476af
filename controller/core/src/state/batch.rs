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
//!
//! Lines that came to nothing may be placed again ([`super::again`]): then a completed or expired batch runs on.

use std::sync::Arc;

use busyhour_base::{Outcome, Reason, Timestamp};
use serde::{Deserialize, Serialize};

use super::{State, batch_lines::Upload, batch_notices::Notices, requests::Names, tick::Due};
use crate::{
    command::BatchCommand,
    effect::{Effect, Reply},
    engine::{
        gate::{GateLimits, Scope},
        wheel::{Handle, NO_TIMER},
    },
    spec::{BatchId, BatchPlan, Kind, Openings, Throttle},
    view::{BatchStatus, Counts},
};

/// A batch.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Batch {
    pub id: BatchId,
    pub tenant: u32,
    pub plan: Arc<BatchPlan>,
    pub status: BatchStatus,
    /// Its gate in the engine of its kind, or [`crate::engine::ring::NIL`] once it has ended and its requests are in the
    /// records.
    pub gate: u32,
    pub counts: Counts,
    /// See [`crate::view::BatchView::started`].
    pub started: u64,
    pub created_at: Timestamp,
    pub started_at: Option<Timestamp>,
    pub ended_at: Option<Timestamp>,
    /// Its end has come.
    pub past_end: bool,
    /// Its end came before all its calls had started.
    pub expired: bool,
    /// Requests that are not in the records.
    pub unrecorded: u64,
    /// The lines that it has taken while it is a draft, by the tenant's names for them.
    pub custom_ids: Names,
    /// The same by what the plan has them deduplicated by.
    pub keys: Names,
    /// By [`Counts::ended`], up to which record its lines were placed again.
    pub again_through: [u64; Outcome::ALL.len()],
    /// The end of its run-up: until then it stays shut, though it runs.
    pub opens_at: Timestamp,
    /// What its requests are said to have been held by if nothing but the run-up held them since.
    pub held_before_run_up: Reason,
    /// When it opens next, in the engine's wheel.
    pub begin: Handle,
    /// When its calling window closes, in the wheel of expiries.
    pub close: Handle,
    /// When it ends, in the wheel of expiries.
    pub end: Handle,
    /// How far its lines are.
    pub upload: Upload,
    /// What its callback is owed.
    pub notices: Notices,
}

impl Batch {
    /// What its lines are.
    pub fn kind(&self) -> Kind {
        self.plan.kind
    }

    /// Whether it needs nobody's word to come to its end.
    pub const fn runs_by_itself(&self) -> bool {
        !matches!(self.status, BatchStatus::Draft | BatchStatus::Paused)
    }

    /// The status as it is shown.
    pub const fn shown_status(&self) -> BatchStatus {
        match self.status {
            BatchStatus::Draft if self.upload.is_open() => BatchStatus::Validating,
            BatchStatus::Running if self.counts.queued == 0 => BatchStatus::Completing,
            other => other,
        }
    }

    /// Whether it has come to its end.
    pub const fn has_ended(&self) -> bool {
        matches!(
            self.status,
            BatchStatus::Completed | BatchStatus::Expired | BatchStatus::Cancelled
        )
    }

    /// Whether it takes this line.
    pub fn takes_line(&self, custom_id: Option<&str>, key: Option<&str>) -> Result<(), Reason> {
        if self.status != BatchStatus::Draft {
            return Err(Reason::WrongState);
        }
        let named = custom_id.is_some_and(|id| self.custom_ids.contains(id));
        let known = key.is_some_and(|key| self.keys.contains(key));
        if named || known { Err(Reason::Duplicate) } else { Ok(()) }
    }

    /// It takes no more lines.
    pub fn forget_names(&mut self) {
        self.custom_ids.clear();
        self.keys.clear();
    }

    /// How it is paced.
    pub fn pacing(&self) -> GateLimits {
        GateLimits {
            spacing: self.plan.throttle.map_or(0, |throttle| throttle.spacing.0),
            windows: Vec::new(),
            concurrent: self.plan.max_concurrent,
        }
    }
}

impl State {
    pub(super) fn batch_command(&mut self, command: &BatchCommand, fx: &mut Vec<Effect>) -> Reply {
        let done = match command {
            BatchCommand::Create { account, idempotency, plan } => self
                .tenant(*account)
                .and_then(|tenant| self.create_batch(tenant, *idempotency, plan)),
            BatchCommand::Start { account, batch } => {
                self.batch_named(*account, *batch).and_then(|batch| self.start_batch(batch, fx))
            }
            BatchCommand::Pause { account, batch } => {
                self.batch_named(*account, *batch).and_then(|batch| self.pause_batch(batch))
            }
            BatchCommand::Resume { account, batch } => {
                self.batch_named(*account, *batch).and_then(|batch| self.resume_batch(batch, fx))
            }
            BatchCommand::Cancel { account, batch, hang_up } => self
                .batch_named(*account, *batch)
                .and_then(|batch| match self.batches[batch].status {
                    BatchStatus::Completed | BatchStatus::Expired => Err(Reason::WrongState),
                    _ => Ok(self.cancel_batch(batch, *hang_up, fx)),
                }),
            BatchCommand::Take(lines) => self.take_lines(lines, fx),
            BatchCommand::Again(again) => self.place_again(again, fx),
            BatchCommand::Pace { account, batch, throttle, max_concurrent } => self
                .batch_named(*account, *batch)
                .and_then(|batch| self.pace_batch(batch, *throttle, *max_concurrent)),
            BatchCommand::Open { batch, openings } => self.reopen_batch(*batch, openings),
            BatchCommand::Told { batch, notice, accepted } => self.told(*batch, *notice, *accepted),
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
        if plan.openings.as_ref().is_some_and(|openings| !openings.are_well_formed()) {
            return Err(Reason::TooLarge);
        }
        self.batches_given += 1;
        let id = BatchId(self.batches_given);
        let gate = self.engine_of(plan.kind).add_gate(Scope::Batch);
        let batch = self.batches.insert(Batch {
            id,
            tenant,
            plan: Arc::new(plan.clone()),
            status: BatchStatus::Draft,
            gate,
            counts: Counts::default(),
            started: 0,
            created_at: now,
            started_at: None,
            ended_at: None,
            past_end: false,
            expired: false,
            unrecorded: 0,
            custom_ids: Names::default(),
            keys: Names::default(),
            again_through: Default::default(),
            opens_at: now,
            held_before_run_up: Reason::Ready,
            begin: NO_TIMER,
            close: NO_TIMER,
            end: NO_TIMER,
            upload: Upload::default(),
            notices: Notices::default(),
        });
        let pacing = self.batches[batch].pacing();
        let engine = self.engine_of(plan.kind);
        engine.set_gate(gate, pacing);
        engine.shut_gate(gate, Some(Reason::Draft));
        if let Some(end) = plan.not_after {
            self.batches[batch].end = self.expiries.set(end.0, Due::Batch.of(batch));
        }
        self.batch_index.insert(id, batch);
        self.tenants[tenant].batches.insert(id);
        let reply = Reply::Batch(id);
        self.tenants[tenant].remembered.put(idempotency, self.now, &reply);
        Ok(reply)
    }

    fn start_batch(&mut self, batch: u32, fx: &mut Vec<Effect>) -> Result<Reply, Reason> {
        match self.batches[batch].status {
            BatchStatus::Draft => {
                self.batches[batch].forget_names();
                self.open_batch(batch, fx);
            }
            BatchStatus::Scheduled | BatchStatus::Running => {}
            _ => return Err(Reason::WrongState),
        }
        Ok(Reply::Done)
    }

    fn pause_batch(&mut self, batch: u32) -> Result<Reply, Reason> {
        match self.batches[batch].status {
            BatchStatus::Scheduled | BatchStatus::Running => {
                self.batches[batch].status = BatchStatus::Paused;
                self.gate_batch(batch);
            }
            BatchStatus::Paused => {}
            _ => return Err(Reason::WrongState),
        }
        Ok(Reply::Done)
    }

    fn resume_batch(&mut self, batch: u32, fx: &mut Vec<Effect>) -> Result<Reply, Reason> {
        match self.batches[batch].status {
            BatchStatus::Paused => self.open_batch(batch, fx),
            BatchStatus::Scheduled | BatchStatus::Running => {}
            _ => return Err(Reason::WrongState),
        }
        Ok(Reply::Done)
    }

    /// Runs a batch, or schedules it for its time.
    fn open_batch(&mut self, batch: u32, fx: &mut Vec<Effect>) {
        self.run_up(batch);
        self.gate_batch(batch);
        self.settle_batch(batch, fx);
    }

    /// A batch is about to run: it opens behind its run-up, or is scheduled for its time.
    pub(super) fn run_up(&mut self, batch: u32) {
        let opens_at = Timestamp(self.now) + self.options.batch_run_up;
        let state = &mut self.batches[batch];
        let paused = state.status == BatchStatus::Paused;
        state.opens_at = opens_at;
        state.held_before_run_up = if paused { Reason::Paused } else { Reason::Ready };
        let later = state.plan.not_before.is_some_and(|begin| begin.0 > self.now);
        state.status = if later { BatchStatus::Scheduled } else { BatchStatus::Running };
    }

    /// Another pace, from now on.
    fn pace_batch(
        &mut self,
        batch: u32,
        throttle: Option<Throttle>,
        max_concurrent: Option<u32>,
    ) -> Result<Reply, Reason> {
        let state = &mut self.batches[batch];
        if state.has_ended() || state.status == BatchStatus::Cancelling {
            return Err(Reason::WrongState);
        }
        let plan = Arc::make_mut(&mut state.plan);
        (plan.throttle, plan.max_concurrent) = (throttle, max_concurrent);
        let (kind, gate, pacing) = (state.kind(), state.gate, state.pacing());
        self.engine_of(kind).set_gate(gate, pacing);
        Ok(Reply::Done)
    }

    /// Its calling hours were resolved anew.
    fn reopen_batch(&mut self, batch: BatchId, openings: &Openings) -> Result<Reply, Reason> {
        let id = self.batch_index.get(&batch).copied().ok_or(Reason::UnknownBatch)?;
        if !openings.are_well_formed() {
            return Err(Reason::TooLarge);
        }
        let state = &mut self.batches[id];
        if state.has_ended() || state.plan.openings.is_none() {
            return Err(Reason::WrongState);
        }
        Arc::make_mut(&mut state.plan).openings = Some(openings.clone());
        self.gate_batch(id);
        Ok(Reply::Done)
    }
}
