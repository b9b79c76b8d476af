//! Declarations drawn from small numbers: all 0 is the simplest.

use std::sync::Arc;

use busyhour_base::{ApplicationSid, Span};
use busyhour_controller_core::{
    message::{MessageCarrier, MessageDeclaration, MessageLimits, MessageNumber},
    spec::{
        Application, AskedAs, Cap, Carrier, Channels, Commitment, Declaration, Destination, Floors,
        Number, NumberKind, OrderPolicy, Pace, Period, Price, Share, Tenant, Throttle,
    },
};

use crate::support::{account, carrier, declaration, tenant};

pub const TENANTS: u128 = 4;

/// What a declaration is made from.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    pub tenants: [[u8; 6]; TENANTS as usize],
    pub carriers: [u8; 10],
    pub order: u8,
    pub floors: u8,
    pub texts: [u8; 7],
}

/// Odd spacings, so that no two tenants' instants fall together by chance.
pub fn throttle(drawn: u8, number: u64) -> Option<Throttle> {
    let spacing = u64::from(drawn % 6) * 150_011 + number * 1_009;
    (!drawn.is_multiple_of(6)).then_some(Throttle { spacing: Span(spacing) })
}

fn caps(drawn: u8) -> Vec<Cap> {
    if drawn % 4 != 3 {
        return Vec::new();
    }
    vec![Cap { count: 2, window: Span(3_000_017) }, Cap { count: 5, window: Span(20_000_003) }]
}

pub fn application(tenant: u128) -> ApplicationSid {
    ApplicationSid(tenant)
}

pub fn number(tenant: u128) -> Arc<str> {
    format!("+1555{tenant:04}").into()
}

/// The second number of a tenant, for messages only.
pub fn other_number(tenant: u128) -> Arc<str> {
    format!("+1666{tenant:04}").into()
}

fn declared_tenant(plan: &Plan, of: u128) -> Tenant {
    let [spacing, capped, application_pace, suspended, ranks, shares] =
        plan.tenants[of as usize - 1];
    let mut tenant = tenant(of, None);
    tenant.limits.throttle = throttle(spacing, of as u64);
    tenant.limits.caps = caps(capped);
    tenant.limits.queue_max = 20;
    tenant.limits.weight = [1, 2, 4][usize::from(ranks % 3)];
    tenant.limits.plan = u32::from(ranks / 3 % 3);
    tenant.suspended = suspended > 240;
    let pace = Pace {
        throttle: throttle(application_pace, of as u64 * 3),
        caps: caps(application_pace / 6),
    };
    tenant.applications = vec![Application { sid: application(of), pace }];
    let drawn = u32::from(shares);
    if drawn > 80 {
        let (guaranteed, expected) = (drawn % 2, drawn % 2 + drawn / 2 % 3);
        tenant.shares = vec![Share {
            group: "default".into(),
            guaranteed,
            expected,
            maximum: expected + 1 + drawn / 18 % 4,
            lend_permille: [0, 500, 1_000][drawn as usize / 6 % 3],
        }];
    }
    tenant
}

fn prices(drawn: u8) -> Vec<Price> {
    let price = |from_minutes, per_minute_micros| Price { from_minutes, per_minute_micros };
    match drawn % 4 {
        0 => Vec::new(),
        1 => vec![price(0, 5_000)],
        2 => vec![price(0, 9_000)],
        _ => vec![price(0, 8_000), price(1, 4_000)],
    }
}

fn carriers(plan: &Plan) -> Vec<Carrier> {
    let [channels, ports, directions, allocated, reserve, other, third, money, margin, gone] =
        plan.carriers;
    let mut first = carrier("first", u32::from(channels % 6), Span(340_007));
    first.channels.outbound = u32::from(directions % 3);
    first.channels.inbound = u32::from(directions / 3 % 2);
    first.service_ports = u32::from(ports % 7);
    first.reserve = u32::from(reserve % 4 / 2).min(first.channels.both);
    first.margin = u32::from(margin % 4 / 2);
    first.allocation.activation = Span(2_500_009);
    if allocated % 4 == 3 {
        first.allocation.active = Some(Channels { both: 1, ..first.channels });
    }
    first.tariff.prices = prices(money);
    first.tariff.period = Period::Day;
    first.tariff.increment = Span::from_secs(u64::from(money / 4 % 2) * 30);
    if money / 8 % 3 == 2 {
        first.tariff.commitment = Some(Commitment::Minutes(1));
    }
    let mut second = carrier("second", u32::from(other % 3), Span(102_023));
    second.tariff.prices = prices(money / 24);
    let to = |prefix: &str, own: u8| Destination {
        prefix: prefix.into(),
        calls: true,
        prices: prices(own),
        ..Destination::default()
    };
    second.serves = match other / 3 % 3 {
        0 => Vec::new(),
        1 => vec![to("+1", 0), to("+15", money / 48)],
        _ => vec![to("+4", 1), to("+8", 2)],
    };
    let third = Carrier { margin: 0, ..carrier("third", u32::from(third % 3), Span(205_019)) };
    let mut all = vec![first, second, third];
    if gone % 4 == 3 {
        all.remove(1 + usize::from(gone / 4 % 2));
    }
    all
}

fn policy(drawn: u8) -> OrderPolicy {
    match drawn {
        208..232 => OrderPolicy::Kind { first: AskedAs::Single },
        232.. => OrderPolicy::Kind { first: AskedAs::BatchLine },
        _ => match drawn % 8 {
            0 | 1 => OrderPolicy::Alternating,
            2 | 3 => OrderPolicy::Weighted,
            4 => OrderPolicy::FirstComeFirstServed,
            5 => OrderPolicy::Plan,
            6 => OrderPolicy::ResourceUse { half_life: Span(7_000_003) },
            _ => OrderPolicy::Random { seed: 7 },
        },
    }
}

/// Segments in windows. A message of the histories has up to four.
fn segment_caps(drawn: u8) -> Vec<Cap> {
    // A message of four segments does not fit into every one.
    caps(drawn).into_iter().map(|cap| Cap { count: cap.count + 1, ..cap }).collect()
}

fn texts(plan: &Plan) -> MessageDeclaration {
    let [spacing, capped, own, channels, rate, gone, order] = plan.texts;
    let limits = |of: u128| MessageLimits {
        throttle: throttle(spacing.wrapping_add(of as u8), of as u64 * 17),
        caps: segment_caps(capped.wrapping_add(of as u8)),
        ..MessageLimits::default()
    };
    let of_tenant = |of: u128| {
        [number(of), other_number(of)].into_iter().enumerate().map(move |(at, number)| {
            let drawn = own.wrapping_add((of as u8) * 5 + at as u8);
            MessageNumber {
                account: account(of),
                number,
                throttle: throttle(drawn, of as u64 * 19 + at as u64 * 7),
                caps: segment_caps(drawn / 6),
            }
        })
    };
    let carrier = |name: &str, outbound, spacing| MessageCarrier {
        name: name.into(),
        outbound,
        inbound: 1 + u32::from(channels / 12 % 5),
        segment_spacing: Span(spacing),
        delivery_reports: name == "a-text",
    };
    let mut carriers = vec![
        carrier("a-text", u32::from(channels % 4), 90_017),
        carrier("b-text", u32::from(channels / 4 % 3), u64::from(rate % 3) * 110_023 + 70_001),
    ];
    if gone % 5 == 4 {
        carriers.remove(usize::from(gone / 5 % 2));
    }
    MessageDeclaration {
        tenants: (1..=TENANTS).map(|of| (account(of), limits(of))).collect(),
        numbers: (1..=TENANTS).flat_map(of_tenant).collect(),
        carriers,
        order: policy(order),
    }
}

pub fn declared(plan: &Plan) -> Declaration {
    let tenants = (1..=TENANTS).map(|number| declared_tenant(plan, number));
    let numbers = (1..=TENANTS).map(|of| {
        let drawn = plan.tenants[of as usize - 1][2] / 24;
        Number {
            number: number(of),
            account: account(of),
            kind: NumberKind::Local,
            pace: Pace { throttle: throttle(drawn, of as u64 * 7), caps: caps(drawn) },
        }
    });
    let floors = match plan.floors % 4 {
        3 => Floors { synchronous: 100, ordinary: 300 },
        _ => Floors::default(),
    };
    Declaration {
        numbers: numbers.collect(),
        order: policy(plan.order),
        floors,
        messages: texts(plan),
        ..declaration(tenants.collect(), carriers(plan))
    }
}
