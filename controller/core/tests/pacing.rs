//! How calls are spaced, capped, ordered and held.

mod support;

use busyhour_base::{CallEvent, Outcome, Reason, Span, Timestamp};
use busyhour_controller_core::{
    command::{CallReport, Command},
    effect::Reply,
    engine::ledger::SETUP_LATENESS_MAX_US,
    spec::{Cap, Excess, Urgency},
};
use proptest::prelude::*;
use support::{Machine, START, call, carrier, ended, tenant};

const FAST: Span = Span::ZERO;

#[test]
fn mt_2_a_hundred_requests_at_one_a_second_are_spread_over_a_hundred_seconds() {
    let mut machine = Machine::declared(
        vec![tenant(1, Some(Span::from_secs(1)))],
        vec![carrier("a", 1_000, FAST)],
    );
    machine.submit(1, vec![call("+1"); 100]);
    machine.run_late(START + Span::from_secs(200), Span::from_millis(40));
    let dues: Vec<_> = machine.dials.iter().map(|(_, dial)| dial.at).collect();
    let grid: Vec<_> = (0..100).map(|n| START + Span::from_secs(n)).collect();
    assert_eq!(dues, grid, "late ticks do not move the grid");
    assert_eq!(machine.dials[0].1.held_by, Reason::Ready);
    assert!(machine.dials[1..].iter().all(|(_, dial)| dial.held_by == Reason::Throttle));
}

#[test]
fn mt_2_after_a_long_stop_a_backlog_comes_back_spaced() {
    let mut machine = Machine::declared(
        vec![tenant(1, Some(Span::from_secs(1)))],
        vec![carrier("a", 1_000, FAST)],
    );
    machine.submit(1, vec![call("+1"); 10]);
    machine.now = START + Span::from_secs(60);
    machine.run(Span::from_millis(10_500));
    let after: Vec<_> = machine.dials[1..].iter().map(|(at, _)| *at).collect();
    assert_eq!(after.len(), 9);
    assert!(after.windows(2).all(|pair| pair[1].since(pair[0]) >= Span::from_millis(800)));
}

#[test]
fn mt_3_two_caps_hold_at_once() {
    let mut capped = tenant(1, None);
    capped.limits.caps = vec![
        Cap { count: 2, window: Span::from_secs(10) },
        Cap { count: 3, window: Span::from_secs(60) },
    ];
    let mut machine = Machine::declared(vec![capped], vec![carrier("a", 1_000, FAST)]);
    machine.submit(1, vec![call("+1"); 6]);
    machine.run(Span::from_secs(200));
    let seconds: Vec<_> = machine.dials.iter().map(|(at, _)| at.since(START).as_secs()).collect();
    assert_eq!(seconds, [0, 0, 10, 60, 60, 70]);
    assert_eq!(machine.dials[2].1.held_by, Reason::Cap);
}

#[test]
fn mt_4_tenants_alternate_and_mt_12_channels_and_rate_hold() {
    let mut machine = Machine::declared(
        vec![tenant(1, None), tenant(2, None), tenant(3, None)],
        vec![carrier("a", 4, Span::from_millis(200))],
    );
    let lots = vec![call("+1"); 8];
    for number in 1..=3 {
        machine.submit(number, lots.clone());
    }
    machine.run(Span::from_secs(5));
    assert_eq!(machine.dials.len(), 4);
    let state = &machine.state;
    let counts = state.tenants().map(|tenant| tenant.counts);
    let sums = counts.fold((0, 0), |(q, p), counts| (q + counts.queued, p + counts.in_progress));
    assert_eq!(sums, (20, 4));
    assert_eq!((state.calls_waiting(), state.calls_in_progress()), (20, 4));
    let waiting = machine.accepted(1, call("+2"));
    assert_eq!(machine.state.explain(waiting).expect("waits").binding, Reason::CarrierChannels);
    for turn in 0..20 {
        let first = machine.dials[turn].1.call;
        machine.says(first, ended(Outcome::Completed, true));
        machine.run(Span::from_secs(1));
    }
    let accounts: Vec<_> = machine.dials.iter().map(|(_, dial)| dial.account.0).collect();
    assert!(
        accounts[1..24].chunks_exact(3).all(|turn| {
            let mut turn = turn.to_vec();
            turn.sort_unstable();
            turn == [1, 2, 3]
        }),
        "{accounts:?}"
    );
    assert_eq!(machine.dials[8].1.held_by, Reason::CarrierChannels);
}

/// What makes the carrier count one too many is a late INVITE. A report that waits behind a slow disk is none.
#[test]
fn mt_12_a_late_set_up_moves_the_carriers_grid_and_a_late_report_does_not() {
    const GUARD_MS: u64 = SETUP_LATENESS_MAX_US / 1_000;
    for (heard_after_ms, second_at_ms) in [(1, 204), (150, 204 + 150 - GUARD_MS)] {
        let mut machine = Machine::declared(
            vec![tenant(1, None)],
            vec![carrier("a", 10, Span::from_millis(204))],
        );
        machine.submit(1, vec![call("+1"); 2]);
        let first = machine.dials[0].1.clone();
        machine.now = START + Span::from_millis(150);
        machine.apply(Command::Reports(vec![CallReport {
            agent: first.agent,
            call: first.call,
            attempt: first.attempt,
            heard_at: START + Span::from_millis(heard_after_ms),
            event: CallEvent::Sent,
        }]));
        machine.run(Span::from_secs(1));
        let second = machine.dials[1].1.at;
        assert_eq!(
            second,
            START + Span::from_millis(second_at_ms),
            "heard after {heard_after_ms} ms"
        );
    }
}

#[test]
fn mt_6_an_urgent_request_goes_before_ordinary_ones_of_all_tenants() {
    let mut machine =
        Machine::declared(vec![tenant(1, None), tenant(2, None)], vec![carrier("a", 1, FAST)]);
    machine.submit(1, vec![call("+1"); 3]);
    let mut urgent = call("+2");
    urgent.urgency = Urgency::Synchronous;
    machine.submit(2, vec![call("+1"); 3]);
    let urgent = machine.accepted(2, urgent);
    let first = machine.dials[0].1.call;
    machine.says(first, ended(Outcome::Busy, true));
    assert_eq!(machine.dialled().last(), Some(&urgent));
}

#[test]
fn mt_5_scheduled_and_expiring_requests() {
    let mut machine = Machine::declared(vec![tenant(1, None)], vec![carrier("a", 1, FAST)]);
    let at = START + Span::from_secs(30);
    let mut scheduled = call("+1");
    scheduled.not_before = Some(at);
    let scheduled = machine.accepted(1, scheduled);
    let direct = machine.accepted(1, call("+2"));
    assert_eq!(machine.dialled(), [direct], "a scheduled request holds nobody");
    machine.run(Span::from_secs(40));
    assert_eq!(machine.dialled(), [direct], "the channel is taken");
    machine.says(direct, ended(Outcome::Completed, true));
    assert_eq!(machine.dialled(), [direct, scheduled]);

    let mut expiring = call("+3");
    expiring.expires = Some(machine.now + Span::from_secs(1));
    let expiring = machine.accepted(1, expiring);
    machine.now = machine.now + Span::from_secs(1);
    machine.says(scheduled, ended(Outcome::Completed, true));
    assert!(!machine.dialled().contains(&expiring), "not tried at its expiry or after");
    let ending = machine.state.call(expiring).and_then(|view| view.ending).expect("it has ended");
    assert_eq!((ending.outcome, ending.reason), (Outcome::Failed, Reason::Expired));
    assert_eq!(machine.state.next_wake(), None::<Timestamp>);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    /// MT-2: while a tenant has a backlog and nothing else holds it, its n-th request is due exactly n - 1 spacings after
    /// the first, however late each tick comes.
    #[test]
    fn mt_2_the_grid_does_not_drift(
        spacings in prop::collection::vec(1_000u64..2_000_000, 1..5),
        late_us in 0u64..200_000,
        calls in 2usize..40,
    ) {
        let tenants = spacings.iter().zip(1..).map(|(us, number)| tenant(number, Some(Span(*us))));
        let mut machine = Machine::declared(tenants.collect(), vec![carrier("a", 1_000, FAST)]);
        for number in 1..=spacings.len() as u128 {
            machine.submit(number, vec![call("+1"); calls]);
        }
        machine.run_late(START + Span::from_secs(100), Span(late_us));
        for (spacing, number) in spacings.iter().zip(1u128..) {
            let dues = machine.dials.iter().filter(|(_, dial)| dial.account.0 == number);
            let dues: Vec<_> = dues.map(|(_, dial)| dial.at.since(START).0).collect();
            let grid: Vec<_> = (0..calls as u64).map(|n| n * spacing).collect();
            prop_assert_eq!(dues, grid);
        }
    }

    /// MT-4: whoever waits for a channel is served in turn: between two starts of one tenant, every other tenant that
    /// had a request waiting all that time starts exactly one.
    #[test]
    fn mt_4_tenants_with_a_backlog_alternate(
        backlogs in prop::collection::vec(1usize..12, 2..6), channels in 1u32..4,
    ) {
        let tenants = (1..=backlogs.len() as u128).map(|number| tenant(number, None));
        let mut machine =
            Machine::declared(tenants.collect(), vec![carrier("a", channels, FAST)]);
        // One call holds each channel until everybody waits.
        machine.submit(1, vec![call("+0"); channels as usize]);
        for (backlog, number) in backlogs.iter().zip(1u128..) {
            machine.submit(number, vec![call("+1"); *backlog]);
        }
        let total = channels as usize + backlogs.iter().sum::<usize>();
        for ended_calls in 0..total {
            prop_assert!(machine.dials.len() > ended_calls, "a free channel is used");
            let oldest = machine.dials[ended_calls].1.call;
            machine.says(oldest, ended(Outcome::Completed, true));
        }
        let order: Vec<_> =
            machine.dials[channels as usize..].iter().map(|(_, dial)| dial.account.0).collect();
        prop_assert_eq!(order.len(), total - channels as usize);
        let turns = |number: u128, until: usize| {
            order[..until].iter().filter(|other| **other == number).count()
        };
        for until in 0..order.len() {
            for (backlog, number) in backlogs.iter().zip(1u128..) {
                let mine = turns(number, until);
                for other in 1..=backlogs.len() as u128 {
                    let ahead = turns(other, until).saturating_sub(mine);
                    prop_assert!(mine == *backlog || ahead <= 1, "{order:?} at {until}");
                }
            }
        }
    }

    /// MT-12: set-ups keep the carrier's spacing as they leave, ticks late or not, and its rate is used up while
    /// requests wait.
    #[test]
    fn mt_12_the_set_up_rate_holds_as_sent_and_is_used(per_second in 1u64..50, late_us in 0u64..9_000) {
        let spacing = Span(1_020_000_u64.div_ceil(per_second));
        let mut machine = Machine::declared(vec![tenant(1, None)], vec![carrier("a", 10_000, spacing)]);
        machine.submit(1, vec![call("+1"); 200]);
        machine.run_late(START + Span::from_secs(10), Span(late_us));
        let sent: Vec<_> = machine.dials.iter().map(|(at, _)| *at).collect();
        for pair in sent.windows(per_second as usize + 1) {
            prop_assert!(pair[per_second as usize].since(pair[0]) > Span::from_secs(1));
        }
        let possible = (10_000_000 / spacing.0 + 1).min(200);
        prop_assert!(sent.len() as u64 + 1 >= possible, "{} of {possible}", sent.len());
    }

    /// MT-12: when the network delays what was ordered, the carrier still counts no more than its rate in any second:
    /// the reports of what was sent push the grid back.
    #[test]
    fn mt_12_late_set_ups_push_the_grid_back(
        per_second in 2u64..30, delay_ms in 0u64..500, stalled in 0usize..40,
    ) {
        let spacing = Span(1_020_000_u64.div_ceil(per_second));
        let mut machine = Machine::declared(vec![tenant(1, None)], vec![carrier("a", 10_000, spacing)]);
        machine.submit(1, vec![call("+1"); 120]);
        let (mut sent, mut pending) = (Vec::new(), Vec::new());
        for ms in 0..8_000_u64 {
            machine.now = START + Span::from_millis(ms);
            if machine.state.next_wake().is_some_and(|wake| wake <= machine.now) {
                machine.apply(Command::Tick);
            }
            let known = sent.len() + pending.len();
            for (number, (_, dial)) in machine.dials.iter().enumerate().skip(known) {
                let late = if number == stalled { Span::from_millis(delay_ms) } else { Span::ZERO };
                pending.push((machine.now + late, dial.call));
            }
            // What was held up holds up what comes after it, as on one connection.
            while let Some((at, call)) = pending.first().copied().filter(|(at, _)| *at <= machine.now) {
                pending.remove(0);
                sent.push(at.max(machine.now));
                machine.says(call, CallEvent::Sent);
            }
        }
        for pair in sent.windows(per_second as usize + 1) {
            let span = pair[per_second as usize].since(pair[0]);
            prop_assert!(span > Span::from_millis(980), "{} in {span}", per_second + 1);
        }
    }
}

/// A new limit holds from now on, and nobody loses a place in a queue or in the fair order by it (DESIGN: live changes).
#[test]
fn live_changes_of_limits_keep_places() {
    let order = |change: bool| {
        let mut machine =
            Machine::declared(vec![tenant(1, None), tenant(2, None)], vec![carrier("a", 1, FAST)]);
        for number in [1, 2, 1, 2] {
            machine.submit(number, vec![call("+1"); 2]);
        }
        if change {
            let slower = |number| tenant(number, Some(Span::from_millis(10)));
            let tenants = vec![slower(1), slower(2)];
            let declared = support::declaration(tenants, vec![carrier("a", 1, FAST)]);
            machine.run(Span::from_secs(1));
            machine.apply(Command::Declare(Box::new(declared)));
        }
        for turn in 0..7 {
            let first = machine.dials[turn].1.call;
            machine.run(Span::from_secs(1));
            machine.says(first, ended(Outcome::Completed, true));
        }
        machine.dialled().iter().map(|call| call.0).collect::<Vec<_>>()
    };
    assert_eq!(order(true), order(false));
    assert_eq!(order(true), [1, 2, 3, 5, 4, 6, 7, 8]);
}

/// MT-3: where the policy says so, what exceeds a cap is refused at once, and taken again when the window has room.
#[test]
fn mt_3_a_call_over_a_cap_is_refused_where_the_policy_says_so() {
    let minute = Span::from_secs(60);
    let mut refusing = tenant(1, None);
    refusing.limits.caps = vec![Cap { count: 2, window: minute }];
    refusing.limits.excess = Excess::Refuse;
    let mut machine = Machine::declared(vec![refusing], vec![carrier("a", 9, Span::ZERO)]);
    let verdicts = |machine: &mut Machine, calls: usize| -> Vec<Option<Reason>> {
        match machine.submit(1, vec![call("+1"); calls]) {
            Reply::Submitted(verdicts) => {
                verdicts.into_iter().map(|verdict| verdict.err()).collect()
            }
            Reply::Refused(reason) => vec![Some(reason)],
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(verdicts(&mut machine, 3), [None, None, Some(Reason::CapRefused)]);
    machine.run(minute);
    assert_eq!(verdicts(&mut machine, 1), [None]);
}
