//! Calls that the carriers' customers make to the tenants' numbers. The agent's shell around them is the production one in
//! short: it offers each call over its link, and does what the controller says, or the call's leg.

use std::{collections::BTreeMap, sync::Arc};

use busyhour_agent_core::{
    journal::Attempt,
    leg::{Input as LegInput, given_up},
};
use busyhour_base::{CallEvent, Reason, SidKey, Span, Timestamp, refusal};
use busyhour_controller_core::{
    command::{Command, Offer},
    effect::{Answer, Reply},
    spec::{AgentIx, CallId},
};

use super::{
    Key,
    agent::Running,
    carrier::HEARD_MIN,
    faults::GIVEN_UP_AFTER,
    world::{Event, World},
};
use crate::{
    report::CallerRow,
    scenario::{Caller, PATIENCE},
};

/// What happens between a caller and an agent.
pub enum CallerEvent {
    /// The caller calls: the carrier takes a channel for it and sends an INVITE.
    Calls,
    /// The INVITE reaches its agent.
    Arrives,
    /// The agent's offer reaches the controller, over this link.
    Offered {
        /// By number.
        link: u64,
    },
    /// The controller's order to answer reaches the agent, over this link.
    Answer {
        /// By number.
        link: u64,
        /// The order.
        answer: Box<Answer>,
    },
    /// The controller's refusal reaches the agent, over this link.
    Refuse {
        /// By number.
        link: u64,
        /// Why.
        reason: Reason,
    },
    /// The agent's refusal reaches the caller.
    Refused {
        /// Status of SIP.
        status: u16,
        /// Why.
        reason: Reason,
    },
    /// 200 reaches the caller.
    Answered,
    /// The caller has let it ring for long enough.
    GivesUp,
    /// The caller has listened for long enough.
    HangsUp,
    /// The agent's BYE reaches the caller.
    HungUp,
    /// Whatever was under way is over at the caller's side.
    Over {
        /// The far end said so.
        confirmed: bool,
    },
}

/// Where a caller stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Waits,
    Rings,
    Listens,
    HangsUp,
    Over,
}

/// One caller.
struct Calling {
    caller: Caller,
    agent: usize,
    stage: Stage,
    /// Of its agent's process; nothing while it is not offered.
    offer: Option<u64>,
    key: Option<Key>,
    invited: Timestamp,
    answered: Option<Timestamp>,
    ended: Option<Timestamp>,
    heard: Span,
    status: u16,
    reason: Option<Reason>,
    confirmed: bool,
}

/// Every caller.
pub struct Callers {
    all: Vec<Calling>,
    keys: BTreeMap<Key, usize>,
}

impl Callers {
    /// The scenario's callers, who call agents in turn.
    pub fn new(callers: Vec<Caller>, agents: usize) -> Self {
        let calling = |caller: Caller| Calling {
            agent: caller.number as usize % agents.max(1),
            caller,
            stage: Stage::Waits,
            offer: None,
            key: None,
            invited: Timestamp::default(),
            answered: None,
            ended: None,
            heard: Span::ZERO,
            status: 0,
            reason: None,
            confirmed: false,
        };
        Self { all: callers.into_iter().map(calling).collect(), keys: BTreeMap::new() }
    }

    /// How many are not over.
    pub fn left(&self) -> usize {
        self.all.iter().filter(|calling| calling.stage != Stage::Over).count()
    }

    /// From the beginning to each one's call, in order.
    pub fn times(&self) -> impl Iterator<Item = Span> {
        self.all.iter().map(|calling| calling.caller.after)
    }

    /// The caller at the other end of an attempt.
    pub fn of(&self, key: Key) -> Option<usize> {
        self.keys.get(&key).copied()
    }

    /// The call of a number, if it is a caller's.
    pub fn is_call(&self, call: CallId) -> bool {
        let of_call = Key { call, attempt: 0, agent: AgentIx(0) }..=Key {
            call,
            attempt: u16::MAX,
            agent: AgentIx(u16::MAX),
        };
        self.keys.range(of_call).next().is_some()
    }

    /// The caller was played this much.
    pub fn hear(&mut self, of: usize, heard: Span) {
        self.all[of].heard = self.all[of].heard + heard;
    }

    /// Which of an agent's callers this offer is of.
    fn of_offer(&self, agent: usize, offer: u64) -> Option<usize> {
        self.all.iter().position(|calling| calling.agent == agent && calling.offer == Some(offer))
    }

    /// What became of everybody, by called number.
    pub fn rows(&self) -> BTreeMap<&str, Vec<CallerRow>> {
        let first = self.all.iter().map(|calling| calling.invited).min().unwrap_or_default();
        let mut rows = BTreeMap::<_, Vec<_>>::new();
        for calling in &self.all {
            let ended = calling.ended.unwrap_or(calling.invited);
            let row = CallerRow {
                nth: calling.caller.nth,
                start_us: calling.invited.since(first).as_micros(),
                status: calling.status,
                reason: calling.reason.map_or_else(String::new, |reason| reason.to_string()),
                talk_us: calling.answered.map_or(0, |at| ended.since(at).as_micros()),
                speech_heard: calling.heard >= HEARD_MIN,
                confirmed: calling.confirmed,
            };
            rows.entry(calling.caller.call.to.as_str()).or_default().push(row);
        }
        rows
    }
}

impl World<'_> {
    /// Something happens to a caller.
    pub(super) fn on_caller(&mut self, now: Timestamp, of: usize, event: CallerEvent) {
        let stage = self.callers.all[of].stage;
        match event {
            CallerEvent::Calls => self.caller_calls(now, of),
            CallerEvent::Arrives => self.caller_arrives(now, of),
            CallerEvent::Offered { link } => self.caller_offered(now, of, link),
            CallerEvent::Answer { link, answer } => self.caller_answer(now, of, link, &answer),
            CallerEvent::Refuse { link, reason } => {
                let agent = self.callers.all[of].agent;
                if self.agents[agent].link == Some(link) {
                    self.refuse_caller(now, of, reason);
                }
            }
            CallerEvent::Refused { status, reason } if stage == Stage::Rings => {
                let calling = &mut self.callers.all[of];
                (calling.status, calling.reason) = (status, Some(reason));
                self.caller_over(now, of, true);
            }
            CallerEvent::Answered if stage == Stage::Rings => {
                let calling = &mut self.callers.all[of];
                (calling.stage, calling.status) = (Stage::Listens, 200);
                calling.answered = Some(now);
                let (listens, key) = (calling.caller.listens, calling.key);
                if let Some(carrier) = self.carriers.get_mut(&calling.caller.carrier) {
                    carrier.answered(of);
                }
                if let Some(key) = key {
                    self.signal(now, Event::Leg(key, LegInput::Answered));
                }
                self.queue.put(now + listens, Event::Caller(of, CallerEvent::HangsUp));
            }
            CallerEvent::GivesUp if stage == Stage::Rings => self.caller_gives_up(now, of),
            CallerEvent::HangsUp if stage == Stage::Listens => self.caller_hangs_up(now, of),
            CallerEvent::HungUp if stage == Stage::Listens || stage == Stage::HangsUp => {
                self.caller_over(now, of, true);
            }
            CallerEvent::Over { confirmed } if stage != Stage::Over => {
                self.caller_over(now, of, confirmed);
            }
            // It crossed something that ended the call.
            _ => {}
        }
    }

    fn tell_caller(&mut self, at: Timestamp, of: usize, event: CallerEvent) {
        self.queue.put(at, Event::Caller(of, event));
    }

    /// A message of SIP, on its way.
    fn signal(&mut self, now: Timestamp, event: Event) {
        self.queue.put(now + self.input.latencies.signalling, event);
    }

    fn caller_calls(&mut self, now: Timestamp, of: usize) {
        let calling = &mut self.callers.all[of];
        calling.invited = now;
        calling.stage = Stage::Rings;
        let carrier = calling.caller.carrier.clone();
        if !self.carriers.get_mut(&carrier).is_some_and(|carrier| carrier.calls_in(of)) {
            // Its own network is busy, and nobody else hears of it.
            calling.reason = Some(Reason::CarrierChannels);
            return self.caller_over(now, of, true);
        }
        self.signal(now, Event::Caller(of, CallerEvent::Arrives));
        self.tell_caller(now + PATIENCE, of, CallerEvent::GivesUp);
    }

    fn caller_arrives(&mut self, now: Timestamp, of: usize) {
        let agent = self.callers.all[of].agent;
        let shell = &mut self.agents[agent];
        // Nobody hears a process that is gone; without its link it refuses.
        if !shell.alive {
            return;
        }
        let Some(link) = shell.link else {
            return self.refuse_caller(now, of, Reason::LinkLost);
        };
        shell.offered += 1;
        self.callers.all[of].offer = Some(shell.offered);
        let at = now + self.input.latencies.control;
        self.tell_caller(at, of, CallerEvent::Offered { link });
    }

    fn caller_offered(&mut self, now: Timestamp, of: usize, link: u64) {
        let Calling { caller, agent, offer, .. } = &self.callers.all[of];
        let shell = &self.agents[*agent];
        let Some(offer) = offer.filter(|_| shell.link == Some(link)) else { return };
        let (agent, account) = (shell.number, caller.account);
        let offer = Offer {
            agent,
            incarnation: shell.incarnation,
            offer,
            carrier: Arc::from(caller.carrier.as_str()),
            account,
            spec: Arc::new(caller.call.clone()),
        };
        let Reply::Offered(verdicts) = self.apply(Command::Offer(vec![offer])) else { return };
        match verdicts.first() {
            Some(Ok(call)) => {
                self.watch.on_accepted(now, *call, account);
                self.caller_taken(of, Key { call: *call, attempt: 1, agent });
            }
            Some(Err(reason)) => {
                let at = now + self.input.latencies.control;
                self.tell_caller(at, of, CallerEvent::Refuse { link, reason: *reason });
            }
            None => {}
        }
    }

    /// It is known which call it is.
    fn caller_taken(&mut self, of: usize, key: Key) {
        self.callers.all[of].key = Some(key);
        self.callers.keys.insert(key, of);
    }

    /// The controller orders that a caller be answered.
    pub(super) fn order_answer(&mut self, now: Timestamp, answer: Answer) {
        let Some(agent) = self.index_of(answer.agent) else { return };
        let of = self.callers.of_offer(agent, answer.offer);
        let (Some(of), Some(link)) = (of, self.agents[agent].link) else { return };
        let at = now + self.input.latencies.control;
        self.tell_caller(at, of, CallerEvent::Answer { link, answer: Box::new(answer) });
    }

    /// The controller orders that a caller be refused.
    pub(super) fn order_refusal(
        &mut self,
        now: Timestamp,
        agent: AgentIx,
        offer: u64,
        reason: Reason,
    ) {
        let Some(agent) = self.index_of(agent) else { return };
        let of = self.callers.of_offer(agent, offer);
        let (Some(of), Some(link)) = (of, self.agents[agent].link) else { return };
        let at = now + self.input.latencies.control;
        self.tell_caller(at, of, CallerEvent::Refuse { link, reason });
    }

    fn caller_answer(&mut self, now: Timestamp, of: usize, link: u64, answer: &Answer) {
        let Calling { agent, stage, offer, .. } = self.callers.all[of];
        if self.agents[agent].link != Some(link) || offer != Some(answer.offer) {
            return;
        }
        let key = Key { call: answer.call, attempt: answer.attempt, agent: answer.agent };
        if stage != Stage::Rings {
            // The answer has crossed the end of the caller's patience.
            let rung = now.since(self.callers.all[of].invited);
            return self.report_call(now, key, CallEvent::Ended(given_up(rung)));
        }
        let shell = &mut self.agents[agent];
        let attempt = Attempt { call: answer.call.0, attempt: u32::from(answer.attempt) };
        let entries = match shell.journal.to_send(attempt, answer.fence) {
            Ok(_) if shell.legs.len() >= shell.slots => Err(Reason::AgentFull),
            judged => judged,
        };
        match entries {
            Ok(entries) => {
                shell.journal.extend(&entries);
                let sids = SidKey(u128::from(self.input.scenario.behaviour.seed));
                shell.legs.insert(key, Running::answering(answer, sids));
                self.queue.put(now + self.faults.journal, Event::Leg(key, LegInput::Start));
            }
            Err(reason) => {
                self.refuse_caller(now, of, reason);
                self.report_call(now, key, CallEvent::NotSent(reason));
            }
        }
    }

    /// The agent refuses a caller.
    fn refuse_caller(&mut self, now: Timestamp, of: usize, reason: Reason) {
        self.callers.all[of].offer = None;
        let (status, _) = refusal(reason);
        self.signal(now, Event::Caller(of, CallerEvent::Refused { status, reason }));
    }

    /// An agent's link is gone, and with it the offers that were not decided on.
    pub(super) fn refuse_callers(&mut self, now: Timestamp, agent: usize) {
        for of in 0..self.callers.all.len() {
            let Calling { agent: at, stage, offer, key, .. } = self.callers.all[of];
            let runs = key.is_some_and(|key| self.agents[agent].legs.contains_key(&key));
            if at == agent && stage == Stage::Rings && offer.is_some() && !runs {
                self.refuse_caller(now, of, Reason::LinkLost);
            }
        }
    }

    /// An agent's process is gone: nobody answers its callers any more.
    pub(super) fn abandon_callers(&mut self, agent: usize) {
        let of_it = self.callers.all.iter_mut().filter(|calling| calling.agent == agent);
        of_it.for_each(|calling| calling.offer = None);
    }

    fn caller_gives_up(&mut self, now: Timestamp, of: usize) {
        let Calling { agent, offer, key, invited, .. } = self.callers.all[of];
        let runs = key.is_some_and(|key| self.agents[agent].legs.contains_key(&key));
        match key {
            Some(key) if runs => self.signal(now, Event::Leg(key, LegInput::FarHangUp)),
            Some(key) if offer.is_some() => {
                self.report_call(now, key, CallEvent::Ended(given_up(now.since(invited))));
            }
            _ => {}
        }
        let heard_of = self.agents[agent].alive && offer.is_some();
        self.caller_leaves(now, of);
        let calling = &mut self.callers.all[of];
        if heard_of {
            (calling.status, calling.reason) = (487, Some(Reason::CallerGaveUp));
        }
        let after =
            if heard_of { self.input.latencies.signalling.times(2) } else { GIVEN_UP_AFTER };
        self.tell_caller(now + after, of, CallerEvent::Over { confirmed: heard_of });
    }

    fn caller_hangs_up(&mut self, now: Timestamp, of: usize) {
        let Calling { agent, key, .. } = self.callers.all[of];
        let up = key.filter(|key| self.agents[agent].legs.contains_key(key));
        self.caller_leaves(now, of);
        let after = match up {
            Some(key) => {
                self.signal(now, Event::Leg(key, LegInput::FarHangUp));
                self.input.latencies.signalling.times(2)
            }
            None => GIVEN_UP_AFTER,
        };
        self.tell_caller(now + after, of, CallerEvent::Over { confirmed: up.is_some() });
    }

    /// The caller is done: its channel is free, whenever that is confirmed.
    fn caller_leaves(&mut self, now: Timestamp, of: usize) {
        let calling = &mut self.callers.all[of];
        calling.stage = Stage::HangsUp;
        calling.ended.get_or_insert(now);
        if let Some(carrier) = self.carriers.get_mut(&calling.caller.carrier) {
            carrier.caller_over(of);
        }
    }

    fn caller_over(&mut self, now: Timestamp, of: usize, confirmed: bool) {
        self.caller_leaves(now, of);
        let calling = &mut self.callers.all[of];
        (calling.stage, calling.confirmed) = (Stage::Over, confirmed);
    }

    /// A leg of a caller's call asks for something at its carrier: told as SIP would.
    pub(super) fn leg_tells_caller(&mut self, now: Timestamp, of: usize, event: CallerEvent) {
        self.signal(now, Event::Caller(of, event));
    }
}
