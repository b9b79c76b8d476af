//! Addresses of a tenant's application server.

use busyhour_base::Method;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::URL_PATTERN;

/// How a webhook is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize, JsonSchema)]
pub enum HttpMethod {
    /// Parameters as a form.
    #[default]
    #[serde(rename = "POST")]
    Post,
    /// Parameters in the query.
    #[serde(rename = "GET")]
    Get,
}

impl From<HttpMethod> for Method {
    fn from(method: HttpMethod) -> Self {
        match method {
            HttpMethod::Post => Self::Post,
            HttpMethod::Get => Self::Get,
        }
    }
}

/// Who is told of a call's progress (SP-8).
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct StatusCallback {
    /// Absolute URL.
    #[schemars(length(max = 2_048), regex(pattern = URL_PATTERN))]
    pub url: String,
    /// How it is asked.
    #[serde(default)]
    pub method: HttpMethod,
    /// Of which events.
    #[serde(default = "completed_only")]
    #[schemars(length(min = 1, max = 4))]
    pub events: Vec<CallbackEvent>,
}

/// One kind of progress.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum CallbackEvent {
    /// The call was handed to a carrier.
    Initiated,
    /// It rings.
    Ringing,
    /// It was answered.
    Answered,
    /// It ended, in whatever way.
    Completed,
}

fn completed_only() -> Vec<CallbackEvent> {
    vec![CallbackEvent::Completed]
}
