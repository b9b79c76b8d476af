//! The loop: take the next event, let the core that it concerns work, carry out what that asks for.

use std::{collections::BTreeMap, sync::Arc};

use busyhour_agent_core::leg::{Action, Input as LegInput, Token};
use busyhour_base::{CallEvent, Reason, SidKey, Span, Timestamp};
use busyhour_controller_core::{
    State,
    command::{AgentCommand, BatchCommand, CallReport, Command, Entry, Submit},
    effect::{Dial, Effect, Reply},
    spec::{AgentIx, BatchPlan, NewCall, Urgency},
};

use super::{
    Carriers, Input, Key, Run,
    agent::{Agent, Running},
    application::Application,
    carrier::{self, Carrier, Step},
    queue::Queue,
    watch::Watch,
};
use crate::{
    report::{CallRow, Report, TenantTerms},
    scenario::Batch,
};

/// Events after which a run is given up as one that does not drain.
const EVENTS_MAX: u64 = 200_000_000;
/// Lines in one entry of the log.
const SUBMIT_LINES: usize = 1_000;
/// Finished calls that are taken from the outbox at once.
const OUTBOX_ROWS: usize = 1_024;
/// Warnings that are kept.
const WARNINGS_MAX: usize = 100;

/// Something that happens.
enum Event {
    /// An entry is proposed.
    Propose(Command),
    /// The state wanted a tick.
    Wake,
    /// An order reaches its agent.
    Order(Box<Dial>),
    /// Something happens to a leg.
    Leg(Key, LegInput),
    /// Audio comes to its end, unless it was stopped.
    AudioEnds { key: Key, token: Token, played: u64 },
    /// A message reaches the carrier.
    AtCarrier(Key, Message),
    /// The carrier does something of its own accord.
    CarrierStep(Key, Step),
}

/// A request of SIP.
enum Message {
    Invite,
    Cancel,
    Bye,
}

/// Everything there is.
pub struct World<'a> {
    input: &'a Input<'a>,
    application: Application<'a>,
    queue: Queue<Event>,
    state: State,
    entries: u64,
    wake: Option<Timestamp>,
    recorded: u64,
    agents: BTreeMap<AgentIx, Agent>,
    carriers: Carriers,
    /// Which carrier an attempt goes over, and to which number, for as long as anything may happen to it.
    routes: BTreeMap<Key, (String, String)>,
    watch: Watch,
    warnings: Vec<String>,
    events: u64,
}

impl<'a> World<'a> {
    /// Everything declared, every agent up, every batch submitted and started.
    pub fn new(input: &'a Input<'a>) -> Self {
        let capacity = input.capacity;
        let carrier = |(name, channels, rate): &(String, u32, u32)| {
            (name.clone(), Carrier::new(name, *channels, *rate))
        };
        let mut world = Self {
            input,
            application: Application {
                documents: input.documents,
                recordings: &input.scenario.recordings,
                speech: input.speech,
            },
            queue: Queue::new(input.start),
            state: State::new(),
            entries: 0,
            wake: None,
            recorded: 0,
            agents: BTreeMap::new(),
            carriers: capacity.contracts.iter().map(carrier).collect(),
            routes: BTreeMap::new(),
            watch: Watch::new(&capacity.declaration),
            warnings: Vec::new(),
            events: 0,
        };
        world.apply(Command::Declare(Box::new(capacity.declaration.clone())));
        for (incarnation, (name, slots)) in (1..).zip(&capacity.agents) {
            world.agent_up(name, *slots, incarnation);
        }
        for batch in &input.scenario.batches {
            world.submit(batch);
        }
        world
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
            self.watch.after_event(self.queue.now(), &self.state, &self.carriers);
        }
        let legs = self.agents.values().map(|agent| agent.legs.len()).sum();
        self.watch.at_end(self.queue.now(), &self.state, &self.carriers, legs);
        Run {
            report: self.report(),
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
                self.apply(command);
            }
            Event::Wake => self.on_wake(now),
            Event::Order(dial) => self.on_order(now, &dial),
            Event::Leg(key, input) => self.tell_leg(now, key, input),
            Event::AudioEnds { key, token, played } => {
                let Some(running) = self.running(key) else { return };
                if running.played == played {
                    self.silence(now, key);
                    self.tell_leg(now, key, LegInput::Played { token });
                }
            }
            Event::AtCarrier(key, message) => {
                let Some((name, to)) = self.routes.get(&key) else { return };
                let Some(carrier) = self.carriers.get_mut(name) else { return };
                let outcome = match message {
                    Message::Invite => carrier.invite(now, key, to, &self.input.scenario.behaviour),
                    Message::Cancel => carrier.cancel(now, key),
                    Message::Bye => carrier.bye(now, key),
                };
                self.carry_from_carrier(now, key, outcome);
            }
            Event::CarrierStep(key, step) => {
                let Some((name, _)) = self.routes.get(&key) else { return };
                let Some(carrier) = self.carriers.get_mut(name) else { return };
                let outcome = carrier.step(now, key, step, &self.input.scenario.behaviour);
                self.carry_from_carrier(now, key, outcome);
            }
        }
    }

    // The controller's shell.

    /// Applies an entry at this instant and carries its effects out.
    fn apply(&mut self, command: Command) -> Reply {
        let now = self.queue.now();
        self.entries += 1;
        let mut effects = Vec::new();
        let reply =
            self.state.apply(&Entry { index: self.entries, at: now, command }, &mut effects);
        for effect in effects {
            self.carry_out(now, effect);
        }
        let finished: Vec<_> = self.state.outbox(OUTBOX_ROWS).cloned().collect();
        for record in finished {
            // The outbox holds what was taken until the entry that says so is applied.
            if record.seq <= self.recorded {
                continue;
            }
            self.recorded = record.seq;
            self.watch.on_record(now, record);
            self.queue.put(now, Event::Propose(Command::Recorded { through: self.recorded }));
        }
        self.plan_wake(now);
        reply
    }

    fn plan_wake(&mut self, now: Timestamp) {
        let wanted = self.state.next_wake().map(|at| at.max(now));
        if wanted.is_some() && wanted != self.wake {
            self.queue.put(wanted.unwrap_or(now), Event::Wake);
        }
        self.wake = wanted;
    }

    fn on_wake(&mut self, now: Timestamp) {
        if self.wake.is_none_or(|at| at > now) {
            return;
        }
        self.wake = None;
        self.apply(Command::Tick);
        if self.state.next_wake().is_some_and(|at| at <= now) {
            self.watch.broken(now, "a tick at the wanted instant wants another at once".to_owned());
            // Time moves on, so that the run ends and the violation is told.
            self.queue.put(now + Span::from_millis(1), Event::Wake);
        }
    }

    fn carry_out(&mut self, now: Timestamp, effect: Effect) {
        let at = now + self.input.latencies.control;
        match effect {
            Effect::Dial(dial) => {
                let fence = self.agents.get(&dial.agent).map_or(u64::MAX, |agent| agent.fence);
                self.watch.on_dial(now, &dial, fence);
                self.queue.put(at.max(dial.at), Event::Order(Box::new(dial)));
            }
            Effect::HangUp { agent, call, attempt, reason } => {
                let key = Key { call, attempt, agent };
                self.queue.put(at, Event::Leg(key, LegInput::HangUp(reason)));
            }
            Effect::Redirect { agent, call, attempt, instructions } => {
                let key = Key { call, attempt, agent };
                self.queue.put(at, Event::Leg(key, LegInput::Redirect(instructions)));
            }
            Effect::Notify { .. } | Effect::Changed { .. } => {}
        }
    }

    fn agent_up(&mut self, name: &str, slots: u32, incarnation: u64) {
        let up = AgentCommand::Up {
            name: Arc::from(name),
            incarnation,
            slots,
            fence: 0,
            known: Vec::new(),
        };
        match self.apply(Command::Agent(up)) {
            Reply::Agent { agent, fence } => {
                self.watch.on_fence(self.queue.now(), agent, 0, fence);
                self.agents.insert(agent, Agent { fence, legs: BTreeMap::new() });
            }
            other => {
                self.watch.broken(self.queue.now(), format!("agent {name} was answered {other:?}"))
            }
        }
    }

    fn submit(&mut self, batch: &Batch) {
        let (now, account) = (self.queue.now(), batch.account);
        let plan = Box::new(BatchPlan { name: batch.name.clone(), ..BatchPlan::default() });
        let create = BatchCommand::Create { account, idempotency: None, plan };
        let Reply::Batch(id) = self.apply(Command::Batch(create)) else {
            return self.watch.broken(now, format!("batch {} was refused", batch.name));
        };
        let calls: Vec<_> = batch
            .requests()
            .map(|spec| NewCall {
                spec: Arc::new(spec),
                not_before: None,
                expires: None,
                urgency: Urgency::Ordinary,
                custom_id: None,
            })
            .collect();
        for lines in calls.chunks(SUBMIT_LINES) {
            let submit =
                Submit { account, idempotency: None, batch: Some(id), calls: lines.to_vec() };
            if let Reply::Submitted(verdicts) = self.apply(Command::Submit(submit)) {
                for accepted in verdicts.into_iter().flatten() {
                    self.watch.on_accepted(now, accepted.call, account);
                }
            }
        }
        self.apply(Command::Batch(BatchCommand::Start { account, batch: id }));
    }

    // The agents' shell.

    fn running(&mut self, key: Key) -> Option<&mut Running> {
        self.agents.get_mut(&key.agent)?.legs.get_mut(&key)
    }

    fn on_order(&mut self, now: Timestamp, dial: &Dial) {
        let key = Key { call: dial.call, attempt: dial.attempt, agent: dial.agent };
        let running = Running::new(dial, SidKey(u128::from(self.input.scenario.behaviour.seed)));
        self.routes.insert(key, (running.carrier.clone(), running.to.clone()));
        if let Some(agent) = self.agents.get_mut(&dial.agent) {
            agent.legs.insert(key, running);
            self.tell_leg(now, key, LegInput::Start);
        }
    }

    fn tell_leg(&mut self, now: Timestamp, key: Key, input: LegInput) {
        let Some(running) = self.running(key) else { return };
        running.leg.handle(now, input);
        let actions: Vec<_> = std::iter::from_fn(|| running.leg.poll()).collect();
        let wake = running.leg.wake_at().filter(|at| running.wake != Some(*at));
        if let Some(at) = wake {
            running.wake = Some(at);
            self.queue.put(at, Event::Leg(key, LegInput::Timer));
        }
        for action in actions {
            self.act(now, key, action);
        }
    }

    fn act(&mut self, now: Timestamp, key: Key, action: Action) {
        let latencies = self.input.latencies;
        match action {
            Action::Invite => {
                self.queue.put(now, Event::Leg(key, LegInput::Sent));
                self.queue.put(now + latencies.signalling, Event::AtCarrier(key, Message::Invite));
            }
            Action::Cancel => {
                self.queue.put(now + latencies.signalling, Event::AtCarrier(key, Message::Cancel));
            }
            Action::Bye => {
                self.queue.put(now + latencies.signalling, Event::AtCarrier(key, Message::Bye));
            }
            Action::Fetch { token, request } => {
                let result = self.application.fetch(&request);
                let answer = Event::Leg(key, LegInput::Fetched { token, result });
                self.queue.put(now + latencies.web.times(2), answer);
            }
            Action::Prepare { token, source } => {
                let result = self.application.length(&source);
                if let (Some(running), Ok(length)) = (self.running(key), &result) {
                    running.ready.insert(token, *length);
                }
                self.queue.put(
                    now + latencies.speech,
                    Event::Leg(key, LegInput::Prepared { token, result }),
                );
            }
            Action::Play { token } => self.play(now, key, token),
            Action::StopPlaying => self.silence(now, key),
            Action::Discard { token } => {
                self.running(key).map(|running| running.ready.remove(&token));
            }
            Action::Report(event) => self.report_call(now, key, event),
            Action::Warn { code, message } => {
                if self.warnings.len() < WARNINGS_MAX {
                    self.warnings.push(format!("{code}: {message}"));
                }
            }
            Action::End => {
                self.silence(now, key);
                self.agents.get_mut(&key.agent).map(|agent| agent.legs.remove(&key));
            }
            Action::SendDigits(_) | Action::Callback(_) => {}
        }
    }

    fn play(&mut self, now: Timestamp, key: Key, token: Token) {
        self.silence(now, key);
        let Some(running) = self.running(key) else { return };
        let length = running.ready.get(&token).copied().unwrap_or_default();
        running.playing = Some((token, now));
        let played = running.played;
        self.queue.put(now + length, Event::AudioEnds { key, token, played });
    }

    /// Ends what is being played; the called party has heard it so far.
    fn silence(&mut self, now: Timestamp, key: Key) {
        let Some(running) = self.running(key) else { return };
        let heard = running.stop(now);
        let name = running.carrier.clone();
        if let Some(carrier) = self.carriers.get_mut(&name) {
            carrier.hear(key, heard);
        }
    }

    fn report_call(&mut self, now: Timestamp, key: Key, event: CallEvent) {
        let report = CallReport { agent: key.agent, call: key.call, attempt: key.attempt, event };
        let at = now + self.input.latencies.control;
        self.queue.put(at, Event::Propose(Command::Reports(vec![report])));
    }

    fn carry_from_carrier(&mut self, now: Timestamp, key: Key, outcome: carrier::Outcome) {
        for reply in outcome.replies {
            self.queue.put(now + self.input.latencies.signalling, Event::Leg(key, reply));
        }
        for (after, step) in outcome.steps {
            self.queue.put(now + after, Event::CarrierStep(key, step));
        }
    }

    // The report.

    fn report(&self) -> Report {
        let tenants = &self.input.capacity.declaration.tenants;
        let terms: Vec<_> = tenants
            .iter()
            .map(|tenant| TenantTerms {
                name: tenant.name.to_string(),
                spacing: tenant.limits.throttle.map(|throttle| throttle.spacing),
            })
            .collect();
        let names: BTreeMap<_, _> =
            tenants.iter().map(|t| (t.account, t.name.to_string())).collect();
        let calls = self.watch.accepted().iter().map(|(call, account)| {
            let records = self.watch.records.get(call).map(Vec::as_slice).unwrap_or_default();
            let last = records.last();
            let seen = self.carriers.values().find_map(|carrier| carrier.seen(call.0));
            CallRow {
                to: last.map(|record| record.spec.to.clone()).unwrap_or_default(),
                tenant: names.get(account).cloned().unwrap_or_default(),
                start_us: seen.map(|seen| seen.invited.as_micros()),
                end_us: seen.and_then(|seen| seen.ended).map(Timestamp::as_micros),
                outcome: last.map(|record| record.ending.outcome),
                outcomes: u32::try_from(records.len()).unwrap_or(u32::MAX),
                held_by: last.map_or(Reason::Ready, |record| record.held_by),
                answered: seen.is_some_and(|seen| seen.answered),
                speech_heard: seen.is_some_and(carrier::Seen::speech_heard),
                digits: last.map(|record| record.ending.digits.clone()).unwrap_or_default(),
            }
        });
        let carriers = self.carriers.values().map(|carrier| carrier.account().clone()).collect();
        Report::new(self.input.scenario.behaviour.seed, &terms, carriers, calls.collect())
    }
}
