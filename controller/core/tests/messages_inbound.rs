//! Inbound messages in the state machine (MT-9): each taken in once, asked about in turn, and answered at most once.

mod support;

use std::sync::Arc;

use busyhour_base::{Body, Direction, MessageSpec, MessageStatus, Method, Reason, Span, Webhook};
use busyhour_controller_core::{
    MessageOptions, Options, State,
    command::Command,
    effect::Effect,
    message::{
        After, Answer, AnsweredBy, Arrival, Asked, MessageCommand, MessageEffect, MessageId,
        MessageLimits, SubmitMessages,
    },
};
use support::{
    Machine, account,
    texts::{FROM, Messages as _, TO, carrier, declared, message, simple, spec},
};

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
        answers: true,
        answered_by: AnsweredBy::default(),
    }
}

fn asks(machine: &Machine) -> Vec<MessageId> {
    let asked = |effect: &Effect| match effect {
        Effect::Message(MessageEffect::Ask(ask)) => Some(ask.message),
        _ => None,
    };
    machine.effects.iter().filter_map(asked).collect()
}

fn told(message: MessageId, step: u16, answers: Vec<Answer>, after: After) -> Command {
    Command::Message(MessageCommand::Asked(vec![Asked { message, step, answers, after }]))
}

/// An application that wants to be asked again is, with what became of its last answer; each asking counts once, and there is an
/// end to it.
#[test]
fn mt_9_an_application_is_asked_again_about_its_answer_and_not_for_ever() {
    let mut machine = simple();
    let arrived = MessageCommand::Arrived(vec![arrival("in-1")]);
    let id = machine.verdicts(Command::Message(arrived))[0].expect("taken in").message;
    let hook = Webhook { url: "https://shop.example/next".to_owned(), method: Method::Post };
    let answer = |from: &str| Answer { spec: spec(from), body: Body::from("one more") };
    let again = |step, from| told(id, step, vec![answer(from)], After::Again(hook.clone()));
    let next = |machine: &Machine| {
        let asked = |effect: &Effect| match effect {
            Effect::Message(MessageEffect::Ask(ask)) => Some(ask.clone()),
            _ => None,
        };
        machine.effects.iter().rev().find_map(asked).expect("it is asked")
    };
    machine.apply(again(1, FROM));
    machine.apply(again(1, FROM));
    assert_eq!(machine.sends().len(), 1, "said twice, heard once");
    let asked = next(&machine);
    let about = asked.again.as_ref().expect("again");
    assert_eq!((asked.step, &about.hook), (2, &hook));
    assert_eq!(about.answer, Ok(machine.sends()[0].message));
    machine.apply(Command::Message(MessageCommand::Restarted));
    assert_eq!(next(&machine), asked, "and so after a restart");
    machine.apply(again(2, "+15559999999"));
    let refused = next(&machine).again.expect("again").answer;
    assert_eq!(refused, Err(Reason::UnknownNumber));
    for step in 3..=10 {
        assert_eq!(machine.status(id), MessageStatus::Receiving, "step {step}");
        machine.apply(again(step, FROM));
    }
    assert_eq!(machine.status(id), MessageStatus::Received);
    let view = machine.state.message(id).expect("not yet recorded");
    assert_eq!(view.reason, Reason::DocumentFailed);
    assert_eq!(machine.sends().len(), 9);
    machine.replays_alike(3);
}

/// A suspended tenant takes nothing in; what is brought again when it is not any more comes in.
#[test]
fn mt_9_nothing_comes_in_while_the_tenant_is_suspended() {
    let mut machine = simple();
    let suspended = |suspended| {
        let mut declaration = declared(MessageLimits::default(), None, carrier(1_000, Span::ZERO));
        declaration.tenants[0].suspended = suspended;
        Command::Declare(Box::new(declaration))
    };
    machine.apply(suspended(true));
    let arrived = || Command::Message(MessageCommand::Arrived(vec![arrival("in-1")]));
    assert_eq!(machine.verdicts(arrived()), [Err(Reason::Suspended)]);
    machine.apply(suspended(false));
    assert!(machine.verdicts(arrived())[0].is_ok());
    assert_eq!(asks(&machine).len(), 1);
}

/// A carrier that is not declared any more brings nothing, also while a message that it has taken is not answered.
#[test]
fn mt_9_a_carrier_that_is_not_declared_any_more_brings_nothing() {
    let mut machine = simple();
    machine.queued(1, "on its way", message(FROM));
    assert_eq!(machine.sends().len(), 1);
    let mut without = declared(MessageLimits::default(), None, carrier(1_000, Span::ZERO));
    without.messages.carriers.clear();
    machine.apply(Command::Declare(Box::new(without)));
    let arrived = MessageCommand::Arrived(vec![arrival("in-1")]);
    assert_eq!(machine.verdicts(Command::Message(arrived)), [Err(Reason::NoCarrier)]);
}

/// What carriers bring does not make a tenant's own keys be forgotten.
#[test]
fn mt_9_messages_that_come_in_leave_the_tenants_idempotency_keys_alone() {
    let mut machine = simple();
    let keyed = || {
        Command::Message(MessageCommand::Submit(SubmitMessages {
            account: account(1),
            idempotency: Some(7),
            bodies: vec![Body::from("once")],
            messages: vec![message(FROM)],
        }))
    };
    let first = machine.verdicts(keyed());
    for n in 0..10_001 {
        let arrived = MessageCommand::Arrived(vec![arrival(&format!("in-{n}"))]);
        let id = machine.verdicts(Command::Message(arrived))[0].expect("taken in").message;
        machine.apply(told(id, 1, Vec::new(), After::Done));
        let through = machine.state.message_outbox(1).next().expect("it has ended").seq;
        machine.apply(Command::Message(MessageCommand::Recorded { through }));
    }
    assert_eq!(machine.verdicts(keyed()), first);
    assert_eq!(machine.sends().len(), 1);
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
    let asked = told(id, 1, vec![answer], After::Done);
    machine.apply(asked.clone());
    machine.apply(asked);
    assert_eq!(machine.status(id), MessageStatus::Received);
    assert_eq!(machine.sends().len(), 1);
    assert_eq!(machine.sends()[0].spec.direction, Direction::OutboundReply);
    machine.replays_alike(2);
}

fn bounded(options: MessageOptions) -> Machine {
    let mut machine = Machine::with(Options::default());
    machine.state = State::new().with_messages(options);
    let carrier = carrier(9, Span::ZERO);
    machine.apply(Command::Declare(Box::new(declared(MessageLimits::default(), None, carrier))));
    machine
}

#[test]
fn mt_9_tenants_take_turns_in_being_asked() {
    let mut machine = bounded(MessageOptions { asked_max: 2, ..MessageOptions::default() });
    let of = |tenant, name: &str| Arrival { account: account(tenant), ..arrival(name) };
    let arrivals = vec![of(1, "in-1"), of(1, "in-2"), of(2, "in-3"), of(2, "in-4")];
    let verdicts = machine.verdicts(Command::Message(MessageCommand::Arrived(arrivals)));
    let ids: Vec<_> = verdicts.iter().map(|one| one.expect("taken in").message).collect();
    assert_eq!(asks(&machine), [ids[0], ids[2]], "one of each");
    machine.apply(told(ids[2], 1, Vec::new(), After::Done));
    machine.apply(told(ids[0], 1, Vec::new(), After::Done));
    assert_eq!(asks(&machine)[2..], [ids[1], ids[3]]);
}

#[test]
fn mt_9_no_more_of_a_tenants_messages_wait_than_may() {
    let options = MessageOptions { asked_of_tenant_max: 1, inbound_max: 1, ..Default::default() };
    let mut machine = bounded(options);
    let mut brings = |name| {
        let arrived = MessageCommand::Arrived(vec![arrival(name)]);
        machine.verdicts(Command::Message(arrived))[0].map(|accepted| accepted.message)
    };
    let first = brings("in-1").expect("its application is asked");
    assert!(brings("in-2").is_ok(), "it waits");
    assert_eq!(brings("in-3"), Err(Reason::QueueFull));
    machine.apply(told(first, 1, Vec::new(), After::Done));
    let again = Command::Message(MessageCommand::Arrived(vec![arrival("in-3")]));
    assert!(machine.verdicts(again)[0].is_ok(), "brought later");
}

#[test]
fn mt_9_inbound_channels_and_the_questions_to_one_application_are_bounded() {
    let options = MessageOptions { asked_of_tenant_max: 2, ..MessageOptions::default() };
    let mut machine = bounded(options);
    let arrivals = (0..5).map(|n| arrival(&format!("in-{n}"))).collect();
    let verdicts = machine.verdicts(Command::Message(MessageCommand::Arrived(arrivals)));
    assert_eq!(verdicts.iter().filter(|verdict| verdict.is_ok()).count(), 4);
    assert_eq!(verdicts[4], Err(Reason::CarrierChannels), "four inbound channels");
    let first = asks(&machine);
    assert_eq!(first.len(), 2);
    let waits = verdicts[3].expect("taken in").message;
    let why = machine.state.explain_message(waits).expect("it waits");
    assert_eq!((why.position, why.binding), (1, Reason::ApplicationAsked));
    assert_eq!(machine.state.explain_message(first[0]), None, "the application has it");
    machine.apply(told(first[0], 1, Vec::new(), After::Failed(Reason::DocumentFailed)));
    assert_eq!(asks(&machine).len(), 3);
    let view = machine.state.message(first[0]).expect("not yet recorded");
    assert_eq!((view.status, view.reason), (MessageStatus::Received, Reason::DocumentFailed));
    // Its channel is free again; the refused one is brought once more.
    let again = Command::Message(MessageCommand::Arrived(vec![arrival("in-4")]));
    assert!(machine.verdicts(again)[0].is_ok());
}
