//! How calls are spaced, capped, ordered and held.

mod support;

use busyhour_base::{CallEvent, Outcome, Reason, Span, Timestamp};
use busyhour_controller_core::{
    command::{CallReport, Command},
    engine::ledger::SETUP_LATENESS_MAX_US,
    spec::{Cap, Urgency},
};
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
