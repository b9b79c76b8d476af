//! What tenants ask for and what operators declare, as the state machine holds it.
//!
//! Secrets (tokens, trunk passwords) are not here: they stay in the declared documents and never
//! enter the log.

use std::sync::Arc;

use busyhour_base::{AccountSid, ApplicationSid, CallSpec, Span, Timestamp};
use serde::{Deserialize, Serialize};

mod batch;
mod carrier;
mod line;

use crate::message::MessageDeclaration;
pub use batch::{
    Again, AgainLine, AgainMessage, BatchHook, BatchPlan, CallingHours, DAYS_ALL, DedupeBy, Fault,
    Lines, Opening, Openings, Part, Retry, RetryOn, UploadFormat, WeeklyWindow, WindowEnd,
};
pub use carrier::{
    Allocation, Carrier, Channels, Commitment, DEFAULT_GROUP, Destination, Number, NumberKind,
    Period, Price, Share, Tariff, Unused,
};
pub use line::{LineRequest, NewRequest, NewText, Requests, Rest};

/// A call's number in the log; [`busyhour_base::SidKey`] turns it into the public sid.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub struct CallId(pub u64);

/// A batch's number in the log.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub struct BatchId(pub u64);

/// An agent's number, given when its name is first seen.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub struct AgentIx(pub u16);

/// Who goes before whom (MT-6).
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub enum Urgency {
    /// A caller is waiting.
    Inbound,
    /// Someone waits on this outbound call.
    Synchronous,
    /// An ordinary outbound request.
    #[default]
    Ordinary,
}

impl Urgency {
    /// The word for it in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Synchronous => "synchronous",
            Self::Ordinary => "ordinary",
        }
    }
}

/// What a request is. Throttles, caps and queues of the two are apart (MT-8).
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub enum Kind {
    /// A call.
    #[default]
    Call,
    /// A message; its unit is the segment.
    Message,
}

impl Kind {
    /// The word for it in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Call => "call",
            Self::Message => "message",
        }
    }
}

/// One request to be queued.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NewCall {
    /// What was asked. Its `from` is the number whose limits it is subject to, if the tenant has that number.
    pub spec: Arc<CallSpec>,
    /// The application that asked, if any: the request is subject to its limits.
    pub application: Option<ApplicationSid>,
    /// Not before this instant (MT-5).
    pub not_before: Option<Timestamp>,
    /// Not tried at or after this instant (MT-5).
    pub expires: Option<Timestamp>,
    /// Its class.
    pub urgency: Urgency,
    /// The tenant's own name for it, unique in its batch.
    pub custom_id: Option<Arc<str>>,
}

impl NewCall {
    /// An ordinary call, as soon as possible.
    pub const fn of(spec: Arc<CallSpec>) -> Self {
        Self {
            spec,
            application: None,
            not_before: None,
            expires: None,
            urgency: Urgency::Ordinary,
            custom_id: None,
        }
    }
}

/// A minimum spacing between requests (MT-2), as GCRA's emission interval.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Throttle {
    /// From one request to the next.
    pub spacing: Span,
}

/// At most `count` requests in any rolling window of this length (MT-3).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub struct Cap {
    /// How many.
    pub count: u32,
    /// In what time.
    pub window: Span,
}

/// What happens to a request over a cap (MT-3).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub enum Excess {
    /// It is scheduled for the time the cap frees.
    #[default]
    Schedule,
    /// It is refused.
    Refuse,
}

/// How fast calls may start in one scope: an application or a number. A call keeps those of all its scopes at once.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Pace {
    /// Their spacing.
    pub throttle: Option<Throttle>,
    /// Several windows at once.
    pub caps: Vec<Cap>,
}

/// A tenant's limits.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Limits {
    /// Spacing of its outbound calls.
    pub throttle: Option<Throttle>,
    /// Several windows at once.
    pub caps: Vec<Cap>,
    /// Its part of what there is, beside those of others ([`OrderPolicy::Weighted`]).
    pub weight: u32,
    /// Its service plan: smaller goes first ([`OrderPolicy::Plan`]).
    pub plan: u32,
    /// Over a cap.
    pub excess: Excess,
    /// How many requests may wait.
    pub queue_max: u32,
    /// From so many bytes of parameters of its calls on, in the queue or not yet recorded, it asks for no more calls. What is
    /// taken in one entry is taken whole.
    pub queue_bytes_max: u64,
    /// The longest expected wait at which a request is still accepted (`WIRE.md`: 24 h, code 22005). A
    /// batch's lines have no such bound.
    pub wait_max: Span,
}

impl Default for Limits {
    /// No throttle and no cap; a million requests may wait for up to a day, with 256 MiB of parameters.
    fn default() -> Self {
        Self {
            throttle: None,
            caps: Vec::new(),
            weight: 1,
            plan: 0,
            excess: Excess::Schedule,
            queue_max: 1_000_000,
            queue_bytes_max: 256 << 20,
            wait_max: Span::from_secs(86_400),
        }
    }
}

/// An application of a tenant, as far as it limits requests.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Application {
    /// Which.
    pub sid: ApplicationSid,
    /// Which calls it may start.
    pub pace: Pace,
}

/// A declared tenant.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Tenant {
    /// Its account.
    pub account: AccountSid,
    /// Its name in the declaration.
    pub name: Arc<str>,
    /// What it may use.
    pub limits: Limits,
    /// Its shares of the carriers' channels, at most one of each group. Without one it takes its turn for what others
    /// leave over.
    pub shares: Vec<Share>,
    /// Its applications, in order.
    pub applications: Vec<Application>,
    /// Accepts nothing and starts nothing while set.
    pub suspended: bool,
}

/// The kinds of requests that an order can tell apart (MT-4). Calls and messages never compete: they share no channel.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub enum AskedAs {
    /// Those that were asked for one by one.
    #[default]
    Single,
    /// Lines of batches.
    BatchLine,
}

/// The order across tenants (MT-4), of their calls or of their messages.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub enum OrderPolicy {
    /// One request of each tenant in turn.
    #[default]
    Alternating,
    /// Calls, or segments of messages, in proportion to the tenants' weights.
    Weighted,
    /// Whose oldest request came first.
    FirstComeFirstServed,
    /// By service plan; tenants of the same plan take turns.
    Plan,
    /// Requests of one kind before those of the other; within a kind, tenants take turns.
    Kind {
        /// Which goes first.
        first: AskedAs,
    },
    /// Whose calls used the least channel time lately; of whose messages carriers were handed the fewest segments.
    ResourceUse {
        /// After so long, use counts half.
        half_life: Span,
    },
    /// Drawn by lot, the same on every replica.
    Random {
        /// What the lots depend on.
        seed: u64,
    },
}

/// At least so many thousandths of all starts go to requests of an urgency while they wait (MT-6).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Floors {
    /// To synchronous calls.
    pub synchronous: u16,
    /// To ordinary requests.
    pub ordinary: u16,
}

/// All declared capacity. It is applied as a whole or not at all.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Declaration {
    /// Tenants, in order of account.
    pub tenants: Vec<Tenant>,
    /// Carriers, in order of name.
    pub carriers: Vec<Carrier>,
    /// The tenants' numbers, in order.
    pub numbers: Vec<Number>,
    /// Order of calls across tenants.
    pub order: OrderPolicy,
    /// What concerns messages.
    pub messages: MessageDeclaration,
    /// What lower urgencies get at least.
    pub floors: Floors,
}
