//! What applying an entry asks of the outside world, and what it answers to the proposer.

use std::sync::Arc;

use busyhour_base::{AccountSid, CallSpec, Instructions, Outcome, Reason, Span, Timestamp};

use crate::message::{AcceptedMessage, MessageEffect};
use crate::spec::{AgentIx, BatchId, CallId};

/// The answer to whoever proposed an entry.
#[derive(Clone, PartialEq, Eq, Debug, Hash)]
pub enum Reply {
    /// Done, nothing to say.
    Done,
    /// Refused; nothing was changed (`RELIABILITY.md`, invariant 5).
    Refused(Reason),
    /// One verdict per submitted call, in order.
    Submitted(Vec<Result<Accepted, Reason>>),
    /// One verdict per offered call, in order: its number, or why it is refused.
    Offered(Vec<Result<CallId, Reason>>),
    /// So many waiting requests start no more; they end now and in the course of the next entries.
    Canceling(u64),
    /// The batch that was created, or had been for the same idempotency key.
    Batch(BatchId),
    /// One verdict per submitted or arrived message, in order.
    Messages(Vec<Result<AcceptedMessage, Reason>>),
    /// So many waiting messages were canceled.
    Canceled(u64),
    /// What a tenant's changes to who takes no messages have come to.
    OptOuts {
        /// So many have been added; the others were known.
        added: u64,
        /// So many have been removed; the others had not opted out.
        removed: u64,
    },
    /// The agent's number and the fence that it must store before it does anything else.
    Agent {
        /// Its number.
        agent: AgentIx,
        /// Its fence.
        fence: u64,
    },
}

/// An accepted call.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Accepted {
    /// Its number.
    pub call: CallId,
    /// The expected wait (`queue_time`).
    pub wait: Span,
}

/// Something to be done outside. Effects are told once, in order, and may be lost in a crash: whatever
/// must not be lost can be derived from the state again.
#[derive(Clone, PartialEq, Eq, Debug, Hash)]
pub enum Effect {
    /// Dial (the intent is in the log by now).
    Dial(Dial),
    /// Let an offered call ring: it waits for capacity.
    Ring(Ringing),
    /// Answer an offered call: it has its channel and its slot.
    Answer(Answer),
    /// Refuse an offered call that was taken in.
    Refuse {
        /// Where it rings.
        agent: AgentIx,
        /// Which of that agent's offers.
        offer: u64,
        /// Why.
        reason: Reason,
    },
    /// End a call: CANCEL before the answer, BYE after.
    HangUp {
        /// Where it runs.
        agent: AgentIx,
        /// Which.
        call: CallId,
        /// Which attempt.
        attempt: u16,
        /// Why: [`Reason::CanceledByTenant`], [`Reason::BatchCanceled`], or [`Reason::InDoubtAgentLost`] for a
        /// call that an agent brings back after it was given up.
        reason: Reason,
    },
    /// Go on with another document.
    Redirect {
        /// Where it runs.
        agent: AgentIx,
        /// Which.
        call: CallId,
        /// Which attempt.
        attempt: u16,
        /// The new document.
        instructions: Instructions,
    },
    /// A call ended and no agent runs it (it never reached one, or is in doubt): its status callback is still owed.
    Notify {
        /// Which.
        call: CallId,
        /// Whose.
        account: AccountSid,
        /// Its request.
        spec: Arc<CallSpec>,
        /// How it ended.
        outcome: Outcome,
    },
    /// Something about messages.
    Message(MessageEffect),
    /// A batch's callback is owed a notice ([`crate::state::State::batch_notice`] has it until it is settled).
    BatchNews {
        /// Which.
        batch: BatchId,
    },
    /// A call changed, for whoever follows: events, metrics, live views.
    Changed {
        /// Which.
        call: CallId,
        /// Whose.
        account: AccountSid,
        /// To what.
        phase: Phase,
    },
}

/// An order to dial.
#[derive(Clone, PartialEq, Eq, Debug, Hash)]
pub struct Dial {
    /// Which call.
    pub call: CallId,
    /// Which attempt, from 1.
    pub attempt: u16,
    /// Whose.
    pub account: AccountSid,
    /// Over which carrier, by name.
    pub carrier: Arc<str>,
    /// By which agent.
    pub agent: AgentIx,
    /// Under which fence.
    pub fence: u64,
    /// When the INVITE is due on the ideal grid. An instant that has passed means at once.
    pub at: Timestamp,
    /// The limit that last held it before it started; [`Reason::Ready`] if none did.
    pub held_by: Reason,
    /// How long it waited for its instant, from its acceptance or the time that it was scheduled for.
    pub waited: Span,
    /// What was asked.
    pub spec: Arc<CallSpec>,
}

/// An offered call that waits for capacity.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Ringing {
    /// Which call.
    pub call: CallId,
    /// Its attempt, always 1.
    pub attempt: u16,
    /// Where it rings.
    pub agent: AgentIx,
    /// Which of that agent's offers.
    pub offer: u64,
    /// Under which fence.
    pub fence: u64,
    /// What it waits for.
    pub waits_for: Reason,
}

/// An order to answer.
#[derive(Clone, PartialEq, Eq, Debug, Hash)]
pub struct Answer {
    /// Which call.
    pub call: CallId,
    /// Its attempt, always 1.
    pub attempt: u16,
    /// Whose number was called.
    pub account: AccountSid,
    /// Which carrier offers it, by name.
    pub carrier: Arc<str>,
    /// Where it rings.
    pub agent: AgentIx,
    /// Which of that agent's offers.
    pub offer: u64,
    /// Under which fence.
    pub fence: u64,
    /// What it waited for last; [`Reason::Ready`] if it did not wait.
    pub held_by: Reason,
    /// How it is to be treated.
    pub spec: Arc<CallSpec>,
}

/// Where a call is in its life. As on the wire, with `Dialling` shown as `queued` until the carrier rings.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, serde::Serialize, serde::Deserialize,
)]
pub enum Phase {
    /// Waiting.
    Queued,
    /// Ordered from an agent.
    Dialling,
    /// The INVITE was sent.
    Sent,
    /// Rings.
    Ringing,
    /// Answered.
    InProgress,
    /// Over.
    Ended(Outcome),
}
