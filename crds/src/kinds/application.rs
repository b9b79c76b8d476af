//! Application: the documents that say what a call does.

use busyhour_base::ApplicationSid;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CapSpec, HttpMethod, NAME_PATTERN, Status, StatusCallback, ThrottleSpec, URL_PATTERN};

/// A tenant's application (SP-1).
#[derive(CustomResource, Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "busyhour.dev",
    version = "v1alpha1",
    kind = "Application",
    namespaced,
    status = "Status",
    derive = "PartialEq",
    doc = "An application of a tenant: where the instructions for its calls come from.",
    printcolumn(name = "Tenant", type_ = "string", json_path = ".spec.tenant"),
    printcolumn(name = "URL", type_ = "string", json_path = ".spec.voice.url")
)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ApplicationSpec {
    /// Name of the tenant that it belongs to.
    #[schemars(regex(pattern = NAME_PATTERN))]
    pub tenant: String,
    /// Application id: `AP` and 32 hex digits, unique.
    #[schemars(with = "String", regex(pattern = r"^AP[0-9a-fA-F]{32}$"))]
    pub sid: ApplicationSid,
    /// Where the instructions for calls come from.
    pub voice: FirstDocument,
    /// Where messages to its numbers go, and the answers to them come from. Nobody is asked about them if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messages: Option<FirstDocument>,
    /// Who is told of a call's progress.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_callback: Option<StatusCallback>,
    /// Spacing of the calls that it asks for, beside its tenant's; none if it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub throttle: Option<ThrottleSpec>,
    /// Most calls that it asks for in rolling windows, several at once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 8))]
    pub caps: Vec<CapSpec>,
}

/// Where instructions come from.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FirstDocument {
    /// Absolute URL of the first document; may hold templates such as `{To}`.
    #[schemars(length(max = 2_048), regex(pattern = URL_PATTERN))]
    pub url: String,
    /// How it is asked.
    #[serde(default)]
    pub method: HttpMethod,
    /// Asked when a document cannot be had or read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2_048), regex(pattern = URL_PATTERN))]
    pub fallback_url: Option<String>,
    /// How the fallback is asked.
    #[serde(default)]
    pub fallback_method: HttpMethod,
}
