//! `GET /v1/Messages/{sid}/explain`: why a message is where it is.

use axum::{extract::State, response::Response};
use busyhour_base::{MessageSid, Reason};
use busyhour_controller_core::forward::About;
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::find::{Found, find, find_any};
use crate::{
    App,
    edge::{Ids, Viewer, json},
    error::ApiError,
    explain::{Because, RequestPart},
};

/// Why a message is where it is. What does not apply is null.
#[derive(Serialize, ToSchema)]
pub(crate) struct MessageExplanation {
    /// Which message.
    #[schema(value_type = String)]
    message_sid: MessageSid,
    /// Its status.
    status: &'static str,
    #[serde(flatten)]
    request: RequestPart,
    /// Over which carrier it went.
    carrier: Option<String>,
    /// Why it ended as it did.
    ending: Option<Because>,
}

/// Position, expected start, binding limit and what would change it for a message that waits; what held and what ended
/// one that does not.
#[utoipa::path(
    get, path = "/v1/Messages/{Sid}/explain", tag = "Messages",
    params(("Sid" = String, Path)),
    responses((status = 200, body = MessageExplanation), (status = "4XX", body = crate::error::ErrorBody)),
    security(("account" = []), ("operator" = []))
)]
pub(crate) async fn explain(
    State(app): State<App>,
    viewer: Viewer,
    Ids(sid): Ids<String>,
) -> Result<Response, ApiError> {
    let sid: MessageSid = sid.parse().map_err(|_| ApiError::not_found())?;
    let found = match &viewer {
        Viewer::Tenant(caller) => find(&app, caller.account, sid).await?,
        Viewer::Operator => find_any(&app, sid).await?,
    };
    let message = found.message();
    let mut body = as_it_is(sid, &found);
    if app.platform.messages.explain_message(message).is_some() {
        let answer = app.forecasts.answer(About::Message(message)).await;
        // Meanwhile it may have been sent: then there is nothing to add.
        if let Some(why) = app.platform.messages.explain_message(message) {
            body.request = RequestPart::waiting(why, answer, (app.platform.clock)());
        }
    }
    Ok(json(StatusCode::OK, &body))
}

fn as_it_is(sid: MessageSid, found: &Found) -> MessageExplanation {
    let facts = found.facts();
    let (held_by, carrier) = match found {
        Found::Live(view) => (None, view.carrier.as_deref()),
        Found::Recorded(record) => (Some(record.held_by), record.carrier.as_deref()),
    };
    let held_by = held_by.filter(|reason| *reason != Reason::Ready);
    MessageExplanation {
        message_sid: sid,
        status: facts.status.as_str(),
        request: RequestPart::over(facts.sent_at, held_by),
        carrier: carrier.map(str::to_owned),
        ending: facts.ended_at.map(|_| facts.reason.into()),
    }
}
