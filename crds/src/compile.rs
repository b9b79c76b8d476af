//! From what is declared to what the state machine holds. Addresses and secrets stay behind.

use std::sync::Arc;

use busyhour_base::Span;
use busyhour_controller_core::spec::{
    self, Application, Cap, Carrier, Declaration, Excess, Floors, Limits, Number, OrderPolicy,
    Pace, Tenant, Throttle,
};

use crate::{
    Declared, DeclaredCarrier, DeclaredTenant,
    kinds::{AskedAs, CapSpec, CarrierSpec, ExcessPolicy, Order, PoolSpec, ThrottleSpec},
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
            self.tenants.iter().map(|(name, tenant)| self.tenant(name, tenant)).collect();
        tenants.sort_by_key(|tenant| tenant.account);
        let numbers = self.numbers.values().map(|spec| Number {
            number: Arc::from(spec.number.as_str()),
            account: self.tenants[&spec.tenant].spec.account,
            kind: carrier::number_kind(spec.kind),
            pace: pace(spec.throttle.as_ref(), &spec.caps),
        });
        let mut numbers: Vec<_> = numbers.collect();
        numbers.sort_by(|one, other| one.number.cmp(&other.number));
        let pool = self.pools.values().next();
        Declaration {
            tenants,
            numbers,
            carriers: self
                .carriers
                .iter()
                .map(|(name, carrier)| carrier::carrier(name, carrier))
                .collect(),
            messages: messages::compile(self),
            order: pool.map(|pool| order(pool, pool.order)).unwrap_or_default(),
            floors: pool.map(floors).unwrap_or_default(),
        }
    }

    fn tenant(&self, name: &str, DeclaredTenant { spec, .. }: &DeclaredTenant) -> Tenant {
        let Pace { throttle, caps } = pace(spec.throttle.as_ref(), &spec.caps);
        let applications = self.applications.values().filter(|one| one.tenant == name);
        let mut applications: Vec<_> = applications
            .map(|spec| Application {
                sid: spec.sid,
                pace: pace(spec.throttle.as_ref(), &spec.caps),
            })
            .collect();
        applications.sort_by_key(|one| one.sid);
        Tenant {
            account: spec.account,
            name: Arc::from(name),
            limits: Limits {
                throttle,
                caps,
                weight: spec.weight,
                plan: spec.plan,
                excess: excess(spec.excess),
                queue_max: spec.queue.max_calls,
                queue_bytes_max: spec.queue.max_bytes,
                wait_max: spec.queue.max_wait.0,
            },
            shares: spec.channels.iter().map(carrier::share).collect(),
            applications,
            suspended: spec.suspended,
        }
    }
}

/// This order, with what the pool says of it.
fn order(pool: &PoolSpec, order: Order) -> OrderPolicy {
    match order {
        Order::Alternating => OrderPolicy::Alternating,
        Order::Weighted => OrderPolicy::Weighted,
        Order::FirstComeFirstServed => OrderPolicy::FirstComeFirstServed,
        Order::Plan => OrderPolicy::Plan,
        Order::Kind => OrderPolicy::Kind {
            first: match pool.first {
                AskedAs::Single => spec::AskedAs::Single,
                AskedAs::BatchLine => spec::AskedAs::BatchLine,
            },
        },
        Order::ResourceUse => OrderPolicy::ResourceUse { half_life: pool.half_life.0 },
        Order::Random => OrderPolicy::Random { seed: 0 },
    }
}

fn floors(pool: &PoolSpec) -> Floors {
    Floors { synchronous: pool.floors.synchronous, ordinary: pool.floors.ordinary }
}

fn pace(throttle: Option<&ThrottleSpec>, caps: &[CapSpec]) -> Pace {
    let caps = caps.iter().map(|cap| Cap { count: cap.calls, window: cap.per.0 });
    Pace { throttle: throttle.and_then(compile_throttle), caps: caps.collect() }
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
pub fn spacing(window: Span, rate: u32) -> Span {
    Span::from_micros(window.as_micros().div_ceil(u64::from(rate.max(1))))
}
