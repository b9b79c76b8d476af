//! Messages in the state (MT-8). They have an engine of their own: the same code as that of the calls, another instance.
//! So a queue of messages never holds a call, nor the other way round; a lane is a number of a tenant at one urgency, the fair order
//! over tenants and their numbers is the control queue, and "carrier" and "channel" mean message carriers and message channels.

use std::{
    collections::{BTreeMap, VecDeque},
    io::{self, Read, Write},
    sync::Arc,
};

use busyhour_base::{Keyword, MessageSpec, MessageStatus, Reason, Span, Timestamp};
use serde::{Deserialize, Serialize};

use super::{State, remembered::Remembered};
use crate::{
    effect::{Effect, Reply},
    engine::{
        lanes::Asked,
        ring::{Link, Member, NIL, Ring},
        slab::Slab,
        wheel::{Handle, Wheel},
    },
    forward::Holding,
    message::{
        Again, MessageCarrier, MessageCommand, MessageCounts, MessageEffect, MessageId,
        MessageLimits, MessageRecord,
    },
};

mod bodies;
mod cancel;
mod check;
mod declare;
mod end;
mod inbound;
mod lines;
mod opt_outs;
mod outlook;
mod queue;
mod report;
mod retry;
mod submit;
mod tick;
mod views;

use bodies::Bodies;
use lines::Line;
use opt_outs::OptOuts;
use queue::{Place, Queue};
pub(super) use tick::Begins;

/// Where a message is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) enum Stage {
    /// Its scheduled time has not come.
    Scheduled,
    /// In its lane.
    Queued,
    /// With a carrier that has not answered.
    Sending(u32),
    /// Taken by a carrier, whose report is awaited.
    Sent(u32),
    /// Inbound, waiting for its turn.
    Receiving,
    /// Inbound, the tenant's application is being asked.
    Asked,
    /// Over: the number of its record.
    Ended(u64),
}

/// A message from its acceptance until it is in the records.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Message {
    /// Among its tenant's messages.
    link: Link,
    message: MessageId,
    spec: Arc<MessageSpec>,
    /// Its text, in [`Bodies`].
    body: u32,
    tenant: u32,
    /// Its lane; [`NIL`] for an inbound one.
    lane: u32,
    accepted_at: Timestamp,
    /// Expected wait at acceptance, in milliseconds; at most 49 days.
    wait_ms: u32,
    /// Its [`Times`], or [`NIL`].
    times: u32,
    /// Its [`Line`] of a batch, or [`NIL`].
    line: u32,
    attempt: u16,
    /// It answers STOP, START or HELP.
    answers_keyword: bool,
    stage: Stage,
}

impl Member for Message {
    fn link(&self) -> Link {
        self.link
    }

    fn link_mut(&mut self) -> &mut Link {
        &mut self.link
    }
}

/// A message's own times and their timers.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Times {
    message: u32,
    not_before: Option<Timestamp>,
    expires: Option<Timestamp>,
    begin: Handle,
    end: Handle,
}

/// What only a message at a carrier has.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Live {
    message: u32,
    /// In the queue's ledger; only while it is being sent.
    channel: u32,
    carrier: Arc<str>,
    due: u64,
    held_by: Reason,
    /// That of its start.
    number: u64,
    handed_at: u64,
    /// The log's position of the intent.
    entry: u64,
    /// The carrier's name for it, once it was taken.
    reference: Option<Arc<str>>,
    /// When its report is not awaited any more, once it was taken.
    report_by: Handle,
}

/// An inbound message's carrier and its name there.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Origin {
    carrier: Arc<str>,
    reference: Arc<str>,
    /// Where its tenant's application is asked again.
    again: Option<Again>,
    /// What it says, if that was obeyed.
    keyword: Option<Keyword>,
    /// Its application answers that, whoever has opted out; until it has.
    speaks: bool,
}

/// What is kept of a tenant.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct MessageTenant {
    limits: MessageLimits,
    /// Its messages, oldest first.
    all: Ring,
    counts: MessageCounts,
    /// Messages that carriers have brought, by the carriers' names for them.
    brought: Remembered,
    /// Inbound messages that wait for their turn.
    receiving: VecDeque<u32>,
    /// Inbound messages that its application is asked about.
    asked: u32,
    /// It stands in [`Messages::turns`].
    in_turn: bool,
}

/// What is kept of a carrier beside the queue's ledger.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct CarrierState {
    contract: MessageCarrier,
    /// Still in the declaration.
    declared: bool,
    /// Inbound messages of its that wait or are with applications.
    inbound: u32,
}

/// Bounds that are the same on every replica.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MessageOptions {
    /// Messages in one command.
    pub submit_max: usize,
    /// How long a delivery report is awaited. Without one the message ends as `sent`.
    pub report_wait: Span,
    /// Messages that may await a report; beyond it the oldest ends as `sent`.
    pub unreported_max: usize,
    /// Inbound messages of one tenant that may wait; beyond it they are refused, and carriers bring them again.
    pub inbound_max: usize,
    /// Applications asked at once, over all tenants.
    pub asked_max: u32,
    /// Questions to one tenant's application at once.
    pub asked_of_tenant_max: u32,
    /// Answers that an application may give to one message.
    pub answers_max: usize,
    /// People who may have opted out of messages, each from one number. Beyond it a STOP is refused, and carriers bring it again.
    pub opt_outs_max: u64,
    /// Opt-outs that tenants have removed and that are kept with their reasons; the oldest goes first.
    pub removals_max: usize,
}

impl Default for MessageOptions {
    /// A report that takes longer than an hour is rare. A message that awaits one takes some 300 bytes, so that a million take
    /// 300 MB. An application that takes the longest 15 s to answer gets two messages a second. Ten million people who have opted out
    /// take some 200 MB.
    fn default() -> Self {
        Self {
            submit_max: 100_000,
            report_wait: Span::from_secs(3_600),
            unreported_max: 1_000_000,
            inbound_max: 100_000,
            asked_max: 512,
            asked_of_tenant_max: 32,
            answers_max: 10,
            opt_outs_max: 10_000_000,
            removals_max: 10_000,
        }
    }
}

impl Messages {
    /// What the queue needs to know of a message: it came when it was accepted, whenever it is queued.
    fn asked(&self, id: u32) -> Asked {
        let message = &self.all[id];
        Asked { number: message.message.0, units: self.bodies.segments(message.body).count }
    }

    /// Lets the next clone be made without copying most of it.
    pub(super) fn share(&mut self) {
        self.queue.share();
        self.tenants.share();
        self.all.share();
        self.times.share();
        self.lines.share();
        self.live.share();
    }

    /// Writes what grows with what waits; the rest is written with the state.
    pub(super) fn write_tables(&self, to: &mut dyn Write) -> io::Result<()> {
        self.queue.write_tables(to)
    }

    /// Reads it, after the rest.
    pub(super) fn read_tables(&mut self, from: &mut dyn Read) -> io::Result<()> {
        self.queue.read_tables(from)
    }
}

/// Every message, and what they wait for.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Messages {
    queue: Queue,
    /// Expiries of messages, and ends of the wait for reports; looked at before the queue is.
    expiries: Wheel,
    tenants: Slab<MessageTenant>,
    all: Slab<Message>,
    index: BTreeMap<MessageId, u32>,
    bodies: Bodies,
    times: Slab<Times>,
    lines: Slab<Line>,
    /// Lanes of batches whose messages are being ended, a bounded number with each entry; and why.
    sweeps: VecDeque<(u32, Reason)>,
    live: Slab<Live>,
    origins: BTreeMap<u32, Origin>,
    /// Taken messages by carrier and reference.
    references: BTreeMap<(Arc<str>, Arc<str>), u32>,
    /// Taken messages in the order in which they were, with gaps of those that were reported on.
    unreported: VecDeque<(MessageId, u16)>,
    unreported_count: usize,
    carriers: BTreeMap<Arc<str>, CarrierState>,
    /// Tenants with inbound messages that may be asked about the next one, in turn.
    turns: VecDeque<u32>,
    asked: u32,
    outbox: VecDeque<MessageRecord>,
    given: u64,
    records_given: u64,
    stray_reports: u64,
    /// Who takes no messages from which numbers.
    opt_outs: OptOuts,
    /// Answers, of applications or to keywords, that no queue took.
    answers_refused: u64,
    /// How long carriers took to answer.
    holding: Holding,
}

impl State {
    pub(super) fn message_command(
        &mut self,
        command: &MessageCommand,
        fx: &mut Vec<Effect>,
    ) -> Reply {
        match command {
            MessageCommand::Submit(submit) => self.submit_messages(submit, fx),
            MessageCommand::Cancel { account, which } => self.cancel_messages(*account, which, fx),
            MessageCommand::Reports(reports) => self.message_reports(reports, fx),
            MessageCommand::Arrived(arrivals) => self.messages_arrived(arrivals, fx),
            MessageCommand::Asked(asked) => self.applications_asked(asked, fx),
            MessageCommand::OptOuts(changes) => self.change_opt_outs(changes),
            MessageCommand::Restarted => self.carriers_restarted(fx),
            MessageCommand::Recorded { through } => self.messages_recorded(*through),
        }
    }

    /// Tells whoever follows that a message has another status.
    fn message_changed(
        &self,
        id: u32,
        status: MessageStatus,
        reason: Reason,
        fx: &mut Vec<Effect>,
    ) {
        let message = &self.messages.all[id];
        fx.push(Effect::Message(MessageEffect::Changed {
            message: message.message,
            account: self.tenants[message.tenant].account,
            spec: Arc::clone(&message.spec),
            status,
            reason,
        }));
    }

    /// Puts a new message among its tenant's. Its text is held already.
    fn insert_message(
        &mut self,
        tenant: u32,
        lane: u32,
        spec: &Arc<MessageSpec>,
        body: u32,
        stage: Stage,
    ) -> u32 {
        let messages = &mut self.messages;
        messages.given += 1;
        let message = MessageId(messages.given);
        let id = messages.all.insert(Message {
            link: Link::default(),
            message,
            spec: Arc::clone(spec),
            body,
            tenant,
            lane,
            accepted_at: Timestamp(self.now),
            wait_ms: 0,
            times: NIL,
            line: NIL,
            attempt: 0,
            answers_keyword: false,
            stage,
        });
        messages.index.insert(message, id);
        messages.tenants[tenant].all.push_back(&mut messages.all, id);
        id
    }
}
