//! What bounds messages (MT-3, MT-8, MT-12, MT-13): throttles and caps in segments, of tenants and of numbers, and carriers.

mod support;

use busyhour_base::{MessageEvent, MessageStatus, Reason, Span};
use busyhour_controller_core::{
    command::Command,
    message::{MessageCarrier, MessageLimits, NewMessage},
    spec::{Cap, Declaration, Excess, Throttle, Urgency},
};
use support::{
    Machine, START, account,
    texts::{FROM, Messages, OTHER, carrier, declared, machine, message, spec, submit},
};

/// 400 characters of the GSM alphabet: three segments.
const THREE: &str = "the quick brown fox jumps over the lazy dog 12345 ";

#[test]
fn mt_8_numbers_have_queues_and_throttles_of_their_own() {
    let second = Span::from_secs(1);
    let mut machine =
        machine(declared(MessageLimits::default(), Some(second), carrier(1_000, Span::ZERO)));
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

#[test]
fn mt_8_the_segment_is_the_unit_of_number_tenant_carrier_and_expected_wait() {
    let text = THREE.repeat(8);
    let (none, ms) = (None, |ms| Some(Span::from_millis(ms)));
    let throttled = MessageLimits {
        throttle: Some(Throttle { spacing: Span::from_millis(100) }),
        ..MessageLimits::default()
    };
    for (limits, number, rate) in [
        (MessageLimits::default(), ms(100), Span::ZERO),
        (throttled, none, Span::ZERO),
        (MessageLimits::default(), none, Span::from_millis(100)),
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
    let mut declaration = declared(MessageLimits::default(), None, carrier(1_000, Span::ZERO));
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

/// MT-2, MT-5: a message that is too long for what its tenant may send now holds up its tenant's others until it expires. They
/// go as of that instant, however long ago the last event was.
#[test]
fn mt_2_what_waited_behind_a_message_that_expires_is_sent_on_the_grid_of_that_instant() {
    let second = Span::from_secs(1);
    let caps = vec![Cap { count: 3, window: Span::from_secs(60) }];
    let throttle = Some(Throttle { spacing: second });
    let limits = MessageLimits { throttle, caps, ..MessageLimits::default() };
    let mut machine = machine(declared(limits, None, carrier(1_000, Span::ZERO)));
    machine.queued(1, "x", message(OTHER));
    machine.run(second);
    let long = NewMessage { expires: Some(START + Span::from_secs(70)), ..message(FROM) };
    let long = machine.queued(1, &THREE.repeat(8), long);
    machine.verdicts(submit(1, "x", vec![message(OTHER); 2]));
    machine.run(Span::from_secs(11));
    machine.queued(1, "x", NewMessage { urgency: Urgency::Synchronous, ..message(FROM) });
    machine.run(Span::from_secs(100));
    assert_eq!(machine.status(long), MessageStatus::Failed, "by then too much had been sent");
    let dues: Vec<_> = machine.sends().iter().map(|send| send.at.since(START).as_secs()).collect();
    assert_eq!(dues, [0, 12, 70, 71]);
    machine.replays_alike(3);
}

/// MT-2, MT-5: who is behind a message and expires there moves it in nothing: it goes as of the instant at which its own wait
/// is over, and what it waits for from then on is what held it.
#[test]
fn mt_2_what_waits_before_a_message_that_expires_goes_when_it_would_have_gone() {
    let caps = vec![Cap { count: 3, window: Span::from_secs(60) }];
    let limits = MessageLimits { caps, ..MessageLimits::default() };
    for behind in [FROM, OTHER] {
        for outbound in [9, 1] {
            let mut machine =
                machine(declared(limits.clone(), None, carrier(outbound, Span::ZERO)));
            machine.queued(1, "x", message(OTHER));
            let long = machine.queued(1, &THREE.repeat(8), message(FROM));
            let opens = START + Span::from_secs(60);
            let expires = Some(opens + Span::from_millis(50));
            let late = machine.queued(1, "x", NewMessage { expires, ..message(behind) });
            machine.now = opens + Span::from_millis(150);
            machine.apply(Command::Tick);
            assert_eq!(machine.status(late), MessageStatus::Failed);
            if outbound == 1 {
                let first = machine.sends()[0].clone();
                machine.answers(&first, MessageEvent::Accepted("1".into()));
            }
            let send = machine.sends().pop().expect("something was sent");
            let expected = match outbound {
                1 => (long, machine.now, Reason::CarrierChannels),
                _ => (long, opens, Reason::Cap),
            };
            assert_eq!((send.message, send.at, send.held_by), expected, "before one of {behind}");
            machine.replays_alike(3);
        }
    }
}

/// MT-2, MT-5: a throttle opens at the same instant for all, so that who is behind a message that expires goes as of that
/// instant, or waits for what it has to wait for from then on.
#[test]
fn mt_2_what_waits_for_a_throttle_behind_a_message_that_expires_goes_when_it_opens() {
    let throttle = Some(Throttle { spacing: Span::from_secs(10) });
    let limits = MessageLimits { throttle, ..MessageLimits::default() };
    let opens = START + Span::from_secs(10);
    for (outbound, due, why) in
        [(9, Span::ZERO, Reason::Throttle), (1, Span::from_millis(150), Reason::CarrierChannels)]
    {
        let mut machine = machine(declared(limits.clone(), None, carrier(outbound, Span::ZERO)));
        let first = machine.queued(1, "x", message(OTHER));
        let expires = Some(opens + Span::from_millis(50));
        let over = machine.queued(1, "x", NewMessage { expires, ..message(FROM) });
        let behind = machine.queued(1, "x", message(OTHER));
        machine.now = opens + Span::from_millis(150);
        machine.apply(Command::Tick);
        assert_eq!(machine.status(over), MessageStatus::Failed);
        if outbound == 1 {
            let sent = machine.sends()[0].clone();
            assert_eq!(sent.message, first);
            machine.answers(&sent, MessageEvent::Accepted("1".into()));
        }
        let send = machine.sends().pop().expect("something was sent");
        assert_eq!((send.message, send.at, send.held_by), (behind, opens + due, why));
        machine.replays_alike(3);
    }
}

#[test]
fn a_waiting_message_is_explained_by_what_binds_it() {
    let mut machine = machine(declared(
        MessageLimits::default(),
        Some(Span::from_secs(1)),
        carrier(9, Span::ZERO),
    ));
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
    let mut machine =
        machine(declared(MessageLimits::default(), None, carrier(2, Span::from_millis(100))));
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
    let scheduling = MessageLimits { caps: caps.clone(), ..MessageLimits::default() };
    let mut scheduled = machine(declared(scheduling, None, carrier(1_000, Span::ZERO)));
    scheduled.verdicts(submit(1, "x", vec![message(FROM); 5]));
    scheduled.run(Span::from_secs(30));
    assert_eq!(scheduled.sends().len(), 3);
    scheduled.run(Span::from_secs(31));
    assert_eq!(scheduled.sends().len(), 5);
    let refusing = MessageLimits { caps, excess: Excess::Refuse, ..MessageLimits::default() };
    let mut refused = machine(declared(refusing, None, carrier(1_000, Span::ZERO)));
    let verdicts = refused.verdicts(submit(1, "x", vec![message(FROM); 5]));
    let told: Vec<_> = verdicts.iter().map(|verdict| verdict.err()).collect();
    assert_eq!(told, [None, None, None, Some(Reason::CapRefused), Some(Reason::CapRefused)]);
}

#[test]
fn a_queue_longer_than_the_validity_period_refuses_and_keeps_nothing() {
    let spacing = Some(Span::from_secs(1));
    let mut machine =
        machine(declared(MessageLimits::default(), spacing, carrier(1_000, Span::ZERO)));
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

/// MT-12: a carrier that is taken out and put back counts its segments a second from the last one on; carriers are tried in the
/// order in which they are declared.
#[test]
fn mt_12_a_message_carrier_that_comes_back_keeps_its_rate_and_its_place() {
    let named = |name: &str| MessageCarrier { name: name.into(), ..carrier(9, Span::from_secs(2)) };
    let with = |carriers: Vec<MessageCarrier>| {
        let mut declaration = declared(MessageLimits::default(), None, carrier(9, Span::ZERO));
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

/// MT-12: one that was away for longer than its contract made it wait begins anew, whatever its contract is now.
#[test]
fn mt_12_a_message_carrier_that_was_away_for_longer_than_its_spacing_begins_anew() {
    let with = |spacing| declared(MessageLimits::default(), None, carrier(9, spacing));
    let mut gone = with(Span::ZERO);
    gone.messages.carriers.clear();
    let mut machine = machine(with(Span::from_secs(2)));
    machine.queued(1, "x", message(FROM));
    let first = machine.sends()[0].clone();
    machine.answers(&first, MessageEvent::Refused(Reason::MessageRejected));
    machine.apply(Command::Declare(Box::new(gone)));
    machine.run(Span::from_secs(3));
    machine.apply(Command::Declare(Box::new(with(Span::from_secs(60)))));
    machine.queued(1, "x", message(FROM));
    assert_eq!(machine.sends().len(), 2, "it waits for nothing");
}

fn capped(count: u32) -> Vec<Cap> {
    vec![Cap { count, window: Span::from_secs(60) }]
}

/// With these caps of the tenant and of its first number.
fn capping(of_tenant: Vec<Cap>, of_number: Vec<Cap>) -> Declaration {
    let limits = MessageLimits { caps: of_tenant, ..MessageLimits::default() };
    let mut declaration = declared(limits, None, carrier(1, Span::ZERO));
    declaration.messages.numbers[0].caps = of_number;
    declaration
}

/// MT-8: no window ever holds three segments, so the message could never be sent, and nothing behind it.
#[test]
fn mt_8_a_message_with_more_segments_than_a_cap_ever_holds_is_refused() {
    let text = THREE.repeat(8);
    for (declaration, other_fits) in
        [(capping(capped(2), Vec::new()), false), (capping(capped(9), capped(2)), true)]
    {
        let mut machine = machine(declaration);
        let verdicts = machine.verdicts(submit(1, &text, vec![message(FROM)]));
        assert_eq!(verdicts, [Err(Reason::SegmentsOverCap)]);
        let verdicts = machine.verdicts(submit(1, &text, vec![message(OTHER)]));
        assert_eq!(verdicts[0].is_ok(), other_fits);
        assert!(machine.verdicts(submit(1, &"x".repeat(200), vec![message(FROM)]))[0].is_ok());
        assert_eq!(machine.state.message_segments_max(account(1), FROM), Some(2));
        assert_eq!(machine.state.message_segments_max(account(2), FROM), None);
    }
}

/// MT-8: when a cap is made smaller, what waits and does not fit any more ends, once; what is behind it goes on.
#[test]
fn mt_8_what_does_not_fit_a_smaller_cap_ends_and_holds_nobody() {
    let text = THREE.repeat(8);
    for smaller in [capping(capped(2), Vec::new()), capping(Vec::new(), capped(2))] {
        let mut machine = machine(capping(Vec::new(), Vec::new()));
        let sending = machine.queued(1, &text, message(FROM));
        let waiting = machine.queued(1, &text, message(FROM));
        let at = Some(machine.now + Span::from_secs(30));
        let scheduled = machine.queued(1, &text, NewMessage { not_before: at, ..message(FROM) });
        let behind = machine.queued(1, "x", message(FROM));
        let beside = machine.queued(1, "x", message(OTHER));
        machine.apply(Command::Declare(Box::new(smaller)));
        let send = machine.sends()[0].clone();
        assert_eq!(send.message, sending);
        machine.answers(&send, MessageEvent::NotSent(Reason::CarrierFailure));
        for id in [sending, waiting, scheduled] {
            let view = machine.state.message(id).expect("not yet recorded");
            let ended = (MessageStatus::Failed, Reason::SegmentsOverCap);
            assert_eq!((view.status, view.reason), ended, "{id:?}");
        }
        for _ in [behind, beside] {
            let send = machine.sends().pop().expect("sent");
            machine.answers(&send, MessageEvent::Accepted("r".into()));
        }
        let mut sent: Vec<_> = machine.sends().iter().map(|send| send.message).collect();
        sent.sort_unstable();
        assert_eq!(sent, [sending, behind, beside], "each was sent once");
        machine.run(Span::from_secs(60));
        assert_eq!(machine.state.message_outbox(10).count(), 3);
        machine.replays_alike(2);
    }
}
