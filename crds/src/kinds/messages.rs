//! What concerns messages: what is rented from a carrier for them, and how a tenant's and a number's are paced.

use busyhour_base::Keyword;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ExcessPolicy;
use crate::Duration;

/// What is rented from a carrier for messages (MT-13).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CarrierMessages {
    /// Outbound message channels: messages that may be handed over and not yet be answered.
    #[schemars(range(min = 1, max = 100_000))]
    pub outbound_channels: u32,
    /// Inbound message channels: messages from it that may wait for tenants' applications or be with them. It is told to bring
    /// further ones later. It brings none if it is left out.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub inbound_channels: u32,
    /// Outbound segments in any second by contract.
    #[schemars(range(min = 1, max = 100_000))]
    pub segments_per_second: u32,
    /// Whether the carrier says what became of a message that it took.
    #[serde(default = "yes")]
    pub delivery_reports: bool,
    /// A carrier within the controller, for trials and demonstrations: it sends nothing anywhere.
    pub in_process: InProcessCarrier,
}

/// How the carrier within the controller behaves. What it does to a message follows from the seed and the message's number
/// alone. Of every thousand messages so many go each way; the rest is delivered.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct InProcessCarrier {
    /// From which its behaviour follows.
    pub seed: u32,
    /// Refused at once.
    #[schemars(range(max = 1_000))]
    pub refused_permille: u16,
    /// Taken, and not delivered.
    #[schemars(range(max = 1_000))]
    pub undelivered_permille: u16,
    /// Never answered: whether it was taken stays unknown.
    #[schemars(range(max = 1_000))]
    pub unanswered_permille: u16,
    /// Longest time until it says whether it takes a message, in milliseconds.
    #[schemars(range(max = 10_000))]
    pub answer_ms: u16,
    /// Longest time from then until its delivery report, in milliseconds.
    #[schemars(range(max = 60_000))]
    pub delivery_ms: u16,
}

/// How a tenant's messages are paced and how many may wait (MT-8). The unit of pace is the segment.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct TenantMessages {
    /// Spacing of segments over all its numbers; none if it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub throttle: Option<SegmentThrottle>,
    /// Most segments in rolling windows, several at once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub caps: Vec<SegmentCap>,
    /// What happens to a message over a cap.
    pub excess: ExcessPolicy,
    /// How much may wait.
    pub queue: MessageQueueBounds,
    /// What people hear who write STOP, START or HELP. That they are obeyed is not a matter of choice.
    pub keywords: KeywordAnswers,
}

/// Who answers STOP, START and HELP, and in which words.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct KeywordAnswers {
    /// Who answers.
    pub answered_by: KeywordAnswerer,
    /// What the platform answers to STOP and its like, instead of the field's words.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 320))]
    pub stop: Option<String>,
    /// To START.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 320))]
    pub start: Option<String>,
    /// To HELP.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 320))]
    pub help: Option<String>,
}

impl KeywordAnswers {
    /// The tenant's words in answer to one.
    pub const fn to(&self, keyword: Keyword) -> Option<&String> {
        match keyword {
            Keyword::Stop => self.stop.as_ref(),
            Keyword::Start => self.start.as_ref(),
            Keyword::Help => self.help.as_ref(),
        }
    }
}

/// Who answers STOP, START and HELP.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum KeywordAnswerer {
    /// The platform does.
    #[default]
    Platform,
    /// The number's application does: its first answer goes out, though its recipient takes no other messages.
    Application,
}

/// How a number's messages are paced (MT-8).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NumberMessages {
    /// Spacing of segments from this number. One per second if it is left out, the rate at which carriers take a number
    /// for a person's.
    #[serde(default = "one_per_second")]
    pub throttle: SegmentThrottle,
    /// Most segments from this number in rolling windows, several at once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub caps: Vec<SegmentCap>,
}

impl Default for NumberMessages {
    fn default() -> Self {
        Self { throttle: one_per_second(), caps: Vec::new() }
    }
}

/// A minimum spacing between segments: exactly one of the two.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SegmentThrottle {
    /// Segments per second, evenly spaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub segments_per_second: Option<u32>,
    /// From one segment to the next, for less than one per second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spacing: Option<Duration>,
}

/// At most so many segments in any window of this length (MT-3).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SegmentCap {
    /// How many. Not fewer than the longest message has.
    #[schemars(range(min = 24, max = 100_000))]
    pub segments: u32,
    /// In what time: 1s to 31d.
    pub per: Duration,
}

/// How many messages may wait.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct MessageQueueBounds {
    /// Most messages that wait.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub max_messages: u32,
    /// Longest expected wait at which a message is still accepted: 1s to 31d.
    pub max_wait: Duration,
}

impl Default for MessageQueueBounds {
    /// A million messages, and ten hours: the longest validity period.
    fn default() -> Self {
        Self { max_messages: 1_000_000, max_wait: Duration(busyhour_base::Span::from_secs(36_000)) }
    }
}

fn one_per_second() -> SegmentThrottle {
    SegmentThrottle { segments_per_second: Some(1), spacing: None }
}

fn yes() -> bool {
    true
}
