//! Limits of several scopes at once, the limits of carriers, and the routes over them.

mod support;

use std::collections::BTreeMap;

use busyhour_base::{ApplicationSid, Outcome, Reason, Span, Timestamp};
use busyhour_controller_core::spec::{Application, Cap, Carrier, Declaration, NewCall, Pace};
use proptest::prelude::*;
use support::{
    Machine, START, call, carrier,
    declared::{FAST, SECOND, declared, from, number, redeclare, serving, spaced},
    ended, tenant,
};

fn capped(caps: &[(u32, u64)]) -> Pace {
    let cap =
        |(count, seconds): &(u32, u64)| Cap { count: *count, window: Span::from_secs(*seconds) };
    Pace { throttle: None, caps: caps.iter().map(cap).collect() }
}

/// Seconds at which calls started, by the number that they were placed from.
fn starts(machine: &Machine) -> BTreeMap<String, Vec<u64>> {
    let mut starts = BTreeMap::<_, Vec<_>>::new();
    for (at, dial) in &machine.dials {
        starts.entry(dial.spec.from.clone()).or_default().push(at.since(START).as_secs());
    }
    starts
}

#[test]
fn mt_2_mt_3_limits_of_tenant_application_and_number_hold_at_once() {
    let sid = ApplicationSid(7);
    let mut one = tenant(1, Some(SECOND));
    one.applications = vec![Application { sid, pace: spaced(Span::from_secs(3)) }];
    let numbers = vec![number(1, "+4911", capped(&[(2, 60)])), number(1, "+4922", Pace::default())];
    let carriers = vec![carrier("a", 1_000, FAST)];
    let mut machine =
        declared(Declaration { tenants: vec![one], carriers, numbers, ..Declaration::default() });
    let mut calls = vec![from("+4911", "+1"); 4];
    calls.extend(vec![NewCall { application: Some(sid), ..from("+4922", "+1") }; 4]);
    machine.submit(1, calls);
    machine.run(Span::from_secs(100));
    let starts = starts(&machine);
    let near = |seconds: &[u64], wanted: &[u64]| {
        seconds.iter().zip(wanted).all(|(at, wanted)| (*wanted..=wanted + 1).contains(at))
    };
    assert!(near(&starts["+4911"], &[0, 1, 60, 61]), "a cap of two a minute: {starts:?}");
    assert!(near(&starts["+4922"], &[1, 4, 7, 10]), "one every three seconds: {starts:?}");
    let mut all: Vec<_> = machine.dials.iter().map(|(_, dial)| dial.at).collect();
    all.sort_unstable();
    let apart = |pair: &[Timestamp]| pair[1].since(pair[0]) >= SECOND;
    assert!(all.windows(2).all(apart), "the tenant's own throttle holds over both");
    let why = |reason| machine.dials.iter().any(|(_, dial)| dial.held_by == reason);
    assert!(why(Reason::NumberCap) && why(Reason::ApplicationThrottle) && why(Reason::Throttle));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// However calls come and whenever the state is restored, no instant sees a window with more than its count, at any
    /// scope; and every call starts in the end.
    #[test]
    fn mt_3_several_caps_are_exact_at_every_instant_also_across_a_restart(
        own in prop::collection::vec((1u32..5, 1u64..40), 1..3),
        of_number in prop::collection::vec((1u32..4, 1u64..40), 1..3),
        bursts in prop::collection::vec((0u64..9_000, 1usize..4, any::<bool>()), 1..12),
        restart in any::<prop::sample::Index>(),
    ) {
        let mut one = tenant(1, None);
        one.limits.caps = capped(&own).caps;
        let numbers = vec![number(1, "+4911", capped(&of_number)), number(1, "+4922", Pace::default())];
        let carriers = vec![carrier("a", 1_000, FAST)];
        let mut machine =
            declared(Declaration { tenants: vec![one], carriers, numbers, ..Declaration::default() });
        let mut sent = 0;
        for (gap, count, first) in bursts {
            machine.run(Span::from_millis(gap));
            let number = if first { "+4911" } else { "+4922" };
            machine.submit(1, vec![from(number, "+1"); count]);
            sent += count;
        }
        machine.run(Span::from_secs(3_000));
        prop_assert_eq!(machine.dials.len(), sent);
        let exact = |caps: &[(u32, u64)], of: &dyn Fn(&str) -> bool| {
            let at: Vec<_> =
                machine.dials.iter().filter(|(_, dial)| of(&dial.spec.from)).map(|(at, _)| *at).collect();
            caps.iter().all(|(count, seconds)| {
                let count = *count as usize;
                (count..at.len()).all(|n| at[n].since(at[n - count]) >= Span::from_secs(*seconds))
            })
        };
        prop_assert!(exact(&own, &|_| true), "the tenant's");
        prop_assert!(exact(&of_number, &|from| from == "+4911"), "the number's");
        machine.replays_alike(restart.index(machine.log.len()));
    }
}

#[test]
fn mt_7_a_queue_that_waits_for_one_carrier_never_holds_another() {
    let carriers = vec![serving("a", 1, &["+49"]), serving("b", 3, &["+44"])];
    let mut machine = Machine::declared(vec![tenant(1, None)], carriers);
    machine.submit(1, vec![call("+491"); 5]);
    machine.submit(1, vec![call("+441"); 3]);
    let carriers: Vec<_> = machine.dials.iter().map(|(_, dial)| dial.carrier.to_string()).collect();
    assert_eq!(carriers, ["a", "b", "b", "b"], "three channels of the other carrier were free");
    let last = machine.accepted(1, call("+441"));
    assert_eq!(machine.state.explain(last).expect("waits").binding, Reason::CarrierChannels);
}

#[test]
fn mt_17_requests_follow_the_carriers_that_are_declared_in_their_order() {
    let mut machine = Machine::declared(vec![tenant(1, None)], vec![serving("a", 9, &["+49"])]);
    let calls: Vec<_> =
        (0..6).map(|n| machine.accepted(1, call(["+441", "+331"][n % 2]))).collect();
    let later = NewCall { not_before: Some(START + Span::from_secs(9)), ..call("+441") };
    let later = machine.accepted(1, later);
    assert!(machine.dials.is_empty());
    assert_eq!(machine.state.explain(calls[0]).expect("waits").binding, Reason::NoCarrier);
    redeclare(&mut machine, |d| d.carriers.push(serving("b", 2, &["+44"])));
    assert_eq!(machine.dialled(), [calls[0], calls[2]], "the other number is still nobody's");
    redeclare(&mut machine, |d| {
        d.carriers[0].serves.push(serving("", 0, &["+33"]).serves[0].clone())
    });
    assert_eq!(machine.dialled()[2..], [calls[1], calls[3], calls[5]]);
    machine.says(calls[0], ended(Outcome::Completed, true));
    machine.run(Span::from_secs(20));
    machine.says(calls[2], ended(Outcome::Completed, true));
    assert_eq!(machine.dialled()[5..], [calls[4], later]);
    // A carrier that takes no more leaves nobody behind.
    let waiting = machine.accepted(1, call("+441"));
    redeclare(&mut machine, |d| {
        d.carriers.remove(1);
        d.carriers.push(serving("c", 2, &["+4"]));
    });
    assert_eq!(machine.last_dial(waiting).carrier.as_ref(), "c");
    machine.replays_alike(machine.log.len() / 2);
}

#[test]
fn mt_12_a_call_that_a_carrier_fails_goes_over_the_next_one_and_ends_when_none_is_left() {
    let carriers = vec![carrier("a", 5, FAST), carrier("b", 5, FAST), carrier("c", 5, FAST)];
    let mut machine = Machine::declared(vec![tenant(1, None)], carriers);
    let [won, lost, busy] = ["+1", "+2", "+3"].map(|to| machine.accepted(1, call(to)));
    assert_eq!(machine.last_dial(won).carrier.as_ref(), "a");
    machine.says(won, ended(Outcome::Failed, true));
    assert_eq!(machine.last_dial(won).carrier.as_ref(), "b");
    assert_eq!(machine.last_dial(won).attempt, 2);
    machine.says(won, ended(Outcome::Completed, true));
    for carrier in ["a", "b", "c"] {
        assert_eq!(machine.last_dial(lost).carrier.as_ref(), carrier);
        machine.says(lost, ended(Outcome::Failed, true));
    }
    // Somebody was reached: that is no carrier's failure.
    machine.says(busy, ended(Outcome::Busy, true));
    let records: BTreeMap<_, _> = machine
        .state
        .outbox(10)
        .map(|record| (record.call, (record.ending.reason, record.earlier.len())))
        .collect();
    assert_eq!(records[&won], (Reason::Completed, 1));
    assert_eq!(records[&lost], (Reason::CarriersExhausted, 2));
    assert_eq!(records[&busy], (Reason::Busy, 0));
    // An end that is not certain is never tried elsewhere.
    let doubtful = machine.accepted(1, call("+4"));
    machine.says(doubtful, ended(Outcome::Failed, false));
    assert_eq!(machine.dialled().iter().filter(|call| **call == doubtful).count(), 1);
    machine.replays_alike(6);
}

#[test]
fn mt_12_a_carrier_that_is_taken_out_and_put_back_goes_on_with_its_rate() {
    let carriers = vec![carrier("a", 2, Span::from_secs(10))];
    let mut machine = declared(Declaration {
        tenants: vec![tenant(1, None)],
        carriers: carriers.clone(),
        ..Declaration::default()
    });
    let first = machine.accepted(1, call("+1"));
    machine.says(first, ended(Outcome::Completed, true));
    machine.run(SECOND);
    redeclare(&mut machine, |declaration| declaration.carriers.clear());
    machine.run(SECOND);
    redeclare(&mut machine, |declaration| declaration.carriers = carriers);
    machine.accepted(1, call("+1"));
    machine.run(Span::from_secs(20));
    let [(_, one), (_, two)] = &machine.dials[..] else { panic!("{:?}", machine.dials) };
    assert!(two.at.since(one.at) >= Span::from_secs(10), "{one:?} {two:?}");
}

#[test]
fn mt_11_service_ports_bound_outbound_requests_below_the_channels() {
    let ported = Carrier { service_ports: 3, ..carrier("a", 10, FAST) };
    let mut machine = Machine::declared(vec![tenant(1, None)], vec![ported]);
    machine.submit(1, vec![call("+1"); 8]);
    assert_eq!(machine.dials.len(), 3);
    let waiting = machine.accepted(1, call("+1"));
    assert_eq!(machine.state.explain(waiting).expect("waits").binding, Reason::ServicePorts);
    redeclare(&mut machine, |declaration| declaration.carriers[0].service_ports = 5);
    assert_eq!(machine.dials.len(), 5, "they follow the contract");
}
