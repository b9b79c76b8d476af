//! Start, pause, resume and cancel.

use axum::{extract::State, response::Response};
use busyhour_base::{AccountSid, Reason};
use busyhour_controller_core::{
    command::{BatchCommand, Command},
    effect::Reply,
    spec::BatchId,
    view::BatchView,
};
use http::StatusCode;
use serde::{Deserialize, Deserializer};
use utoipa::ToSchema;

use super::{find, plan::Pacing, resource::BatchResource};
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
    steer(&app, &caller, &sid, "started", |account, batch| BatchCommand::Start { account, batch })
        .await
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
    steer(&app, &caller, &sid, "paused", |account, batch| BatchCommand::Pause { account, batch })
        .await
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
    steer(&app, &caller, &sid, "resumed", |account, batch| BatchCommand::Resume { account, batch })
        .await
}

/// Another pace, from now on. No call loses its place.
#[derive(Clone, Copy, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct NewPace {
    /// Calls per second; `null` for no bound of the batch's own, and as it is if left out.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<f64>)]
    cps: Option<Option<f64>>,
    /// Most calls in progress at once; likewise.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<u32>)]
    max_concurrent: Option<Option<u32>>,
}

/// What is given, `null` too.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    from: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::<T>::deserialize(from).map(Some)
}

/// Another pace, from now on: `null` means no bound, and what is left out stays. No call loses its place.
#[utoipa::path(
    post, path = "/v1/Batches/{Sid}/pace", tag = "Batches", params(("Sid" = String, Path)),
    request_body = NewPace,
    responses((status = 200, body = BatchResource), (status = "4XX", body = crate::error::ErrorBody)),
    security(("account" = []))
)]
pub(crate) async fn pace(
    State(app): State<App>,
    caller: Caller,
    Ids(sid): Ids<String>,
    JsonBody(new): JsonBody<NewPace>,
) -> Result<Response, ApiError> {
    let view = find(&app, &caller, &sid)?;
    let NewPace { cps, max_concurrent } = new;
    let pacing = Pacing { cps: cps.flatten(), max_concurrent: max_concurrent.flatten() };
    let command = BatchCommand::Pace {
        account: caller.account,
        batch: view.batch,
        throttle: if cps.is_some() { pacing.throttle()? } else { view.plan.throttle },
        max_concurrent: match max_concurrent {
            Some(_) => pacing.concurrent()?,
            None => view.plan.max_concurrent,
        },
    };
    apply(&app, &view, "given another pace", command).await
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

/// One of the commands that need nothing but the batch.
async fn steer(
    app: &App,
    caller: &Caller,
    sid: &str,
    done: &str,
    command: impl FnOnce(AccountSid, BatchId) -> BatchCommand,
) -> Result<Response, ApiError> {
    let view = find(app, caller, sid)?;
    apply(app, &view, done, command(caller.account, view.batch)).await
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
