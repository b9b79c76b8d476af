//! What carriers rent out, and how tenants share it, as the state machine holds it.

use std::sync::Arc;

use busyhour_base::{AccountSid, Span};
use serde::{Deserialize, Serialize};

use super::Pace;

/// Channels by the direction in which they may be used (MT-13).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Channels {
    /// For inbound calls only.
    pub inbound: u32,
    /// For outbound calls only.
    pub outbound: u32,
    /// For both: bidirectional.
    pub both: u32,
}

impl Channels {
    /// So many bidirectional ones.
    pub const fn both(count: u32) -> Self {
        Self { inbound: 0, outbound: 0, both: count }
    }

    /// All of them.
    pub const fn total(self) -> u32 {
        self.inbound.saturating_add(self.outbound).saturating_add(self.both)
    }

    /// Of each direction the smaller number.
    #[must_use]
    pub fn min(self, other: Self) -> Self {
        self.with(other, Ord::min)
    }

    /// Of each direction what `f` makes of the two numbers.
    #[must_use]
    pub fn with(self, other: Self, f: impl Fn(u32, u32) -> u32) -> Self {
        Self {
            inbound: f(self.inbound, other.inbound),
            outbound: f(self.outbound, other.outbound),
            both: f(self.both, other.both),
        }
    }
}

/// What becomes of a channel that is not allocated (MT-15).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub enum Unused {
    /// It costs nothing and takes longest to come back.
    #[default]
    Off,
    /// It is kept ready.
    Asleep,
    /// It is lent to work that can be interrupted.
    Lent,
}

/// Which part of the channels by contract is active (MT-15).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Allocation {
    /// The active part; `None` means all.
    pub active: Option<Channels>,
    /// From the word to activate a channel until it can be used.
    pub activation: Span,
    /// What becomes of the others.
    pub unused: Unused,
}

/// What kind of number a request is made from.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
pub enum NumberKind {
    /// A geographic or national number, and whatever else is no other kind.
    #[default]
    Local,
    /// A mobile number.
    Mobile,
    /// A number that is free for its callers.
    TollFree,
    /// A short code.
    ShortCode,
}

impl NumberKind {
    /// Every kind, in the order of declaration.
    pub const ALL: [Self; 4] = [Self::Local, Self::Mobile, Self::TollFree, Self::ShortCode];
}

/// A carrier's price from some volume in the period on (MT-17).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Price {
    /// From so many minutes over this carrier in the period on.
    pub from_minutes: u64,
    /// For a minute, in millionths of the currency.
    pub per_minute_micros: u64,
}

/// Where a carrier connects to, and for how much.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Destination {
    /// `+` and the first digits of the numbers, `+` for any number, or `sip:` for any other address.
    pub prefix: Arc<str>,
    /// From which kinds of number; none means from any.
    pub kinds: Vec<NumberKind>,
    /// For calls.
    pub calls: bool,
    /// For messages.
    pub messages: bool,
    /// By volume, in ascending order, the first from 0 minutes on. None means the carrier's own.
    pub prices: Vec<Price>,
}

/// How long a contract's volumes are counted together, in UTC.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub enum Period {
    /// From midnight to midnight.
    Day,
    /// From Monday to Monday.
    Week,
    /// From the first to the first.
    #[default]
    Month,
}

/// What is paid for in each period whether it is used or not.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Commitment {
    /// So many minutes.
    Minutes(u64),
    /// So many millionths of the currency.
    Micros(u64),
}

/// What a carrier's contract says of money.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Tariff {
    /// Of each period.
    pub period: Period,
    /// By volume, in ascending order, the first from 0 minutes on. None means nothing is charged.
    pub prices: Vec<Price>,
    /// A call is charged in multiples of this, rounded up; nothing means by the second.
    pub increment: Span,
    /// Filled before anything cheaper is looked for.
    pub commitment: Option<Commitment>,
}

/// The group of carriers that are in no other.
pub const DEFAULT_GROUP: &str = "default";

/// A declared carrier.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Carrier {
    /// Its name in the declaration.
    pub name: Arc<str>,
    /// The carriers whose channels tenants share as one (MT-16). Carriers with a destination in common are of one group.
    pub group: Arc<str>,
    /// Channels by contract: the static ones (MT-12, MT-13).
    pub channels: Channels,
    /// Which of them are active.
    pub allocation: Allocation,
    /// Bidirectional channels that are held for inbound calls (MT-14).
    pub reserve: u32,
    /// Channels that are not lent to tenants beyond what they are expected to use (MT-16); those of a group add up.
    pub margin: u32,
    /// Spacing of call set-ups by contract: one second divided by the calls per second, rounded up.
    pub setup_spacing: Span,
    /// The bound on outbound requests in service, at most all channels (MT-11).
    pub service_ports: u32,
    /// How long a channel is kept in quarantine when the end of its call is not confirmed.
    pub quarantine: Span,
    /// Where it connects to; none means anywhere, for calls.
    pub serves: Vec<Destination>,
    /// What it costs.
    pub tariff: Tariff,
}

impl Carrier {
    /// A carrier of bidirectional channels that connects to anywhere, charges nothing and keeps a doubtful channel for
    /// three minutes.
    pub fn new(name: &str, channels: u32, setup_spacing: Span) -> Self {
        Self {
            name: name.into(),
            group: DEFAULT_GROUP.into(),
            channels: Channels::both(channels),
            allocation: Allocation::default(),
            reserve: 0,
            margin: 0,
            setup_spacing,
            service_ports: channels,
            quarantine: Span::from_secs(180),
            serves: Vec::new(),
            tariff: Tariff::default(),
        }
    }
}

impl Carrier {
    /// The channels that are to be active.
    pub fn allocated(&self) -> Channels {
        self.allocation.active.map_or(self.channels, |active| active.min(self.channels))
    }

    /// How many outbound calls it holds at once, if none but the inbound calls that channels are held for are up. Guarantees
    /// are given out of these.
    pub fn outbound_capacity(&self) -> u32 {
        let active = self.allocated();
        (active.outbound + active.both.saturating_sub(self.reserve)).min(self.service_ports)
    }
}

/// A tenant's share of the outbound channels of a group of carriers (MT-16). What others use beyond their own never
/// refuses or delays a tenant below its guarantee.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Share {
    /// Of which carriers.
    pub group: Arc<str>,
    /// Kept free for it while it does not use them. At most `expected`.
    pub guaranteed: u32,
    /// What it usually needs. At most `maximum`.
    pub expected: u32,
    /// It never has more, inbound ones included.
    pub maximum: u32,
    /// Which part of what it expects beyond its guarantee and does not use may be used by others, in thousandths.
    pub lend_permille: u16,
}

/// A declared number of a tenant.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Number {
    /// In E.164.
    pub number: Arc<str>,
    /// Whose.
    pub account: AccountSid,
    /// What it is.
    pub kind: NumberKind,
    /// Which calls may start from it.
    pub pace: Pace,
}
