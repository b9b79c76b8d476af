//! `GET /v1/Calls/{sid}/explain`: why a call is where it is.

use axum::{extract::State, response::Response};
use busyhour_base::CallSid;
use busyhour_controller_core::forward::About;
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Because, RequestPart};
use crate::{
    App,
    calls::{EarlierAttempt, Found, find, find_any},
    edge::{Ids, Viewer, json},
    error::ApiError,
};

/// Why a call is where it is. What does not apply is null.
#[derive(Serialize, ToSchema)]
pub(crate) struct CallExplanation {
    /// Which call.
    #[schema(value_type = String)]
    call_sid: CallSid,
    /// Its status.
    status: &'static str,
    #[serde(flatten)]
    request: RequestPart,
    /// Attempts after which it was placed again, in order, over which carriers, and how they ended.
    earlier_attempts: Vec<EarlierAttempt>,
    /// Why it ended as it did.
    ending: Option<Because>,
    /// Final SIP status of the carrier, if there was one.
    sip_code: Option<u16>,
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
        resource.request = RequestPart::waiting(why, answer, now);
    }
    Ok(json(StatusCode::OK, &resource))
}

fn ended_or_started(sid: CallSid, found: &Found) -> CallExplanation {
    let facts = found.facts();
    let (held_by, ending, earlier) = match found {
        Found::Live(view) => (view.held_by, view.ending.as_ref(), &view.earlier),
        Found::Recorded(record) => (Some(record.held_by), Some(&record.ending), &record.earlier),
    };
    CallExplanation {
        call_sid: sid,
        status: facts.status(),
        request: RequestPart::over(facts.dialled_at, held_by),
        earlier_attempts: earlier.iter().map(EarlierAttempt::from).collect(),
        ending: ending.map(|ending| ending.reason.into()),
        sip_code: ending.map(|ending| ending.sip_code).filter(|code| *code > 0),
    }
}
