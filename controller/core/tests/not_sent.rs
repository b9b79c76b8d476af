//! What was not sent goes back to the head of its queue, and loses no place there to others that come back (MT-4).

mod support;

use busyhour_base::{CallEvent, MessageEvent, Outcome, Reason, Span};
use busyhour_controller_core::{
    command::{CallReport, Command},
    message::MessageLimits,
    spec::{CallId, Carrier, Declaration, NewCall},
};
use support::{
    Machine, START, call, carrier, declaration, ended, tenant,
    texts::{self, FROM, Messages, message},
};

/// As many as fill several pieces of a queue, and in which steps through them they come back: from the first on, from the last
/// on, mixed.
const MANY: usize = 40;
const STEPS: [usize; 4] = [1, MANY - 1, 7, 11];

fn order_of(step: usize) -> Vec<usize> {
    (0..MANY).map(|at| at * step % MANY).collect()
}

fn channels(number: usize) -> Vec<Carrier> {
    vec![carrier("a", number as u32, Span::ZERO)]
}

/// The tenant starts nothing, or goes on.
fn suspend(machine: &mut Machine, suspended: bool, mut declared: Declaration) {
    declared.tenants[0].suspended = suspended;
    machine.apply(Command::Declare(Box::new(declared)));
}

fn not_sent(machine: &Machine, call: CallId) -> CallReport {
    let dial = machine.last_dial(call);
    let event = CallEvent::NotSent(Reason::LeaseExpired);
    CallReport { agent: dial.agent, call, attempt: dial.attempt, heard_at: machine.now, event }
}

#[test]
fn mt_4_calls_that_were_not_sent_start_again_in_their_order() {
    let declared = || declaration(vec![tenant(1, None)], channels(MANY));
    for (step, at_once) in STEPS.into_iter().flat_map(|step| [(step, 1), (step, 3), (step, MANY)]) {
        let mut machine = Machine::declared(vec![tenant(1, None)], channels(MANY));
        let calls: Vec<_> = (0..MANY + 2).map(|_| machine.accepted(1, call("+1"))).collect();
        assert_eq!(machine.dialled(), calls[..MANY]);
        suspend(&mut machine, true, declared());
        for entry in order_of(step).chunks(at_once) {
            let reports = entry.iter().map(|at| not_sent(&machine, calls[*at])).collect();
            machine.apply(Command::Reports(reports));
        }
        suspend(&mut machine, false, declared());
        assert_eq!(machine.dialled()[MANY..], calls[..MANY], "{at_once} at once, steps of {step}");
        machine.says(calls[7], ended(Outcome::Completed, true));
        assert_eq!(machine.dialled().last(), Some(&calls[MANY]), "those that never started follow");
        machine.replays_alike(machine.log.len() - 3);
    }
}

/// The order is that in which they had started, which need not be that in which they had been accepted.
#[test]
fn mt_4_calls_that_an_agent_lost_as_it_was_restarted_start_again_in_their_order() {
    let mut machine = Machine::declared(vec![tenant(1, None)], channels(3));
    let second = Some(START + Span::from_secs(1));
    let later = machine.accepted(1, NewCall { not_before: second, ..call("+1") });
    let calls = [0; 2].map(|_| machine.accepted(1, call("+1")));
    machine.run(Span::from_secs(2));
    let before = [calls[0], calls[1], later];
    assert_eq!(machine.dialled(), before);
    let fence = machine.last_dial(later).fence;
    machine.agent_up("agent", 2, 1_000, fence);
    assert_eq!(machine.dialled()[3..], before);
}

/// However often it was not sent, and however few can start at once.
#[test]
fn mt_4_a_call_that_was_not_sent_again_keeps_its_place() {
    let declared = |number| declaration(vec![tenant(1, None)], channels(number));
    let mut machine = Machine::declared(vec![tenant(1, None)], channels(3));
    let calls = [0; 3].map(|_| machine.accepted(1, call("+1")));
    suspend(&mut machine, true, declared(3));
    for call in calls {
        machine.says(call, CallEvent::NotSent(Reason::LeaseExpired));
    }
    suspend(&mut machine, false, declared(1));
    for _ in 0..3 {
        assert_eq!(machine.dialled().last(), Some(&calls[0]));
        machine.says(calls[0], CallEvent::NotSent(Reason::LeaseExpired));
    }
    for call in calls {
        assert_eq!(machine.dialled().last(), Some(&call));
        machine.says(call, ended(Outcome::Completed, true));
    }
}

#[test]
fn mt_4_messages_that_were_not_sent_are_sent_in_their_order() {
    let carrier = || texts::carrier(MANY as u32, Span::ZERO);
    let declared = || texts::declared(MessageLimits::default(), None, carrier());
    for step in STEPS {
        let mut machine = texts::machine(declared());
        let queued: Vec<_> = (0..MANY).map(|_| machine.queued(1, "x", message(FROM))).collect();
        let sends = machine.sends();
        suspend(&mut machine, true, declared());
        for at in order_of(step) {
            machine.answers(&sends[at], MessageEvent::NotSent(Reason::NoCarrier));
        }
        assert_eq!(machine.sends().len(), MANY);
        suspend(&mut machine, false, declared());
        let again: Vec<_> = machine.sends()[MANY..].iter().map(|send| send.message).collect();
        assert_eq!(again, queued, "steps of {step}");
        machine.replays_alike(machine.log.len() - 3);
    }
}
