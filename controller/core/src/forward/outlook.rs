//! The copy that runs ahead.

use std::collections::BTreeMap;

use busyhour_base::{AccountSid, Timestamp};

use super::Holding;
use crate::{
    engine::{Engine, lanes::Asked},
    spec::BatchId,
};

/// The most that taking a copy copies: at some gigabytes a second it keeps whoever applies entries from the state for
/// about a millisecond. That is some 400,000 waiting requests of a few thousand tenants.
pub const COPY_BYTES_MAX: usize = 4 << 20;

/// A call in progress.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct InProgress {
    pub lane: u32,
    pub carrier: u32,
    pub worker: u16,
    /// For how long it has held its channel.
    pub elapsed: u64,
    /// Its agent has not said yet that it was sent.
    pub leased: bool,
}

/// What a timer of the engine's owner brings about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Timed {
    /// A scheduled request comes into its lane.
    Begins {
        /// The request.
        request: u32,
        /// Its lane.
        lane: u32,
        /// What the engine has to know of it.
        asked: Asked,
    },
    /// A batch's gate opens.
    Opens {
        /// Which.
        gate: u32,
    },
}

/// The end of a batch's calling hours, or of the batch. (Their beginnings are timers of the engine's.)
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Closing {
    /// When.
    pub at: u64,
    /// The batch's gate.
    pub gate: u32,
}

/// A request that expires if it has not started by then.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) struct Expiring {
    /// When.
    pub at: u64,
    /// Which.
    pub request: u32,
    /// Its lane.
    pub lane: u32,
    /// Where it waits.
    pub waits: Waits,
}

/// Where a request waits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Waits {
    /// In its lane.
    Queued,
    /// With its lane: its time has not come.
    PutOff,
}

/// A copy of what decides when requests start; it owes the state nothing.
#[derive(Clone, Debug)]
pub struct Outlook {
    pub(crate) engine: Engine,
    /// The instant of the copy.
    pub(crate) now: u64,
    pub(crate) in_progress: Vec<InProgress>,
    /// By the keys of the owner's timers.
    pub(crate) timed: BTreeMap<u32, Timed>,
    /// In order of time.
    pub(crate) closings: Vec<Closing>,
    /// In order of time.
    pub(crate) expiring: Vec<Expiring>,
    /// Tenant of each lane, in order of lane.
    pub(crate) tenant_of: Vec<(u32, u32)>,
    /// Holding times of tenants that have something waiting or in progress.
    pub(crate) holding: BTreeMap<u32, Holding>,
    /// Of all tenants.
    pub(crate) holding_all: Holding,
    /// The mean holding time that is assumed before there are any.
    pub(crate) holding_assumed_us: u64,
    /// Lanes of each tenant that has something waiting.
    pub(crate) accounts: BTreeMap<AccountSid, Vec<u32>>,
    /// Lanes of batches.
    pub(crate) batches: BTreeMap<BatchId, Vec<u32>>,
}

impl Outlook {
    /// The instant of the copy.
    pub const fn at(&self) -> Timestamp {
        Timestamp(self.now)
    }
}
