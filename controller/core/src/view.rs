//! What the state shows to API, metrics, `explain` and live views. Read models only: nothing here decides.

use std::sync::Arc;

use busyhour_base::{
    AccountSid, ApplicationSid, CallSpec, Ending, Outcome, Reason, Span, Timestamp,
};
use serde::Serialize;

use crate::{
    effect::Phase,
    message::MessageCounts,
    spec::{AgentIx, BatchId, BatchPlan, CallId, Kind, UploadFormat, Urgency},
};

mod availability;

pub use availability::{
    Availability, CarrierView, GroupView, LineView, PoppersView, Room, ShareView, Spent,
};

/// One live call, or one that has ended and is not yet in the records.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CallView {
    /// Its number.
    pub call: CallId,
    /// Whose.
    pub account: AccountSid,
    /// What was asked.
    pub spec: Arc<CallSpec>,
    /// Where it is.
    pub phase: Phase,
    /// How many attempts were begun.
    pub attempt: u16,
    /// By which agent, once it was dialled.
    pub agent: Option<AgentIx>,
    /// Over which carrier, once it was dialled.
    pub carrier: Option<Arc<str>>,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// Expected (at acceptance) or actual time in the queue.
    pub queue_time: Span,
    /// The limit that last held it, once it was dialled.
    pub held_by: Option<Reason>,
    /// When it was dialled.
    pub dialled_at: Option<Timestamp>,
    /// When it was answered.
    pub answered_at: Option<Timestamp>,
    /// When it ended, if it has and is not yet in the records.
    pub ended_at: Option<Timestamp>,
    /// How it ended, if it has.
    pub ending: Option<Ending>,
    /// Its scheduled time.
    pub not_before: Option<Timestamp>,
    /// Its batch.
    pub batch: Option<BatchId>,
    /// The tenant's name for it.
    pub custom_id: Option<Arc<str>>,
    /// Attempts that came to an end and after which it was placed again, in order.
    pub earlier: Vec<Attempt>,
}

/// A finished call on its way to the records: the outbox's row.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, serde::Deserialize)]
pub struct Record {
    /// Place in the outbox.
    pub seq: u64,
    /// Its number.
    pub call: CallId,
    /// Whose.
    pub account: AccountSid,
    /// What was asked.
    pub spec: Arc<CallSpec>,
    /// The application that asked, if any.
    pub application: Option<ApplicationSid>,
    /// When it was accepted.
    pub accepted_at: Timestamp,
    /// When its last attempt was due on the ideal grid, if it was dialled.
    pub due: Option<Timestamp>,
    /// The limit that last held it before its last attempt, or held it when it ended without one.
    pub held_by: Reason,
    /// When it was dialled, if it was.
    pub dialled_at: Option<Timestamp>,
    /// When it was answered, if it was.
    pub answered_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Timestamp,
    /// How many attempts were made.
    pub attempts: u16,
    /// Over which carrier, if any.
    pub carrier: Option<Arc<str>>,
    /// By which agent, if any.
    pub agent: Option<Arc<str>>,
    /// Its batch.
    pub batch: Option<BatchId>,
    /// The tenant's name for it.
    pub custom_id: Option<Arc<str>>,
    /// How it ended.
    pub ending: Ending,
    /// The attempts before the last one that came to an end.
    pub earlier: Vec<Attempt>,
}

/// One attempt of a call that was placed again after it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, serde::Deserialize)]
pub struct Attempt {
    /// Its number, from 1; attempts of which nothing was sent have numbers of their own.
    pub number: u16,
    /// Over which carrier.
    pub carrier: Arc<str>,
    /// By which agent.
    pub agent: Arc<str>,
    /// The limit that last held it.
    pub held_by: Reason,
    /// When it was due on the ideal grid.
    pub due: Timestamp,
    /// When it was dialled.
    pub dialled_at: Timestamp,
    /// When it ended.
    pub ended_at: Timestamp,
    /// How.
    pub outcome: Outcome,
    /// Why.
    pub reason: Reason,
    /// Final SIP status; 0 if there was none.
    pub sip_code: u16,
    /// From INVITE to its end.
    pub ring: Span,
    /// The carrier failed the call, which went to the next one at once.
    pub passed_on: bool,
}

impl Attempt {
    /// The attempt with which a record ends, if there was one.
    pub(crate) fn last_of(record: &Record) -> Option<Self> {
        let ending = &record.ending;
        Some(Self {
            number: record.attempts,
            carrier: record.carrier.clone()?,
            agent: record.agent.clone()?,
            held_by: record.held_by,
            due: record.due?,
            dialled_at: record.dialled_at?,
            ended_at: record.ended_at,
            outcome: ending.outcome,
            reason: ending.reason,
            sip_code: ending.sip_code,
            ring: ending.ring,
            passed_on: false,
        })
    }
}

/// Why a call is where it is (`GET /v1/Calls/{sid}/explain`).
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Explanation {
    /// How many requests of its own tenant go before it.
    pub position: u64,
    /// When it is expected to start, from now; `None` while that depends on a person or on capacity
    /// that is not there (paused, draft, suspended, no carrier, no worker).
    pub starts_in: Option<Span>,
    /// The limit that binds now; for a call that has started, the limit that last held it.
    pub binding: Reason,
    /// Every limit that it has to pass, with the time from now at which each alone would let it start.
    pub limits: Vec<(Reason, Option<Span>)>,
}

/// Counts of a batch by where its calls or messages are, or of a tenant by where its calls are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, serde::Deserialize)]
pub struct Counts {
    /// Accepted ever.
    pub accepted: u64,
    /// Waiting.
    pub queued: u64,
    /// Dialled and not over; of messages, with a carrier that has not answered or not reported.
    pub in_progress: u64,
    /// Ended, by [`Outcome::ALL`]; of messages by [`busyhour_base::MessageStatus::ENDS`].
    pub ended: [u64; Outcome::ALL.len()],
}

/// A tenant's inbound calls.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, serde::Deserialize)]
pub struct InboundCounts {
    /// Offered ever, and not refused at once.
    pub offered: u64,
    /// Ring for want of capacity.
    pub ringing: u64,
    /// Answered ever.
    pub answered: u64,
}

/// States of a batch (`WIRE.md`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BatchStatus {
    /// Takes lines.
    Draft,
    /// Takes lines, and the last part of an upload that has begun has not come. Shown of a draft.
    Validating,
    /// Started, its time has not come.
    Scheduled,
    /// Starting calls.
    Running,
    /// Starts no calls.
    Paused,
    /// None of its calls waits any more, and some are in progress. Shown of a running batch.
    Completing,
    /// All calls ended.
    Completed,
    /// Its end came before all calls had started, and what started has ended.
    Expired,
    /// Canceled, with calls still in progress.
    Cancelling,
    /// Canceled, and all calls ended.
    Cancelled,
}

/// One batch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct BatchView {
    /// Its number.
    pub batch: BatchId,
    /// Whose.
    pub account: AccountSid,
    /// Pacing and schedule.
    pub plan: Arc<BatchPlan>,
    /// State.
    pub status: BatchStatus,
    /// Counts.
    pub counts: Counts,
    /// Calls that were dialled, or segments that were handed to carriers; each attempt counts.
    pub started: u64,
    /// When it was created.
    pub created_at: Timestamp,
    /// When its first call was dialled, or its first message handed to a carrier.
    pub started_at: Option<Timestamp>,
    /// When its last call ended.
    pub ended_at: Option<Timestamp>,
    /// Expected time from now to the dialling of its last call, and the limit that binds.
    pub eta: Option<(Span, Reason)>,
    /// Why none of its calls starts now, whatever the limits say.
    pub shut_by: Option<Reason>,
    /// The time between two of its calls, or of its segments, by its own pacing and by the throttles of its tenant and of the
    /// applications and numbers that its open lines go out by, whichever is longest.
    pub spacing: Option<Span>,
    /// How far its upload is.
    pub upload: UploadView,
    /// The notice that its callback is owed.
    pub owed: Option<Notice>,
    /// By [`Outcome::ALL`], up to which record its lines were placed again ([`crate::spec::Again`]).
    pub again_through: [u64; Outcome::ALL.len()],
}

/// How far an upload is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct UploadView {
    /// How it is written, once its first part was taken.
    pub format: Option<UploadFormat>,
    /// Bytes taken.
    pub bytes: u64,
    /// The number of the next line, from 1.
    pub next_line: u64,
    /// Its last part was taken.
    pub complete: bool,
    /// Lines that were not accepted.
    pub refused: u64,
    /// Lines that were passed over because one that means the same call had been taken.
    pub duplicates: u64,
    /// Of how many of these it is still known what was wrong ([`crate::State::batch_faults`]).
    pub known: usize,
}

/// A line that was not accepted.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, serde::Deserialize)]
pub struct LineFault {
    /// The tenant's name for it, if it could be read.
    pub custom_id: Option<Arc<str>>,
    /// What was wrong.
    pub what: What,
}

/// What was wrong with a line.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, serde::Deserialize)]
pub enum What {
    /// It cannot become a request: the API's code, and a sentence.
    Unusable(u32, Arc<str>),
    /// The machine refused it.
    Refused(Reason),
}

/// What a batch's callback is owed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, serde::Deserialize)]
pub struct Notice {
    /// Its number in the batch, from 1. A later one takes the place of an earlier one that was not yet accepted.
    pub number: u64,
    /// Of what.
    pub event: BatchEvent,
    /// Since when.
    pub since: Timestamp,
}

/// What a batch's callback is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, serde::Deserialize)]
pub enum BatchEvent {
    /// Another part of its calls has ended.
    Progress,
    /// It has ended.
    Finished,
}

/// All tenants together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Totals {
    /// How many there are.
    pub tenants: usize,
    /// Calls that wait.
    pub queued: u64,
    /// Calls that were dialled and are not over.
    pub in_progress: u64,
}

/// One tenant.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct TenantView {
    /// Its account.
    pub account: AccountSid,
    /// Its name.
    pub name: Arc<str>,
    /// Counts.
    pub counts: Counts,
    /// Bytes of its calls with their parameters.
    pub bytes: u64,
    /// From how many on no more calls are taken.
    pub bytes_max: u64,
    /// Dialled in the last ten seconds.
    pub dialled_10s: u32,
    /// Its inbound calls.
    pub inbound: InboundCounts,
    /// Its messages.
    pub messages: MessageCounts,
    /// Its throttle's spacing.
    pub spacing: Option<Span>,
    /// Expected time from now until its queue is empty, and the limit that binds.
    pub eta: Option<(Span, Reason)>,
}

/// One queue of a tenant: what it has in common, and what holds it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct QueueView {
    /// Of calls or of messages.
    pub kind: Kind,
    /// The application that asked, if it has limits of its own.
    pub application: Option<ApplicationSid>,
    /// The number that they are from, if it has limits of its own.
    pub number: Option<Arc<str>>,
    /// How urgent its requests are.
    pub urgency: Urgency,
    /// Of a batch.
    pub batch: Option<BatchId>,
    /// Waiting.
    pub waiting: u32,
    /// In calls or segments.
    pub units: u64,
    /// In progress: calls that are not over, messages that their carrier has not answered.
    pub in_progress: u32,
    /// What holds what waits in it.
    pub held_by: Reason,
}

/// One agent.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct AgentView {
    /// Its number.
    pub agent: AgentIx,
    /// Its name.
    pub name: Arc<str>,
    /// The process that connected last; a controller that starts names it when it takes the agent for away.
    pub incarnation: u64,
    /// Connected now.
    pub connected: bool,
    /// Calls that it can hold.
    pub slots: u32,
    /// Calls that it holds.
    pub in_use: u32,
    /// Processor use in thousandths.
    pub cpu_permille: u16,
    /// Takes no new calls.
    pub draining: bool,
    /// Its fence.
    pub fence: u64,
}

/// One row of counts does for both kinds.
const _: () = assert!(Outcome::ALL.len() == busyhour_base::MessageStatus::ENDS.len());
