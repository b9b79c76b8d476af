//! From what is declared to what the state machine holds. Addresses and secrets stay behind.

use std::sync::Arc;

use busyhour_base::Span;
use busyhour_controller_core::spec::{
    Cap, Carrier, Declaration, Excess, Limits, OrderPolicy, Tenant, Throttle,
};

use crate::{
    Declared, DeclaredCarrier, DeclaredTenant,
    kinds::{ExcessPolicy, Order, ThrottleSpec},
};

/// Added to the second that the calls per second are counted in, so that a set-up that travels a little
/// faster than the one before it does not make the carrier count one too many in a rolling second.
const SETUP_GUARD: Span = Span::from_millis(20);

impl Declared {
    /// The declared capacity as the state machine takes it.
    pub fn declaration(&self) -> Declaration {
        let mut tenants: Vec<_> =
            self.tenants.iter().map(|(name, tenant)| compile_tenant(name, tenant)).collect();
        tenants.sort_by_key(|tenant| tenant.account);
        let order = self.pools.values().next().map(|pool| pool.order).unwrap_or_default();
        Declaration {
            tenants,
            carriers: self
                .carriers
                .iter()
                .map(|(name, carrier)| compile_carrier(name, carrier))
                .collect(),
            messages: Default::default(),
            order: match order {
                Order::Alternating => OrderPolicy::Alternating,
            },
            ..Declaration::default()
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
            excess: match spec.excess {
                ExcessPolicy::Schedule => Excess::Schedule,
                ExcessPolicy::Refuse => Excess::Refuse,
            },
            queue_max: spec.queue.max_calls,
            wait_max: spec.queue.max_wait.0,
        },
        shares: Vec::new(),
        suspended: spec.suspended,
    }
}

fn compile_throttle(throttle: &ThrottleSpec) -> Option<Throttle> {
    let rate = throttle.calls_per_second.map(|rate| spacing(Span::from_secs(1), rate));
    rate.or(throttle.spacing.map(|spacing| spacing.0)).map(|spacing| Throttle { spacing })
}

fn compile_carrier(name: &str, DeclaredCarrier { spec, .. }: &DeclaredCarrier) -> Carrier {
    let spacing = spacing(Span::from_secs(1) + SETUP_GUARD, spec.calls_per_second);
    Carrier {
        service_ports: spec.service_ports.unwrap_or(spec.channels),
        quarantine: Span::from_secs(u64::from(spec.quarantine_seconds)),
        ..Carrier::new(name, spec.channels, spacing)
    }
}

/// `window` divided evenly, rounded up so that the rate is never exceeded.
fn spacing(window: Span, rate: u32) -> Span {
    Span::from_micros(window.as_micros().div_ceil(u64::from(rate.max(1))))
}
