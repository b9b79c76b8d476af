//! The simulated carrier: it treats calls as the behaviour says, and keeps its own account of channels and
//! set-ups. It knows nothing of the controller's ledger.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use busyhour_agent_core::leg::Input;
use busyhour_base::{Span, Timestamp};

use super::Key;
use crate::{
    behaviour::{Behaviour, ScriptedOutcome},
    report::CarrierReport,
};

/// The length of the window in which set-ups are counted.
const SECOND: Span = Span::from_secs(1);
/// Less audio than this does not count as heard.
pub const HEARD_MIN: Span = Span::from_millis(200);

/// What the carrier does next, of its own accord.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Step {
    /// 180.
    Ring,
    /// The final response.
    Conclude,
    /// The called party presses a key.
    Press(char),
    /// The called party has had enough.
    HangUp,
    /// The caller has not been heard of for too long.
    Abandon,
}

/// One carrier.
#[derive(Debug)]
pub struct Carrier {
    account: CarrierReport,
    in_use: BTreeMap<Key, Call>,
    /// Its customers who are on their way to a tenant's number.
    calling: BTreeSet<usize>,
    /// Those who were answered: each has a channel.
    talking: BTreeSet<usize>,
    /// Instants of the set-ups within the last second.
    setups: VecDeque<Timestamp>,
    dialled: BTreeSet<u64>,
    /// Everything that it ever saw, by number of the call.
    seen: BTreeMap<u64, Seen>,
}

#[derive(Debug)]
struct Call {
    to: String,
    answered: bool,
}

/// What the carrier saw of a call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Seen {
    /// Its INVITE.
    pub invited: Timestamp,
    /// When its channel was free again.
    pub ended: Option<Timestamp>,
    /// It was answered.
    pub answered: bool,
    /// Audio that the called party was played.
    pub heard: Span,
}

impl Seen {
    /// Whether there was enough of it to be speech.
    pub fn speech_heard(&self) -> bool {
        self.heard >= HEARD_MIN
    }
}

/// What a message brings about: at once for the caller, and later of the carrier's own accord.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Responses and requests to the caller.
    pub replies: Vec<Input>,
    /// Own steps, from now.
    pub steps: Vec<(Span, Step)>,
}

impl Outcome {
    fn reply(input: Input) -> Self {
        Self { replies: vec![input], steps: Vec::new() }
    }
}

impl Carrier {
    /// A carrier with this contract.
    pub fn new(name: &str, channels: u32, calls_per_second: u32) -> Self {
        let account = CarrierReport {
            name: name.to_owned(),
            channels: u64::from(channels),
            channels_peak: 0,
            calls_per_second: u64::from(calls_per_second),
            setups_peak: 0,
            breaches: 0,
            duplicates: 0,
        };
        Self {
            account,
            in_use: BTreeMap::new(),
            calling: BTreeSet::new(),
            talking: BTreeSet::new(),
            setups: VecDeque::new(),
            dialled: BTreeSet::new(),
            seen: BTreeMap::new(),
        }
    }

    /// Its account so far.
    pub fn account(&self) -> &CarrierReport {
        &self.account
    }

    /// Channels in use.
    pub fn in_use(&self) -> u64 {
        (self.in_use.len() + self.talking.len()) as u64
    }

    /// What it saw of a call.
    pub fn seen(&self, call: u64) -> Option<&Seen> {
        self.seen.get(&call)
    }

    /// An INVITE.
    pub fn invite(&mut self, now: Timestamp, key: Key, to: &str, behaviour: &Behaviour) -> Outcome {
        if !self.dialled.insert(key.call.0) {
            self.account.duplicates += 1;
        }
        let seen = Seen { invited: now, ended: None, answered: false, heard: Span::ZERO };
        self.seen.entry(key.call.0).or_insert(seen);
        if self.breaches(now) {
            self.account.breaches += 1;
            self.close(now, key);
            return Outcome::reply(Input::Refused(503));
        }
        self.in_use.insert(key, Call { to: to.to_owned(), answered: false });
        let script = behaviour.script(to);
        let mut outcome = Outcome::reply(Input::Provisional(100));
        outcome.steps.extend(script.rings_after.map(|after| (after, Step::Ring)));
        match script.outcome {
            ScriptedOutcome::Answer { after, .. } | ScriptedOutcome::Refuse { after, .. } => {
                outcome.steps.push((after, Step::Conclude));
            }
            ScriptedOutcome::NoAnswer => {}
        }
        outcome
    }

    /// A customer calls a tenant's number; `false` if no channel is left for that.
    pub fn calls_in(&mut self, caller: usize) -> bool {
        let room = self.in_use() + (self.calling.len() as u64) < self.account.channels;
        if room {
            self.calling.insert(caller);
        }
        room
    }

    /// A customer was answered. Whoever answers more of them than there are channels breaks the contract.
    pub fn answered(&mut self, caller: usize) {
        self.calling.remove(&caller);
        self.talking.insert(caller);
        self.account.channels_peak = self.account.channels_peak.max(self.in_use());
        self.account.breaches += u64::from(self.in_use() > self.account.channels);
    }

    /// A customer's call is over.
    pub fn caller_over(&mut self, caller: usize) {
        self.calling.remove(&caller);
        self.talking.remove(&caller);
    }

    /// Counts a set-up and says whether it goes over the contract.
    fn breaches(&mut self, now: Timestamp) -> bool {
        while self.setups.front().is_some_and(|at| now.since(*at) >= SECOND) {
            self.setups.pop_front();
        }
        self.setups.push_back(now);
        let (setups, channels) = (self.setups.len() as u64, self.in_use() + 1);
        self.account.setups_peak = self.account.setups_peak.max(setups);
        self.account.channels_peak = self.account.channels_peak.max(channels);
        setups > self.account.calls_per_second || channels > self.account.channels
    }

    /// One of its own steps has come.
    pub fn step(&mut self, now: Timestamp, key: Key, step: Step, behaviour: &Behaviour) -> Outcome {
        let Some(call) = self.in_use.get_mut(&key) else { return Outcome::default() };
        match step {
            Step::Ring if !call.answered => Outcome::reply(Input::Provisional(180)),
            Step::Ring => Outcome::default(),
            Step::Press(digit) => Outcome::reply(Input::Digit(digit)),
            Step::HangUp => {
                self.close(now, key);
                Outcome::reply(Input::FarHangUp)
            }
            Step::Abandon => {
                self.close(now, key);
                Outcome::default()
            }
            Step::Conclude => match behaviour.script(&call.to).outcome {
                ScriptedOutcome::Answer { patience, keys, .. } => {
                    call.answered = true;
                    if let Some(seen) = self.seen.get_mut(&key.call.0) {
                        seen.answered = true;
                    }
                    let presses =
                        keys.into_iter().map(|press| (press.after, Step::Press(press.key)));
                    let steps = presses.chain([(patience, Step::HangUp)]).collect();
                    Outcome { replies: vec![Input::Answered], steps }
                }
                ScriptedOutcome::Refuse { code, .. } => {
                    self.close(now, key);
                    Outcome::reply(Input::Refused(code))
                }
                ScriptedOutcome::NoAnswer => Outcome::default(),
            },
        }
    }

    /// A CANCEL. One that crosses an answer changes nothing (RFC 3261 section 9.2).
    pub fn cancel(&mut self, now: Timestamp, key: Key) -> Outcome {
        if self.in_use.get(&key).is_none_or(|call| call.answered) {
            return Outcome::default();
        }
        self.close(now, key);
        Outcome::reply(Input::Refused(487))
    }

    /// A BYE. One that crosses the called party's own is confirmed all the same.
    pub fn bye(&mut self, now: Timestamp, key: Key) -> Outcome {
        self.close(now, key);
        Outcome::reply(Input::Closed { confirmed: true })
    }

    /// The called party was played this much.
    pub fn hear(&mut self, key: Key, heard: Span) {
        if let Some(seen) = self.seen.get_mut(&key.call.0) {
            seen.heard = seen.heard + heard;
        }
    }

    fn close(&mut self, now: Timestamp, key: Key) {
        self.in_use.remove(&key);
        if let Some(seen) = self.seen.get_mut(&key.call.0) {
            seen.ended = Some(seen.ended.unwrap_or(now));
        }
    }
}
