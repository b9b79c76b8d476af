//! The order of messages across tenants (MT-4): the policies are those of calls, their unit is the segment.

mod support;

use std::sync::Arc;

use busyhour_base::{Body, MessageEvent, Reason, Span};
use busyhour_controller_core::{
    command::{BatchCommand, Command},
    effect::Reply,
    forward::{About, Bounds},
    message::{
        MessageCarrier, MessageCommand, MessageDeclaration, MessageId, MessageLimits, NewMessage,
        Send, SubmitMessages,
    },
    spec::{AskedAs, Declaration, Lines, OrderPolicy, Throttle},
};
use proptest::prelude::*;
use support::{
    Machine, START, account,
    batch_texts::{lines, messages, text},
    declaration, tenant, texts,
    texts::{Messages as _, message},
};

const SECOND: Span = Span::from_secs(1);
const HOUR: Span = Span::from_secs(3_600);
/// Tenant 1's second number.
const OTHER: &str = "+15551000";

fn from(owner: u128) -> String {
    format!("+1555000{owner}")
}

/// A text of so many segments.
fn long(segments: usize) -> Body {
    Body::from("x".repeat(if segments == 1 { 10 } else { 153 * segments }))
}

/// Three tenants, whose weights and plans differ, and one message at a time.
fn declared(order: OrderPolicy) -> Declaration {
    let tenants = [1, 2, 3].map(|owner| {
        let mut tenant = tenant(owner, None);
        tenant.limits.weight = [1, 2, 5][owner as usize - 1];
        tenant.limits.plan = [2, 1, 1][owner as usize - 1];
        tenant
    });
    let carrier = MessageCarrier { delivery_reports: false, ..texts::carrier(1, Span::ZERO) };
    let mut numbers: Vec<_> =
        (1..=3).map(|owner| texts::number(owner, &from(owner), None)).collect();
    numbers.push(texts::number(1, OTHER, None));
    Declaration {
        messages: MessageDeclaration {
            numbers,
            carriers: vec![carrier],
            order,
            ..MessageDeclaration::default()
        },
        ..declaration(tenants.to_vec(), Vec::new())
    }
}

fn redeclare(machine: &mut Machine, change: impl FnOnce(&mut Declaration)) {
    let mut declaration = machine.state.declaration().clone();
    change(&mut declaration);
    assert_eq!(machine.apply(Command::Declare(Box::new(declaration))), Reply::Done);
}

fn submit(
    machine: &mut Machine,
    owner: u128,
    count: usize,
    segments: usize,
    new: NewMessage,
) -> Vec<MessageId> {
    let verdicts = machine.verdicts(Command::Message(MessageCommand::Submit(SubmitMessages {
        account: account(owner),
        idempotency: None,
        bodies: vec![long(segments)],
        messages: vec![new; count],
    })));
    verdicts.into_iter().map(|verdict| verdict.expect("accepted").message).collect()
}

/// So many messages of a tenant.
fn sends(machine: &mut Machine, owner: u128, count: usize, segments: usize) -> Vec<MessageId> {
    submit(machine, owner, count, segments, message(&from(owner)))
}

/// A batch of a tenant that runs.
fn runs(machine: &mut Machine, owner: u128, count: usize) {
    let (account, plan) = (account(owner), Box::new(messages()));
    let create = BatchCommand::Create { account, idempotency: None, plan };
    let Reply::Batch(batch) = machine.apply(Command::Batch(create)) else { panic!("it is new") };
    let (part, keys, faults) = (None, Vec::new(), Vec::new());
    let requests = lines(count, text(&from(owner), "a line"));
    let taken = Lines { account, batch, part, requests, keys, faults };
    machine.apply(Command::Batch(BatchCommand::Take(Arc::new(taken))));
    assert_eq!(machine.start_batch(owner, batch), Reply::Done);
}

/// The carrier takes whatever it has been handed beyond the first so many, and has had so many by then.
fn take(machine: &mut Machine, taken: &mut usize) {
    machine.run(SECOND);
    for send in &machine.sends()[*taken..] {
        *taken += 1;
        let name = format!("{}.{}", send.message.0, send.attempt);
        machine.answers(send, MessageEvent::Accepted(name.into()));
    }
}

/// Lets carriers take messages until so many more were handed over.
fn turns(machine: &mut Machine, turns: usize) -> Vec<Send> {
    let before = machine.sends().len();
    let mut taken = before - 1;
    while machine.sends().len() < before + turns {
        take(machine, &mut taken);
    }
    machine.sends()[before..].to_vec()
}

/// Three tenants with a long queue each, of messages of so many segments; whose were handed over in so many turns.
fn contest(order: OrderPolicy, all: usize, segments: [usize; 3]) -> (Machine, Vec<u128>) {
    let mut machine = texts::machine(declared(order));
    for owner in [1, 2, 3] {
        sends(&mut machine, owner, all, segments[owner as usize - 1]);
    }
    turns(&mut machine, all - 1);
    let served = owners(&machine.sends());
    (machine, served)
}

fn owners(sends: &[Send]) -> Vec<u128> {
    sends.iter().map(|send| send.account.0).collect()
}

fn counts(served: &[u128]) -> [usize; 3] {
    [1, 2, 3].map(|owner| served.iter().filter(|one| **one == owner).count())
}

/// Each tenant's messages are handed over in the order in which they came.
fn in_their_order(machine: &Machine) {
    for owner in 1..=3 {
        let sends = machine.sends();
        let own = sends.iter().filter(|send| send.account == account(owner));
        let own: Vec<_> = own.map(|send| send.message.0).collect();
        assert!(own.is_sorted(), "{owner}'s: {own:?}");
    }
}

#[test]
fn mt_4_messages_alternate_unless_something_else_is_declared() {
    assert_eq!(MessageDeclaration::default().order, OrderPolicy::Alternating);
    let (_, served) = contest(OrderPolicy::Alternating, 30, [1, 4, 1]);
    assert_eq!(counts(&served), [11, 10, 9], "however long each of them is");
    assert!(served[1..28].chunks(3).all(|turn| turn == [1, 2, 3]), "{served:?}");
}

#[test]
fn mt_4_weighted_messages_count_by_their_segments() {
    let near = |counts: [usize; 3], wanted: [usize; 3]| {
        counts.iter().zip(wanted).all(|(count, wanted)| count.abs_diff(wanted) <= 1)
    };
    let (_, served) = contest(OrderPolicy::Weighted, 80, [1, 1, 1]);
    assert!(near(counts(&served), [10, 20, 50]), "{:?}", counts(&served));
    // Of weights 1, 2 and 5: 20, 40 and 100 segments.
    let (_, served) = contest(OrderPolicy::Weighted, 50, [2, 2, 5]);
    assert!(near(counts(&served), [10, 20, 20]), "{:?}", counts(&served));
}

/// MT-4: in the weighted order who had nothing to send has saved nothing up.
#[test]
fn mt_4_who_sent_nothing_has_no_segments_in_arrears() {
    let mut machine = texts::machine(declared(OrderPolicy::Weighted));
    redeclare(&mut machine, |declared| {
        declared.tenants.iter_mut().for_each(|tenant| tenant.limits.weight = 7);
    });
    sends(&mut machine, 1, 40, 2);
    turns(&mut machine, 10);
    sends(&mut machine, 2, 40, 2);
    let served = owners(&turns(&mut machine, 20));
    assert!(counts(&served)[1].abs_diff(10) <= 1, "they take turns from then on: {served:?}");
}

#[test]
fn mt_4_messages_go_by_arrival_by_plan_and_by_lot() {
    let (_, served) = contest(OrderPolicy::FirstComeFirstServed, 30, [1, 1, 1]);
    assert_eq!(counts(&served), [30, 0, 0], "its thirty came first");
    let (_, served) = contest(OrderPolicy::Plan, 31, [1, 1, 1]);
    assert_eq!(counts(&served), [1, 15, 15], "the first found the carrier free");
    let (machine, served) = contest(OrderPolicy::Random { seed: 5 }, 60, [1, 1, 1]);
    assert!(counts(&served).iter().all(|count| (10..=30).contains(count)), "{served:?}");
    assert!(served.windows(3).any(|three| three[0] == three[1]), "it is no rotation: {served:?}");
    machine.replays_alike(30);
    let (_, other) = contest(OrderPolicy::Random { seed: 6 }, 60, [1, 1, 1]);
    assert_ne!(served, other);
}

#[test]
fn mt_4_by_use_messages_count_by_the_segments_that_were_handed_over() {
    let order = OrderPolicy::ResourceUse { half_life: HOUR };
    let (_, served) = contest(order, 70, [1, 2, 4]);
    let [one, two, four] = counts(&served);
    assert!(one.abs_diff(40) <= 2 && two.abs_diff(20) <= 1 && four.abs_diff(10) <= 1, "{served:?}");
}

/// The first tenant's message of one segment took long, the second's of two did not: the first one's turn comes first.
#[test]
fn mt_4_how_long_a_carrier_takes_to_answer_is_not_the_tenants_use() {
    let mut machine = texts::machine(declared(OrderPolicy::ResourceUse { half_life: HOUR }));
    sends(&mut machine, 1, 1, 1);
    machine.run(Span::from_secs(60));
    sends(&mut machine, 2, 1, 2);
    turns(&mut machine, 1);
    // That has the carrier, and all of these wait.
    sends(&mut machine, 2, 1, 1);
    sends(&mut machine, 1, 1, 1);
    assert_eq!(owners(&turns(&mut machine, 2)), [1, 2]);
}

/// Segments of sixty half-lives ago are nothing beside one of just now.
#[test]
fn mt_4_segments_that_were_handed_over_long_ago_count_no_more() {
    let mut machine = texts::machine(declared(OrderPolicy::ResourceUse { half_life: SECOND }));
    let mut taken = 0;
    sends(&mut machine, 1, 1, 4);
    take(&mut machine, &mut taken);
    machine.run(Span::from_secs(60));
    sends(&mut machine, 2, 1, 1);
    // It is with the carrier, and all of these wait.
    for owner in [2, 1] {
        sends(&mut machine, owner, 1, 1);
    }
    let last = owners(&turns(&mut machine, 2));
    assert_eq!(last, [1, 2], "who had the most has had nothing lately");
    machine.replays_alike(4);
}

#[test]
fn mt_4_by_kind_single_messages_go_before_lines_of_batches_or_the_other_way_round() {
    for first in [AskedAs::Single, AskedAs::BatchLine] {
        let mut machine = texts::machine(declared(OrderPolicy::Kind { first }));
        // It has the carrier, so that all that follows waits.
        sends(&mut machine, 3, 1, 1);
        runs(&mut machine, 1, 6);
        runs(&mut machine, 2, 6);
        machine.run(SECOND);
        sends(&mut machine, 1, 6, 1);
        sends(&mut machine, 3, 6, 1);
        let served = turns(&mut machine, 24);
        let (firsts, seconds) = served.split_at(12);
        let is_line = |send: &Send| send.body.text() == "a line";
        let line_first = first == AskedAs::BatchLine;
        assert!(firsts.iter().all(|send| is_line(send) == line_first), "{firsts:?}");
        assert!(seconds.iter().all(|send| is_line(send) != line_first), "{seconds:?}");
        for half in [firsts, seconds] {
            let half = owners(half);
            assert!(half.windows(2).all(|pair| pair[0] != pair[1]), "in turn: {half:?}");
        }
        machine.replays_alike(machine.log.len() / 2);
    }
}

/// By arrival a message came when it was accepted: also one that was scheduled, and one that nothing was sent of.
#[test]
fn mt_4_by_arrival_a_message_came_when_it_was_accepted() {
    let mut machine = texts::machine(declared(OrderPolicy::FirstComeFirstServed));
    let first = sends(&mut machine, 3, 1, 1)[0];
    let later = NewMessage { not_before: Some(START + SECOND), ..message(&from(2)) };
    let scheduled = submit(&mut machine, 2, 1, 1, later)[0];
    let others = sends(&mut machine, 1, 2, 1);
    machine.run(SECOND);
    let [send] = &machine.sends()[..] else { panic!("one at a time") };
    machine.answers(send, MessageEvent::NotSent(Reason::LinkLost));
    let served: Vec<_> = turns(&mut machine, 3).iter().map(|send| send.message).collect();
    assert_eq!(machine.sends()[1].message, first, "it has its place again");
    assert_eq!(served, [scheduled, others[0], others[1]]);
    machine.replays_alike(3);
}

#[test]
fn mt_4_the_order_of_messages_changes_live_and_nobody_loses_a_place() {
    let (mut machine, _) = contest(OrderPolicy::Alternating, 12, [1, 2, 3]);
    let all = [1, 2, 3].map(|owner| {
        let waits = machine.state.messages_of(account(owner), None);
        waits.filter(|view| view.status.end().is_none()).count()
    });
    let orders = [
        OrderPolicy::Plan,
        OrderPolicy::Random { seed: 1 },
        OrderPolicy::FirstComeFirstServed,
        OrderPolicy::Kind { first: AskedAs::BatchLine },
        OrderPolicy::Weighted,
        OrderPolicy::ResourceUse { half_life: SECOND },
        OrderPolicy::Alternating,
    ];
    for order in orders {
        redeclare(&mut machine, |declared| declared.messages.order = order);
        let [send] = &turns(&mut machine, 1)[..] else { panic!("one at a time") };
        match order {
            OrderPolicy::Plan => assert_ne!(send.account.0, 1, "its plan comes last"),
            OrderPolicy::FirstComeFirstServed => assert_eq!(send.account.0, 1, "it came first"),
            _ => {}
        }
    }
    let left = all.iter().sum::<usize>() - orders.len() - 1;
    turns(&mut machine, left);
    assert_eq!(machine.sends().len(), 36, "each is handed over, and once");
    in_their_order(&machine);
    machine.replays_alike(machine.log.len() / 2);
}

/// Messages and calls have an order each: one of them says nothing of the other.
#[test]
fn mt_4_an_order_of_calls_is_not_one_of_messages() {
    let mut machine = texts::machine(declared(OrderPolicy::Alternating));
    redeclare(&mut machine, |declared| declared.order = OrderPolicy::FirstComeFirstServed);
    for owner in [1, 2, 3] {
        sends(&mut machine, owner, 9, 1);
    }
    let served = owners(&turns(&mut machine, 9));
    assert_eq!(counts(&served), [3, 3, 3]);
}

/// What is foretold goes by the order that is declared.
#[test]
fn mt_27_a_forecast_follows_the_order_of_messages() {
    let foretold = |order| {
        let mut declared = declared(order);
        declared.messages.carriers[0].outbound = 100;
        declared.messages.carriers[0].segment_spacing = SECOND;
        let mut machine = texts::machine(declared);
        let mine = sends(&mut machine, 1, 10, 1)[9];
        let bounds = &mut Bounds { starts_max: 10_000, go_on: &mut || true };
        for owner in [2, 3] {
            sends(&mut machine, owner, 20, 1);
        }
        let inquiry = machine.state.inquire(&About::Message(mine), machine.now).expect("it waits");
        let answer = inquiry.answer(7, bounds).expect("it is sent");
        let foretold = answer.estimate.p50.as_secs();
        machine.run(Span::from_secs(100));
        let sends = machine.sends();
        let sent = sends.iter().find(|send| send.message == mine).expect("it was sent");
        assert_eq!(foretold, sent.at.since(START).as_secs(), "{order:?}");
        foretold
    };
    assert_eq!(foretold(OrderPolicy::FirstComeFirstServed), 9);
    assert_eq!(foretold(OrderPolicy::Plan), 49);
    let by_turns = foretold(OrderPolicy::Alternating);
    assert!((24..=28).contains(&by_turns), "{by_turns}");
    let by_use = foretold(OrderPolicy::ResourceUse { half_life: HOUR });
    assert!((24..=28).contains(&by_use), "{by_use}");
}

fn orders() -> impl Strategy<Value = OrderPolicy> {
    prop_oneof![
        Just(OrderPolicy::Alternating),
        Just(OrderPolicy::Weighted),
        Just(OrderPolicy::FirstComeFirstServed),
        Just(OrderPolicy::Plan),
        Just(OrderPolicy::Kind { first: AskedAs::Single }),
        Just(OrderPolicy::Kind { first: AskedAs::BatchLine }),
        Just(OrderPolicy::ResourceUse { half_life: SECOND }),
        Just(OrderPolicy::Random { seed: 3 }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Orders come and go at any time, whatever waits where and is how long; every state is checked, all is handed over once, and
    /// each number's messages of a kind in their order.
    #[test]
    fn mt_4_orders_of_messages_come_and_go_whatever_waits(
        steps in prop::collection::vec((0u8..6, 1u128..4, 1usize..4, orders()), 1..40),
    ) {
        let mut declared = declared(OrderPolicy::Alternating);
        let throttle = Some(Throttle { spacing: Span::from_millis(700) });
        declared.messages.tenants = vec![(account(2), MessageLimits { throttle, ..MessageLimits::default() })];
        declared.messages.numbers[0].throttle = throttle;
        let mut machine = texts::machine(declared);
        let (mut taken, mut sent) = (0, 0);
        for (step, owner, count, order) in steps {
            match step {
                0 => sent += sends(&mut machine, owner, count, count).len(),
                1 => sent += submit(&mut machine, 1, count, 1, message(OTHER)).len(),
                2 => { runs(&mut machine, owner, count); sent += count; }
                3 => redeclare(&mut machine, |declared| declared.messages.order = order),
                _ => take(&mut machine, &mut taken),
            }
        }
        while taken < sent {
            let before = taken;
            machine.run(Span::from_secs(4));
            take(&mut machine, &mut taken);
            prop_assert!(taken > before, "{} of {} were handed over", taken, sent);
        }
        let sends = machine.sends();
        prop_assert_eq!(sends.len(), sent);
        for number in [from(1), from(2), from(3), OTHER.to_owned()] {
            for line in [false, true] {
                let own = sends.iter().filter(|send| send.spec.from == number);
                let own = own.filter(|send| (send.body.text() == "a line") == line);
                let own: Vec<_> = own.map(|send| send.message.0).collect();
                // Batches of one number run beside each other.
                prop_assert!(line || own.is_sorted(), "{}: {:?}", number, own);
            }
        }
        machine.replays_alike(machine.log.len() / 2);
    }
}
