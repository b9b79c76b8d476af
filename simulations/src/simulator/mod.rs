//! The production cores in virtual time: the replicated state machine and the agents' legs, with a simulated
//! carrier, application server and network around them. No rule of either core is repeated here.
//!
//! The simulator does what the shells do: it proposes entries and carries effects and actions out, each after
//! its [`Latencies`]. Everything follows from its [`Input`], so that the same input gives the same [`Run`] to
//! the last bit.

mod agent;
mod application;
mod callers;
mod carrier;
mod controller;
mod faults;
mod legs;
mod link;
mod messages;
mod observe;
mod outcome;
mod queue;
mod watch;
mod world;
mod writers;

use std::collections::BTreeMap;

use busyhour_base::{Reason, Span, Timestamp};
use busyhour_controller_core::spec::{AgentIx, CallId, Declaration};
use busyhour_crds::{Declared, kinds::CarrierMessages};

use crate::{report::Report, scenario::Scenario};

pub use application::{Documents, SpeechLengths};
pub use faults::{Fault, FaultKind, Faults};
pub use observe::Observe;
pub use watch::Violation;

use carrier::Carrier;
use world::World;

/// Everything that a run follows from.
#[derive(Clone, Debug)]
pub struct Input<'a> {
    /// The declared capacity.
    pub capacity: &'a Capacity,
    /// Who calls whom.
    pub scenario: &'a Scenario,
    /// The application's documents.
    pub documents: &'a Documents,
    /// How long speech lasts.
    pub speech: &'a SpeechLengths,
    /// How long everything else takes.
    pub latencies: Latencies,
    /// The virtual instant of the start.
    pub start: Timestamp,
}

/// Declared capacity as the simulator needs it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Capacity {
    /// What the state machine holds.
    pub declaration: Declaration,
    /// What carriers count by: name, channels, calls per second.
    pub contracts: Vec<(String, u32, u32)>,
    /// Carriers that take messages, by name.
    pub message_carriers: Vec<(String, CarrierMessages)>,
    /// Agents: name and slots.
    pub agents: Vec<(String, u32)>,
}

impl From<&Declared> for Capacity {
    fn from(declared: &Declared) -> Self {
        let contract = |(name, carrier): (&String, &busyhour_crds::DeclaredCarrier)| {
            (name.clone(), carrier.spec.channels, carrier.spec.calls_per_second)
        };
        let agents = declared.pools.iter().flat_map(|(name, pool)| {
            (1..=pool.agents).map(move |n| (format!("{name}-{n}"), pool.slots_per_agent))
        });
        let messages = declared
            .carriers
            .iter()
            .filter_map(|(name, carrier)| Some((name.clone(), carrier.spec.messages.clone()?)));
        Self {
            declaration: declared.declaration(),
            contracts: declared.carriers.iter().map(contract).collect(),
            message_carriers: messages.collect(),
            agents: agents.collect(),
        }
    }
}

/// How long things take, one way each.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Latencies {
    /// From an effect to its agent, and from an agent's report to its entry in the log.
    pub control: Span,
    /// Between agent and carrier.
    pub signalling: Span,
    /// Between agent and application server.
    pub web: Span,
    /// To make speech ready that was made before.
    pub speech: Span,
    /// To make a second of speech that an agent has never said.
    pub synthesis: Span,
}

/// What a run came to.
#[derive(Clone, PartialEq, Debug)]
pub struct Run {
    /// As it would be of a live run.
    pub report: Report,
    /// Broken promises; empty if the cores are right.
    pub violations: Vec<Violation>,
    /// Warnings of the documents.
    pub warnings: Vec<String>,
    /// Ended calls, by the reason of their end.
    pub endings: BTreeMap<Reason, u64>,
    /// Events that happened.
    pub events: u64,
    /// Entries of the log.
    pub entries: u64,
    /// Hash of the state in the end.
    pub state_hash: u64,
}

/// Runs a scenario to its end.
pub fn simulate(input: &Input<'_>) -> Run {
    simulate_with(input, &Faults::default())
}

/// Runs a scenario to its end, with things going wrong.
pub fn simulate_with(input: &Input<'_>, faults: &Faults) -> Run {
    simulate_under(input, faults, &mut observe::Nobody)
}

/// Runs a scenario to its end under the eyes of an observer, who changes nothing.
pub fn simulate_under(input: &Input<'_>, faults: &Faults, observer: &mut dyn Observe) -> Run {
    World::new(input, faults, observer).run()
}

/// One attempt of a call at an agent.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Key {
    call: CallId,
    attempt: u16,
    agent: AgentIx,
}

/// Carriers by name.
type Carriers = BTreeMap<String, Carrier>;
