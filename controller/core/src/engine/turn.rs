//! The seam between the fair order and the channel ledger: the order says whose turn it is, the ledger says whether
//! there is a channel for that turn, and over which carrier.

use busyhour_base::Reason;
use serde::{Deserialize, Serialize};

/// Names a [`Route`].
pub type RouteId = u16;

/// The route of everything that any carrier can serve.
pub const ANY_ROUTE: RouteId = 0;

/// How many share classes there are: below the guaranteed use, below the expected use, and beyond it (MT-16).
pub const CLASSES: usize = 3;

/// Those who compete for the same channels under the same conditions. All of them are allowed or denied alike, so one
/// denial rests all of them and none of them is asked for twice.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Turn {
    /// Over the carriers of this route.
    pub route: RouteId,
    /// Below [`super::lanes::URGENCIES`]; 0 goes first.
    pub urgency: u8,
    /// Share class, below [`CLASSES`]: 0 may take any free channel.
    pub class: u8,
}

/// Which carriers can serve a class of requests, in the order in which they are tried (MT-7, MT-12).
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Route {
    /// Ids of carriers.
    pub carriers: Vec<u32>,
}

/// Nobody of a turn can start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Denied {
    /// What binds.
    pub reason: Reason,
    /// The instant at which it passes by itself, if it does. The ledger wakes the turn at any other change.
    pub until: Option<u64>,
}
