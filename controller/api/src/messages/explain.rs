//! `GET /v1/Messages/{sid}/explain`: why a message is where it is.

use axum::{extract::State, response::Response};
use busyhour_base::{MessageSid, Reason};
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::find::{Found, find};
use crate::{
    App,
    dates::Rfc3339,
    edge::{Caller, Ids, json},
    error::ApiError,
    explain::{Because, Limit, limit},
};

/// Why a message is where it is. What does not apply is null.
#[derive(Serialize, ToSchema)]
pub(crate) struct MessageExplanation {
    /// Which message.
    #[schema(value_type = String)]
    message_sid: MessageSid,
    /// Its status.
    status: &'static str,
    /// How many messages of the same account go before it, while it waits.
    position: Option<u64>,
    /// When it is expected to be sent, or was.
    #[schema(value_type = Option<String>)]
    start: Option<Rfc3339>,
    /// From now to its expected start.
    starts_in_ms: Option<u64>,
    /// The limit that holds it, or that last held it before it was sent.
    limit: Option<Because>,
    /// Every limit that it has to pass, counted in segments.
    limits: Vec<Limit>,
    /// Over which carrier it went.
    carrier: Option<String>,
    /// Why it ended as it did.
    ending: Option<Because>,
}

/// Position, expected start and binding limit of a message that waits; what held and what ended one that does not.
#[utoipa::path(
    get, path = "/v1/Messages/{Sid}/explain", tag = "Messages",
    params(("Sid" = String, Path)),
    responses((status = 200, body = MessageExplanation), (status = "4XX", body = crate::error::ErrorBody)),
    security(("account" = []))
)]
pub(crate) async fn explain(
    State(app): State<App>,
    caller: Caller,
    Ids(sid): Ids<String>,
) -> Result<Response, ApiError> {
    let sid: MessageSid = sid.parse().map_err(|_| ApiError::not_found())?;
    let found = find(&app, caller.account, sid).await?;
    let facts = found.facts();
    let (held_by, carrier) = match &found {
        Found::Live(view) => (None, view.carrier.as_deref()),
        Found::Recorded(record) => (Some(record.held_by), record.carrier.as_deref()),
    };
    let mut body = MessageExplanation {
        message_sid: sid,
        status: facts.status.as_str(),
        position: None,
        start: facts.sent_at.map(Rfc3339),
        starts_in_ms: None,
        limit: held_by.filter(|reason| *reason != Reason::Ready).map(Because::from),
        limits: Vec::new(),
        carrier: carrier.map(str::to_owned),
        ending: facts.ended_at.map(|_| facts.reason.into()),
    };
    if let Some(why) = app.platform.messages.explain_message(found.message()) {
        body.position = Some(why.position);
        body.start = why.starts_in.map(|span| Rfc3339((app.platform.clock)() + span));
        body.starts_in_ms = why.starts_in.map(busyhour_base::Span::as_millis);
        body.limit = Some(why.binding.into());
        body.limits = why.limits.into_iter().map(limit).collect();
    }
    Ok(json(StatusCode::OK, &body))
}
