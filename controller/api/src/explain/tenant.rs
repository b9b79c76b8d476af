//! `GET /v1/Tenants/{name or sid}/explain`: what holds a tenant, queue by queue, and what would change it.

use axum::{extract::State, response::Response};
use busyhour_base::AccountSid;
use busyhour_controller_core::{forward::About, spec::Kind, view::TenantView};
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
    overview::{CountsBody, MessagesBody},
    queues::QueueRow,
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
    /// Its messages; null if it has none.
    messages: Option<MessagesPart>,
    /// Its queues, of calls and of messages, in which something waits or of which something is in progress.
    queues: Vec<QueueRow>,
    /// Queues that are not shown.
    queues_more: usize,
}

/// A tenant's messages. They have limits and carriers of their own.
#[derive(Serialize, ToSchema)]
struct MessagesPart {
    /// Where they are.
    counts: MessagesBody,
    /// The limit that holds them longest until the last one that waits is sent.
    limit: Option<Because>,
    /// When that is expected.
    last_start: Option<Start>,
    /// What would bring that forward.
    changes: Vec<ChangeBody>,
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
    let waiting = queues.iter().find(|queue| queue.kind == Kind::Call && queue.waiting > 0);
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
        queues: queues
            .iter()
            .take(QUEUES_MAX)
            .map(|queue| QueueRow::new(&app, &view, queue))
            .collect(),
        messages: messages(&app, &view).await,
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

async fn messages(app: &App, view: &TenantView) -> Option<MessagesPart> {
    let counts = view.messages;
    if counts.accepted == 0 {
        return None;
    }
    let about = About::Messages(view.account);
    let answer = if counts.waiting > 0 { app.forecasts.answer(about).await } else { None };
    let now = (app.platform.clock)();
    let forward = answer.as_ref().map(|(at, answer)| (*at, answer.estimate.clone()));
    let expected = Expected::of(forward, None, now);
    let binding = expected.as_ref().map(|expected| expected.binding);
    let queues = app.platform.views.queues_of(view.account);
    let waiting = queues.iter().find(|queue| queue.kind == Kind::Message && queue.waiting > 0);
    let binding = binding.or_else(|| waiting.map(|queue| queue.held_by));
    Some(MessagesPart {
        counts: counts.into(),
        limit: binding.map(Because::from),
        last_start: expected.as_ref().map(|expected| Start::new(expected, now)),
        changes: answer.map(|(at, answer)| changes(&answer, at, now)).unwrap_or_default(),
    })
}
