//! Agents and carriers as the state machine meets them, with every fault that they may have: lost orders, repeated
//! reports, restarts, lost journals, long absences, ends that the carrier does not confirm.
//!
//! The world keeps accounts of its own and holds the machine to them: what a carrier counts, what was ever sent,
//! how each call ended.

use std::collections::{BTreeMap, BTreeSet};

use busyhour_base::{AccountSid, CallEvent, Direction, Outcome, Reason, Span, Timestamp};
use busyhour_controller_core::{
    Options,
    command::{AgentCommand, BatchCommand, CallReport, Command, Known, Offer},
    effect::{Accepted, Answer, Dial, Effect, Phase, Reply},
    spec::{AgentIx, BatchId, BatchPlan, CallId, Declaration, Openings},
};

use super::{Machine, ended};

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

    /// Holds a dial to every limit, as the world outside counts them.
    fn dialled(&mut self, at: Timestamp, dial: &Dial) {
        let carrier = self.declared.carriers.iter().find(|c| c.name == dial.carrier);
        let carrier = carrier.expect("a dial goes over a declared carrier").clone();
        self.channels.retain(|channel| channel.until.is_none_or(|until| until > at));
        let held =
            self.channels.iter().filter(|channel| channel.carrier == *carrier.name).count() as u32;
        let in_use = self
            .channels
            .iter()
            .filter(|c| c.carrier == *carrier.name && c.until.is_none() && !c.inbound);
        assert!(held < carrier.channels.total(), "MT-12: {held} of {:?}", carrier.channels);
        assert!((in_use.count() as u32) < carrier.service_ports, "MT-11: service ports");
        self.channels.push(Channel {
            carrier: carrier.name.to_string(),
            call: dial.call,
            attempt: dial.attempt,
            inbound: false,
            until: None,
        });
        assert!(
            !self.ringing_for(&carrier.name) || self.could_not_ring(&carrier.name),
            "MT-6: a request took what a caller waits for"
        );

        let setups = self.setups.entry(carrier.name.to_string()).or_default();
        if carrier.setup_spacing > Span::ZERO {
            let per_second = (1_020_000 / carrier.setup_spacing.0) as usize;
            if let Some(earlier) = setups.len().checked_sub(per_second) {
                let span = at.since(setups[earlier]);
                assert!(span > Span::from_secs(1), "MT-12: {per_second} set-ups in {span}");
            }
        }
        setups.push(at);

        assert!(dial.at <= at, "a dial is due when its entry is made, or was before");
        let tenant = self.declared.tenants.iter().find(|t| t.account == dial.account);
        if let Some(tenant) = tenant {
            assert!(!tenant.suspended, "a suspended tenant starts nothing");
            if let (Some(throttle), Some(last)) =
                (tenant.limits.throttle, self.last_due.get(&dial.account.0))
            {
                assert!(
                    dial.at.since(*last) >= throttle.spacing,
                    "MT-2: {:?}",
                    dial.at.since(*last)
                );
            }
            for cap in &tenant.limits.caps {
                let mine = |(_, d): &&(Timestamp, Dial)| d.account == dial.account;
                let forgotten = self.forgotten.get(&dial.account.0).copied().unwrap_or(0);
                let inside = self.machine.dials[forgotten..].iter().rev().filter(mine);
                let inside = inside
                    .skip_while(|(_, d)| (d.call, d.attempt) != (dial.call, dial.attempt))
                    .take_while(|(other, _)| at.since(*other) < cap.window)
                    .count();
                assert!(inside <= cap.count as usize, "MT-3: {inside} in {:?}", cap.window);
            }
        }
        self.last_due.insert(dial.account.0, dial.at);
        self.dialled_in_batch(at, dial);
    }

    /// Holds a dial to its batch's plan: pacing, calling hours, attempts (DC-3).
    fn dialled_in_batch(&mut self, at: Timestamp, dial: &Dial) {
        let state = &self.machine.state;
        let batch_of = |call| state.call(call).and_then(|view| view.batch);
        let Some(batch) = batch_of(dial.call) else { return };
        let Some(plan) = self.plans.get(&batch) else { return };
        let open = |openings: &Openings| openings.spans.iter().any(|s| s.from <= at && at < s.to);
        assert!(plan.openings.as_ref().is_none_or(open), "{:?} out of hours", dial.call);
        assert!(
            plan.not_after.is_none_or(|end| at < end),
            "{:?} behind its batch's end",
            dial.call
        );
        assert!(plan.not_before.is_none_or(|begin| at >= begin), "{:?} is early", dial.call);
        if let (Some(throttle), Some(last)) = (plan.throttle, self.last_due_of.get(&batch)) {
            assert!(dial.at.since(*last) >= throttle.spacing, "the batch's pace");
        }
        if let Some(most) = plan.max_concurrent {
            let mine = |channel: &&Channel| {
                channel.until.is_none() && batch_of(channel.call) == Some(batch)
            };
            let up = self.channels.iter().filter(mine).count();
            assert!(up <= most as usize, "{up} of a batch are up");
        }
        if let Some((made, _, ended)) = self.definite.get(&dial.call) {
            let delay = plan.retry.as_ref().and_then(|retry| retry.delay(*made));
            let delay = delay.expect("no more attempts than the plan allows");
            assert!(at.since(*ended) >= delay, "another attempt after {}", at.since(*ended));
        }
        self.last_due_of.insert(batch, dial.at);
    }

    /// A caller is let in: over the channels that the world outside counts.
    fn admitted(&mut self, at: Timestamp, answer: &Answer) {
        let carrier = self.declared.carriers.iter().find(|c| c.name == answer.carrier);
        let carrier = carrier.expect("a caller comes over a declared carrier").clone();
        self.channels.retain(|channel| channel.until.is_none_or(|until| until > at));
        let held = self.channels.iter().filter(|channel| channel.carrier == *carrier.name);
        let held = held.count() as u32;
        assert!(held < carrier.channels.total(), "MT-12: {held} of {:?}", carrier.channels);
        self.channels.push(Channel {
            carrier: carrier.name.to_string(),
            call: answer.call,
            attempt: answer.attempt,
            inbound: true,
            until: None,
        });
    }

    /// Whether a caller of this carrier still rings, by the agents' own accounts.
    fn ringing_for(&self, carrier: &str) -> bool {
        let state = &self.machine.state;
        let ringing = self.agents.iter().filter(|agent| agent.connected);
        let mut calls = ringing.flat_map(|agent| agent.ringing.values().flatten());
        calls.any(|(call, _)| {
            state.call(*call).is_some_and(|view| {
                view.phase == Phase::Ringing && view.carrier.as_deref() == Some(carrier)
            })
        })
    }

    /// Whether every caller of this carrier rings at an agent that has no slot left.
    fn could_not_ring(&self, carrier: &str) -> bool {
        let state = &self.machine.state;
        let full = |agent: AgentIx| {
            state.agents().any(|view| view.agent == agent && view.in_use >= view.slots)
        };
        let calls = self.agents.iter().flat_map(|agent| agent.ringing.values().flatten());
        let mut views = calls.filter_map(|(call, _)| state.call(*call));
        views.all(|view| {
            let rings = view.phase == Phase::Ringing && view.carrier.as_deref() == Some(carrier);
            !rings || view.agent.is_some_and(full)
        })
    }

    fn agent_of(&mut self, number: AgentIx) -> Option<&mut Agent> {
        self.agents.iter_mut().find(|agent| agent.number == Some(number) && agent.connected)
    }

    fn ringing_at(&mut self, agent: AgentIx, offer: u64) -> Option<&mut Option<(CallId, u16)>> {
        self.agent_of(agent)?.ringing.get_mut(&offer)
    }

    fn deliver(&mut self, agent: AgentIx, fence: u64, call: CallId, attempt: u16) {
        if let Some(agent) = self.agent_of(agent) {
            assert!(fence <= agent.fence, "no order is ahead of the agent's fence");
            if fence == agent.fence {
                agent.inbox.push((call, attempt));
            }
        }
    }

    /// The caller may have gone in the meantime.
    fn deliver_answer(&mut self, answer: &Answer) {
        let rings = self.agent_of(answer.agent).and_then(|me| me.ringing.remove(&answer.offer));
        if rings.is_some() {
            self.deliver(answer.agent, answer.fence, answer.call, answer.attempt);
        } else if let Some(at) =
            self.agents.iter().position(|a| a.number == Some(answer.agent) && a.connected)
        {
            self.finish(at, answer.call, answer.attempt, Outcome::NoAnswer, true);
        }
    }

    /// A carrier offers a call at an agent; with `twice` the agent's message is heard again.
    pub fn offer(&mut self, agent: usize, tenant: u128, carrier: &str, ring: Span, twice: bool) {
        let me = &mut self.agents[agent];
        let (Some(number), true) = (me.number, me.connected) else { return };
        me.offers += 1;
        me.ringing.insert(me.offers, None);
        let mut spec = (*super::call("+15550100001").spec).clone();
        (spec.direction, spec.ring_timeout) = (Direction::Inbound, ring);
        let offer = Offer {
            agent: number,
            incarnation: me.incarnation,
            offer: me.offers,
            carrier: carrier.into(),
            account: super::account(tenant),
            spec: spec.into(),
        };
        let number = offer.offer;
        let Reply::Offered(verdicts) = self.apply(Command::Offer(vec![offer.clone()])) else {
            panic!("offers get verdicts")
        };
        if verdicts[0].is_err() {
            self.agents[agent].ringing.remove(&number);
        } else if twice {
            let again = self.apply(Command::Offer(vec![offer]));
            assert_eq!(again, Reply::Offered(vec![Err(Reason::Duplicate)]));
        }
    }

    /// A caller who hears it ring hangs up.
    pub fn give_up(&mut self, agent: usize, which: usize) {
        let ringing = &self.agents[agent].ringing;
        let known: Vec<_> =
            ringing.iter().filter_map(|(offer, call)| Some((*offer, (*call)?))).collect();
        if let (Some((offer, (call, attempt))), true) =
            (pick(&known, which), self.agents[agent].connected)
        {
            self.agents[agent].ringing.remove(&offer);
            self.finish(agent, call, attempt, Outcome::NoAnswer, true);
        }
    }

    fn hang_up(&mut self, number: AgentIx, call: CallId, attempt: u16) {
        let Some(agent) = self.agents.iter().position(|a| a.number == Some(number) && a.connected)
        else {
            return;
        };
        if self.agents[agent].inbox.contains(&(call, attempt)) {
            self.not_sent(agent, call, attempt, Reason::CanceledByTenant);
        } else if self.agents[agent].journal.get(&(call, attempt)).is_some_and(|leg| leg.live) {
            self.finish(agent, call, attempt, Outcome::Canceled, true);
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
    fn send(&mut self, agent: usize, call: CallId, attempt: u16, fate: u8) {
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

    fn not_sent(&mut self, agent: usize, call: CallId, attempt: u16, reason: Reason) {
        self.agents[agent].inbox.retain(|order| *order != (call, attempt));
        self.leave(call, true);
        self.tell(agent, call, attempt, CallEvent::NotSent(reason), false);
    }

    fn finish(&mut self, agent: usize, call: CallId, attempt: u16, outcome: Outcome, sure: bool) {
        self.agents[agent].journal.remove(&(call, attempt));
        if sure {
            self.leave(call, true);
            let made = self.definite.get(&call).map_or(0, |(made, ..)| *made);
            self.definite.insert(call, (made + 1, attempt, self.machine.now));
        }
        self.tell(agent, call, attempt, ended(outcome, sure), outcome == Outcome::Busy);
    }

    fn tell(&mut self, agent: usize, call: CallId, attempt: u16, event: CallEvent, twice: bool) {
        let agent = self.agents[agent].number.expect("it is connected");
        let heard_at = self.machine.now;
        let report = CallReport { agent, call, attempt, heard_at, event };
        let again = twice.then(|| report.clone());
        self.apply(Command::Reports([report].into_iter().chain(again).collect()));
    }

    /// The carrier counts a call no more, or until its quarantine ends.
    fn leave(&mut self, call: CallId, confirmed: bool) {
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
