//! `GET /v1/Calls/{sid}/explain`: why a call is where it is.

use axum::{extract::State, response::Response};
use busyhour_base::{CallSid, Reason, Span, Timestamp};
use busyhour_controller_core::{
    forward::{About, Answer},
    view::Explanation,
};
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Because, ChangeBody, Held, Start, changes, words};
use crate::{
    App,
    calls::{Found, find, find_any},
    dates::Rfc3339,
    edge::{Ids, Viewer, json},
    error::ApiError,
    forecasts::Expected,
};

/// Why a call is where it is. What does not apply is null.
#[derive(Serialize, ToSchema)]
pub(crate) struct CallExplanation {
    /// Which call.
    #[schema(value_type = String)]
    call_sid: CallSid,
    /// Its status.
    status: &'static str,
    /// How many requests of the same account go before it, while it waits.
    position: Option<u64>,
    /// When it is expected to start (as likely before as after), or did.
    #[schema(value_type = Option<String>)]
    start: Option<Rfc3339>,
    /// Nine times out of ten it starts by then.
    #[schema(value_type = Option<String>)]
    start_p90: Option<Rfc3339>,
    /// From now to its expected start.
    starts_in_ms: Option<u64>,
    /// From now to `start_p90`.
    starts_in_ms_p90: Option<u64>,
    /// The limit that holds it longest until it starts, or that last held it before it did.
    limit: Option<Because>,
    /// What holds it until then, the longest first.
    held_by: Vec<Held>,
    /// Every limit that it has to pass.
    limits: Vec<Limit>,
    /// What would let it start sooner.
    changes: Vec<ChangeBody>,
    /// How the start was found: `forward`, by running the engine ahead, or `analytic`, limit by limit.
    method: Option<&'static str>,
    /// Why it ended as it did.
    ending: Option<Because>,
    /// Final SIP status of the carrier, if there was one.
    sip_code: Option<u16>,
}

/// One limit.
#[derive(Serialize, ToSchema)]
pub(crate) struct Limit {
    /// For machines.
    reason: &'static str,
    /// For people.
    message: String,
    /// Whether it holds the call now.
    binds: bool,
    /// From now to when it alone would let the call start; null while that cannot be foretold.
    starts_in_ms: Option<u64>,
}

/// Position, expected start, binding limit and what would change it for a call that waits; what held and what ended
/// one that does not.
#[utoipa::path(
    get, path = "/v1/Calls/{Sid}/explain", tag = "Calls",
    params(("Sid" = String, Path)),
    responses((status = 200, body = CallExplanation), (status = "4XX", body = crate::error::ErrorBody)),
    security(("account" = []), ("operator" = []))
)]
pub(crate) async fn call(
    State(app): State<App>,
    viewer: Viewer,
    Ids(sid): Ids<String>,
) -> Result<Response, ApiError> {
    let sid: CallSid = sid.parse().map_err(|_| ApiError::not_found())?;
    let found = match &viewer {
        Viewer::Tenant(caller) => find(&app, caller.account, sid).await?,
        Viewer::Operator => find_any(&app, sid).await?,
    };
    let facts = found.facts();
    let waits = facts.dialled_at.is_none() && facts.ended_at.is_none();
    let about = About::Call(facts.call);
    let answer = if waits { app.forecasts.answer(about).await } else { None };
    let now = (app.platform.clock)();
    let mut resource = ended_or_started(sid, &found);
    if waits && let Some(why) = app.platform.views.explain(facts.call) {
        waiting(&mut resource, why, answer, now);
    }
    Ok(json(StatusCode::OK, &resource))
}

fn ended_or_started(sid: CallSid, found: &Found) -> CallExplanation {
    let facts = found.facts();
    let (held_by, ending) = match found {
        Found::Live(view) => (view.held_by, view.ending.as_ref()),
        Found::Recorded(record) => (Some(record.held_by), Some(&record.ending)),
    };
    CallExplanation {
        call_sid: sid,
        status: facts.status(),
        position: None,
        start: facts.dialled_at.map(Rfc3339),
        start_p90: None,
        starts_in_ms: None,
        starts_in_ms_p90: None,
        limit: held_by.map(Because::from),
        held_by: Vec::new(),
        limits: Vec::new(),
        changes: Vec::new(),
        method: None,
        ending: ending.map(|ending| ending.reason.into()),
        sip_code: ending.map(|ending| ending.sip_code).filter(|code| *code > 0),
    }
}

fn waiting(
    resource: &mut CallExplanation,
    why: Explanation,
    answer: Option<(Timestamp, Answer)>,
    now: Timestamp,
) {
    let forward = answer.as_ref().map(|(at, answer)| (*at, answer.estimate.clone()));
    let analytic = why.starts_in.map(|span| (span, why.binding));
    let expected = Expected::of(forward, analytic, now);
    let binding = expected.as_ref().map_or(why.binding, |expected| expected.binding);
    resource.position = Some(why.position);
    resource.limit = Some(binding.into());
    resource.limits = why.limits.into_iter().map(limit).collect();
    if let Some(expected) = &expected {
        let start = Start::new(expected, now);
        (resource.start, resource.start_p90) = (Some(start.p50), start.p90);
        (resource.starts_in_ms, resource.starts_in_ms_p90) = (Some(start.in_ms), start.in_ms_p90);
        (resource.held_by, resource.method) = (start.held_by, Some(start.method));
    }
    if let Some((at, answer)) = &answer {
        resource.changes = changes(answer, *at, now);
    }
}

/// A limit and the time from now at which it alone would let something start.
pub(crate) fn limit((reason, starts_in): (Reason, Option<Span>)) -> Limit {
    let starts_in_ms = starts_in.map(Span::as_millis);
    let binds = starts_in_ms != Some(0);
    let message = if binds { reason.message().to_owned() } else { words::free(reason) };
    Limit { reason: reason.code(), message, binds, starts_in_ms }
}
