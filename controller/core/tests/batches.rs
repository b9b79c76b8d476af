//! DC-3: batches in the state machine: calling hours, further attempts, live pacing, uploads, notices.

mod run_up;
mod support;

use std::sync::Arc;

use busyhour_base::{CallEvent, Ending, Method, Outcome, Reason, Span, Timestamp, Webhook};
use busyhour_controller_core::{
    Options,
    command::{BatchCommand, Change, Command},
    effect::{Effect, Reply},
    spec::{
        Again, AgainLine, BatchHook, BatchId, BatchPlan, CallId, Fault, Lines, NewCall, Opening,
        Openings, Part, Requests, Retry, RetryOn, Throttle, UploadFormat,
    },
    view::{BatchEvent, BatchStatus, Record, What},
};
use support::{Machine, START, account, call, carrier, declaration, ended, tenant};

fn machine() -> Machine {
    Machine::declared(vec![tenant(1, None)], vec![carrier("c", 100, Span::ZERO)])
}

fn calls(count: usize) -> Vec<NewCall> {
    (0..count).map(|n| call(&format!("+{n}"))).collect()
}

fn at(s: u64) -> Timestamp {
    START + Span::from_secs(s)
}

fn hours(spans: &[(u64, u64)]) -> BatchPlan {
    let spans = spans.iter().map(|(from, to)| Opening { from: at(*from), to: at(*to) });
    let openings = Openings { spans: spans.collect(), through: at(100_000) };
    BatchPlan { openings: Some(openings), ..BatchPlan::default() }
}

fn retries(attempts_max: u16, delays: &[u64]) -> BatchPlan {
    let retry = Retry {
        on: RetryOn { busy: true, no_answer: true, failed: true, undelivered: false },
        attempts_max,
        delays: delays.iter().map(|s| Span::from_secs(*s)).collect(),
    };
    BatchPlan { retry: Some(retry), ..BatchPlan::default() }
}

fn record(machine: &Machine, call: CallId) -> Record {
    let mut all = machine.state.outbox(usize::MAX).filter(|record| record.call == call);
    let record = all.next().expect("it has an outcome").clone();
    assert!(all.next().is_none(), "one outcome");
    record
}

mod calling_hours {
    use super::*;

    #[test]
    fn calls_out_of_hours_wait_with_their_reason_and_go_on() {
        let mut machine = machine();
        let throttle = Some(Throttle { spacing: Span::from_secs(2) });
        let plan = BatchPlan { throttle, ..hours(&[(10, 15), (30, 60)]) };
        let (batch, calls) = machine.running_batch(1, plan, calls(5));
        assert!(machine.dials.is_empty());
        let view = machine.state.batch(batch).unwrap();
        assert_eq!((view.status, view.shut_by), (BatchStatus::Running, Some(Reason::Window)));
        let why = machine.state.explain(calls[0]).unwrap();
        assert_eq!((why.binding, why.starts_in), (Reason::Window, Some(Span::from_secs(10))));
        machine.run(Span::from_secs(100));
        let times: Vec<_> =
            machine.dials.iter().map(|(now, _)| now.since(START).as_secs()).collect();
        assert_eq!(times, [10, 12, 14, 30, 32]);
        assert_eq!(machine.dials[0].1.held_by, Reason::Window);
        assert_eq!(machine.dials[3].1.held_by, Reason::Window);
        machine.replays_alike(machine.log.len() / 2);
    }

    #[test]
    fn nothing_starts_at_or_after_the_end_of_a_window_however_late_the_tick() {
        let mut machine = machine();
        let throttle = Some(Throttle { spacing: Span::from_secs(1) });
        let plan = BatchPlan { throttle, ..hours(&[(0, 5)]) };
        machine.running_batch(1, plan, calls(20));
        machine.run_late(at(4), Span::ZERO);
        let before = machine.dials.len();
        machine.now = at(5);
        machine.apply(Command::Tick);
        assert_eq!(machine.dials.len(), before, "it was due at 5 s and the window ends there");
        machine.run(Span::from_secs(1_000));
        assert_eq!(machine.dials.len(), before);
    }

    #[test]
    fn a_machine_that_slept_through_a_window_waits_for_the_next() {
        let mut machine = machine();
        machine.running_batch(1, hours(&[(10, 20), (40, 50)]), calls(1));
        machine.now = at(30);
        machine.apply(Command::Tick);
        assert!(machine.dials.is_empty());
        assert_eq!(machine.state.next_wake(), Some(at(40)));
    }

    #[test]
    fn hours_that_run_out_hold_the_batch_until_they_are_resolved_anew() {
        let mut machine = machine();
        let (batch, _) = machine.running_batch(1, hours(&[(0, 5)]), calls(1));
        assert_eq!(machine.dials.len(), 1, "it is open");
        let more = machine.create_batch(1, hours(&[(1, 2)]), calls(1));
        machine.run(Span::from_secs(9));
        machine.start_batch(1, more);
        assert_eq!(machine.dials.len(), 1);
        let openings = hours(&[(10, 20)]).openings.unwrap();
        let open = BatchCommand::Open { batch: more, openings };
        assert_eq!(machine.apply(Command::Batch(open.clone())), Reply::Done);
        machine.run(Span::from_secs(3));
        assert_eq!(machine.dials.len(), 2);
        let wrong = Openings { spans: vec![Opening { from: at(3), to: at(3) }], through: at(9) };
        for (batch, openings, reason) in [
            (batch, wrong, Reason::TooLarge),
            (BatchId(99), Openings::default(), Reason::UnknownBatch),
        ] {
            let open = BatchCommand::Open { batch, openings };
            assert_eq!(machine.apply(Command::Batch(open)), Reply::Refused(reason));
        }
    }

    #[test]
    fn what_a_pace_takes_is_counted_from_when_the_batch_opens() {
        let mut machine = machine();
        let throttle = Some(Throttle { spacing: Span::from_secs(2) });
        for plan in [
            BatchPlan { not_before: Some(at(60)), throttle, ..BatchPlan::default() },
            BatchPlan { throttle, ..hours(&[(60, 100)]) },
        ] {
            let (batch, _) = machine.running_batch(1, plan, calls(11));
            let eta = machine.state.batch(batch).unwrap().eta;
            assert_eq!(eta, Some((Span::from_secs(80), Reason::BatchThrottle)));
        }
    }

    #[test]
    fn a_scheduled_batch_waits_for_its_time_and_then_for_its_window() {
        let mut machine = machine();
        let plan = BatchPlan { not_before: Some(at(12)), ..hours(&[(0, 10), (20, 30)]) };
        let (batch, calls) = machine.running_batch(1, plan, calls(1));
        assert_eq!(machine.state.batch(batch).unwrap().status, BatchStatus::Scheduled);
        assert_eq!(machine.state.explain(calls[0]).unwrap().starts_in, Some(Span::from_secs(20)));
        machine.run(Span::from_secs(15));
        let view = machine.state.batch(batch).unwrap();
        assert_eq!((view.status, view.shut_by), (BatchStatus::Running, Some(Reason::Window)));
        machine.apply(Command::Batch(BatchCommand::Pause { account: account(1), batch }));
        machine.run(Span::from_secs(10));
        assert!(machine.dials.is_empty(), "a pause outlasts the opening");
        machine.apply(Command::Batch(BatchCommand::Resume { account: account(1), batch }));
        assert_eq!(machine.dials.len(), 1);
    }
}

mod further_attempts {
    use super::*;

    #[test]
    fn a_busy_line_is_dialled_again_after_its_delays_and_has_one_outcome() {
        let mut machine = machine();
        let (batch, calls) = machine.running_batch(1, retries(3, &[10, 60]), calls(1));
        let call = calls[0];
        machine.says(call, ended(Outcome::Busy, true));
        let view = machine.state.call(call).unwrap();
        assert_eq!(view.not_before, Some(at(10)));
        let why = machine.state.explain(call).unwrap();
        assert_eq!((why.binding, why.starts_in), (Reason::Retry, Some(Span::from_secs(10))));
        machine.run(Span::from_secs(10));
        assert_eq!(machine.last_dial(call).attempt, 2);
        assert_eq!(machine.last_dial(call).held_by, Reason::Retry);
        machine.run(Span::from_secs(3));
        machine.says(call, ended(Outcome::NoAnswer, true));
        assert!(machine.state.outbox(1).next().is_none());
        machine.run(Span::from_secs(60));
        assert_eq!(machine.last_dial(call).attempt, 3);
        machine.says(call, ended(Outcome::Failed, true));
        let record = record(&machine, call);
        assert_eq!((record.ending.outcome, record.attempts), (Outcome::Failed, 3));
        let earlier: Vec<_> = record.earlier.iter().map(|a| (a.number, a.outcome)).collect();
        assert_eq!(earlier, [(1, Outcome::Busy), (2, Outcome::NoAnswer)]);
        let view = machine.state.batch(batch).unwrap();
        assert_eq!((view.status, view.counts.ended.iter().sum()), (BatchStatus::Completed, 1));
        machine.replays_alike(machine.log.len() / 2);
    }

    /// What its tenant asked for is a request to the far end: over how many carriers it goes is the operator's affair.
    #[test]
    fn mt_12_a_call_that_goes_on_over_the_next_carrier_is_the_same_attempt() {
        let carriers = vec![carrier("a", 9, Span::ZERO), carrier("b", 9, Span::ZERO)];
        let mut machine = Machine::declared(vec![tenant(1, None)], carriers);
        let (_, calls) = machine.running_batch(1, retries(2, &[10]), calls(1));
        let call = calls[0];
        for again in [false, true] {
            for over in ["a", "b"] {
                assert_eq!(machine.last_dial(call).carrier.as_ref(), over);
                assert!(machine.state.outbox(1).next().is_none());
                machine.says(call, ended(Outcome::Failed, true));
            }
            if !again {
                machine.run(Span::from_secs(10));
            }
        }
        let record = record(&machine, call);
        assert_eq!((record.ending.reason, record.attempts), (Reason::CarriersExhausted, 4));
        let earlier: Vec<_> = record.earlier.iter().map(|a| (&*a.carrier, a.passed_on)).collect();
        assert_eq!(earlier, [("a", true), ("b", false), ("a", true)]);
        machine.replays_alike(machine.log.len() / 2);
    }

    #[test]
    fn in_doubt_answered_hung_up_or_of_our_own_making_is_never_dialled_again() {
        let ours = |reason| {
            let CallEvent::Ended(ending) = ended(Outcome::Failed, true) else { unreachable!() };
            CallEvent::Ended(Ending { reason, ..ending })
        };
        for event in [
            ended(Outcome::Busy, false),
            ended(Outcome::Failed, false),
            ended(Outcome::Completed, true),
            ended(Outcome::Canceled, true),
            ours(Reason::DocumentFailed),
            ours(Reason::MediaLost),
            ours(Reason::InDoubtAgentRestarted),
        ] {
            let mut machine = machine();
            let (_, calls) = machine.running_batch(1, retries(5, &[0]), calls(1));
            machine.says(calls[0], event.clone());
            assert_eq!(machine.dials.len(), 1, "{event:?}");
            record(&machine, calls[0]);
        }
        let mut answered = machine();
        let (_, calls_of) = answered.running_batch(1, retries(5, &[0]), calls(1));
        answered.says(calls_of[0], CallEvent::Answered);
        answered.says(calls_of[0], ended(Outcome::Failed, true));
        assert_eq!(answered.dials.len(), 1);
        let mut hung_up = machine();
        let (_, calls) = hung_up.running_batch(1, retries(5, &[0]), calls(1));
        hung_up.update(1, calls[0], Change::Cancel);
        hung_up.says(calls[0], ended(Outcome::Busy, true));
        assert_eq!(hung_up.dials.len(), 1);
    }

    #[test]
    fn only_the_outcomes_that_were_named_are_tried_again() {
        let mut plan = retries(2, &[0]);
        plan.retry.as_mut().unwrap().on = RetryOn { busy: true, ..RetryOn::default() };
        let mut machine = machine();
        let (_, calls) = machine.running_batch(1, plan, calls(2));
        machine.says(calls[0], ended(Outcome::NoAnswer, true));
        machine.says(calls[1], ended(Outcome::Busy, true));
        let again = machine.dials.iter().filter(|(_, dial)| dial.attempt == 2);
        assert_eq!(again.map(|(_, dial)| dial.call).collect::<Vec<_>>(), [calls[1]]);
    }

    #[test]
    fn a_repeated_report_makes_no_second_attempt() {
        let mut machine = machine();
        let (_, calls) = machine.running_batch(1, retries(9, &[0]), calls(1));
        let first = machine.last_dial(calls[0]);
        for _ in 0..3 {
            machine.report(first.agent, calls[0], 1, ended(Outcome::Busy, true));
        }
        assert_eq!(machine.dials.len(), 2, "one for each attempt");
    }

    #[test]
    fn what_would_begin_after_the_end_is_over_now() {
        // By the batch's end, the call's own expiry, and the last window before the end.
        let ends = BatchPlan { not_after: Some(at(10)), ..retries(5, &[10]) };
        let expires = retries(5, &[10]);
        let window = BatchPlan {
            not_after: Some(at(20)),
            openings: Some(Openings {
                spans: vec![Opening { from: at(0), to: at(5) }],
                through: at(20),
            }),
            ..retries(5, &[10])
        };
        for (n, plan) in [ends, expires, window].into_iter().enumerate() {
            let mut machine = machine();
            let mut new = call("+1");
            new.expires = (n == 1).then(|| at(10));
            let (_, calls) = machine.running_batch(1, plan, vec![new]);
            machine.says(calls[0], ended(Outcome::Busy, true));
            let record = record(&machine, calls[0]);
            assert_eq!(record.ending.outcome, Outcome::Busy, "{n}");
        }
    }

    #[test]
    fn a_line_that_waits_for_its_next_attempt_is_canceled_with_its_batch() {
        let mut machine = machine();
        let (batch, calls) = machine.running_batch(1, retries(5, &[10]), calls(1));
        machine.says(calls[0], ended(Outcome::Busy, true));
        let account = account(1);
        machine.apply(Command::Batch(BatchCommand::Cancel { account, batch, hang_up: false }));
        let record = record(&machine, calls[0]);
        assert_eq!((record.ending.reason, record.held_by), (Reason::BatchCanceled, Reason::Retry));
        assert_eq!(record.earlier.len(), 1);
        assert_eq!(machine.state.next_wake(), None);
    }

    #[test]
    fn attempts_of_which_nothing_was_sent_do_not_count() {
        let mut machine = machine();
        let (_, calls) = machine.running_batch(1, retries(2, &[0]), calls(1));
        for _ in 0..4 {
            machine.says(calls[0], CallEvent::NotSent(Reason::LeaseExpired));
        }
        machine.says(calls[0], ended(Outcome::Busy, true));
        assert_eq!(machine.last_dial(calls[0]).attempt, 6);
        machine.says(calls[0], ended(Outcome::Busy, true));
        assert_eq!(record(&machine, calls[0]).earlier[0].number, 5);
    }
}

mod pacing {
    use super::*;

    fn pace(machine: &mut Machine, batch: BatchId, ms: u64, most: Option<u32>) -> Reply {
        machine.apply(Command::Batch(BatchCommand::Pace {
            account: account(1),
            batch,
            throttle: (ms > 0).then(|| Throttle { spacing: Span::from_millis(ms) }),
            max_concurrent: most,
        }))
    }

    #[test]
    fn another_pace_holds_at_once_and_costs_no_place() {
        let mut machine = machine();
        let throttle = Some(Throttle { spacing: Span::from_secs(3_600) });
        let plan = BatchPlan { throttle, ..BatchPlan::default() };
        let (batch, calls) = machine.running_batch(1, plan, calls(30));
        assert_eq!(machine.dials.len(), 1);
        assert_eq!(pace(&mut machine, batch, 1_000, None), Reply::Done);
        machine.run(Span::from_secs(5));
        assert_eq!(machine.dials.len(), 6);
        pace(&mut machine, batch, 0, Some(10));
        assert_eq!(machine.dials.len(), 10);
        pace(&mut machine, batch, 0, Some(8));
        for call in &calls[..3] {
            machine.says(*call, ended(Outcome::Completed, true));
        }
        assert_eq!(machine.dials.len(), 11, "eight are up");
        pace(&mut machine, batch, 0, None);
        assert_eq!(machine.dialled(), calls, "in their old order");
        assert_eq!(machine.state.batch(batch).unwrap().plan.max_concurrent, None);
        machine.replays_alike(machine.log.len() / 2);
    }

    #[test]
    fn a_batch_that_is_paused_keeps_its_new_pace_for_later_and_one_that_is_over_takes_none() {
        let mut machine = machine();
        let (batch, calls) = machine.running_batch(1, BatchPlan::default(), calls(1));
        machine.says(calls[0], ended(Outcome::Completed, true));
        assert_eq!(pace(&mut machine, batch, 0, None), Reply::Refused(Reason::WrongState));
        let draft = machine.create_batch(1, BatchPlan::default(), super::calls(3));
        assert_eq!(pace(&mut machine, draft, 1_000, None), Reply::Done);
        machine.start_batch(1, draft);
        assert_eq!(machine.dials.len(), 2);
    }
}

#[test]
fn what_held_a_call_is_never_that_it_was_a_draft_or_canceled() {
    let mut machine = machine();
    let plan = BatchPlan { max_concurrent: Some(1), ..BatchPlan::default() };
    let (batch, calls) = machine.running_batch(1, plan, calls(2));
    assert_eq!(machine.last_dial(calls[0]).held_by, Reason::Ready);
    let account = account(1);
    machine.apply(Command::Batch(BatchCommand::Cancel { account, batch, hang_up: false }));
    assert_eq!(record(&machine, calls[1]).held_by, Reason::BatchConcurrency);
}

mod uploads {
    use super::*;

    fn part(from: u64, to: u64, next_line: u64, complete: bool) -> Part {
        Part { from, to, next_line, format: Some(UploadFormat::Ndjson), complete }
    }

    fn take(machine: &mut Machine, batch: BatchId, part: Part, calls: Vec<NewCall>) -> Reply {
        let first = part.next_line - calls.len() as u64;
        machine.apply(Command::Batch(BatchCommand::Take(Arc::new(Lines {
            account: account(1),
            batch,
            requests: (first..).zip(calls).collect(),
            keys: Vec::new(),
            part: Some(part),
            faults: Vec::new(),
        }))))
    }

    #[test]
    fn a_part_is_taken_once_and_only_where_the_last_one_ended() {
        let mut machine = machine();
        let batch = machine.create_batch(1, BatchPlan::default(), Vec::new());
        let first = take(&mut machine, batch, part(0, 100, 3, false), calls(2));
        assert!(matches!(first, Reply::Submitted(verdicts) if verdicts.len() == 2));
        let refused = Reply::Refused(Reason::UploadOffset);
        for wrong in [part(0, 100, 3, false), part(99, 120, 4, false), part(101, 120, 4, false)] {
            assert_eq!(take(&mut machine, batch, wrong, calls(1)), refused);
        }
        take(&mut machine, batch, part(100, 150, 4, true), calls(1));
        let view = machine.state.batch(batch).unwrap();
        assert_eq!((view.counts.accepted, view.upload.bytes, view.upload.next_line), (3, 150, 4));
        assert!(view.upload.complete);
        assert_eq!(take(&mut machine, batch, part(150, 160, 5, false), calls(1)), refused);
    }

    #[test]
    fn lines_may_wait_longer_than_single_calls() {
        let mut slow = tenant(1, Some(Span::from_secs(1)));
        slow.limits.wait_max = Span::from_secs(10);
        let mut machine = Machine::declared(vec![slow], vec![carrier("c", 100, Span::ZERO)]);
        let batch = machine.create_batch(1, BatchPlan::default(), calls(50));
        assert_eq!(machine.state.batch(batch).unwrap().counts.accepted, 50);
        let Reply::Submitted(late) = machine.submit(1, calls(50)) else { panic!("verdicts") };
        assert!(late[0].is_ok());
        assert_eq!(late[49], Err(Reason::WaitTooLong));
    }

    #[test]
    fn what_was_wrong_is_kept_bounded_and_in_order() {
        let mut machine = machine();
        let batch = machine.create_batch(1, BatchPlan::default(), Vec::new());
        let fault =
            |line| Fault { line, custom_id: None, code: 21_211, message: "To is no number".into() };
        let mut same = call("+1");
        same.custom_id = Some("a".into());
        let mut late = call("+2");
        late.expires = Some(START);
        let lines = Lines {
            account: account(1),
            batch,
            part: None,
            requests: (1..).zip([same.clone(), same, late]).collect(),
            keys: Vec::new(),
            faults: (4..2_000).map(fault).collect(),
        };
        machine.apply(Command::Batch(BatchCommand::Take(Arc::new(lines))));
        let view = machine.state.batch(batch).unwrap().upload;
        assert_eq!(view.refused, 1_997, "a line that is here already is no fault");
        assert_eq!(view.known, 1_000);
        let kept: Vec<_> = machine.state.batch_faults(batch, 0).collect();
        assert_eq!(kept.len(), 1_000);
        assert!(kept.windows(2).all(|pair| pair[0].0 < pair[1].0));
        let found = machine.state.batch_faults(batch, 3).next().unwrap();
        assert_eq!(found.1.what, What::Unusable(21_211, "To is no number".into()));
        let long = Fault { line: 1, custom_id: None, code: 1, message: "x".repeat(70_000).into() };
        let other = machine.create_batch(1, BatchPlan::default(), Vec::new());
        let lines = Lines {
            account: account(1),
            batch: other,
            part: None,
            requests: Requests::default(),
            keys: Vec::new(),
            faults: vec![long],
        };
        machine.apply(Command::Batch(BatchCommand::Take(Arc::new(lines))));
        let view = machine.state.batch(other).unwrap().upload;
        assert_eq!((view.refused, view.known), (1, 0), "64 KiB of text are kept");
    }
}

mod notices {
    use super::*;

    #[test]
    fn a_callback_is_owed_progress_and_the_end_until_it_is_settled() {
        let mut machine = machine();
        let hook = Webhook { url: "https://app.example/".to_owned(), method: Method::Post };
        let callback = Some(BatchHook { hook, progress_permille: 500 });
        let plan = BatchPlan { callback, ..BatchPlan::default() };
        let (batch, calls) = machine.running_batch(1, plan, calls(4));
        let tell = |machine: &mut Machine, notice| {
            machine.apply(Command::Batch(BatchCommand::Told { batch, notice, accepted: true }))
        };
        let owed = |machine: &Machine| {
            let owing: Vec<_> = machine.state.batches_owing().collect();
            let notice = machine.state.batch_notice(batch);
            assert_eq!(owing, notice.iter().map(|_| batch).collect::<Vec<_>>());
            notice.map(|notice| (notice.number, notice.event))
        };
        machine.says(calls[0], ended(Outcome::Completed, true));
        assert_eq!(owed(&machine), None);
        machine.says(calls[1], ended(Outcome::Completed, true));
        assert_eq!(owed(&machine), Some((1, BatchEvent::Progress)));
        assert_eq!(tell(&mut machine, 1), Reply::Done);
        assert_eq!(owed(&machine), None);
        assert_eq!(tell(&mut machine, 1), Reply::Refused(Reason::WrongState));
        machine.says(calls[2], ended(Outcome::Completed, true));
        machine.says(calls[3], ended(Outcome::Completed, true));
        assert_eq!(owed(&machine), Some((3, BatchEvent::Finished)), "the end outdoes progress");
        assert_eq!(tell(&mut machine, 2), Reply::Refused(Reason::WrongState), "an earlier one");
        assert_eq!(tell(&mut machine, 3), Reply::Done);
        assert_eq!(owed(&machine), None);
        let told = machine.effects.iter().filter(|e| matches!(e, Effect::BatchNews { .. }));
        assert_eq!(told.count(), 3);
    }
}
