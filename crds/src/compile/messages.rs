//! The part of what is declared that concerns messages.

use std::sync::Arc;

use busyhour_base::Span;
use busyhour_controller_core::{
    message::{MessageCarrier, MessageDeclaration, MessageLimits, MessageNumber},
    spec::{Cap, Throttle},
};

use super::{carrier::SETUP_GUARD, excess, spacing};
use crate::{
    Declared,
    kinds::{SegmentCap, SegmentThrottle, TenantMessages},
};

pub(super) fn compile(declared: &Declared) -> MessageDeclaration {
    let mut tenants: Vec<_> = declared
        .tenants
        .values()
        .filter_map(|tenant| {
            let messages = tenant.spec.messages.as_ref()?;
            Some((tenant.spec.account, limits(messages)))
        })
        .collect();
    tenants.sort_by_key(|(account, _)| *account);
    let mut numbers: Vec<_> = declared
        .numbers
        .values()
        .filter_map(|spec| {
            let tenant = declared.tenants.get(&spec.tenant)?;
            let messages = spec.messages.clone().unwrap_or_default();
            Some(MessageNumber {
                account: tenant.spec.account,
                number: Arc::from(spec.number.as_str()),
                throttle: throttle(&messages.throttle),
                caps: caps(&messages.caps),
            })
        })
        .collect();
    numbers.sort_by(|one, other| one.number.cmp(&other.number));
    let carriers = declared.carriers.iter().filter_map(|(name, carrier)| {
        let messages = carrier.spec.messages.as_ref()?;
        Some(MessageCarrier {
            name: Arc::from(name.as_str()),
            outbound: messages.outbound_channels,
            inbound: messages.inbound_channels,
            segment_spacing: spacing(
                Span::from_secs(1) + SETUP_GUARD,
                messages.segments_per_second,
            ),
            delivery_reports: messages.delivery_reports,
        })
    });
    let pool = declared.pools.values().next();
    MessageDeclaration {
        tenants,
        numbers,
        carriers: carriers.collect(),
        order: pool.map(|pool| super::order(pool, pool.order_of_messages())).unwrap_or_default(),
    }
}

fn limits(messages: &TenantMessages) -> MessageLimits {
    MessageLimits {
        throttle: messages.throttle.as_ref().and_then(throttle),
        caps: caps(&messages.caps),
        excess: excess(messages.excess),
        queue_max: messages.queue.max_messages,
        wait_max: messages.queue.max_wait.0,
    }
}

fn caps(caps: &[SegmentCap]) -> Vec<Cap> {
    caps.iter().map(|cap| Cap { count: cap.segments, window: cap.per.0 }).collect()
}

fn throttle(throttle: &SegmentThrottle) -> Option<Throttle> {
    let rate = throttle.segments_per_second.map(|rate| spacing(Span::from_secs(1), rate));
    rate.or(throttle.spacing.map(|spacing| spacing.0)).map(|spacing| Throttle { spacing })
}
