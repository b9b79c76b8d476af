//! Messages and the carrier that takes them: it does what the production one does that is within the controller, by the same
//! function.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use busyhour_base::{Direction, MessageEvent, Reason, Span, Timestamp, message::error_code};
use busyhour_controller_core::{
    command::Command,
    effect::Reply,
    message::{
        AcceptedMessage, Ask, MessageCommand, MessageEffect, MessageId, MessageRecord,
        MessageReport, NewMessage, Reported, Send, SubmitMessages,
    },
    spec::Urgency,
};
use busyhour_crds::{Fate, Sending, kinds::CarrierMessages};

use super::world::{Event, World};
use crate::{
    report::{Handed, MessageCarrierReport, MessageRow, MessagesReport},
    scenario,
};

/// Finished messages that are taken from the outbox at once.
const OUTBOX_ROWS: usize = 1_024;
/// How long a message is worth delivering (`WIRE.md`, ValidityPeriod).
const VALIDITY: Span = Span::from_secs(36_000);
/// From one try to tell a controller that is away to the next.
pub(super) const AGAIN_AFTER: Span = Span::from_millis(500);

/// What happens between the controller and a carrier that takes messages.
pub enum MessageStep {
    /// The carrier answers.
    Answers(Box<Send>),
    /// A carrier brings a message: place of its writers in the scenario, and which of theirs.
    Brings(usize, usize),
    /// An application has been asked.
    Asked(Box<Ask>),
    /// The carrier's delivery report.
    Reports {
        /// Which carrier.
        carrier: Arc<str>,
        /// On which attempt.
        sending: Sending,
        /// Its name for the message.
        reference: Arc<str>,
    },
}

/// Every message.
#[derive(Default)]
pub struct Messages {
    /// Accepted, with tenant, recipient and segments, in order of acceptance.
    accepted: BTreeMap<MessageId, (String, String, u64)>,
    handed: BTreeMap<String, Vec<(MessageId, Handed)>>,
    records: BTreeMap<MessageId, Vec<MessageRecord>>,
    /// What applications answered with.
    replies: BTreeSet<MessageId>,
    /// Finished messages up to this number are in the records.
    recorded: u64,
}

impl Messages {
    /// Whether somebody asked for it.
    fn knows(&self, message: MessageId) -> bool {
        self.accepted.contains_key(&message) || self.replies.contains(&message)
    }

    /// Finished messages, in order.
    pub(super) fn finished(&self) -> impl Iterator<Item = &MessageRecord> {
        self.records.values().flatten()
    }

    fn row(&self, message: MessageId, to: &str, segments: u64, first: u64) -> MessageRow {
        let records = self.records.get(&message).map(Vec::as_slice).unwrap_or_default();
        let handed: Vec<_> =
            self.handed.values().flatten().filter(|(id, _)| *id == message).collect();
        let started = handed.iter().map(|(_, handed)| handed.at_us).min();
        let last = records.last();
        let failed =
            last.map(|record| record.reason).filter(|reason| error_code(*reason).is_some());
        MessageRow {
            to: to.to_owned(),
            status: last.map_or_else(String::new, |r| r.status.as_str().to_owned()),
            reason: failed.map_or_else(String::new, |reason| reason.code().to_owned()),
            outcomes: u32::try_from(records.len()).unwrap_or(u32::MAX),
            segments,
            start_us: started.map(|at| at - first),
            handed: u32::try_from(handed.len()).unwrap_or(u32::MAX),
        }
    }

    /// Each tenant's messages, and the carriers' accounts.
    pub fn reports(
        &self,
        carriers: &[(String, CarrierMessages)],
    ) -> (Vec<MessagesReport>, Vec<MessageCarrierReport>) {
        let first = self.handed.values().flatten().map(|(_, handed)| handed.at_us).min();
        let mut tenants = BTreeMap::<&str, Vec<_>>::new();
        for (message, (tenant, to, segments)) in &self.accepted {
            let row = self.row(*message, to, *segments, first.unwrap_or_default());
            tenants.entry(tenant).or_default().push(row);
        }
        let accounts = carriers.iter().filter_map(|(name, spec)| {
            let handed = self.handed.get(name)?.iter().map(|(_, handed)| handed.clone());
            Some(MessageCarrierReport::new(name, spec.segments_per_second, handed.collect()))
        });
        let reports = tenants.into_iter().map(|(tenant, rows)| MessagesReport::new(tenant, rows));
        (reports.collect(), accounts.collect())
    }
}

impl World<'_> {
    /// Messages as a tenant submits them, one request each.
    pub(super) fn submit_messages(&mut self, of: &scenario::Messages) {
        let now = self.queue.now();
        for spec in of.requests() {
            let to = spec.to.clone();
            let message = NewMessage {
                spec: Arc::new(spec),
                body: 0,
                not_before: None,
                expires: Some(now + VALIDITY),
                urgency: Urgency::Ordinary,
            };
            let submit = MessageCommand::Submit(SubmitMessages {
                account: of.account,
                idempotency: None,
                bodies: vec![of.body.clone()],
                messages: vec![message],
            });
            match self.apply(Command::Message(submit)) {
                Reply::Messages(verdicts) => {
                    for accepted in verdicts.into_iter().flatten() {
                        self.accepted(&of.tenant, &to, &accepted);
                    }
                }
                other => {
                    self.watch.broken(now, format!("a message to {to} got no verdict: {other:?}"));
                }
            }
        }
    }

    /// A tenant's message to this number was accepted.
    pub(super) fn accepted(&mut self, tenant: &str, to: &str, of: &AcceptedMessage) {
        let row = (tenant.to_owned(), to.to_owned(), u64::from(of.segments.count));
        self.messages.accepted.insert(of.message, row);
    }

    /// What the state asks for on behalf of messages.
    pub(super) fn carry_message(&mut self, now: Timestamp, effect: MessageEffect) {
        match effect {
            MessageEffect::Send(send) => self.hand_over(now, send),
            MessageEffect::Ask(ask) => self.ask_application(now, ask),
            MessageEffect::Changed { message, spec, .. } => {
                if spec.direction == Direction::OutboundReply {
                    self.messages.replies.insert(message);
                }
            }
        }
    }

    fn hand_over(&mut self, now: Timestamp, send: Box<Send>) {
        if send.at > now {
            self.watch.broken(now, format!("{:?} is sent before it is due", send.message));
        }
        let Some(spec) = self.message_carrier(&send.carrier) else { return };
        let (number, segments) = (send.message.0, send.segments.count);
        let answers = now + spec.answers_after(Sending::of(&send), segments);
        let handed = Handed {
            message: number.to_string(),
            at_us: now.as_micros(),
            segments: segments.into(),
        };
        let account = self.messages.handed.entry(send.carrier.to_string()).or_default();
        account.push((send.message, handed));
        self.queue.put(answers, Event::Message(MessageStep::Answers(send)));
    }

    fn message_carrier(&self, name: &str) -> Option<CarrierMessages> {
        let carriers = self.input.capacity.message_carriers.iter();
        carriers.into_iter().find(|(other, _)| other == name).map(|(_, spec)| spec.clone())
    }

    /// A carrier says something of a message.
    pub(super) fn on_message_step(&mut self, now: Timestamp, step: MessageStep) {
        match step {
            // The process that would have heard it is gone; the next one asks applications again.
            MessageStep::Answers(_) | MessageStep::Asked(_) if !self.controller_up => {}
            MessageStep::Answers(send) => self.carrier_answers(now, &send),
            // The next process asks the carrier for it, or is brought it.
            step if !self.controller_up => self.queue.put(now + AGAIN_AFTER, Event::Message(step)),
            MessageStep::Brings(of, nth) => self.bring(now, of, nth),
            MessageStep::Asked(ask) => self.hear_application(&ask),
            MessageStep::Reports { carrier, sending, reference } => {
                let Some(spec) = self.message_carrier(&carrier) else { return };
                let event = match spec.in_process.fate(sending) {
                    Fate::Undelivered(reason) => MessageEvent::Undelivered(reason),
                    _ => MessageEvent::Delivered,
                };
                self.hear_of_message(Reported::Reference { carrier, reference }, event);
            }
        }
    }

    fn carrier_answers(&mut self, now: Timestamp, send: &Send) {
        let Some(spec) = self.message_carrier(&send.carrier) else { return };
        let sending = Sending::of(send);
        let event = match spec.in_process.fate(sending) {
            Fate::Refused(reason) => MessageEvent::Refused(reason),
            Fate::Unanswered => MessageEvent::InDoubt(Reason::InDoubtNoAnswer),
            Fate::Undelivered(_) | Fate::Delivered => {
                let reference = sending.reference();
                if spec.delivery_reports {
                    let (carrier, reference) = (Arc::clone(&send.carrier), reference.clone());
                    let step = MessageStep::Reports { carrier, sending, reference };
                    let at = now + spec.in_process.reports_after(sending);
                    self.queue.put(at, Event::Message(step));
                }
                MessageEvent::Accepted(reference)
            }
        };
        let of = Reported::Attempt { message: send.message, attempt: send.attempt };
        self.hear_of_message(of, event);
    }

    fn hear_of_message(&mut self, of: Reported, event: MessageEvent) {
        let report = MessageReport { of, event };
        self.apply(Command::Message(MessageCommand::Reports(vec![report])));
    }

    /// Takes finished messages into the records.
    pub(super) fn record_messages(&mut self, now: Timestamp) {
        let finished: Vec<_> = self.state.message_outbox(OUTBOX_ROWS).cloned().collect();
        for record in finished {
            if record.seq <= self.messages.recorded {
                continue;
            }
            self.messages.recorded = record.seq;
            let records = self.messages.records.entry(record.message).or_default();
            records.push(record);
            if records.len() > 1 {
                let message = records[0].message;
                self.watch.broken(now, format!("{message:?} has more than one outcome"));
            }
            let through = self.messages.recorded;
            let recorded = Command::Message(MessageCommand::Recorded { through });
            self.queue.put(now, Event::Propose(recorded));
        }
    }

    /// In the end everything that was accepted has an outcome, and nothing else was sent.
    pub(super) fn check_messages(&mut self, now: Timestamp) {
        let messages = &self.messages;
        let sent = messages.handed.values().flatten().map(|(message, _)| *message);
        let strange: Vec<_> = sent.filter(|message| !messages.knows(*message)).take(5).collect();
        if !strange.is_empty() {
            self.watch.broken(now, format!("messages are sent that nobody asked for: {strange:?}"));
        }
        let without: Vec<_> = self
            .messages
            .accepted
            .keys()
            .chain(&self.messages.replies)
            .filter(|message| !self.messages.records.contains_key(message))
            .take(5)
            .copied()
            .collect();
        if !without.is_empty() {
            self.watch.broken(now, format!("messages have no outcome, among them {without:?}"));
        }
    }

    /// A new process says that an old one's hand-overs without an answer are in doubt.
    pub(super) fn messages_restarted(&mut self) {
        self.apply(Command::Message(MessageCommand::Restarted));
        let recorded = MessageCommand::Recorded { through: self.messages.recorded };
        self.apply(Command::Message(recorded));
    }
}
