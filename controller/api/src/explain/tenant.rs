//! `GET /v1/Tenants/{name or sid}/explain`: what holds a tenant, queue by queue, and what would change it.

use axum::{extract::State, response::Response};
use busyhour_base::{AccountSid, BatchSid};
use busyhour_controller_core::{
    forward::About,
    view::{QueueView, TenantView},
};
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Because, ChangeBody, Start, changes};
use crate::{
    App,
    availability::ShareRow,
    edge::{Ids, Viewer, json},
    error::ApiError,
    forecasts::Expected,
    overview::CountsBody,
};

/// Queues that are shown; the others are counted.
const QUEUES_MAX: usize = 1_000;

/// What holds a tenant. What does not apply is null.
#[derive(Serialize, ToSchema)]
pub(crate) struct TenantExplanation {
    /// Its account.
    #[schema(value_type = String)]
    account_sid: AccountSid,
    /// Its name.
    name: String,
    /// Where its calls are.
    counts: CountsBody,
    /// Calls dialled in the last ten seconds.
    dialled_10s: u32,
    /// What its throttle allows, per second.
    throttle_per_s: Option<f64>,
    /// The limit that holds it longest until all that waits has started.
    limit: Option<Because>,
    /// When the last of what waits is expected to start.
    last_start: Option<Start>,
    /// What would bring that forward.
    changes: Vec<ChangeBody>,
    /// Its shares of groups of carriers.
    shares: Vec<ShareRow>,
    /// Its queues in which something waits or of which something is in progress.
    queues: Vec<Queue>,
    /// Queues that are not shown.
    queues_more: usize,
}

/// A queue.
#[derive(Serialize, ToSchema)]
pub(crate) struct Queue {
    /// `inbound`, `synchronous` or `ordinary`.
    urgency: &'static str,
    /// Of a batch.
    #[schema(value_type = Option<String>)]
    batch_sid: Option<BatchSid>,
    /// Waiting.
    waiting: u32,
    /// In progress.
    in_progress: u32,
    /// What holds what waits in it now.
    held_by: Option<Because>,
}

/// What holds a tenant now, when the last of what it has waiting starts, and what would change it.
#[utoipa::path(
    get, path = "/v1/Tenants/{Name}/explain", tag = "Operation",
    params(("Name" = String, Path, description = "Name or account sid")),
    responses((status = 200, body = TenantExplanation), (status = "4XX", body = crate::error::ErrorBody)),
    security(("account" = []), ("operator" = []))
)]
pub(crate) async fn tenant(
    State(app): State<App>,
    viewer: Viewer,
    Ids(name): Ids<String>,
) -> Result<Response, ApiError> {
    let view = find(&app, &viewer, &name)?;
    let answer = app.forecasts.answer(About::Tenant(view.account)).await;
    let now = (app.platform.clock)();
    let forward = answer.as_ref().map(|(at, answer)| (*at, answer.estimate.clone()));
    let expected = Expected::of(forward, view.eta, now);
    let queues = app.platform.views.queues_of(view.account);
    let waiting = queues.iter().find(|queue| queue.waiting > 0);
    let binding = expected.as_ref().map(|expected| expected.binding);
    let binding = binding.or_else(|| waiting.map(|queue| queue.held_by));
    let explanation = TenantExplanation {
        account_sid: view.account,
        name: view.name.to_string(),
        counts: view.counts.into(),
        dialled_10s: view.dialled_10s,
        throttle_per_s: view.spacing.map(|spacing| 1.0 / spacing.as_secs_f64()),
        limit: binding.map(Because::from),
        last_start: expected.as_ref().map(|expected| Start::new(expected, now)),
        changes: answer.map(|(at, answer)| changes(&answer, at, now)).unwrap_or_default(),
        shares: app
            .platform
            .views
            .shares_of(view.account)
            .into_iter()
            .map(ShareRow::from)
            .collect(),
        queues_more: queues.len().saturating_sub(QUEUES_MAX),
        queues: queues.iter().take(QUEUES_MAX).map(|queue| Queue::new(&app, queue)).collect(),
    };
    Ok(json(StatusCode::OK, &explanation))
}

/// A tenant by its name or sid. Another tenant's is as unknown as one that does not exist.
fn find(app: &App, viewer: &Viewer, name: &str) -> Result<TenantView, ApiError> {
    let views = &app.platform.views;
    let found = match name.parse() {
        Ok(account) => views.tenant(account),
        Err(_) => views.tenant_named(name),
    };
    found.filter(|view| viewer.may_see(view.account)).ok_or_else(ApiError::not_found)
}

impl Queue {
    fn new(app: &App, view: &QueueView) -> Self {
        Self {
            urgency: view.urgency.as_str(),
            batch_sid: view.batch.map(|batch| app.platform.sid_key.batch(batch.0)),
            waiting: view.waiting,
            in_progress: view.in_progress,
            held_by: (view.waiting > 0).then(|| view.held_by.into()),
        }
    }
}
