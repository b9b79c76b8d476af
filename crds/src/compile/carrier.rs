//! Carriers and the tenants' shares of them.

use std::sync::Arc;

use busyhour_base::Span;
use busyhour_controller_core::spec::{
    Allocation, Carrier, Channels, Commitment, Destination, NumberKind, Period, Price, Share,
    Tariff, Unused,
};

use crate::{
    DeclaredCarrier,
    kinds::{
        self, AllocationSpec, CarrierSpec, PeriodSpec, ShareSpec, TariffSpec, UnusedMode,
        VolumeSpec,
    },
};

/// Added to the second that the calls per second are counted in, so that a set-up that travels a little
/// faster than the one before it does not make the carrier count one too many in a rolling second.
pub(super) const SETUP_GUARD: Span = Span::from_millis(20);

/// A carrier's contract.
pub(super) fn carrier(name: &str, DeclaredCarrier { spec, .. }: &DeclaredCarrier) -> Carrier {
    let channels = channels(spec);
    Carrier {
        name: name.into(),
        group: Arc::from(spec.group.as_str()),
        channels,
        allocation: spec
            .allocation
            .as_ref()
            .map_or_else(Allocation::default, |part| allocation(part, channels)),
        reserve: spec.reserved_for_inbound,
        margin: spec.lending_margin,
        setup_spacing: super::spacing(Span::from_secs(1) + SETUP_GUARD, spec.calls_per_second),
        service_ports: spec.service_ports.unwrap_or(spec.channels),
        quarantine: Span::from_secs(u64::from(spec.quarantine_seconds)),
        serves: spec.destinations.iter().map(destination).collect(),
        tariff: spec.tariff.as_ref().map(tariff).unwrap_or_default(),
    }
}

fn channels(spec: &CarrierSpec) -> Channels {
    let (inbound, outbound) = (spec.inbound_only, spec.outbound_only);
    let both = spec.channels.saturating_sub(inbound).saturating_sub(outbound);
    Channels { inbound, outbound, both }
}

fn allocation(spec: &AllocationSpec, channels: Channels) -> Allocation {
    let active = Channels {
        inbound: spec.inbound_only.unwrap_or(channels.inbound),
        outbound: spec.outbound_only.unwrap_or(channels.outbound),
        both: spec.bidirectional.unwrap_or(channels.both),
    };
    Allocation {
        active: Some(active),
        activation: spec.activation_time.map_or(Span::ZERO, |time| time.0),
        unused: match spec.unused {
            UnusedMode::Off => Unused::Off,
            UnusedMode::Asleep => Unused::Asleep,
            UnusedMode::Lent => Unused::Lent,
        },
    }
}

fn destination(spec: &kinds::DestinationSpec) -> Destination {
    Destination {
        prefix: spec.prefix.as_str().into(),
        kinds: spec.number_kinds.iter().copied().map(number_kind).collect(),
        calls: true,
        messages: false,
        prices: spec.per_minute_micros.map_or_else(Vec::new, |first| prices(first, &spec.volumes)),
    }
}

fn prices(first: u64, volumes: &[VolumeSpec]) -> Vec<Price> {
    let first = Price { from_minutes: 0, per_minute_micros: first };
    let later = volumes.iter().map(|volume| Price {
        from_minutes: volume.from_minutes,
        per_minute_micros: volume.per_minute_micros,
    });
    std::iter::once(first).chain(later).collect()
}

fn tariff(spec: &TariffSpec) -> Tariff {
    let commitment = spec.commitment.as_ref();
    let commitment = commitment
        .and_then(|of| of.minutes.map(Commitment::Minutes).or(of.micros.map(Commitment::Micros)));
    Tariff {
        period: match spec.period {
            PeriodSpec::Day => Period::Day,
            PeriodSpec::Week => Period::Week,
            PeriodSpec::Month => Period::Month,
        },
        prices: prices(spec.per_minute_micros, &spec.volumes),
        increment: Span::from_secs(u64::from(spec.increment_seconds)),
        commitment,
    }
}

/// A number's kind.
pub(super) const fn number_kind(kind: kinds::NumberKind) -> NumberKind {
    match kind {
        kinds::NumberKind::Local => NumberKind::Local,
        kinds::NumberKind::Mobile => NumberKind::Mobile,
        kinds::NumberKind::TollFree => NumberKind::TollFree,
        kinds::NumberKind::ShortCode => NumberKind::ShortCode,
    }
}

/// A tenant's share of a group.
pub(super) fn share(spec: &ShareSpec) -> Share {
    let expected = spec.expected();
    Share {
        group: spec.group.as_str().into(),
        guaranteed: spec.guaranteed,
        expected,
        maximum: spec.maximum.unwrap_or(u32::MAX),
        lend_permille: spec.lend,
    }
}
