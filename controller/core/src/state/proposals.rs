//! Limits that could be moved, for [`super::outlook`]: what each would bring is found by running ahead with it moved.

use std::{collections::BTreeMap, sync::Arc};

use busyhour_base::{Reason, Span};

use super::{State, calls::LaneOwner, declare};
use crate::{
    engine::{
        Engine,
        gate::GateLimits,
        ledger::{Contract, shares},
        ring::NIL,
    },
    forward::{Amount, Change, Proposal, Target},
    spec::{Cap, Channels, Limits, Throttle},
};

/// Gates of batches, applications and numbers that are tried at most, and lanes that are looked at for them: each
/// that binds is a forecast of its own.
const GATES_MAX: usize = 8;

/// What could be moved, and how that is done.
pub(super) type Proposals = Vec<(Proposal, Change)>;

impl State {
    /// A throttle twice as fast, and caps half as large again.
    pub(super) fn propose_for_tenant(&self, id: u32, proposals: &mut Proposals) {
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
    pub(super) fn propose_for_gates(&self, target: &Target, proposals: &mut Proposals) {
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
            propose_for_gate(&self.engine, gate, &of, proposals);
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
    pub(super) fn propose_for_shares(&self, tenant: u32, proposals: &mut Proposals) {
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

    /// The carriers' channels, ports and calls per second.
    pub(super) fn propose_for_carriers(
        &self,
        wanted: impl Fn(&Arc<str>, u32) -> bool,
        proposals: &mut Proposals,
    ) {
        for (name, id) in self.carrier_names.iter().filter(|(name, id)| wanted(name, **id)) {
            propose_for_carrier(&self.engine, *id, name, proposals);
        }
    }

    /// A fifth more slots.
    pub(super) fn propose_for_agents(&self, proposals: &mut Proposals) {
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

/// A throttle twice as fast, caps half as large again, and half as many calls at once again.
pub(super) fn propose_for_gate(
    engine: &Engine,
    gate: u32,
    of: &Arc<str>,
    proposals: &mut Proposals,
) {
    let (limits, (throttle, cap)) = engine.limits_of(gate);
    let mut propose = |limit, from, to, limits| {
        let proposal = Proposal { limit, of: Arc::clone(of), from, to };
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

/// A fifth more channels, ports, or calls per second; all channels active; a fifth less held for inbound calls.
pub(super) fn propose_for_carrier(
    engine: &Engine,
    id: u32,
    name: &Arc<str>,
    proposals: &mut Proposals,
) {
    let more = |count: u32| count.saturating_add(count.div_ceil(5));
    let contract = *engine.ledger().get(id).contract();
    let Contract { ports, spacing, .. } = contract;
    let channels = contract.channels.total();
    if channels == 0 {
        return;
    }
    let mut propose = |limit, from, to, contract| {
        let proposal = Proposal { limit, of: Arc::clone(name), from, to };
        proposals.push((proposal, Change::Carrier(id, contract)));
    };
    let (from, to) = (Amount::Count(channels), Amount::Count(more(channels)));
    let ports = if ports == channels { more(channels) } else { ports };
    let further = more(channels) - channels;
    let larger = |of: Channels| Channels { both: of.both + further, ..of };
    let (all, allocated) = (larger(contract.channels), larger(contract.allocated));
    let larger = Contract { channels: all, allocated, activation: 0, ports, ..contract };
    propose(Reason::CarrierChannels, from, to, larger);
    if contract.allocated != contract.channels {
        let (from, to) = (Amount::Count(contract.allocated.total()), Amount::Count(channels));
        let active = Contract { allocated: contract.channels, activation: 0, ..contract };
        propose(Reason::ChannelsInactive, from, to, active);
    }
    if contract.reserve > 0 {
        let reserve = contract.reserve - contract.reserve.div_ceil(5);
        let (from, to) = (Amount::Count(contract.reserve), Amount::Count(reserve));
        propose(Reason::ChannelsReserved, from, to, Contract { reserve, ..contract });
    }
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
