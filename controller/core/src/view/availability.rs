//! What is available, and why no more is (MT-27): the one read model that the API, the metrics, `explain`, and whoever decides
//! outside the state machine look at.

use std::sync::Arc;

use busyhour_base::{AccountSid, Reason, Span};
use serde::Serialize;

use crate::spec::{Channels, Unused, Urgency};

/// A carrier's channels by what they are doing. They add up to those by contract, and to more only while calls hold channels
/// that a smaller contract does not have any more.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Availability {
    /// Nobody has them.
    pub free: u32,
    /// Nobody has them, and they are held for inbound calls.
    pub reserved: u32,
    /// Ordered from an agent that has not said yet that the call was sent.
    pub leased: u32,
    /// With a call.
    pub in_use: u32,
    /// Kept back until an unconfirmed end is certain.
    pub quarantined: u32,
    /// Told to become active, and not active yet.
    pub activating: u32,
    /// By contract, and not allocated.
    pub inactive: u32,
    /// Held by calls beyond what the contract has.
    pub beyond: u32,
}

impl Availability {
    /// All of them.
    pub const fn total(&self) -> u32 {
        self.free
            + self.reserved
            + self.leased
            + self.in_use
            + self.quarantined
            + self.activating
            + self.inactive
    }

    /// That somebody holds, or whose call the carrier may still count.
    pub const fn held(&self) -> u32 {
        self.leased + self.in_use + self.quarantined
    }
}

/// What could be taken of something now, and what binds if nothing can.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Room {
    /// So many calls.
    pub calls: u32,
    /// Why not one more now. [`Reason::Ready`] if one more could.
    pub binding: Reason,
}

/// What a carrier costs now.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Spent {
    /// For a minute, in millionths of the currency, to destinations without a price of their own.
    pub per_minute_micros: u64,
    /// Charged in this period.
    pub minutes: u64,
    /// Charged in this period, in millionths.
    pub micros: u64,
    /// What is paid for in any case is not used up.
    pub is_committed: bool,
}

/// One carrier.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct CarrierView {
    /// Its name.
    pub name: Arc<str>,
    /// Its group.
    pub group: Arc<str>,
    /// By contract.
    pub channels: u32,
    /// By contract, by direction.
    pub contract: Channels,
    /// Active, by direction, whoever has them.
    pub active: Channels,
    /// What becomes of those that are not allocated.
    pub unused: Unused,
    /// What they are doing.
    pub availability: Availability,
    /// For outbound calls.
    pub outbound: Room,
    /// For inbound calls.
    pub inbound: Room,
    /// The bound on outbound requests in service.
    pub service_ports: u32,
    /// Set-up spacing by contract.
    pub setup_spacing: Span,
    /// Call set-ups in the last second.
    pub setups_1s: u32,
    /// Money.
    pub spent: Spent,
}

/// A group of carriers whose channels tenants share.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct GroupView {
    /// Its name.
    pub name: Arc<str>,
    /// Outbound calls that it could take now, but for the rates.
    pub free: u64,
    /// Of those, kept for guarantees that are not used.
    pub guaranteed: u64,
    /// Of those, kept because tenants expect them and do not lend them.
    pub expected: u64,
    /// Of those, not lent in any case.
    pub margin: u64,
    /// What a tenant could take beyond what it is expected to use.
    pub lendable: u64,
}

/// A line of those who compete for the same channels under the same conditions: what the engine takes the next request from.
/// There is one for each route, urgency and share class in which somebody stands.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct LineView {
    /// The carriers of the route, in the order in which they are tried.
    pub carriers: Vec<Arc<str>>,
    /// How urgent its requests are.
    pub urgency: Urgency,
    /// Below the guaranteed use (0), below the expected use (1), beyond it (2).
    pub class: u8,
    /// How many queues stand in it, each with a request that nothing of its own holds.
    pub standing: usize,
    /// Why nothing is taken from it now. [`Reason::Ready`] if something is.
    pub held_by: Reason,
}

/// The poppers of a route: so many of its requests may be taken out of the queues in one step (MT-10).
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct PoppersView {
    /// The carriers of the route, in the order in which they are tried.
    pub carriers: Vec<Arc<str>>,
    /// How many there are.
    pub number: u32,
    /// There are never more.
    pub most: u32,
    /// How many took a request at this very instant.
    pub at_work: u32,
    /// Requests that wait for the route, whatever they wait for.
    pub waiting: u64,
    /// What its carriers could take, by their channels and rates.
    pub capacity: u64,
}

/// A tenant's share of a group.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ShareView {
    /// Whose.
    pub account: AccountSid,
    /// Of which group.
    pub group: Arc<str>,
    /// Kept for it.
    pub guaranteed: u32,
    /// What it usually needs.
    pub expected: u32,
    /// It never has more; `None` without a bound.
    pub maximum: Option<u32>,
    /// How much of what it expects and does not use is lent, in thousandths.
    pub lend_permille: u16,
    /// Outbound channels that it has.
    pub outbound: u32,
    /// Inbound channels that it has.
    pub inbound: u32,
    /// What it could take now, but for the carriers' rates and its own limits.
    pub room: Room,
}
