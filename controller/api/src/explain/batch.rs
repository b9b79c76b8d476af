//! `GET /v1/Batches/{sid}/explain`: what holds a batch, when its last call starts, and what would change it.

use axum::{extract::State, response::Response};
use busyhour_base::BatchSid;
use busyhour_controller_core::{forward::About, spec::BatchId, view::BatchStatus};
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Because, ChangeBody, Start, changes};
use crate::{
    App,
    batches::BatchCounts,
    edge::{Ids, Viewer, json},
    error::ApiError,
    forecasts::Expected,
};

/// What holds a batch. What does not apply is null.
#[derive(Serialize, ToSchema)]
pub(crate) struct BatchExplanation {
    /// Which batch.
    #[schema(value_type = String)]
    batch_sid: BatchSid,
    /// Its name.
    name: String,
    /// Its status.
    #[schema(value_type = String)]
    status: BatchStatus,
    /// Where its calls or messages are.
    counts: BatchCounts,
    /// The limit that holds it longest until its last call or message starts, or what it waits for.
    limit: Option<Because>,
    /// When its last call or message is expected to start.
    last_start: Option<Start>,
    /// What would bring that forward.
    changes: Vec<ChangeBody>,
}

/// What holds a batch, when its last call starts, and what would change it.
#[utoipa::path(
    get, path = "/v1/Batches/{Sid}/explain", tag = "Batches",
    params(("Sid" = String, Path)),
    responses((status = 200, body = BatchExplanation), (status = "4XX", body = crate::error::ErrorBody)),
    security(("account" = []), ("operator" = []))
)]
pub(crate) async fn batch(
    State(app): State<App>,
    viewer: Viewer,
    Ids(sid): Ids<String>,
) -> Result<Response, ApiError> {
    let sid: BatchSid = sid.parse().map_err(|_| ApiError::not_found())?;
    let number = app.platform.sid_key.batch_number(sid).map(BatchId);
    let view = number.and_then(|batch| app.platform.views.batch(batch));
    let view = view.filter(|view| viewer.may_see(view.account)).ok_or_else(ApiError::not_found)?;
    let answer = app.forecasts.answer(About::Batch(view.batch)).await;
    let now = (app.platform.clock)();
    let forward = answer.as_ref().map(|(at, answer)| (*at, answer.estimate.clone()));
    let expected = Expected::of(forward, view.eta, now);
    let queues = app.platform.views.queues_of(view.account);
    let queue = queues.iter().find(|queue| queue.batch == Some(view.batch) && queue.waiting > 0);
    let held_by = queue.map(|queue| queue.held_by);
    let binding = expected.as_ref().map(|expected| expected.binding).or(held_by);
    let explanation = BatchExplanation {
        batch_sid: sid,
        name: view.plan.name.clone(),
        status: view.status,
        counts: BatchCounts::new(&view),
        limit: binding.map(Because::from),
        last_start: expected.as_ref().map(|expected| Start::new(expected, now)),
        changes: answer.map(|(at, answer)| changes(&answer, at, now)).unwrap_or_default(),
    };
    Ok(json(StatusCode::OK, &explanation))
}
