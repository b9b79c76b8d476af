//! Messages (MT-8): a queue for each number, one order over tenants, segments as the unit, and carriers of their own.

use std::collections::{BTreeMap, BTreeSet};

use busyhour_base::{MessageEvent, MessageStatus, Reason, Segments, Timestamp};
use busyhour_controller_core::{
    command::{Command, Entry},
    effect::{Effect, Reply},
    message::{
        Cancel, MessageCarrier, MessageCommand, MessageDeclaration, MessageEffect, MessageId,
        MessageLimits, MessageReport, Reported, Send, SubmitMessages,
    },
    spec::{CallId, Declaration, OrderPolicy, Pace, Urgency},
};

use super::{
    Instant, LATENESS_MAX,
    carrier::SETUP_LATENESS_MAX,
    limits::Gate,
    outcomes::ATTEMPTS_MAX,
    turns::{Candidate, Root, Scope, Standing, Turns},
    why::Held,
};

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Place {
    Scheduled,
    Waiting(i64),
    /// With this carrier, which has not answered, since this entry.
    Sending(usize, u64),
    /// The carrier has it, or it is over.
    Gone,
}

#[derive(Clone, Debug)]
struct Text {
    account: u128,
    from: String,
    to: String,
    segments: u32,
    urgency: Urgency,
    not_before: Option<Instant>,
    expires: Option<Instant>,
    place: Place,
    attempts: u32,
    held: Held,
}

impl Text {
    fn waits(&self) -> bool {
        matches!(self.place, Place::Scheduled | Place::Waiting(_))
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
    tenants: BTreeMap<u128, (Gate, bool)>,
    limits: BTreeMap<u128, MessageLimits>,
    numbers: BTreeMap<(u128, String), Gate>,
    texts: BTreeMap<MessageId, Text>,
    lines: Vec<Line>,
    /// The declared ones, in the order in which they are tried.
    order: Vec<usize>,
    turns: Turns,
    readied: i64,
    put_back: i64,
    ended: BTreeSet<MessageId>,
    pub decisions: u64,
}

impl Texts {
    /// As [`super::Model::follow`].
    pub fn follow(
        &mut self,
        entry: &Entry,
        reply: &Reply,
        effects: &[Effect],
    ) -> Result<(), String> {
        let (mut sends, mut told) = (Vec::new(), BTreeSet::new());
        for effect in effects {
            match effect {
                Effect::Message(MessageEffect::Send(send)) => sends.push(&**send),
                Effect::Message(MessageEffect::Changed {
                    message,
                    status: MessageStatus::Failed | MessageStatus::Canceled,
                    ..
                }) => drop(told.insert(*message)),
                _ => {}
            }
        }
        sends.reverse();
        let at = entry.at.0;
        (self.entry, self.index) = (at, entry.index);
        self.expire(at);
        while let Some(moment) = self.next_moment().filter(|moment| *moment <= at) {
            self.moment(moment.max(at - LATENESS_MAX), &mut sends)?;
        }
        self.now = at;
        self.command(&entry.command, reply)?;
        self.moment(at, &mut sends)?;
        if let Some(send) = sends.last() {
            return Err(format!("sent {:?} of {}, which may not", send.message, send.account.0));
        }
        let ended = std::mem::take(&mut self.ended);
        if told != ended {
            return Err(format!("ended {told:?} instead of {ended:?}"));
        }
        Ok(())
    }

    fn next_moment(&self) -> Option<Instant> {
        let waiting = self.texts.values().filter(|text| text.waits());
        let own = waiting.flat_map(|text| [text.not_before, text.expires]).flatten();
        let tenants = self.tenants.values().map(|(gate, _)| gate);
        let gates = tenants.chain(self.numbers.values()).flat_map(Gate::moments);
        let moments = own.chain(gates).chain(self.lines.iter().map(Line::next));
        moments.filter(|at| *at > self.now).min()
    }

    fn expire(&mut self, now: Instant) {
        let over = self
            .texts
            .iter()
            .filter(|(_, text)| text.waits() && text.expires.is_some_and(|at| at <= now));
        for message in over.map(|(message, _)| *message).collect::<Vec<_>>() {
            self.end(message);
        }
        self.keep_turns();
    }

    fn end(&mut self, message: MessageId) {
        let text = self.texts.get_mut(&message).expect("it is known");
        if matches!(text.place, Place::Waiting(_)) {
            self.turns.disturbed(&root(text));
        }
        text.place = Place::Gone;
        self.ended.insert(message);
    }

    fn keep_turns(&mut self) {
        let waiting = self.texts.values().filter(|text| matches!(text.place, Place::Waiting(_)));
        self.turns.keep(&waiting.map(root).collect());
    }

    fn begin(&mut self) {
        let now = self.now;
        let due = self.texts.iter().filter(|(_, text)| {
            text.place == Place::Scheduled && text.not_before.is_none_or(|at| at <= now)
        });
        let mut due: Vec<_> = due.map(|(message, text)| (text.not_before, *message)).collect();
        due.sort();
        for (begins, message) in due {
            self.readied += 1;
            let text = self.texts.get_mut(&message).expect("it is known");
            text.place = Place::Waiting(self.readied);
            let late = begins.is_some_and(|at| text.held.before(at));
            text.held = Held::new(if late { Reason::NotBefore } else { Reason::Ready }, now);
        }
    }

    fn moment(&mut self, moment: Instant, sends: &mut Vec<&Send>) -> Result<(), String> {
        self.now = moment;
        self.begin();
        loop {
            let candidates = self.candidates();
            self.turns.keep(&candidates.iter().map(Candidate::root).collect());
            self.turns.look(&candidates, |_, _| 2, moment);
            let able = self.able();
            let open = candidates.iter().filter(|candidate| candidate.is_open());
            let feasible: Vec<_> = open.filter(|_| able.is_some()).collect();
            let allowed = self.turns.first(feasible.iter().copied());
            if allowed.is_empty() {
                self.look_at_waiting();
                return Ok(());
            }
            let Some(send) = sends.pop() else {
                return Err(format!("sent nothing at {moment}, though {allowed:?} may be"));
            };
            let call = named(send.message);
            let candidate = feasible.iter().find(|candidate| candidate.call == call);
            let Some(candidate) = candidate.filter(|_| allowed.contains(&call)) else {
                return Err(format!("sent {:?} instead of {allowed:?}", send.message));
            };
            if send.at != Timestamp(moment) {
                return Err(format!("{:?} was due at {moment}, not {}", send.message, send.at.0));
            }
            let line = able.expect("something may be sent");
            if self.lines[line].declared.name != send.carrier {
                return Err(format!("sent {:?} over {}", send.message, send.carrier));
            }
            self.turns.served(candidate, feasible.iter().copied());
            self.compare_words(send)?;
            self.send(send, line);
            self.decisions += 1;
        }
    }

    fn send(&mut self, send: &Send, at: usize) {
        let (now, made, index) = (self.now, self.entry, self.index);
        let text = self.texts.get_mut(&send.message).expect("it is known");
        text.place = Place::Sending(at, index);
        text.attempts += 1;
        let (units, account) = (text.segments, text.account);
        let number = self.numbers.get_mut(&(account, text.from.clone()));
        number.expect("it is known").start(units, now, made);
        self.tenants.get_mut(&account).expect("it is known").0.start(units, now, made);
        let line = &mut self.lines[at];
        line.in_use += 1;
        let slot = now.max(made - SETUP_LATENESS_MAX);
        line.last = Some((slot, units));
    }

    fn compare_words(&self, send: &Send) -> Result<(), String> {
        let text = &self.texts[&send.message];
        let mut words = text.held.words(self.now);
        if text.held.just_came(self.now) {
            // It may share the words of the queue that it joined at this very moment.
            let queue = |text: &Text| (text.urgency, text.account, text.from.clone());
            let beside = self.texts.values().filter(|other| queue(other) == queue(text));
            words.extend(beside.flat_map(|other| other.held.words(self.now)));
        }
        if words.contains(&send.held_by) {
            return Ok(());
        }
        Err(format!("said {:?} of {:?}, which waited for {words:?}", send.held_by, send.message))
    }

    /// Why a message may not be sent now.
    fn limits_on(&self, text: &Text) -> BTreeSet<Reason> {
        let (gate, suspended) = &self.tenants[&text.account];
        let number = &self.numbers[&(text.account, text.from.clone())];
        let words = (Reason::NumberThrottle, Reason::NumberCap);
        let mut reasons = number.says(text.segments, self.now, words);
        reasons.extend(gate.says(text.segments, self.now, (Reason::Throttle, Reason::Cap)));
        reasons.extend(suspended.then_some(Reason::Suspended));
        reasons
    }

    fn candidates(&self) -> Vec<Candidate> {
        let mut lanes: BTreeMap<_, (i64, MessageId)> = BTreeMap::new();
        for (message, text) in &self.texts {
            let Place::Waiting(place) = text.place else { continue };
            let lane = (text.urgency, text.account, text.from.clone());
            let front = lanes.entry(lane).or_insert((place, *message));
            *front = (*front).min((place, *message));
        }
        let fronts = lanes.into_values().map(|(_, message)| {
            let text = &self.texts[&message];
            let (urgency, route, account, passed) = root(text);
            let queue = (None, None, Some(text.from.clone()));
            let stopped_by = self.limits_on(text).into_iter().map(Scope::of).collect();
            let call = named(message);
            Candidate { urgency, route, class: 2, account, passed, queue, call, stopped_by }
        });
        fronts.collect()
    }

    /// The first carrier that takes a message now.
    fn able(&self) -> Option<usize> {
        let able = |line: &Line| line.has_room() && line.next() <= self.now;
        self.order.iter().copied().find(|at| able(&self.lines[*at]))
    }

    fn look_at_waiting(&mut self) {
        let mut carriers = BTreeSet::new();
        if self.able().is_none() {
            for line in &self.lines {
                carriers.extend((!line.has_room()).then_some(Reason::CarrierChannels));
                carriers.extend((line.next() > self.now).then_some(Reason::CarrierRate));
                carriers.extend((!line.there).then_some(Reason::NoCarrier));
            }
            carriers.extend(self.lines.is_empty().then_some(Reason::NoCarrier));
        }
        // What waits behind another message in its queue is kept by what keeps that.
        let fronts: BTreeMap<_, _> = self
            .candidates()
            .into_iter()
            .filter_map(|front| self.texts.iter().find(|(id, _)| named(**id) == front.call))
            .map(|(_, text)| {
                ((text.urgency, text.account, text.from.clone()), self.limits_on(text))
            })
            .collect();
        let now = self.now;
        for text in self.texts.values_mut().filter(|text| matches!(text.place, Place::Waiting(_))) {
            let mut reasons = fronts[&(text.urgency, text.account, text.from.clone())].clone();
            reasons.extend(&carriers);
            text.held.looked(now, &reasons);
        }
    }

    fn command(&mut self, command: &Command, reply: &Reply) -> Result<(), String> {
        match (command, reply) {
            (_, Reply::Refused(_)) => {}
            (Command::Declare(declaration), _) => self.declare(declaration),
            (Command::Message(MessageCommand::Submit(submit)), Reply::Messages(verdicts)) => {
                for (at, verdict) in verdicts.iter().enumerate() {
                    let new = &submit.messages[at];
                    let segments = Segments::of(submit.bodies[new.body as usize].text()).count;
                    let fits = self.fits(submit.account.0, &new.spec.from, segments.into());
                    match verdict {
                        Ok(_) | Err(Reason::SegmentsOverCap) if fits != verdict.is_ok() => {
                            return Err(format!("said {verdict:?} to {segments} segments"));
                        }
                        Ok(accepted) => {
                            self.accept(submit, at, accepted.message, segments.into());
                        }
                        Err(_) => {}
                    }
                }
            }
            (Command::Message(MessageCommand::Cancel { account, which }), _) => {
                self.cancel(account.0, which);
            }
            (Command::Message(MessageCommand::Reports(reports)), _) => {
                reports.iter().for_each(|report| self.report(report));
            }
            (Command::Message(MessageCommand::Restarted), _) => {
                // What the entry in hand handed over is handed over by the process that has begun.
                let index = self.index;
                let doubtful = self.texts.iter().filter(
                    |(_, text)| matches!(text.place, Place::Sending(_, since) if since < index),
                );
                for message in doubtful.map(|(message, _)| *message).collect::<Vec<_>>() {
                    self.answered(message);
                    self.end(message);
                }
            }
            _ => {}
        }
        self.keep_turns();
        Ok(())
    }

    fn declare(&mut self, declaration: &Declaration) {
        let MessageDeclaration { tenants, numbers, carriers } = &declaration.messages;
        let limits: BTreeMap<_, _> = tenants.iter().cloned().collect();
        for tenant in &declaration.tenants {
            let own = limits.get(&tenant.account).cloned().unwrap_or_default();
            let (gate, suspended) = self.tenants.entry(tenant.account.0).or_default();
            gate.declare(&Pace { throttle: own.throttle, caps: own.caps.clone() });
            *suspended = tenant.suspended;
            self.limits.insert(tenant.account.0, own);
            self.turns.declare_tenant(tenant.account.0, Standing { weight: 1, plan: 0 });
        }
        for number in numbers {
            let gate = self.numbers.entry((number.account.0, number.number.to_string()));
            let pace = Pace { throttle: number.throttle, caps: number.caps.clone() };
            gate.or_default().declare(&pace);
        }
        self.turns.declare(OrderPolicy::Alternating, Default::default(), self.now);
        self.turns.relimited();
        self.lines.iter_mut().for_each(|line| line.there = false);
        for carrier in carriers {
            match self.lines.iter_mut().find(|line| line.declared.name == carrier.name) {
                Some(line) => {
                    (line.declared, line.there) = (carrier.clone(), true);
                }
                None => self.lines.push(Line {
                    declared: carrier.clone(),
                    there: true,
                    in_use: 0,
                    last: None,
                }),
            }
        }
        let oversized = self.texts.iter().filter(|(_, text)| {
            text.waits() && !self.fits(text.account, &text.from, text.segments)
        });
        for message in oversized.map(|(message, _)| *message).collect::<Vec<_>>() {
            self.end(message);
        }
        let place = |name| self.lines.iter().position(|line| line.declared.name == name);
        self.order = carriers.iter().filter_map(|carrier| place(carrier.name.clone())).collect();
    }

    /// Whether the caps of a tenant and its number ever hold so many segments.
    fn fits(&self, account: u128, from: &str, segments: u32) -> bool {
        let number = self.numbers.get(&(account, from.to_owned()));
        let tenant = &self.tenants[&account].0;
        number.into_iter().chain([tenant]).all(|gate| gate.ever_holds(segments))
    }

    fn accept(&mut self, submit: &SubmitMessages, at: usize, message: MessageId, segments: u32) {
        let new = &submit.messages[at];
        let text = Text {
            account: submit.account.0,
            from: new.spec.from.clone(),
            to: new.spec.to.clone(),
            segments,
            urgency: new.urgency,
            not_before: new.not_before.map(|at| at.0),
            expires: new.expires.map(|at| at.0),
            place: Place::Scheduled,
            attempts: 0,
            held: Held::new(Reason::Ready, self.now),
        };
        self.texts.insert(message, text);
        self.begin();
    }

    fn cancel(&mut self, account: u128, which: &Cancel) {
        let of_it = |message: &MessageId, text: &Text| match which {
            Cancel::One(one) => message == one,
            Cancel::Waiting { from, to } => {
                from.as_ref().is_none_or(|from| **from == *text.from)
                    && to.as_ref().is_none_or(|to| **to == *text.to)
            }
        };
        let all = self.texts.iter().filter(|(message, text)| {
            text.account == account && text.waits() && of_it(message, text)
        });
        for message in all.map(|(message, _)| *message).collect::<Vec<_>>() {
            self.end(message);
        }
    }

    fn report(&mut self, report: &MessageReport) {
        let Reported::Attempt { message, .. } = report.of else { return };
        let Some(text) = self.texts.get(&message) else { return };
        if !matches!(text.place, Place::Sending(..)) {
            return;
        }
        match &report.event {
            MessageEvent::NotSent(reason) => {
                let text = self.answered(message);
                let over = text.expires.is_some_and(|at| at <= self.now);
                let fits = self.fits(text.account, &text.from, text.segments);
                if text.attempts >= ATTEMPTS_MAX || over || !fits {
                    return self.end(message);
                }
                self.put_back -= 1;
                let (now, place) = (self.now, Place::Waiting(self.put_back));
                let text = self.texts.get_mut(&message).expect("it is known");
                (text.place, text.held) = (place, Held::new(*reason, now));
            }
            MessageEvent::Accepted(_) => drop(self.answered(message)),
            MessageEvent::Refused(_) | MessageEvent::InDoubt(_) => {
                self.answered(message);
                self.end(message);
            }
            _ => {}
        }
    }

    /// A carrier has answered: its channel is free.
    fn answered(&mut self, message: MessageId) -> Text {
        let text = self.texts.get_mut(&message).expect("it is known");
        if let Place::Sending(line, _) = std::mem::replace(&mut text.place, Place::Gone) {
            self.lines[line].in_use -= 1;
        }
        text.clone()
    }

    /// Messages that a carrier has to answer, for a history to go on with.
    pub fn sending(&self) -> Vec<(MessageId, u16)> {
        let sending =
            self.texts.iter().filter(|(_, text)| matches!(text.place, Place::Sending(..)));
        sending.map(|(message, text)| (*message, text.attempts as u16)).collect()
    }

    /// Messages that wait, with their tenants and numbers.
    pub fn waiting(&self) -> Vec<(MessageId, u128)> {
        let waiting = self.texts.iter().filter(|(_, text)| text.waits());
        waiting.map(|(message, text)| (*message, text.account)).collect()
    }
}

impl Line {
    /// When the next message may go: a spacing after each segment of the last one.
    fn next(&self) -> Instant {
        let spacing = self.declared.segment_spacing.0;
        self.last.map_or(0, |(at, units)| at + spacing * u64::from(units))
    }

    fn has_room(&self) -> bool {
        self.there && self.in_use < self.declared.outbound
    }
}

/// Messages share one order over every carrier.
fn root(text: &Text) -> Root {
    (text.urgency, Vec::new(), text.account, false)
}

/// [`Turns`] names whoever stands by a call's number.
fn named(message: MessageId) -> CallId {
    CallId(message.0)
}
