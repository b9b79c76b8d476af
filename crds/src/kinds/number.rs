//! Number: a phone number of a tenant.

use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CapSpec, E164_PATTERN, NAME_PATTERN, NumberMessages, Status, ThrottleSpec};
use crate::Duration;

/// A phone number that belongs to a tenant.
#[derive(CustomResource, Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "busyhour.dev",
    version = "v1alpha1",
    kind = "Number",
    namespaced,
    status = "Status",
    derive = "PartialEq",
    doc = "A phone number of a tenant.",
    printcolumn(name = "Number", type_ = "string", json_path = ".spec.number"),
    printcolumn(name = "Tenant", type_ = "string", json_path = ".spec.tenant")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NumberSpec {
    /// The number in E.164, unique.
    #[schemars(regex(pattern = E164_PATTERN))]
    pub number: String,
    /// What it is: some carriers take calls from some kinds only.
    #[serde(default)]
    pub kind: NumberKind,
    /// Name of the tenant that it belongs to and that may call from it.
    #[schemars(regex(pattern = NAME_PATTERN))]
    pub tenant: String,
    /// Name of the application that answers its calls and messages, of the same tenant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = NAME_PATTERN))]
    pub application: Option<String>,
    /// How its messages are paced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messages: Option<NumberMessages>,
    /// How long its calls may ring: while they wait for a channel or an agent's slot, and while the application is asked whether
    /// to answer. 1s to 3m, less than the caller's network lets a call ring.
    #[serde(default = "default_ring_for")]
    pub ring_for: Duration,
    /// Spacing of the calls from it, beside its tenant's; none if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttle: Option<ThrottleSpec>,
    /// Most calls from it in rolling windows, several at once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub caps: Vec<CapSpec>,
}

/// About four rings: most networks let a call ring for half a minute or more.
fn default_ring_for() -> Duration {
    Duration(busyhour_base::Span::from_secs(20))
}

/// What a number is.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Debug,
    Default,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(rename_all = "camelCase")]
pub enum NumberKind {
    /// A geographic or national number.
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
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Local, Self::Mobile, Self::TollFree, Self::ShortCode];

    /// As it is declared.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Mobile => "mobile",
            Self::TollFree => "tollFree",
            Self::ShortCode => "shortCode",
        }
    }
}
