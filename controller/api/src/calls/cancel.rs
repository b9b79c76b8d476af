//! Canceling many calls at once, which the field cannot (MT-5).

use axum::{extract::State, response::Response};
use busyhour_base::Timestamp;
use busyhour_controller_core::{
    command::{Cancel, Command, Waiting},
    effect::Reply,
};
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::{
    address::Ends,
    params::{own_application, urgency},
};
use crate::{
    App,
    dates::instant,
    edge::{Caller, FormBody, json},
    error::{ApiError, Code},
    form::Params,
};

const NAMES: [&str; 7] =
    ["From", "To", "Status", "ApplicationSid", "Urgency", "ScheduledFrom", "ScheduledBefore"];

/// What was canceled.
#[derive(Serialize, ToSchema)]
pub(crate) struct CanceledCalls {
    /// How many calls. None of them starts any more.
    canceled: u64,
}

/// Cancels every call of the account that waits, scheduled or queued, lines of batches included; with parameters those to
/// which all of them apply. It is one step: either all of these calls are canceled or, on an error, none. Calls in progress
/// go on. Each canceled call ends as `canceled`, with its status callback.
#[utoipa::path(
    post, path = "/v1/Calls/cancel", tag = "Calls",
    request_body(content = crate::openapi::CancelCalls, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, body = CanceledCalls), (status = "4XX", body = crate::error::ErrorBody)),
    security(("account" = []))
)]
pub(crate) async fn cancel(
    State(app): State<App>,
    caller: Caller,
    FormBody(form): FormBody,
) -> Result<Response, ApiError> {
    let params = Params::parse(&form)?;
    let cancel = Cancel { account: caller.account, which: which(&params, &caller)? };
    match app.platform.proposer.propose(Command::Cancel(cancel)).await?.reply {
        Reply::Canceling(canceled) => Ok(json(StatusCode::OK, &CanceledCalls { canceled })),
        Reply::Refused(reason) => Err(ApiError::refused(reason)),
        _ => Err(ApiError::internal("canceling calls got no answer")),
    }
}

fn which(params: &Params<'_>, caller: &Caller) -> Result<Waiting, ApiError> {
    // A filter that was meant and is not known must not cancel everything.
    params.only(&NAMES)?;
    if let Some(status) = params.one("Status")?.filter(|status| *status != "queued") {
        let allowed = "queued: calls in progress are ended one by one";
        return Err(ApiError::parameter(Code::InvalidParameter, "Status", status, allowed));
    }
    let Ends { from, to } = Ends::read(params)?;
    let application = params.one("ApplicationSid")?;
    let application = application
        .map(|text| own_application(text, caller.account, &caller.directory))
        .transpose()?;
    Ok(Waiting {
        from,
        to,
        application: application.map(|(sid, _)| sid),
        urgency: urgency(params)?,
        scheduled_from: scheduled(params, "ScheduledFrom")?,
        scheduled_before: scheduled(params, "ScheduledBefore")?,
    })
}

fn scheduled(params: &Params<'_>, name: &str) -> Result<Option<Timestamp>, ApiError> {
    let Some(text) = params.one(name)? else { return Ok(None) };
    let allowed = "an instant such as 2026-03-10T12:00:00Z";
    let at = instant(text);
    at.map(Some).ok_or_else(|| ApiError::parameter(Code::InvalidParameter, name, text, allowed))
}
