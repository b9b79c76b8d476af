//! From what is declared to what the state machine holds. Addresses and secrets stay behind.

use std::sync::Arc;

use busyhour_base::Span;
use busyhour_controller_core::spec::{
    Cap, Carrier, Declaration, Excess, Limits, Number, OrderPolicy, Tenant, Throttle,
};

use crate::{
    Declared, DeclaredCarrier, DeclaredTenant,
    kinds::{CarrierSpec, ExcessPolicy, Order, ThrottleSpec},
};

mod carrier;
mod messages;

/// A carrier's contract without its secrets.
pub(crate) fn carrier_of(name: &str, spec: &CarrierSpec) -> Carrier {
    carrier::carrier(name, &DeclaredCarrier { spec: spec.clone(), password: None })
}

impl Declared {
    /// The declared capacity as the state machine takes it.
    pub fn declaration(&self) -> Declaration {
        let mut tenants: Vec<_> =
            self.tenants.iter().map(|(name, tenant)| compile_tenant(name, tenant)).collect();
        tenants.sort_by_key(|tenant| tenant.account);
        let numbers = self.numbers.values().map(|spec| Number {
            number: Arc::from(spec.number.as_str()),
            account: self.tenants[&spec.tenant].spec.account,
            kind: carrier::number_kind(spec.kind),
        });
        let mut numbers: Vec<_> = numbers.collect();
        numbers.sort_by(|one, other| one.number.cmp(&other.number));
        let order = self.pools.values().next().map(|pool| pool.order).unwrap_or_default();
        Declaration {
            tenants,
            numbers,
            carriers: self
                .carriers
                .iter()
                .map(|(name, carrier)| carrier::carrier(name, carrier))
                .collect(),
            messages: messages::compile(self),
            order: match order {
                Order::Alternating => OrderPolicy::Alternating,
            },
        }
    }
}

fn compile_tenant(name: &str, DeclaredTenant { spec, .. }: &DeclaredTenant) -> Tenant {
    let caps = spec.caps.iter().map(|cap| Cap { count: cap.calls, window: cap.per.0 });
    Tenant {
        account: spec.account,
        name: Arc::from(name),
        limits: Limits {
            throttle: spec.throttle.as_ref().and_then(compile_throttle),
            caps: caps.collect(),
            excess: excess(spec.excess),
            queue_max: spec.queue.max_calls,
            wait_max: spec.queue.max_wait.0,
        },
        shares: spec.channels.iter().map(carrier::share).collect(),
        suspended: spec.suspended,
    }
}

fn compile_throttle(throttle: &ThrottleSpec) -> Option<Throttle> {
    let rate = throttle.calls_per_second.map(|rate| spacing(Span::from_secs(1), rate));
    rate.or(throttle.spacing.map(|spacing| spacing.0)).map(|spacing| Throttle { spacing })
}

fn excess(policy: ExcessPolicy) -> Excess {
    match policy {
        ExcessPolicy::Schedule => Excess::Schedule,
        ExcessPolicy::Refuse => Excess::Refuse,
    }
}

/// `window` divided evenly, rounded up so that the rate is never exceeded.
fn spacing(window: Span, rate: u32) -> Span {
    Span::from_micros(window.as_micros().div_ceil(u64::from(rate.max(1))))
}
