//! Where one thing stands, what holds it, and what would change that.

use serde::Deserialize;

use super::{Because, Carrier, Counts, Messages, Queue, Share};

/// What holds something, and for which part of its wait.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Held {
    /// For machines.
    pub reason: String,
    /// For people.
    pub message: String,
    /// Of the expected wait, 0 to 1.
    pub share: f64,
}

/// When the last of something is expected to start.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Start {
    /// As likely before as after (RFC 3339).
    pub p50: String,
    /// From now to `p50`.
    pub in_ms: u64,
    /// Nine times out of ten not after.
    pub in_ms_p90: Option<u64>,
    /// The longest first.
    pub held_by: Vec<Held>,
    /// `forward` or `analytic`.
    pub method: String,
}

/// What another limit would bring.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Change {
    /// All of it in a sentence.
    pub message: String,
}

/// One limit of a call.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Limit {
    /// For machines.
    pub reason: String,
    /// For people.
    pub message: String,
    /// Whether it holds the call now.
    pub binds: bool,
    /// From now to when it alone would let the call start.
    pub starts_in_ms: Option<u64>,
}

/// An attempt after which a call was placed again.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct EarlierAttempt {
    /// Its number, from 1.
    pub attempt: u16,
    /// Why it ended.
    pub reason: String,
    /// Final SIP status.
    pub sip_code: Option<u16>,
    /// Over which carrier.
    pub carrier: String,
}

/// Where a call or a message stands.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct RequestPart {
    /// How many of the same account go before it.
    pub position: Option<u64>,
    /// When it is expected to start, or did.
    pub start: Option<String>,
    /// From now to its expected start.
    pub starts_in_ms: Option<u64>,
    /// The same, nine times out of ten.
    pub starts_in_ms_p90: Option<u64>,
    /// What holds it, or held it.
    pub limit: Option<Because>,
    /// What holds it until then, the longest first.
    pub held_by: Vec<Held>,
    /// Every limit that it has to pass.
    pub limits: Vec<Limit>,
    /// What would let it start sooner.
    pub changes: Vec<Change>,
    /// `forward` or `analytic`.
    pub method: Option<String>,
}

/// `GET /v1/Calls/{sid}/explain`
#[derive(Clone, Debug, Default, Deserialize)]
pub struct CallExplanation {
    /// Which call.
    pub call_sid: String,
    /// Its status.
    pub status: String,
    /// Where it stands.
    #[serde(flatten)]
    pub request: RequestPart,
    /// Attempts after which it was placed again.
    pub earlier_attempts: Vec<EarlierAttempt>,
    /// Why it ended as it did.
    pub ending: Option<Because>,
    /// Final SIP status of the carrier.
    pub sip_code: Option<u16>,
}

/// `GET /v1/Messages/{sid}/explain`
#[derive(Clone, Debug, Default, Deserialize)]
pub struct MessageExplanation {
    /// Which message.
    pub message_sid: String,
    /// Its status.
    pub status: String,
    /// Where it stands.
    #[serde(flatten)]
    pub request: RequestPart,
    /// Over which carrier it went.
    pub carrier: Option<String>,
    /// Why it ended as it did.
    pub ending: Option<Because>,
}

/// Counts of a batch, by what its lines are.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(untagged)]
pub enum BatchCounts {
    /// Calls.
    Calls(Counts),
    /// Messages.
    Messages(MessageLines),
}

impl Default for BatchCounts {
    fn default() -> Self {
        Self::Calls(Counts::default())
    }
}

/// Messages of a batch by where they are.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub struct MessageLines {
    /// Waiting.
    pub queued: u64,
    /// With a carrier that has not answered, or not reported.
    pub in_progress: u64,
    /// On the recipients' handsets.
    pub delivered: u64,
    /// Taken by a carrier that sends no reports, or none in time.
    pub sent: u64,
    /// Taken and not delivered.
    pub undelivered: u64,
    /// Not taken, expired, or in doubt.
    pub failed: u64,
    /// Canceled before they were sent.
    pub canceled: u64,
}

/// `GET /v1/Batches/{sid}/explain`
#[derive(Clone, Debug, Default, Deserialize)]
pub struct BatchExplanation {
    /// Which batch.
    pub batch_sid: String,
    /// Its name.
    pub name: String,
    /// Its status.
    pub status: String,
    /// Where its calls or messages are.
    pub counts: BatchCounts,
    /// What holds it.
    pub limit: Option<Because>,
    /// When its last call or message starts.
    pub last_start: Option<Start>,
    /// What would bring that forward.
    pub changes: Vec<Change>,
}

/// `GET /v1/Tenants/{name}/explain`
#[derive(Clone, Debug, Default, Deserialize)]
pub struct TenantExplanation {
    /// `AC...`
    pub account_sid: String,
    /// Its name.
    pub name: String,
    /// Where its calls are.
    pub counts: Counts,
    /// Calls dialled in the last ten seconds.
    pub dialled_10s: u32,
    /// What its throttle allows.
    pub throttle_per_s: Option<f64>,
    /// What holds it.
    pub limit: Option<Because>,
    /// When the last of what waits starts.
    pub last_start: Option<Start>,
    /// What would bring that forward.
    pub changes: Vec<Change>,
    /// Its shares of groups of carriers.
    pub shares: Vec<Share>,
    /// Its messages, if it has any.
    pub messages: Option<MessagesPart>,
    /// Its queues, of calls and of messages.
    pub queues: Vec<Queue>,
    /// Queues that are not shown.
    pub queues_more: usize,
}

/// A tenant's messages.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct MessagesPart {
    /// Where they are.
    pub counts: Messages,
    /// What holds them.
    pub limit: Option<Because>,
    /// When the last of what waits is sent.
    pub last_start: Option<Start>,
    /// What would bring that forward.
    pub changes: Vec<Change>,
}

/// `GET /v1/Carriers/{name}/explain`
#[derive(Clone, Debug, Default, Deserialize)]
pub struct CarrierExplanation {
    /// Its channels, and what they are doing.
    #[serde(flatten)]
    pub carrier: Carrier,
    /// Who waits for carriers.
    pub waiting: Vec<Waiting>,
    /// When the last of all that waits starts.
    pub last_start: Option<Start>,
    /// What would bring that forward.
    pub changes: Vec<Change>,
}

/// Who waits.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Waiting {
    /// Which tenant.
    pub tenant: String,
    /// How many requests.
    pub waiting: u64,
    /// For what.
    pub held_by: Because,
}
