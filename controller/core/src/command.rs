//! What the log holds: one [`Entry`] per decision point, each a command with the instant at which the
//! leader took it.

use std::sync::Arc;

use busyhour_base::{AccountSid, ApplicationSid, CallEvent, CallSpec, Instructions, Timestamp};
use serde::{Deserialize, Serialize};

use crate::message::MessageCommand;
use crate::spec::{
    Again, AgentIx, BatchId, BatchPlan, CallId, Channels, Declaration, Lines, NewCall, Openings,
    Throttle, Urgency,
};

/// One entry of the replicated log.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Entry {
    /// Position in the log.
    pub index: u64,
    /// When the leader proposed it. The machine's time never goes back: a smaller instant counts as the last one.
    pub at: Timestamp,
    /// What to do.
    pub command: Command,
}

/// Everything that can change the state.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Command {
    /// Replace the declared capacity.
    Declare(Box<Declaration>),
    /// Change how much of the declared capacity is used.
    Capacity(Capacity),
    /// Queue calls of one tenant.
    Submit(Submit),
    /// Create a batch or change one.
    Batch(BatchCommand),
    /// Change one call on its tenant's word.
    Update(Update),
    /// End everything of one scope that waits.
    Cancel(Cancel),
    /// Time has passed: start whatever may start.
    Tick,
    /// An agent came, reported or was lost.
    Agent(AgentCommand),
    /// Calls that carriers offer, in the order in which an agent heard of them (MT-6, MT-9).
    Offer(Vec<Offer>),
    /// What agents say of calls, in the order in which they said it.
    Reports(Vec<CallReport>),
    /// Something about messages.
    Message(MessageCommand),
    /// Outcomes up to and with this sequence number are in the records.
    Recorded {
        /// Last stored sequence number.
        through: u64,
    },
}

/// How much of a declared carrier is used and kept, until the declaration says another value (MT-14 to MT-16). Refused as a
/// whole if the channels that tenants are guaranteed would not fit any more.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Capacity {
    /// Which carrier.
    pub carrier: Arc<str>,
    /// The channels that are to be active, at most those by contract. More become active after the activation time, fewer
    /// as calls end.
    pub active: Option<Channels>,
    /// Bidirectional channels that are held for inbound calls.
    pub reserve: Option<u32>,
    /// Channels that are not lent.
    pub margin: Option<u32>,
}

/// Calls of one tenant to be queued. With one call it is accepted or refused; with several (lines of a
/// batch) each is, and [`crate::effect::Reply::Submitted`] says which.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Submit {
    /// Whose.
    pub account: AccountSid,
    /// Hash of the caller's `Idempotency-Key`: a repeat gets the first answer.
    pub idempotency: Option<u128>,
    /// The batch that they belong to.
    pub batch: Option<BatchId>,
    /// The calls.
    pub calls: Vec<NewCall>,
}

/// A call that a carrier offers, and how its number's application wants it treated.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Offer {
    /// Where it rings.
    pub agent: AgentIx,
    /// Of which process.
    pub incarnation: u64,
    /// Counts that process's offers up: one that is not above those before is a repeat.
    pub offer: u64,
    /// Who offers it, by name.
    pub carrier: Arc<str>,
    /// Whose number was called.
    pub account: AccountSid,
    /// The call. It may wait for capacity for as long as its `ring_timeout`.
    pub spec: Arc<CallSpec>,
}

/// A tenant cancels at once what it has waiting, also what is scheduled for later and lines of batches. Calls in progress
/// go on. (A batch as a whole has [`BatchCommand::Cancel`].)
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Cancel {
    /// Whose.
    pub account: AccountSid,
    /// How much of it.
    pub which: Waiting,
}

/// Which of a tenant's waiting calls: those to which all of this applies.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Waiting {
    /// They call from this number.
    pub from: Option<Arc<str>>,
    /// They call this number or address.
    pub to: Option<Arc<str>>,
    /// This application asked for them.
    pub application: Option<ApplicationSid>,
    /// They are as urgent as this.
    pub urgency: Option<Urgency>,
    /// They are scheduled for this instant or a later one.
    pub scheduled_from: Option<Timestamp>,
    /// They are scheduled for an instant before this one.
    pub scheduled_before: Option<Timestamp>,
}

/// What a tenant does with a batch.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum BatchCommand {
    /// A new batch, as a draft.
    Create {
        /// Whose.
        account: AccountSid,
        /// Hash of the caller's `Idempotency-Key`.
        idempotency: Option<u128>,
        /// Pacing and schedule.
        plan: Box<BatchPlan>,
    },
    /// No more lines will come; begin at `not_before` or at once.
    Start {
        /// Whose.
        account: AccountSid,
        /// Which.
        batch: BatchId,
    },
    /// Start no more calls; those in progress go on.
    Pause {
        /// Whose.
        account: AccountSid,
        /// Which.
        batch: BatchId,
    },
    /// Go on.
    Resume {
        /// Whose.
        account: AccountSid,
        /// Which.
        batch: BatchId,
    },
    /// End it: what waits is canceled.
    Cancel {
        /// Whose.
        account: AccountSid,
        /// Which.
        batch: BatchId,
        /// Also end the calls in progress, rather than let them drain.
        hang_up: bool,
    },
    /// Lines for a draft. Each is accepted or refused by itself; [`crate::effect::Reply::Submitted`] says which.
    Take(Arc<Lines>),
    /// Lines that came to nothing are placed again; a batch that has ended goes on. Each is accepted or refused by itself;
    /// [`crate::effect::Reply::Submitted`] says which. Behind the first for which there is no room none is accepted.
    Again(Box<Again>),
    /// Another pace, from now on. No line loses its place.
    Pace {
        /// Whose.
        account: AccountSid,
        /// Which.
        batch: BatchId,
        /// Spacing within the batch.
        throttle: Option<Throttle>,
        /// Most calls in progress at once.
        max_concurrent: Option<u32>,
    },
    /// Its calling hours, resolved anew. Nothing for a batch that has none.
    Open {
        /// Which.
        batch: BatchId,
        /// When its calls may start.
        openings: Openings,
    },
    /// What was owed to its callback up to this number is settled.
    Told {
        /// Which.
        batch: BatchId,
        /// The last notice that was accepted, or given up.
        notice: u64,
        /// It was accepted.
        accepted: bool,
    },
}

/// A tenant's change of one call.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Update {
    /// Whose.
    pub account: AccountSid,
    /// Which.
    pub call: CallId,
    /// What.
    pub change: Change,
}

/// What a tenant may do to a call.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum Change {
    /// `Status=canceled`: only if it is queued or ringing.
    Cancel,
    /// `Status=completed`: also if it is in progress.
    Complete,
    /// `Url` or `Twiml`: go on with another document.
    Redirect(Instructions),
}

/// The life of an agent.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub enum AgentCommand {
    /// It connected. `known` is its journal: every (call, attempt) that it has an entry for and that it
    /// has not yet seen acknowledged as ended.
    Up {
        /// Its name.
        name: Arc<str>,
        /// Drawn anew at each start of the process.
        incarnation: u64,
        /// Calls that it can hold at once.
        slots: u32,
        /// Highest fence that it has stored; 0 with an empty journal directory.
        fence: u64,
        /// Whether its journal survived since the last time (a lost journal is told by its fence being 0).
        known: Vec<Known>,
    },
    /// Its load changed.
    Load {
        /// Which.
        agent: AgentIx,
        /// Under which fence. The agent says nothing before it has stored that.
        fence: u64,
        /// Processor use, in thousandths of one core's full use over all its cores.
        cpu_permille: u16,
        /// It takes no new calls.
        draining: bool,
    },
    /// Its connection ended; its calls may go on.
    Disconnected {
        /// Which.
        agent: AgentIx,
        /// Of which process, so that a late notice does not hit its successor.
        incarnation: u64,
    },
}

/// A journal entry that an agent brings along.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Known {
    /// Which call.
    pub call: CallId,
    /// Which attempt.
    pub attempt: u16,
    /// Whether this very process still runs it, or has its end still to report. If not, it is in doubt, and
    /// ends as failed.
    pub live: bool,
}

/// What an agent says of one attempt of a call. Applying it twice changes nothing.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CallReport {
    /// Who says it.
    pub agent: AgentIx,
    /// Of which call.
    pub call: CallId,
    /// Of which attempt.
    pub attempt: u16,
    /// When the controller heard it, if that was before the entry: a report may wait behind a slow disk.
    pub heard_at: Timestamp,
    /// What.
    pub event: CallEvent,
}
