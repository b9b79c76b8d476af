//! Contracts with carriers and the tenants' shares of them (SPEC MT-11 to MT-17): what is declared, and what is refused.

use std::path::PathBuf;

use busyhour_base::Span;
use busyhour_controller_core::spec::{
    Channels, Commitment, NumberKind, Period, Price, Share, Unused,
};
use busyhour_crds::{Declared, LoadErrors, SourceFile, load};

const GOOD: &str = r#"apiVersion: busyhour.dev/v1alpha1
kind: Carrier
metadata: {name: north}
spec:
  address: 127.0.0.1:5070
  channels: 30
  inboundOnly: 4
  outboundOnly: 10
  callsPerSecond: 5
  servicePorts: 20
  reservedForInbound: 3
  lendingMargin: 2
  allocation: {bidirectional: 12, activationTime: 30s, unused: asleep}
  destinations:
    - {prefix: "+49", perMinuteMicros: 8000, volumes: [{fromMinutes: 1000, perMinuteMicros: 6000}]}
    - {prefix: "+4915", numberKinds: [mobile], perMinuteMicros: 20000}
  tariff:
    currency: EUR
    perMinuteMicros: 9000
    period: week
    incrementSeconds: 60
    commitment: {minutes: 500}
---
apiVersion: busyhour.dev/v1alpha1
kind: Carrier
metadata: {name: south}
spec:
  address: 127.0.0.1:5071
  channels: 5
  callsPerSecond: 5
  group: islands
  destinations: [{prefix: "+44"}]
---
apiVersion: busyhour.dev/v1alpha1
kind: Tenant
metadata: {name: clinic}
spec:
  account: AC0123456789abcdef0123456789abcdef
  authToken: hunter2hunter2
  channels:
    - {guaranteed: 15, expected: 16, maximum: 25, lend: 250}
    - {group: islands, guaranteed: 5}
---
apiVersion: busyhour.dev/v1alpha1
kind: Number
metadata: {name: desk}
spec: {number: "+4915112345678", tenant: clinic, kind: mobile}
"#;

fn read(text: &str) -> Result<Declared, LoadErrors> {
    load(&[SourceFile { path: PathBuf::from("all.yaml"), text: text.to_owned() }])
}

#[test]
fn a_contract_becomes_channels_prices_and_shares() {
    let declaration = read(GOOD).expect("good documents").declaration();
    let north = &declaration.carriers[0];
    assert_eq!(north.channels, Channels { inbound: 4, outbound: 10, both: 16 });
    assert_eq!(north.allocated(), Channels { inbound: 4, outbound: 10, both: 12 });
    assert_eq!(north.allocation.activation, Span::from_secs(30));
    assert_eq!(north.allocation.unused, Unused::Asleep);
    assert_eq!((north.reserve, north.margin), (3, 2));
    // 10 + 12 - 3 would be 19: fewer than the ports.
    assert_eq!(north.outbound_capacity(), 19);
    assert_eq!((&*north.group, &*declaration.carriers[1].group), ("default", "islands"));
    assert_eq!(north.serves[1].kinds, [NumberKind::Mobile]);
    let price = |from_minutes, per_minute_micros| Price { from_minutes, per_minute_micros };
    assert_eq!(north.serves[0].prices, [price(0, 8_000), price(1_000, 6_000)]);
    assert_eq!(north.tariff.prices, [price(0, 9_000)]);
    assert_eq!((north.tariff.period, north.tariff.increment), (Period::Week, Span::from_secs(60)));
    assert_eq!(north.tariff.commitment, Some(Commitment::Minutes(500)));
    let share = |group: &str, guaranteed, expected, maximum, lend_permille| Share {
        group: group.into(),
        guaranteed,
        expected,
        maximum,
        lend_permille,
    };
    assert_eq!(
        declaration.tenants[0].shares,
        [share("default", 15, 16, 25, 250), share("islands", 5, 5, u32::MAX, 1_000)]
    );
    assert_eq!(declaration.numbers[0].kind, NumberKind::Mobile);
}

#[test]
fn every_fault_of_a_contract_names_field_value_and_what_is_allowed() {
    let cases = [
        (
            "outboundOnly: 10",
            "outboundOnly: 27",
            "spec.outboundOnly: 4 inbound-only and 27 outbound-only channels are more than the channels; allowed: together at most 30",
        ),
        (
            "outboundOnly: 10",
            "outboundOnly: -1",
            "spec.outboundOnly: -1 is out of bounds; allowed: 0 to 1000000",
        ),
        (
            "reservedForInbound: 3",
            "reservedForInbound: 17",
            "spec.reservedForInbound: 17 is more than the bidirectional channels; allowed: 0 to 16",
        ),
        (
            "lendingMargin: 2",
            "lendingMargin: 31",
            "spec.lendingMargin: 31 is more than the contract's channels; allowed: 0 to 30",
        ),
        (
            "bidirectional: 12",
            "bidirectional: 17",
            "spec.allocation.bidirectional: 17 is more than the bidirectional channels; allowed: 0 to 16",
        ),
        (
            "activationTime: 30s",
            "activationTime: 2d",
            "spec.allocation.activationTime: 2d is out of bounds; allowed: 0ms to 1d",
        ),
        (
            "unused: asleep",
            "unused: sold",
            "spec.allocation.unused: \"sold\" is not one of the allowed values; allowed: off, asleep, lent",
        ),
        (
            "\"+49\"",
            "\"0049\"",
            "spec.destinations[0].prefix: \"0049\" does not have the right form",
        ),
        (
            "\"+4915\", numberKinds: [mobile]",
            "\"+49\"",
            "spec.destinations[1].prefix: \"+49\" is served for local numbers by destination 0 already",
        ),
        (
            "fromMinutes: 1000,",
            "fromMinutes: 0,",
            "spec.destinations[0].volumes[0].fromMinutes: 0 is out of bounds",
        ),
        (
            "currency: EUR",
            "currency: euro",
            "spec.tariff.currency: \"euro\" does not have the right form",
        ),
        (
            "{minutes: 500}",
            "{minutes: 500, micros: 3}",
            "spec.tariff.commitment: one commitment is wanted; allowed: minutes or micros",
        ),
        (
            "\"+44\"",
            "\"+491\"",
            "spec.group: \"+491\" is served by carrier \"north\" of group \"default\" too; allowed: one group",
        ),
        (
            "group: islands, guaranteed: 5",
            "group: iles, guaranteed: 5",
            "spec.channels[1].group: no carrier is of group \"iles\"; allowed: default, islands",
        ),
        (
            "group: islands, guaranteed: 5",
            "guaranteed: 5",
            "spec.channels[1].group: there is a share of group \"default\" already",
        ),
        (
            "expected: 16",
            "expected: 14",
            "spec.channels[0].expected: 14 is less than what is guaranteed; allowed: at least 15",
        ),
        (
            "maximum: 25",
            "maximum: 15",
            "spec.channels[0].maximum: 15 is less than what is expected; allowed: at least 16",
        ),
        (
            "lend: 250",
            "lend: 1001",
            "spec.channels[0].lend: 1001 is out of bounds; allowed: 0 to 1000",
        ),
        (
            "guaranteed: 5",
            "guaranteed: 6",
            "spec.channels[1].guaranteed: 6 guaranteed channels of group \"islands\" are more than the others' guarantees leave; allowed: at most 5: 5 are active for outbound calls",
        ),
    ];
    for (from, to, expected) in cases {
        assert!(GOOD.contains(from), "{from}");
        let errors = read(&GOOD.replacen(from, to, 1)).expect_err(to).to_string();
        assert!(errors.contains(expected), "{to}:\n{errors}\nwanted {expected}");
    }
}
