//! `Declare`: the declared capacity, compared with what holds by account and by carrier's name. What has not changed is
//! left alone; queues keep their places; what is gone stays until its calls are over.

use std::{collections::BTreeSet, sync::Arc};

use busyhour_base::{Reason, Span};
use serde::{Deserialize, Serialize};

use super::{State, meter::Meter, tenants::TenantState};
use crate::{
    effect::{Effect, Reply},
    engine::{caps::Window, lanes::TenantLimits, ledger::Contract},
    spec::{Carrier, Declaration, Tenant},
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
}

impl State {
    pub(super) fn declare(&mut self, new: &Declaration, fx: &mut Vec<Effect>) -> Reply {
        let accounts: BTreeSet<_> = new.tenants.iter().map(|tenant| tenant.account).collect();
        let carriers: BTreeSet<_> = new.carriers.iter().map(|carrier| &carrier.name).collect();
        if accounts.len() < new.tenants.len() || carriers.len() < new.carriers.len() {
            return Reply::Refused(Reason::Duplicate);
        }
        let old = std::mem::replace(&mut self.declaration, new.clone());
        for tenant in &new.tenants {
            self.declare_tenant(tenant);
        }
        self.declare_messages(new);
        for tenant in old.tenants.iter().filter(|old| !accounts.contains(&old.account)) {
            self.drop_tenant(self.accounts[&tenant.account], fx);
        }
        for carrier in &new.carriers {
            self.declare_carrier(carrier);
        }
        for carrier in old.carriers.iter().filter(|old| !carriers.contains(&old.name)) {
            self.drop_carrier(self.carrier_names[&carrier.name]);
        }
        self.order_carriers();
        Reply::Done
    }

    fn declare_tenant(&mut self, tenant: &Tenant) {
        let id = match self.accounts.get(&tenant.account) {
            Some(id) => *id,
            None => {
                let state = TenantState::new(
                    tenant.account,
                    Arc::clone(&tenant.name),
                    tenant.limits.clone(),
                );
                let id = self.tenants.insert(state);
                let same = self.engine.add_tenant(limits(tenant));
                assert_eq!(id, same, "state and engine number their tenants alike");
                self.add_message_tenant(id);
                self.accounts.insert(tenant.account, id);
                id
            }
        };
        let present = &mut self.tenants[id];
        if present.limits != tenant.limits || present.suspended != tenant.suspended {
            self.engine.set_limits(id, limits(tenant));
        }
        present.name = Arc::clone(&tenant.name);
        present.limits = tenant.limits.clone();
        present.suspended = tenant.suspended;
        present.declared = true;
    }

    /// A tenant is not declared any more: what it has queued still starts, under the limits that it had. What only its
    /// own word could start, or what it was suspended from, ends now.
    fn drop_tenant(&mut self, id: u32, fx: &mut Vec<Effect>) {
        self.tenants[id].declared = false;
        for batch in self.tenants[id].batches.clone() {
            let batch = self.batch_index[&batch];
            if !self.batches[batch].runs_by_itself() {
                self.cancel_batch(batch, false, fx);
            }
        }
        if self.tenants[id].suspended {
            let waiting: Vec<_> = self.waiting_of(id).collect();
            for request in waiting {
                self.end_unsent(request, Reason::Suspended, fx);
            }
            self.end_waiting_messages(id, fx);
        }
        self.forget_if_gone(id);
    }

    fn declare_carrier(&mut self, carrier: &Carrier) {
        let contract = Contract {
            channels: carrier.channels.total(),
            ports: carrier.service_ports.min(carrier.channels.total()),
            spacing: carrier.setup_spacing.0,
        };
        match self.carrier_names.get(&carrier.name) {
            Some(id) => {
                if *self.engine.ledger().get(*id).contract() != contract {
                    self.engine.set_carrier(*id, contract);
                }
                let present = &mut self.carriers[*id];
                (present.declared, present.quarantine) = (true, carrier.quarantine);
            }
            None => {
                let id = self.carriers.insert(CarrierState {
                    name: Arc::clone(&carrier.name),
                    quarantine: carrier.quarantine,
                    declared: true,
                    setups: Meter::new(100_000),
                });
                let same = self.engine.add_carrier(contract);
                assert_eq!(id, same, "state and engine number their carriers alike");
                self.carrier_names.insert(Arc::clone(&carrier.name), id);
            }
        }
    }

    /// A carrier is not declared any more: it takes no call, and goes when its last channel is free.
    fn drop_carrier(&mut self, id: u32) {
        self.carriers[id].declared = false;
        let spacing = self.engine.ledger().get(id).contract().spacing;
        self.engine.set_carrier(id, Contract { channels: 0, ports: 0, spacing });
    }

    /// Carriers are tried in the order of the declaration; those that are gone are forgotten when nothing is left of them.
    fn order_carriers(&mut self) {
        let declared = self.declaration.carriers.iter();
        let mut order: Vec<_> = declared.map(|carrier| self.carrier_names[&carrier.name]).collect();
        let gone: Vec<_> =
            self.carriers.iter().filter(|(_, c)| !c.declared).map(|(id, _)| id).collect();
        for id in gone {
            let ledger = self.engine.ledger().get(id);
            if ledger.in_use() + ledger.quarantined() > 0 {
                order.push(id);
                continue;
            }
            self.engine.remove_carrier(id);
            let carrier = self.carriers.remove(id).expect("the carrier exists");
            self.carrier_names.remove(&carrier.name);
        }
        self.engine.order_carriers(order);
    }

    /// Forgets carriers that are not declared any more and hold no channel.
    pub(super) fn forget_carriers(&mut self) {
        if self.carriers.len() > self.declaration.carriers.len() {
            self.order_carriers();
        }
    }
}

pub(super) fn limits(tenant: &Tenant) -> TenantLimits {
    let Tenant { limits, suspended, .. } = tenant;
    TenantLimits {
        spacing: limits.throttle.map_or(0, |throttle| throttle.spacing.0),
        windows: limits
            .caps
            .iter()
            .map(|cap| Window { count: cap.count, length: cap.window.0 })
            .collect(),
        suspended: *suspended,
    }
}
