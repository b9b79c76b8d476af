//! The scenario's document as it is written.

use busyhour_crds::{
    Duration,
    kinds::{E164_PATTERN, NAME_PATTERN},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Who calls whom, and what the called parties do.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScenarioDocument {
    /// Every draw follows from it.
    pub seed: u64,
    /// The habits of called parties.
    #[schemars(length(min = 1, max = 64))]
    pub behaviour: Vec<HabitDocument>,
    /// Batches, submitted at the start: those of messages after the single messages.
    #[schemars(length(min = 1, max = 10_000))]
    pub batches: Vec<BatchDocument>,
    /// Who calls the tenants' numbers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub callers: Vec<CallersDocument>,
    /// Single messages, submitted after the batches of calls.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub messages: Vec<MessagesDocument>,
    /// Who writes to the tenants' numbers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 100))]
    pub writers: Vec<WritersDocument>,
    /// Recordings beside the application's documents, which the application server makes up as it starts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub recordings: Vec<RecordingDocument>,
    /// Measured lengths of speech, for simulations that are to be compared with live runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 1_000))]
    pub speech: Vec<SpeechDocument>,
}

/// Calls to one number.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CallersDocument {
    /// Name of the carrier whose customers they are; the first declared one that calls in if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = NAME_PATTERN))]
    pub carrier: Option<String>,
    /// Called number, declared with an application.
    #[schemars(regex(pattern = E164_PATTERN))]
    pub to: String,
    /// Calling number of all of them.
    #[schemars(regex(pattern = E164_PATTERN))]
    pub from: String,
    /// How many.
    #[schemars(range(min = 1, max = 10_000))]
    pub calls: u32,
    /// From one to the next: from 10ms on.
    pub every: SpreadDocument,
    /// How long each listens before hanging up: from 1s on.
    pub listens: SpreadDocument,
}

/// Messages to consecutive numbers, all with the same text.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MessagesDocument {
    /// Name of a declared tenant.
    #[schemars(regex(pattern = NAME_PATTERN))]
    pub tenant: String,
    /// Sender, one of the tenant's numbers.
    #[schemars(regex(pattern = E164_PATTERN))]
    pub from: String,
    /// First recipient; the others follow it.
    #[schemars(regex(pattern = E164_PATTERN))]
    pub first_to: String,
    /// How many messages.
    #[schemars(range(min = 1, max = 100_000))]
    pub messages: u32,
    /// The text.
    #[schemars(length(min = 1, max = 1_600))]
    pub body: String,
}

/// Messages from consecutive numbers to one of a tenant's, one from each, all with the same text.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WritersDocument {
    /// Name of the carrier that brings them; the first declared one that brings messages if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = NAME_PATTERN))]
    pub carrier: Option<String>,
    /// The tenant's number, declared with an application that is asked about messages.
    #[schemars(regex(pattern = E164_PATTERN))]
    pub to: String,
    /// First sender; the others follow it.
    #[schemars(regex(pattern = E164_PATTERN))]
    pub first_from: String,
    /// How many messages.
    #[schemars(range(min = 1, max = 10_000))]
    pub messages: u32,
    /// From the beginning to the first one.
    pub after: Duration,
    /// From one to the next: from 10ms on.
    pub every: Duration,
    /// The text.
    #[schemars(length(min = 1, max = 1_600))]
    pub body: String,
}

/// A measured length of speech.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SpeechDocument {
    /// How long it is: 1ms to 10m.
    pub length: Duration,
    /// The whole text of a `Say`.
    #[schemars(length(min = 1, max = 4_096))]
    pub words: String,
}

/// A recording that the application server makes up.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RecordingDocument {
    /// Its file name, which is also its address beside the documents.
    #[schemars(regex(pattern = r"^[a-z0-9][-a-z0-9]{0,63}\.wav$"))]
    pub name: String,
    /// How long it is: 100ms to 10m.
    pub length: Duration,
}

/// One way to treat a call.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HabitDocument {
    /// A name for people.
    #[schemars(regex(pattern = NAME_PATTERN))]
    pub name: String,
    /// How common it is, out of the sum of all weights.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub weight: u32,
    /// What the called party does in the end.
    pub reaction: ReactionName,
    /// From the INVITE to ringing (180); it does not ring if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rings_after: Option<SpreadDocument>,
    /// From the INVITE to the answer or the refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<SpreadDocument>,
    /// With `reject`: the SIP status of the refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 400, max = 699))]
    pub code: Option<u16>,
    /// With `answer`: from the answer to the moment at which the called party has had enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patience: Option<SpreadDocument>,
    /// With `answer`: how long the called party says hello.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub greeting: Option<Duration>,
    /// With `answer`: which keys are pressed; none if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<KeysDocument>,
}

/// What a called party does in the end.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ReactionName {
    /// Answers.
    Answer,
    /// Is on the phone: 486.
    Busy,
    /// Refuses with `code`.
    Reject,
    /// Lets it ring.
    NoAnswer,
}

/// Which keys are pressed, and when.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KeysDocument {
    /// From the answer to the first key; the others follow 400 ms apart.
    pub after: SpreadDocument,
    /// Keys and how common they are.
    #[schemars(length(min = 1, max = 64))]
    pub choices: Vec<KeyChoice>,
}

/// Some keys and how common they are.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KeyChoice {
    /// Keys, one after the other; empty for none.
    #[schemars(regex(pattern = "^[0-9*#]{0,32}$"))]
    pub press: String,
    /// Out of the sum of all weights.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub weight: u32,
}

/// How a length of time is spread.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SpreadDocument {
    /// The least.
    pub min: Duration,
    /// The most; `min` if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<Duration>,
    /// Mean of an exponential tail above `min`, cut off at `max`. Evenly from `min` to `max` if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean: Option<Duration>,
}

/// A batch of calls or of messages to consecutive numbers.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BatchDocument {
    /// The tenant's name for it.
    #[schemars(regex(pattern = NAME_PATTERN))]
    pub name: String,
    /// Name of a declared tenant.
    #[schemars(regex(pattern = NAME_PATTERN))]
    pub tenant: String,
    /// What its lines are; calls if it is left out.
    #[serde(default)]
    pub kind: BatchKind,
    /// Calling number, or sender: one of the tenant's.
    #[schemars(regex(pattern = E164_PATTERN))]
    pub from: String,
    /// First number that is called or written to; the others follow it.
    #[schemars(regex(pattern = E164_PATTERN))]
    pub first_to: String,
    /// How fast, within its tenant's limits and those of its numbers; as fast as these allow if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pacing: Option<PacingDocument>,
    /// Of calls: how many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000_000))]
    pub calls: Option<u32>,
    /// Of calls: name of an application of that tenant, whose documents the calls follow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = NAME_PATTERN))]
    pub application: Option<String>,
    /// Of calls: how long one may ring, 1s to 1d; 60s if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ring_timeout: Option<Duration>,
    /// Of calls: how long one may last after its answer, 1s to 1d; 4h if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_limit: Option<Duration>,
    /// Of messages: how many.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10_000_000))]
    pub messages: Option<u32>,
    /// Of messages: the text of all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1_600))]
    pub body: Option<String>,
    /// Of messages: what has not been sent so long after it was submitted expires, 1s to 10h; nothing does if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub validity: Option<Duration>,
}

/// How fast a batch runs, in the words of the API, to which the demo hands it as it is. What is there is a number: YAML's
/// `.nan` and `.inf` are read as nothing, which would be no limit.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PacingDocument {
    /// Calls per second, or segments of messages per second, evenly spaced, 1/86400 to 100,000; fractions are allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "f64")]
    pub cps: Option<f64>,
    /// Most calls in progress at once, or messages that carriers have not answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "u32", range(min = 1, max = 4_294_967_295_u32))]
    pub max_concurrent: Option<u32>,
}

/// What the lines of a batch are.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum BatchKind {
    /// Calls.
    #[default]
    Calls,
    /// Messages.
    Messages,
}
