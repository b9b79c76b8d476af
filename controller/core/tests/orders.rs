//! Limits of several scopes at once, the order across tenants, floors, and routes.

mod support;

use std::{collections::BTreeMap, sync::Arc};

use busyhour_base::{ApplicationSid, CallSpec, Outcome, Reason, Span, Timestamp};
use busyhour_controller_core::{
    Options,
    command::{BatchCommand, Command, Submit},
    effect::Reply,
    spec::{
        Application, AskedAs, BatchPlan, CallId, Cap, Carrier, Channels, Declaration, Destination,
        Floors, NewCall, Number, NumberKind, OrderPolicy, Pace, Share, Tenant, Throttle, Urgency,
    },
};
use proptest::prelude::*;
use support::{Machine, START, account, call, carrier, ended, tenant};

const FAST: Span = Span::ZERO;
const SECOND: Span = Span::from_secs(1);

fn from(number: &str, to: &str) -> NewCall {
    let NewCall { spec, .. } = call(to);
    NewCall::of(Arc::new(CallSpec { from: number.into(), ..(*spec).clone() }))
}

fn number(owner: u128, number: &str, pace: Pace) -> Number {
    Number { number: number.into(), account: account(owner), kind: NumberKind::Local, pace }
}

fn spaced(spacing: Span) -> Pace {
    Pace { throttle: Some(Throttle { spacing }), caps: Vec::new() }
}

fn capped(caps: &[(u32, u64)]) -> Pace {
    let cap =
        |(count, seconds): &(u32, u64)| Cap { count: *count, window: Span::from_secs(*seconds) };
    Pace { throttle: None, caps: caps.iter().map(cap).collect() }
}

fn serving(name: &str, channels: u32, prefixes: &[&str]) -> Carrier {
    let serves = prefixes.iter().map(|prefix| Destination {
        prefix: (*prefix).into(),
        kinds: Vec::new(),
        calls: true,
        messages: false,
        prices: Vec::new(),
    });
    Carrier { serves: serves.collect(), ..carrier(name, channels, FAST) }
}

/// A machine with all of this declared, and an agent.
fn declared(declaration: Declaration) -> Machine {
    let mut machine = Machine::new();
    assert_eq!(machine.apply(Command::Declare(Box::new(declaration))), Reply::Done);
    machine.agent_up("agent", 1, 1_000, 0);
    machine
}

fn redeclare(machine: &mut Machine, change: impl FnOnce(&mut Declaration)) {
    let mut declaration = machine.state.declaration().clone();
    change(&mut declaration);
    assert_eq!(machine.apply(Command::Declare(Box::new(declaration))), Reply::Done);
}

/// Seconds at which calls started, by the number that they were placed from.
fn starts(machine: &Machine) -> BTreeMap<String, Vec<u64>> {
    let mut starts = BTreeMap::<_, Vec<_>>::new();
    for (at, dial) in &machine.dials {
        starts.entry(dial.spec.from.clone()).or_default().push(at.since(START).as_secs());
    }
    starts
}

/// Ends the first of the calls in progress, so that one channel is free.
fn end_first(machine: &mut Machine, ended_before: &mut usize) {
    let call = machine.dials[*ended_before].1.call;
    *ended_before += 1;
    machine.says(call, ended(Outcome::Completed, true));
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

/// Three tenants with a long queue each and one channel; who was served in so many turns.
fn contest(order: OrderPolicy, turns: usize, tenants: [Tenant; 3]) -> (Machine, Vec<u128>) {
    let declaration = Declaration {
        tenants: tenants.to_vec(),
        carriers: vec![carrier("a", 1, FAST)],
        order,
        ..Declaration::default()
    };
    let mut machine = declared(declaration);
    for owner in [1, 2, 3] {
        machine.submit(owner, vec![call("+1"); turns]);
    }
    let mut done = 0;
    while machine.dials.len() < turns {
        machine.run(SECOND);
        end_first(&mut machine, &mut done);
    }
    let served = machine.dials.iter().map(|(_, dial)| dial.account.0).collect();
    (machine, served)
}

fn counts(served: &[u128]) -> [usize; 3] {
    [1, 2, 3].map(|owner| served.iter().filter(|one| **one == owner).count())
}

#[test]
fn mt_4_each_policy_orders_as_it_says() {
    let plain = || [1, 2, 3].map(|owner| tenant(owner, None));
    let weighted = [1, 2, 3].map(|owner| {
        let mut tenant = tenant(owner, None);
        tenant.limits.weight = [1, 2, 5][owner as usize - 1];
        tenant.limits.plan = [2, 1, 1][owner as usize - 1];
        tenant
    });
    let (_, served) = contest(OrderPolicy::Alternating, 30, plain());
    // The first stood for its second turn before the others came.
    assert_eq!(counts(&served), [11, 10, 9]);
    assert!(served[1..28].chunks(3).all(|turn| turn == [1, 2, 3]), "{served:?}");
    let (_, served) = contest(OrderPolicy::Weighted, 80, weighted.clone());
    let [one, two, five] = counts(&served);
    assert!((9..=11).contains(&one) && (19..=21).contains(&two) && (49..=51).contains(&five));
    let (_, served) = contest(OrderPolicy::FirstComeFirstServed, 30, plain());
    assert_eq!(counts(&served), [30, 0, 0], "its thirty came first");
    let (_, served) = contest(OrderPolicy::Plan, 31, weighted);
    assert_eq!(counts(&served), [1, 15, 15], "the first found the channel free");
    let (_, served) =
        contest(OrderPolicy::ResourceUse { half_life: Span::from_secs(3_600) }, 30, plain());
    assert!(counts(&served).iter().all(|count| (9..=11).contains(count)), "all calls last alike");
    let (machine, served) = contest(OrderPolicy::Random { seed: 5 }, 60, plain());
    assert!(counts(&served).iter().all(|count| (10..=30).contains(count)), "{served:?}");
    assert!(served.windows(3).any(|three| three[0] == three[1]), "it is no rotation: {served:?}");
    machine.replays_alike(30);
    let (_, other) = contest(OrderPolicy::Random { seed: 6 }, 60, plain());
    assert_ne!(served, other);
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

/// A minute of sixty half-lives ago is nothing beside a second of just now.
#[test]
fn mt_4_channel_time_that_was_used_long_ago_counts_no_more() {
    let mut machine = declared(Declaration {
        tenants: [1, 2, 3].map(|owner| tenant(owner, None)).to_vec(),
        carriers: vec![carrier("a", 1, FAST)],
        order: OrderPolicy::ResourceUse { half_life: SECOND },
        ..Declaration::default()
    });
    let speaks = |machine: &mut Machine, owner, seconds| {
        let call = machine.accepted(owner, call("+1"));
        machine.run(Span::from_secs(seconds));
        machine.says(call, ended(Outcome::Completed, true));
    };
    speaks(&mut machine, 1, 60);
    machine.run(Span::from_secs(60));
    speaks(&mut machine, 2, 1);
    // All but the first of these wait for the only channel, the one who used it lately for longer.
    let up = [3, 2, 1].map(|owner| machine.accepted(owner, call("+1")))[0];
    machine.says(up, ended(Outcome::Completed, true));
    assert_eq!(machine.dials.last().expect("one started").1.account, account(1));
    machine.replays_alike(4);
}

#[test]
fn mt_4_a_policy_is_changed_live_and_nobody_loses_a_place() {
    let tenants = [1, 2, 3].map(|owner| {
        let mut tenant = tenant(owner, None);
        tenant.limits.weight = owner as u32;
        tenant.limits.plan = 4 - owner as u32;
        tenant
    });
    let (mut machine, _) = contest(OrderPolicy::Alternating, 6, tenants);
    let mut done = machine.dials.len() - 1;
    let policies = [
        OrderPolicy::Plan,
        OrderPolicy::Random { seed: 1 },
        OrderPolicy::FirstComeFirstServed,
        OrderPolicy::Weighted,
        OrderPolicy::ResourceUse { half_life: SECOND },
        OrderPolicy::Alternating,
    ];
    for order in policies {
        redeclare(&mut machine, |declaration| declaration.order = order);
        machine.run(SECOND);
        end_first(&mut machine, &mut done);
        if order == OrderPolicy::Plan {
            assert_eq!(machine.dials.last().expect("one started").1.account.0, 3);
        }
    }
    while done < machine.dials.len() {
        machine.run(SECOND);
        end_first(&mut machine, &mut done);
    }
    assert_eq!(machine.dials.len(), 18);
    for owner in 1..=3 {
        let own = machine.dials.iter().filter(|(_, dial)| dial.account == account(owner));
        let own: Vec<CallId> = own.map(|(_, dial)| dial.call).collect();
        assert!(own.is_sorted(), "each tenant's calls start in their order: {own:?}");
    }
    machine.replays_alike(machine.log.len() / 2);
}

/// Tenant 1 has single calls and a batch, 2 a batch, 3 single calls, six of each, and one channel.
fn kinds(order: OrderPolicy) -> (Machine, Vec<CallId>) {
    let sid = ApplicationSid(7);
    let mut one = tenant(1, None);
    one.applications = vec![Application { sid, pace: Pace::default() }];
    let declaration = Declaration {
        tenants: vec![one, tenant(2, None), tenant(3, None)],
        carriers: vec![carrier("a", 1, FAST)],
        order,
        ..Declaration::default()
    };
    let mut machine = declared(declaration);
    // It takes the channel, so that all that follows waits.
    machine.accepted(3, call("+1"));
    let mut lines = Vec::new();
    for owner in [1, 2] {
        let of_application = |n: usize| Some(sid).filter(|_| owner == 1 && n % 2 == 1);
        let calls = (0..6).map(|n| NewCall { application: of_application(n), ..call("+1") });
        lines.extend(machine.running_batch(owner, BatchPlan::default(), calls.collect()).1);
    }
    for owner in [1, 3] {
        machine.submit(owner, vec![call("+1"); 6]);
    }
    (machine, lines)
}

/// Serves so many turns more: whose they were, and whether it was a line of a batch.
fn turns(machine: &mut Machine, lines: &[CallId], turns: usize) -> Vec<(u128, bool)> {
    let from = machine.dials.len();
    for mut done in from - 1..from - 1 + turns {
        machine.run(SECOND);
        end_first(machine, &mut done);
    }
    let served = machine.dials[from..].iter();
    served.map(|(_, dial)| (dial.account.0, lines.contains(&dial.call))).collect()
}

#[test]
fn mt_4_by_kind_single_calls_go_before_lines_of_batches_or_the_other_way_round() {
    for first in [AskedAs::Single, AskedAs::BatchLine] {
        let (mut machine, lines) = kinds(OrderPolicy::Kind { first });
        let served = turns(&mut machine, &lines, 24);
        let line_first = first == AskedAs::BatchLine;
        assert!(served[..12].iter().all(|(_, line)| *line == line_first), "{served:?}");
        assert!(served[12..].iter().all(|(_, line)| *line != line_first), "{served:?}");
        for half in served.chunks(12) {
            let turns = half.windows(2).all(|pair| pair[0].0 != pair[1].0);
            assert!(turns, "within a kind tenants take turns: {half:?}");
        }
        machine.replays_alike(machine.log.len() / 2);
    }
}

#[test]
fn mt_4_by_kind_comes_and_goes_live_and_nobody_loses_a_place() {
    let (mut machine, lines) = kinds(OrderPolicy::Alternating);
    let order = |machine: &mut Machine, order| redeclare(machine, |d| d.order = order);
    let served = turns(&mut machine, &lines, 3);
    let mut whose: Vec<_> = served.iter().map(|(owner, _)| *owner).collect();
    whose.sort_unstable();
    assert_eq!(whose, [1, 2, 3], "one turn of each tenant, whatever it has");
    order(&mut machine, OrderPolicy::Kind { first: AskedAs::BatchLine });
    let served = turns(&mut machine, &lines, 4);
    assert!(served.iter().all(|(_, line)| *line), "{served:?}");
    order(&mut machine, OrderPolicy::Kind { first: AskedAs::Single });
    let served = turns(&mut machine, &lines, 4);
    assert!(served.iter().all(|(_, line)| !*line), "{served:?}");
    order(&mut machine, OrderPolicy::Alternating);
    let served = turns(&mut machine, &lines, 6);
    for turn in served.chunks(3) {
        let mut whose: Vec<_> = turn.iter().map(|(owner, _)| *owner).collect();
        whose.sort_unstable();
        assert_eq!(whose, [1, 2, 3], "and again: {served:?}");
    }
    turns(&mut machine, &lines, 7);
    assert_eq!(machine.dials.len(), 25, "everything was served once");
    for owner in 1..=3 {
        for batch in [false, true] {
            let own = machine.dials.iter().filter(|(_, dial)| dial.account == account(owner));
            let mut own: Vec<_> = own.map(|(_, dial)| dial.call).collect();
            own.retain(|call| lines.contains(call) == batch);
            // The odd lines of the first tenant's batch are of an application, which has a queue of its own.
            let queues = if owner == 1 && batch { 2 } else { 1 };
            let first = own.first().map_or(0, |call| call.0);
            for queue in 0..queues {
                let of_it = own.iter().filter(|call| (call.0 - first) % queues == queue);
                let of_it: Vec<_> = of_it.collect();
                assert!(of_it.is_sorted(), "{owner}'s calls start in their order: {own:?}");
            }
        }
    }
    machine.replays_alike(machine.log.len() / 2);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// The order by kind comes and goes at any time, whatever waits where; every state is checked, all is served, and each
    /// queue in its order.
    #[test]
    fn mt_4_by_kind_holds_the_tree_together_whatever_waits(
        steps in prop::collection::vec((0u8..5, 1u128..4, 0usize..3, 1usize..4), 1..40),
    ) {
        let sid = ApplicationSid(7);
        let mut tenants = [1, 2, 3].map(|owner| tenant(owner, None));
        tenants[0].limits.throttle = Some(Throttle { spacing: Span::from_secs(2) });
        for tenant in &mut tenants {
            tenant.applications = vec![Application { sid, pace: spaced(SECOND) }];
        }
        let carriers = vec![serving("a", 2, &["+1"]), serving("b", 1, &["+2"])];
        let declaration = Declaration { tenants: tenants.to_vec(), carriers, ..Declaration::default() };
        let mut machine = declared(declaration);
        let (mut done, mut sent) = (0, 0);
        for (step, owner, variant, count) in steps {
            let new = NewCall {
                application: (variant == 1).then_some(sid),
                ..call(["+1", "+2"][count % 2])
            };
            match step {
                0 => { machine.submit(owner, vec![new; count]); sent += count; }
                1 => { machine.running_batch(owner, BatchPlan::default(), vec![new; count]); sent += count; }
                2 => {
                    let order = match variant {
                        0 => OrderPolicy::Kind { first: AskedAs::Single },
                        1 => OrderPolicy::Kind { first: AskedAs::BatchLine },
                        _ => OrderPolicy::Weighted,
                    };
                    redeclare(&mut machine, |d| d.order = order);
                }
                _ => machine.run(SECOND),
            }
            if done < machine.dials.len() {
                end_first(&mut machine, &mut done);
            }
        }
        while done < sent {
            machine.run(Span::from_secs(4));
            prop_assert!(done < machine.dials.len(), "{} of {} were served", machine.dials.len(), sent);
            end_first(&mut machine, &mut done);
        }
        prop_assert_eq!(machine.dials.len(), sent);
        machine.replays_alike(machine.log.len() / 2);
    }
}

#[test]
fn mt_6_a_floor_lets_less_urgent_requests_through() {
    for (floor, least, most) in [(0, 0, 0), (200, 19, 21)] {
        let declaration = Declaration {
            tenants: vec![tenant(1, None), tenant(2, None)],
            carriers: vec![carrier("a", 1, FAST)],
            floors: Floors { synchronous: 0, ordinary: floor },
            ..Declaration::default()
        };
        let mut machine = declared(declaration);
        machine.submit(1, vec![NewCall { urgency: Urgency::Synchronous, ..call("+1") }; 120]);
        machine.submit(2, vec![call("+2"); 120]);
        for done in 0..100 {
            machine.run(SECOND);
            end_first(&mut machine, &mut { done });
        }
        let ordinary =
            machine.dials[..100].iter().filter(|(_, dial)| dial.account == account(2)).count();
        assert!((least..=most).contains(&ordinary), "{ordinary} of 100 at a floor of {floor}");
    }
}

#[test]
fn mt_5_the_queue_is_bounded_by_the_expected_wait_and_not_by_its_length() {
    let mut slow = tenant(1, Some(Span::from_secs(600)));
    slow.limits.wait_max = Span::from_secs(1_800);
    let mut quick = tenant(2, Some(Span::from_millis(1)));
    quick.limits.wait_max = Span::from_secs(1_800);
    let mut machine = Machine::declared(vec![slow, quick], vec![carrier("a", 1_000, FAST)]);
    let accepted = |reply| match reply {
        Reply::Submitted(verdicts) => verdicts,
        other => panic!("{other:?}"),
    };
    let slow = accepted(machine.submit(1, vec![call("+1"); 7]));
    assert!(slow[..3].iter().all(Result::is_ok), "{slow:?}");
    assert!(slow[5..].iter().all(|one| *one == Err(Reason::WaitTooLong)), "{slow:?}");
    let quick = accepted(machine.submit(2, vec![call("+1"); 900]));
    assert!(quick.iter().all(Result::is_ok), "a long queue that moves fast is no reason");
}

/// What goes before a call that waits are others.
#[test]
fn mt_27_a_call_does_not_wait_for_itself() {
    let hour = Span::from_secs(3_600);
    let mut machine = Machine::declared(vec![tenant(1, Some(hour))], vec![carrier("a", 9, FAST)]);
    machine.accepted(1, call("+1"));
    for position in 0..3 {
        let call = machine.accepted(1, call("+1"));
        let why = machine.state.explain(call).expect("it waits");
        assert_eq!((why.position, why.starts_in), (position, Some(Span(hour.0 * (position + 1)))));
    }
}

/// Calls that may not start now are in nobody's way: of batches that are drafts or paused, however urgent their lines.
#[test]
fn mt_5_the_expected_wait_leaves_out_what_was_not_started() {
    let sid = ApplicationSid(7);
    for scope in ["tenant", "application", "number"] {
        let pace = |of| if of == scope { spaced(SECOND) } else { Pace::default() };
        let mut one = tenant(1, pace("tenant").throttle.map(|throttle| throttle.spacing));
        one.limits.wait_max = Span::from_secs(60);
        one.applications = vec![Application { sid, pace: pace("application") }];
        let numbers = vec![number(1, "+4911", pace("number"))];
        let carriers = vec![carrier("a", 1_000, FAST)];
        let tenants = vec![one];
        let mut machine =
            declared(Declaration { tenants, carriers, numbers, ..Declaration::default() });
        let new = NewCall { application: Some(sid), ..from("+4911", "+1") };
        let line = |urgency| NewCall { urgency, ..new.clone() };
        for urgency in [Urgency::Synchronous, Urgency::Ordinary, Urgency::Ordinary] {
            machine.create_batch(1, BatchPlan::default(), vec![line(urgency); 200]);
        }
        let Reply::Submitted(verdicts) = machine.submit(1, vec![new; 100]) else { panic!() };
        let accepted: Vec<_> = verdicts.into_iter().flatten().collect();
        assert_eq!(accepted.len(), 61, "one at once, and one for each second of a minute, {scope}");
        let last = machine.state.explain(accepted[60].call).expect("it waits");
        assert_eq!(last.position, 59, "{scope}");
    }
}

/// However many batches there are that may not start, and of whichever applications and numbers their lines are. A line of one
/// of them waits for the others of its own.
#[test]
fn mt_5_the_expected_wait_leaves_out_any_number_of_batches_that_were_not_started() {
    let sids = [ApplicationSid(7), ApplicationSid(8)];
    let mut one = tenant(1, None);
    let application = |sid| Application { sid, pace: spaced(SECOND) };
    one.applications = sids.map(application).to_vec();
    let numbers = ["+4911", "+4922"].map(|named| number(1, named, spaced(SECOND))).to_vec();
    let carriers = vec![carrier("a", 1_000, FAST)];
    let tenants = vec![one];
    let options = Options { batch_run_up: Span::from_millis(100), ..Options::default() };
    let mut machine = Machine::with(options);
    let declaration = Declaration { tenants, carriers, numbers, ..Declaration::default() };
    machine.apply(Command::Declare(Box::new(declaration)));
    machine.agent_up("agent", 1, 1_000, 0);
    let new = |sid, number| NewCall { application: Some(sid), ..from(number, "+1") };
    let lines: Vec<_> =
        sids.iter().flat_map(|sid| ["+4911", "+4922"].map(|number| new(*sid, number))).collect();
    let drafts: Vec<_> =
        (0..300).map(|_| machine.create_batch(1, BatchPlan::default(), lines.clone())).collect();
    let wait = |machine: &mut Machine, batch| {
        let calls = vec![new(sids[0], "+4911")];
        let submit = Submit { account: account(1), idempotency: None, batch, calls };
        let Reply::Submitted(verdicts) = machine.apply(Command::Submit(submit)) else { panic!() };
        verdicts[0].expect("accepted").wait.0 / SECOND.0
    };
    assert_eq!(wait(&mut machine, None), 0);
    let own = |machine: &mut Machine| wait(machine, Some(drafts[0]));
    assert_eq!(own(&mut machine), 3, "that one, and one of either queue of its draft");
    assert_eq!(machine.start_batch(1, drafts[1]), Reply::Done);
    assert_eq!(
        wait(&mut machine, None),
        3,
        "one of each queue of the batch that is about to begin"
    );
    machine.apply(Command::Batch(BatchCommand::Pause { account: account(1), batch: drafts[1] }));
    assert_eq!(wait(&mut machine, None), 2, "those that are of no batch");
    machine.replays_alike(300);
}

/// Of a carrier's channels outbound calls have those only that are active and not held or kept for inbound calls.
#[test]
fn mt_14_mt_15_the_expected_wait_counts_the_channels_that_outbound_calls_may_have() {
    let ten = Channels { inbound: 4, outbound: 0, both: 6 };
    let waits = |change: &dyn Fn(&mut Carrier)| {
        let mut one = carrier("a", 10, FAST);
        one.channels = ten;
        change(&mut one);
        let mut machine = Machine::declared(vec![tenant(1, None)], vec![one]);
        let Reply::Submitted(verdicts) = machine.submit(1, vec![call("+1"); 20]) else { panic!() };
        verdicts[19].expect("accepted").wait
    };
    // Nothing has ended, so that a minute is taken for each.
    let with = |channels: u64| Span::from_secs(60 * (20 - channels) / channels);
    assert_eq!(waits(&|_| {}), with(6), "some are for inbound calls only");
    assert_eq!(waits(&|one| one.reserve = 4), with(2));
    assert_eq!(waits(&|one| one.allocation.active = Some(Channels { both: 5, ..ten })), with(5));
    let none = |change: &dyn Fn(&mut Carrier)| {
        let mut one = carrier("a", 10, FAST);
        change(&mut one);
        let (group, lend_permille) = (Arc::clone(&one.group), 1_000);
        let share = Share { group, guaranteed: 0, expected: 0, maximum: 10, lend_permille };
        let owner = Tenant { shares: vec![share], ..tenant(1, None) };
        let mut machine = Machine::declared(vec![owner], vec![one]);
        let waiting = machine.accepted(1, call("+1"));
        let why = machine.state.explain(waiting).expect("it waits");
        assert_eq!(why.starts_in, None);
        // The tenant's share and the carrier say the same.
        let share = machine.state.shares_of(account(1)).next().expect("of the only group").room;
        let carrier = machine.state.carriers().next().expect("one").outbound;
        assert_eq!((share.calls, share.binding), (0, why.binding));
        assert_eq!((carrier.calls, carrier.binding), (0, why.binding));
        why.binding
    };
    assert_eq!(none(&|one| one.reserve = 10), Reason::ChannelsReserved);
    let inactive = Some(Channels::both(0));
    assert_eq!(none(&|one| one.allocation.active = inactive), Reason::ChannelsInactive);
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

/// MT-4: in the weighted order who had nothing to ask for has saved nothing up.
#[test]
fn mt_4_who_was_idle_begins_where_the_others_are() {
    let declaration = Declaration {
        tenants: vec![tenant(1, None), tenant(2, None)],
        carriers: vec![carrier("a", 1, FAST)],
        order: OrderPolicy::Weighted,
        ..Declaration::default()
    };
    let mut machine = declared(declaration);
    let end_last = |machine: &mut Machine| {
        let last = *machine.dialled().last().expect("one is up");
        machine.run(Span::from_secs(1));
        machine.says(last, ended(Outcome::Completed, true));
    };
    machine.submit(1, vec![call("+1"); 30]);
    (0..10).for_each(|_| end_last(&mut machine));
    machine.submit(2, vec![call("+1"); 10]);
    (0..10).for_each(|_| end_last(&mut machine));
    let late = machine.dials[11..].iter().filter(|(_, dial)| dial.account == account(2));
    assert_eq!(late.count(), 5, "they take turns from then on");
}
