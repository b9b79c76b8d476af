//! Simulated agents: what an agent's process holds in memory and on its disk.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use busyhour_agent_core::{
    journal::{Attempt, Journal},
    leg::{Leg, Order, Token},
};
use busyhour_base::{SidKey, Span, Timestamp};
use busyhour_controller_core::{
    command::{CallReport, Known},
    effect::{Answer, Dial},
    spec::{AgentIx, CallId},
};

use super::Key;

/// One agent.
#[derive(Default)]
pub struct Agent {
    /// Its name.
    pub name: String,
    /// Calls that it can hold at once.
    pub slots: usize,
    /// The process runs.
    pub alive: bool,
    /// Counts its processes.
    pub incarnation: u64,
    /// The number that the controller gave it.
    pub number: AgentIx,
    /// Its connection to the controller, by number.
    pub link: Option<u64>,
    /// What is on its disk, by the production rules.
    pub journal: Journal,
    /// Its calls.
    pub legs: BTreeMap<Key, Running>,
    /// Reports that the controller has not acknowledged, with their numbers.
    pub unacknowledged: VecDeque<(u64, CallReport)>,
    /// The number of the last report.
    pub reported: u64,
    /// Calls of carriers that it has offered to the controller.
    pub offered: u64,
    /// What it has said: that is in its cache.
    pub said: BTreeSet<String>,
}

/// A call at an agent.
pub struct Running {
    /// The production machine.
    pub leg: Leg,
    /// Name of the carrier that it goes over.
    pub carrier: String,
    /// Audio that is ready, with its length.
    pub ready: BTreeMap<Token, Span>,
    /// What is being played, and since when.
    pub playing: Option<(Token, Timestamp)>,
    /// Counts what was played, so that the end of something stopped is known as such.
    pub played: u64,
    /// The instant that the leg was last promised to be woken at.
    pub wake: Option<Timestamp>,
}

impl Running {
    /// A call that it was ordered to place.
    pub fn new(dial: &Dial, sids: SidKey) -> Self {
        let order = Order {
            call_sid: sids.call(dial.call.0),
            account_sid: dial.account,
            spec: (*dial.spec).clone(),
        };
        Self::of(order, &dial.carrier)
    }

    /// A call of a carrier that it was ordered to answer.
    pub fn answering(answer: &Answer, sids: SidKey) -> Self {
        let order = Order {
            call_sid: sids.call(answer.call.0),
            account_sid: answer.account,
            spec: (*answer.spec).clone(),
        };
        Self::of(order, &answer.carrier)
    }

    fn of(order: Order, carrier: &str) -> Self {
        Self {
            leg: Leg::new(order),
            carrier: carrier.to_owned(),
            ready: BTreeMap::new(),
            playing: None,
            played: 0,
            wake: None,
        }
    }

    /// Ends what is being played; says for how long it was.
    pub fn stop(&mut self, now: Timestamp) -> Span {
        self.played += 1;
        self.playing.take().map_or(Span::ZERO, |(_, since)| now.since(since))
    }
}

impl Agent {
    /// What it brings along when it connects: every attempt of its journal, with whether this process still
    /// answers for it, since it runs or since its end is not acknowledged.
    pub fn known(&self) -> Vec<Known> {
        let mut known = Vec::new();
        for entry in self.journal.known() {
            let call = CallId(entry.attempt.call);
            let Ok(attempt) = u16::try_from(entry.attempt.attempt) else { continue };
            let runs = self.legs.contains_key(&Key { call, attempt, agent: self.number });
            let owes =
                |(_, report): &(u64, CallReport)| report.call == call && report.attempt == attempt;
            known.push(Known { call, attempt, live: runs || self.unacknowledged.iter().any(owes) });
        }
        known
    }
}

/// The attempt that a report speaks of, in the journal's words.
pub fn attempt_of(report: &CallReport) -> Attempt {
    Attempt { call: report.call.0, attempt: u32::from(report.attempt) }
}
