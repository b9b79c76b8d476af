//! Messages in the state machine (MT-1, MT-5, MT-8): accepted once, sent at most once, ended once.

mod support;

use busyhour_base::{Body, MessageEvent, MessageStatus, Reason, Span, Timestamp};
use busyhour_controller_core::{
    MessageOptions, Options, State,
    command::Command,
    effect::{Effect, Reply},
    message::{Cancel, MessageCommand, MessageEffect, MessageLimits, NewMessage, SubmitMessages},
};
use support::{
    Machine, START, account,
    texts::{FROM, Messages, OTHER, carrier, declared, machine, message, simple, submit},
};

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
    let mut machine = machine(declared(MessageLimits::default(), None, carrier(0, Span::ZERO)));
    machine.verdicts(submit(1, "one text", vec![message(FROM); 500]));
    machine.verdicts(submit(2, "one text", vec![message("+15550100003"); 500]));
    machine.verdicts(submit(1, "another", vec![message(OTHER)]));
    assert_eq!(machine.state.message_texts(), (2, 1_001));
}

#[test]
fn mt_5_a_scheduled_message_begins_and_an_expired_one_ends_unsent() {
    let mut machine = machine(declared(MessageLimits::default(), None, carrier(1, Span::ZERO)));
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
fn mt_5_waiting_messages_are_canceled_one_by_one_or_in_bulk() {
    let mut machine = machine(declared(MessageLimits::default(), None, carrier(1, Span::ZERO)));
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
        let send = machine.sends().pop().expect("sent");
        machine.answers(&send, event);
        let view = machine.state.message(id).expect("not yet recorded");
        assert_eq!((view.status, view.reason), (status, reason));
        machine.run(Span::from_secs(60));
        assert_eq!(machine.sends().iter().filter(|send| send.message == id).count(), 1);
    }
}

#[test]
fn after_a_restart_what_had_no_answer_is_in_doubt_and_what_this_entry_starts_is_sent() {
    let mut machine =
        machine(declared(MessageLimits::default(), None, carrier(2, Span::from_secs(10))));
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
    let mut machine = machine(declared(MessageLimits::default(), None, carrier(1, Span::ZERO)));
    let first = machine.queued(1, "x", message(FROM));
    machine.queued(1, "x", message(FROM));
    for attempt in 1..=Options::default().attempts_max {
        let send = machine.sends().pop().expect("sent");
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
    machine.apply(Command::Declare(Box::new(declared(
        MessageLimits::default(),
        None,
        carrier(9, Span::ZERO),
    ))));
    let ids: Vec<_> = (0..3).map(|_| machine.queued(1, "x", message(FROM))).collect();
    for (at, send) in machine.sends().iter().enumerate() {
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

/// What waits in the queues is in a snapshot, and goes on from there as if there had been none.
#[test]
fn mt_1_messages_that_wait_survive_a_restart_from_a_snapshot() {
    let each = Some(Span::from_secs(1));
    let mut machine = machine(declared(MessageLimits::default(), each, carrier(99, Span::ZERO)));
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

#[test]
fn a_carrier_or_a_tenant_that_is_not_declared_any_more_loses_no_message() {
    let mut machine = simple();
    let with_carrier = machine.queued(1, "x", message(FROM));
    let send = machine.sends()[0].clone();
    let mut without = declared(MessageLimits::default(), None, carrier(9, Span::ZERO));
    without.messages.carriers.clear();
    machine.apply(Command::Declare(Box::new(without)));
    let waits = machine.queued(1, "x", message(FROM));
    machine.run(Span::from_secs(60));
    assert_eq!(machine.status(waits), MessageStatus::Queued);
    machine.answers(&send, MessageEvent::Refused(Reason::MessageRejected));
    assert_eq!(machine.status(with_carrier), MessageStatus::Failed);
    assert_eq!(machine.state.message_carriers().count(), 0);
    machine.apply(Command::Declare(Box::new(declared(
        MessageLimits::default(),
        None,
        carrier(9, Span::ZERO),
    ))));
    assert_eq!(machine.status(waits), MessageStatus::Sending);
    // The tenant goes; what it has queued still ends, and then it is forgotten.
    let mut without = declared(MessageLimits::default(), None, carrier(9, Span::ZERO));
    without.tenants.remove(0);
    machine.apply(Command::Declare(Box::new(without)));
    let send = machine.sends().pop().expect("sent");
    machine.answers(&send, MessageEvent::Refused(Reason::MessageRejected));
    let through = machine.state.message_outbox(10).last().expect("rows").seq;
    machine.apply(Command::Message(MessageCommand::Recorded { through }));
    assert_eq!(machine.state.message_tenants().count(), 1);
    let late = machine.verdicts(submit(1, "x", vec![message(FROM)]));
    assert_eq!(late, [Err(Reason::UnknownTenant)]);
}

#[test]
fn times_are_told_in_views() {
    let mut machine = machine(declared(MessageLimits::default(), None, carrier(1, Span::ZERO)));
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
