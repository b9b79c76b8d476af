//! The loop: take the next event, let the core that it concerns work, carry out what that asks for.

use std::collections::BTreeMap;

use busyhour_agent_core::leg::{Input as LegInput, Token};
use busyhour_base::Timestamp;
use busyhour_controller_core::{
    Options, State,
    command::Command,
    effect::Dial,
    spec::{AgentIx, Kind},
};

use super::{
    Carriers, Input, Key, Run,
    agent::Agent,
    application::Application,
    callers::{CallerEvent, Callers},
    carrier::{Carrier, Step},
    faults::{Fault, Faults},
    messages::{MessageStep, Messages},
    observe::Observe,
    queue::Queue,
    watch::Watch,
};

/// Events after which a run is given up as one that does not drain.
const EVENTS_MAX: u64 = 200_000_000;

/// Sums over tenants that an event may cost. Small worlds are checked after every event, so that a violation
/// names its cause; in large ones that would take all the time.
const SUMS_PER_EVENT: u64 = 4;

/// Something that happens.
pub enum Event {
    /// An entry is proposed.
    Propose(Command),
    /// The state wanted a tick.
    Wake,
    /// An order to dial reaches its agent.
    Order { link: u64, dial: Box<Dial> },
    /// Another order reaches its agent.
    Command { link: u64, key: Key, input: LegInput },
    /// A report reaches the controller.
    Report { agent: usize, link: u64, seq: u64 },
    /// Its acknowledgement reaches the agent.
    Acknowledged { agent: usize, link: u64, seq: u64 },
    /// An agent opens its connection.
    Connect(usize),
    /// Something happens to a leg.
    Leg(Key, LegInput),
    /// Audio comes to its end, unless it was stopped.
    AudioEnds { key: Key, token: Token, played: u64 },
    /// A message reaches the carrier.
    AtCarrier(Key, Message),
    /// The carrier does something of its own accord.
    CarrierStep(Key, Step),
    /// Something happens to a caller.
    Caller(usize, CallerEvent),
    /// A carrier says something of a message.
    Message(MessageStep),
    /// Something goes wrong.
    Fault(Fault),
    /// The controller's next process begins.
    ControllerBack,
}

/// A request of SIP.
pub enum Message {
    /// A call begins.
    Invite,
    /// It is called off.
    Cancel,
    /// It ends.
    Bye,
}

/// Everything there is.
pub struct World<'a> {
    pub(super) input: &'a Input<'a>,
    pub(super) faults: &'a Faults,
    pub(super) application: Application<'a>,
    pub(super) queue: Queue<Event>,
    pub(super) controller_up: bool,
    pub(super) state: State,
    pub(super) entries: u64,
    /// The tick that is planned.
    pub(super) wake: Option<Timestamp>,
    /// Finished calls up to this number are in the records.
    pub(super) recorded: u64,
    pub(super) agents: Vec<Agent>,
    /// Connections that there were.
    pub(super) links: u64,
    pub(super) carriers: Carriers,
    /// Which carrier an attempt goes over, and to which number.
    pub(super) routes: BTreeMap<Key, (String, String)>,
    pub(super) callers: Callers,
    pub(super) messages: Messages,
    pub(super) watch: Watch,
    pub(super) observer: &'a mut dyn Observe,
    pub(super) warnings: Vec<String>,
    events: u64,
    /// Sums are checked after each so many events.
    check_every: u64,
}

impl<'a> World<'a> {
    /// Everything declared, every agent up, every batch submitted and started.
    pub fn new(input: &'a Input<'a>, faults: &'a Faults, observer: &'a mut dyn Observe) -> Self {
        let capacity = input.capacity;
        let carrier = |(name, channels, rate): &(String, u32, u32)| {
            (name.clone(), Carrier::new(name, *channels, *rate))
        };
        let agent = |(n, (name, slots)): (usize, &(String, u32))| Agent {
            name: name.clone(),
            slots: *slots as usize,
            number: AgentIx(u16::try_from(n).unwrap_or(u16::MAX)),
            ..Agent::default()
        };
        let mut world = Self {
            input,
            faults,
            application: Application {
                documents: input.documents,
                recordings: &input.scenario.recordings,
                measured: &input.scenario.speech,
                speech: input.speech,
            },
            queue: Queue::new(input.start),
            controller_up: true,
            state: State::with(Options {
                batch_run_up: Options::BATCH_RUN_UP,
                ..Options::default()
            }),
            entries: 0,
            wake: None,
            recorded: 0,
            agents: capacity.agents.iter().enumerate().map(agent).collect(),
            links: 0,
            carriers: capacity.contracts.iter().map(carrier).collect(),
            routes: BTreeMap::new(),
            callers: Callers::new(input.scenario.callers(), capacity.agents.len()),
            messages: Messages::default(),
            watch: Watch::new(&capacity.declaration),
            observer,
            warnings: Vec::new(),
            events: 0,
            check_every: (capacity.declaration.tenants.len() as u64 / SUMS_PER_EVENT).max(1),
        };
        world.begin();
        world
    }

    fn begin(&mut self) {
        let now = self.queue.now();
        self.apply(Command::Declare(Box::new(self.input.capacity.declaration.clone())));
        for agent in 0..self.agents.len() {
            self.connect(now, agent);
        }
        for batch in self.input.scenario.batches_of(Kind::Call) {
            self.submit(batch);
        }
        for messages in &self.input.scenario.messages {
            self.submit_messages(messages);
        }
        for batch in self.input.scenario.batches_of(Kind::Message) {
            self.submit(batch);
        }
        self.let_write();
        for (of, after) in self.callers.times().enumerate().collect::<Vec<_>>() {
            self.queue.put(now + after, Event::Caller(of, CallerEvent::Calls));
        }
        for fault in &self.faults.events {
            self.queue.put(now + fault.after, Event::Fault(*fault));
        }
    }

    /// Until nothing is left to happen.
    pub fn run(mut self) -> Run {
        while let Some(event) = self.queue.take() {
            self.events += 1;
            if self.events > EVENTS_MAX {
                self.watch.broken(self.queue.now(), "the run does not come to an end".to_owned());
                break;
            }
            self.on(event);
            self.observer.after_event(self.queue.now(), &self.state);
            if self.events.is_multiple_of(self.check_every) {
                self.watch.after_event(self.queue.now(), &self.state, &self.carriers);
            }
        }
        let legs = self.agents.iter().map(|agent| agent.legs.len()).sum();
        let now = self.queue.now();
        self.watch.at_end(now, &self.state, &self.carriers, legs);
        self.check_messages(now);
        if self.callers.left() > 0 {
            self.watch.broken(now, format!("{} callers have no end", self.callers.left()));
        }
        Run {
            report: self.report(),
            endings: self.watch.endings(),
            violations: self.watch.violations,
            warnings: self.warnings,
            events: self.events,
            entries: self.entries,
            state_hash: self.state.hash(),
        }
    }

    fn on(&mut self, event: Event) {
        let now = self.queue.now();
        match event {
            Event::Propose(command) => {
                if self.controller_up {
                    self.apply(command);
                }
            }
            Event::Wake => self.on_wake(now),
            Event::Order { link, dial } => self.on_order(now, link, &dial),
            Event::Command { link, key, input } => {
                let linked = |index: usize| self.agents[index].link == Some(link);
                if self.index_of(key.agent).is_some_and(linked) {
                    self.tell_leg(now, key, input);
                }
            }
            Event::Report { agent, link, seq } => self.on_report(now, agent, link, seq),
            Event::Acknowledged { agent, link, seq } => self.on_acknowledged(agent, link, seq),
            Event::Connect(agent) => self.connect(now, agent),
            Event::Leg(key, input) => self.tell_leg(now, key, input),
            Event::AudioEnds { key, token, played } => self.on_audio_end(now, key, token, played),
            Event::AtCarrier(key, message) => self.at_carrier(now, key, &message),
            Event::CarrierStep(key, step) => {
                let Some((name, _)) = self.routes.get(&key) else { return };
                let Some(carrier) = self.carriers.get_mut(name) else { return };
                let outcome = carrier.step(now, key, step, &self.input.scenario.behaviour);
                self.carry_from_carrier(now, key, outcome);
            }
            Event::Caller(of, event) => self.on_caller(now, of, event),
            Event::Message(step) => self.on_message_step(now, step),
            Event::Fault(fault) => self.go_wrong(now, fault),
            Event::ControllerBack => self.controller_back(now),
        }
    }

    fn at_carrier(&mut self, now: Timestamp, key: Key, message: &Message) {
        let Some((name, to)) = self.routes.get(&key) else { return };
        let Some(carrier) = self.carriers.get_mut(name) else { return };
        let outcome = match message {
            Message::Invite => carrier.invite(now, key, to, &self.input.scenario.behaviour),
            Message::Cancel => carrier.cancel(now, key),
            Message::Bye => carrier.bye(now, key),
        };
        self.carry_from_carrier(now, key, outcome);
    }

    /// The agent of this number.
    pub(super) fn index_of(&self, number: AgentIx) -> Option<usize> {
        let index = usize::from(number.0);
        // The controller numbers agents in the order in which they first come, which is ours.
        self.agents.get(index).filter(|agent| agent.number == number).map(|_| index)
    }
}
