//! Carrier: who connects calls to the telephone network, and what the contract allows.

use ipnet::IpNet;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    AllocationSpec, CarrierMessages, DestinationSpec, FILE_PATTERN, NAME_PATTERN, Status,
    TariffSpec, default_group,
};
use crate::Secret;

/// A carrier and what is rented from it by contract (MT-11, MT-12).
#[derive(CustomResource, Clone, PartialEq, Debug, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "busyhour.dev",
    version = "v1alpha1",
    kind = "Carrier",
    namespaced,
    status = "Status",
    derive = "PartialEq",
    doc = "A carrier: its trunk and what the contract with it allows.",
    printcolumn(name = "Channels", type_ = "integer", json_path = ".spec.channels"),
    printcolumn(name = "Calls/s", type_ = "integer", json_path = ".spec.callsPerSecond"),
    printcolumn(name = "Address", type_ = "string", json_path = ".spec.address")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CarrierSpec {
    /// Address of the trunk, `host:port`, reached by SIP over UDP.
    #[schemars(regex(
        pattern = r"^([A-Za-z0-9][-A-Za-z0-9.]{0,251}|\[[0-9A-Fa-f:.]{2,45}\]):[1-9][0-9]{0,4}$"
    ))]
    pub address: String,
    /// Codecs that may be offered, the preferred one first.
    #[serde(default = "all_codecs")]
    #[schemars(length(min = 1, max = 2))]
    pub codecs: Vec<Codec>,
    /// User of the trunk, if the carrier asks for digest authentication.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^[\x21-\x7e]{1,128}$"))]
    pub username: Option<String>,
    /// Password of the trunk. Prefer `passwordFile`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
    /// File that holds the password of the trunk, relative to the folder of this document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = FILE_PATTERN))]
    pub password_file: Option<String>,
    /// Concurrent calls by contract.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub channels: u32,
    /// Of the channels, those for inbound calls only. The rest of them is bidirectional.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub inbound_only: u32,
    /// Of the channels, those for outbound calls only. Outbound calls take them first.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub outbound_only: u32,
    /// Which of the channels are active. All of them if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allocation: Option<AllocationSpec>,
    /// Bidirectional channels that are held for inbound calls, counting those that are up. Outbound calls take none of them.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub reserved_for_inbound: u32,
    /// Channels that are not lent to tenants beyond what they are expected to use; those of a group add up.
    #[serde(default)]
    #[schemars(range(min = 0, max = 1_000_000))]
    pub lending_margin: u32,
    /// The carriers whose channels tenants share as one. Carriers with a destination in common are of one group.
    #[serde(default = "default_group")]
    #[schemars(regex(pattern = NAME_PATTERN))]
    pub group: String,
    /// Where it connects to. Anywhere if it is left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 20_000))]
    pub destinations: Vec<DestinationSpec>,
    /// What it charges. Nothing if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tariff: Option<TariffSpec>,
    /// Call set-ups in any second by contract.
    #[schemars(range(min = 1, max = 100_000))]
    pub calls_per_second: u32,
    /// Most outbound requests in service at once, at most `channels`, so that inbound calls find room.
    /// All channels if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1_000_000))]
    pub service_ports: Option<u32>,
    /// How long a channel is kept back when the end of its call was not confirmed, in seconds. Not less than
    /// the carrier itself keeps such a call.
    #[serde(default = "default_quarantine_seconds")]
    #[schemars(range(min = 1, max = 86_400))]
    pub quarantine_seconds: u32,
    /// What is rented for messages; without it the carrier takes none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messages: Option<CarrierMessages>,
    /// Its calls to the tenants' numbers; none are taken if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inbound: Option<InboundSpec>,
}

/// From where a carrier calls in (MT-6, MT-9).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct InboundSpec {
    /// Networks that its calls come from, such as `192.0.2.0/28`. Calls from anywhere else are refused.
    #[schemars(
        length(min = 1, max = 64),
        with = "Vec<String>",
        inner(regex(pattern = r"^[0-9A-Fa-f.:]{2,45}/[0-9]{1,3}$"))
    )]
    pub networks: Vec<IpNet>,
    /// Also ask for the trunk's user and password (digest).
    #[serde(default)]
    pub authenticate: bool,
}

/// A codec of the audio on a trunk.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize, JsonSchema)]
pub enum Codec {
    /// G.711 mu-law.
    #[serde(rename = "PCMU")]
    Pcmu,
    /// G.711 A-law.
    #[serde(rename = "PCMA")]
    Pcma,
}

fn all_codecs() -> Vec<Codec> {
    vec![Codec::Pcmu, Codec::Pcma]
}

/// The usual session expiry of a trunk, twice over 90 s (RFC 4028 has 90 s as its least).
fn default_quarantine_seconds() -> u32 {
    180
}
