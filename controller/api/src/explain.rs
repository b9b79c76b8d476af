//! `GET /v1/Calls/{sid}/explain`: why a call is where it is.

use axum::{extract::State, response::Response};
use busyhour_base::{CallSid, Reason, Span, Timestamp};
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    App,
    calls::{Found, find},
    dates::Rfc3339,
    edge::{Caller, Ids, json},
    error::ApiError,
};

/// Why a call is where it is. What does not apply is null.
#[derive(Serialize, ToSchema)]
pub(crate) struct ExplanationResource {
    /// Which call.
    #[schema(value_type = String)]
    call_sid: CallSid,
    /// Its status.
    status: &'static str,
    /// How many requests of the same account go before it, while it waits.
    position: Option<u64>,
    /// When it is expected to start, or did.
    #[schema(value_type = Option<String>)]
    start: Option<Rfc3339>,
    /// From now to its expected start.
    starts_in_ms: Option<u64>,
    /// The limit that binds now, or that last held it before it started.
    limit: Option<Because>,
    /// Every limit that it has to pass, and when each alone would let it start.
    limits: Vec<Limit>,
    /// Why it ended as it did.
    ending: Option<Because>,
    /// Final SIP status of the carrier, if there was one.
    sip_code: Option<u16>,
}

/// A reason in both its forms.
#[derive(Serialize, ToSchema)]
pub(crate) struct Because {
    /// For machines.
    reason: &'static str,
    /// For people.
    message: &'static str,
}

/// One limit.
#[derive(Serialize, ToSchema)]
pub(crate) struct Limit {
    /// For machines.
    reason: &'static str,
    /// For people.
    message: &'static str,
    /// From now to when it alone would let the call start; null while that cannot be foretold.
    starts_in_ms: Option<u64>,
}

impl From<Reason> for Because {
    fn from(reason: Reason) -> Self {
        Self { reason: reason.code(), message: reason.message() }
    }
}

/// Position, expected start and binding limit of a call that waits; what held and what ended one that does not.
#[utoipa::path(
    get, path = "/v1/Calls/{Sid}/explain", tag = "Calls",
    params(("Sid" = String, Path)),
    responses((status = 200, body = ExplanationResource), (status = "4XX", body = crate::error::ErrorBody)),
    security(("account" = []))
)]
pub(crate) async fn explain(
    State(app): State<App>,
    caller: Caller,
    Ids(sid): Ids<String>,
) -> Result<Response, ApiError> {
    let sid: CallSid = sid.parse().map_err(|_| ApiError::not_found())?;
    let found = find(&app, caller.account, sid).await?;
    let now = (app.platform.clock)();
    Ok(json(StatusCode::OK, &resource(&app, sid, &found, now)))
}

fn resource(app: &App, sid: CallSid, found: &Found, now: Timestamp) -> ExplanationResource {
    let facts = found.facts();
    let (held_by, ending) = match found {
        Found::Live(view) => (view.held_by, view.ending.as_ref()),
        Found::Recorded(record) => {
            (record.dialled_at.map(|_| record.held_by), Some(&record.ending))
        }
    };
    let mut resource = ExplanationResource {
        call_sid: sid,
        status: facts.status(),
        position: None,
        start: facts.dialled_at.map(Rfc3339),
        starts_in_ms: None,
        limit: held_by.map(Because::from),
        limits: Vec::new(),
        ending: ending.map(|ending| ending.reason.into()),
        sip_code: ending.map(|ending| ending.sip_code).filter(|code| *code > 0),
    };
    let waits = facts.dialled_at.is_none() && facts.ended_at.is_none();
    let Some(why) = app.platform.views.explain(facts.call).filter(|_| waits) else {
        return resource;
    };
    resource.position = Some(why.position);
    resource.start = why.starts_in.map(|span| Rfc3339(now + span));
    resource.starts_in_ms = why.starts_in.map(Span::as_millis);
    resource.limit = Some(why.binding.into());
    resource.limits = why
        .limits
        .into_iter()
        .map(|(reason, starts_in)| Limit {
            reason: reason.code(),
            message: reason.message(),
            starts_in_ms: starts_in.map(Span::as_millis),
        })
        .collect();
    resource
}
