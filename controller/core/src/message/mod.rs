//! Messages (MT-8): what is asked of the state machine, what it asks of carriers and agents, and what it shows.
//!
//! A text is stored once: commands carry each text of theirs once, the state shares equal texts, and what stands in a
//! queue is a reference (`state::messages::bodies`).

use std::sync::Arc;

use busyhour_base::{
    AccountSid, Body, Direction, Keyword, MessageEvent, MessageSpec, MessageStatus, Reason,
    Segments, Span, Timestamp, Webhook,
};
use serde::{Deserialize, Serialize};

use crate::spec::{BatchId, Cap, Excess, OrderPolicy, Throttle, Urgency};

mod opt_outs;

pub use opt_outs::{
    AddOptOut, AnsweredBy, ChangeOptOuts, OptOut, Person, RemoveOptOut, RemovedOptOut,
};

/// A message's number in the log; [`busyhour_base::SidKey`] turns it into the public sid.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub struct MessageId(pub u64);

/// Limits on the messages of a tenant or of a number, apart from those on calls. Their unit is the segment.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MessageLimits {
    /// Spacing of segments.
    pub throttle: Option<Throttle>,
    /// Segments in rolling windows, several at once.
    pub caps: Vec<Cap>,
    /// Over a cap.
    pub excess: Excess,
    /// How many messages may wait.
    pub queue_max: u32,
    /// The longest expected wait at which a message is still accepted (code 21611).
    pub wait_max: Span,
}

impl Default for MessageLimits {
    /// No throttle and no cap, a million messages, and the field's ten hours.
    fn default() -> Self {
        Self {
            throttle: None,
            caps: Vec::new(),
            excess: Excess::default(),
            queue_max: 1_000_000,
            wait_max: Span::from_secs(36_000),
        }
    }
}

/// A number that messages may be sent from, with its own spacing, so that carriers do not take it for a source of spam.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MessageNumber {
    /// Whose.
    pub account: AccountSid,
    /// In E.164.
    pub number: Arc<str>,
    /// Spacing of its segments.
    pub throttle: Option<Throttle>,
    /// Its segments in rolling windows, several at once.
    pub caps: Vec<Cap>,
}

/// What is rented from a carrier for messages (MT-13).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MessageCarrier {
    /// Its name in the declaration.
    pub name: Arc<str>,
    /// Outbound message channels: messages that may be handed to it and not yet be answered.
    pub outbound: u32,
    /// Inbound message channels: messages of its that may be with tenants' applications at once.
    pub inbound: u32,
    /// From one outbound segment to the next by contract.
    pub segment_spacing: Span,
    /// Whether it says what became of a message that it took.
    pub delivery_reports: bool,
}

/// Everything that is declared about messages.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct MessageDeclaration {
    /// Limits of tenants, in order of account; a tenant that is not named has the default ones.
    pub tenants: Vec<(AccountSid, MessageLimits)>,
    /// Numbers, in their order.
    pub numbers: Vec<MessageNumber>,
    /// Carriers that take messages, in order of name.
    pub carriers: Vec<MessageCarrier>,
    /// Order of messages across tenants.
    pub order: OrderPolicy,
}

/// One message to be queued.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NewMessage {
    /// What was asked.
    pub spec: Arc<MessageSpec>,
    /// Place of its text in [`SubmitMessages::bodies`].
    pub body: u32,
    /// Not before this instant (MT-5).
    pub not_before: Option<Timestamp>,
    /// Not sent at or after this instant (MT-5).
    pub expires: Option<Timestamp>,
    /// Its class.
    pub urgency: Urgency,
}

/// Messages of one tenant to be queued.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SubmitMessages {
    /// Whose.
    pub account: AccountSid,
    /// Hash of the caller's `Idempotency-Key`: a repeat gets the first answer.
    pub idempotency: Option<u128>,
    /// Each text once, however many messages have it.
    pub bodies: Vec<Body>,
    /// The messages.
    pub messages: Vec<NewMessage>,
}

/// A message that a carrier brings.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Arrival {
    /// The tenant of the number that it was sent to.
    pub account: AccountSid,
    /// Which carrier.
    pub carrier: Arc<str>,
    /// The carrier's name for it: one that is brought twice is taken in once.
    pub reference: Arc<str>,
    /// Recipient, sender and direction.
    pub spec: Arc<MessageSpec>,
    /// Its text, joined if it came in several segments.
    pub body: Body,
    /// The tenant may write to the sender, so that STOP, START and HELP are answered.
    pub answers: bool,
    /// By whom.
    pub answered_by: AnsweredBy,
}

/// A message with which a tenant's application answers an inbound one.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Answer {
    /// Recipient, sender and direction.
    pub spec: Arc<MessageSpec>,
    /// Its text.
    pub body: Body,
}

/// What the asking of a tenant's application led to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Asked {
    /// About which inbound message.
    pub message: MessageId,
    /// Which asking it was: that of the order ([`Ask::step`]). One that was heard before says nothing new.
    pub step: u16,
    /// Messages that it answered with, in order.
    pub answers: Vec<Answer>,
    /// How it goes on.
    pub after: After,
}

/// How it goes on when an application has been asked.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum After {
    /// Not at all: the message has come in.
    Done,
    /// The application wants to be asked again, there, about what became of its last answer.
    Again(Webhook),
    /// It was not asked, or not to the end.
    Failed(Reason),
}

/// Where an application is asked again, and what became of its last answer.
#[derive(Clone, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Again {
    /// Where.
    pub hook: Webhook,
    /// The answer as a message, or why no queue took it.
    pub answer: Result<MessageId, Reason>,
}

/// Whose report it is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Reported {
    /// The answer to an order to send.
    Attempt {
        /// Which message.
        message: MessageId,
        /// Which attempt.
        attempt: u16,
    },
    /// A carrier's word on a message that it took.
    Reference {
        /// Which carrier.
        carrier: Arc<str>,
        /// Its name for the message.
        reference: Arc<str>,
    },
}

/// What a carrier says of a message. Applying it twice changes nothing.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MessageReport {
    /// Of which message.
    pub of: Reported,
    /// What.
    pub event: MessageEvent,
}

/// Which waiting messages are to be canceled.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Cancel {
    /// This one.
    One(MessageId),
    /// All that wait, or all from and to these.
    Waiting {
        /// From this number only.
        from: Option<Arc<str>>,
        /// To this number only.
        to: Option<Arc<str>>,
    },
}

/// Everything about messages that can change the state.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum MessageCommand {
    /// Queue messages of one tenant.
    Submit(SubmitMessages),
    /// Cancel messages that wait.
    Cancel {
        /// Whose.
        account: AccountSid,
        /// Which.
        which: Cancel,
    },
    /// What carriers say, in the order in which they said it.
    Reports(Vec<MessageReport>),
    /// Messages that came in.
    Arrived(Vec<Arrival>),
    /// What tenants' applications answered.
    Asked(Vec<Asked>),
    /// A tenant changes who takes no messages from its numbers.
    OptOuts(ChangeOptOuts),
    /// The process that spoke with carriers has ended and another one has begun: what was handed over without an answer
    /// is in doubt, and applications are asked again.
    Restarted,
    /// Rows up to and with this sequence number are in the records.
    Recorded {
        /// Last stored sequence number.
        through: u64,
    },
}

/// An accepted message.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, Hash)]
pub struct AcceptedMessage {
    /// Its number.
    pub message: MessageId,
    /// How it travels.
    pub segments: Segments,
    /// The expected wait.
    pub wait: Span,
}

/// An order to send. The intent is in the log by now.
#[derive(Clone, PartialEq, Eq, Debug, Hash)]
pub struct Send {
    /// Which message.
    pub message: MessageId,
    /// Which attempt, from 1.
    pub attempt: u16,
    /// Whose.
    pub account: AccountSid,
    /// Over which carrier, by name.
    pub carrier: Arc<str>,
    /// When it was due on the ideal grid.
    pub at: Timestamp,
    /// The limit that last held it.
    pub held_by: Reason,
    /// What was asked.
    pub spec: Arc<MessageSpec>,
    /// Its text.
    pub body: Body,
    /// How it travels.
    pub segments: Segments,
    /// Not worth delivering after this instant.
    pub expires: Option<Timestamp>,
}

/// An order to ask a tenant's application about an inbound message.
#[derive(Clone, PartialEq, Eq, Debug, Hash)]
pub struct Ask {
    /// Which message.
    pub message: MessageId,
    /// Whose.
    pub account: AccountSid,
    /// Sender and recipient.
    pub spec: Arc<MessageSpec>,
    /// Its text.
    pub body: Body,
    /// How it travelled.
    pub segments: Segments,
    /// Which asking about this message, from 1.
    pub step: u16,
    /// Where, if not at the number's own application.
    pub again: Option<Again>,
    /// What it says, if that was obeyed.
    pub keyword: Option<Keyword>,
}

impl Ask {
    /// An answer; what it leaves open is the other way round of what it answers.
    pub fn answer(
        &self,
        (to, from): (Option<String>, Option<String>),
        body: Body,
        status_callback: Option<Webhook>,
    ) -> Answer {
        let spec = MessageSpec {
            to: to.unwrap_or_else(|| self.spec.from.clone()),
            from: from.unwrap_or_else(|| self.spec.to.clone()),
            direction: Direction::OutboundReply,
            status_callback,
        };
        Answer { spec: Arc::new(spec), body }
    }
}

/// Something about messages to be done outside.
#[derive(Clone, PartialEq, Eq, Debug, Hash)]
pub enum MessageEffect {
    /// Hand it to its carrier.
    Send(Box<Send>),
    /// Ask the tenant's application.
    Ask(Box<Ask>),
    /// A message has another status, for status callbacks, metrics and whoever follows.
    Changed {
        /// Which.
        message: MessageId,
        /// Whose.
        account: AccountSid,
        /// What was asked.
        spec: Arc<MessageSpec>,
        /// The new status.
        status: MessageStatus,
        /// Why; [`Reason::Ready`] while nothing went wrong.
        reason: Reason,
    },
}

/// One message in the state: waiting, under way, or ended and not yet in the records.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MessageView {
    /// Its number.
    pub message: MessageId,
    /// Whose.
    pub account: AccountSid,
    /// What was asked.
    pub spec: Arc<MessageSpec>,
    /// Its text.
    pub body: Body,
    /// How it travels.
    pub segments: Segments,
    /// Where it is.
    pub status: MessageStatus,
    /// What holds it or ended it; [`Reason::Ready`] if neither.
    pub reason: Reason,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// Expected time in the queue at acceptance.
    pub wait: Span,
    /// Its scheduled time.
    pub not_before: Option<Timestamp>,
    /// Over which carrier.
    pub carrier: Option<Arc<str>>,
    /// The carrier's name for it.
    pub reference: Option<Arc<str>>,
    /// When it was handed to the carrier, or came from one.
    pub sent_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// Its batch.
    pub batch: Option<BatchId>,
    /// The tenant's name for it.
    pub custom_id: Option<Arc<str>>,
}

/// One attempt of a line of a batch that came to nothing, and after which it was sent again.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MessageAttempt {
    /// Its number, from 1; attempts of which nothing was sent have numbers of their own.
    pub number: u16,
    /// Over which carrier.
    pub carrier: Arc<str>,
    /// The carrier's name for it, if it took it.
    pub reference: Option<Arc<str>>,
    /// The limit that last held it.
    pub held_by: Reason,
    /// When it was due on the ideal grid.
    pub due: Timestamp,
    /// When it was handed to the carrier.
    pub sent_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// How.
    pub status: MessageStatus,
    /// Why.
    pub reason: Reason,
}

/// A finished message on its way to the records.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MessageRecord {
    /// Place in the outbox of messages.
    pub seq: u64,
    /// Its number.
    pub message: MessageId,
    /// Whose.
    pub account: AccountSid,
    /// What was asked.
    pub spec: Arc<MessageSpec>,
    /// Its text.
    pub body: Body,
    /// How it travelled.
    pub segments: Segments,
    /// How it ended.
    pub status: MessageStatus,
    /// Why.
    pub reason: Reason,
    /// When it was accepted or came in.
    pub accepted_at: Timestamp,
    /// When its last attempt was due on the ideal grid.
    pub due: Option<Timestamp>,
    /// The limit that last held it before its last attempt; [`Reason::Ready`] if none did.
    pub held_by: Reason,
    /// When it was handed to a carrier, or came from one.
    pub sent_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Timestamp,
    /// How many attempts were made.
    pub attempts: u16,
    /// Over which carrier.
    pub carrier: Option<Arc<str>>,
    /// The carrier's name for it.
    pub reference: Option<Arc<str>>,
    /// Its batch.
    pub batch: Option<BatchId>,
    /// The tenant's name for it.
    pub custom_id: Option<Arc<str>>,
    /// The attempts before the last one that came to an end.
    pub earlier: Vec<MessageAttempt>,
}

/// Counts of a tenant's messages by where they are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct MessageCounts {
    /// Accepted or taken in ever.
    pub accepted: u64,
    /// Outbound, scheduled or in a queue.
    pub waiting: u64,
    /// With a carrier that has not answered.
    pub sending: u64,
    /// Taken by a carrier that has not reported on it.
    pub sent: u64,
    /// Inbound, not yet answered by the application.
    pub receiving: u64,
    /// Ended.
    pub ended: u64,
}

/// One tenant's messages.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct MessageTenantView {
    /// Its account.
    pub account: AccountSid,
    /// Its name.
    pub name: Arc<str>,
    /// Counts.
    pub counts: MessageCounts,
}

/// One carrier's message channels: free + in use = outbound, always.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct MessageCarrierView {
    /// Its name.
    pub name: Arc<str>,
    /// Outbound channels by contract.
    pub outbound: u32,
    /// Of these with a message.
    pub in_use: u32,
    /// Inbound channels by contract.
    pub inbound: u32,
    /// Of these with a message.
    pub inbound_in_use: u32,
    /// Messages that it took and has not reported on.
    pub unreported: u64,
}

/// Told of a message's progress, if its tenant wants to be.
pub fn told(spec: &MessageSpec, status: MessageStatus) -> Option<&Webhook> {
    use MessageStatus::{Received, Receiving, Scheduled};
    let tells = !matches!(status, Scheduled | Receiving | Received);
    spec.status_callback.as_ref().filter(|_| tells)
}
