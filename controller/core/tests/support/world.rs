//! Agents and carriers as the state machine meets them, with every fault that they may have: lost orders, repeated
//! reports, restarts, lost journals, long absences, ends that the carrier does not confirm.
//!
//! The world keeps accounts of its own and holds the machine to them: what a carrier counts, what was ever sent,
//! how each call ended.

use std::collections::{BTreeMap, BTreeSet};

use busyhour_base::{AccountSid, Outcome, Span, Timestamp};
use busyhour_controller_core::{
    Options,
    command::{BatchCommand, Command},
    effect::{Accepted, Effect, Phase, Reply},
    spec::{AgentIx, BatchId, BatchPlan, CallId, Declaration},
};

use super::Machine;

mod agents;
mod callers;
mod effects;

/// One agent: a journal that outlives its process, unless it is lost.
#[derive(Default)]
struct Agent {
    incarnation: u64,
    fence: u64,
    number: Option<AgentIx>,
    connected: bool,
    /// Calls that carriers have offered here; the call's number once it is known.
    ringing: BTreeMap<u64, Option<(CallId, u16)>>,
    offers: u64,
    /// Orders that it has taken and not yet written down.
    inbox: Vec<(CallId, u16)>,
    /// What it has written down: how far each call is, and whether this process runs it.
    journal: BTreeMap<(CallId, u16), Leg>,
}

#[derive(Clone, Copy)]
struct Leg {
    live: bool,
    told: Phase,
}

/// A channel as the carrier counts it.
struct Channel {
    carrier: String,
    call: CallId,
    attempt: u16,
    inbound: bool,
    /// Until when it may still be counted; `None` while the call is up.
    until: Option<Timestamp>,
}

pub struct World {
    pub machine: Machine,
    agents: Vec<Agent>,
    declared: Declaration,
    channels: Vec<Channel>,
    /// Calls of which an INVITE was ever written down as being sent, and the last attempt of which it was.
    sent: BTreeMap<CallId, u16>,
    /// How many attempts of a call came to a definitive end, the last one of these, and when.
    definite: BTreeMap<CallId, (u16, u16, Timestamp)>,
    /// Batches as they were planned and changed since.
    plans: BTreeMap<BatchId, BatchPlan>,
    /// When a batch's last call was due.
    last_due_of: BTreeMap<BatchId, Timestamp>,
    pub accepted: BTreeSet<CallId>,
    pub outcomes: BTreeMap<CallId, Outcome>,
    seen_effects: usize,
    /// Orders of the next entry are lost on the way, as in a crash of the controller.
    pub lose_orders: bool,
    /// Dials of each carrier, in order.
    setups: BTreeMap<String, Vec<Timestamp>>,
    last_due: BTreeMap<u128, Timestamp>,
    /// How many dials there were when a tenant was last found forgotten: those before count no more.
    forgotten: BTreeMap<u128, usize>,
}

impl World {
    pub fn new(agents: usize, options: Options) -> Self {
        Self {
            machine: Machine::with(options),
            agents: (0..agents).map(|_| Agent::default()).collect(),
            declared: Declaration::default(),
            channels: Vec::new(),
            sent: BTreeMap::new(),
            definite: BTreeMap::new(),
            plans: BTreeMap::new(),
            last_due_of: BTreeMap::new(),
            accepted: BTreeSet::new(),
            outcomes: BTreeMap::new(),
            seen_effects: 0,
            lose_orders: false,
            setups: BTreeMap::new(),
            last_due: BTreeMap::new(),
            forgotten: BTreeMap::new(),
        }
    }

    /// A tenant that is not declared any more is forgotten when its last call is in the records. If it is declared
    /// again, it is a new one.
    fn forget_tenants(&mut self) {
        let state = &self.machine.state;
        let known: BTreeSet<_> = state.tenants().map(|tenant| tenant.account.0).collect();
        self.last_due.retain(|account, _| known.contains(account));
        let dials = self.machine.dials.len();
        let accounts = self.machine.dials.iter().map(|(_, dial)| dial.account.0);
        let gone = accounts.filter(|account| !known.contains(account));
        self.forgotten.extend(gone.map(|account| (account, dials)));
    }

    pub fn declare(&mut self, declaration: Declaration) {
        // What was due before is held to the declaration before.
        self.apply(Command::Tick);
        self.forget_tenants();
        let before = std::mem::replace(&mut self.declared, declaration.clone());
        let reply = self.apply(Command::Declare(Box::new(declaration)));
        if reply != Reply::Done {
            self.declared = before;
        }
    }

    /// A batch of this plan.
    pub fn create_batch(&mut self, account: AccountSid, plan: &BatchPlan) -> Option<BatchId> {
        let plan = Box::new(plan.clone());
        let create = BatchCommand::Create { account, idempotency: None, plan: plan.clone() };
        let Reply::Batch(batch) = self.apply(Command::Batch(create)) else { return None };
        self.plans.insert(batch, *plan);
        Some(batch)
    }

    /// Changes what a batch is held to, and the batch.
    pub fn replan(
        &mut self,
        batch: BatchId,
        change: impl Fn(&mut BatchPlan),
        command: BatchCommand,
    ) {
        // What was due before is held to the plan before.
        self.apply(Command::Tick);
        let Some(plan) = self.plans.get_mut(&batch) else { return };
        let before = plan.clone();
        change(plan);
        if self.apply(Command::Batch(command)) != Reply::Done {
            self.plans.insert(batch, before);
        }
    }

    pub fn apply(&mut self, command: Command) -> Reply {
        let reply = self.machine.apply(command);
        if let Reply::Submitted(verdicts) = &reply {
            for Accepted { call, .. } in verdicts.iter().flatten() {
                self.accepted.insert(*call);
            }
        }
        if let Reply::Offered(verdicts) = &reply {
            self.accepted.extend(verdicts.iter().flatten());
        }
        self.observe();
        reply
    }

    /// Lets time pass, ticking `late` after the state asks.
    pub fn run(&mut self, span: Span, late: Span) {
        let until = self.machine.now + span;
        while let Some(wake) = self.machine.state.next_wake().filter(|wake| *wake + late <= until) {
            self.machine.now = self.machine.now.max(wake + late);
            self.apply(Command::Tick);
        }
        self.machine.now = until;
    }

    /// Carries out what the last entry asked for, and checks it.
    fn observe(&mut self) {
        let at = self.machine.state.now();
        let effects: Vec<_> = self.machine.effects[self.seen_effects..].to_vec();
        self.seen_effects = self.machine.effects.len();
        for effect in &effects {
            match effect {
                Effect::Dial(dial) => self.dialled(at, dial),
                Effect::Answer(answer) => self.admitted(at, answer),
                Effect::Changed { call, phase: Phase::Ended(outcome), .. } => {
                    assert_eq!(self.outcomes.insert(*call, *outcome), None, "{call:?} ended twice");
                    // A channel whose end no agent reported stays with the carrier for its quarantine.
                    let up = self.channels.iter().find(|c| c.call == *call && c.until.is_none());
                    let sent = up.is_some_and(|up| self.sent.get(call) == Some(&up.attempt));
                    self.leave(*call, !sent);
                }
                Effect::Changed { call, phase: Phase::Queued, .. } => {
                    let sent = self.sent.get(call).copied();
                    let over = self.definite.get(call).map(|(_, attempt, _)| *attempt);
                    assert_eq!(sent, over, "{call:?} was sent, is in doubt and is queued again");
                    self.leave(*call, true);
                }
                _ => {}
            }
        }
        if std::mem::take(&mut self.lose_orders) {
            return;
        }
        for effect in effects {
            match effect {
                Effect::Dial(dial) => {
                    self.deliver(dial.agent, dial.fence, dial.call, dial.attempt);
                }
                Effect::Answer(answer) => self.deliver_answer(&answer),
                Effect::Ring(rings) => {
                    let ringing = self.ringing_at(rings.agent, rings.offer);
                    ringing.into_iter().for_each(|r| *r = Some((rings.call, rings.attempt)));
                }
                Effect::Refuse { agent, offer, .. } => {
                    self.agent_of(agent).into_iter().for_each(|me| {
                        me.ringing.remove(&offer);
                    });
                }
                Effect::HangUp { agent, call, attempt, .. } => self.hang_up(agent, call, attempt),
                _ => {}
            }
        }
    }

    pub fn record(&mut self) {
        let last = self.machine.state.outbox(usize::MAX).last().map(|record| record.seq);
        if let Some(through) = last {
            self.apply(Command::Recorded { through });
        }
    }

    /// Whether an agent has something to go on with.
    fn busy(&self) -> bool {
        self.agents.iter().any(|a| !a.inbox.is_empty() || a.journal.values().any(|leg| leg.live))
    }

    /// The faults end: agents are up, and every call goes on to its end.
    pub fn settle(&mut self) {
        // The controller whose orders are lost is followed by one to which every agent comes; the last fault is over.
        self.lose_orders = false;
        for agent in 0..self.agents.len() {
            self.up(agent, false, false);
        }
        for round in 0..20_000 {
            for agent in 0..self.agents.len() {
                self.step(agent, round, 5);
            }
            self.run(Span::from_secs(1), Span::ZERO);
            self.record();
            if !self.busy() && self.outcomes.len() == self.accepted.len() {
                break;
            }
        }
    }
}

fn pick<T: Copy>(from: &[T], which: usize) -> Option<T> {
    (!from.is_empty()).then(|| from[which % from.len()])
}
