//! Agents: they come and go, take orders, write down what they do, and report it, once, twice or never.

use busyhour_base::{CallEvent, Outcome, Reason, Span};
use busyhour_controller_core::{
    command::{AgentCommand, CallReport, Command, Known},
    effect::{Phase, Reply},
    spec::{AgentIx, CallId},
};

use super::{Agent, Leg, World, pick};
use crate::support::ended;

impl World {
    pub(super) fn agent_of(&mut self, number: AgentIx) -> Option<&mut Agent> {
        self.agents.iter_mut().find(|agent| agent.number == Some(number) && agent.connected)
    }

    pub(super) fn deliver(&mut self, agent: AgentIx, fence: u64, call: CallId, attempt: u16) {
        if let Some(agent) = self.agent_of(agent) {
            assert!(fence <= agent.fence, "no order is ahead of the agent's fence");
            if fence == agent.fence {
                agent.inbox.push((call, attempt));
            }
        }
    }

    /// An agent's process starts, connects again, or comes up with its journal gone.
    pub fn up(&mut self, agent: usize, restarted: bool, journal_lost: bool) {
        let me = &mut self.agents[agent];
        if restarted || journal_lost || me.incarnation == 0 {
            me.incarnation += 1;
            me.journal.values_mut().for_each(|leg| leg.live = false);
        }
        if journal_lost {
            me.journal.clear();
            me.fence = 0;
        }
        me.inbox.clear();
        me.ringing.clear();
        let known = me
            .journal
            .iter()
            .map(|((call, attempt), leg)| Known { call: *call, attempt: *attempt, live: leg.live })
            .collect();
        let (incarnation, fence) = (me.incarnation, me.fence);
        let slots = 4 + agent as u32 * 3;
        let name = format!("agent-{agent}").into();
        me.connected = false;
        let up = AgentCommand::Up { name, incarnation, slots, fence, known };
        // Orders that this entry brings about reach the agent once it has stored its fence.
        let reply = self.machine.apply(Command::Agent(up));
        let Reply::Agent { agent: number, fence: new } = reply else { panic!("{reply:?}") };
        assert!(new > fence, "every fence is higher than those before");
        let me = &mut self.agents[agent];
        (me.number, me.fence, me.connected) = (Some(number), new, true);
        self.observe();
        let machine = &self.machine;
        self.agents[agent].journal.retain(|(call, attempt), leg| {
            leg.live && machine.state.calls_at(number).any(|c| (c.0, c.1) == (*call, *attempt))
        });
    }

    pub fn down(&mut self, agent: usize) {
        let me = &mut self.agents[agent];
        if let (Some(agent), true) = (me.number, me.connected) {
            me.connected = false;
            me.ringing.clear();
            let incarnation = me.incarnation;
            self.apply(Command::Agent(AgentCommand::Disconnected { agent, incarnation }));
        }
    }

    pub fn load(&mut self, agent: usize, cpu_permille: u16, draining: bool) {
        let me = &self.agents[agent];
        if let (Some(agent), true) = (me.number, me.connected) {
            let fence = me.fence;
            self.apply(Command::Agent(AgentCommand::Load { agent, fence, cpu_permille, draining }));
        }
    }

    /// One agent goes on with one of its calls, the `which`-th of what it has; `fate` says how.
    pub fn step(&mut self, agent: usize, which: usize, fate: u8) {
        let me = &mut self.agents[agent];
        if !me.connected {
            return;
        }
        if let Some((call, attempt)) = pick(&me.inbox, which) {
            if fate == 0 {
                self.not_sent(agent, call, attempt, Reason::AgentFull);
            } else {
                self.send(agent, call, attempt, fate);
            }
            return;
        }
        let running: Vec<_> = me.journal.iter().filter(|(_, leg)| leg.live).collect();
        let Some((&(call, attempt), leg)) = pick(&running, which) else { return };
        let next = match (leg.told, fate) {
            (Phase::Dialling, _) => Some((Phase::Sent, CallEvent::Sent)),
            (Phase::Sent, 0..3) => Some((Phase::Ringing, CallEvent::Ringing)),
            (Phase::Ringing, 0..5) => Some((Phase::InProgress, CallEvent::Answered)),
            _ => None,
        };
        match next {
            Some((phase, event)) => {
                self.agents[agent].journal.get_mut(&(call, attempt)).expect("it runs").told = phase;
                self.tell(agent, call, attempt, event, fate == 1);
            }
            None => {
                let outcome = Outcome::ALL[usize::from(fate) % 3];
                self.finish(agent, call, attempt, outcome, !fate.is_multiple_of(4));
            }
        }
    }

    /// SENDING is written down, and the INVITE leaves.
    pub(super) fn send(&mut self, agent: usize, call: CallId, attempt: u16, fate: u8) {
        let me = &mut self.agents[agent];
        me.inbox.retain(|order| *order != (call, attempt));
        let before = self.sent.insert(call, attempt);
        let over = self.definite.get(&call).map(|(_, attempt, _)| *attempt);
        assert_eq!(before, over, "{call:?} was sent twice, and the first is not known to be over");
        me.journal.insert((call, attempt), Leg { live: true, told: Phase::Dialling });
        if fate > 2 {
            me.journal.get_mut(&(call, attempt)).expect("just put in").told = Phase::Sent;
            self.tell(agent, call, attempt, CallEvent::Sent, false);
        }
    }

    pub(super) fn not_sent(&mut self, agent: usize, call: CallId, attempt: u16, reason: Reason) {
        self.agents[agent].inbox.retain(|order| *order != (call, attempt));
        self.leave(call, true);
        self.tell(agent, call, attempt, CallEvent::NotSent(reason), false);
    }

    pub(super) fn finish(
        &mut self,
        agent: usize,
        call: CallId,
        attempt: u16,
        outcome: Outcome,
        sure: bool,
    ) {
        self.agents[agent].journal.remove(&(call, attempt));
        if sure {
            self.leave(call, true);
            let made = self.definite.get(&call).map_or(0, |(made, ..)| *made);
            self.definite.insert(call, (made + 1, attempt, self.machine.now));
        }
        self.tell(agent, call, attempt, ended(outcome, sure), outcome == Outcome::Busy);
    }

    pub(super) fn tell(
        &mut self,
        agent: usize,
        call: CallId,
        attempt: u16,
        event: CallEvent,
        twice: bool,
    ) {
        let agent = self.agents[agent].number.expect("it is connected");
        let heard_at = self.machine.now;
        let report = CallReport { agent, call, attempt, heard_at, event };
        let again = twice.then(|| report.clone());
        self.apply(Command::Reports([report].into_iter().chain(again).collect()));
    }

    /// The carrier counts a call no more, or until its quarantine ends.
    pub(super) fn leave(&mut self, call: CallId, confirmed: bool) {
        if confirmed {
            self.channels.retain(|channel| channel.call != call);
            return;
        }
        for channel in self.channels.iter_mut().filter(|c| c.call == call && c.until.is_none()) {
            let carrier = self.declared.carriers.iter().find(|c| *c.name == *channel.carrier);
            let quarantine = carrier.map_or(Span::ZERO, |carrier| carrier.quarantine);
            channel.until = Some(self.machine.now + quarantine);
        }
    }
}
