//! Tenant: an account and its limits.

use busyhour_base::AccountSid;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CapSpec, FILE_PATTERN, ShareSpec, Status, TenantMessages, ThrottleSpec};
use crate::{Duration, Secret};

/// A tenant: its account and what it may use (MT-2, MT-3).
#[derive(CustomResource, Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "busyhour.dev",
    version = "v1alpha1",
    kind = "Tenant",
    namespaced,
    status = "Status",
    derive = "PartialEq",
    doc = "A tenant: its account and what it may use.",
    printcolumn(name = "Account", type_ = "string", json_path = ".spec.account"),
    printcolumn(name = "Suspended", type_ = "boolean", json_path = ".spec.suspended")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TenantSpec {
    /// Account id: `AC` and 32 hex digits, unique.
    #[schemars(with = "String", regex(pattern = r"^AC[0-9a-fA-F]{32}$"))]
    pub account: AccountSid,
    /// Token of the account, for the API and for signing webhooks. Prefer `authTokenFile`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_token: Option<Secret>,
    /// File that holds the token of the account, relative to the folder of this document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = FILE_PATTERN))]
    pub auth_token_file: Option<String>,
    /// Spacing of its outbound calls; none if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttle: Option<ThrottleSpec>,
    /// Most calls in rolling windows, several at once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub caps: Vec<CapSpec>,
    /// What happens to a call over a cap.
    #[serde(default)]
    pub excess: ExcessPolicy,
    /// How much may wait.
    #[serde(default)]
    pub queue: QueueBounds,
    /// Its part beside other tenants where the order is `Weighted`.
    #[serde(default = "one")]
    #[schemars(range(min = 1, max = 10_000))]
    pub weight: u32,
    /// Its service plan where the order is `Plan`: smaller goes first.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1_000))]
    pub plan: u32,
    /// Its shares of the carriers' channels, one of each group at most. Without a share it takes its turn for what others leave
    /// over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16))]
    pub channels: Vec<ShareSpec>,
    /// How its messages are paced and how many may wait, apart from its calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messages: Option<TenantMessages>,
    /// While set, nothing is accepted from the tenant and nothing of it is started.
    #[serde(default)]
    pub suspended: bool,
    /// Beginnings of the numbers (or whole SIP addresses) that it may call: `+49`, or `+` for any number.
    /// Nothing may be called if it is left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 1_000),
        inner(regex(pattern = r"^(\+[0-9]{0,15}|sips?:[-A-Za-z0-9._+@:]{1,128})$"))
    )]
    pub allowed_destinations: Vec<String>,
}

const fn one() -> u32 {
    1
}

impl TenantSpec {
    /// Whether the tenant may call `to`.
    pub fn may_call(&self, to: &str) -> bool {
        self.allowed_destinations.iter().any(|allowed| {
            if allowed.starts_with('+') { to.starts_with(allowed.as_str()) } else { to == allowed }
        })
    }
}

/// What happens to a call over a cap (MT-3).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum ExcessPolicy {
    /// It is scheduled for the time the cap frees.
    #[default]
    Schedule,
    /// It is refused.
    Refuse,
}

/// How much may wait.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct QueueBounds {
    /// Most calls that wait.
    #[schemars(range(min = 1, max = 10_000_000))]
    pub max_calls: u32,
    /// Bytes of the parameters of its calls from which on no more are taken: 1 MiB to 1 TiB. What lines of a batch have in common
    /// counts once.
    #[schemars(range(min = 1_048_576_u64, max = 1_099_511_627_776_u64))]
    pub max_bytes: u64,
    /// Longest expected wait at which a call is still accepted: 1s to 31d.
    pub max_wait: Duration,
}

impl Default for QueueBounds {
    /// A million calls, the parameters of a million ordinary ones, and the field's 24 hours.
    fn default() -> Self {
        Self {
            max_calls: 1_000_000,
            max_bytes: 256 << 20,
            max_wait: Duration(busyhour_base::Span::from_secs(86_400)),
        }
    }
}
