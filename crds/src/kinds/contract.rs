//! What a carrier's contract says beyond its channels and its rate: the part that is active, where it connects to, and what
//! that costs (MT-13 to MT-17).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::NumberKind;
use crate::Duration;

/// The part of the channels that is active; the others are rented and not used (MT-15). A part that is left out is whole.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct AllocationSpec {
    /// Active channels for both directions.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub bidirectional: Option<u32>,
    /// Active channels for inbound calls only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub inbound_only: Option<u32>,
    /// Active channels for outbound calls only.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub outbound_only: Option<u32>,
    /// From the word to activate a channel until it can be used: 0s to 1d.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub activation_time: Option<Duration>,
    /// What becomes of the others.
    pub unused: UnusedMode,
}

/// What becomes of a channel that is not allocated (MT-15).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum UnusedMode {
    /// It is switched off.
    #[default]
    Off,
    /// It is kept ready.
    Asleep,
    /// It is lent to work that can be interrupted.
    Lent,
}

/// Where a carrier connects to.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DestinationSpec {
    /// Beginning of the called numbers, `+49`; `+` for any number, `sip:` for any SIP address. The longest one that fits
    /// holds.
    #[schemars(regex(pattern = r"^(\+[0-9]{0,15}|sip:)$"))]
    pub prefix: String,
    /// Kinds of the numbers that are called from. Any if it is left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 4))]
    pub number_kinds: Vec<NumberKind>,
    /// Price of a minute in millionths of the currency. The tariff's if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000_000))]
    pub per_minute_micros: Option<u64>,
    /// Lower prices from some volume on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub volumes: Vec<VolumeSpec>,
}

/// A price from some volume on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VolumeSpec {
    /// From so many minutes over this carrier in the period on.
    #[schemars(range(min = 1, max = 1_000_000_000_000_u64))]
    pub from_minutes: u64,
    /// Price of a minute in millionths of the currency.
    #[schemars(range(min = 0, max = 1_000_000_000))]
    pub per_minute_micros: u64,
}

/// What a carrier charges (MT-17). The committed carriers are used first, then the cheapest.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TariffSpec {
    /// Currency, in three capital letters; the same at all carriers.
    #[schemars(regex(pattern = r"^[A-Z]{3}$"))]
    pub currency: String,
    /// Price of a minute in millionths of the currency: `8000` is 0.008.
    #[schemars(range(min = 0, max = 1_000_000_000))]
    pub per_minute_micros: u64,
    /// Lower prices from some volume on.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub volumes: Vec<VolumeSpec>,
    /// In which volumes are counted together, in UTC.
    #[serde(default)]
    pub period: PeriodSpec,
    /// A call is charged in multiples of this, in seconds.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 3_600))]
    pub increment_seconds: u32,
    /// What is paid for in each period in any case. It is used up before anything cheaper is looked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commitment: Option<CommitmentSpec>,
}

/// How long volumes are counted together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum PeriodSpec {
    /// From midnight to midnight.
    Day,
    /// From Monday to Monday.
    Week,
    /// From the first to the first.
    #[default]
    Month,
}

/// What is paid for in any case: exactly one of the two.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CommitmentSpec {
    /// So many minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000_000_u64))]
    pub minutes: Option<u64>,
    /// So many millionths of the currency.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000_000_000_000_u64))]
    pub micros: Option<u64>,
}

const fn one() -> u32 {
    1
}

impl DestinationSpec {
    /// The kinds of number that it holds for.
    pub fn number_kinds(&self) -> Vec<NumberKind> {
        if self.number_kinds.is_empty() {
            NumberKind::ALL.to_vec()
        } else {
            self.number_kinds.clone()
        }
    }
}
