//! Pool: agents that are alike.

use ipnet::IpNet;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Status;

/// A pool of agents that do the same work.
#[derive(CustomResource, Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "busyhour.dev",
    version = "v1alpha1",
    kind = "Pool",
    namespaced,
    status = "Status",
    derive = "PartialEq",
    doc = "A pool of agents that do the same work.",
    printcolumn(name = "Role", type_ = "string", json_path = ".spec.role"),
    printcolumn(name = "Agents", type_ = "integer", json_path = ".spec.agents")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PoolSpec {
    /// What its agents do.
    pub role: Role,
    /// How many agents.
    #[schemars(range(min = 1, max = 10_000))]
    pub agents: u32,
    /// Calls that one agent holds at once.
    #[schemars(range(min = 1, max = 100_000))]
    pub slots_per_agent: u32,
    /// Networks that webhooks may reach although they are private, loopback or link-local, such as
    /// `127.0.0.0/8`. None if it is left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        with = "Vec<String>",
        inner(regex(pattern = r"^[0-9A-Fa-f.:]{2,45}/[0-9]{1,3}$"))
    )]
    pub allowed_networks: Vec<IpNet>,
    /// Which tenant's request goes next when several wait for the same resource. Pools of routers must agree.
    #[serde(default)]
    pub order: Order,
}

/// What an agent does.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize, JsonSchema,
)]
pub enum Role {
    /// Places and takes calls, runs their documents, and plays and hears their audio.
    Router,
}

/// The order across tenants (MT-4).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub enum Order {
    /// One request of each tenant in turn.
    #[default]
    Alternating,
}
