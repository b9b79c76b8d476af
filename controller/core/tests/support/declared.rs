//! What is declared in tests of orders and limits, in few words.

use std::sync::Arc;

use busyhour_base::{CallSpec, Outcome, Span};
use busyhour_controller_core::{
    command::Command,
    effect::Reply,
    spec::{Carrier, Declaration, Destination, NewCall, Number, NumberKind, Pace, Throttle},
};

use super::{Machine, account, call, carrier, ended};

pub const FAST: Span = Span::ZERO;
pub const SECOND: Span = Span::from_secs(1);

pub fn from(number: &str, to: &str) -> NewCall {
    let NewCall { spec, .. } = call(to);
    NewCall::of(Arc::new(CallSpec { from: number.into(), ..(*spec).clone() }))
}

pub fn number(owner: u128, number: &str, pace: Pace) -> Number {
    Number { number: number.into(), account: account(owner), kind: NumberKind::Local, pace }
}

pub fn spaced(spacing: Span) -> Pace {
    Pace { throttle: Some(Throttle { spacing }), caps: Vec::new() }
}

pub fn serving(name: &str, channels: u32, prefixes: &[&str]) -> Carrier {
    let serves = prefixes.iter().map(|prefix| Destination {
        prefix: (*prefix).into(),
        kinds: Vec::new(),
        calls: true,
        messages: false,
        prices: Vec::new(),
    });
    Carrier { serves: serves.collect(), ..carrier(name, channels, FAST) }
}

/// A machine with all of this declared, and an agent.
pub fn declared(declaration: Declaration) -> Machine {
    let mut machine = Machine::new();
    assert_eq!(machine.apply(Command::Declare(Box::new(declaration))), Reply::Done);
    machine.agent_up("agent", 1, 1_000, 0);
    machine
}

pub fn redeclare(machine: &mut Machine, change: impl FnOnce(&mut Declaration)) {
    let mut declaration = machine.state.declaration().clone();
    change(&mut declaration);
    assert_eq!(machine.apply(Command::Declare(Box::new(declaration))), Reply::Done);
}

/// Ends the first of the calls in progress, so that one channel is free.
pub fn end_first(machine: &mut Machine, ended_before: &mut usize) {
    let call = machine.dials[*ended_before].1.call;
    *ended_before += 1;
    machine.says(call, ended(Outcome::Completed, true));
}
