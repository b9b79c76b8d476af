//! `Agent`: agents come, report their load and go. Whoever comes gets a new, higher fence, and what it was doing
//! is compared with its journal (`RELIABILITY.md`, protocol 4 to 6).
//!
//! | the call's attempt here | in the agent's journal | then |
//! |---|---|---|
//! | in progress | live | it goes on |
//! | in progress | not live | in doubt: the agent was killed while it was up |
//! | only ordered | not there, and the journal survived | never sent: back to the head of its queue |
//! | sent | not there | in doubt |
//! | in progress | the journal is lost, or is an old copy | in doubt |
//! | over | live | the agent is told to hang up |
//! | only offered (inbound) | not there | it ends: the agent has refused it, or does so now |

use std::{collections::BTreeMap, sync::Arc};

use busyhour_base::{Reason, Timestamp};
use serde::{Deserialize, Serialize};

use super::{State, calls::Stage, tick::Due};
use crate::{
    command::{AgentCommand, Known},
    effect::{Effect, Phase, Reply},
    engine::wheel::{Handle, NO_TIMER},
    spec::{AgentIx, CallId},
};

/// What the state keeps of an agent beside the engine's part of it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Agent {
    pub name: Arc<str>,
    pub incarnation: u64,
    pub connected: bool,
    pub draining: bool,
    pub fence: u64,
    /// The highest fence that it has surely stored. A journal below that is an old copy, and as good as lost.
    pub stored: u64,
    /// Until when its calls are waited for, once it is away.
    pub grace: Handle,
    /// When it was last heard of.
    pub seen_at: u64,
    /// The last call that this process has offered.
    pub offers: u64,
}

impl State {
    pub(super) fn agent(&mut self, command: &AgentCommand, fx: &mut Vec<Effect>) -> Reply {
        let reply = match command {
            AgentCommand::Up { name, incarnation, slots, fence, known } => {
                match self.agent_named(name) {
                    Some(agent) => self.agent_up(agent, *incarnation, *slots, *fence, known, fx),
                    None => Reply::Refused(Reason::TooLarge),
                }
            }
            AgentCommand::Load { agent, fence, cpu_permille, draining } => {
                self.agent_load(*agent, *fence, *cpu_permille, *draining)
            }
            AgentCommand::Disconnected { agent, incarnation } => {
                self.agent_disconnected(*agent, *incarnation, fx)
            }
        };
        self.forget_carriers();
        reply
    }

    /// The number of the agent of this name: the one that it has, a new one, or that of the agent that has been away
    /// for the longest time and has no calls.
    fn agent_named(&mut self, name: &Arc<str>) -> Option<u16> {
        if let Some(present) = self.agent_names.get(name) {
            return Some(*present);
        }
        let agent = Agent {
            name: Arc::clone(name),
            incarnation: 0,
            connected: false,
            draining: false,
            fence: 0,
            stored: 0,
            grace: NO_TIMER,
            seen_at: self.now,
            offers: 0,
        };
        let id = if self.agents.len() < usize::from(self.options.agents_max) {
            self.agents.push(agent);
            self.engine.add_worker()
        } else {
            let gone = self.agents.iter().enumerate().filter(|(id, agent)| {
                !agent.connected && self.engine.workers().get(*id as u16).in_use == 0
            });
            let (id, _) = gone.min_by_key(|(_, agent)| agent.seen_at)?;
            let gone = std::mem::replace(&mut self.agents[id], agent);
            self.end_grace(gone.grace);
            self.agent_names.remove(&gone.name);
            id as u16
        };
        self.agent_names.insert(Arc::clone(name), id);
        Some(id)
    }

    fn agent_up(
        &mut self,
        id: u16,
        incarnation: u64,
        slots: u32,
        fence: u64,
        known: &[Known],
        fx: &mut Vec<Effect>,
    ) -> Reply {
        self.offers_lost(id, fx);
        self.fence = self.fence.max(fence) + 1;
        let agent = &mut self.agents[usize::from(id)];
        let survived = fence > 0 && fence >= agent.stored;
        agent.fence = self.fence;
        if agent.incarnation != incarnation {
            agent.offers = 0;
        }
        agent.incarnation = incarnation;
        agent.connected = true;
        agent.draining = false;
        agent.seen_at = self.now;
        let grace = std::mem::replace(&mut agent.grace, NO_TIMER);
        self.end_grace(grace);
        let reply = Reply::Agent { agent: AgentIx(id), fence: self.fence };
        self.reconcile(id, survived, known, fx);
        self.engine.change_worker(id, |worker| {
            (worker.slots, worker.cpu_permille, worker.open) = (slots, 0, true);
        });
        reply
    }

    /// Compares what the agent was doing with its journal; see the table above.
    fn reconcile(&mut self, id: u16, survived: bool, known: &[Known], fx: &mut Vec<Effect>) {
        let journal: BTreeMap<_, _> =
            known.iter().map(|known| ((known.call, known.attempt), known.live)).collect();
        for live in self.live_at(id) {
            let call = self.live[live];
            let which = (self.requests.call(call.request), self.requests.attempt(call.request));
            match journal.get(&which) {
                Some(true) => {
                    if let Some(reason) = call.hang_up {
                        self.hang_up(live, reason, fx);
                    }
                }
                Some(false) => {
                    self.end_in_doubt(call.request, Reason::InDoubtAgentRestarted, fx);
                }
                None if survived && call.phase == Phase::Dialling => {
                    self.not_sent(call.request, live, Reason::LeaseExpired, fx);
                }
                None => self.end_in_doubt(call.request, Reason::InDoubtJournalLost, fx),
            }
        }
        for ((call, attempt), live) in journal {
            if live && !self.runs(id, call, attempt) {
                let (agent, reason) = (AgentIx(id), Reason::InDoubtAgentLost);
                fx.push(Effect::HangUp { agent, call, attempt, reason });
            }
        }
    }

    fn runs(&self, agent: u16, call: CallId, attempt: u16) -> bool {
        self.requests.find(call).is_some_and(|id| {
            matches!(self.requests.stage(id), Stage::Live(live) if self.live[live].agent == agent)
                && self.requests.attempt(id) == attempt
        })
    }

    fn agent_load(
        &mut self,
        agent: AgentIx,
        fence: u64,
        cpu_permille: u16,
        draining: bool,
    ) -> Reply {
        let Some(state) = self.agents.get_mut(usize::from(agent.0)) else {
            return Reply::Refused(Reason::WrongState);
        };
        state.stored = state.stored.max(fence);
        state.draining = draining;
        state.seen_at = self.now;
        let open = state.connected && !draining;
        self.engine.change_worker(agent.0, |worker| {
            (worker.cpu_permille, worker.open) = (cpu_permille, open);
        });
        Reply::Done
    }

    fn agent_disconnected(
        &mut self,
        agent: AgentIx,
        incarnation: u64,
        fx: &mut Vec<Effect>,
    ) -> Reply {
        let Some(state) = self.agents.get_mut(usize::from(agent.0)) else {
            return Reply::Refused(Reason::WrongState);
        };
        if !state.connected || state.incarnation != incarnation {
            return Reply::Done;
        }
        state.connected = false;
        state.seen_at = self.now;
        let until = Timestamp(self.now) + self.options.agent_grace;
        state.grace = self.engine.set_timer(until.0, Due::Grace.of(u32::from(agent.0)));
        self.engine.change_worker(agent.0, |worker| worker.open = false);
        self.offers_lost(agent.0, fx);
        Reply::Done
    }

    /// It stayed away: the fence goes up first, then its calls end as in doubt.
    pub(super) fn agent_lost(&mut self, id: u16, fx: &mut Vec<Effect>) {
        self.fence += 1;
        let agent = &mut self.agents[usize::from(id)];
        (agent.fence, agent.grace) = (self.fence, NO_TIMER);
        for live in self.live_at(id) {
            self.end_in_doubt(self.live[live].request, Reason::InDoubtAgentLost, fx);
        }
    }

    fn end_grace(&mut self, grace: Handle) {
        if grace != NO_TIMER {
            self.engine.cancel_timer(grace);
        }
    }

    /// The calls in progress at an agent, oldest first.
    fn live_at(&self, agent: u16) -> Vec<u32> {
        let mut calls: Vec<_> = self
            .live
            .iter()
            .filter(|(_, live)| live.agent == agent)
            .map(|(id, live)| (self.requests.call(live.request), id))
            .collect();
        calls.sort_unstable();
        calls.into_iter().map(|(_, id)| id).collect()
    }
}
