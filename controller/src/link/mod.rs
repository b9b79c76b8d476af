//! The connections of agents, and the orders that go out over them.

mod hello;
mod offers;
mod orders;
mod reports;
mod service;
mod session;

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use busyhour_controller_core::spec::AgentIx;
use busyhour_protocol::v1::{ToAgent, to_agent::Message};
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tonic::Status;

pub(crate) use offers::{answer, refuse, ring, trunks};
pub(crate) use orders::{callback, dial, hang_up, redirect, valid_after_due};
pub(crate) use service::LinkService;

use crate::metric_definitions as names;

/// What travels to one agent: orders, then perhaps the word that ends the connection.
type Outgoing = Result<ToAgent, Status>;

/// Orders that one connection may have waiting for its agent: more than a second of the fastest dialling. An agent
/// that does not take them is cut off, and comes back to what the state machine then says.
const QUEUE_MAX: usize = 16_384;

/// Orders kept for an agent whose connection is about to be entered or is away; beyond it the oldest are dropped,
/// and the state machine tells the agent again when it comes.
const EARLY_MAX: usize = 1_024;

/// Every connected agent. Clones share it.
#[derive(Clone, Default)]
pub(crate) struct Links(Arc<Mutex<Table>>);

#[derive(Default)]
struct Table {
    links: HashMap<AgentIx, Link>,
    early: HashMap<AgentIx, Vec<Early>>,
    /// Who gets the next callback.
    turn: usize,
}

struct Link {
    fence: u64,
    out: mpsc::Sender<Outgoing>,
    cut: CancellationToken,
}

/// An order that came before the connection that it is for. The state machine gives an agent its fence and orders in one
/// go, while the fence is still on its way to whoever greets the agent.
struct Early {
    /// Under which fence, for a dial. Other orders are good under any.
    fence: Option<u64>,
    message: Message,
}

/// What became of an order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Handed {
    /// It is on its way.
    Sent,
    /// It waits for the agent's next connection.
    Kept,
    /// It is void: the agent has been fenced since, or was cut off for not taking its orders.
    Void,
}

impl Links {
    /// Enters a connection with its greeting, cuts off an older one of the same agent, and hands over what came early.
    fn enter(
        &self,
        agent: AgentIx,
        fence: u64,
        out: mpsc::Sender<Outgoing>,
        cut: CancellationToken,
        welcome: Message,
    ) {
        let mut table = self.0.lock();
        let link = Link { fence, out, cut };
        link.send(agent, welcome);
        for early in table.early.remove(&agent).unwrap_or_default() {
            if early.fence.is_none_or(|given| given == fence) {
                link.send(agent, orders::under(fence, early.message));
            }
        }
        if let Some(older) = table.links.insert(agent, link) {
            older.end(agent, Status::aborted("another connection took this agent's name"));
        }
        metrics::gauge!(names::AGENT_LINKS).set(table.links.len() as f64);
    }

    /// Takes a connection out. Answers whether it was still the agent's present one.
    fn leave(&self, agent: AgentIx, fence: u64) -> bool {
        let mut table = self.0.lock();
        let present = table.links.get(&agent).is_some_and(|link| link.fence == fence);
        if present {
            table.links.remove(&agent);
            metrics::gauge!(names::AGENT_LINKS).set(table.links.len() as f64);
        }
        present
    }

    /// Hands an order to dial to its agent, under exactly this fence.
    pub(crate) fn send_dial(&self, agent: AgentIx, fence: u64, message: Message) -> Handed {
        let mut table = self.0.lock();
        match table.links.get(&agent) {
            Some(link) if link.fence == fence => link.send(agent, message),
            Some(link) if link.fence > fence => Handed::Void,
            _ => table.keep(agent, Some(fence), message),
        }
    }

    /// Hands an order about a call that the agent has already, under the agent's present fence.
    pub(crate) fn send(&self, agent: AgentIx, message: Message) -> Handed {
        let mut table = self.0.lock();
        match table.links.get(&agent) {
            Some(link) => link.send(agent, orders::under(link.fence, message)),
            None => table.keep(agent, None, message),
        }
    }

    /// Hands a message to an agent over the connection of this fence or not at all.
    fn send_over(&self, agent: AgentIx, fence: u64, message: Message) {
        let table = self.0.lock();
        if let Some(link) = table.links.get(&agent).filter(|link| link.fence == fence) {
            link.send(agent, message);
        }
    }

    /// Hands a message to whichever agent's turn it is. Answers whether one took it.
    pub(crate) fn send_to_any(&self, message: &Message) -> bool {
        self.send_to_next(message).is_some()
    }

    /// The same. Answers which agent took it, under which fence.
    pub(crate) fn send_to_next(&self, message: &Message) -> Option<(AgentIx, u64)> {
        let mut table = self.0.lock();
        table.turn = table.turn.wrapping_add(1);
        let turn = table.turn % table.links.len().max(1);
        let (agent, link) = table.links.iter().nth(turn)?;
        let message = Some(message.clone());
        link.out.try_send(Ok(ToAgent { message })).ok()?;
        Some((*agent, link.fence))
    }

    /// Every agent that is connected, with its fence.
    pub(crate) fn connected(&self) -> HashSet<(AgentIx, u64)> {
        self.0.lock().links.iter().map(|(agent, link)| (*agent, link.fence)).collect()
    }

    /// Hands a message to every agent that is connected.
    pub(crate) fn send_all(&self, message: &Message) {
        let table = self.0.lock();
        for (agent, link) in &table.links {
            link.send(*agent, message.clone());
        }
    }

    /// Hands a message to the agent whose part it is: for equal keys the same one, as long as the same agents are connected.
    /// Answers whether it took it.
    pub(crate) fn send_to_one(&self, key: u64, message: &Message) -> bool {
        let table = self.0.lock();
        let mut agents: Vec<_> = table.links.keys().copied().collect();
        agents.sort_unstable();
        let part = key.checked_rem(agents.len() as u64).and_then(|part| usize::try_from(part).ok());
        let link = part.and_then(|part| table.links.get(agents.get(part)?));
        link.is_some_and(|link| {
            let message = Some(message.clone());
            link.out.try_send(Ok(ToAgent { message })).is_ok()
        })
    }

    /// Ends every connection; agents come back by themselves, and their calls go on meanwhile.
    pub(crate) fn cut_all(&self, why: &str) {
        let table = self.0.lock();
        for (agent, link) in &table.links {
            link.end(*agent, Status::unavailable(why));
        }
    }
}

impl Table {
    fn keep(&mut self, agent: AgentIx, fence: Option<u64>, message: Message) -> Handed {
        let early = self.early.entry(agent).or_default();
        // An order under a higher fence voids dials under a lower one.
        if let Some(fence) = fence {
            early.retain(|kept| kept.fence.is_none_or(|given| given >= fence));
        }
        if early.len() >= EARLY_MAX {
            early.remove(0);
        }
        early.push(Early { fence, message });
        Handed::Kept
    }
}

impl Link {
    fn send(&self, agent: AgentIx, message: Message) -> Handed {
        let wrapped = ToAgent { message: Some(message) };
        match self.out.try_send(Ok(wrapped)) {
            Ok(()) => Handed::Sent,
            Err(_) => {
                metrics::counter!(names::ORDERS_UNDELIVERED, "reason" => "link_full").increment(1);
                tracing::warn!(?agent, "the agent does not take its orders and is cut off");
                self.cut.cancel();
                Handed::Void
            }
        }
    }

    fn end(&self, agent: AgentIx, why: Status) {
        tracing::info!(?agent, why = why.message(), "an agent's connection is ended");
        // A full queue loses the reason, not the end.
        let _ = self.out.try_send(Err(why));
        self.cut.cancel();
    }
}

#[cfg(test)]
mod tests;
