//! Messages (MT-8): a queue for each number and batch, one order over tenants, segments as the unit, and carriers of their own.
//!
//! | file | what it is |
//! |---|---|
//! | `queue` | what keeps a message, and which of them could be sent |
//! | `commands` | what operators and tenants say |
//! | `lines` | batches of messages, and when a line is sent again |
//! | `reports` | what carriers say |
//! | `arrivals` | messages that come in, and the asking of applications |
//! | `opt_outs` | STOP, START and HELP |

mod arrivals;
mod commands;
mod lines;
mod opt_outs;
mod queue;
mod reports;

use std::collections::{BTreeMap, BTreeSet};

use busyhour_base::{MessageStatus, Reason, Timestamp};
use busyhour_controller_core::{
    MessageOptions,
    command::Entry,
    effect::{Effect, Reply},
    message::{MessageCarrier, MessageEffect, MessageId, MessageRecord, Send},
    spec::{BatchId, CallId, Urgency},
};

use self::{
    arrivals::Arrivals,
    opt_outs::{OptOuts, Removed},
};
use super::{
    Instant, LATENESS_MAX,
    carrier::SETUP_LATENESS_MAX,
    limits::Gate,
    requests::Batch,
    turns::{Apart, Candidate, Root, Turns, WHOLE},
    why::Held,
};

#[derive(Clone, PartialEq, Eq, Debug)]
enum Place {
    Scheduled,
    Waiting(i64),
    /// With this carrier, which has not answered, since this entry; and where it waited.
    Sending(usize, u64, i64),
    /// A carrier has it under this name, and is to report on it until then.
    Sent {
        carrier: String,
        reference: String,
        until: Instant,
    },
    Over,
}

#[derive(Clone, Debug)]
struct Text {
    account: u128,
    from: String,
    to: String,
    batch: Option<BatchId>,
    segments: u32,
    urgency: Urgency,
    not_before: Option<Instant>,
    expires: Option<Instant>,
    place: Place,
    /// Counted over all messages each time that one is told when it may begin.
    planned: u64,
    /// Orders to send it, those of which nothing was sent, and those that came to an end and were followed by another.
    attempts: u32,
    unsent: u32,
    failed: u16,
    held: Held,
    /// It answers a STOP, START or HELP.
    last_word: bool,
}

impl Text {
    fn waits(&self) -> bool {
        matches!(self.place, Place::Scheduled | Place::Waiting(_))
    }

    /// Messages of one queue have this in common.
    fn queue(&self) -> (Urgency, u128, Option<BatchId>, String) {
        (self.urgency, self.account, self.batch, self.from.clone())
    }
}

/// What became of a message's turn.
#[derive(Clone, Copy, Debug)]
enum Turn<'a> {
    Sent(&'a Send),
    /// It ended instead, since its recipient has said STOP.
    Ended(MessageId),
}

impl Turn<'_> {
    fn message(&self) -> MessageId {
        match self {
            Self::Sent(send) => send.message,
            Self::Ended(message) => *message,
        }
    }

    /// When it was, if that is said.
    fn at(&self) -> Option<Timestamp> {
        match self {
            Self::Sent(send) => Some(send.at),
            Self::Ended(_) => None,
        }
    }
}

struct Line {
    declared: MessageCarrier,
    there: bool,
    in_use: u32,
    /// When the last message went, and how many segments it had.
    last: Option<(Instant, u32)>,
}

/// Everything about messages.
#[derive(Default)]
pub struct Texts {
    now: Instant,
    entry: Instant,
    index: u64,
    pub options: MessageOptions,
    tenants: BTreeMap<u128, (Gate, bool)>,
    numbers: BTreeMap<(u128, String), Gate>,
    texts: BTreeMap<MessageId, Text>,
    batches: BTreeMap<BatchId, (u128, Batch)>,
    /// The names of lines that were taken.
    named: BTreeSet<(BatchId, String)>,
    lines: Vec<Line>,
    /// The declared ones, in the order in which they are tried.
    order: Vec<usize>,
    turns: Turns,
    readied: i64,
    planned: u64,
    arrivals: Arrivals,
    opt_outs: OptOuts,
    removed: Vec<Removed>,
    ended: BTreeMap<MessageId, MessageStatus>,
    pub decisions: u64,
}

impl Texts {
    /// As [`super::Model::follow`]; `records` are those of the messages that have ended with this entry.
    pub fn follow<'a>(
        &mut self,
        entry: &Entry,
        reply: &Reply,
        effects: &[Effect],
        records: impl Iterator<Item = &'a MessageRecord>,
    ) -> Result<(), String> {
        let turns = effects.iter().filter_map(|effect| match effect {
            Effect::Message(MessageEffect::Send(send)) => Some(Turn::Sent(send)),
            Effect::Message(MessageEffect::Changed {
                message, reason: Reason::OptedOut, ..
            }) => Some(Turn::Ended(*message)),
            _ => None,
        });
        let mut turns: Vec<_> = turns.collect();
        turns.reverse();
        let at = entry.at.0;
        (self.entry, self.index) = (at, entry.index);
        let (fronts, capped) = (self.candidates(), self.capped());
        self.expire(at);
        // Until now they may have waited behind what has just expired or whose hours are over, and for which a cap had no room: how
        // long that takes depends on how long a message is.
        let over = |message: &MessageId| {
            let out_of_hours = self.limits_on(&self.texts[message]).contains(&Reason::Window);
            self.ended.contains_key(message) || out_of_hours
        };
        let expired = fronts.iter().any(|front| over(&MessageId(front.call.0)));
        let left = capped.iter().filter(|message| over(message));
        let left = left.map(|message| self.root(&self.texts[message])).collect();
        self.turns.left_behind(left);
        while let Some(moment) = self.next_moment().filter(|moment| *moment <= at) {
            if moment == at {
                self.turns.left_behind(BTreeSet::new());
            }
            self.moment(moment.max(at - LATENESS_MAX), &mut turns)?;
        }
        self.turns.left_behind(BTreeSet::new());
        if expired {
            self.moment(at, &mut turns)?;
        }
        self.now = at;
        self.command(&entry.command, reply, effects)?;
        self.moment(at, &mut turns)?;
        if let Some(turn) = turns.last() {
            return Err(format!("gave {turn:?}, whose turn it is not"));
        }
        self.compare_asks(effects)?;
        self.compare_ends(effects, records.map(|record| (record.message, record.status)).collect())
    }

    /// Each message that is over has one record of how it ended, and its tenant is told; except that no report came.
    fn compare_ends(
        &mut self,
        effects: &[Effect],
        records: BTreeMap<MessageId, MessageStatus>,
    ) -> Result<(), String> {
        let ended = std::mem::take(&mut self.ended);
        if records != ended {
            return Err(format!("recorded the ends {records:?} instead of {ended:?}"));
        }
        let told = effects.iter().filter_map(|effect| match effect {
            Effect::Message(MessageEffect::Changed { message, status, .. }) => {
                let over = *status == MessageStatus::Received || status.end().is_some();
                (over && *status != MessageStatus::Sent).then_some((*message, *status))
            }
            _ => None,
        });
        let told: BTreeMap<_, _> = told.collect();
        let sent = |status: &MessageStatus| *status == MessageStatus::Sent;
        if !told.iter().eq(ended.iter().filter(|(_, status)| !sent(status))) {
            return Err(format!("told of the ends {told:?} instead of {ended:?}"));
        }
        Ok(())
    }

    fn next_moment(&self) -> Option<Instant> {
        let waiting = self.texts.values().filter(|text| text.waits());
        let own = waiting.flat_map(|text| [text.not_before, text.expires]).flatten();
        let tenants = self.tenants.values().map(|(gate, _)| gate);
        let batches = self.batches.values().map(|(_, batch)| batch).filter(|batch| !batch.over);
        let times = batches.clone().flat_map(Batch::moments);
        let gates = tenants.chain(self.numbers.values()).chain(batches.map(|batch| &batch.gate));
        let moments = own.chain(times).chain(gates.flat_map(Gate::moments));
        let moments = moments.chain(self.lines.iter().map(Line::next));
        moments.filter(|at| *at > self.now).min()
    }

    /// MT-5: not tried at its expiry or after; what a batch has not sent by its end expires. A report that does not come is
    /// not waited for longer.
    fn expire(&mut self, now: Instant) {
        for (_, batch) in self.batches.values_mut() {
            batch.over |= batch.end().is_some_and(|at| at <= now);
        }
        let ended = self.batches.iter().filter(|(_, (_, batch))| batch.over);
        let ended: BTreeSet<_> = ended.map(|(batch, _)| *batch).collect();
        let over = |text: &Text| {
            let batch_over = text.batch.is_some_and(|batch| ended.contains(&batch));
            text.waits() && (batch_over || text.expires.is_some_and(|at| at <= now))
        };
        self.end_all(over, MessageStatus::Failed);
        let unreported =
            |text: &Text| matches!(text.place, Place::Sent { until, .. } if until <= now);
        self.end_all(unreported, MessageStatus::Sent);
        self.keep_turns();
    }

    fn end_all(&mut self, over: impl Fn(&Text) -> bool, status: MessageStatus) {
        let over = self.texts.iter().filter(|(_, text)| over(text));
        for message in over.map(|(message, _)| *message).collect::<Vec<_>>() {
            self.end(message, status);
        }
    }

    fn end(&mut self, message: MessageId, status: MessageStatus) {
        let text = self.texts.get_mut(&message).expect("it is known");
        if matches!(text.place, Place::Waiting(_)) {
            let root = root(text, self.turns.parts_kinds());
            self.turns.disturbed(&root);
        }
        text.place = Place::Over;
        self.ended.insert(message, status);
    }

    fn root(&self, text: &Text) -> Root {
        root(text, self.turns.parts_kinds())
    }

    fn keep_turns(&mut self) {
        let waiting = self.texts.values().filter(|text| matches!(text.place, Place::Waiting(_)));
        let waiting = waiting.map(|text| self.root(text)).collect();
        self.turns.keep(&waiting);
    }

    /// As [`super::Model::begin`].
    fn begin(&mut self) {
        let now = self.now;
        let due = self.texts.iter().filter(|(_, text)| {
            text.place == Place::Scheduled && text.not_before.is_none_or(|at| at <= now)
        });
        let due = due.map(|(message, text)| (text.not_before, text.planned, *message));
        let mut due: Vec<_> = due.collect();
        due.sort();
        for (begins, _, message) in due {
            self.readied += 1;
            let text = self.texts.get_mut(&message).expect("it is known");
            text.place = Place::Waiting(self.readied);
            let late = begins.is_some_and(|at| text.held.before(at));
            let why = match text.failed {
                0 if late => Reason::NotBefore,
                0 => Reason::Ready,
                _ => Reason::Retry,
            };
            text.held = Held::new(why, now);
        }
    }

    fn moment(&mut self, moment: Instant, turns: &mut Vec<Turn<'_>>) -> Result<(), String> {
        self.now = moment;
        self.begin();
        loop {
            let candidates = self.candidates();
            self.turns.keep(&candidates.iter().map(Candidate::root).collect());
            self.turns.look(&candidates, |_, _| 2, moment);
            let able = self.able();
            let open = candidates.iter().filter(|candidate| candidate.is_open());
            let feasible: Vec<_> = open.filter(|_| able.is_some()).collect();
            let (allowed, must) = self.allowed(&feasible);
            let starts = |turn: &&Turn<'_>| {
                // It is not said when a turn was that came to nothing. Who was left behind has it as of the entry.
                let left_behind =
                    || self.turns.is_left_behind(&self.root(&self.texts[&turn.message()]));
                let now = turn.at().map_or_else(|| !left_behind(), |at| at == Timestamp(moment));
                now && allowed.contains(&named(turn.message()))
            };
            if allowed.is_empty() || !must && turns.last().filter(starts).is_none() {
                self.look_at_waiting();
                return Ok(());
            }
            let Some(turn) = turns.pop() else {
                return Err(format!("sent nothing at {moment}, though {allowed:?} may be"));
            };
            let message = turn.message();
            let call = named(message);
            let candidate = feasible.iter().find(|candidate| candidate.call == call);
            let Some(candidate) = candidate.filter(|_| allowed.contains(&call)) else {
                return Err(format!("sent {message:?} instead of {allowed:?}"));
            };
            let line = able.expect("something may be sent");
            let units = self.texts[&message].segments;
            let stopped = self.is_stopped(&self.texts[&message]);
            let send = match turn {
                Turn::Sent(send) if !stopped => send,
                Turn::Ended(_) if stopped => {
                    self.turns.served(candidate, units, feasible.iter().copied());
                    self.take_turn(message, line);
                    // While it has its turn its batch has one more in progress.
                    self.place(message, Place::Sending(line, self.index, 0));
                    self.look_at_waiting();
                    self.place(message, Place::Over);
                    self.ended.insert(message, MessageStatus::Failed);
                    self.decisions += 1;
                    continue;
                }
                _ => return Err(format!("gave {turn:?}, whose recipient has stopped: {stopped}")),
            };
            if send.at != Timestamp(moment) {
                return Err(format!("{:?} was due at {moment}, not {}", send.message, send.at.0));
            }
            if self.lines[line].declared.name != send.carrier {
                return Err(format!("sent {:?} over {}", send.message, send.carrier));
            }
            self.turns.served(candidate, units, feasible.iter().copied());
            self.compare_words(send)?;
            self.send(send, line);
            self.decisions += 1;
        }
    }

    /// Whose turn it may be, and whether somebody has it: what may wait behind something longer of its tenant need not go.
    fn allowed(&self, feasible: &[&Candidate]) -> (BTreeSet<CallId>, bool) {
        let (held_up, sure): (Vec<_>, Vec<_>) =
            feasible.iter().partition(|candidate| self.turns.is_held_up(&candidate.root()));
        let mut allowed = self.turns.first(sure.iter().copied());
        let must = !allowed.is_empty();
        for one in held_up {
            let first = self.turns.first(sure.iter().copied().chain([one]));
            allowed.extend(first.contains(&one.call).then_some(one.call));
        }
        (allowed, must)
    }

    fn place(&mut self, message: MessageId, place: Place) {
        self.texts.get_mut(&message).expect("it is known").place = place;
    }

    fn send(&mut self, send: &Send, at: usize) {
        self.take_turn(send.message, at);
        self.lines[at].in_use += 1;
        let text = self.texts.get_mut(&send.message).expect("it is known");
        let Place::Waiting(stood) = text.place else { unreachable!("it waited") };
        text.place = Place::Sending(at, self.index, stood);
        text.attempts += 1;
    }

    /// Whatever becomes of a turn, it counts for whoever has a pace.
    fn take_turn(&mut self, message: MessageId, at: usize) {
        let (now, made) = (self.now, self.entry);
        let text = &self.texts[&message];
        let (units, account, batch) = (text.segments, text.account, text.batch);
        let from = text.from.clone();
        let number = self.numbers.get_mut(&(account, from));
        number.expect("it is known").start(units, now, made);
        if let Some((_, batch)) = batch.and_then(|batch| self.batches.get_mut(&batch)) {
            batch.gate.start(units, now, made);
        }
        self.tenants.get_mut(&account).expect("it is known").0.start(units, now, made);
        self.turns.used(account, WHOLE * u64::from(units), now);
        let slot = now.max(made - SETUP_LATENESS_MAX);
        self.lines[at].last = Some((slot, units));
    }

    /// Messages that a carrier has to answer, for a history to go on with.
    pub fn sending(&self) -> Vec<(MessageId, u16)> {
        let sending =
            self.texts.iter().filter(|(_, text)| matches!(text.place, Place::Sending(..)));
        sending.map(|(message, text)| (*message, text.attempts as u16)).collect()
    }

    /// Messages that a carrier is to report on: which carrier, and its name for them.
    pub fn unreported(&self) -> Vec<(String, String)> {
        let sent = self.texts.values().filter_map(|text| match &text.place {
            Place::Sent { carrier, reference, .. } => Some((carrier.clone(), reference.clone())),
            _ => None,
        });
        sent.collect()
    }

    /// Messages that wait, with their tenants and numbers.
    pub fn waiting(&self) -> Vec<(MessageId, u128)> {
        let waiting = self.texts.iter().filter(|(_, text)| text.waits());
        waiting.map(|(message, text)| (*message, text.account)).collect()
    }

    /// Batches that are not over, with their tenants.
    pub fn open_batches(&self) -> Vec<(BatchId, u128)> {
        let open = self.batches.iter().filter(|(_, (_, batch))| !batch.over);
        open.map(|(id, (account, _))| (*id, *account)).collect()
    }
}

/// Messages share one order over every carrier.
fn root(text: &Text, parts_kinds: bool) -> Root {
    let lines = parts_kinds && text.batch.is_some();
    (text.urgency, Vec::new(), text.account, Apart { passed: false, lines })
}

/// [`Turns`] names whoever stands by a call's number.
fn named(message: MessageId) -> CallId {
    CallId(message.0)
}
