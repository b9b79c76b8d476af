//! How fast calls may start: of a tenant, an application or a number.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Duration;

/// A minimum spacing between calls (MT-2): exactly one of the two.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ThrottleSpec {
    /// Calls per second, evenly spaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100_000))]
    pub calls_per_second: Option<u32>,
    /// From one call to the next, for less than one call per second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub spacing: Option<Duration>,
}

/// At most so many calls in any window of this length (MT-3).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CapSpec {
    /// How many.
    #[schemars(range(min = 1, max = 100_000))]
    pub calls: u32,
    /// In what time: 1s to 31d.
    pub per: Duration,
}
