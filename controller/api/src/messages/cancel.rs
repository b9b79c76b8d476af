//! Canceling many messages at once, which the field cannot.

use axum::{extract::State, response::Response};
use busyhour_controller_core::{
    command::Command,
    effect::Reply,
    message::{Cancel, MessageCommand},
};
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::create::refused;
use crate::{
    App,
    calls::Ends,
    edge::{Caller, FormBody, json},
    error::ApiError,
    form::Params,
};

/// What was canceled.
#[derive(Serialize, ToSchema)]
pub(crate) struct Canceled {
    /// How many messages.
    canceled: u64,
}

/// Cancels every message of the account that waits, scheduled or queued; with `From` or `To` those of these numbers only.
#[utoipa::path(
    post, path = "/v1/Messages/cancel", tag = "Messages",
    request_body(content = crate::openapi::CancelMessages, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, body = Canceled), (status = "4XX", body = crate::error::ErrorBody)),
    security(("account" = []))
)]
pub(crate) async fn cancel(
    State(app): State<App>,
    caller: Caller,
    FormBody(form): FormBody,
) -> Result<Response, ApiError> {
    let params = Params::parse(&form)?;
    // A filter that was meant and is not known must not cancel everything.
    params.only(&["From", "To"])?;
    let Ends { from, to } = Ends::read(&params)?;
    let which = Cancel::Waiting { from, to };
    let command = MessageCommand::Cancel { account: caller.account, which };
    match app.platform.proposer.propose(Command::Message(command)).await?.reply {
        Reply::Canceled(canceled) => Ok(json(StatusCode::OK, &Canceled { canceled })),
        Reply::Refused(reason) => Err(refused(reason)),
        _ => Err(ApiError::internal("canceling messages got no answer")),
    }
}
