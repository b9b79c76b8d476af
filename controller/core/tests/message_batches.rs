//! MT-1, MT-8 and DC-3: batches of messages in the state machine.

mod support;

use std::sync::Arc;

use busyhour_base::{MessageEvent, MessageStatus, Reason, Span};
use busyhour_controller_core::{
    Options,
    command::{BatchCommand, Command},
    effect::Reply,
    forward::{About, Bounds},
    message::{MessageCommand, MessageDeclaration},
    spec::{
        Again, AgainMessage, BatchPlan, Cap, Declaration, DedupeBy, Lines, NewText, Opening,
        Openings, Requests, RetryOn, Throttle, WindowEnd,
    },
    view::{BatchEvent, BatchStatus},
};
use support::{
    Machine, account,
    batch_texts::{
        Batches, FROM, OTHER, at, declared, ended, instants, lines, machine, machine_with,
        messages, paced, retries, text, to,
    },
    call,
    texts::Messages,
};

#[test]
fn mt_1_dc_3_lines_become_messages_that_are_sent_once_and_counted_by_what_became_of_them() {
    let mut machine = machine();
    let batch = machine.draft(messages());
    assert_eq!(machine.takes(batch, lines(5, text(FROM, "hello"))), [None; 5]);
    assert_eq!(machine.state.message_texts(), (1, 5), "the text is stored once (MT-8)");
    machine.run(Span::from_secs(10));
    assert!(machine.sends().is_empty(), "a draft sends nothing");
    // Sent again, a line is taken once.
    let again = machine.takes(batch, lines(6, text(FROM, "hello")));
    assert_eq!(again, [vec![Some(Reason::Duplicate); 5], vec![None]].concat());
    machine.start_batch(1, batch);
    let sends = machine.sends();
    assert_eq!(sends.len(), 6);
    let shown = machine.state.message(sends[2].message).expect("it is an ordinary message");
    assert_eq!((shown.batch, shown.custom_id.as_deref()), (Some(batch), Some("row-2")));
    assert_eq!((sends[2].spec.to.as_str(), sends[2].body.text()), (&*to(2), "hello"));
    machine.now = at(20);
    sends[..4].iter().for_each(|send| machine.taken(send));
    machine.answers(&sends[4], MessageEvent::Refused(Reason::MessageRejected));
    machine.answers(&sends[5], MessageEvent::InDoubt(Reason::InDoubtNoAnswer));
    let view = machine.view(batch);
    assert_eq!((view.status, view.counts.in_progress), (BatchStatus::Completing, 4));
    for send in &sends[..3] {
        machine.ends(send, MessageEvent::Delivered);
    }
    machine.ends(&sends[3], MessageEvent::Undelivered(Reason::UnreachableHandset));
    let view = machine.view(batch);
    assert_eq!(view.status, BatchStatus::Completed);
    let counts = MessageStatus::ENDS.map(|status| ended(&view, status));
    assert_eq!(counts, [3, 0, 1, 2, 0]);
    assert_eq!(machine.state.batch_recorded(batch), Some(false));
    let records = machine.records();
    let ids: Vec<_> = records.iter().map(|record| record.custom_id.as_deref().unwrap()).collect();
    assert_eq!(ids, ["row-4", "row-5", "row-0", "row-1", "row-2", "row-3"]);
    assert!(records.iter().all(|record| record.batch == Some(batch) && record.attempts == 1));
    assert_eq!(machine.state.batch_recorded(batch), Some(true));
    assert_eq!(machine.state.message_texts(), (0, 0));
    machine.replays_alike(6);
}

#[test]
fn a_batch_takes_lines_of_its_own_kind_only() {
    let mut machine = machine();
    let batch = machine.draft(messages());
    let calls = Requests::from_iter([(1, call("+15550200001"))]);
    let (account, part) = (account(1), None);
    let (keys, faults) = (Vec::new(), Vec::new());
    let lines = Lines { account, batch, part, requests: calls, keys, faults };
    let reply = machine.apply(Command::Batch(BatchCommand::Take(Arc::new(lines))));
    assert_eq!(reply, Reply::Refused(Reason::WrongState));
    assert_eq!(machine.view(batch).counts.accepted, 0);
}

#[test]
fn lines_from_numbers_of_others_and_repeated_recipients_are_told_by_line() {
    let mut machine = machine();
    let batch = machine.draft(BatchPlan { dedupe_by: DedupeBy::To, ..messages() });
    let mut requests = Requests::default();
    let own = requests.share(text(FROM, "hello"));
    let foreign = requests.share(text("+15559999999", "hello"));
    requests.push(1, own, &to(1), Some("a"));
    requests.push(3, foreign, &to(2), Some("b"));
    requests.push(4, own, &to(1), Some("c"));
    let verdicts = machine.takes(batch, requests);
    assert_eq!(verdicts, [None, Some(Reason::UnknownNumber), Some(Reason::Duplicate)]);
    let faults: Vec<_> = machine.state.batch_faults(batch, 0).map(|(line, _)| line).collect();
    assert_eq!(faults, [3]);
    let upload = machine.view(batch).upload;
    assert_eq!((upload.refused, upload.duplicates), (1, 1));
}

#[test]
fn mt_2_the_pace_of_a_batch_counts_segments_and_is_changed_live() {
    let mut machine = machine();
    // Two segments each.
    let two = "the quick brown fox jumps over the lazy dog 12345 ".repeat(4);
    let batch = machine.runs(paced(Span::from_millis(500)), lines(10, text(FROM, &two)));
    assert_eq!(machine.view(batch).spacing, Some(Span::from_millis(500)));
    let eta = machine.view(batch).eta.expect("it is foretold");
    assert_eq!(eta, (Span::from_millis(9_000), Reason::BatchThrottle));
    machine.run(Span::from_secs(3));
    assert_eq!(instants(&machine), [0, 1_000, 2_000, 3_000]);
    let pace = BatchCommand::Pace {
        account: account(1),
        batch,
        throttle: Some(Throttle { spacing: Span::from_millis(100) }),
        max_concurrent: None,
    };
    machine.apply(Command::Batch(pace));
    machine.run(Span::from_secs(10));
    assert_eq!(instants(&machine)[4..], [3_200, 3_400, 3_600, 3_800, 4_000, 4_200]);
    assert_eq!(machine.sends()[5].held_by, Reason::BatchThrottle);
    assert_eq!(machine.view(batch).started, 20, "segments, as the pace counts them");
}

#[test]
fn mt_8_a_batch_passes_the_throttle_of_its_number_and_messages_beside_it_take_turns() {
    let second = Span::from_secs(1);
    let mut machine = machine_with(Options::default(), declared(Some(second), true));
    let mut requests = lines(3, text(FROM, "x"));
    let other = requests.share(text(OTHER, "x"));
    (3..6).for_each(|n| requests.push(n as u64 + 1, other, &to(n), None));
    let batch = machine.runs(messages(), requests);
    // Each of its two numbers sends one a second.
    assert_eq!(machine.view(batch).spacing, Some(Span::from_millis(500)));
    let queues: Vec<_> = machine.state.queues_of(account(1)).collect();
    assert!(queues.iter().all(|queue| queue.batch == Some(batch)), "{queues:?}");
    machine.run(Span::from_secs(10));
    assert_eq!(instants(&machine), [0, 0, 1_000, 1_000, 2_000, 2_000]);
}

#[test]
fn a_bound_on_messages_in_progress_holds_until_carriers_answer() {
    let mut machine = machine();
    let plan = BatchPlan { max_concurrent: Some(2), ..messages() };
    machine.runs(plan, lines(5, text(FROM, "x")));
    machine.run(Span::from_millis(20));
    assert_eq!(machine.sends().len(), 2);
    let first = machine.sends()[0].clone();
    machine.taken(&first);
    assert_eq!(machine.sends().len(), 3, "the carrier has answered one");
    assert_eq!(machine.sends()[2].held_by, Reason::BatchConcurrency);
}

#[test]
fn dc_3_a_batch_is_paused_resumed_and_canceled() {
    let mut machine =
        machine_with(Options { sweep_max: 3, ..Options::default() }, declared(None, true));
    let batch = machine.runs(paced(Span::from_secs(1)), lines(12, text(FROM, "x")));
    machine.run(Span::from_secs(1));
    machine.steers(|batch| BatchCommand::Pause { account: account(1), batch }, batch);
    machine.run(Span::from_secs(60));
    assert_eq!(machine.sends().len(), 2);
    assert_eq!(machine.view(batch).shut_by, Some(Reason::Paused));
    machine.steers(|batch| BatchCommand::Resume { account: account(1), batch }, batch);
    machine.run(Span::from_secs(1));
    assert_eq!(machine.sends().len(), 4);
    let cancel = |batch| BatchCommand::Cancel { account: account(1), batch, hang_up: false };
    machine.steers(cancel, batch);
    let view = machine.view(batch);
    assert_eq!((view.status, ended(&view, MessageStatus::Canceled)), (BatchStatus::Cancelling, 3));
    machine.run(Span::from_millis(1));
    let view = machine.view(batch);
    assert_eq!((view.counts.queued, ended(&view, MessageStatus::Canceled)), (0, 8));
    assert_eq!(view.status, BatchStatus::Cancelling, "four are with their carrier");
    for send in machine.sends() {
        machine.answers(&send, MessageEvent::NotSent(Reason::NoCarrier));
    }
    let view = machine.view(batch);
    assert_eq!((view.status, ended(&view, MessageStatus::Canceled)), (BatchStatus::Cancelled, 12));
    let sent = machine.sends().len();
    assert_eq!(machine.records().len(), 12);
    machine.run(Span::from_secs(60));
    assert_eq!(machine.sends().len(), sent);
}

fn windows(spans: &[(u64, u64)], end: WindowEnd) -> BatchPlan {
    let spans = spans.iter().map(|(from, to)| Opening { from: at(*from), to: at(*to) });
    let openings = Openings { spans: spans.collect(), through: at(100_000) };
    let plan = paced(Span::from_secs(2));
    BatchPlan { openings: Some(openings), on_window_end: end, ..plan }
}

#[test]
fn dc_3_messages_are_sent_within_windows_only() {
    let mut machine = machine();
    let spans = [(10, 15), (30, 60)];
    let batch = machine.runs(windows(&spans, WindowEnd::Pause), lines(5, text(FROM, "x")));
    let view = machine.view(batch);
    assert_eq!((view.status, view.shut_by), (BatchStatus::Running, Some(Reason::Window)));
    let first = machine.state.messages_of(account(1), None).last().expect("the first");
    let why = machine.state.explain_message(first.message).expect("it waits");
    assert_eq!((why.binding, why.starts_in), (Reason::Window, Some(Span::from_secs(10))));
    machine.run(Span::from_secs(100));
    assert_eq!(instants(&machine), [10_000, 12_000, 14_000, 30_000, 32_000]);
    assert_eq!(machine.sends()[0].held_by, Reason::Window);
    machine.replays_alike(4);
}

#[test]
fn dc_3_what_is_left_when_the_window_ends_expires_if_the_plan_says_so() {
    let mut machine = machine();
    let spans = [(10, 15), (30, 60)];
    let batch = machine.runs(windows(&spans, WindowEnd::Expire), lines(5, text(FROM, "x")));
    machine.run(Span::from_secs(100));
    assert_eq!(machine.sends().len(), 3);
    for send in machine.sends() {
        machine.taken(&send);
        machine.ends(&send, MessageEvent::Delivered);
    }
    let view = machine.view(batch);
    assert_eq!((view.status, ended(&view, MessageStatus::Failed)), (BatchStatus::Expired, 2));
    let records = machine.records();
    let expired = records.iter().filter(|record| record.reason == Reason::Expired).count();
    assert_eq!(expired, 2);
}

#[test]
fn a_batch_begins_at_its_instant_in_order_with_what_else_is_sent() {
    let mut machine = machine();
    let plan = BatchPlan { not_before: Some(at(30)), ..paced(Span::from_secs(1)) };
    let batch = machine.runs(plan, lines(2, text(FROM, "x")));
    assert_eq!(machine.view(batch).status, BatchStatus::Scheduled);
    // A tick that comes late shifts nothing.
    machine.run_late(at(40), Span::from_millis(90));
    assert_eq!(instants(&machine), [30_000, 31_000]);
    assert_eq!(machine.sends()[0].held_by, Reason::NotBefore);
}

#[test]
fn dc_3_a_line_is_sent_again_after_what_is_certain_and_never_when_in_doubt() {
    let mut machine = machine();
    let on = RetryOn { failed: true, undelivered: true, ..RetryOn::default() };
    let delay = Span::from_secs(5);
    let batch = machine.runs(retries(on, delay), lines(3, text(FROM, "x")));
    let first = machine.sends();
    machine.answers(&first[0], MessageEvent::Refused(Reason::MessageRejected));
    machine.taken(&first[1]);
    machine.ends(&first[1], MessageEvent::Undelivered(Reason::UnreachableHandset));
    machine.answers(&first[2], MessageEvent::InDoubt(Reason::InDoubtNoAnswer));
    let view = machine.view(batch);
    assert_eq!((view.counts.queued, ended(&view, MessageStatus::Failed)), (2, 1));
    let waits = machine.state.message(first[0].message).expect("it waits");
    assert_eq!((waits.status, waits.reason), (MessageStatus::Queued, Reason::Retry));
    let why = machine.state.explain_message(first[0].message).expect("it waits");
    assert_eq!((why.binding, why.starts_in), (Reason::Retry, Some(delay)));
    machine.run(delay);
    let second = machine.sends()[3..].to_vec();
    let named: Vec<_> = second.iter().map(|send| (send.message, send.attempt)).collect();
    assert_eq!(named, [(first[0].message, 2), (first[1].message, 2)]);
    assert_eq!(second[0].held_by, Reason::Retry);
    // Said of the attempt before, it is no word on this one.
    machine.answers(&first[0], MessageEvent::Refused(Reason::MessageRejected));
    machine.answers(&second[0], MessageEvent::Refused(Reason::MessageRejected));
    machine.taken(&second[1]);
    machine.ends(&second[1], MessageEvent::Delivered);
    machine.run(delay);
    let third = machine.sends()[5..].to_vec();
    machine.answers(&third[0], MessageEvent::Refused(Reason::MessageFiltered));
    let view = machine.view(batch);
    assert_eq!(view.status, BatchStatus::Completed, "the third attempt was the last");
    assert_eq!(
        (ended(&view, MessageStatus::Delivered), ended(&view, MessageStatus::Failed)),
        (1, 2)
    );
    let records = machine.records();
    let of = |message| records.iter().find(|record| record.message == message).unwrap();
    let failed = of(first[0].message);
    assert_eq!((failed.attempts, failed.reason), (3, Reason::MessageFiltered));
    let earlier: Vec<_> =
        failed.earlier.iter().map(|attempt| (attempt.number, attempt.status)).collect();
    assert_eq!(earlier, [(1, MessageStatus::Failed), (2, MessageStatus::Failed)]);
    assert_eq!(of(first[1].message).earlier[0].status, MessageStatus::Undelivered);
    machine.replays_alike(7);
}

#[test]
fn what_carriers_had_when_the_process_ended_is_in_doubt_and_not_sent_again() {
    let mut machine = machine();
    let on = RetryOn { failed: true, ..RetryOn::default() };
    let batch = machine.runs(retries(on, Span::ZERO), lines(3, text(FROM, "x")));
    machine.apply(Command::Message(MessageCommand::Restarted));
    machine.run(Span::from_secs(60));
    assert_eq!(machine.sends().len(), 3);
    let view = machine.view(batch);
    assert_eq!((view.status, ended(&view, MessageStatus::Failed)), (BatchStatus::Completed, 3));
}

#[test]
fn dc_3_a_line_is_sent_again_after_the_ends_that_its_batch_names_and_no_other() {
    let mut machine = machine();
    let on = RetryOn { undelivered: true, ..RetryOn::default() };
    let batch = machine.runs(retries(on, Span::ZERO), lines(2, text(FROM, "x")));
    machine.run(Span::from_secs(1));
    let sends = machine.sends();
    machine.answers(&sends[0], MessageEvent::Refused(Reason::MessageRejected));
    machine.taken(&sends[1]);
    machine.ends(&sends[1], MessageEvent::Undelivered(Reason::UnreachableHandset));
    machine.run(Span::from_secs(60));
    let sent: Vec<_> = machine.sends().iter().map(|send| send.message).collect();
    assert_eq!(sent, [0, 1, 1].map(|nth| sends[nth].message));
    assert_eq!(ended(&machine.view(batch), MessageStatus::Failed), 1);
}

#[test]
fn a_batch_of_messages_and_one_of_calls_are_strangers() {
    let mut machine = machine();
    machine.agent_up("agent", 1, 10, 0);
    let texts = machine.runs(paced(Span::from_secs(1)), lines(3, text(FROM, "x")));
    let calls = machine.create_batch(1, BatchPlan::default(), vec![call("+15550200001")]);
    machine.start_batch(1, calls);
    machine.steers(|batch| BatchCommand::Pause { account: account(1), batch }, calls);
    machine.run(Span::from_secs(10));
    assert_eq!(machine.sends().len(), 3);
    assert_eq!(machine.view(calls).counts.queued, 1);
    assert_eq!(machine.view(texts).counts.queued, 0);
}

#[test]
fn the_end_of_a_batch_of_messages_is_foretold_by_running_ahead() {
    let mut machine = machine();
    let batch = machine.runs(paced(Span::from_millis(100)), lines(50, text(FROM, "x")));
    let inquiry = machine.state.inquire(&About::Batch(batch), machine.now).expect("a question");
    let mut go_on = || true;
    let bounds = &mut Bounds { starts_max: 1_000, go_on: &mut go_on };
    let answer = inquiry.answer(7, bounds).expect("an answer");
    assert_eq!(answer.estimate.p50, Span::from_millis(4_900));
    assert_eq!(answer.estimate.binding(), Reason::BatchThrottle);
    let outlook = machine.state.message_outlook(machine.now).expect("a copy");
    let forecast = outlook.forecast(7, bounds).expect("a forecast");
    assert_eq!(forecast.batch(batch).expect("foretold").p50, Span::from_millis(4_900));
}

#[test]
fn a_batch_is_noticed_and_its_gate_goes_with_its_last_message() {
    let mut machine = machine_with(Options::default(), declared(None, false));
    let hook = busyhour_base::Webhook {
        url: "https://a.example/".to_owned(),
        method: busyhour_base::Method::Post,
    };
    let callback = busyhour_controller_core::spec::BatchHook { hook, progress_permille: 500 };
    let plan = BatchPlan { callback: Some(callback), ..messages() };
    let batch = machine.runs(plan, lines(2, text(FROM, "x")));
    let sends = machine.sends();
    machine.taken(&sends[0]);
    assert_eq!(machine.state.batch_notice(batch).unwrap().event, BatchEvent::Progress);
    machine.taken(&sends[1]);
    assert_eq!(machine.state.batch_notice(batch).unwrap().event, BatchEvent::Finished);
    assert_eq!(ended(&machine.view(batch), MessageStatus::Sent), 2);
    machine.records();
    assert_eq!(machine.state.queues_of(account(1)).count(), 0);
    // The number is not declared any more, and goes as well: another tenant's would be free to take its place.
    let none = Declaration { messages: MessageDeclaration::default(), ..declared(None, false) };
    machine.apply(Command::Declare(Box::new(none)));
    let other = machine.draft(messages());
    let verdicts = machine.takes(other, lines(1, text(FROM, "x")));
    assert_eq!(verdicts, [Some(Reason::UnknownNumber)]);
}

#[test]
fn a_tenant_that_is_declared_no_more_loses_its_drafts_and_goes_with_its_last_message() {
    let mut machine = machine();
    let running = machine.runs(paced(Span::from_secs(1)), lines(3, text(FROM, "x")));
    let draft = machine.draft(messages());
    machine.takes(draft, lines(3, text(OTHER, "x")));
    machine.apply(Command::Declare(Box::new(Declaration {
        tenants: Vec::new(),
        ..declared(None, true)
    })));
    assert_eq!(machine.view(draft).status, BatchStatus::Cancelled);
    machine.run(Span::from_secs(10));
    assert_eq!(machine.sends().len(), 3, "what was running runs on");
    for send in machine.sends() {
        machine.answers(&send, MessageEvent::Refused(Reason::MessageRejected));
    }
    assert_eq!(machine.view(running).status, BatchStatus::Completed);
    machine.records();
    assert_eq!(machine.state.tenants().count(), 0);
}

#[test]
fn what_a_pace_takes_is_counted_from_when_the_batch_opens() {
    let mut machine = machine();
    let plan = BatchPlan { not_before: Some(at(60)), ..paced(Span::from_secs(2)) };
    let batch = machine.runs(plan, lines(11, text(FROM, "x")));
    let eta = machine.view(batch).eta;
    assert_eq!(eta, Some((Span::from_secs(80), Reason::BatchThrottle)));
}

#[test]
fn a_cap_of_the_number_holds_a_batch_and_says_so() {
    let mut declared = declared(None, true);
    declared.messages.numbers[0].caps = vec![Cap { count: 2, window: Span::from_secs(60) }];
    let mut machine = machine_with(Options::default(), declared);
    let batch = machine.runs(messages(), lines(5, text(FROM, "x")));
    let (span, reason) = machine.view(batch).eta.expect("foretold");
    assert_eq!((span.as_secs(), reason), (120, Reason::NumberCap));
    machine.run(Span::from_secs(200));
    assert_eq!(instants(&machine), [0, 0, 60_000, 60_000, 120_000]);
}

#[test]
fn dc_3_failed_lines_are_sent_once_more_on_their_tenants_word_however_often_it_is_given() {
    let mut machine = machine();
    let batch = machine.runs(messages(), lines(4, text(FROM, "x")));
    let first = machine.sends();
    machine.answers(&first[0], MessageEvent::Refused(Reason::MessageRejected));
    machine.answers(&first[1], MessageEvent::InDoubt(Reason::InDoubtNoAnswer));
    for (send, event) in [
        (&first[2], MessageEvent::Undelivered(Reason::UnreachableHandset)),
        (&first[3], MessageEvent::Delivered),
    ] {
        machine.taken(send);
        machine.ends(send, event);
    }
    assert_eq!(machine.view(batch).status, BatchStatus::Completed);
    let records = machine.records();
    let again: Vec<_> = records.into_iter().filter_map(AgainMessage::of).collect();
    assert_eq!(again.len(), 2, "neither the one in doubt nor the one that arrived");
    let ask = |machine: &mut Machine, messages: &[AgainMessage]| {
        let (account, messages) = (account(1), messages.to_vec());
        let again = Again { account, batch, lines: Vec::new(), messages };
        match machine.apply(Command::Batch(BatchCommand::Again(Box::new(again)))) {
            Reply::Messages(verdicts) => verdicts.into_iter().map(Result::err).collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(ask(&mut machine, &again), [None, None]);
    assert_eq!(ask(&mut machine, &again), [Some(Reason::Duplicate); 2], "each once");
    let second = machine.sends()[4..].to_vec();
    let named: Vec<_> = second.iter().map(|send| (&*send.spec.to, send.attempt)).collect();
    assert_eq!(named, [(&*to(0), 2), (&*to(2), 2)], "their attempts are numbered on");
    assert_ne!(second[0].message, first[0].message);
    let view = machine.view(batch);
    assert_eq!((view.counts.accepted, view.counts.in_progress), (4, 2));
    for send in &second {
        machine.taken(send);
        machine.ends(send, MessageEvent::Delivered);
    }
    let view = machine.view(batch);
    assert_eq!(view.status, BatchStatus::Completed);
    let counts = MessageStatus::ENDS.map(|status| ended(&view, status));
    assert_eq!(counts, [3, 0, 0, 1, 0]);
    let records = machine.records();
    assert_eq!(records[0].earlier[0].reason, Reason::MessageRejected);
    let made_up = AgainMessage { seq: 99, ..again[0].clone() };
    assert_eq!(ask(&mut machine, &[made_up]), [Some(Reason::WrongState)]);
    machine.replays_alike(6);
}

/// Nothing of it waits, and nothing of it is left when it ends.
#[test]
fn a_draft_whose_lines_have_expired_and_are_in_the_records_comes_to_its_end() {
    for canceled in [true, false] {
        let mut machine = machine();
        let batch = machine.draft(BatchPlan { not_after: Some(at(20)), ..messages() });
        let line = NewText { expires: Some(at(5)), ..text(FROM, "x") };
        assert_eq!(machine.takes(batch, lines(2, line)), [None; 2]);
        machine.run(Span::from_secs(10));
        assert_eq!(machine.records().len(), 2);
        if canceled {
            let cancel =
                |batch| BatchCommand::Cancel { account: account(1), batch, hang_up: false };
            machine.steers(cancel, batch);
        }
        machine.run(Span::from_secs(20));
        let end = if canceled { BatchStatus::Cancelled } else { BatchStatus::Expired };
        assert_eq!(machine.view(batch).status, end);
    }
}
