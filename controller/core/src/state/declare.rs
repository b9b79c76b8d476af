//! `Declare`: the declared capacity, compared with what holds by account and by carrier's name. What has not changed is
//! left alone; queues keep their places; what is gone stays until its calls are over.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use busyhour_base::Reason;

use super::{State, scopes, tenants::TenantState};
use crate::{
    effect::{Effect, Reply},
    engine::{lanes::TenantLimits, order, policy::Standing},
    spec::{Declaration, Destination, Floors, Number, Pace, Price, Tenant},
};

impl State {
    pub(super) fn declare(&mut self, new: &Declaration, fx: &mut Vec<Effect>) -> Reply {
        let accounts: BTreeSet<_> = new.tenants.iter().map(|tenant| tenant.account).collect();
        let carriers: BTreeSet<_> = new.carriers.iter().map(|carrier| &carrier.name).collect();
        if accounts.len() < new.tenants.len() || carriers.len() < new.carriers.len() {
            return Reply::Refused(Reason::Duplicate);
        }
        if let Err(reason) = self.may_declare(new) {
            return Reply::Refused(reason);
        }
        let old = std::mem::replace(&mut self.declaration, Arc::new(new.clone()));
        self.declare_groups();
        let mut numbers: BTreeMap<_, Vec<&Number>> = BTreeMap::new();
        for number in &new.numbers {
            numbers.entry(number.account).or_default().push(number);
        }
        for tenant in &new.tenants {
            let numbers = numbers.get(&tenant.account).map_or(&[][..], Vec::as_slice);
            self.declare_tenant(tenant, numbers);
        }
        let Self { engine, requests, .. } = self;
        engine.set_policy(new.order, |request| requests.call(request).0);
        engine.set_floors(engine_floors(new.floors));
        self.declare_messages(new, fx);
        for tenant in old.tenants.iter().filter(|old| !accounts.contains(&old.account)) {
            self.drop_tenant(self.accounts[&tenant.account], fx);
        }
        for carrier in &new.carriers {
            let before = old.carriers.iter().find(|old| old.name == carrier.name);
            self.declare_carrier(carrier, before);
        }
        for carrier in old.carriers.iter().filter(|old| !carriers.contains(&old.name)) {
            self.drop_carrier(self.carrier_names[&carrier.name], fx);
        }
        self.order_carriers();
        // What waits is left alone unless who serves what has changed.
        if !served(&old).eq(served(new)) {
            self.declare_routes();
        }
        self.forget_groups();
        Reply::Done
    }

    fn declare_tenant(&mut self, tenant: &Tenant, numbers: &[&Number]) {
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
                Arc::make_mut(&mut self.accounts).insert(tenant.account, id);
                id
            }
        };
        let present = &mut self.tenants[id];
        if present.limits != tenant.limits || present.suspended != tenant.suspended {
            self.engine.set_limits(id, limits(tenant));
        }
        present.name = Arc::clone(&tenant.name);
        if present.shares != tenant.shares {
            let old = std::mem::replace(&mut present.shares, tenant.shares.clone());
            self.declare_shares(id, &old);
        }
        let present = &mut self.tenants[id];
        present.limits = tenant.limits.clone();
        present.suspended = tenant.suspended;
        present.declared = true;
        self.declare_scopes(id, &tenant.applications, numbers);
    }

    /// A tenant is not declared any more: what it has queued still starts, under the limits that it had. What only its
    /// own word could start, or what it was suspended from, ends now.
    fn drop_tenant(&mut self, id: u32, fx: &mut Vec<Effect>) {
        self.tenants[id].declared = false;
        let old = std::mem::take(&mut self.tenants[id].shares);
        self.declare_shares(id, &old);
        for batch in self.tenants[id].batches.clone() {
            let batch = self.batch_index[&batch];
            if !self.batches[batch].runs_by_itself() {
                self.cancel_batch(batch, false, fx);
            }
        }
        if self.tenants[id].suspended {
            for lane in self.lanes_of(id) {
                self.cancel_lane(lane, Reason::Suspended);
            }
            self.offers_to_tenant_end(id, fx);
            self.end_waiting_messages(id, fx);
        }
        self.forget_if_gone(id);
    }
}

/// What routes follow from.
fn served(
    declaration: &Declaration,
) -> impl Iterator<Item = (&Arc<str>, &Arc<str>, &Vec<Destination>, &Vec<Price>)> {
    let carriers = declaration.carriers.iter();
    carriers.map(|one| (&one.name, &one.group, &one.serves, &one.tariff.prices))
}

pub(super) fn limits(tenant: &Tenant) -> TenantLimits {
    let Tenant { limits, suspended, .. } = tenant;
    let calls = Pace { throttle: limits.throttle, caps: limits.caps.clone() };
    TenantLimits {
        calls: scopes::limits(&calls),
        suspended: *suspended,
        standing: Standing { weight: limits.weight, plan: limits.plan },
        ..TenantLimits::default()
    }
}

/// Inbound calls need no floor: nothing goes before them.
const fn engine_floors(floors: Floors) -> order::Floors {
    order::Floors([0, floors.synchronous, floors.ordinary])
}
