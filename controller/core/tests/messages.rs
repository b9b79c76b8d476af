//! Messages in the state machine (MT-5, MT-8, MT-9): accepted once, sent at most once, ended once.

mod support;

use std::sync::Arc;

use busyhour_base::{
    Body, Direction, MessageEvent, MessageSpec, MessageStatus, Reason, Span, Timestamp,
};
use busyhour_controller_core::{
    MessageOptions, Options, State,
    command::Command,
    effect::{Effect, Reply},
    message::{
        AcceptedMessage, Answer, Arrival, Asked, Cancel, MessageCarrier, MessageCommand,
        MessageDeclaration, MessageEffect, MessageId, MessageLimits, MessageNumber, MessageReport,
        NewMessage, Reported, Send, SubmitMessages,
    },
    spec::{Cap, Declaration, Excess, Throttle, Urgency},
};
use support::{Machine, START, account, declaration, tenant};

const FROM: &str = "+15550100001";
const OTHER: &str = "+15550100002";
const TO: &str = "+15550200001";

fn limits() -> MessageLimits {
    MessageLimits::default()
}

fn carrier(outbound: u32, spacing: Span) -> MessageCarrier {
    MessageCarrier {
        name: "text".into(),
        outbound,
        inbound: 4,
        segment_spacing: spacing,
        delivery_reports: true,
    }
}

fn number(owner: u128, number: &str, spacing: Option<Span>) -> MessageNumber {
    MessageNumber {
        account: account(owner),
        number: number.into(),
        throttle: spacing.map(|spacing| Throttle { spacing }),
        caps: Vec::new(),
    }
}

/// Two tenants; the first has two numbers.
fn declared(limits: MessageLimits, spacing: Option<Span>, carrier: MessageCarrier) -> Declaration {
    Declaration {
        messages: MessageDeclaration {
            tenants: vec![(account(1), limits)],
            numbers: vec![
                number(1, FROM, spacing),
                number(1, OTHER, spacing),
                number(2, "+15550100003", spacing),
            ],
            carriers: vec![carrier],
        },
        ..declaration(vec![tenant(1, None), tenant(2, None)], Vec::new())
    }
}

fn machine(declaration: Declaration) -> Machine {
    let mut machine = Machine::new();
    machine.apply(Command::Declare(Box::new(declaration)));
    machine
}

fn simple() -> Machine {
    machine(declared(limits(), None, carrier(1_000, Span::ZERO)))
}

fn spec(from: &str) -> Arc<MessageSpec> {
    Arc::new(MessageSpec {
        to: TO.to_owned(),
        from: from.to_owned(),
        direction: Direction::OutboundApi,
        status_callback: None,
    })
}

fn message(from: &str) -> NewMessage {
    NewMessage {
        spec: spec(from),
        body: 0,
        not_before: None,
        expires: None,
        urgency: Urgency::Ordinary,
    }
}

fn submit(owner: u128, text: &str, messages: Vec<NewMessage>) -> Command {
    Command::Message(MessageCommand::Submit(SubmitMessages {
        account: account(owner),
        idempotency: None,
        bodies: vec![Body::from(text)],
        messages,
    }))
}

trait Messages {
    fn verdicts(&mut self, command: Command) -> Vec<Result<AcceptedMessage, Reason>>;
    fn queued(&mut self, owner: u128, text: &str, new: NewMessage) -> MessageId;
    fn sends(&self) -> Vec<&Send>;
    fn answers(&mut self, send: &Send, event: MessageEvent);
    fn reports(&mut self, reference: &str, event: MessageEvent);
    fn status(&self, message: MessageId) -> MessageStatus;
}

impl Messages for Machine {
    fn verdicts(&mut self, command: Command) -> Vec<Result<AcceptedMessage, Reason>> {
        match self.apply(command) {
            Reply::Messages(verdicts) => verdicts,
            Reply::Refused(reason) => vec![Err(reason)],
            other => panic!("{other:?}"),
        }
    }

    fn queued(&mut self, owner: u128, text: &str, new: NewMessage) -> MessageId {
        self.verdicts(submit(owner, text, vec![new]))[0].expect("accepted").message
    }

    fn sends(&self) -> Vec<&Send> {
        let sent = |effect| match effect {
            &Effect::Message(MessageEffect::Send(ref send)) => Some(&**send),
            _ => None,
        };
        self.effects.iter().filter_map(sent).collect()
    }

    fn answers(&mut self, send: &Send, event: MessageEvent) {
        let of = Reported::Attempt { message: send.message, attempt: send.attempt };
        let reports = vec![MessageReport { of, event }];
        self.apply(Command::Message(MessageCommand::Reports(reports)));
    }

    fn reports(&mut self, reference: &str, event: MessageEvent) {
        let of = Reported::Reference { carrier: "text".into(), reference: reference.into() };
        let reports = vec![MessageReport { of, event }];
        self.apply(Command::Message(MessageCommand::Reports(reports)));
    }

    fn status(&self, message: MessageId) -> MessageStatus {
        self.state.message(message).expect("it is in the state").status
    }
}

#[test]
fn mt_8_a_message_goes_from_acceptance_to_its_delivery_and_into_the_records() {
    let mut machine = simple();
    let id = machine.queued(1, "hello", message(FROM));
    let send = machine.sends()[0].clone();
    assert_eq!((send.message, send.attempt, send.body.text()), (id, 1, "hello"));
    assert_eq!(machine.status(id), MessageStatus::Sending);
    machine.answers(&send, MessageEvent::Accepted("r1".into()));
    assert_eq!(machine.status(id), MessageStatus::Sent);
    machine.reports("r1", MessageEvent::Delivered);
    // Said again, it changes nothing.
    machine.reports("r1", MessageEvent::Undelivered(Reason::UnreachableHandset));
    machine.answers(&send, MessageEvent::Accepted("r1".into()));
    assert_eq!(machine.status(id), MessageStatus::Delivered);
    let record = machine.state.message_outbox(10).next().expect("a row").clone();
    assert_eq!((record.message, record.status), (id, MessageStatus::Delivered));
    assert_eq!((record.body.text(), record.reference.as_deref()), ("hello", Some("r1")));
    machine.apply(Command::Message(MessageCommand::Recorded { through: record.seq }));
    assert!(machine.state.message(id).is_none());
    assert_eq!(machine.state.message_texts(), (0, 0), "the text goes with its last message");
    let statuses: Vec<_> = machine
        .effects
        .iter()
        .filter_map(|effect| match effect {
            Effect::Message(MessageEffect::Changed { status, .. }) => Some(*status),
            _ => None,
        })
        .collect();
    use MessageStatus::{Delivered, Queued, Sending, Sent};
    assert_eq!(statuses, [Queued, Sending, Sent, Delivered]);
    machine.replays_alike(3);
}

#[test]
fn mt_8_a_text_is_stored_once_however_many_messages_have_it() {
    let mut machine = machine(declared(limits(), None, carrier(0, Span::ZERO)));
    machine.verdicts(submit(1, "one text", vec![message(FROM); 500]));
    machine.verdicts(submit(2, "one text", vec![message("+15550100003"); 500]));
    machine.verdicts(submit(1, "another", vec![message(OTHER)]));
    assert_eq!(machine.state.message_texts(), (2, 1_001));
}

#[test]
fn mt_8_numbers_have_queues_and_throttles_of_their_own() {
    let second = Span::from_secs(1);
    let mut machine = machine(declared(limits(), Some(second), carrier(1_000, Span::ZERO)));
    let both = [vec![message(FROM); 5], vec![message(OTHER); 5]].concat();
    machine.verdicts(submit(1, "x", both));
    machine.run(Span::from_secs(10));
    for from in [FROM, OTHER] {
        let of_number: Vec<_> =
            machine.sends().iter().filter(|s| s.spec.from == from).map(|s| s.at).collect();
        let grid: Vec<_> = (0..5).map(|n| START + Span::from_secs(n)).collect();
        assert_eq!(of_number, grid, "{from}");
    }
}

/// 400 characters of the GSM alphabet: three segments.
const THREE: &str = "the quick brown fox jumps over the lazy dog 12345 ";

#[test]
fn mt_8_the_segment_is_the_unit_of_number_tenant_carrier_and_expected_wait() {
    let text = THREE.repeat(8);
    let (none, ms) = (None, |ms| Some(Span::from_millis(ms)));
    let throttled =
        MessageLimits { throttle: Some(Throttle { spacing: Span::from_millis(100) }), ..limits() };
    for (limits, number, rate) in [
        (limits(), ms(100), Span::ZERO),
        (throttled, none, Span::ZERO),
        (limits(), none, Span::from_millis(100)),
    ] {
        let mut machine = machine(declared(limits, number, carrier(1_000, rate)));
        let verdicts = machine.verdicts(submit(1, &text, vec![message(FROM); 4]));
        let waits: Vec<_> = verdicts.iter().map(|v| v.expect("accepted").wait).collect();
        assert!(verdicts.iter().all(|v| v.expect("accepted").segments.count == 3));
        machine.run(Span::from_secs(5));
        let dues: Vec<_> = machine.sends().iter().map(|send| send.at.since(START)).collect();
        let grid: Vec<_> = (0..4).map(|n| Span::from_millis(n * 300)).collect();
        assert_eq!(dues, grid);
        assert_eq!(waits[3], Span::from_millis(900), "{waits:?}");
    }
}

#[test]
fn mt_8_a_number_has_caps_of_its_own_in_segments() {
    let text = THREE.repeat(8);
    let caps = vec![Cap { count: 7, window: Span::from_secs(60) }];
    let mut declaration = declared(limits(), None, carrier(1_000, Span::ZERO));
    declaration.messages.numbers[0].caps.clone_from(&caps);
    let mut scheduled = machine(declaration.clone());
    let both = [vec![message(FROM); 3], vec![message(OTHER); 3]].concat();
    scheduled.verdicts(submit(1, &text, both));
    scheduled.run(Span::from_secs(30));
    let sent = |machine: &Machine, from: &str| {
        machine.sends().iter().filter(|send| send.spec.from == from).count()
    };
    assert_eq!((sent(&scheduled, FROM), sent(&scheduled, OTHER)), (2, 3), "six of seven segments");
    scheduled.run(Span::from_secs(31));
    assert_eq!(sent(&scheduled, FROM), 3);
    declaration.messages.tenants[0].1.excess = Excess::Refuse;
    let mut refused = machine(declaration);
    let verdicts = refused.verdicts(submit(1, &text, vec![message(FROM); 3]));
    assert_eq!(verdicts[2].err(), Some(Reason::CapRefused));
}

#[test]
fn a_waiting_message_is_explained_by_what_binds_it() {
    let mut machine = machine(declared(limits(), Some(Span::from_secs(1)), carrier(9, Span::ZERO)));
    let ids: Vec<_> = machine
        .verdicts(submit(1, "x", vec![message(FROM); 4]))
        .into_iter()
        .map(|verdict| verdict.expect("accepted").message)
        .collect();
    assert_eq!(machine.state.explain_message(ids[0]), None, "it is being sent");
    let why = machine.state.explain_message(ids[3]).expect("it waits");
    assert_eq!(why.position, 2);
    assert_eq!(why.starts_in, Some(Span::from_secs(3)));
    let number = machine.sends()[0].clone();
    assert_eq!(number.message, ids[0]);
    assert!(why.limits.contains(&(why.binding, Some(Span::from_secs(3)))), "{why:?}");
    let at = Some(machine.now + Span::from_secs(60));
    let later = machine.queued(1, "x", NewMessage { not_before: at, ..message(OTHER) });
    let why = machine.state.explain_message(later).expect("it waits");
    assert_eq!((why.binding, why.starts_in), (Reason::NotBefore, Some(Span::from_secs(60))));
}

#[test]
fn mt_13_message_channels_and_the_rate_of_segments_hold() {
    let mut machine = machine(declared(limits(), None, carrier(2, Span::from_millis(100))));
    let ids: Vec<_> = machine
        .verdicts(submit(1, "x", vec![message(FROM); 6]))
        .into_iter()
        .map(|verdict| verdict.expect("accepted").message)
        .collect();
    machine.run(Span::from_secs(1));
    assert_eq!(machine.sends().len(), 2, "two channels");
    let first = machine.sends()[0].clone();
    machine.answers(&first, MessageEvent::Accepted("r".into()));
    assert_eq!(machine.sends().len(), 3, "taken, it leaves its channel");
    let dues: Vec<_> = machine.sends().iter().map(|send| send.at.since(START)).collect();
    assert_eq!(dues[1], Span::from_millis(100));
    assert_eq!(machine.status(ids[5]), MessageStatus::Queued);
}

#[test]
fn mt_3_a_cap_on_messages_schedules_or_refuses_and_leaves_calls_alone() {
    let caps = vec![Cap { count: 3, window: Span::from_secs(60) }];
    let scheduling = MessageLimits { caps: caps.clone(), ..limits() };
    let mut scheduled = machine(declared(scheduling, None, carrier(1_000, Span::ZERO)));
    scheduled.verdicts(submit(1, "x", vec![message(FROM); 5]));
    scheduled.run(Span::from_secs(30));
    assert_eq!(scheduled.sends().len(), 3);
    scheduled.run(Span::from_secs(31));
    assert_eq!(scheduled.sends().len(), 5);
    let refusing = MessageLimits { caps, excess: Excess::Refuse, ..limits() };
    let mut refused = machine(declared(refusing, None, carrier(1_000, Span::ZERO)));
    let verdicts = refused.verdicts(submit(1, "x", vec![message(FROM); 5]));
    let told: Vec<_> = verdicts.iter().map(|verdict| verdict.err()).collect();
    assert_eq!(told, [None, None, None, Some(Reason::CapRefused), Some(Reason::CapRefused)]);
}

#[test]
fn mt_5_a_scheduled_message_begins_and_an_expired_one_ends_unsent() {
    let mut machine = machine(declared(limits(), None, carrier(1, Span::ZERO)));
    let at = START + Span::from_secs(60);
    let later = machine.queued(1, "x", NewMessage { not_before: Some(at), ..message(FROM) });
    assert_eq!(machine.status(later), MessageStatus::Scheduled);
    machine.run(Span::from_secs(61));
    assert_eq!(machine.sends()[0].message, later);
    assert_eq!(machine.sends()[0].at, at);
    // The one channel stays taken, so that the next one waits beyond its validity.
    let expires = Some(machine.now + Span::from_secs(10));
    let stuck = machine.queued(1, "x", NewMessage { expires, ..message(FROM) });
    machine.run(Span::from_secs(11));
    let view = machine.state.message(stuck).expect("not yet recorded");
    assert_eq!((view.status, view.reason), (MessageStatus::Failed, Reason::Expired));
    assert_eq!(machine.sends().len(), 1);
}

#[test]
fn a_queue_longer_than_the_validity_period_refuses_and_keeps_nothing() {
    let spacing = Some(Span::from_secs(1));
    let mut machine = machine(declared(limits(), spacing, carrier(1_000, Span::ZERO)));
    machine.verdicts(submit(1, "x", vec![message(FROM); 20]));
    let expires = Some(machine.now + Span::from_secs(10));
    let late = NewMessage { expires, ..message(FROM) };
    let hash = machine.state.hash();
    let before = machine.state.message_texts();
    assert_eq!(machine.verdicts(submit(1, "new", vec![late.clone()])), [Err(Reason::WaitTooLong)]);
    assert_eq!(machine.state.message_texts(), before);
    assert_ne!(hash, machine.state.hash(), "the position in the log counts");
    // Another number of the same tenant has room.
    let other = NewMessage { spec: spec(OTHER), ..late };
    assert!(machine.verdicts(submit(1, "new", vec![other]))[0].is_ok());
}

#[test]
fn mt_5_waiting_messages_are_canceled_one_by_one_or_in_bulk() {
    let mut machine = machine(declared(limits(), None, carrier(1, Span::ZERO)));
    let ids: Vec<_> = (0..5).map(|_| machine.queued(1, "x", message(FROM))).collect();
    let others: Vec<_> = (0..3).map(|_| machine.queued(1, "x", message(OTHER))).collect();
    let cancel = |which| Command::Message(MessageCommand::Cancel { account: account(1), which });
    let theirs = Command::Message(MessageCommand::Cancel {
        account: account(2),
        which: Cancel::One(ids[1]),
    });
    assert_eq!(machine.apply(theirs), Reply::Refused(Reason::UnknownMessage));
    let sending = machine.apply(cancel(Cancel::One(ids[0])));
    assert_eq!(sending, Reply::Refused(Reason::WrongState), "it is with its carrier");
    assert_eq!(machine.apply(cancel(Cancel::One(ids[1]))), Reply::Canceled(1));
    assert_eq!(machine.status(ids[1]), MessageStatus::Canceled);
    let of_number = Cancel::Waiting { from: Some(FROM.into()), to: None };
    assert_eq!(machine.apply(cancel(of_number)), Reply::Canceled(3));
    assert!(others.iter().all(|id| machine.status(*id) == MessageStatus::Queued));
    let all = Cancel::Waiting { from: None, to: None };
    assert_eq!(machine.apply(cancel(all.clone())), Reply::Canceled(3));
    assert_eq!(machine.apply(cancel(all)), Reply::Canceled(0));
}

#[test]
fn never_sent_twice_what_is_in_doubt_ends_with_its_reason() {
    let mut machine = simple();
    for (event, status, reason) in [
        (
            MessageEvent::InDoubt(Reason::InDoubtNoAnswer),
            MessageStatus::Failed,
            Reason::InDoubtNoAnswer,
        ),
        (
            MessageEvent::Refused(Reason::MessageRejected),
            MessageStatus::Failed,
            Reason::MessageRejected,
        ),
    ] {
        let id = machine.queued(1, "x", message(FROM));
        let send = machine.sends().last().map(|send| (*send).clone()).expect("sent");
        machine.answers(&send, event);
        let view = machine.state.message(id).expect("not yet recorded");
        assert_eq!((view.status, view.reason), (status, reason));
        machine.run(Span::from_secs(60));
        assert_eq!(machine.sends().iter().filter(|send| send.message == id).count(), 1);
    }
}

#[test]
fn after_a_restart_what_had_no_answer_is_in_doubt_and_what_this_entry_starts_is_sent() {
    let mut machine = machine(declared(limits(), None, carrier(2, Span::from_secs(10))));
    let first = machine.queued(1, "x", message(FROM));
    let second = machine.queued(1, "x", message(FROM));
    let taken = machine.sends()[0].clone();
    machine.now = START + Span::from_secs(10);
    // The second one's turn comes with the very entry that tells of the restart.
    machine.apply(Command::Message(MessageCommand::Restarted));
    let view = machine.state.message(first).expect("not yet recorded");
    assert_eq!((view.status, view.reason), (MessageStatus::Failed, Reason::InDoubtRestart));
    assert_eq!(machine.status(second), MessageStatus::Sending);
    machine.answers(&taken, MessageEvent::Accepted("late".into()));
    assert_eq!(machine.status(first), MessageStatus::Failed, "an outcome is for ever");
    assert_eq!(machine.state.stray_message_reports(), 1);
}

#[test]
fn what_was_not_sent_goes_back_to_the_head_of_its_queue_a_bounded_number_of_times() {
    let mut machine = machine(declared(limits(), None, carrier(1, Span::ZERO)));
    let first = machine.queued(1, "x", message(FROM));
    machine.queued(1, "x", message(FROM));
    for attempt in 1..=Options::default().attempts_max {
        let send = machine.sends().last().map(|send| (*send).clone()).expect("sent");
        assert_eq!((send.message, send.attempt), (first, attempt));
        machine.answers(&send, MessageEvent::NotSent(Reason::CarrierFailure));
    }
    let view = machine.state.message(first).expect("not yet recorded");
    assert_eq!((view.status, view.reason), (MessageStatus::Failed, Reason::CarrierFailure));
}

#[test]
fn reports_are_awaited_for_a_bounded_time_and_by_a_bounded_number() {
    let options = MessageOptions { unreported_max: 2, ..MessageOptions::default() };
    let mut machine = Machine::with(Options::default());
    machine.state = State::new().with_messages(options);
    machine.apply(Command::Declare(Box::new(declared(limits(), None, carrier(9, Span::ZERO)))));
    let ids: Vec<_> = (0..3).map(|_| machine.queued(1, "x", message(FROM))).collect();
    for (at, send) in machine.sends().into_iter().cloned().collect::<Vec<_>>().iter().enumerate() {
        machine.answers(send, MessageEvent::Accepted(format!("r{at}").into()));
    }
    let view = machine.state.message(ids[0]).expect("not yet recorded");
    assert_eq!((view.status, view.reason), (MessageStatus::Sent, Reason::NoDeliveryReport));
    assert!(view.ended_at.is_some());
    machine.run(options.report_wait + Span::from_secs(1));
    assert_eq!(machine.state.message_outbox(10).count(), 3);
    machine.reports("r1", MessageEvent::Delivered);
    assert_eq!(machine.state.stray_message_reports(), 1);
}

#[test]
fn an_idempotency_key_makes_a_repeat_the_same_request() {
    let mut machine = simple();
    let keyed = Command::Message(MessageCommand::Submit(SubmitMessages {
        account: account(1),
        idempotency: Some(7),
        bodies: vec![Body::from("x")],
        messages: vec![message(FROM)],
    }));
    let first = machine.verdicts(keyed.clone());
    assert_eq!(machine.verdicts(keyed), first);
    assert_eq!(machine.sends().len(), 1);
}

#[test]
fn another_tenants_number_and_an_unknown_one_are_refused() {
    let mut machine = simple();
    for from in ["+15550100003", "+19990000000"] {
        let verdicts = machine.verdicts(submit(1, "x", vec![message(from)]));
        assert_eq!(verdicts, [Err(Reason::UnknownNumber)], "{from}");
    }
}

fn arrival(reference: &str) -> Arrival {
    Arrival {
        account: account(1),
        carrier: "text".into(),
        reference: reference.into(),
        spec: Arc::new(MessageSpec {
            to: FROM.to_owned(),
            from: TO.to_owned(),
            direction: Direction::Inbound,
            status_callback: None,
        }),
        body: Body::from("hi"),
    }
}

fn asks(machine: &Machine) -> Vec<MessageId> {
    let asked = |effect: &Effect| match effect {
        Effect::Message(MessageEffect::Ask(ask)) => Some(ask.message),
        _ => None,
    };
    machine.effects.iter().filter_map(asked).collect()
}

#[test]
fn mt_9_an_inbound_message_waits_is_asked_about_and_its_answer_is_queued_once() {
    let mut machine = simple();
    let arrived = Command::Message(MessageCommand::Arrived(vec![arrival("in-1")]));
    let verdicts = machine.verdicts(arrived.clone());
    let id = verdicts[0].expect("taken in").message;
    assert_eq!(machine.verdicts(arrived), verdicts, "brought twice, taken in once");
    assert_eq!(asks(&machine), [id]);
    assert_eq!(machine.status(id), MessageStatus::Receiving);
    machine.apply(Command::Message(MessageCommand::Restarted));
    assert_eq!(asks(&machine), [id, id], "nobody knows what was answered");
    let answer = Answer { spec: spec(FROM), body: Body::from("hello yourself") };
    let asked = Command::Message(MessageCommand::Asked(vec![Asked {
        message: id,
        answers: Ok(vec![answer]),
    }]));
    machine.apply(asked.clone());
    machine.apply(asked);
    assert_eq!(machine.status(id), MessageStatus::Received);
    assert_eq!(machine.sends().len(), 1);
    assert_eq!(machine.sends()[0].spec.direction, Direction::OutboundReply);
    machine.replays_alike(2);
}

#[test]
fn mt_9_inbound_channels_and_the_questions_to_one_application_are_bounded() {
    let options = MessageOptions { asked_of_tenant_max: 2, ..MessageOptions::default() };
    let mut machine = Machine::with(Options::default());
    machine.state = State::new().with_messages(options);
    machine.apply(Command::Declare(Box::new(declared(limits(), None, carrier(9, Span::ZERO)))));
    let arrivals = (0..5).map(|n| arrival(&format!("in-{n}"))).collect();
    let verdicts = machine.verdicts(Command::Message(MessageCommand::Arrived(arrivals)));
    assert_eq!(verdicts.iter().filter(|verdict| verdict.is_ok()).count(), 4);
    assert_eq!(verdicts[4], Err(Reason::CarrierChannels), "four inbound channels");
    let first = asks(&machine);
    assert_eq!(first.len(), 2);
    let failed = Asked { message: first[0], answers: Err(Reason::DocumentFailed) };
    machine.apply(Command::Message(MessageCommand::Asked(vec![failed])));
    assert_eq!(asks(&machine).len(), 3);
    let view = machine.state.message(first[0]).expect("not yet recorded");
    assert_eq!((view.status, view.reason), (MessageStatus::Received, Reason::DocumentFailed));
    // Its channel is free again; the refused one is brought once more.
    let again = Command::Message(MessageCommand::Arrived(vec![arrival("in-4")]));
    assert!(machine.verdicts(again)[0].is_ok());
}

/// What waits in the queues is in a snapshot, and goes on from there as if there had been none.
#[test]
fn mt_1_messages_that_wait_survive_a_restart_from_a_snapshot() {
    let each = Some(Span::from_secs(1));
    let mut machine = machine(declared(limits(), each, carrier(99, Span::ZERO)));
    for n in 0..40 {
        machine.queued(1, "x", message(if n % 2 == 0 { FROM } else { OTHER }));
    }
    machine.run(Span::from_secs(5));
    let at = machine.log.len() - 1;
    machine.queued(1, "x", message(FROM));
    machine.run(Span::from_secs(60));
    assert_eq!(machine.sends().len(), 41);
    machine.replays_alike(at);
}

/// MT-12: a carrier that is taken out and put back counts its segments a second from the last one on; carriers are tried in the
/// order in which they are declared.
#[test]
fn mt_12_a_message_carrier_that_comes_back_keeps_its_rate_and_its_place() {
    let named = |name: &str| MessageCarrier { name: name.into(), ..carrier(9, Span::from_secs(2)) };
    let with = |carriers: Vec<MessageCarrier>| {
        let mut declaration = declared(limits(), None, carrier(9, Span::ZERO));
        declaration.messages.carriers = carriers;
        declaration
    };
    let mut machine = machine(with(vec![named("a"), named("b")]));
    let declare = |machine: &mut Machine, carriers| {
        machine.apply(Command::Declare(Box::new(with(carriers))));
    };
    machine.queued(1, "x", message(FROM));
    let first = machine.sends()[0].clone();
    assert_eq!(&*first.carrier, "a");
    machine.answers(&first, MessageEvent::Refused(Reason::MessageRejected));
    declare(&mut machine, vec![named("b")]);
    machine.run(Span::from_secs(1));
    declare(&mut machine, vec![named("a"), named("b")]);
    machine.queued(1, "x", message(FROM));
    assert_eq!(&*machine.sends()[1].carrier, "b", "the other has had its segment");
    machine.run(Span::from_secs(10));
    machine.queued(1, "x", message(FROM));
    assert_eq!(&*machine.sends()[2].carrier, "a");
}

#[test]
fn a_carrier_or_a_tenant_that_is_not_declared_any_more_loses_no_message() {
    let mut machine = simple();
    let with_carrier = machine.queued(1, "x", message(FROM));
    let send = machine.sends()[0].clone();
    let mut without = declared(limits(), None, carrier(9, Span::ZERO));
    without.messages.carriers.clear();
    machine.apply(Command::Declare(Box::new(without)));
    let waits = machine.queued(1, "x", message(FROM));
    machine.run(Span::from_secs(60));
    assert_eq!(machine.status(waits), MessageStatus::Queued);
    machine.answers(&send, MessageEvent::Refused(Reason::MessageRejected));
    assert_eq!(machine.status(with_carrier), MessageStatus::Failed);
    assert_eq!(machine.state.message_carriers().count(), 0);
    machine.apply(Command::Declare(Box::new(declared(limits(), None, carrier(9, Span::ZERO)))));
    assert_eq!(machine.status(waits), MessageStatus::Sending);
    // The tenant goes; what it has queued still ends, and then it is forgotten.
    let mut without = declared(limits(), None, carrier(9, Span::ZERO));
    without.tenants.remove(0);
    machine.apply(Command::Declare(Box::new(without)));
    let send = machine.sends().last().map(|send| (*send).clone()).expect("sent");
    machine.answers(&send, MessageEvent::Refused(Reason::MessageRejected));
    let through = machine.state.message_outbox(10).last().expect("rows").seq;
    machine.apply(Command::Message(MessageCommand::Recorded { through }));
    assert_eq!(machine.state.message_tenants().count(), 1);
    let late = machine.verdicts(submit(1, "x", vec![message(FROM)]));
    assert_eq!(late, [Err(Reason::UnknownTenant)]);
}

#[test]
fn times_are_told_in_views() {
    let mut machine = machine(declared(limits(), None, carrier(1, Span::ZERO)));
    let id = machine.queued(1, "x", message(FROM));
    let view = machine.state.message(id).expect("it is there");
    assert_eq!((view.accepted_at, view.sent_at), (START, Some(START)));
    let more: Vec<_> = (0..4).map(|_| machine.queued(1, "x", message(FROM))).collect();
    let listed: Vec<_> = machine.state.messages_of(account(1), Some(more[2])).collect();
    let numbers: Vec<_> = listed.iter().map(|view| view.message).collect();
    assert_eq!(numbers, [more[1], more[0], id]);
    assert_eq!(machine.state.messages_of(account(2), None).count(), 0);
    assert_eq!(machine.state.now(), Timestamp(START.0));
}
