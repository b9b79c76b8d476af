//! `GET /v1/Carriers/{name}/explain`: what a carrier's channels are doing, who waits for them, and what more of them
//! would bring.

use axum::{extract::State, response::Response};
use busyhour_base::Reason;
use busyhour_controller_core::forward::About;
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use super::{Because, ChangeBody, Start, changes};
use crate::{
    App,
    availability::CarrierRow,
    edge::{Ids, Operator, json},
    error::ApiError,
    forecasts::Expected,
};

/// What a carrier is doing. What does not apply is null.
#[derive(Serialize, ToSchema)]
pub(crate) struct CarrierExplanation {
    /// Its channels, and what they are doing.
    #[serde(flatten)]
    carrier: CarrierRow,
    /// Tenants whose calls it can serve and carriers hold now, the longest queue first.
    waiting: Vec<Waiting>,
    /// When the last of the calls that it can serve is expected to start.
    last_start: Option<Start>,
    /// What would bring that forward.
    changes: Vec<ChangeBody>,
}

/// Who waits.
#[derive(Serialize, ToSchema)]
pub(crate) struct Waiting {
    /// Which tenant.
    tenant: String,
    /// How many requests.
    waiting: u64,
    /// For what.
    held_by: Because,
}

/// Tenants that are looked at: those with the most calls waiting and in progress.
const WAITING_MAX: usize = 100;

/// What a carrier's channels are doing, who waits for them, and what more channels would bring.
#[utoipa::path(
    get, path = "/v1/Carriers/{Name}/explain", tag = "Operation",
    params(("Name" = String, Path)),
    responses((status = 200, body = CarrierExplanation), (status = "4XX", body = crate::error::ErrorBody)),
    security(("operator" = []))
)]
pub(crate) async fn carrier(
    State(app): State<App>,
    _operator: Operator,
    Ids(name): Ids<String>,
) -> Result<Response, ApiError> {
    let mut carriers = app.platform.views.carriers().into_iter();
    let view = carriers.find(|view| *view.name == *name).ok_or_else(ApiError::not_found)?;
    let answer = app.forecasts.answer(About::Carrier(view.name.clone())).await;
    let now = (app.platform.clock)();
    let forward = answer.as_ref().map(|(at, answer)| (*at, answer.estimate.clone()));
    let expected = Expected::of(forward, None, now);
    let explanation = CarrierExplanation {
        waiting: waiting(&app, &view.name),
        carrier: CarrierRow::from(view),
        last_start: expected.as_ref().map(|expected| Start::new(expected, now)),
        changes: answer.map(|(at, answer)| changes(&answer, at, now)).unwrap_or_default(),
    };
    Ok(json(StatusCode::OK, &explanation))
}

fn waiting(app: &App, carrier: &str) -> Vec<Waiting> {
    let mut waiting: Vec<Waiting> = Vec::new();
    for tenant in app.platform.views.busiest(WAITING_MAX) {
        if tenant.counts.queued == 0 {
            continue;
        }
        let queues = app.platform.views.queues_for(tenant.account, carrier);
        let held = queues.iter().filter(|queue| is_a_carriers(queue.held_by));
        let (mut count, mut reason) = (0, None);
        for queue in held {
            count += u64::from(queue.waiting);
            reason.get_or_insert(queue.held_by);
        }
        if let Some(reason) = reason {
            let tenant = tenant.name.to_string();
            waiting.push(Waiting { tenant, waiting: count, held_by: reason.into() });
        }
    }
    waiting.sort_by_key(|row| std::cmp::Reverse(row.waiting));
    waiting
}

const fn is_a_carriers(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::CarrierChannels
            | Reason::ChannelsInactive
            | Reason::ChannelsKept
            | Reason::ChannelsReserved
            | Reason::CarrierRate
            | Reason::ServicePorts
    )
}
