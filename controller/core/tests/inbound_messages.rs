//! Messages that come in (MT-9): taken in once, asked about in turn, answered once.

mod support;

use std::sync::Arc;

use busyhour_base::{Body, Direction, MessageSpec, MessageStatus, Reason, Span};
use busyhour_controller_core::{
    MessageOptions, Options, State,
    command::Command,
    effect::Effect,
    message::{Answer, Arrival, Asked, MessageCommand, MessageEffect, MessageId, MessageLimits},
};
use support::{
    Machine, account,
    texts::{FROM, Messages, TO, carrier, declared, simple, spec},
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
    machine.apply(Command::Declare(Box::new(declared(
        MessageLimits::default(),
        None,
        carrier(9, Span::ZERO),
    ))));
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
