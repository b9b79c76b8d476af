//! The connection between an agent and the controller: the hello, orders, reports and acknowledgements
//! (`RELIABILITY.md`, protocol 3 to 6). What is under way on a connection that is cut is lost.

use std::sync::Arc;

use busyhour_agent_core::journal::Entry;
use busyhour_base::{CallEvent, Span, Timestamp};
use busyhour_controller_core::{
    command::{AgentCommand, CallReport, Command},
    effect::Reply,
};

use super::{
    Key,
    agent::attempt_of,
    world::{Event, World},
};

/// From one attempt to connect to the next.
const RECONNECT_AFTER: Span = Span::from_millis(500);

impl World<'_> {
    /// An agent opens its connection: it says what it knows, takes its fence, and repeats what it has reported.
    pub(super) fn connect(&mut self, now: Timestamp, index: usize) {
        if self.agents[index].link.is_some() {
            return;
        }
        if !self.controller_up {
            return self.queue.put(now + RECONNECT_AFTER, Event::Connect(index));
        }
        self.links += 1;
        let agent = &mut self.agents[index];
        if !agent.alive {
            (agent.alive, agent.incarnation) = (true, agent.incarnation + 1);
        }
        agent.link = Some(self.links);
        let up = AgentCommand::Up {
            name: Arc::from(agent.name.as_str()),
            incarnation: agent.incarnation,
            slots: u32::try_from(agent.slots).unwrap_or(u32::MAX),
            fence: agent.journal.fence(),
            known: agent.known(),
        };
        let before = agent.journal.fence();
        let Reply::Agent { agent: number, fence } = self.apply(Command::Agent(up)) else {
            return self.watch.broken(now, format!("agent {index} was turned away"));
        };
        self.watch.on_fence(now, number, before, fence);
        let agent = &mut self.agents[index];
        agent.number = number;
        agent.journal.apply(&Entry::Fence(fence));
        for seq in agent.unacknowledged.iter().map(|(seq, _)| *seq).collect::<Vec<_>>() {
            self.send_report(now, index, seq);
        }
    }

    /// The connection is gone; each side notices after the time of a message.
    pub(super) fn cut(&mut self, now: Timestamp, index: usize) {
        let Some(agent) = self.agents.get_mut(index) else { return };
        if agent.link.take().is_some() {
            let (agent, incarnation) = (agent.number, agent.incarnation);
            let gone = Command::Agent(AgentCommand::Disconnected { agent, incarnation });
            self.queue.put(now + self.input.latencies.control, Event::Propose(gone));
            self.refuse_callers(now, index);
        }
    }

    /// An agent says something of a call; it is kept until it is acknowledged.
    pub(super) fn report_call(&mut self, now: Timestamp, key: Key, event: CallEvent) {
        let Some(index) = self.index_of(key.agent) else { return };
        let agent = &mut self.agents[index];
        agent.reported += 1;
        // When it is heard is known when it is.
        let (call, attempt, heard_at) = (key.call, key.attempt, Timestamp::NEVER);
        let report = CallReport { agent: key.agent, call, attempt, heard_at, event };
        let name = attempt_of(&report);
        match &report.event {
            CallEvent::Ended(ending) => {
                agent.journal.apply(&Entry::Ended(name, Box::new(ending.clone())));
            }
            CallEvent::NotSent(_) => agent.journal.apply(&Entry::Forget(name)),
            CallEvent::Sent | CallEvent::Ringing | CallEvent::Answered => {}
        }
        let seq = agent.reported;
        agent.unacknowledged.push_back((seq, report));
        self.send_report(now, index, seq);
    }

    fn send_report(&mut self, now: Timestamp, index: usize, seq: u64) {
        if let Some(link) = self.agents[index].link {
            let at = now + self.input.latencies.control;
            self.queue.put(at, Event::Report { agent: index, link, seq });
        }
    }

    /// A report reaches the controller; when it is in the log, it is acknowledged.
    pub(super) fn on_report(&mut self, now: Timestamp, index: usize, link: u64, seq: u64) {
        if self.agents[index].link != Some(link) {
            return;
        }
        let waiting = self.agents[index].unacknowledged.iter().find(|(number, _)| *number == seq);
        let Some((_, report)) = waiting.cloned() else { return };
        self.apply(Command::Reports(vec![CallReport { heard_at: now, ..report }]));
        let at = now + self.input.latencies.control;
        self.queue.put(at, Event::Acknowledged { agent: index, link, seq });
    }

    /// The agent need not repeat it, and what is over may leave the journal.
    pub(super) fn on_acknowledged(&mut self, index: usize, link: u64, seq: u64) {
        let agent = &mut self.agents[index];
        if agent.link != Some(link) {
            return;
        }
        while let Some((_, report)) =
            agent.unacknowledged.pop_front_if(|(number, _)| *number <= seq)
        {
            if matches!(report.event, CallEvent::Ended(_)) {
                agent.journal.apply(&Entry::Forget(attempt_of(&report)));
            }
        }
    }
}
