//! The first line is due a while after its batch is started or resumed, so that it leaves when it is due and the grid of all others
//! begins there.

use super::*;

const RUN_UP: Span = Span::from_millis(100);

fn machine() -> Machine {
    let options = Options { batch_run_up: RUN_UP, ..Options::default() };
    let mut machine = Machine::with(options);
    let declared =
        declaration(vec![tenant(1, Some(Span::from_secs(1)))], vec![carrier("c", 100, Span::ZERO)]);
    machine.apply(Command::Declare(Box::new(declared)));
    machine.agent_up("agent", 1, 1_000, 0);
    machine
}

/// When each was due, in ms after the start, and what held it.
fn due(machine: &Machine) -> Vec<(u64, Reason)> {
    let dials = machine.dials.iter().map(|(now, dial)| {
        assert_eq!(*now, dial.at, "decided by a tick, when it is due");
        (dial.at.since(START).as_millis(), dial.held_by)
    });
    dials.collect()
}

#[test]
fn the_first_line_is_due_behind_it_and_the_others_on_its_grid() {
    let mut machine = machine();
    let (batch, calls) = machine.running_batch(1, BatchPlan::default(), calls(3));
    let view = machine.state.batch(batch).unwrap();
    let starting = Reason::BatchStarting;
    assert_eq!((view.status, view.shut_by), (BatchStatus::Running, Some(starting)));
    assert!(machine.dials.is_empty(), "nothing starts in the entry that starts the batch");
    assert_eq!(machine.state.next_wake(), Some(START + RUN_UP));
    let why = machine.state.explain(calls[0]).unwrap();
    assert!(why.limits.contains(&(starting, Some(RUN_UP))), "{:?}", why.limits);
    assert!(view.eta.is_some(), "it is known when it starts");
    machine.run(Span::from_secs(10));
    let throttle = Reason::Throttle;
    assert_eq!(due(&machine), [(100, Reason::Ready), (1_100, throttle), (2_100, throttle)]);
    machine.replays_alike(3);
}

#[test]
fn a_single_call_has_none_and_its_throttle_holds_the_batch() {
    let mut machine = machine();
    machine.running_batch(1, BatchPlan::default(), calls(1));
    machine.submit(1, vec![call("+9")]);
    assert_eq!(due(&machine), [(0, Reason::Ready)]);
    machine.run(Span::from_secs(10));
    assert_eq!(due(&machine)[1], (1_000, Reason::Throttle));
}

#[test]
fn who_pauses_within_it_has_it_anew_and_who_cancels_gets_no_call() {
    let mut machine = machine();
    let account = account(1);
    let (batch, _) = machine.running_batch(1, BatchPlan::default(), calls(1));
    let (canceled, _) = machine.running_batch(1, BatchPlan::default(), calls(5));
    machine.run(Span::from_millis(50));
    machine.apply(Command::Batch(BatchCommand::Cancel {
        account,
        batch: canceled,
        hang_up: false,
    }));
    machine.apply(Command::Batch(BatchCommand::Pause { account, batch }));
    machine.run(Span::from_millis(450));
    assert!(machine.dials.is_empty());
    machine.apply(Command::Batch(BatchCommand::Resume { account, batch }));
    machine.run(Span::from_secs(10));
    assert_eq!(due(&machine), [(600, Reason::Paused)]);
    machine.state.check().unwrap();
}

#[test]
fn a_batch_that_has_ended_has_one_when_what_failed_is_retried() {
    for stored in [false, true] {
        let mut machine = machine();
        let (batch, lines) = machine.running_batch(1, BatchPlan::default(), calls(2));
        machine.run(Span::from_secs(2));
        for line in lines {
            machine.says(line, ended(Outcome::Busy, true));
        }
        let failed: Vec<_> = machine.state.outbox(9).cloned().collect();
        if stored {
            machine.apply(Command::Recorded { through: failed[1].seq });
        }
        let lines = failed.into_iter().filter_map(AgainLine::of).collect();
        let (account, messages) = (account(1), Vec::new());
        let again = Again { account, batch, lines, messages };
        machine.run(Span::from_secs(1));
        machine.apply(Command::Batch(BatchCommand::Again(Box::new(again))));
        assert_eq!(machine.dials.len(), 2, "nothing starts in the entry that asks for it");
        let starting = Some(Reason::BatchStarting);
        assert_eq!(machine.state.batch(batch).unwrap().shut_by, starting);
        machine.run(Span::from_secs(10));
        let began = [(3_100, Reason::Ready), (4_100, Reason::Throttle)];
        assert_eq!(due(&machine)[2..], began, "{stored}");
        machine.replays_alike(machine.log.len() / 2);
    }
}

/// Its time comes while it is shut for its run-up, or before its calling hours, and the tick is late by what is left of these.
#[test]
fn a_late_tick_opens_it_no_sooner() {
    let opens = START + Span::from_millis(3_050);
    let opening = Opening { from: opens, to: at(9) };
    let hours = Openings { spans: vec![opening], through: at(100) };
    for (started, openings) in [(2_950, None), (1_000, Some(hours))] {
        let mut machine = machine();
        let plan = BatchPlan { not_before: Some(at(3)), openings, ..BatchPlan::default() };
        machine.run(Span::from_millis(started));
        machine.running_batch(1, plan, calls(1));
        machine.run_late(at(5), Span::from_millis(50));
        let dues = machine.dials.iter().map(|(_, dial)| dial.at);
        assert_eq!(dues.collect::<Vec<_>>(), [opens]);
        machine.replays_alike(machine.log.len() / 2);
    }
}

#[test]
fn a_batch_whose_time_comes_later_has_none_of_its_own() {
    let mut machine = machine();
    let plan = BatchPlan { not_before: Some(at(3)), ..BatchPlan::default() };
    machine.running_batch(1, plan, calls(1));
    machine.running_batch(1, hours(&[(7, 8)]), calls(1));
    machine.run(Span::from_secs(10));
    assert_eq!(due(&machine), [(3_000, Reason::NotBefore), (7_000, Reason::Window)]);
}
