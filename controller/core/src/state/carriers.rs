//! Carriers as they are declared and as [`Capacity`] changes them, the groups that they form, and the tenants' shares of those.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use busyhour_base::{Reason, Span};
use serde::{Deserialize, Serialize};

use super::{State, meter::Meter, routing::ladders};
use crate::{
    command::Capacity,
    effect::{Effect, Reply},
    engine::ledger::{Contract, Direction, shares::Terms as ShareTerms, tariff::Terms},
    spec::{Carrier, Channels, Declaration, Share},
};

/// What the state keeps of a carrier beside the ledger's part of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct CarrierState {
    pub name: Arc<str>,
    pub quarantine: Span,
    /// Still in the declaration. If not, it goes when its last channel is free.
    pub declared: bool,
    /// Set-ups of the last second.
    pub setups: Meter,
    /// Said since it was declared so.
    said: Said,
}

/// What [`Capacity`] said last of a carrier, as far as the declaration has not said another thing since.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
struct Said {
    active: Option<Channels>,
    reserve: Option<u32>,
    margin: Option<u32>,
}

impl Said {
    /// What the declaration changed is not as it was said before.
    fn forget_changed(&mut self, before: &Carrier, now: &Carrier) {
        if before.allocation.active != now.allocation.active || before.channels != now.channels {
            self.active = None;
        }
        if before.reserve != now.reserve {
            self.reserve = None;
        }
        if before.margin != now.margin {
            self.margin = None;
        }
    }

    /// A carrier as it was declared and as it is said to be since.
    fn applied(&self, carrier: &Carrier) -> Carrier {
        let mut carrier = carrier.clone();
        carrier.allocation.active = self.active.or(carrier.allocation.active);
        carrier.reserve = self.reserve.unwrap_or(carrier.reserve);
        carrier.margin = self.margin.unwrap_or(carrier.margin);
        carrier
    }
}

/// Declarations.
impl State {
    /// Whether carriers and shares fit together.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn may_declare(&self, new: &Declaration) -> Result<(), Reason> {
        let draft = Self::draft(new)?;
        if !self.engine.ledger().has_numbers_for(&draft) {
            return Err(Reason::TooLarge);
        }
        let twice = |shares: &[Share]| {
            let groups: BTreeSet<_> = shares.iter().map(|share| &share.group).collect();
            groups.len() < shares.len()
        };
        if new.tenants.iter().any(|tenant| twice(&tenant.shares)) {
            return Err(Reason::Duplicate);
        }
        let carriers = new.carriers.iter().map(|carrier| {
            let id = self.carrier_names.get(&carrier.name);
            let before = self.declaration.carriers.iter().find(|old| old.name == carrier.name);
            match (id.map(|id| self.carriers[*id].said), before) {
                (Some(mut said), Some(before)) => {
                    said.forget_changed(before, carrier);
                    said.applied(carrier)
                }
                _ => carrier.clone(),
            }
        });
        guarantees_fit(carriers, new)
    }

    /// Every group of carriers and shares has a number.
    pub(super) fn declare_groups(&mut self) {
        let declared = self.declaration.carriers.iter().map(|carrier| &carrier.group);
        let shares = self.declaration.tenants.iter().flat_map(|tenant| &tenant.shares);
        let names: Vec<_> = declared.chain(shares.map(|share| &share.group)).cloned().collect();
        for name in names {
            if !self.groups.contains_key(&name) {
                let used: BTreeSet<_> = self.groups.values().copied().collect();
                let free = (0..).find(|id| !used.contains(id)).expect("fewer than 65,536 groups");
                self.groups.insert(name, free);
            }
        }
    }

    /// Groups that nothing belongs to any more go.
    pub(super) fn forget_groups(&mut self) {
        let carriers = self.carriers.iter().map(|(id, _)| self.engine.ledger().get(id));
        let mut used: BTreeSet<u16> = carriers.map(|carrier| carrier.contract().group).collect();
        let shares = self.declaration.tenants.iter().flat_map(|tenant| &tenant.shares);
        used.extend(shares.filter_map(|share| self.groups.get(&share.group)));
        let gone = self.groups.extract_if(.., |_, id| !used.contains(id));
        for (_, id) in gone.collect::<Vec<_>>() {
            self.engine.forget_group(id);
        }
    }

    pub(super) fn declare_carrier(&mut self, carrier: &Carrier, before: Option<&Carrier>) {
        let group = self.groups[&carrier.group];
        let id = match self.carrier_names.get(&carrier.name) {
            Some(id) => {
                let id = *id;
                match before {
                    Some(before) => self.carriers[id].said.forget_changed(before, carrier),
                    None => self.carriers[id].said = Said::default(),
                }
                if self.engine.ledger().get(id).contract().group != group {
                    let calls = self.live.iter().filter(|(_, live)| live.carrier == id);
                    let calls = calls.map(|(_, live)| {
                        let lane = self.requests.lane(live.request);
                        let direction = match self.is_inbound(live.request) {
                            true => Direction::Inbound,
                            false => Direction::Outbound,
                        };
                        (self.lanes[lane].tenant, direction)
                    });
                    self.engine.regroup_carrier(id, group, calls.collect());
                }
                let carrier = self.carriers[id].said.applied(carrier);
                let contract = contract(&carrier, group);
                if *self.engine.ledger().get(id).contract() != contract {
                    self.engine.set_carrier(id, contract);
                }
                id
            }
            None => {
                let id = self.carriers.insert(CarrierState {
                    name: Arc::clone(&carrier.name),
                    quarantine: carrier.quarantine,
                    declared: true,
                    setups: Meter::new(100_000),
                    said: Said::default(),
                });
                let same = self.engine.add_carrier(contract(carrier, group));
                assert_eq!(id, same, "state and engine number their carriers alike");
                self.carrier_names.insert(Arc::clone(&carrier.name), id);
                id
            }
        };
        self.engine.set_tariff(id, terms(carrier));
        let present = &mut self.carriers[id];
        (present.declared, present.quarantine) = (true, carrier.quarantine);
    }

    /// A carrier is not declared any more: it takes no call, and goes when its last channel is free.
    pub(super) fn drop_carrier(&mut self, id: u32, fx: &mut Vec<Effect>) {
        self.carriers[id].declared = false;
        self.offers_of_carrier_end(id, fx);
        let Contract { spacing, group, .. } = *self.engine.ledger().get(id).contract();
        self.engine.set_carrier(id, Contract { spacing, group, ..Contract::default() });
    }

    /// Carriers stand in the order of the declaration; those that are gone are forgotten when nothing
    /// is left of them.
    pub(super) fn order_carriers(&mut self) {
        let declared = self.declaration.carriers.iter();
        let mut order: Vec<_> = declared.map(|carrier| self.carrier_names[&carrier.name]).collect();
        let gone: Vec<_> =
            self.carriers.iter().filter(|(_, c)| !c.declared).map(|(id, _)| id).collect();
        for id in gone {
            let ledger = self.engine.ledger().get(id);
            // If it comes back, its calls per second count from the last one on (MT-12).
            let just_used = ledger.next_setup() > self.now;
            if ledger.in_use() + ledger.quarantined() > 0 || just_used {
                order.push(id);
                continue;
            }
            self.engine.remove_carrier(id);
            let carrier = self.carriers.remove(id).expect("the carrier exists");
            self.carrier_names.remove(&carrier.name);
        }
        self.engine.order_carriers(order);
    }

    /// Forgets carriers that are not declared any more, hold no channel and would take a call at once.
    pub(super) fn forget_carriers(&mut self) {
        if self.carriers.len() > self.declaration.carriers.len() {
            self.order_carriers();
            self.forget_groups();
        }
    }

    /// A tenant's shares from now on; those that it had and has no more end.
    pub(super) fn declare_shares(&mut self, tenant: u32, old: &[Share]) {
        let ended = old.iter().map(|share| (&share.group, ShareTerms::default()));
        let new = self.tenants[tenant].shares.iter().map(|share| {
            let expected = share.expected.max(share.guaranteed);
            let maximum = share.maximum.max(expected);
            let Share { guaranteed, lend_permille, .. } = *share;
            (&share.group, ShareTerms { guaranteed, expected, maximum, lend_permille })
        });
        let all: BTreeMap<_, _> = ended.chain(new).collect();
        for (group, terms) in all {
            if let Some(group) = self.groups.get(group) {
                self.engine.set_share(tenant, *group, terms);
            }
        }
    }
}

/// The planner's and the operator's word between declarations.
impl State {
    /// Changes how much of a carrier is used and kept (MT-14 to MT-16).
    pub(super) fn capacity(&mut self, capacity: &Capacity) -> Reply {
        let declared = self.declaration.carriers.iter();
        let Some(carrier) = declared.clone().find(|other| other.name == capacity.carrier) else {
            return Reply::Refused(Reason::CarrierUndeclared);
        };
        let beyond = |active: Channels| active.min(carrier.channels) != active;
        let most = carrier.channels.total();
        if capacity.active.is_some_and(beyond)
            || capacity.reserve.is_some_and(|reserve| reserve > carrier.channels.both)
            || capacity.margin.is_some_and(|margin| margin > most)
        {
            return Reply::Refused(Reason::TooLarge);
        }
        let id = self.carrier_names[&carrier.name];
        let mut said = self.carriers[id].said;
        said.active = capacity.active.or(said.active);
        said.reserve = capacity.reserve.or(said.reserve);
        said.margin = capacity.margin.or(said.margin);
        let applied = said.applied(carrier);
        let all = declared.map(|other| {
            let id = self.carrier_names[&other.name];
            if other.name == carrier.name {
                applied.clone()
            } else {
                self.carriers[id].said.applied(other)
            }
        });
        if let Err(reason) = guarantees_fit(all, &self.declaration) {
            return Reply::Refused(reason);
        }
        self.carriers[id].said = said;
        self.engine.set_carrier(id, contract(&applied, self.groups[&applied.group]));
        Reply::Done
    }
}

/// Whether what tenants are guaranteed of each group is no more than what is active of it.
fn guarantees_fit(
    carriers: impl Iterator<Item = Carrier>,
    declaration: &Declaration,
) -> Result<(), Reason> {
    let mut left: BTreeMap<Arc<str>, u64> = BTreeMap::new();
    for carrier in carriers {
        *left.entry(Arc::clone(&carrier.group)).or_default() +=
            u64::from(carrier.outbound_capacity());
    }
    for share in declaration.tenants.iter().flat_map(|tenant| &tenant.shares) {
        let room = left.get(&share.group).copied().unwrap_or(0);
        let room = room.checked_sub(u64::from(share.guaranteed)).ok_or(Reason::Overcommitted)?;
        left.insert(Arc::clone(&share.group), room);
    }
    Ok(())
}

fn contract(carrier: &Carrier, group: u16) -> Contract {
    Contract {
        channels: carrier.channels,
        allocated: carrier.allocated(),
        activation: carrier.allocation.activation.0,
        reserve: carrier.reserve,
        ports: carrier.service_ports.min(carrier.channels.total()),
        spacing: carrier.setup_spacing.0,
        margin: carrier.margin,
        group,
    }
}

/// Its own prices, and those of each of its destinations that has some.
fn terms(carrier: &Carrier) -> Terms {
    Terms {
        period: carrier.tariff.period,
        increment_s: carrier.tariff.increment.as_secs(),
        commitment: carrier.tariff.commitment,
        ladders: ladders(carrier),
    }
}
