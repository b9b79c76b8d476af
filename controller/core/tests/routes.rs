//! Over which carriers calls go when one cannot complete them, or when what is declared changes meanwhile.

mod support;

use busyhour_base::{CallEvent, Outcome, Reason, Span};
use busyhour_controller_core::{
    Options,
    command::Command,
    spec::{BatchPlan, Cap, Carrier, Declaration, Destination, OrderPolicy, Price, Retry, RetryOn},
};
use support::{Machine, START, call, carrier, declaration, ended, tenant};

fn serving(name: &str, channels: u32, prefixes: &[&str], micros: u64) -> Carrier {
    let mut carrier = carrier(name, channels, Span::ZERO);
    let to = |prefix: &&str| Destination {
        prefix: (*prefix).into(),
        calls: true,
        prices: vec![Price { from_minutes: 0, per_minute_micros: micros }],
        ..Default::default()
    };
    carrier.serves = prefixes.iter().map(to).collect();
    carrier
}

fn declare(machine: &mut Machine, order: OrderPolicy, carriers: Vec<Carrier>) {
    let mut tenants = vec![tenant(1, None), tenant(2, None)];
    tenants[1].limits.weight = 8;
    let declaration = Declaration { order, ..declaration(tenants, carriers) };
    machine.apply(Command::Declare(Box::new(declaration)));
}

fn machine(carriers: Vec<Carrier>) -> Machine {
    let mut machine = Machine::declared(Vec::new(), Vec::new());
    declare(&mut machine, OrderPolicy::Alternating, carriers);
    machine
}

fn over(machine: &Machine, call: busyhour_controller_core::spec::CallId) -> String {
    machine.last_dial(call).carrier.to_string()
}

/// MT-5, MT-17: a carrier that fails a call after its expiry is the last one.
#[test]
fn mt_5_a_call_that_has_expired_goes_to_no_other_carrier() {
    let mut machine = machine(["a", "b"].map(|name| serving(name, 1, &["+"], 1)).to_vec());
    let mut new = call("+1");
    new.expires = Some(machine.now + Span::from_secs(2));
    let call = machine.accepted(1, new);
    machine.run(Span::from_secs(2));
    machine.says(call, ended(Outcome::Failed, true));
    machine.run(Span::from_secs(1));
    assert_eq!(machine.dials.len(), 1, "{:?}", machine.dials);
    let record = machine.state.outbox(1).next().expect("it ended");
    assert_eq!(record.ending.reason, Reason::CarrierFailure);
}

/// MT-17: while a call is up its route is replaced; when its carrier fails it, it goes over the others that are declared, and
/// over none that has failed it.
#[test]
fn mt_17_a_call_goes_on_over_the_routes_that_are_declared_by_then() {
    let before = vec![serving("a", 1, &["+4"], 1), serving("b", 1, &["+4"], 2)];
    let after = vec![
        serving("a", 1, &["+4"], 1),
        serving("b", 1, &["+4"], 2),
        serving("c", 1, &["+44"], 3),
    ];
    let mut machine = machine(before);
    let british = machine.accepted(1, call("+44"));
    assert_eq!(over(&machine, british), "a");
    declare(&mut machine, OrderPolicy::Alternating, after.clone());
    machine.says(british, ended(Outcome::Failed, true));
    assert_eq!(over(&machine, british), "b");
    machine.says(british, ended(Outcome::Failed, true));
    assert_eq!(over(&machine, british), "c");
    machine.says(british, ended(Outcome::Failed, true));
    let record = machine.state.outbox(1).next().expect("every carrier has failed it");
    assert_eq!(record.ending.reason, Reason::CarriersExhausted);
    assert!(record.earlier.iter().all(|attempt| attempt.passed_on));

    // One that waits for another carrier when the routes are replaced does not go back to the one that failed it.
    let mut machine = machine_with_two(&after);
    let blocker = machine.accepted(2, call("+44"));
    let british = machine.accepted(1, call("+44"));
    assert_eq!((over(&machine, blocker), over(&machine, british)), ("a".into(), "b".into()));
    let third = machine.accepted(2, call("+44"));
    assert_eq!(over(&machine, third), "c");
    machine.says(british, ended(Outcome::Failed, true));
    machine.run(Span::from_secs(1));
    assert_eq!(machine.last_dial(british).attempt, 1, "a and c are full");
    declare(
        &mut machine,
        OrderPolicy::Alternating,
        vec![
            serving("a", 1, &["+4"], 1),
            serving("b", 1, &["+4"], 2),
            serving("c", 1, &["+44"], 3),
            serving("d", 1, &["+9"], 3),
        ],
    );
    assert_eq!(machine.last_dial(british).attempt, 1, "b has failed it");
    machine.says(third, ended(Outcome::Completed, true));
    assert_eq!((over(&machine, british), machine.last_dial(british).attempt), ("c".into(), 2));
}

fn machine_with_two(carriers: &[Carrier]) -> Machine {
    machine(carriers.to_vec())
}

/// A call that was not sent waits over the routes that are declared by then.
#[test]
fn mt_17_a_call_that_was_not_sent_starts_though_its_route_was_replaced() {
    let mut machine = machine(vec![serving("a", 1, &["+4"], 1)]);
    let british = machine.accepted(1, call("+44"));
    declare(
        &mut machine,
        OrderPolicy::Alternating,
        vec![serving("a", 1, &["+4"], 1), serving("b", 1, &["+44"], 2)],
    );
    machine.says(british, CallEvent::NotSent(Reason::LeaseExpired));
    let dial = machine.last_dial(british);
    assert_eq!((dial.attempt, dial.held_by), (2, Reason::LeaseExpired));
}

/// A call that is never sent is tried a bounded number of times, and ends with the last reason.
#[test]
fn a_call_that_no_agent_takes_ends_after_a_bounded_number_of_attempts() {
    let mut machine = machine(vec![serving("a", 1, &["+4"], 1)]);
    let call = machine.accepted(1, call("+44"));
    let most = Options::default().attempts_max;
    for attempt in 1..=most {
        assert_eq!(machine.last_dial(call).attempt, attempt);
        machine.says(call, CallEvent::NotSent(Reason::LeaseExpired));
    }
    let record = machine.state.outbox(1).next().expect("it ended");
    assert_eq!((record.ending.reason, machine.dials.len()), (Reason::LeaseExpired, most.into()));
}

/// MT-17: what a call is charged at is what is declared for its destination when it ends.
#[test]
fn mt_17_a_call_is_charged_for_its_destination_though_its_route_was_replaced() {
    let mut machine = machine(vec![serving("a", 1, &["+4"], 6_000_000)]);
    let british = machine.accepted(1, call("+44"));
    declare(
        &mut machine,
        OrderPolicy::Alternating,
        vec![serving("a", 1, &["+4"], 6_000_000), serving("b", 1, &["+44"], 9_000_000)],
    );
    machine.says(british, CallEvent::Sent);
    machine.says(british, CallEvent::Answered);
    machine.says(british, ended(Outcome::Completed, true));
    let a = machine.state.carriers().find(|carrier| &*carrier.name == "a");
    let spent = a.expect("it is declared").spent;
    assert_eq!(spent.micros, 100_000, "a second at six a minute");
}

/// MT-4: in the weighted order a tenant whose calls go over a new route has had what it has had.
#[test]
fn mt_4_a_weighted_rank_goes_with_the_queue_to_a_new_route() {
    let before = vec![serving("a", 1, &["+4"], 1)];
    let mut machine = machine(before.clone());
    declare(&mut machine, OrderPolicy::Weighted, before);
    let first = machine.accepted(1, call("+44"));
    let second = machine.accepted(1, call("+44"));
    let heavy = [machine.accepted(2, call("+44")), machine.accepted(2, call("+44"))];
    let after = vec![serving("a", 1, &["+4"], 1), serving("b", 1, &["+49"], 2)];
    declare(&mut machine, OrderPolicy::Weighted, after);
    machine.says(first, ended(Outcome::Completed, true));
    machine.says(heavy[0], ended(Outcome::Completed, true));
    assert_eq!(machine.dialled(), [first, heavy[0], heavy[1]], "{second:?} has had its turn");
}

/// DC-3, MT-17: going from carrier to carrier is one attempt of a batch's line.
#[test]
fn dc_3_a_line_that_goes_from_carrier_to_carrier_is_tried_once() {
    let mut machine = machine(["a", "b"].map(|name| serving(name, 1, &["+"], 1)).to_vec());
    let retry = Retry {
        on: RetryOn { busy: false, no_answer: false, failed: true, ..RetryOn::default() },
        attempts_max: 2,
        delays: vec![Span::from_secs(1)],
    };
    let plan = BatchPlan { retry: Some(retry), ..BatchPlan::default() };
    let (_, calls) = machine.running_batch(1, plan, vec![call("+1")]);
    let mut tried = Vec::new();
    for _ in 0..4 {
        tried.push(over(&machine, calls[0]));
        machine.says(calls[0], ended(Outcome::Failed, true));
        machine.run(Span::from_secs(1));
    }
    assert_eq!(tried, ["a", "b", "a", "b"]);
    assert_eq!(machine.state.outbox(1).count(), 1);
}

/// The first tenant's calls are spaced and capped so, and two carriers serve them, the second one at this spacing.
fn paced(spacing: Span, caps: Vec<Cap>, second: Span) -> Machine {
    let mut paced = tenant(1, Some(spacing));
    paced.limits.caps = caps;
    let b = Carrier { setup_spacing: second, ..serving("b", 9, &["+"], 2) };
    Machine::declared(vec![paced, tenant(2, None)], vec![serving("a", 9, &["+"], 1), b])
}

/// MT-17: a call that goes to its next carrier is the same call. It has had its place in its tenant's throttle and caps, and
/// takes none of another one; the next carrier's rate holds for it.
#[test]
fn mt_17_a_call_that_goes_to_the_next_carrier_passes_its_tenants_limits_once() {
    let (ten, five) = (Span::from_secs(10), Span::from_secs(5));
    let caps = vec![Cap { count: 2, window: Span::from_secs(60) }];
    let mut machine = paced(ten, caps, five);
    let calls = [0; 3].map(|_| machine.accepted(1, call("+1")));
    machine.run(Span::from_secs(2));
    machine.says(calls[0], ended(Outcome::Failed, true));
    let dial = machine.last_dial(calls[0]);
    assert_eq!((&*dial.carrier, dial.at.since(START)), ("b", Span::from_secs(2)));
    machine.run(Span::from_secs(8));
    let dial = machine.last_dial(calls[1]);
    assert_eq!((&*dial.carrier, dial.at.since(START)), ("a", ten), "the grid stays");
    let other = machine.accepted(2, call("+1"));
    machine.says(other, ended(Outcome::Failed, true));
    assert_eq!(machine.last_dial(other).at.since(START), ten);
    machine.says(calls[1], ended(Outcome::Failed, true));
    machine.run(ten);
    let dial = machine.last_dial(calls[1]);
    assert_eq!((&*dial.carrier, dial.at.since(START)), ("b", Span::from_secs(15)));
    assert_eq!(dial.held_by, Reason::CarrierRate);
    // Two were started in that minute, whatever became of them.
    machine.run(Span::from_secs(100));
    assert_eq!(machine.last_dial(calls[2]).at.since(START), Span::from_secs(60));
    // And one that ends up unsent at its next carrier has still passed.
    machine.says(calls[2], ended(Outcome::Failed, true));
    machine.says(calls[2], CallEvent::NotSent(Reason::LeaseExpired));
    machine.run(five);
    assert_eq!(machine.last_dial(calls[2]).attempt, 3);
}

/// MT-5, DC-3: what else is said of a tenant and a batch holds for a call that goes to its next carrier.
#[test]
fn mt_17_a_call_goes_to_no_other_carrier_while_its_tenant_is_suspended_or_its_batch_is_full() {
    let carriers = || vec![serving("a", 9, &["+"], 1), serving("b", 9, &["+"], 2)];
    let mut machine = machine(carriers());
    let first = machine.accepted(1, call("+1"));
    let mut suspended = vec![tenant(1, None), tenant(2, None)];
    suspended[0].suspended = true;
    machine.apply(Command::Declare(Box::new(declaration(suspended, carriers()))));
    machine.says(first, ended(Outcome::Failed, true));
    machine.run(Span::from_secs(9));
    assert_eq!(machine.last_dial(first).attempt, 1);
    declare(&mut machine, OrderPolicy::Alternating, carriers());
    let dial = machine.last_dial(first);
    assert_eq!((dial.attempt, &*dial.carrier, dial.held_by), (2, "b", Reason::Suspended));

    let plan = BatchPlan { max_concurrent: Some(1), ..BatchPlan::default() };
    let batch = machine.create_batch(1, plan, vec![call("+1"); 3]);
    machine.start_batch(1, batch);
    let up =
        |machine: &Machine| machine.state.batch(batch).expect("it is there").counts.in_progress;
    for _ in 0..6 {
        assert_eq!(up(&machine), 1);
        let dialled = machine.dials.last().expect("one is up").1.call;
        machine.says(dialled, ended(Outcome::Failed, true));
        machine.run(Span::from_secs(1));
    }
    assert_eq!(up(&machine), 0, "each has been to both carriers");
}

/// MT-17: of the calls that a carrier failed the first one is the first that the next carrier gets; of one that was not sent
/// there the place is kept.
#[test]
fn mt_17_calls_that_a_carrier_failed_go_to_the_next_one_in_the_order_of_their_failures() {
    let mut machine = machine(vec![serving("a", 4, &["+4"], 1), serving("b", 1, &["+"], 2)]);
    let blocker = machine.accepted(2, call("+1"));
    let calls = [0; 4].map(|_| machine.accepted(1, call("+44")));
    let failed = [calls[0], calls[2], calls[1], calls[3]];
    for call in failed {
        assert_eq!(over(&machine, call), "a");
        machine.says(call, ended(Outcome::Failed, true));
    }
    assert_eq!(machine.dials.len(), 5, "the only channel of b is taken");
    machine.says(blocker, ended(Outcome::Completed, true));
    machine.says(failed[0], CallEvent::NotSent(Reason::LeaseExpired));
    for _ in failed {
        let up = machine.dials.last().expect("one is up").1.call;
        machine.says(up, ended(Outcome::Completed, true));
    }
    let [first, second, third, fourth] = failed;
    assert_eq!(machine.dialled()[5..], [first, first, second, third, fourth]);
}
