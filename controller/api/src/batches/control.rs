//! Start, pause, resume and cancel.

use axum::{extract::State, response::Response};
use busyhour_base::Reason;
use busyhour_controller_core::{
    command::{BatchCommand, Command},
    effect::Reply,
    view::BatchView,
};
use http::StatusCode;
use serde::Deserialize;
use utoipa::ToSchema;

use super::{find, resource::BatchResource};
use crate::{
    App,
    edge::{Caller, Ids, JsonBody, json},
    error::{ApiError, Code},
};

/// No more lines come: begins at `not_before` or at once.
#[utoipa::path(
    post, path = "/v1/Batches/{Sid}/start", tag = "Batches", params(("Sid" = String, Path)),
    responses((status = 200, body = BatchResource), (status = "4XX", body = crate::error::ErrorBody)),
    security(("account" = []))
)]
pub(crate) async fn start(
    State(app): State<App>,
    caller: Caller,
    Ids(sid): Ids<String>,
) -> Result<Response, ApiError> {
    caller.may_submit()?;
    let view = find(&app, &caller, &sid)?;
    let (account, batch) = (caller.account, view.batch);
    apply(&app, &view, "started", BatchCommand::Start { account, batch }).await
}

/// Starts no more calls; those in progress go on.
#[utoipa::path(
    post, path = "/v1/Batches/{Sid}/pause", tag = "Batches", params(("Sid" = String, Path)),
    responses((status = 200, body = BatchResource), (status = "4XX", body = crate::error::ErrorBody)),
    security(("account" = []))
)]
pub(crate) async fn pause(
    State(app): State<App>,
    caller: Caller,
    Ids(sid): Ids<String>,
) -> Result<Response, ApiError> {
    let view = find(&app, &caller, &sid)?;
    let (account, batch) = (caller.account, view.batch);
    apply(&app, &view, "paused", BatchCommand::Pause { account, batch }).await
}

/// Goes on after a pause.
#[utoipa::path(
    post, path = "/v1/Batches/{Sid}/resume", tag = "Batches", params(("Sid" = String, Path)),
    responses((status = 200, body = BatchResource), (status = "4XX", body = crate::error::ErrorBody)),
    security(("account" = []))
)]
pub(crate) async fn resume(
    State(app): State<App>,
    caller: Caller,
    Ids(sid): Ids<String>,
) -> Result<Response, ApiError> {
    caller.may_submit()?;
    let view = find(&app, &caller, &sid)?;
    let (account, batch) = (caller.account, view.batch);
    apply(&app, &view, "resumed", BatchCommand::Resume { account, batch }).await
}

/// How a batch is canceled.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct CancelBatch {
    /// Also end the calls in progress, rather than let them drain.
    hang_up: bool,
}

/// Ends the batch: what waits is canceled, what is in progress drains or is ended.
#[utoipa::path(
    post, path = "/v1/Batches/{Sid}/cancel", tag = "Batches", params(("Sid" = String, Path)),
    request_body = CancelBatch,
    responses((status = 200, body = BatchResource), (status = "4XX", body = crate::error::ErrorBody)),
    security(("account" = []))
)]
pub(crate) async fn cancel(
    State(app): State<App>,
    caller: Caller,
    Ids(sid): Ids<String>,
    JsonBody(body): JsonBody<CancelBatch>,
) -> Result<Response, ApiError> {
    let view = find(&app, &caller, &sid)?;
    let command =
        BatchCommand::Cancel { account: caller.account, batch: view.batch, hang_up: body.hang_up };
    apply(&app, &view, "canceled", command).await
}

async fn apply(
    app: &App,
    view: &BatchView,
    done: &str,
    command: BatchCommand,
) -> Result<Response, ApiError> {
    let reply = app.platform.proposer.propose(Command::Batch(command)).await?.reply;
    let now = app.platform.views.batch(view.batch);
    let now = now.ok_or_else(ApiError::not_found)?;
    match reply {
        Reply::Refused(Reason::WrongState) => Err(wrong_state(&now, done)),
        Reply::Refused(reason) => Err(ApiError::refused(reason)),
        _ => Ok(json(StatusCode::OK, &BatchResource::new(app, &now))),
    }
}

/// A batch in this state cannot be `done`.
pub(super) fn wrong_state(view: &BatchView, done: &str) -> ApiError {
    let status = format!("{:?}", view.status).to_lowercase();
    ApiError::new(Code::Conflict, format!("The batch is {status} and cannot be {done}"))
}
