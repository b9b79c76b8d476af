//! Pool: agents that are alike.

use ipnet::IpNet;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Status;
use crate::Duration;

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
    /// Which tenant's request goes next when several wait for the same resource: for their calls, and for their messages unless
    /// `messageOrder` says otherwise. Pools of routers must agree.
    #[serde(default)]
    pub order: Order,
    /// Which tenant's message goes next, if not by the same order as calls. Pools of routers must agree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Order")]
    pub message_order: Option<Order>,
    /// Where an order is `ResourceUse`: after so long, what was used counts half. 1s to 31d, an hour if it is left out.
    #[serde(default = "an_hour")]
    pub half_life: Duration,
    /// Where an order is `Kind`: which calls or messages go first.
    #[serde(default)]
    pub first: AskedAs,
    /// What less urgent calls get at least. Pools of routers must agree.
    #[serde(default)]
    pub floors: FloorsSpec,
}

impl PoolSpec {
    /// Messages follow the order of calls unless they have one of their own.
    pub fn order_of_messages(&self) -> Order {
        self.message_order.unwrap_or(self.order)
    }
}

const fn an_hour() -> Duration {
    Duration(busyhour_base::Span::from_secs(3_600))
}

/// At least so many thousandths of all starts go to calls of an urgency while they wait (MT-6).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct FloorsSpec {
    /// To calls that someone waits on.
    #[schemars(range(min = 0, max = 500))]
    pub synchronous: u16,
    /// To ordinary calls.
    #[schemars(range(min = 0, max = 500))]
    pub ordinary: u16,
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
    /// One call, or one message, of each tenant in turn.
    #[default]
    Alternating,
    /// Calls, or segments of messages, in proportion to the tenants' `weight`.
    Weighted,
    /// The tenant whose call or message at the front came first.
    FirstComeFirstServed,
    /// By the tenants' `plan`; tenants of one plan take turns.
    Plan,
    /// What was asked for one by one before lines of batches, or the other way round; see `first`. Within a kind, tenants take
    /// turns.
    Kind,
    /// Whose calls used the least channel time lately, or for whose messages carriers were handed the fewest segments; see
    /// `halfLife`.
    ResourceUse,
    /// By lot.
    Random,
}

/// Kinds of calls and messages (MT-4).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub enum AskedAs {
    /// Those that were asked for one by one.
    #[default]
    Single,
    /// Lines of batches.
    BatchLine,
}
