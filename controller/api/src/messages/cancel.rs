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
    calls::{canonical, only},
    edge::{Caller, FormBody, json},
    error::{ApiError, Code},
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
    only(&params, &["From", "To"])?;
    let number = |name, code| match params.one(name)? {
        None => Ok(None),
        Some(text) => match canonical(text) {
            Ok(number) => Ok(Some(std::sync::Arc::from(&*number))),
            Err(_) => Err(ApiError::parameter(code, name, text, "an E.164 number")),
        },
    };
    let which = Cancel::Waiting {
        from: number("From", Code::InvalidFrom)?,
        to: number("To", Code::InvalidTo)?,
    };
    let command = MessageCommand::Cancel { account: caller.account, which };
    match app.platform.proposer.propose(Command::Message(command)).await?.reply {
        Reply::Canceled(canceled) => Ok(json(StatusCode::OK, &Canceled { canceled })),
        Reply::Refused(reason) => Err(refused(reason)),
        _ => Err(ApiError::internal("canceling messages got no answer")),
    }
}
