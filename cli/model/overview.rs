//! All tenants, queues, carriers and agents at one instant.

use serde::Deserialize;

use super::Because;

/// `GET /v1/overview.json`
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Overview {
    /// When it was read (RFC 3339).
    pub at: String,
    /// Calls that wait.
    pub queued: u64,
    /// Calls that were dialled and are not over.
    pub in_progress: u64,
    /// By account.
    pub tenants: Vec<Tenant>,
    /// Tenants that are not shown.
    pub tenants_more: u64,
    /// By name.
    pub carriers: Vec<Carrier>,
    /// By name.
    pub groups: Vec<Group>,
    /// The longest ones of these tenants, of calls and of messages.
    pub queues: Vec<Queue>,
    /// Queues that are not shown.
    pub queues_more: u64,
    /// What the engine takes requests from.
    pub lines: Vec<Queued>,
    /// How many requests of each route may be taken at one instant.
    pub poppers: Vec<Poppers>,
    /// By number.
    pub agents: Vec<Agent>,
}

/// The poppers of a route.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Poppers {
    /// The carriers of the route.
    pub carriers: Vec<String>,
    /// How many there are.
    pub number: u32,
    /// Requests that wait for the route.
    pub waiting: u64,
}

/// Queues that compete for the same channels under the same conditions.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Queued {
    /// The carriers that can serve them.
    pub carriers: Vec<String>,
    /// `inbound`, `synchronous` or `ordinary`.
    pub urgency: String,
    /// Below what is `guaranteed`, below what is `expected`, or `beyond`.
    pub class: String,
    /// How many queues.
    pub standing: u64,
    /// Why nothing is taken from them now; `ready` if something is.
    pub held_by: String,
}

/// A tenant.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Tenant {
    /// `AC...`
    pub account_sid: String,
    /// Its name.
    pub name: String,
    /// Where its calls are.
    pub counts: Counts,
    /// Calls dialled in the last ten seconds.
    pub dialled_10s: u32,
    /// Its throttle's spacing in microseconds.
    pub spacing_us: Option<u64>,
    /// When its queue will be empty.
    pub eta: Option<Eta>,
    /// Its shares of groups of carriers.
    pub shares: Vec<Share>,
    /// Calls to its numbers.
    pub inbound: Inbound,
    /// Where its messages are.
    pub messages: Messages,
}

/// Messages by where they are.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub struct Messages {
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

/// A queue: what waits in it has all of this in common.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Queue {
    /// `AC...`
    pub account_sid: String,
    /// The tenant's name.
    pub tenant: String,
    /// `call` or `message`.
    pub kind: String,
    /// `inbound`, `synchronous` or `ordinary`.
    pub urgency: String,
    /// Of an application with limits of its own.
    pub application_sid: Option<String>,
    /// Of a number with limits of its own.
    pub number: Option<String>,
    /// Of a batch.
    pub batch_sid: Option<String>,
    /// The batch's name.
    pub batch: Option<String>,
    /// Waiting.
    pub waiting: u64,
    /// The segments of messages that wait.
    pub segments: Option<u64>,
    /// In progress.
    pub in_progress: u64,
    /// What holds what waits in it now.
    pub held_by: Option<Because>,
}

impl Queue {
    /// What it holds, by the batch or application that asked for it.
    pub fn asked_by(&self) -> String {
        let batch = self.batch_sid.as_ref().map(|sid| {
            self.batch.clone().filter(|name| !name.is_empty()).unwrap_or_else(|| sid.clone())
        });
        let parts = [batch, self.application_sid.clone()];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }

    /// The code of what holds it, if something waits.
    pub fn why(&self) -> &str {
        self.held_by.as_ref().map_or("", |because| &because.reason)
    }
}

/// Calls to a tenant's numbers.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub struct Inbound {
    /// Offered ever by carriers, and not refused at once.
    pub offered: u64,
    /// Ring for want of capacity.
    pub ringing: u64,
    /// Answered ever.
    pub answered: u64,
}

impl Tenant {
    /// Calls dialled per second.
    pub fn rate(&self) -> f64 {
        f64::from(self.dialled_10s) / 10.0
    }

    /// Calls per second that its throttle allows.
    pub fn throttle(&self) -> Option<f64> {
        self.spacing_us.map(|spacing| 1e6 / (spacing.max(1) as f64))
    }

    /// Channels that it has, of all groups.
    pub fn channels(&self) -> u32 {
        self.shares.iter().map(|share| share.outbound + share.inbound).sum()
    }
}

/// Calls by where they are.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub struct Counts {
    /// Accepted ever.
    pub accepted: u64,
    /// Waiting.
    pub queued: u64,
    /// Dialled and not over.
    pub in_progress: u64,
    /// Answered and ended.
    pub completed: u64,
    /// Busy or rejected.
    pub busy: u64,
    /// Rang out.
    pub no_answer: u64,
    /// Could not be completed, or in doubt.
    pub failed: u64,
    /// Ended before the answer by the tenant.
    pub canceled: u64,
}

impl Counts {
    /// Over, however.
    pub const fn ended(&self) -> u64 {
        self.completed + self.busy + self.no_answer + self.failed + self.canceled
    }
}

/// When the last of something starts.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Eta {
    /// From now: as likely before as after.
    pub in_ms: u64,
    /// Nine times out of ten not after.
    pub in_ms_p90: Option<u64>,
    /// The reason that holds it longest.
    pub limiting_factor: String,
}

/// What could be taken now.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Room {
    /// So many calls.
    pub calls: u32,
    /// Why not one more; `ready` if one more could.
    pub binding: String,
    /// The same for people.
    pub message: String,
}

impl Room {
    /// Why not one more could be taken.
    pub fn shut_by(&self) -> Option<&str> {
        Some(&*self.binding).filter(|binding| *binding != "ready" && !binding.is_empty())
    }
}

/// A carrier. What its channels are doing adds up to them.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Carrier {
    /// Its name.
    pub name: String,
    /// The carriers whose channels tenants share as one.
    pub group: String,
    /// By contract.
    pub channels: u32,
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
    /// Held by calls beyond what a smaller contract has.
    pub beyond: u32,
    /// For outbound calls.
    pub outbound: Room,
    /// For inbound calls.
    pub inbound: Room,
    /// The bound on outbound requests in service.
    pub service_ports: u32,
    /// Set-up spacing in microseconds.
    pub setup_spacing_us: u64,
    /// Call set-ups in the last second.
    pub setups_1s: u32,
}

impl Carrier {
    /// Call set-ups per second by contract: the spacing is longer by 2 %, against jitter.
    pub fn setups_max(&self) -> f64 {
        (1.02e6 / (self.setup_spacing_us.max(1) as f64)).round()
    }
}

/// A group of carriers whose channels tenants share.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Group {
    /// Its name.
    pub name: String,
    /// Outbound calls that it could take now, but for the rates.
    pub free: u64,
    /// Of those, kept for guarantees that are not used.
    pub kept_guaranteed: u64,
    /// Of those, kept because tenants expect them and do not lend them.
    pub kept_expected: u64,
    /// Of those, not lent in any case.
    pub margin: u64,
    /// What a tenant could take beyond what it is expected to use.
    pub lendable: u64,
}

/// A tenant's share of a group.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Share {
    /// Of which group.
    pub group: String,
    /// Kept for it.
    pub guaranteed: u32,
    /// What it usually needs.
    pub expected: u32,
    /// It never has more.
    pub maximum: Option<u32>,
    /// Outbound channels that it has.
    pub outbound: u32,
    /// Inbound channels that it has.
    pub inbound: u32,
    /// What it could take now.
    pub room: Room,
}

/// An agent.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Agent {
    /// Its name.
    pub name: String,
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
}

impl Agent {
    /// In one word.
    pub const fn state(&self) -> &'static str {
        match (self.connected, self.draining) {
            (false, _) => "away",
            (true, true) => "draining",
            (true, false) => "up",
        }
    }
}
