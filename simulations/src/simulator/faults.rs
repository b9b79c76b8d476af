//! What goes wrong in a run, and when (`RELIABILITY.md`, faults to cover).

use busyhour_base::{CallEvent, Span, Timestamp};
use busyhour_controller_core::{
    State,
    command::{AgentCommand, Command},
};

use super::{
    carrier::Step,
    world::{Event, World},
};

/// How long a carrier keeps a call whose caller is gone: no BYE comes, and no audio.
pub const CARRIER_KEEPS: Span = Span::from_secs(20);
/// How long a request of SIP is repeated before it is given up: 64 x T1 (RFC 3261, timers B and F).
pub const GIVEN_UP_AFTER: Span = Span::from_secs(32);

/// Everything that goes wrong.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Faults {
    /// Once each, at their time.
    pub events: Vec<Fault>,
    /// How long an agent takes to bring an entry of its journal to the disk: a window to be killed in.
    pub journal: Span,
    /// Of a thousand calls, those whose BYE never reaches the carrier.
    pub byes_lost_permille: u64,
    /// Of a thousand calls, those whose INVITE never reaches the carrier.
    pub invites_lost_permille: u64,
}

/// Something that goes wrong once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fault {
    /// From the start.
    pub after: Span,
    /// For how long.
    pub lasts: Span,
    /// What.
    pub kind: FaultKind,
}

/// What goes wrong.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FaultKind {
    /// The controller's process is killed; what it had not done yet is lost, the log is not.
    ControllerKilled,
    /// An agent's process is killed; its calls are gone.
    AgentKilled {
        /// Which, from 0.
        agent: usize,
        /// Its disk is lost as well.
        journal_lost: bool,
    },
    /// An agent and the controller do not reach each other; its calls go on.
    LinkLost {
        /// Which, from 0.
        agent: usize,
    },
}

impl Faults {
    /// Whether this call is one of those, of a thousand each; the two kinds hit different calls.
    pub fn loses_bye(&self, call: u64) -> bool {
        spread(call) % 1_000 < self.byes_lost_permille
    }

    /// As [`Faults::loses_bye`].
    pub fn loses_invite(&self, call: u64) -> bool {
        999 - spread(call) % 1_000 < self.invites_lost_permille
    }
}

/// The finaliser of SplitMix64: neighbouring calls have nothing to do with each other.
fn spread(call: u64) -> u64 {
    let mut z = call.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl World<'_> {
    /// Something goes wrong, and will be right again.
    pub(super) fn go_wrong(&mut self, now: Timestamp, fault: Fault) {
        let over = now + fault.lasts;
        match fault.kind {
            FaultKind::ControllerKilled => {
                self.kill_controller(now);
                self.queue.put(over, Event::ControllerBack);
            }
            FaultKind::AgentKilled { agent, journal_lost } => {
                self.abandon_callers(agent);
                self.cut(now, agent);
                self.kill_agent(now, agent, journal_lost);
                self.queue.put(over, Event::Connect(agent));
            }
            FaultKind::LinkLost { agent } => {
                self.cut(now, agent);
                self.queue.put(over, Event::Connect(agent));
            }
        }
    }

    /// What is left of a killed controller is its log: the state comes back from it, the rest does not.
    fn kill_controller(&mut self, now: Timestamp) {
        if !self.controller_up {
            return;
        }
        self.controller_up = false;
        self.wake = None;
        match State::restore(&self.state.snapshot()) {
            Ok(restored) if restored.hash() == self.state.hash() => self.state = restored,
            other => {
                let error = other.err().map(|error| error.to_string());
                self.watch.broken(now, format!("a snapshot brings back another state: {error:?}"));
            }
        }
        for agent in 0..self.agents.len() {
            self.agents[agent].link = None;
            self.refuse_callers(now, agent);
        }
    }

    /// A new process takes up the log, as the old one left it.
    pub(super) fn controller_back(&mut self, now: Timestamp) {
        if self.controller_up {
            return;
        }
        self.controller_up = true;
        let connected: Vec<_> = self.state.agents().filter(|agent| agent.connected).collect();
        for agent in connected {
            let (agent, incarnation) = (agent.agent, agent.incarnation);
            self.apply(Command::Agent(AgentCommand::Disconnected { agent, incarnation }));
        }
        self.apply(Command::Recorded { through: self.recorded });
        self.messages_restarted();
        for agent in 0..self.agents.len() {
            self.queue.put(now + Span::from_millis(100), Event::Connect(agent));
        }
    }

    /// The agent's memory is gone, but for how calls ended: its journal holds that. The carrier notices by and by.
    fn kill_agent(&mut self, now: Timestamp, index: usize, journal_lost: bool) {
        let Some(agent) = self.agents.get_mut(index) else { return };
        agent.alive = false;
        if journal_lost {
            agent.journal = Default::default();
            agent.unacknowledged.clear();
        }
        agent.unacknowledged.retain(|(_, report)| matches!(report.event, CallEvent::Ended(_)));
        let orphans = std::mem::take(&mut agent.legs);
        for key in orphans.into_keys() {
            self.queue.put(now + CARRIER_KEEPS, Event::CarrierStep(key, Step::Abandon));
        }
    }
}
