//! What carriers' contracts and tenants' shares of them say of each other.

use std::collections::BTreeMap;

use busyhour_base::Span;

use super::{Loaded, Loader, sums::check_length};
use crate::{
    LoadErrors,
    kinds::{CarrierSpec, NumberKind, TariffSpec, TenantSpec, VolumeSpec},
    schema::Path,
};

const ACTIVATION: (Span, Span) = (Span::ZERO, Span::from_secs(86_400));

/// Most destinations of one carrier.
const DESTINATIONS_MAX: usize = 20_000;

type Carriers<'a> = super::Kind<'a, CarrierSpec>;

impl Loader<'_> {
    /// Checks contracts, groups and shares.
    pub(super) fn check_contracts(&mut self) {
        let mut errors = Vec::new();
        for carrier in self.carriers.values() {
            if errors.len() < LoadErrors::MAX {
                check_channels(carrier, &mut errors);
                check_prices(carrier, &mut errors);
            }
        }
        check_currencies(&self.carriers, &mut errors);
        check_groups(&self.carriers, &mut errors);
        for tenant in self.tenants.values() {
            if errors.len() < LoadErrors::MAX {
                check_shares(tenant, &self.carriers, &mut errors);
            }
        }
        if errors.is_empty() {
            self.check_guarantees(&mut errors);
        }
        self.errors.extend(errors);
    }

    /// What is guaranteed has to be there.
    fn check_guarantees(&self, errors: &mut Vec<crate::LoadError>) {
        let mut left: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
        for (name, carrier) in &self.carriers {
            let compiled = crate::compile::carrier_of(name, &carrier.spec);
            let (all, left) = left.entry(&carrier.spec.group).or_default();
            *all += u64::from(compiled.outbound_capacity());
            *left = *all;
        }
        for tenant in self.tenants.values() {
            for (index, share) in tenant.spec.channels.iter().enumerate() {
                let (all, left) = left.entry(&share.group).or_default();
                let Some(rest) = left.checked_sub(u64::from(share.guaranteed)) else {
                    let path = Path::of(&["spec", "channels"]).index(index).key("guaranteed");
                    let problem = format!(
                        "{} guaranteed channels of group {:?} are more than the others' guarantees leave",
                        share.guaranteed, share.group
                    );
                    let allowed = format!("at most {left}: {all} are active for outbound calls");
                    if errors.len() < LoadErrors::MAX {
                        errors.push(tenant.document.error(&path, problem, Some(allowed)));
                    }
                    continue;
                };
                *left = rest;
            }
        }
    }
}

fn check_channels(carrier: &Loaded<'_, CarrierSpec>, errors: &mut Vec<crate::LoadError>) {
    let spec = &carrier.spec;
    let Some(both) =
        spec.channels.checked_sub(spec.inbound_only.saturating_add(spec.outbound_only))
    else {
        let problem = format!(
            "{} inbound-only and {} outbound-only channels are more than the channels",
            spec.inbound_only, spec.outbound_only
        );
        let allowed = Some(format!("together at most {}", spec.channels));
        errors.push(carrier.error(&["spec", "outboundOnly"], problem, allowed));
        return;
    };
    let mut at_most = |keys: &[&str], value: u32, most: u32, what: &str| {
        if value > most {
            let problem = format!("{value} is more than the {what} channels");
            errors.push(carrier.error(keys, problem, Some(format!("0 to {most}"))));
        }
    };
    at_most(&["spec", "reservedForInbound"], spec.reserved_for_inbound, both, "bidirectional");
    at_most(&["spec", "lendingMargin"], spec.lending_margin, spec.channels, "contract's");
    let Some(part) = &spec.allocation else { return };
    for (key, value, most, what) in [
        ("bidirectional", part.bidirectional, both, "bidirectional"),
        ("inboundOnly", part.inbound_only, spec.inbound_only, "inbound-only"),
        ("outboundOnly", part.outbound_only, spec.outbound_only, "outbound-only"),
    ] {
        at_most(&["spec", "allocation", key], value.unwrap_or(0), most, what);
    }
    if let Some(time) = part.activation_time {
        let path = Path::of(&["spec", "allocation", "activationTime"]);
        errors.extend(check_length(carrier, &path, time, ACTIVATION));
    }
}

fn check_prices(carrier: &Loaded<'_, CarrierSpec>, errors: &mut Vec<crate::LoadError>) {
    let spec = &carrier.spec;
    if spec.destinations.len() > DESTINATIONS_MAX {
        let problem = format!("{} destinations are too many", spec.destinations.len());
        let allowed = Some(format!("at most {DESTINATIONS_MAX}"));
        return errors.push(carrier.error(&["spec", "destinations"], problem, allowed));
    }
    if let Some(tariff) = &spec.tariff {
        let path = Path::of(&["spec", "tariff"]);
        check_volumes(carrier, &path, &tariff.volumes, errors);
        check_commitment(carrier, tariff, errors);
    }
    let mut seen: BTreeMap<(&str, NumberKind), usize> = BTreeMap::new();
    for (index, to) in spec.destinations.iter().enumerate() {
        if errors.len() >= LoadErrors::MAX {
            return;
        }
        let path = Path::of(&["spec", "destinations"]).index(index);
        check_volumes(carrier, &path, &to.volumes, errors);
        if to.per_minute_micros.is_none() && !to.volumes.is_empty() {
            let allowed = Some("perMinuteMicros beside volumes".to_owned());
            errors.push(carrier.document.error(&path, "there is no first price", allowed));
        }
        if to.per_minute_micros.is_some() && spec.tariff.is_none() {
            let allowed = Some("a tariff, which names the currency".to_owned());
            errors.push(carrier.document.error(&path, "the carrier has no tariff", allowed));
        }
        for kind in to.number_kinds() {
            if let Some(first) = seen.insert((&to.prefix, kind), index) {
                let problem = format!(
                    "{:?} is served for {} numbers by destination {first} already",
                    to.prefix,
                    kind.as_str()
                );
                let allowed = Some("each prefix and kind of number once".to_owned());
                errors.push(carrier.document.error(&path.key("prefix"), problem, allowed));
                break;
            }
        }
    }
}

fn check_volumes(
    carrier: &Loaded<'_, CarrierSpec>,
    path: &Path,
    volumes: &[VolumeSpec],
    errors: &mut Vec<crate::LoadError>,
) {
    let fault = volumes.windows(2).position(|pair| pair[0].from_minutes >= pair[1].from_minutes);
    if let Some(at) = fault {
        let path = path.key("volumes").index(at + 1).key("fromMinutes");
        let problem =
            format!("{} does not come after the one before", volumes[at + 1].from_minutes);
        let allowed = Some(format!("more than {}", volumes[at].from_minutes));
        errors.push(carrier.document.error(&path, problem, allowed));
    }
}

fn check_commitment(
    carrier: &Loaded<'_, CarrierSpec>,
    tariff: &TariffSpec,
    errors: &mut Vec<crate::LoadError>,
) {
    if tariff.commitment.as_ref().is_some_and(|of| of.minutes.is_some() == of.micros.is_some()) {
        let allowed = Some("minutes or micros".to_owned());
        errors.push(carrier.error(
            &["spec", "tariff", "commitment"],
            "one commitment is wanted",
            allowed,
        ));
    }
}

fn check_currencies(carriers: &Carriers<'_>, errors: &mut Vec<crate::LoadError>) {
    let mut tariffs = carriers
        .iter()
        .filter_map(|(name, carrier)| Some((name, carrier, carrier.spec.tariff.as_ref()?)));
    let Some((first, _, TariffSpec { currency, .. })) = tariffs.next() else { return };
    for (_, carrier, tariff) in tariffs.filter(|(_, _, tariff)| tariff.currency != *currency) {
        if errors.len() < LoadErrors::MAX {
            let problem =
                format!("{} cannot be compared with the {currency} of {first:?}", tariff.currency);
            let allowed = Some(currency.clone());
            errors.push(carrier.error(&["spec", "tariff", "currency"], problem, allowed));
        }
    }
}

/// Carriers with a destination in common share their channels, so that they are of one group.
fn check_groups(carriers: &Carriers<'_>, errors: &mut Vec<crate::LoadError>) {
    let mut lines: Vec<(&str, Vec<NumberKind>, &str)> = Vec::new();
    for (name, carrier) in carriers {
        if carrier.spec.destinations.is_empty() {
            lines.extend(["+", "sip:"].map(|any| (any, NumberKind::ALL.to_vec(), name.as_str())));
        }
        let own = carrier.spec.destinations.iter();
        lines.extend(own.map(|to| (to.prefix.as_str(), to.number_kinds(), name.as_str())));
    }
    lines.sort();
    let mut above: Vec<&(&str, Vec<NumberKind>, &str)> = Vec::new();
    for line in &lines {
        while above.last().is_some_and(|shorter| !line.0.starts_with(shorter.0)) {
            above.pop();
        }
        let group = |name: &str| &carriers[name].spec.group;
        let meets = |other: &&&(&str, Vec<NumberKind>, &str)| {
            group(other.2) != group(line.2) && other.1.iter().any(|kind| line.1.contains(kind))
        };
        if let Some(other) = above.iter().find(meets) {
            if errors.len() < LoadErrors::MAX {
                let problem = format!(
                    "{:?} is served by carrier {:?} of group {:?} too",
                    line.0,
                    other.2,
                    group(other.2)
                );
                let allowed =
                    Some("one group for carriers with a destination in common".to_owned());
                errors.push(carriers[line.2].error(&["spec", "group"], problem, allowed));
            }
            return;
        }
        above.push(line);
    }
}

fn check_shares(
    tenant: &Loaded<'_, TenantSpec>,
    carriers: &Carriers<'_>,
    errors: &mut Vec<crate::LoadError>,
) {
    let shares = &tenant.spec.channels;
    for (index, share) in shares.iter().enumerate() {
        let path = Path::of(&["spec", "channels"]).index(index);
        let mut wrong = |key: &str, problem: String, allowed: String| {
            errors.push(tenant.document.error(&path.key(key), problem, Some(allowed)));
        };
        if !carriers.values().any(|carrier| carrier.spec.group == share.group) {
            let mut groups: Vec<_> =
                carriers.values().map(|carrier| carrier.spec.group.as_str()).collect();
            groups.sort_unstable();
            groups.dedup();
            groups.truncate(10);
            let allowed = if groups.is_empty() {
                "none: no carrier is declared".to_owned()
            } else {
                groups.join(", ")
            };
            wrong("group", format!("no carrier is of group {:?}", share.group), allowed);
        }
        if shares[..index].iter().any(|other| other.group == share.group) {
            wrong(
                "group",
                format!("there is a share of group {:?} already", share.group),
                "one share of each group".into(),
            );
        }
        let expected = share.expected();
        if expected < share.guaranteed {
            wrong(
                "expected",
                format!("{expected} is less than what is guaranteed"),
                format!("at least {}", share.guaranteed),
            );
        }
        if let Some(maximum) = share.maximum.filter(|maximum| *maximum < expected) {
            wrong(
                "maximum",
                format!("{maximum} is less than what is expected"),
                format!("at least {expected}"),
            );
        }
    }
}
