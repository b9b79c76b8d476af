//! What held a request last is what its order to start and its record say, whatever was changed while it waited.

mod support;

use std::sync::Arc;

use busyhour_base::{CallSpec, Outcome, Reason, Span};
use busyhour_controller_core::{
    command::{Change, Command},
    spec::{
        AskedAs, BatchPlan, Cap, Carrier, Declaration, Destination, Number, NumberKind,
        OrderPolicy, Pace, Share, Throttle,
    },
};
use support::{Machine, START, account, call, carrier, declaration, ended, tenant};

/// A carrier of so many channels that sets calls up as fast as they come.
fn serving(name: &str, channels: u32, prefixes: &[&str]) -> Carrier {
    let mut carrier = carrier(name, channels, Span::ZERO);
    let to =
        |prefix: &&str| Destination { prefix: (*prefix).into(), calls: true, ..Default::default() };
    carrier.serves = prefixes.iter().map(to).collect();
    carrier
}

fn declare(machine: &mut Machine, declaration: Declaration) {
    machine.apply(Command::Declare(Box::new(declaration)));
}

/// MT-16: the call that ends takes its tenant to another share class and gives the channel that another one of it waited for.
#[test]
fn mt_16_a_call_that_waited_says_so_though_its_tenants_share_class_changed() {
    let mut shared = tenant(1, None);
    shared.shares = vec![Share {
        group: "default".into(),
        guaranteed: 0,
        expected: 1,
        maximum: 5,
        lend_permille: 1_000,
    }];
    let carriers = vec![carrier("a", 1, Span::ZERO)];
    let mut machine = Machine::declared(vec![shared], carriers);
    let first = machine.accepted(1, call("+1"));
    let second = machine.accepted(1, call("+1"));
    machine.run(Span::from_secs(3));
    machine.says(first, ended(Outcome::Completed, true));
    assert_eq!(machine.last_dial(second).held_by, Reason::CarrierChannels);
}

/// The same when it is the declaration that changes the class.
#[test]
fn mt_16_a_call_that_waited_says_so_though_its_share_is_declared_anew() {
    let with = |guaranteed, channels| {
        let mut shared = tenant(1, None);
        shared.shares = vec![Share {
            group: "default".into(),
            guaranteed,
            expected: 2,
            maximum: 5,
            lend_permille: 1_000,
        }];
        declaration(vec![shared, tenant(2, None)], vec![carrier("a", channels, Span::ZERO)])
    };
    let mut machine = Machine::declared(Vec::new(), Vec::new());
    declare(&mut machine, with(0, 1));
    machine.accepted(2, call("+1"));
    let waiting = machine.accepted(1, call("+1"));
    machine.run(Span::from_secs(3));
    declare(&mut machine, with(1, 2));
    assert_eq!(machine.last_dial(waiting).held_by, Reason::CarrierChannels);
}

/// MT-17: routes part, and what waited goes over the new one.
#[test]
fn mt_17_a_call_that_waited_says_so_though_its_route_changed() {
    let tenants = || vec![tenant(1, None)];
    let mut machine = Machine::declared(tenants(), vec![serving("a", 1, &["+4"])]);
    machine.accepted(1, call("+49"));
    let german = machine.accepted(1, call("+49"));
    let british = machine.accepted(1, call("+44"));
    machine.run(Span::from_secs(3));
    let carriers = vec![serving("a", 1, &["+4"]), serving("b", 1, &["+44"])];
    declare(&mut machine, declaration(tenants(), carriers));
    let dial = machine.last_dial(british);
    assert_eq!((&*dial.carrier, dial.held_by), ("b", Reason::CarrierChannels));
    assert!(!machine.dialled().contains(&german), "it still waits");
}

/// DC-3, MT-17: routes part in the instant in which a batch is started, and its line joins another queue just then. That its
/// batch was a draft until now is nothing that held it.
#[test]
fn dc_3_a_line_whose_route_changes_as_its_batch_begins_was_held_by_nothing() {
    let tenants = || vec![tenant(1, None)];
    let mut machine = Machine::declared(tenants(), vec![serving("a", 1, &["+4"])]);
    let batch = machine.create_batch(1, BatchPlan::default(), vec![call("+44")]);
    machine.run(Span::from_secs(3));
    let carriers = vec![serving("a", 1, &["+49"]), serving("b", 1, &["+44"])];
    declare(&mut machine, declaration(tenants(), carriers));
    machine.start_batch(1, batch);
    let [(at, dial)] = &machine.dials[..] else { panic!("{:?}", machine.dials) };
    let started = START + Span::from_secs(3);
    assert_eq!((*at, &*dial.carrier, dial.held_by), (started, "b", Reason::Ready));
}

/// MT-4: in an order by arrival another request at the front is another stand, and the tenant has waited all the same.
#[test]
fn mt_4_a_call_that_waited_says_so_though_the_one_before_it_was_canceled() {
    let mut machine = Machine::declared(Vec::new(), Vec::new());
    let order = OrderPolicy::FirstComeFirstServed;
    let carriers = vec![carrier("a", 1, Span::ZERO)];
    declare(
        &mut machine,
        Declaration { order, ..declaration(vec![tenant(1, None)], carriers.clone()) },
    );
    machine.accepted(1, call("+1"));
    let canceled = machine.accepted(1, call("+1"));
    let waiting = machine.accepted(1, call("+1"));
    machine.run(Span::from_secs(3));
    let more = carrier("a", 2, Span::ZERO);
    machine.update(1, canceled, Change::Cancel);
    declare(&mut machine, Declaration { order, ..declaration(vec![tenant(1, None)], vec![more]) });
    assert_eq!(machine.last_dial(waiting).held_by, Reason::CarrierChannels);
}

/// MT-4: the order by kind comes into force, or goes, and a batch has another place in it.
#[test]
fn mt_4_a_line_that_waited_says_so_though_its_batch_has_another_turn() {
    let by_kind = OrderPolicy::Kind { first: AskedAs::BatchLine };
    for orders in [[OrderPolicy::Alternating, by_kind], [by_kind, OrderPolicy::Alternating]] {
        let [before, after] = orders.map(|order| {
            move |channels| Declaration {
                order,
                ..declaration(vec![tenant(1, None)], vec![carrier("a", channels, Span::ZERO)])
            }
        });
        let mut machine = Machine::declared(Vec::new(), Vec::new());
        declare(&mut machine, before(1));
        machine.submit(1, vec![call("+1"); 2]);
        let (_, lines) = machine.running_batch(1, BatchPlan::default(), vec![call("+1")]);
        machine.run(Span::from_secs(3));
        declare(&mut machine, after(3));
        assert_eq!(machine.last_dial(lines[0]).held_by, Reason::CarrierChannels);
    }
}

/// MT-2, MT-3: two queues of a tenant open at the same instant, and each says what it waited for itself.
#[test]
fn mt_2_queues_that_open_at_the_same_instant_say_each_its_own() {
    let ten = Span::from_secs(10);
    let spaced = Pace { throttle: Some(Throttle { spacing: ten }), caps: Vec::new() };
    let capped = Pace { throttle: None, caps: vec![Cap { count: 1, window: ten }] };
    for paces in [[spaced.clone(), capped.clone()], [capped, spaced]] {
        let of = [("+15550001", &paces[0]), ("+15550002", &paces[1])];
        let numbers = of.map(|(number, pace)| Number {
            number: number.into(),
            account: account(1),
            kind: NumberKind::Local,
            pace: pace.clone(),
        });
        let mut machine = Machine::declared(Vec::new(), Vec::new());
        let carriers = vec![carrier("a", 9, Span::ZERO)];
        let declaration = Declaration {
            numbers: numbers.to_vec(),
            ..declaration(vec![tenant(1, None)], carriers)
        };
        declare(&mut machine, declaration);
        let from = |number: &str| {
            let mut new = call("+1");
            new.spec = Arc::new(CallSpec { from: number.into(), ..(*new.spec).clone() });
            new
        };
        let mut second = Vec::new();
        for (number, pace) in of {
            machine.accepted(1, from(number));
            let own = if pace.caps.is_empty() { Reason::NumberThrottle } else { Reason::NumberCap };
            second.push((machine.accepted(1, from(number)), own));
        }
        // One that comes at that very instant has not waited at all.
        machine.run(ten - Span(1));
        machine.now = machine.now + Span(1);
        let third = machine.accepted(1, call("+1"));
        for (call, own) in second.into_iter().chain([(third, Reason::Ready)]) {
            let dial = machine.last_dial(call);
            assert_eq!((dial.at, dial.held_by), (START + ten, own));
        }
    }
}
