//! DC-3: what a batch may ask beside its pace: which lines mean the same call, what becomes of what is left when a window
//! closes, and its failed lines once more.

mod support;

use std::sync::Arc;

use busyhour_base::{ApplicationSid, CallEvent, CallSpec, Outcome, Reason, Span, Timestamp};
use busyhour_controller_core::{
    Options,
    command::{BatchCommand, Command},
    effect::Reply,
    spec::{
        Again, AgainLine, Application, BatchId, BatchPlan, CallId, Declaration, DedupeBy, Lines,
        NewCall, Number, NumberKind, Opening, Openings, Pace, Part, Requests, Retry, RetryOn,
        Throttle, UploadFormat, WindowEnd,
    },
    view::{BatchStatus, Record},
};
use support::{Machine, START, account, call, carrier, declaration, ended, tenant};

fn machine() -> Machine {
    Machine::declared(vec![tenant(1, None)], vec![carrier("c", 100, Span::ZERO)])
}

fn at(s: u64) -> Timestamp {
    START + Span::from_secs(s)
}

/// Lines `a`, `b` and so on to these numbers.
fn lines(to: &[&str]) -> Vec<NewCall> {
    let named = to.iter().zip('a'..).map(|(to, name)| {
        let mut call = call(to);
        call.custom_id = Some(name.to_string().into());
        call
    });
    named.collect()
}

fn take(machine: &mut Machine, batch: BatchId, calls: Vec<NewCall>, keys: &[&str]) -> Reply {
    machine.apply(Command::Batch(BatchCommand::Take(Arc::new(Lines {
        account: account(1),
        batch,
        part: None,
        requests: (1..).zip(calls).collect(),
        keys: keys.iter().map(|key| Arc::from(*key)).collect(),
        faults: Vec::new(),
    }))))
}

fn verdicts(reply: Reply) -> Vec<Result<(), Reason>> {
    let Reply::Submitted(verdicts) = reply else { panic!("{reply:?}") };
    verdicts.into_iter().map(|verdict| verdict.map(drop)).collect()
}

mod dedupe_by {
    use super::*;

    #[test]
    fn of_lines_to_the_same_number_the_first_is_taken_also_after_a_restart() {
        let mut machine = machine();
        let plan = BatchPlan { dedupe_by: DedupeBy::To, ..BatchPlan::default() };
        let batch = machine.create_batch(1, plan, Vec::new());
        let first = take(&mut machine, batch, lines(&["+1", "+2", "+1"]), &[]);
        assert_eq!(verdicts(first), [Ok(()), Ok(()), Err(Reason::Duplicate)]);
        let mut later = lines(&["+3", "+2"]);
        later[0].custom_id = Some("later".into());
        later[1].custom_id = Some("last".into());
        assert_eq!(
            verdicts(take(&mut machine, batch, later, &[])),
            [Ok(()), Err(Reason::Duplicate)]
        );
        let view = machine.state.batch(batch).unwrap();
        assert_eq!((view.counts.accepted, view.upload.duplicates, view.upload.refused), (3, 2, 0));
        machine.start_batch(1, batch);
        assert_eq!(machine.dials.len(), 3);
        machine.replays_alike(machine.log.len() - 3);
    }

    #[test]
    fn lines_go_by_the_value_of_a_variable_each_with_one() {
        let mut machine = machine();
        let dedupe_by = DedupeBy::Variable("customer".to_owned());
        let batch =
            machine.create_batch(1, BatchPlan { dedupe_by, ..BatchPlan::default() }, vec![]);
        let same = take(&mut machine, batch, lines(&["+1", "+2", "+3"]), &["x", "x", "y"]);
        assert_eq!(verdicts(same), [Ok(()), Err(Reason::Duplicate), Ok(())]);
        let without = take(&mut machine, batch, lines(&["+4"]), &[]);
        assert_eq!(without, Reply::Refused(Reason::TooLarge));
    }

    #[test]
    fn without_it_only_names_are_taken_once() {
        let mut machine = machine();
        let batch = machine.create_batch(1, BatchPlan::default(), Vec::new());
        let mut calls = lines(&["+1", "+1", "+1"]);
        calls[2].custom_id = Some("a".into());
        let verdicts = verdicts(take(&mut machine, batch, calls, &[]));
        assert_eq!(verdicts, [Ok(()), Ok(()), Err(Reason::Duplicate)]);
    }
}

/// The rate that a batch shows as allowed.
mod pace {
    use super::*;

    fn paced(spacing: Span) -> Pace {
        Pace { throttle: Some(Throttle { spacing }), ..Pace::default() }
    }

    #[test]
    fn the_slowest_scope_says_how_fast_a_batch_may_be_and_numbers_add_up() {
        let second = Span::from_secs(1);
        let sid = ApplicationSid(7);
        let mut one = tenant(1, Some(Span::from_millis(300)));
        one.applications = vec![Application { sid, pace: paced(Span::from_millis(700)) }];
        let number = |number: &str| Number {
            number: number.into(),
            account: account(1),
            kind: NumberKind::Local,
            pace: paced(second),
        };
        let numbers = vec![number("+4911"), number("+4922")];
        let carriers = vec![carrier("c", 100, Span::ZERO)];
        let mut machine = Machine::new();
        let declaration = Declaration { numbers, ..declaration(vec![one], carriers) };
        machine.apply(Command::Declare(Box::new(declaration)));
        machine.agent_up("agent", 1, 100, 0);
        let from = |number: &str, application| {
            let NewCall { spec, .. } = call("+1");
            let spec = Arc::new(CallSpec { from: number.into(), ..(*spec).clone() });
            NewCall { application, ..NewCall::of(spec) }
        };
        let mut shown = |plan: BatchPlan, lines: Vec<NewCall>| {
            let batch = machine.create_batch(1, plan, lines);
            machine.state.batch(batch).unwrap().spacing.map(Span::as_millis)
        };
        let plan = BatchPlan::default;
        assert_eq!(shown(plan(), vec![from("+4911", None)]), Some(1_000));
        assert_eq!(shown(plan(), vec![from("+4911", None), from("+4922", None)]), Some(500));
        let of_application = vec![from("+4911", Some(sid)), from("+4922", Some(sid))];
        assert_eq!(shown(plan(), of_application), Some(700));
        // One that is not declared lets everything through, up to the tenant's throttle.
        let any = vec![from("+4911", None), from("+4933", None)];
        assert_eq!(shown(plan(), any.clone()), Some(300));
        let throttle = Some(Throttle { spacing: Span::from_millis(400) });
        assert_eq!(shown(BatchPlan { throttle, ..plan() }, any), Some(400));
    }

    #[test]
    fn what_was_dialled_is_counted_attempt_by_attempt_and_what_was_canceled_is_not() {
        let mut machine = machine();
        let on = RetryOn { busy: true, ..RetryOn::default() };
        let retry = Retry { on, attempts_max: 2, delays: vec![Span::from_secs(60)] };
        let throttle = Some(Throttle { spacing: Span::from_secs(1) });
        let plan = BatchPlan { retry: Some(retry), throttle, ..BatchPlan::default() };
        let (batch, calls) = machine.running_batch(1, plan, lines(&["+1"; 5]));
        machine.run(Span::from_millis(1_500));
        machine.says(calls[0], ended(Outcome::Busy, true));
        machine.run(Span::from_millis(1_000));
        let started = |machine: &Machine| machine.state.batch(batch).unwrap().started;
        assert_eq!(started(&machine), 3);
        machine.run(Span::from_secs(70));
        assert_eq!(started(&machine), 6, "the first one twice");
        let account = account(1);
        let (batch, _) = machine.running_batch(
            1,
            BatchPlan { throttle, ..BatchPlan::default() },
            lines(&["+1"; 5]),
        );
        machine.apply(Command::Batch(BatchCommand::Cancel { account, batch, hang_up: false }));
        assert_eq!(machine.state.batch(batch).unwrap().started, 1);
    }
}

mod on_window_end {
    use super::*;

    fn expiring(spans: &[(u64, u64)]) -> BatchPlan {
        let spans = spans.iter().map(|(from, to)| Opening { from: at(*from), to: at(*to) });
        BatchPlan {
            openings: Some(Openings { spans: spans.collect(), through: at(100_000) }),
            throttle: Some(Throttle { spacing: Span::from_secs(2) }),
            on_window_end: WindowEnd::Expire,
            ..BatchPlan::default()
        }
    }

    #[test]
    fn what_waits_when_the_first_window_closes_expires_and_what_is_up_goes_on() {
        let mut machine = machine();
        let (batch, calls) =
            machine.running_batch(1, expiring(&[(10, 15), (30, 60)]), lines(&["+1"; 5]));
        machine.run(Span::from_secs(14));
        assert_eq!(machine.dials.len(), 3);
        machine.run(Span::from_secs(100));
        assert_eq!(machine.dials.len(), 3, "the second window is none of its");
        let view = machine.state.batch(batch).unwrap();
        assert_eq!((view.status, view.counts.in_progress), (BatchStatus::Completing, 3));
        for call in &calls[..3] {
            machine.says(*call, ended(Outcome::Completed, true));
        }
        let view = machine.state.batch(batch).unwrap();
        assert_eq!((view.status, view.counts.queued), (BatchStatus::Expired, 0));
        let expired = machine.state.outbox(9).filter(|r| r.ending.reason == Reason::Expired);
        assert_eq!(expired.count(), 2);
        machine.replays_alike(machine.log.len() / 2);
    }

    #[test]
    fn a_machine_that_slept_through_the_window_has_missed_it() {
        let mut machine = machine();
        let (batch, _) = machine.running_batch(1, expiring(&[(10, 15), (30, 60)]), lines(&["+1"]));
        machine.now = at(31);
        machine.apply(Command::Tick);
        assert!(machine.dials.is_empty());
        assert_eq!(machine.state.batch(batch).unwrap().status, BatchStatus::Expired);
    }

    #[test]
    fn a_pause_does_not_put_it_off_and_a_draft_waits_for_the_window_after_its_start() {
        let mut machine = machine();
        let draft = machine.create_batch(1, expiring(&[(0, 5), (20, 40)]), lines(&["+1"]));
        let (paused, _) = machine.running_batch(1, expiring(&[(0, 5)]), lines(&["+1", "+2"]));
        machine.apply(Command::Batch(BatchCommand::Pause { account: account(1), batch: paused }));
        machine.run(Span::from_secs(6));
        let view = machine.state.batch(paused).unwrap();
        assert_eq!((view.status, view.counts.queued), (BatchStatus::Completing, 0));
        assert_eq!(machine.state.batch(draft).unwrap().status, BatchStatus::Draft);
        machine.start_batch(1, draft);
        let before = machine.dials.len();
        machine.run(Span::from_secs(20));
        assert_eq!(machine.dials.len(), before + 1);
    }

    #[test]
    fn no_further_attempt_is_waited_for_that_would_begin_behind_the_window() {
        let mut machine = machine();
        let retry = Retry {
            on: RetryOn { busy: true, ..RetryOn::default() },
            attempts_max: 5,
            delays: vec![Span::from_secs(10)],
        };
        let plan = BatchPlan { retry: Some(retry), ..expiring(&[(0, 15), (30, 60)]) };
        let (batch, calls) = machine.running_batch(1, plan, lines(&["+1"]));
        machine.says(calls[0], ended(Outcome::Busy, true));
        machine.run(Span::from_secs(11));
        machine.says(calls[0], ended(Outcome::Busy, true));
        let view = machine.state.batch(batch).unwrap();
        assert_eq!((view.status, machine.dials.len()), (BatchStatus::Completed, 2));
    }
}

mod retry_failed {
    use super::*;

    fn ask(machine: &mut Machine, batch: BatchId, lines: Vec<AgainLine>) -> Reply {
        let again = Again { account: account(1), batch, lines, messages: Vec::new() };
        machine.apply(Command::Batch(BatchCommand::Again(Box::new(again))))
    }

    /// What has ended, as it is in the records.
    fn records(machine: &Machine) -> Vec<Record> {
        machine.state.outbox(usize::MAX).cloned().collect()
    }

    /// The lines of the outbox that may be placed again.
    fn failed(machine: &Machine) -> Vec<AgainLine> {
        records(machine).into_iter().filter_map(AgainLine::of).collect()
    }

    fn store(machine: &mut Machine) {
        let through = machine.state.outbox(usize::MAX).last().unwrap().seq;
        machine.apply(Command::Recorded { through });
    }

    /// A batch of four lines whose calls ended completed, busy, failed, and in doubt.
    fn over(plan: BatchPlan) -> (Machine, BatchId, Vec<CallId>) {
        let mut machine = machine();
        let (batch, calls) = machine.running_batch(1, plan, lines(&["+1", "+2", "+3", "+4"]));
        let ends = [
            ended(Outcome::Completed, true),
            ended(Outcome::Busy, true),
            ended(Outcome::Failed, true),
            ended(Outcome::Failed, false),
        ];
        for (call, end) in calls.iter().zip(ends) {
            machine.says(*call, end);
        }
        assert_eq!(machine.state.batch(batch).unwrap().status, BatchStatus::Completed);
        (machine, batch, calls)
    }

    #[test]
    fn lines_that_came_to_nothing_are_dialled_once_more_under_their_names() {
        let (mut machine, batch, calls) = over(BatchPlan::default());
        let lines = failed(&machine);
        let named: Vec<_> = lines.iter().map(|line| line.call.custom_id.as_deref()).collect();
        assert_eq!(named, [Some("b"), Some("c")], "an answered call and one in doubt are none");
        store(&mut machine);
        let before = machine.dials.len();
        assert_eq!(verdicts(ask(&mut machine, batch, lines)), [Ok(()), Ok(())]);
        let again: Vec<_> = machine.dials[before..].iter().map(|(_, dial)| dial.clone()).collect();
        let told: Vec<_> = again.iter().map(|dial| (&*dial.spec.to, dial.attempt)).collect();
        assert_eq!(told, [("+2", 2), ("+3", 2)], "their attempts are numbered on");
        assert!(again.iter().all(|dial| !calls.contains(&dial.call)), "calls of their own");
        let view = machine.state.batch(batch).unwrap();
        assert_eq!((view.status, view.ended_at), (BatchStatus::Completing, None));
        assert_eq!((view.counts.accepted, view.counts.in_progress), (4, 2));
        machine.says(again[0].call, ended(Outcome::Completed, true));
        machine.says(again[1].call, ended(Outcome::NoAnswer, true));
        let view = machine.state.batch(batch).unwrap();
        assert_eq!((view.status, view.counts.ended), (BatchStatus::Completed, [2, 0, 1, 1, 0]));
        let last = records(&machine).pop().unwrap();
        assert_eq!((last.custom_id.as_deref(), last.attempts), (Some("c"), 2));
        assert_eq!(last.earlier[0].outcome, Outcome::Failed);
        machine.replays_alike(machine.log.len() - 4);
    }

    #[test]
    fn each_end_of_a_line_is_followed_by_one_further_call_however_often_it_is_asked() {
        let (mut machine, batch, _) = over(BatchPlan::default());
        let lines = failed(&machine);
        store(&mut machine);
        ask(&mut machine, batch, lines.clone());
        let dialled = machine.dials.len();
        assert_eq!(
            verdicts(ask(&mut machine, batch, lines.clone())),
            [Err(Reason::Duplicate), Err(Reason::Duplicate)]
        );
        assert_eq!(machine.dials.len(), dialled);
        for call in machine.dialled().split_off(dialled - 2) {
            machine.says(call, ended(Outcome::Busy, true));
        }
        assert_eq!(verdicts(ask(&mut machine, batch, lines)), [Err(Reason::Duplicate); 2]);
        assert_eq!(machine.dials.len(), dialled, "those records are done with");
        let next = failed(&machine);
        assert_eq!(verdicts(ask(&mut machine, batch, next)), [Ok(()), Ok(())]);
        assert_eq!(machine.dials.last().unwrap().1.attempt, 3);
    }

    #[test]
    fn one_outcome_may_be_asked_for_before_another() {
        let (mut machine, batch, _) = over(BatchPlan::default());
        let (busy, rest): (Vec<_>, Vec<_>) =
            failed(&machine).into_iter().partition(|line| line.outcome == Outcome::Busy);
        store(&mut machine);
        assert_eq!(verdicts(ask(&mut machine, batch, rest)), [Ok(())]);
        assert_eq!(
            verdicts(ask(&mut machine, batch, busy)),
            [Ok(())],
            "though its record is older"
        );
    }

    #[test]
    fn it_keeps_the_batchs_pace_and_hours_and_goes_on_after_a_restart() {
        let spans =
            vec![Opening { from: at(0), to: at(5) }, Opening { from: at(100), to: at(200) }];
        let plan = BatchPlan {
            openings: Some(Openings { spans, through: at(10_000) }),
            max_concurrent: Some(4),
            ..BatchPlan::default()
        };
        let (mut machine, batch, _) = over(plan);
        let lines = failed(&machine);
        store(&mut machine);
        machine.run(Span::from_secs(20));
        let pace = BatchCommand::Pace {
            account: account(1),
            batch,
            throttle: None,
            max_concurrent: Some(1),
        };
        assert_eq!(machine.apply(Command::Batch(pace.clone())), Reply::Refused(Reason::WrongState));
        let dialled = machine.dials.len();
        ask(&mut machine, batch, lines);
        machine.apply(Command::Batch(pace));
        assert_eq!(machine.state.batch(batch).unwrap().shut_by, Some(Reason::Window));
        assert_eq!(machine.dials.len(), dialled);
        machine.run(Span::from_secs(81));
        assert_eq!(machine.dials.len(), dialled + 1, "one at once");
        machine.replays_alike(machine.log.len() - 3);
    }

    #[test]
    fn nothing_is_passed_over_behind_a_line_for_which_there_is_no_room() {
        let (mut machine, batch, _) = over(BatchPlan::default());
        let lines = failed(&machine);
        store(&mut machine);
        let mut small = tenant(1, None);
        small.limits.queue_max = 0;
        let declare = |tenant| declaration(vec![tenant], vec![carrier("c", 100, Span::ZERO)]);
        machine.apply(Command::Declare(Box::new(declare(small))));
        let full = [Err(Reason::QueueFull), Err(Reason::QueueFull)];
        assert_eq!(verdicts(ask(&mut machine, batch, lines.clone())), full);
        assert_eq!(machine.state.batch(batch).unwrap().status, BatchStatus::Completed);
        machine.apply(Command::Declare(Box::new(declare(tenant(1, None)))));
        assert_eq!(verdicts(ask(&mut machine, batch, lines)), [Ok(()), Ok(())]);
    }

    #[test]
    fn drafts_canceled_batches_and_those_whose_end_has_passed_are_refused() {
        let (machine, _, _) = over(BatchPlan::default());
        let line = failed(&machine).remove(0);
        let mut machine = self::machine();
        let draft = machine.create_batch(1, BatchPlan::default(), lines(&["+1"]));
        let refused = |reason| Reply::Refused(reason);
        assert_eq!(ask(&mut machine, draft, vec![line.clone()]), refused(Reason::WrongState));
        machine.apply(Command::Batch(BatchCommand::Cancel {
            account: account(1),
            batch: draft,
            hang_up: false,
        }));
        assert_eq!(ask(&mut machine, draft, vec![line.clone()]), refused(Reason::WrongState));
        let plan = BatchPlan { not_after: Some(at(10)), ..BatchPlan::default() };
        let (ending, _) = machine.running_batch(1, plan, lines(&["+1"]));
        machine.run(Span::from_secs(10));
        assert_eq!(ask(&mut machine, ending, vec![line.clone()]), refused(Reason::Expired));
        // Made up: a record that never was, and an outcome that the batch has not.
        let (mut machine, batch, _) = over(BatchPlan::default());
        let made_up = AgainLine { seq: 99, ..line.clone() };
        assert_eq!(verdicts(ask(&mut machine, batch, vec![made_up])), [Err(Reason::WrongState)]);
        let wrong = AgainLine { outcome: Outcome::NoAnswer, ..line };
        assert_eq!(verdicts(ask(&mut machine, batch, vec![wrong])), [Err(Reason::WrongState)]);
    }

    /// One call at a time, from `from` on until the tenth second and from the twentieth to the thirtieth; what is left at the end
    /// of a window expires.
    fn two_windows(from: u64) -> BatchPlan {
        let first = Opening { from: at(from), to: at(10) };
        let spans = vec![first, Opening { from: at(20), to: at(30) }];
        BatchPlan {
            openings: Some(Openings { spans, through: at(1_000) }),
            on_window_end: WindowEnd::Expire,
            max_concurrent: Some(1),
            ..BatchPlan::default()
        }
    }

    #[test]
    fn a_line_that_is_retried_while_calls_of_the_last_window_are_up_waits_for_the_next() {
        let mut machine = machine();
        let (batch, calls) = machine.running_batch(1, two_windows(0), lines(&["+1", "+2"]));
        machine.says(calls[0], CallEvent::Answered);
        machine.run(Span::from_secs(12));
        let lines = failed(&machine);
        assert_eq!(verdicts(ask(&mut machine, batch, lines)), [Ok(())]);
        assert_eq!(machine.state.batch(batch).unwrap().shut_by, Some(Reason::Window));
        machine.says(calls[0], ended(Outcome::Completed, true));
        machine.run(Span::from_secs(20));
        let dues: Vec<_> = machine.dials.iter().map(|(_, dial)| dial.at).collect();
        assert_eq!(dues, [at(0), at(20)]);
        machine.replays_alike(machine.log.len() / 2);
    }

    #[test]
    fn an_expired_line_is_dialled_in_the_next_window() {
        let mut machine = machine();
        let (batch, calls) = machine.running_batch(1, two_windows(5), lines(&["+1", "+2"]));
        machine.run(Span::from_secs(11));
        machine.says(calls[0], CallEvent::Answered);
        machine.says(calls[0], ended(Outcome::Completed, true));
        assert_eq!(machine.state.batch(batch).unwrap().status, BatchStatus::Expired);
        let lines = failed(&machine);
        assert_eq!(lines.len(), 1);
        store(&mut machine);
        ask(&mut machine, batch, lines);
        machine.run(Span::from_secs(10));
        assert_eq!(machine.dials.last().unwrap().1.attempt, 1, "it was never dialled before");
        assert_eq!(machine.dials.len(), 2);
        machine.replays_alike(machine.log.len() / 2);
    }
}

#[test]
fn a_draft_is_validating_while_the_last_part_of_its_upload_is_awaited() {
    let mut machine = Machine::with(Options::default());
    machine.apply(Command::Declare(Box::new(declaration(
        vec![tenant(1, None)],
        vec![carrier("c", 100, Span::ZERO)],
    ))));
    let batch = machine.create_batch(1, BatchPlan::default(), Vec::new());
    let status = |machine: &Machine| machine.state.batch(batch).unwrap().status;
    let part = |machine: &mut Machine, from, to, complete| {
        let part = Part { from, to, next_line: to, format: Some(UploadFormat::Ndjson), complete };
        machine.apply(Command::Batch(BatchCommand::Take(Arc::new(Lines {
            account: account(1),
            batch,
            part: Some(part),
            requests: Requests::default(),
            keys: Vec::new(),
            faults: Vec::new(),
        }))))
    };
    assert_eq!(status(&machine), BatchStatus::Draft);
    part(&mut machine, 0, 10, false);
    assert_eq!(status(&machine), BatchStatus::Validating);
    part(&mut machine, 10, 12, true);
    assert_eq!(status(&machine), BatchStatus::Draft);
}
