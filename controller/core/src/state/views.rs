//! Read models: what API, metrics and live views see. Nothing here decides.

use std::{collections::BTreeMap, sync::Arc};

use busyhour_base::{AccountSid, Timestamp};

use super::{
    State,
    calls::{LaneOwner, Stage},
};
use crate::{
    effect::Phase,
    spec::{AgentIx, BatchId, CallId, Declaration, Kind},
    view::{AgentView, BatchView, CallView, QueueView, Record, TenantView, Totals},
};

impl State {
    /// One live call, or one that has ended and is not yet in the records.
    pub fn call(&self, call: CallId) -> Option<CallView> {
        self.requests.find(call).map(|id| self.call_view(id))
    }

    /// The calls of an account, newest first, beginning below `before`.
    pub fn calls_of(
        &self,
        account: AccountSid,
        before: Option<CallId>,
    ) -> impl Iterator<Item = CallView> {
        let tenant = self.accounts.get(&account).map(|id| &self.tenants[*id]);
        // Whoever pages on through the records asks below every call that is here.
        let before = before.unwrap_or(CallId(u64::MAX));
        let calls = tenant.map(|tenant| tenant.calls);
        let calls = calls.filter(|calls| calls.oldest().is_some_and(|oldest| oldest < before.0));
        calls
            .into_iter()
            .flat_map(move |calls| self.requests.listed_back(calls, before))
            .map(|id| self.call_view(id))
    }

    /// The calls of a batch that are in the state, oldest first.
    pub fn batch_calls(&self, batch: BatchId) -> impl Iterator<Item = CallView> {
        let number = self.batch_index.get(&batch).copied();
        number.into_iter().flat_map(move |number| {
            self.requests
                .listed(self.tenants[self.batches[number].tenant].calls)
                .filter(move |id| self.lanes[self.requests.lane(*id)].batch == Some(number))
                .map(|id| self.call_view(id))
        })
    }

    /// The calls in progress at an agent: number, attempt and phase, in order of number.
    pub fn calls_at(&self, agent: AgentIx) -> impl Iterator<Item = (CallId, u16, Phase)> {
        let mut calls: Vec<_> = self
            .live
            .iter()
            .filter(|(_, live)| live.agent == agent.0)
            .map(|(_, live)| {
                let id = live.request;
                (self.requests.call(id), self.requests.attempt(id), live.phase)
            })
            .collect();
        calls.sort_unstable();
        calls.into_iter()
    }

    fn call_view(&self, id: u32) -> CallView {
        let requests = &self.requests;
        let LaneOwner { tenant, batch, .. } = self.lanes[requests.lane(id)];
        let mut view = CallView {
            call: requests.call(id),
            account: self.tenants[tenant].account,
            spec: requests.spec(id),
            phase: Phase::Queued,
            attempt: requests.attempt(id),
            agent: None,
            carrier: None,
            accepted_at: requests.accepted_at(id),
            queue_time: requests.wait(id),
            held_by: None,
            dialled_at: None,
            answered_at: None,
            ended_at: None,
            ending: None,
            not_before: requests.times(id).not_before,
            batch: batch.map(|batch| self.batches[batch].id),
            custom_id: requests.custom_id(id),
            earlier: self.earlier.get(&id).cloned().unwrap_or_default(),
        };
        match requests.stage(id) {
            Stage::Scheduled | Stage::Queued => {}
            Stage::Offered => {
                view.phase = Phase::Ringing;
                if let Some(ringing) = self.ringing.get(&id) {
                    view.agent = Some(AgentIx(ringing.agent));
                    view.carrier = Some(Arc::clone(&self.carriers[ringing.carrier].name));
                }
                view.queue_time = Timestamp(self.now).since(view.accepted_at);
            }
            Stage::Live(live) => {
                let live = &self.live[live];
                view.phase = live.phase;
                view.agent = Some(AgentIx(live.agent));
                view.carrier = Some(Arc::clone(&self.carriers[live.carrier].name));
                view.held_by = Some(live.held_by);
                view.dialled_at = Some(Timestamp(live.dialled_at));
                view.answered_at = live.answered_at.map(Timestamp);
            }
            Stage::Ended(_) => {
                if let Some(record) = self.record_of(id) {
                    view.phase = Phase::Ended(record.ending.outcome);
                    view.agent = record.agent.as_ref().and_then(|name| self.agent_ix(name));
                    view.carrier = record.carrier.clone();
                    view.held_by = record.dialled_at.map(|_| record.held_by);
                    view.dialled_at = record.dialled_at;
                    view.answered_at = record.answered_at;
                    view.ended_at = Some(record.ended_at);
                    view.ending = Some(record.ending.clone());
                    view.earlier.clone_from(&record.earlier);
                }
            }
        }
        if let Some(end) = view.dialled_at.or(view.ended_at) {
            view.queue_time = end.since(view.accepted_at);
        }
        view
    }

    /// The record of an ended call.
    pub(super) fn record_of(&self, id: u32) -> Option<&Record> {
        let Stage::Ended(seq) = self.requests.stage(id) else { return None };
        let first = self.outbox.front()?.seq;
        self.outbox.get(usize::try_from(seq.checked_sub(first)?).ok()?)
    }

    /// Finished calls that are not in the records, oldest first, at most `max`.
    pub fn outbox(&self, max: usize) -> impl Iterator<Item = &Record> {
        self.outbox.iter().take(max)
    }

    /// One batch.
    pub fn batch(&self, batch: BatchId) -> Option<BatchView> {
        self.batch_index.get(&batch).map(|id| self.batch_view(*id))
    }

    /// The batches of an account, newest first.
    pub fn batches_of(&self, account: AccountSid) -> impl Iterator<Item = BatchView> {
        let tenant = self.accounts.get(&account).map(|id| &self.tenants[*id]);
        tenant
            .into_iter()
            .flat_map(|tenant| tenant.batches.iter().rev())
            .map(|id| self.batch_view(self.batch_index[id]))
    }

    /// Whether every request of a batch that has ended is in the records; `None` for a batch that is not in the state.
    pub fn batch_recorded(&self, batch: BatchId) -> Option<bool> {
        let batch = &self.batches[*self.batch_index.get(&batch)?];
        Some(batch.has_ended() && batch.unrecorded == 0)
    }

    fn batch_view(&self, id: u32) -> BatchView {
        let (batch, now) = (&self.batches[id], Timestamp(self.now));
        let tenant = &self.tenants[batch.tenant];
        let eta = match batch.kind() {
            Kind::Call => self.eta_of(&self.lanes_of_batch(id)),
            Kind::Message => self.eta_of_messages(id),
        };
        BatchView {
            batch: batch.id,
            account: tenant.account,
            spacing: self.spacing_of_batch(id),
            plan: Arc::clone(&batch.plan),
            status: batch.shown_status(),
            counts: batch.counts,
            started: batch.started,
            created_at: batch.created_at,
            started_at: batch.started_at,
            ended_at: batch.ended_at,
            eta,
            shut_by: batch.shut_by(now, now).filter(|_| !batch.has_ended()),
            upload: batch.upload.view(),
            owed: batch.notices.owed,
            again_through: batch.again_through,
        }
    }

    /// Every tenant, in order of account.
    pub fn tenants(&self) -> impl Iterator<Item = TenantView> {
        self.accounts.values().map(|id| self.tenant_view(*id))
    }

    /// The tenants with the most calls and messages waiting and in progress, at most so many, in order of account. The others cost a look
    /// at their counts.
    pub fn busiest(&self, max: usize) -> Vec<TenantView> {
        let busy = |id: &u32| {
            let (counts, messages) = (&self.tenants[*id].counts, self.message_counts(*id));
            let calls = counts.queued + counts.in_progress;
            std::cmp::Reverse(calls + messages.waiting + messages.sending)
        };
        let mut chosen: Vec<_> = self.accounts.values().copied().collect();
        if chosen.len() > max {
            chosen.select_nth_unstable_by_key(max, |id| (busy(id), *id));
            chosen.truncate(max);
            chosen.sort_unstable_by_key(|id| self.tenants[*id].account);
        }
        chosen.into_iter().map(|id| self.tenant_view(id)).collect()
    }

    /// One tenant.
    pub fn tenant_of(&self, account: AccountSid) -> Option<TenantView> {
        self.accounts.get(&account).map(|id| self.tenant_view(*id))
    }

    /// The tenant of a name.
    pub fn tenant_named(&self, name: &str) -> Option<TenantView> {
        let mut ids = self.accounts.values();
        ids.find(|id| *self.tenants[**id].name == *name).map(|id| self.tenant_view(*id))
    }

    fn tenant_view(&self, id: u32) -> TenantView {
        let tenant = &self.tenants[id];
        TenantView {
            account: tenant.account,
            name: Arc::clone(&tenant.name),
            counts: tenant.counts,
            bytes: tenant.bytes,
            bytes_max: tenant.limits.queue_bytes_max,
            dialled_10s: tenant.dialled.read(self.now),
            spacing: tenant.limits.throttle.map(|throttle| throttle.spacing),
            eta: self.eta_of(&self.lanes_of(id)),
            inbound: tenant.inbound,
            messages: self.message_counts(id),
        }
    }

    /// All tenants together.
    pub fn totals(&self) -> Totals {
        Totals {
            tenants: self.accounts.len(),
            queued: self.calls_waiting() as u64,
            in_progress: self.calls_in_progress() as u64,
        }
    }

    /// The queues of a tenant in which something waits or of which something is in progress.
    pub fn queues_of(&self, account: AccountSid) -> impl Iterator<Item = QueueView> {
        let tenant = self.accounts.get(&account).copied();
        let tenant = tenant.map(|id| self.call_queues(id).chain(self.message_queues(id)));
        let queues = tenant.into_iter().flatten();
        queues.filter(|queue| queue.waiting + queue.in_progress > 0)
    }

    /// The queues of a tenant in which calls wait that a carrier can serve.
    pub fn queues_for(
        &self,
        account: AccountSid,
        carrier: &str,
    ) -> impl Iterator<Item = QueueView> {
        let of = self.accounts.get(&account).zip(self.carrier_names.get(carrier));
        of.into_iter().flat_map(|(tenant, carrier)| {
            let lanes = self.tenants[*tenant].lanes.values();
            let served = self.call_queues(*tenant).zip(lanes);
            let served = served
                .filter(|(queue, lane)| queue.waiting > 0 && self.may_go_over(**lane, *carrier));
            served.map(|(queue, _)| queue)
        })
    }

    /// In the order of the tenant's lanes.
    fn call_queues(&self, tenant: u32) -> impl Iterator<Item = QueueView> {
        let state = &self.tenants[tenant];
        let applications = state.applications.iter().map(|(sid, scope)| (scope.gate, *sid));
        let applications: BTreeMap<_, _> = applications.collect();
        let numbers = state.numbers.iter().map(|(number, scope)| (scope.gate, number));
        let numbers: BTreeMap<_, _> = numbers.collect();
        state.lanes.iter().map(move |(key, lane)| QueueView {
            kind: Kind::Call,
            application: applications.get(&key.application).copied(),
            number: numbers.get(&key.number).map(|number| Arc::clone(number)),
            urgency: self.engine.lane_urgency(*lane),
            batch: self.lanes[*lane].batch.map(|batch| self.batches[batch].id),
            waiting: self.engine.lane_len(*lane),
            units: self.engine.lane_len(*lane).into(),
            in_progress: self.engine.lane_in_progress(*lane),
            held_by: self.engine.lane_held_by(*lane),
        })
    }

    /// Every agent, in order of number.
    pub fn agents(&self) -> impl Iterator<Item = AgentView> {
        self.agents.iter().zip(self.engine.workers().iter()).enumerate().map(
            |(id, (agent, worker))| AgentView {
                agent: AgentIx(id as u16),
                name: Arc::clone(&agent.name),
                incarnation: agent.incarnation,
                connected: agent.connected,
                slots: worker.slots,
                in_use: worker.in_use,
                cpu_permille: worker.cpu_permille,
                draining: agent.draining,
                fence: agent.fence,
            },
        )
    }

    /// An agent's name.
    pub fn agent_name(&self, agent: AgentIx) -> Option<&Arc<str>> {
        Some(&self.agents.get(usize::from(agent.0))?.name)
    }

    /// The number of the agent of a name.
    pub fn agent_ix(&self, name: &str) -> Option<AgentIx> {
        self.agent_names.get(name).map(|id| AgentIx(*id))
    }

    /// Calls that wait, over all tenants.
    pub fn calls_waiting(&self) -> usize {
        self.requests.len() - self.live.len() - self.outbox.len()
    }

    /// Calls that were dialled and are not over, over all tenants.
    pub fn calls_in_progress(&self) -> usize {
        self.live.len()
    }

    /// What is declared.
    pub fn declaration(&self) -> &Declaration {
        &self.declaration
    }

    /// Reports that fitted no attempt in progress: repeats, mostly.
    pub const fn stray_reports(&self) -> u64 {
        self.stray_reports
    }

    /// Entries that came with an instant before the last one's, which they count as of.
    pub const fn clock_backs(&self) -> u64 {
        self.clock_backs
    }
}
