//! A tenant's share of the carriers' channels.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{NAME_PATTERN, default_group};

/// A tenant's share of the outbound channels of a group of carriers (MT-16).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ShareSpec {
    /// Of which carriers.
    #[serde(default = "default_group")]
    #[schemars(regex(pattern = NAME_PATTERN))]
    pub group: String,
    /// Kept free for the tenant while it does not use them. What all tenants are guaranteed fits into what is active.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub guaranteed: u32,
    /// What it usually needs, `guaranteed` or more. As much as `guaranteed` if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub expected: Option<u32>,
    /// It never has more at once, inbound calls included; `expected` or more. No bound if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub maximum: Option<u32>,
    /// How much of what it expects beyond its guarantee and does not use others may use, in thousandths.
    #[serde(default = "all")]
    #[schemars(range(min = 0, max = 1_000))]
    pub lend: u16,
}

impl ShareSpec {
    /// What it usually needs.
    pub fn expected(&self) -> u32 {
        self.expected.unwrap_or(self.guaranteed)
    }
}

const fn all() -> u16 {
    1_000
}
