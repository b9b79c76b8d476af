//! The reference model: what the state machine decides, said as slowly and plainly as it can be.
//!
//! It is written from what is documented (the capabilities' ids, `docs/guide`), not from the engine. It keeps every
//! request in one map and looks at all of them at each moment: no wheel, no ring, no parking, no wake-up. Of each decision
//! it says which requests may be the next one; that is one tenant's turn, unless several became ready at the very same
//! moment. The instant, the carrier, the worker's load, what was waited for, and whether a decision is made at all leave no
//! choice.
//!
//! | file | what it is |
//! |---|---|
//! | `requests` | requests, their queues, and which could start |
//! | `limits` | throttles and caps |
//! | `turns` | whose turn it is |
//! | `capacity`, `carrier` | channels, shares, rates and prices |
//! | `why` | what a request waited for |
//! | `commands`, `outcomes` | what tenants, operators and agents say |
//! | `callers` | inbound calls |
//! | `texts` | messages, batches of them, and those that come in |

mod callers;
mod capacity;
mod carrier;
mod commands;
pub mod declared;
mod limits;
mod outcomes;
pub mod requests;
mod texts;
mod turns;
mod why;

use std::collections::{BTreeMap, BTreeSet};

use busyhour_base::{ApplicationSid, Reason, Timestamp};
use busyhour_controller_core::{
    command::Entry,
    effect::{Answer, Dial, Effect, Phase, Reply},
    message::MessageRecord,
    spec::{BatchId, CallId},
};

use self::{
    callers::Caller,
    capacity::Capacity,
    limits::Gate,
    requests::{Batch, Owner, Place, Request},
    texts::Texts,
    turns::{Candidate, Range, Turns},
};

/// Microseconds.
pub type Instant = u64;

/// What a late tick finds undone is done as of its own instant, unless that is longer ago than this (MT-2).
const LATENESS_MAX: Instant = 200_000;

/// An agent's slots and the calls that it has.
#[derive(Default, Debug)]
struct Agent {
    slots: u32,
    calls: u32,
}

/// See the module.
#[derive(Default)]
pub struct Model {
    /// The last moment that was looked at, and the instant of the entry that it was looked at for.
    now: Instant,
    entry: Instant,
    tenants: BTreeMap<u128, Owner>,
    applications: BTreeMap<(u128, ApplicationSid), Gate>,
    numbers: BTreeMap<(u128, String), Gate>,
    requests: BTreeMap<CallId, Request>,
    batches: BTreeMap<BatchId, Batch>,
    callers: BTreeMap<CallId, Caller>,
    capacity: Capacity,
    agents: Vec<Agent>,
    turns: Turns,
    readied: i64,
    started: i64,
    planned: u64,
    /// Tables of routes that have been in force.
    tables: u64,
    ended: BTreeSet<CallId>,
    pub texts: Texts,
    /// Decisions that the model made alike, and those that left a choice.
    pub decisions: u64,
    pub choices: u64,
}

/// A call starts.
#[derive(Clone, Copy, Debug)]
enum Start<'a> {
    Dial(&'a Dial),
    Answer(&'a Answer),
}

impl Model {
    /// Goes along with an entry that the machine has applied, and says where the machine did otherwise. `records` are those of
    /// the messages that ended with it.
    pub fn follow(
        &mut self,
        entry: &Entry,
        reply: &Reply,
        effects: &[Effect],
        records: &[MessageRecord],
    ) -> Result<(), String> {
        let starts = effects.iter().filter_map(|effect| match effect {
            Effect::Dial(dial) => Some(Start::Dial(dial)),
            Effect::Answer(answer) => Some(Start::Answer(answer)),
            _ => None,
        });
        let mut starts: Vec<_> = starts.collect();
        starts.reverse();
        let at = entry.at.0;
        self.entry = at;
        // What is over by now does not start, though it was due a little earlier and the tick came late.
        self.expire(at);
        while let Some(moment) = self.next_moment().filter(|moment| *moment <= at) {
            self.moment(moment.max(at - LATENESS_MAX), &mut starts)?;
        }
        self.now = at;
        self.command(&entry.command, reply)?;
        self.moment(at, &mut starts)?;
        if let Some(start) = starts.last() {
            return Err(format!("started {start:?}, which may not"));
        }
        self.compare_rings(effects)?;
        let told = effects.iter().filter_map(|effect| match effect {
            Effect::Changed { call, phase: Phase::Ended(_), .. } => Some(*call),
            _ => None,
        });
        let (told, ended) = (told.collect::<BTreeSet<_>>(), std::mem::take(&mut self.ended));
        if told != ended {
            return Err(format!("ended {told:?} instead of {ended:?}"));
        }
        self.texts.follow(entry, reply, effects, records.iter())
    }

    /// The next instant at which time alone changes something.
    fn next_moment(&self) -> Option<Instant> {
        let waiting = self.requests.values().filter(|request| request.waits());
        let own = waiting.flat_map(|request| [request.not_before, request.expires]).flatten();
        let batches = self.batches.values().filter(|batch| !batch.over).flat_map(Batch::moments);
        let gates = self.gates().flat_map(Gate::moments);
        let callers = self.callers.values().map(|caller| caller.until);
        let moments = own.chain(batches).chain(gates).chain(self.capacity.moments()).chain(callers);
        moments.filter(|at| *at > self.now).min()
    }

    /// What begins at this moment begins, then whoever may start starts: first callers, then requests.
    fn moment(&mut self, moment: Instant, starts: &mut Vec<Start>) -> Result<(), String> {
        self.now = moment;
        self.capacity.pass(moment);
        self.begin();
        self.answer_callers(starts)?;
        loop {
            let candidates = self.candidates();
            self.turns.keep(&candidates.iter().map(Candidate::root).collect());
            let class = |account, route: &_| self.capacity.class(account, route);
            self.turns.look(&candidates, class, moment);
            let feasible = self.feasible(&candidates);
            let allowed = self.turns.first(feasible.iter().copied());
            self.look_at_waiting(allowed.is_empty())?;
            if allowed.is_empty() {
                return Ok(());
            }
            let Some(Start::Dial(dial)) = starts.pop() else {
                return Err(format!("started nobody at {moment}, though {allowed:?} may"));
            };
            let candidate = feasible.iter().find(|candidate| candidate.call == dial.call);
            let Some(candidate) = candidate.filter(|_| allowed.contains(&dial.call)) else {
                return Err(format!(
                    "started {:?} of {} instead of {allowed:?}\n{:?}\n{feasible:?}",
                    dial.call, dial.account.0, self.turns
                ));
            };
            if dial.at != Timestamp(moment) {
                return Err(format!("{:?} was due at {moment}, not {}", dial.call, dial.at.0));
            }
            self.turns.served(candidate, 1, feasible.iter().copied());
            self.compare_words(dial)?;
            self.start(dial, candidate)?;
            self.decisions += 1;
            self.choices += u64::from(allowed.len() > 1);
        }
    }

    fn start(&mut self, dial: &Dial, candidate: &Candidate) -> Result<(), String> {
        let (now, made, call) = (self.now, self.entry, dial.call);
        let request = self.requests[&call].clone();
        let able = self.capacity.able(candidate.class, &candidate.route, &request.to, now);
        let carrier = able[0];
        if *self.capacity.line(carrier).declared.name != *dial.carrier {
            return Err(format!("sent {call:?} over {}, not the first of {able:?}", dial.carrier));
        }
        self.take_slot(usize::from(dial.agent.0))?;
        if !request.passed() {
            self.gates_of(&request).into_iter().for_each(|gate| gate.start(1, now, made));
        }
        let line = self.capacity.line_mut(carrier);
        let moved = line.moved;
        line.set_up(candidate.account, now, made);
        let (sent, answered, back) = (false, false, self.place_if_not_sent(&request));
        self.at(call).table = self.tables;
        self.at(call).place = Place::Up { carrier, due: now, made, moved, sent, answered, back };
        Ok(())
    }

    /// Before all that have not started, and behind those that have started before it; who has been put there is there still.
    fn place_if_not_sent(&mut self, request: &Request) -> Range<i64> {
        let Place::Waiting(stood) = request.place else { unreachable!("it waited") };
        self.started += 1;
        let behind = i64::MIN + self.started;
        Range { least: stood.least.min(behind), most: stood.most.min(behind) }
    }

    /// MT-29: the agent with the least load for its size takes the call.
    fn take_slot(&mut self, chosen: usize) -> Result<(), String> {
        let least = self.agents.iter().filter(|agent| agent.calls < agent.slots);
        let least = least.min_by(|a, b| (a.calls * b.slots).cmp(&(b.calls * a.slots)));
        let (least, agent) = (least.expect("a start needs one"), &self.agents[chosen]);
        if agent.calls * least.slots != least.calls * agent.slots {
            return Err(format!("gave a call to agent {chosen} of {:?}", self.agents));
        }
        self.agents[chosen].calls += 1;
        Ok(())
    }

    /// What a call is said to have waited for is what it waited for last, and how long is since it could have started.
    fn compare_words(&mut self, dial: &Dial) -> Result<(), String> {
        let request = &self.requests[&dial.call];
        let mut words = request.held.words(self.now);
        if request.held.just_came(self.now) {
            // It may share the words of the queue that it joined at this very moment.
            let queue = self.lane_of(request);
            let beside = self.requests.values().filter(|other| self.lane_of(other) == queue);
            words.extend(beside.flat_map(|other| other.held.words(self.now)));
        }
        if !words.contains(&dial.held_by) {
            let (call, said) = (dial.call, dial.held_by);
            return Err(format!("said {said:?} of {call:?}, which waited for {words:?}"));
        }
        let since = request.not_before.unwrap_or(0).max(request.accepted);
        if dial.waited.0 != self.now.saturating_sub(since) {
            return Err(format!("said {:?} that it waited {:?}", dial.call, dial.waited));
        }
        Ok(())
    }

    /// Notes what keeps those who wait, before each start and when nothing more starts: then something keeps every one.
    fn look_at_waiting(&mut self, over: bool) -> Result<(), String> {
        let busy = self.agents.iter().all(|agent| agent.calls >= agent.slots);
        let mut said = Vec::new();
        for (call, request) in &self.requests {
            if !matches!(request.place, Place::Waiting(_)) {
                continue;
            }
            let mut reasons = self.kept_by(request);
            if busy {
                reasons.insert(Reason::Workers);
            }
            said.push((*call, reasons));
        }
        for (call, reasons) in said {
            if over && reasons.is_empty() && self.is_front(call) {
                return Err(format!("the model knows nothing that keeps {call:?}"));
            }
            let now = self.now;
            self.at(call).held.looked(now, &reasons);
        }
        Ok(())
    }

    /// Calls that are up, for a history to go on with.
    pub fn up(&self) -> Vec<CallId> {
        let up =
            self.requests.iter().filter(|(_, request)| matches!(request.place, Place::Up { .. }));
        let answered = self.callers.iter().filter(|(_, caller)| caller.answered);
        up.map(|(call, _)| *call).chain(answered.map(|(call, _)| *call)).collect()
    }

    /// Calls that wait, with their tenants.
    pub fn waiting(&self) -> Vec<(CallId, u128)> {
        let waiting = self.requests.iter().filter(|(_, request)| request.waits());
        waiting.map(|(call, request)| (*call, request.account)).collect()
    }

    /// Batches that are not over, of messages after those of calls.
    pub fn open_batches(&self) -> Vec<BatchId> {
        let calls = self.batches.iter().filter(|(_, batch)| !batch.over).map(|(id, _)| *id);
        calls.chain(self.texts.open_batches().into_iter().map(|(batch, _)| batch)).collect()
    }
}
