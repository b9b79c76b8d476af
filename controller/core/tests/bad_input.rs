//! Bad input at the core's own surface: clocks that step, reports of nobody's calls, absurd limits, queues past their
//! bound, carriers that go with calls on them. Each has a reason and an event, and no accepted request is lost.

mod support;

use std::collections::BTreeSet;

use busyhour_base::{CallEvent, Outcome, Reason, Span, Timestamp};
use busyhour_controller_core::{
    Options, State,
    command::{BatchCommand, CallReport, Change, Command, Entry, Submit, Update},
    effect::{Effect, Phase, Reply},
    spec::{
        AgentIx, BatchId, BatchPlan, CallId, Cap, Carrier, Declaration, Excess, NewCall, Tenant,
        Throttle, Urgency,
    },
};
use proptest::prelude::*;
use support::{Machine, START, account, call, carrier, declaration, ended, tenant};

const DAY: Span = Span::from_secs(86_400);

fn declare(machine: &mut Machine, tenants: Vec<Tenant>, carriers: Vec<Carrier>) -> Reply {
    machine.apply(Command::Declare(Box::new(declaration(tenants, carriers))))
}

/// How each call that has ended did so, as it was told.
fn told(machine: &Machine, call: CallId) -> Vec<Outcome> {
    let ended = machine.effects.iter().filter_map(|effect| match effect {
        Effect::Changed { call: other, phase: Phase::Ended(outcome), .. } if *other == call => {
            Some(*outcome)
        }
        _ => None,
    });
    ended.collect()
}

#[test]
fn a_clock_that_steps_back_stops_nothing_but_time() {
    let spaced = tenant(1, Some(Span::from_secs(1)));
    let mut machine =
        Machine::declared(vec![spaced, tenant(2, None)], vec![carrier("a", 50, Span::ZERO)]);
    machine.run(Span::from_secs(100));
    machine.submit(1, vec![call("+1"); 3]);
    let (reached, dials) = (machine.state.now(), machine.dials.len());
    let mut backs = 0;
    for back in [Span(1), Span::from_secs(50), DAY] {
        machine.now = Timestamp(reached.0 - back.0);
        machine.apply(Command::Tick);
        assert_eq!(machine.state.now(), reached, "time never goes back");
        backs += 1;
        assert_eq!(machine.state.clock_backs(), backs, "and that is counted");
        assert_eq!(machine.dials.len(), dials, "no throttle opens by it");
        let direct = machine.accepted(2, call("+2"));
        backs += 1;
        assert_eq!(machine.state.call(direct).expect("it is there").phase, Phase::Dialling);
        machine.dials.pop();
    }
    machine.now = reached;
    machine.run(Span::from_secs(5));
    let dues = machine.dials.iter().filter(|(_, dial)| dial.account == account(1));
    let dues: Vec<_> = dues.map(|(_, dial)| dial.at).collect();
    assert_eq!(dues, [0, 1, 2].map(|second| reached + Span::from_secs(second)));
}

#[test]
fn a_clock_that_steps_forward_lets_nothing_burst_and_expires_what_is_over() {
    let spaced = tenant(1, Some(Span::from_secs(1)));
    let mut machine = Machine::declared(vec![spaced], vec![carrier("a", 500, Span::ZERO)]);
    machine.submit(1, vec![call("+1"); 100]);
    let mut over = call("+2");
    over.expires = Some(START + DAY);
    let over = machine.accepted(1, over);
    let before = machine.dials.len();
    machine.now = machine.now + DAY + DAY;
    machine.apply(Command::Tick);
    assert_eq!(told(&machine, over), [Outcome::Failed], "it is over, and that is told once");
    let burst = machine.dials.len() - before;
    assert!(burst <= 1, "{burst} at once after the step");
    machine.run(Span::from_secs(200));
    assert_eq!(machine.dials.len(), 100, "the others are still there, and start");
}

#[test]
fn a_report_that_fits_no_attempt_changes_nothing() {
    let mut machine = Machine::declared(vec![tenant(1, None)], vec![carrier("a", 5, Span::ZERO)]);
    let other = machine.agent_up("other", 1, 10, 0);
    let running = machine.accepted(1, call("+1"));
    let dial = machine.last_dial(running);
    let over = machine.accepted(1, call("+2"));
    let over_dial = machine.last_dial(over);
    machine.says(over, ended(Outcome::Completed, true));

    let wrong_agent = if dial.agent == other { AgentIx(other.0 ^ 1) } else { other };
    let strays = [
        (dial.agent, CallId(999_999), 1),
        (dial.agent, CallId(u64::MAX), u16::MAX),
        (dial.agent, CallId(0), 0),
        (dial.agent, running, dial.attempt + 1),
        (dial.agent, running, 0),
        (wrong_agent, running, dial.attempt),
        (AgentIx(u16::MAX), running, dial.attempt),
        (over_dial.agent, over, over_dial.attempt),
    ];
    let events = [
        CallEvent::Sent,
        CallEvent::Answered,
        CallEvent::NotSent(Reason::AgentFull),
        ended(Outcome::Busy, true),
    ];
    for (agent, call, attempt) in strays {
        for event in &events {
            let (counted, heard_at) = (machine.state.stray_reports(), machine.now);
            let (phase, effects) = (machine.state.call(running), machine.effects.len());
            let report = CallReport { agent, call, attempt, heard_at, event: event.clone() };
            assert_eq!(machine.apply(Command::Reports(vec![report])), Reply::Done);
            assert_eq!(machine.state.stray_reports(), counted + 1, "it is counted");
            assert_eq!(machine.state.call(running), phase, "{call:?} {attempt} of {agent:?}");
            assert_eq!(machine.effects.len(), effects);
        }
    }
    // What is out of order counts as late, and a report from the future as now.
    let heard_at = Timestamp(u64::MAX);
    let (agent, attempt) = (dial.agent, dial.attempt);
    for event in [CallEvent::Answered, CallEvent::Ringing, CallEvent::Sent] {
        machine.apply(Command::Reports(vec![CallReport {
            agent,
            call: running,
            attempt,
            heard_at,
            event,
        }]));
        assert_eq!(machine.state.call(running).expect("it is up").phase, Phase::InProgress);
    }
    let answered_at = machine.state.call(running).and_then(|view| view.answered_at);
    assert_eq!(answered_at, Some(machine.now));
    machine.says(running, ended(Outcome::Completed, true));
    assert_eq!(told(&machine, running), [Outcome::Completed]);
}

#[test]
fn whoever_asks_for_what_is_not_theirs_gets_a_reason_and_changes_nothing() {
    let mut machine = Machine::declared(vec![tenant(1, None), tenant(2, None)], Vec::new());
    let mine = machine.accepted(1, call("+1"));
    let batch = machine.create_batch(1, BatchPlan::default(), vec![call("+2")]);
    let effects = machine.effects.len();
    let refused = |machine: &mut Machine, command, reason| {
        let before = machine.state.call(mine);
        assert_eq!(machine.apply(command), Reply::Refused(reason));
        assert_eq!((machine.state.call(mine), machine.effects.len()), (before, effects));
    };
    for change in [Change::Cancel, Change::Complete] {
        for (number, call) in [(2, mine), (1, CallId(u64::MAX)), (1, CallId(0))] {
            let update = Update { account: account(number), call, change: change.clone() };
            refused(&mut machine, Command::Update(update), Reason::UnknownCall);
        }
    }
    for (number, batch) in [(2, batch), (1, BatchId(u64::MAX))] {
        let account = account(number);
        for command in [
            BatchCommand::Start { account, batch },
            BatchCommand::Pause { account, batch },
            BatchCommand::Resume { account, batch },
            BatchCommand::Cancel { account, batch, hang_up: true },
        ] {
            refused(&mut machine, Command::Batch(command), Reason::UnknownBatch);
        }
    }
    let calls = vec![call("+3")];
    let stranger = Submit { account: account(9), idempotency: None, batch: None, calls };
    refused(&mut machine, Command::Submit(stranger), Reason::UnknownTenant);
}

#[test]
fn a_queue_past_its_bound_refuses_and_keeps_what_it_has() {
    let mut small = tenant(1, None);
    small.limits.queue_max = 3;
    let mut machine = Machine::declared(vec![small, tenant(2, None)], Vec::new());
    let Reply::Submitted(verdicts) = machine.submit(1, vec![call("+1"); 5]) else {
        panic!("each call has its verdict");
    };
    let reasons: Vec<_> = verdicts.iter().filter_map(|verdict| verdict.err()).collect();
    assert_eq!((verdicts.iter().flatten().count(), reasons), (3, vec![Reason::QueueFull; 2]));
    let other = machine.accepted(2, call("+1"));
    let first = verdicts[0].expect("accepted").call;
    machine.update(1, first, Change::Cancel);
    machine.accepted(1, call("+2"));
    assert_eq!(machine.state.calls_waiting(), 4);
    // The bound may be set below what waits: nothing that was accepted goes.
    let mut none = tenant(1, None);
    none.limits.queue_max = 0;
    assert_eq!(declare(&mut machine, vec![none, tenant(2, None)], Vec::new()), Reply::Done);
    assert_eq!(machine.submit(1, vec![call("+1")]), Reply::Refused(Reason::QueueFull));
    assert_eq!(machine.state.calls_waiting(), 4);
    assert_eq!(machine.state.call(other).expect("it waits").phase, Phase::Queued);
}

#[test]
fn more_calls_in_one_entry_than_allowed_are_refused_whole() {
    let mut machine = Machine::with(Options { submit_max: 10, ..Options::default() });
    declare(&mut machine, vec![tenant(1, None)], Vec::new());
    assert_eq!(machine.submit(1, vec![call("+1"); 11]), Reply::Refused(Reason::TooLarge));
    assert_eq!(machine.state.calls_waiting(), 0);
    assert!(matches!(machine.submit(1, vec![call("+1"); 10]), Reply::Submitted(_)));
}

#[test]
fn calls_stay_up_when_their_carrier_is_removed_and_what_waits_says_why() {
    let mut machine = Machine::declared(vec![tenant(1, None)], vec![carrier("a", 2, Span::ZERO)]);
    let calls: Vec<_> = (0..4).map(|_| machine.accepted(1, call("+1"))).collect();
    machine.says(calls[0], CallEvent::Sent);
    machine.says(calls[0], CallEvent::Answered);
    assert_eq!(declare(&mut machine, vec![tenant(1, None)], Vec::new()), Reply::Done);
    assert_eq!(machine.state.call(calls[0]).expect("it is up").phase, Phase::InProgress);
    assert_eq!(machine.state.call(calls[1]).expect("it is up").phase, Phase::Dialling);
    let waits = machine.state.explain(calls[2]).expect("it waits");
    assert_eq!((waits.binding, waits.starts_in), (Reason::NoCarrier, None));
    let late = machine.accepted(1, call("+1"));

    machine.says(calls[0], ended(Outcome::Completed, true));
    assert_eq!(told(&machine, calls[0]), [Outcome::Completed]);
    machine.run(DAY);
    assert_eq!(machine.dials.len(), 2, "nothing goes over a carrier that is gone");

    // It comes back while a call of before is still on it: that one counts against its channels.
    declare(&mut machine, vec![tenant(1, None)], vec![carrier("a", 2, Span::ZERO)]);
    assert_eq!(machine.dialled(), calls[..3]);
    machine.says(calls[1], ended(Outcome::NoAnswer, true));
    machine.says(calls[2], ended(Outcome::Completed, true));
    assert_eq!(machine.dialled(), [&calls[..], &[late]].concat());
    for call in [calls[3], late] {
        machine.says(call, ended(Outcome::Completed, true));
        assert_eq!(told(&machine, call), [Outcome::Completed]);
    }
    let view = machine.state.carriers().next().expect("it is declared");
    assert_eq!((view.availability.in_use, view.availability.free), (0, 2));
}

#[test]
fn what_a_tenant_had_queued_starts_though_it_is_removed() {
    let mut machine = Machine::declared(vec![tenant(1, None)], vec![carrier("a", 1, Span::ZERO)]);
    let up = machine.accepted(1, call("+1"));
    let waiting = machine.accepted(1, call("+2"));
    declare(&mut machine, Vec::new(), vec![carrier("a", 1, Span::ZERO)]);
    assert_eq!(machine.submit(1, vec![call("+3")]), Reply::Refused(Reason::UnknownTenant));
    machine.says(up, ended(Outcome::Completed, true));
    assert_eq!(machine.dialled(), [up, waiting]);
    machine.says(waiting, ended(Outcome::Completed, true));
    assert_eq!([told(&machine, up), told(&machine, waiting)], [[Outcome::Completed]; 2]);
}

/// Numbers that nobody means, and a few that somebody might.
fn absurd() -> impl Strategy<Value = u64> {
    prop::sample::select(vec![
        0,
        1,
        2,
        999_999,
        1_000_000,
        3_600_000_000,
        u64::from(u32::MAX),
        1 << 53,
        START.0,
        u64::MAX / 2,
        u64::MAX - 1,
        u64::MAX,
    ])
}

fn absurd_count() -> impl Strategy<Value = u32> {
    prop::sample::select(vec![0, 1, 2, 7, 65_535, 65_536, 1 << 24, u32::MAX - 1, u32::MAX])
}

fn absurd_tenant(number: u128) -> impl Strategy<Value = Tenant> {
    let cap =
        (absurd_count(), absurd()).prop_map(|(count, window)| Cap { count, window: Span(window) });
    let limits = (
        prop::option::of(absurd()),
        prop::collection::vec(cap, 0..4),
        any::<bool>(),
        absurd_count(),
        absurd(),
    );
    (limits, prop::bool::weighted(0.1)).prop_map(
        move |((spacing, caps, refuse, queue_max, wait_max), suspended)| {
            let mut tenant = tenant(number, None);
            let limits = &mut tenant.limits;
            limits.throttle = spacing.map(|spacing| Throttle { spacing: Span(spacing) });
            limits.caps = caps;
            limits.excess = if refuse { Excess::Refuse } else { Excess::Schedule };
            (limits.queue_max, limits.wait_max) = (queue_max, Span(wait_max));
            tenant.suspended = suspended;
            tenant
        },
    )
}

fn absurd_declaration() -> impl Strategy<Value = Declaration> {
    let carrier = |name: &'static str| {
        (absurd_count(), absurd(), absurd_count(), absurd()).prop_map(
            move |(channels, spacing, ports, quarantine)| {
                let mut carrier = carrier(name, channels, Span(spacing));
                carrier.service_ports = ports;
                carrier.quarantine = Span(quarantine);
                carrier
            },
        )
    };
    // Also twice the same account or name, and not in order.
    (
        prop::collection::vec((1u128..4).prop_flat_map(absurd_tenant), 0..4),
        prop::collection::vec(prop_oneof![carrier("a"), carrier("b")], 0..3),
    )
        .prop_map(|(tenants, carriers)| declaration(tenants, carriers))
}

fn absurd_call() -> impl Strategy<Value = NewCall> {
    (prop::option::of(absurd()), prop::option::of(absurd()), 0u8..3).prop_map(
        |(begins, expires, urgency)| {
            let mut call = call("+1");
            call.not_before = begins.map(Timestamp);
            call.expires = expires.map(Timestamp);
            call.urgency =
                [Urgency::Inbound, Urgency::Synchronous, Urgency::Ordinary][usize::from(urgency)];
            call
        },
    )
}

#[derive(Clone, Debug)]
enum Bad {
    Declare(Declaration),
    Submit(u128, Vec<NewCall>),
    Batch(u128, Option<u64>, Option<u32>, Option<u64>, Option<u64>, Vec<NewCall>),
    Clock(u64),
    Back(u64),
    End(usize),
}

fn bad() -> impl Strategy<Value = Bad> {
    let calls = || prop::collection::vec(absurd_call(), 0..4);
    prop_oneof![
        2 => absurd_declaration().prop_map(Bad::Declare),
        4 => (1u128..5, calls()).prop_map(|(number, calls)| Bad::Submit(number, calls)),
        1 => (
            1u128..4, prop::option::of(absurd()), prop::option::of(absurd_count()),
            prop::option::of(absurd()), prop::option::of(absurd()), calls(),
        ).prop_map(|(number, spacing, most, begins, lasts, calls)| {
            Bad::Batch(number, spacing, most, begins, lasts, calls)
        }),
        3 => prop::sample::select(vec![1, 1_000, 1_000_000, 60_000_000, 86_400_000_000, 1 << 48])
            .prop_map(Bad::Clock),
        1 => (0u64..100_000_000).prop_map(Bad::Back),
        3 => any::<usize>().prop_map(Bad::End),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    /// Whatever is declared and asked for: every state is whole, every refusal is a reason, and every accepted request
    /// waits, is in progress, or has ended once.
    #[test]
    fn absurd_limits_lose_nothing(history in prop::collection::vec(bad(), 1..40)) {
        let mut machine = Machine::declared(vec![tenant(1, None)], vec![carrier("a", 2, Span::ZERO)]);
        let mut accepted = BTreeSet::new();
        for step in history {
            let reply = match step {
                Bad::Declare(declaration) => machine.apply(Command::Declare(Box::new(declaration))),
                Bad::Submit(number, calls) => machine.submit(number, calls),
                Bad::Batch(number, spacing, max_concurrent, begins, lasts, calls) => {
                    let plan = BatchPlan {
                        throttle: spacing.map(|spacing| Throttle { spacing: Span(spacing) }),
                        max_concurrent,
                        not_before: begins.map(Timestamp),
                        not_after: lasts.map(Timestamp),
                        ..BatchPlan::default()
                    };
                    let account = account(number);
                    let create = BatchCommand::Create { account, idempotency: None, plan: Box::new(plan) };
                    let Reply::Batch(batch) = machine.apply(Command::Batch(create)) else { continue };
                    let submit = Submit { account, idempotency: None, batch: Some(batch), calls };
                    let reply = machine.apply(Command::Submit(submit));
                    machine.apply(Command::Batch(BatchCommand::Start { account, batch }));
                    reply
                }
                Bad::Clock(us) => {
                    machine.now = Timestamp(machine.now.0.saturating_add(us));
                    machine.apply(Command::Tick)
                }
                Bad::Back(us) => {
                    machine.now = Timestamp(machine.now.0 - us.min(machine.now.0));
                    machine.apply(Command::Tick)
                }
                Bad::End(which) => {
                    let up: Vec<_> = machine.dials.iter().map(|(_, dial)| dial.call).collect();
                    if up.is_empty() {
                        continue;
                    }
                    machine.says(up[which % up.len()], ended(Outcome::Completed, true));
                    continue;
                }
            };
            if let Reply::Submitted(verdicts) = reply {
                accepted.extend(verdicts.iter().flatten().map(|accepted| accepted.call));
            }
        }
        for call in &accepted {
            let ended = told(&machine, *call).len();
            let there = machine.state.call(*call).is_some_and(|view| view.ending.is_none());
            prop_assert!(ended + usize::from(there) == 1, "{call:?} ended {ended} times, there: {there}");
        }
        machine.replays_alike(machine.log.len() / 2);
    }
}

/// An instant at the end of time is one as any other.
#[test]
fn the_end_of_time_is_no_end() {
    let mut state = State::new();
    let (mut effects, mut index) = (Vec::new(), 0);
    let mut apply = |state: &mut State, at: u64, command| {
        index += 1;
        state.apply(&Entry { index, at: Timestamp(at), command }, &mut effects);
        state.check().expect("the state is whole");
    };
    let declared =
        declaration(vec![tenant(1, Some(Span::from_secs(1)))], vec![carrier("a", 2, Span(1))]);
    apply(&mut state, START.0, Command::Declare(Box::new(declared)));
    let submit = |calls| {
        Command::Submit(Submit { account: account(1), idempotency: None, batch: None, calls })
    };
    apply(&mut state, START.0, submit(vec![call("+1"); 3]));
    apply(&mut state, u64::MAX, Command::Tick);
    apply(&mut state, u64::MAX, submit(vec![call("+1"); 3]));
    apply(&mut state, 0, Command::Tick);
    assert_eq!(state.calls_waiting() + state.calls_in_progress(), 6);
}
