//! The copy by which starts are foretold ([`crate::forward`]), and the questions that it is taken for.

use std::{collections::BTreeMap, sync::Arc};

use busyhour_base::{Reason, Span, Timestamp};

use super::{
    State,
    calls::{LaneOwner, Stage, asked},
    declare,
    tick::Due,
};
use crate::{
    effect::Phase,
    engine::{
        gate::GateLimits,
        ledger::{Contract, shares},
        ring::NIL,
        wheel::NO_TIMER,
    },
    forward::{
        About, Amount, COPY_BYTES_MAX, Change, Holding, InProgress, Inquiry, Outlook, Proposal,
        Target, Timed,
    },
    spec::{Cap, Channels, Limits, Throttle},
};

/// Gates of batches, applications and numbers that are tried at most, and lanes that are looked at for them: each
/// that binds is a forecast of its own.
const GATES_MAX: usize = 8;

impl State {
    /// A copy of what decides when requests start; `None` if that is more than may be copied while entries wait.
    /// It counts from `now`, or from the last entry if that is later.
    pub fn outlook(&self, now: Timestamp) -> Option<Outlook> {
        let now = now.0.max(self.now);
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
        let batches = self.batches.iter().filter(|(_, batch)| batch.gate != NIL);
        Some(Outlook {
            engine: self.engine.clone(),
            now,
            in_progress: self.in_progress(now).collect(),
            timed: self.timed().collect(),
            tenant_of: self.lanes.iter().map(|(lane, owner)| (lane, owner.tenant)).collect(),
            holding: busy.map(|(id, tenant)| (id, tenant.holding.clone())).collect(),
            holding_all: self.holding.clone(),
            accounts: waits.map(|(account, id)| (*account, self.lanes_of(*id))).collect(),
            batches: batches.map(|(id, batch)| (batch.id, self.lanes_of_batch(id))).collect(),
        })
    }

    /// A question with all that is needed to answer it. `None` if nothing waits there, or if there is no outlook.
    pub fn inquire(&self, about: &About, now: Timestamp) -> Option<Inquiry> {
        let mut proposals = Vec::new();
        let (target, tenant) = match about {
            About::Call(call) => {
                let request = self.requests.find(*call)?;
                let lane = self.requests.lane(request);
                let ahead = self.ahead_in_lane(request)?;
                (Target::Request { request, lane, ahead }, Some(self.lanes[lane].tenant))
            }
            About::Batch(batch) => {
                let batch = *self.batch_index.get(batch)?;
                (Target::Lanes(self.lanes_of_batch(batch)), Some(self.batches[batch].tenant))
            }
            About::Tenant(account) => {
                let tenant = *self.accounts.get(account)?;
                (Target::Lanes(self.lanes_of(tenant)), Some(tenant))
            }
            About::Carrier(name) => {
                self.carrier_names.get(name)?;
                (Target::Lanes(self.lanes.iter().map(|(lane, _)| lane).collect()), None)
            }
        };
        if let Some(tenant) = tenant {
            self.propose_for_tenant(tenant, &mut proposals);
            self.propose_for_gates(&target, &mut proposals);
            self.propose_for_shares(tenant, &mut proposals);
            self.propose_for_agents(&mut proposals);
        }
        let only = |name: &Arc<str>| match about {
            About::Carrier(only) => only == name,
            _ => true,
        };
        self.propose_for_carriers(only, &mut proposals);
        Some(Inquiry { outlook: self.outlook(now)?, target, proposals })
    }

    /// How many others of its lane go before a waiting request; `None` if it does not wait.
    fn ahead_in_lane(&self, request: u32) -> Option<u64> {
        match self.requests.stage(request) {
            Stage::Scheduled => Some(0),
            Stage::Queued => {
                let mut queue = self.engine.lane_requests(self.requests.lane(request));
                Some(queue.position(|other| other == request)? as u64)
            }
            _ => None,
        }
    }

    fn in_progress(&self, now: u64) -> impl Iterator<Item = InProgress> {
        self.live.iter().map(move |(_, live)| InProgress {
            lane: self.requests.lane(live.request),
            carrier: live.carrier,
            worker: live.agent,
            elapsed: now.saturating_sub(live.dialled_at),
            leased: live.phase == Phase::Dialling,
        })
    }

    fn timed(&self) -> impl Iterator<Item = (u32, Timed)> {
        let calls = self.requests.scheduled().map(|(number, request)| {
            let lane = self.requests.lane(request);
            let asked = asked(self.requests.call(request));
            (Due::Call.of(number), Timed::Begins { request, lane, asked })
        });
        let batches = self.batches.iter().filter(|(_, batch)| batch.begin != NO_TIMER);
        let batches =
            batches.map(|(id, batch)| (Due::Batch.of(id), Timed::Opens { gate: batch.gate }));
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

    /// The same for the batches, applications and numbers that are asked about, and half as many calls at once again.
    fn propose_for_gates(&self, target: &Target, proposals: &mut Vec<(Proposal, Change)>) {
        let lanes = match target {
            Target::Request { lane, .. } => std::slice::from_ref(lane),
            Target::Lanes(lanes) => lanes,
        };
        let mut gates = BTreeMap::new();
        for lane in lanes.iter().take(GATES_MAX) {
            for (gate, name) in self.named_gates(*lane) {
                if gates.len() < GATES_MAX {
                    gates.entry(gate).or_insert(name);
                }
            }
        }
        for (gate, of) in gates {
            let (limits, (throttle, cap)) = self.engine.limits_of(gate);
            let mut propose = |limit, from, to, limits| {
                let proposal = Proposal { limit, of: Arc::clone(&of), from, to };
                proposals.push((proposal, Change::Gate(gate, limits)));
            };
            if limits.spacing > 0 {
                let half = limits.spacing.div_ceil(2);
                let [from, to] = [limits.spacing, half].map(|us| Amount::Spacing(Span(us)));
                propose(throttle, from, to, GateLimits { spacing: half, ..limits.clone() });
            }
            if let Some(most) = limits.concurrent {
                let more = most.saturating_add(most.div_ceil(2));
                let [from, to] = [most, more].map(Amount::Count);
                let limits = GateLimits { concurrent: Some(more), ..limits.clone() };
                propose(Reason::BatchConcurrency, from, to, limits);
            }
            for n in 0..limits.windows.len() {
                let mut limits = limits.clone();
                let count = limits.windows[n].count;
                let more = count.saturating_add(count.div_ceil(2));
                limits.windows[n].count = more;
                propose(cap, Amount::Count(count), Amount::Count(more), limits);
            }
        }
    }

    /// The gates of a lane's batch, application and number, with their names.
    fn named_gates(&self, lane: u32) -> impl Iterator<Item = (u32, Arc<str>)> {
        let LaneOwner { tenant, batch, key, .. } = &self.lanes[lane];
        let state = &self.tenants[*tenant];
        let batch = batch.map(|id| Arc::from(self.batches[id].plan.name.as_str()));
        let application = state.applications.iter().find(|(_, one)| one.gate == key.application);
        let application = application.map(|(sid, _)| Arc::from(sid.to_string()));
        let number = state.numbers.iter().find(|(_, one)| one.gate == key.number);
        let number = number.map(|(number, _)| Arc::clone(number));
        let gates = [(key.batch, batch), (key.application, application), (key.number, number)];
        let gates = gates.into_iter().filter(|(gate, _)| *gate != NIL);
        gates.filter_map(|(gate, name)| Some((gate, name?)))
    }

    /// A maximum share that is a fifth larger.
    fn propose_for_shares(&self, tenant: u32, proposals: &mut Vec<(Proposal, Change)>) {
        for share in self.engine.ledger().shares().of(tenant) {
            let maximum = share.terms.maximum;
            let more = maximum.saturating_add(maximum.div_ceil(5));
            if more == maximum {
                continue; // Without a bound.
            }
            let of = Arc::clone(&self.tenants[tenant].name);
            let (from, to) = (Amount::Count(maximum), Amount::Count(more));
            let terms = shares::Terms { maximum: more, ..share.terms };
            let proposal = Proposal { limit: Reason::TenantChannels, of, from, to };
            proposals.push((proposal, Change::Share(tenant, share.group, terms)));
        }
    }

    /// A fifth more channels, ports, or calls per second.
    fn propose_for_carriers(
        &self,
        wanted: impl Fn(&Arc<str>) -> bool,
        proposals: &mut Vec<(Proposal, Change)>,
    ) {
        let more = |count: u32| count.saturating_add(count.div_ceil(5));
        for (name, id) in self.carrier_names.iter().filter(|(name, _)| wanted(name)) {
            let contract = *self.engine.ledger().get(*id).contract();
            let Contract { ports, spacing, .. } = contract;
            let channels = contract.channels.total();
            if channels == 0 {
                continue;
            }
            let mut propose = |limit, from, to, contract| {
                let proposal = Proposal { limit, of: Arc::clone(name), from, to };
                proposals.push((proposal, Change::Carrier(*id, contract)));
            };
            let (from, to) = (Amount::Count(channels), Amount::Count(more(channels)));
            let ports = if ports == channels { more(channels) } else { ports };
            let both = contract.channels.both + (more(channels) - channels);
            let all = Channels { both, ..contract.channels };
            let larger =
                Contract { channels: all, allocated: all, activation: 0, ports, ..contract };
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
