//! Creating and fetching a batch.

use axum::{extract::State, response::Response};
use busyhour_base::Reason;
use busyhour_controller_core::{
    command::{BatchCommand, Command},
    effect::Reply,
    spec::BatchPlan,
};
use http::StatusCode;

use super::{find, plan::CreateBatch, resource::BatchResource};
use crate::{
    App,
    edge::{Caller, IdempotencyKey, Ids, JsonBody, json, used_for},
    error::{ApiError, Code},
};

/// Creates a batch as a draft.
#[utoipa::path(
    post, path = "/v1/Batches", tag = "Batches",
    params(("Idempotency-Key" = Option<String>, Header, description = "A repeat with the same key is the same request")),
    request_body = CreateBatch,
    responses((status = 201, body = BatchResource), (status = "4XX", body = crate::error::ErrorBody)),
    security(("account" = []))
)]
pub(crate) async fn create(
    State(app): State<App>,
    caller: Caller,
    key: IdempotencyKey,
    JsonBody(body): JsonBody<CreateBatch>,
) -> Result<Response, ApiError> {
    caller.may_submit()?;
    let plan = body.plan(&caller, (app.platform.clock)())?;
    let idempotency = key.hash("batch", &caller)?;
    let command = Command::Batch(BatchCommand::Create {
        account: caller.account,
        idempotency,
        plan: Box::new(plan.clone()),
    });
    let batch = match app.platform.proposer.propose(command).await?.reply {
        Reply::Batch(batch) => batch,
        Reply::Refused(Reason::TooLarge) => {
            let message = "The account has as many batches that have not ended as it may; start or cancel some";
            return Err(ApiError::new(Code::Conflict, message));
        }
        Reply::Refused(reason) => return Err(ApiError::refused(reason)),
        _ => return Err(ApiError::internal("a new batch got no number")),
    };
    let view = app.platform.views.batch(batch);
    let view = view.ok_or_else(|| ApiError::internal("a new batch is not in the state"))?;
    if asked(&view.plan) != asked(&plan) {
        return Err(used_for(app.platform.sid_key.batch(batch.0)));
    }
    Ok(json(StatusCode::CREATED, &BatchResource::new(&app, &view)))
}

/// What of a plan was asked for. When its hours are as instants depends on when it was asked, and how fast it goes may
/// have been changed since.
fn asked(plan: &BatchPlan) -> BatchPlan {
    BatchPlan { openings: None, throttle: None, max_concurrent: None, ..plan.clone() }
}

/// A batch with its progress.
#[utoipa::path(
    get, path = "/v1/Batches/{Sid}", tag = "Batches",
    params(("Sid" = String, Path)),
    responses((status = 200, body = BatchResource), (status = "4XX", body = crate::error::ErrorBody)),
    security(("account" = []))
)]
pub(crate) async fn fetch(
    State(app): State<App>,
    caller: Caller,
    Ids(sid): Ids<String>,
) -> Result<Response, ApiError> {
    let kind = find(&app, &caller, &sid)?.plan.kind;
    app.forecasts.refresh(kind).await;
    let view = find(&app, &caller, &sid)?;
    Ok(json(StatusCode::OK, &BatchResource::new(&app, &view)))
}
