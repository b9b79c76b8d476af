//! The controller's shell: entries into the log, effects out of it, ticks when they are wanted.

use std::sync::Arc;

use busyhour_agent_core::leg::Input as LegInput;
use busyhour_base::{Span, Timestamp};
use busyhour_controller_core::{
    command::{BatchCommand, Command, Entry},
    effect::{Effect, Reply},
    spec::{AgentIx, BatchPlan, Lines, Requests},
};

use super::{
    Key,
    world::{Event, World},
};
use crate::scenario::Batch;

/// Lines in one entry of the log.
const SUBMIT_LINES: usize = 1_000;
/// Finished calls that are taken from the outbox at once.
const OUTBOX_ROWS: usize = 1_024;

impl World<'_> {
    /// Applies an entry at this instant and carries its effects out.
    pub(super) fn apply(&mut self, command: Command) -> Reply {
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
        self.record_messages(now);
        self.plan_wake(now);
        reply
    }

    fn plan_wake(&mut self, now: Timestamp) {
        let wanted = self.state.next_wake().map(|at| at.max(now));
        if let Some(at) = wanted
            && wanted != self.wake
        {
            self.queue.put(at, Event::Wake);
        }
        self.wake = wanted;
    }

    /// The state wanted a tick about now, unless it has changed its mind.
    pub(super) fn on_wake(&mut self, now: Timestamp) {
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
                self.watch.on_dial(now, &dial);
                self.observer.on_dial(now, &dial);
                // Without a connection the order is lost: the agent's next hello does not know it.
                if let Some(link) = self.link_of(dial.agent) {
                    self.queue.put(at.max(dial.at), Event::Order { link, dial: Box::new(dial) });
                }
            }
            Effect::HangUp { agent, call, attempt, reason } => {
                self.order(at, Key { call, attempt, agent }, LegInput::HangUp(reason));
            }
            Effect::Redirect { agent, call, attempt, instructions } => {
                self.order(at, Key { call, attempt, agent }, LegInput::Redirect(instructions));
            }
            Effect::Answer(answer) => self.order_answer(now, answer),
            Effect::Refuse { agent, offer, reason } => {
                self.order_refusal(now, agent, offer, reason);
            }
            Effect::Message(message) => self.carry_message(now, message),
            // Simulated callers listen to nothing but answers.
            Effect::Ring(_) => {}
            Effect::Notify { .. } | Effect::Changed { .. } | Effect::BatchNews { .. } => {}
        }
    }

    fn order(&mut self, at: Timestamp, key: Key, input: LegInput) {
        if let Some(link) = self.link_of(key.agent) {
            self.queue.put(at, Event::Command { link, key, input });
        }
    }

    fn link_of(&self, agent: AgentIx) -> Option<u64> {
        self.agents[self.index_of(agent)?].link
    }

    /// A batch as a tenant submits it.
    pub(super) fn submit(&mut self, batch: &Batch) {
        let (now, account) = (self.queue.now(), batch.account);
        let (kind, name) = (batch.kind(), batch.name.clone());
        let (throttle, max_concurrent) = (batch.throttle(), batch.pacing.max_concurrent);
        let plan = BatchPlan { kind, name, throttle, max_concurrent, ..BatchPlan::default() };
        let plan = Box::new(plan);
        let create = BatchCommand::Create { account, idempotency: None, plan };
        let Reply::Batch(id) = self.apply(Command::Batch(create)) else {
            return self.watch.broken(now, format!("batch {} was refused", batch.name));
        };
        let numbered: Vec<_> = (1..).zip(batch.numbers()).collect();
        for chunk in numbered.chunks(SUBMIT_LINES) {
            let mut requests = Requests::default();
            let rest = requests.share(batch.line(now));
            for (line, (to, name)) in chunk {
                requests.push(*line, rest, to, Some(name));
            }
            let (keys, faults) = (Vec::new(), Vec::new());
            let lines = Lines { account, batch: id, part: None, requests, keys, faults };
            match self.apply(Command::Batch(BatchCommand::Take(Arc::new(lines)))) {
                Reply::Submitted(verdicts) => {
                    for accepted in verdicts.into_iter().flatten() {
                        self.watch.on_accepted(now, accepted.call, account);
                    }
                }
                Reply::Messages(verdicts) => {
                    for ((_, (to, _)), accepted) in chunk.iter().zip(verdicts) {
                        accepted.into_iter().for_each(|of| self.accepted(&batch.tenant, to, &of));
                    }
                }
                other => {
                    let name = &batch.name;
                    self.watch.broken(now, format!("lines of {name} got no verdict: {other:?}"));
                }
            }
        }
        self.apply(Command::Batch(BatchCommand::Start { account, batch: id }));
    }
}
