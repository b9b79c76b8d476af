//! The bound on what a tenant's calls are asked with, in bytes: what lines have in common counts once, what is over the bound
//! is refused as a whole, and everything that was counted is given back.

mod support;

use std::sync::Arc;

use busyhour_base::{Instructions, Outcome, Reason, Span};
use busyhour_controller_core::{
    command::{BatchCommand, Command},
    effect::Reply,
    spec::{Again, AgainLine, BatchId, BatchPlan, Lines, NewCall, Part, UploadFormat},
};
use support::{Machine, account, call, carrier, declaration, ended, tenant};

const BOUND: u64 = 100_000;
/// Bytes of a document.
const LONG: usize = 4_000;

fn declare(machine: &mut Machine, bound: u64) {
    let mut one = tenant(1, None);
    one.limits.queue_bytes_max = bound;
    let declared = declaration(vec![one, tenant(2, None)], vec![carrier("c", 10, Span::ZERO)]);
    assert_eq!(machine.apply(Command::Declare(Box::new(declared))), Reply::Done);
}

fn machine() -> Machine {
    let mut machine = Machine::new();
    declare(&mut machine, BOUND);
    machine.agent_up("agent", 1, 1_000, 0);
    machine
}

fn bytes(machine: &Machine) -> u64 {
    machine.state.tenant_of(account(1)).unwrap().bytes
}

/// A line of this name whose document begins with these words.
fn line(name: &str, words: &str) -> NewCall {
    let mut call = call("+15550001");
    call.custom_id = Some(name.into());
    Arc::make_mut(&mut call.spec).instructions = Instructions::Document(format!("{words:.<LONG$}"));
    call
}

/// Five lines, each with a document of its own.
fn five(from: u64) -> Vec<NewCall> {
    (from..from + 5).map(|n| line(&n.to_string(), &n.to_string())).collect()
}

fn lines(machine: &mut Machine, batch: BatchId, part: Option<Part>, calls: Vec<NewCall>) -> Reply {
    machine.apply(Command::Batch(BatchCommand::Take(Arc::new(Lines {
        account: account(1),
        batch,
        part,
        requests: (1..).zip(calls).collect(),
        keys: Vec::new(),
        faults: Vec::new(),
    }))))
}

fn all_taken(reply: &Reply) -> bool {
    matches!(reply, Reply::Submitted(verdicts) if verdicts.iter().all(Result::is_ok))
}

#[test]
fn lines_over_the_bound_are_refused_as_a_whole_and_their_upload_goes_on_when_there_is_room() {
    let mut machine = machine();
    let part = |n: u64| {
        let format = Some(UploadFormat::Ndjson);
        Some(Part { from: n * 10, to: n * 10 + 10, next_line: n * 5 + 6, format, complete: n == 9 })
    };
    let first = machine.accepted(1, line("", "first"));
    let batch = machine.create_batch(1, BatchPlan::default(), Vec::new());
    let mut taken = 0;
    let refused = loop {
        let reply = lines(&mut machine, batch, part(taken), five(taken * 5));
        if !all_taken(&reply) {
            break reply;
        }
        taken += 1;
    };
    assert_eq!((refused, taken), (Reply::Refused(Reason::QueueBytes), 5));
    let held = bytes(&machine);
    assert!((BOUND..BOUND + 5 * 4_200).contains(&held), "{held}");
    let view = machine.state.batch(batch).unwrap();
    assert_eq!((view.counts.accepted, view.upload.bytes, view.upload.next_line), (25, 50, 26));
    assert_eq!((view.upload.refused, view.upload.known), (0, 0));
    // The bound is its own.
    machine.accepted(2, line("", "another's"));
    // What was taken before needs no room: an answer may have been lost.
    let again = Err(Reason::Duplicate);
    assert_eq!(lines(&mut machine, batch, None, five(20)), Reply::Submitted(vec![again; 5]));
    assert_eq!(lines(&mut machine, batch, part(5), five(25)), Reply::Refused(Reason::QueueBytes));
    // A call that is over and recorded makes room, and more of the file is taken where it broke off.
    declare(&mut machine, held);
    machine.says(first, ended(Outcome::Completed, true));
    machine.apply(Command::Recorded { through: u64::MAX });
    assert!(all_taken(&lines(&mut machine, batch, part(5), five(25))));
    assert_eq!(machine.state.batch(batch).unwrap().upload.bytes, 60);
    machine.replays_alike(machine.log.len() - 4);
}

#[test]
fn what_lines_have_in_common_counts_once_however_they_are_taken() {
    let mut machine = machine();
    let batch = machine.create_batch(1, BatchPlan::default(), Vec::new());
    let same = |n: u32| line(&n.to_string(), "the same");
    for from in (0..1_000).step_by(100) {
        assert!(all_taken(&lines(
            &mut machine,
            batch,
            None,
            (from..from + 100).map(same).collect()
        )));
    }
    assert!(bytes(&machine) < 30_000, "{}", bytes(&machine));
    // Shared by every two of them, it counts as well.
    let other = machine.create_batch(1, BatchPlan::default(), Vec::new());
    let twice = |n: u32| line(&n.to_string(), &format!("{}", n / 2));
    let before = bytes(&machine);
    assert!(all_taken(&lines(&mut machine, other, None, (0..20).map(twice).collect())));
    assert!(bytes(&machine) - before > 10 * LONG as u64, "{}", bytes(&machine));
}

#[test]
fn single_calls_and_failed_lines_once_more_are_refused_over_the_bound() {
    let mut machine = machine();
    let (batch, calls) = machine.running_batch(1, BatchPlan::default(), vec![line("a", "a")]);
    machine.says(calls[0], ended(Outcome::Busy, true));
    let failed: Vec<_> = machine.state.outbox(9).cloned().filter_map(AgainLine::of).collect();
    machine.apply(Command::Recorded { through: u64::MAX });
    let again = Again { account: account(1), batch, lines: failed, messages: Vec::new() };
    let again = || Command::Batch(BatchCommand::Again(Box::new(again.clone())));
    let calls: Vec<_> = (0..30).map(|n| line("", &n.to_string())).collect();
    let Reply::Submitted(verdicts) = machine.submit(1, calls) else { panic!("verdicts") };
    let taken = verdicts.iter().take_while(|verdict| verdict.is_ok()).count();
    assert_eq!(taken, 25, "each up to the one that reaches the bound");
    assert!(verdicts[taken..].iter().all(|verdict| *verdict == Err(Reason::QueueBytes)));
    assert_eq!(machine.apply(again()), Reply::Submitted(vec![Err(Reason::QueueBytes)]));
    // A smaller bound takes nothing away; a larger one lets what was refused in.
    declare(&mut machine, 1);
    assert_eq!(machine.state.calls_waiting() + machine.state.calls_in_progress(), taken);
    declare(&mut machine, 2 * BOUND);
    assert!(all_taken(&machine.apply(again())));
}

#[test]
fn everything_that_was_counted_is_given_back() {
    let mut machine = machine();
    let one = machine.create_batch(1, BatchPlan::default(), five(0));
    let pairs = (0..8).map(|n| line(&n.to_string(), &format!("{}", n / 2))).collect();
    let (other, _) = machine.running_batch(1, BatchPlan::default(), pairs);
    machine.submit(1, five(0));
    assert!(bytes(&machine) > 14 * LONG as u64);
    for batch in [one, other] {
        let cancel = BatchCommand::Cancel { account: account(1), batch, hang_up: true };
        machine.apply(Command::Batch(cancel));
    }
    machine.run(Span::from_secs(1));
    for call in machine.dialled() {
        machine.says(call, ended(Outcome::Completed, true));
    }
    machine.run(Span::from_secs(100));
    for call in machine.dialled() {
        machine.says(call, ended(Outcome::Completed, true));
    }
    machine.apply(Command::Recorded { through: u64::MAX });
    assert_eq!((machine.state.calls_waiting(), machine.state.calls_in_progress()), (0, 0));
    assert_eq!(bytes(&machine), 0);
}
