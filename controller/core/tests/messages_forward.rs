//! Messages foretold by running their engine ahead (MT-8, MT-27): what it says is what then happens, and what it says would
//! help does.

mod support;

use std::{collections::BTreeMap, sync::Arc};

use busyhour_base::{Body, Direction, MessageEvent, MessageSpec, Reason, Span, Timestamp};
use busyhour_controller_core::{
    command::Command,
    effect::{Effect, Reply},
    forward::{About, Amount, Answer, Bounds},
    message::{
        MessageCarrier, MessageCommand, MessageDeclaration, MessageEffect, MessageId,
        MessageLimits, MessageNumber, MessageReport, NewMessage, Reported, SubmitMessages,
    },
    spec::{Cap, Declaration, Kind, Throttle, Urgency},
};
use support::{Machine, account, declaration, tenant};

const ONE: &str = "+15550100001";
const TWO: &str = "+15550100002";
const OTHERS: &str = "+15550100003";

fn s(seconds: u64) -> Span {
    Span::from_secs(seconds)
}

/// Two numbers of the first tenant and one of the second, each spaced so.
fn declared(limits: MessageLimits, spacing: Span, carrier_spacing: Span) -> Declaration {
    let number = |owner, number: &str| MessageNumber {
        account: account(owner),
        number: number.into(),
        throttle: Some(Throttle { spacing }),
        caps: Vec::new(),
    };
    let carrier = MessageCarrier {
        name: "text".into(),
        outbound: 10,
        inbound: 1,
        segment_spacing: carrier_spacing,
        delivery_reports: false,
    };
    Declaration {
        messages: MessageDeclaration {
            tenants: vec![(account(1), limits)],
            numbers: vec![number(1, ONE), number(1, TWO), number(2, OTHERS)],
            carriers: vec![carrier],
            ..MessageDeclaration::default()
        },
        ..declaration(vec![tenant(1, None), tenant(2, None)], Vec::new())
    }
}

fn machine(declared: Declaration) -> Machine {
    let mut machine = Machine::new();
    machine.apply(Command::Declare(Box::new(declared)));
    machine
}

/// Queues a message of so many segments.
fn queued(machine: &mut Machine, owner: u128, from: &str, segments: usize) -> MessageId {
    later(machine, owner, from, segments, None)
}

fn later(
    machine: &mut Machine,
    owner: u128,
    from: &str,
    segments: usize,
    not_before: Option<Timestamp>,
) -> MessageId {
    let spec = MessageSpec {
        to: "+15550200001".to_owned(),
        from: from.to_owned(),
        direction: Direction::OutboundApi,
        status_callback: None,
    };
    let text = "x".repeat(if segments == 1 { 10 } else { 153 * segments });
    let submit = SubmitMessages {
        account: account(owner),
        idempotency: None,
        bodies: vec![Body::from(text.as_str())],
        messages: vec![NewMessage {
            spec: Arc::new(spec),
            body: 0,
            not_before,
            expires: None,
            urgency: Urgency::Ordinary,
        }],
    };
    match machine.apply(Command::Message(MessageCommand::Submit(submit))) {
        Reply::Messages(verdicts) => verdicts[0].expect("accepted").message,
        other => panic!("{other:?}"),
    }
}

/// Runs until nothing waits; the carrier answers each message at once. When each was handed over.
fn run_out(machine: &mut Machine) -> BTreeMap<MessageId, Timestamp> {
    let mut handed = BTreeMap::new();
    let mut seen = 0;
    loop {
        let new: Vec<_> = machine.effects[seen..]
            .iter()
            .filter_map(|effect| match effect {
                Effect::Message(MessageEffect::Send(send)) => Some((send.message, send.attempt)),
                _ => None,
            })
            .collect();
        seen = machine.effects.len();
        for (message, attempt) in &new {
            handed.insert(*message, machine.now);
            let of = Reported::Attempt { message: *message, attempt: *attempt };
            let event = MessageEvent::Accepted(format!("r{}", message.0).into());
            let reports = vec![MessageReport { of, event }];
            machine.apply(Command::Message(MessageCommand::Reports(reports)));
        }
        if !new.is_empty() {
            continue;
        }
        let Some(wake) = machine.state.next_wake() else { return handed };
        machine.now = machine.now.max(wake);
        machine.apply(Command::Tick);
    }
}

fn answer(machine: &Machine, about: &About) -> Answer {
    let bounds = &mut Bounds { starts_max: 10_000, go_on: &mut || true };
    let inquiry = machine.state.inquire(about, machine.now).expect("waits");
    inquiry.answer(7, bounds).expect("it is sent")
}

/// A machine whose carrier is known to answer at once.
fn seasoned(declared: Declaration) -> Machine {
    let mut machine = machine(declared);
    for _ in 0..20 {
        queued(&mut machine, 1, ONE, 1);
    }
    run_out(&mut machine);
    machine
}

#[test]
fn mt_27_messages_are_sent_when_it_was_foretold() {
    let limits = MessageLimits { throttle: Some(Throttle { spacing: s(1) }), ..Default::default() };
    let mut machine = seasoned(declared(limits, s(3), Span::from_millis(700)));
    let mut all = Vec::new();
    for n in 0..12 {
        all.push(queued(&mut machine, 1, ONE, 1 + n % 3));
        all.push(queued(&mut machine, 1, TWO, 1));
        all.push(queued(&mut machine, 2, OTHERS, 2));
    }
    let at = machine.now + s(40);
    all.push(later(&mut machine, 1, TWO, 1, Some(at)));
    let now = machine.now;
    let foretold: BTreeMap<_, _> = all
        .iter()
        .filter(|message| machine.state.explain_message(**message).is_some())
        .map(|message| (*message, answer(&machine, &About::Message(*message)).estimate))
        .collect();
    assert!(foretold.len() > 30, "{}", foretold.len());
    let of_tenant = answer(&machine, &About::Messages(account(1))).estimate;
    let handed = run_out(&mut machine);
    for (message, estimate) in &foretold {
        let actual = handed[message].since(now);
        assert_eq!((estimate.p50, estimate.p90), (actual, Some(actual)), "{message:?}");
    }
    let last = handed.iter().filter(|(message, _)| foretold.contains_key(message));
    let last = last.filter(|(message, _)| {
        machine.state.message(**message).is_some_and(|view| view.account == account(1))
    });
    assert_eq!(of_tenant.p50, last.map(|(_, at)| at.since(now)).max().expect("one"));
}

#[test]
fn mt_27_the_limit_that_binds_a_message_is_told_and_what_another_would_bring() {
    let capped =
        MessageLimits { caps: vec![Cap { count: 4, window: s(60) }], ..Default::default() };
    let unbound = MessageLimits::default();
    for (limits, spacing, carrier, limit, of, to) in [
        (unbound.clone(), s(10), Span::ZERO, Reason::NumberThrottle, ONE, Amount::Spacing(s(5))),
        (capped, Span(1), Span::ZERO, Reason::Cap, "tenant-1", Amount::Count(6)),
        (unbound, Span(1), s(6), Reason::CarrierRate, "text", Amount::Spacing(s(5))),
    ] {
        let mut machine = seasoned(declared(limits.clone(), spacing, carrier));
        machine.run(s(600));
        let last = (0..12).map(|_| queued(&mut machine, 1, ONE, 1)).last().expect("one");
        let Answer { estimate, changes } = answer(&machine, &About::Message(last));
        assert_eq!(estimate.binding(), limit, "{estimate:?}");
        let (proposal, better) =
            changes.iter().find(|(proposal, _)| proposal.limit == limit).expect("tried");
        assert_eq!((&*proposal.of, proposal.to), (of, to), "{proposal:?}");
        assert!(better.p50 < estimate.p50, "{changes:?}");
        // It is done, and brings as much.
        let mut changed = (limits, spacing, carrier);
        match (limit, to) {
            (Reason::Cap, Amount::Count(count)) => changed.0.caps[0].count = count,
            (Reason::NumberThrottle, Amount::Spacing(spacing)) => changed.1 = spacing,
            (_, Amount::Spacing(spacing)) => changed.2 = spacing,
            other => panic!("{other:?}"),
        }
        let (limits, spacing, carrier) = changed;
        let now = machine.now;
        machine.apply(Command::Declare(Box::new(declared(limits, spacing, carrier))));
        assert_eq!(run_out(&mut machine)[&last].since(now), better.p50, "{limit:?}");
    }
}

#[test]
fn mt_27_a_message_that_nothing_can_send_has_no_forecast_and_one_that_was_sent_is_no_question() {
    let mut machine = machine(declared(MessageLimits::default(), s(1), Span::ZERO));
    let sent = queued(&mut machine, 1, ONE, 1);
    assert!(machine.state.inquire(&About::Message(sent), machine.now).is_none());
    assert!(machine.state.inquire(&About::Message(MessageId(99)), machine.now).is_none());
    let mut gone = declared(MessageLimits::default(), s(1), Span::ZERO);
    gone.messages.carriers.clear();
    machine.apply(Command::Declare(Box::new(gone)));
    let waiting = queued(&mut machine, 1, TWO, 1);
    let inquiry = machine.state.inquire(&About::Message(waiting), machine.now).expect("waits");
    let bounds = &mut Bounds { starts_max: 100, go_on: &mut || true };
    assert_eq!(inquiry.answer(1, bounds), None);
}

#[test]
fn mt_8_queues_of_messages_are_shown_by_number_with_their_segments() {
    let mut machine = machine(declared(MessageLimits::default(), s(10), Span::ZERO));
    for segments in [1, 2, 3] {
        queued(&mut machine, 1, ONE, segments);
    }
    queued(&mut machine, 1, TWO, 1);
    let queues: Vec<_> = machine.state.queues_of(account(1)).collect();
    let told: Vec<_> = queues
        .iter()
        .map(|queue| (queue.kind, queue.number.as_deref(), queue.waiting, queue.units))
        .collect();
    let [one, two] = [ONE, TWO].map(Some);
    assert_eq!(told, [(Kind::Message, one, 2, 5), (Kind::Message, two, 0, 0)], "{queues:?}");
    assert_eq!((queues[0].in_progress, queues[0].held_by), (1, Reason::NumberThrottle));
    let tenant = machine.state.tenant_of(account(1)).expect("there");
    assert_eq!((tenant.messages.waiting, tenant.messages.sending), (2, 2));
}
