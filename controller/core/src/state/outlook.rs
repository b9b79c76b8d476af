//! The copy by which starts are foretold ([`crate::forward`]), and the questions that it is taken for.

use std::sync::Arc;

use busyhour_base::{AccountSid, Reason, Span};

use super::{State, calls::Stage, declare, tick::Due};
use crate::{
    engine::{ledger::Contract, ring::NIL, wheel::NO_TIMER},
    forward::{
        Amount, COPY_BYTES_MAX, Change, Holding, InProgress, Inquiry, Outlook, Proposal, Target,
        Timed,
    },
    spec::{BatchId, CallId, Cap, Limits, Throttle},
};

impl State {
    /// A copy of what decides when requests start; `None` if that is more than may be copied while entries wait.
    pub fn outlook(&self) -> Option<Outlook> {
        let beside = self.lanes.bytes() + self.live.bytes() + self.requests.aside_bytes();
        let holding = self.tenants.len() * size_of::<[Holding; 8]>();
        if self.engine.bytes() + beside + holding > COPY_BYTES_MAX {
            return None;
        }
        let busy = self
            .tenants
            .iter()
            .filter(|(_, tenant)| tenant.counts.queued + tenant.counts.in_progress > 0);
        let waits = self.accounts.iter().filter(|(_, id)| self.tenants[**id].counts.queued > 0);
        let batches = self.batches.iter().filter(|(_, batch)| batch.lane != NIL);
        Some(Outlook {
            engine: self.engine.clone(),
            now: self.now,
            in_progress: self.in_progress().collect(),
            timed: self.timed().collect(),
            tenant_of: self.lanes.iter().map(|(lane, owner)| (lane, owner.tenant)).collect(),
            holding: busy.map(|(id, tenant)| (id, tenant.holding.clone())).collect(),
            holding_all: self.holding.clone(),
            accounts: waits.map(|(account, id)| (*account, self.lanes_of(*id))).collect(),
            batches: batches.map(|(_, batch)| (batch.id, batch.lane)).collect(),
        })
    }

    /// When a waiting call starts, and what would change it. `None` if it does not wait, or if there is no outlook.
    pub fn inquire_call(&self, call: CallId) -> Option<Inquiry> {
        let request = self.requests.find(call)?;
        let lane = self.requests.lane(request);
        let ahead = match self.requests.stage(request) {
            Stage::Scheduled => 0,
            Stage::Queued => {
                let mut queue = self.engine.lane_requests(lane);
                queue.position(|other| other == request)? as u64
            }
            _ => return None,
        };
        let target = Target::Request { request, lane, ahead };
        self.inquiry(target, self.lanes[lane].tenant)
    }

    /// When the last call of a batch starts.
    pub fn inquire_batch(&self, batch: BatchId) -> Option<Inquiry> {
        let batch = &self.batches[*self.batch_index.get(&batch)?];
        let lanes = [batch.lane].into_iter().filter(|lane| *lane != NIL).collect();
        self.inquiry(Target::Lanes(lanes), batch.tenant)
    }

    /// When the last call of a tenant starts.
    pub fn inquire_tenant(&self, account: AccountSid) -> Option<Inquiry> {
        let tenant = *self.accounts.get(&account)?;
        self.inquiry(Target::Lanes(self.lanes_of(tenant)), tenant)
    }

    fn inquiry(&self, target: Target, tenant: u32) -> Option<Inquiry> {
        let mut proposals = Vec::new();
        self.propose_for_tenant(tenant, &mut proposals);
        self.propose_for_carriers(&mut proposals);
        self.propose_for_agents(&mut proposals);
        Some(Inquiry { outlook: self.outlook()?, target, proposals })
    }

    /// The lanes of a tenant.
    fn lanes_of(&self, tenant: u32) -> Vec<u32> {
        let state = &self.tenants[tenant];
        let batches = state.batches.iter().map(|id| self.batches[self.batch_index[id]].lane);
        let lanes = state.direct.iter().copied().chain(batches);
        lanes.filter(|lane| *lane != NIL).collect()
    }

    fn in_progress(&self) -> impl Iterator<Item = InProgress> {
        self.live.iter().map(|(_, live)| InProgress {
            lane: self.requests.lane(live.request),
            carrier: live.carrier,
            worker: live.agent,
            elapsed: self.now.saturating_sub(live.dialled_at),
        })
    }

    fn timed(&self) -> impl Iterator<Item = (u32, Timed)> {
        let calls = self.requests.scheduled().map(|(number, request)| {
            (Due::Call.of(number), Timed::Begins { request, lane: self.requests.lane(request) })
        });
        let batches = self.batches.iter().filter(|(_, batch)| batch.begin != NO_TIMER);
        let batches =
            batches.map(|(id, batch)| (Due::Batch.of(id), Timed::Opens { lane: batch.lane }));
        calls.chain(batches)
    }

    /// A throttle twice as fast, and caps half as large again.
    fn propose_for_tenant(&self, id: u32, proposals: &mut Vec<(Proposal, Change)>) {
        let account = self.tenants[id].account;
        let tenants = &self.declaration.tenants;
        let Some(tenant) = tenants.iter().find(|tenant| tenant.account == account) else {
            return; // Not declared any more: nothing of it can be changed.
        };
        let mut propose = |limit, from, to, change: &dyn Fn(&mut Limits)| {
            let mut changed = tenant.clone();
            change(&mut changed.limits);
            let proposal = Proposal { limit, of: Arc::clone(&tenant.name), from, to };
            proposals.push((proposal, Change::Tenant(id, declare::limits(&changed))));
        };
        if let Some(Throttle { spacing }) = tenant.limits.throttle {
            let half = Span(spacing.0.div_ceil(2));
            propose(Reason::Throttle, Amount::Spacing(spacing), Amount::Spacing(half), &|limits| {
                limits.throttle = Some(Throttle { spacing: half });
            });
        }
        for (n, Cap { count, window }) in tenant.limits.caps.iter().copied().enumerate() {
            let more = count.saturating_add(count.div_ceil(2));
            propose(Reason::Cap, Amount::Count(count), Amount::Count(more), &|limits| {
                limits.caps[n] = Cap { count: more, window };
            });
        }
    }

    /// A fifth more channels, ports, or calls per second.
    fn propose_for_carriers(&self, proposals: &mut Vec<(Proposal, Change)>) {
        let more = |count: u32| count.saturating_add(count.div_ceil(5));
        for (name, id) in &self.carrier_names {
            let contract = *self.engine.ledger().get(*id).contract();
            let Contract { channels, ports, spacing } = contract;
            if channels == 0 {
                continue;
            }
            let mut propose = |limit, from, to, contract| {
                let proposal = Proposal { limit, of: Arc::clone(name), from, to };
                proposals.push((proposal, Change::Carrier(*id, contract)));
            };
            let (from, to) = (Amount::Count(channels), Amount::Count(more(channels)));
            let ports = if ports == channels { more(channels) } else { ports };
            let larger = Contract { channels: more(channels), ports, ..contract };
            propose(Reason::CarrierChannels, from, to, larger);
            if contract.ports < channels {
                let ports = more(contract.ports).min(channels);
                let (from, to) = (Amount::Count(contract.ports), Amount::Count(ports));
                propose(Reason::ServicePorts, from, to, Contract { ports, ..contract });
            }
            if spacing > 0 {
                let closer = spacing * 5 / 6;
                let (from, to) = (Amount::Spacing(Span(spacing)), Amount::Spacing(Span(closer)));
                propose(Reason::CarrierRate, from, to, Contract { spacing: closer, ..contract });
            }
        }
    }

    /// A fifth more slots.
    fn propose_for_agents(&self, proposals: &mut Vec<(Proposal, Change)>) {
        let open = || self.engine.workers().iter().filter(|worker| worker.open);
        let slots: u32 = open().map(|worker| worker.slots).sum();
        let agents = open().count() as u32;
        if agents == 0 {
            return;
        }
        let more = slots.div_ceil(5).div_ceil(agents);
        let (from, to) = (Amount::Count(slots), Amount::Count(slots + more * agents));
        let proposal = Proposal { limit: Reason::Workers, of: "agents".into(), from, to };
        proposals.push((proposal, Change::Slots(more)));
    }
}
