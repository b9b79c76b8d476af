//! The HTTP API that tenants' SDKs and operators' tools speak (`WIRE.md`).
//!
//! [`router`] makes it of a [`Platform`], which is all that it knows of the controller around it. A request
//! goes through `edge` (who asks, how much of it there may be, what is noted), its parameters are checked
//! whole, and only then anything is proposed to the log; so what is refused has had no effect.

mod accounts;
mod availability;
mod batches;
mod calls;
mod catalogue;
mod dates;
mod directory;
mod edge;
mod error;
mod explain;
mod forecasts;
mod form;
mod health;
mod known;
mod messages;
mod metric_definitions;
mod openapi;
mod overview;
mod paging;
mod platform;
mod queues;
mod routes;
mod validity;

use std::sync::Arc;

use axum::{Router, extract::OriginalUri, routing::any};
use metrics::Counter;
use tokio::sync::Semaphore;

pub use batches::{AHEAD as HOURS_AHEAD, openings};
pub use directory::{Account, ApiKey, Application, Directory, Number, Secret};
pub use platform::{
    Applied, Bring, Brought, EdgeLimits, MessageViews, Platform, Propose, ProposeError, Readiness,
    Receipt, Views, WantedOptOuts,
};

use error::{ApiError, Code};

/// What handlers share.
pub(crate) struct Shared {
    pub(crate) platform: Platform,
    pub(crate) gate: edge::Gate,
    pub(crate) forecasts: forecasts::Forecasts,
    pub(crate) uploads: Arc<Semaphore>,
    /// Calls accepted one by one.
    pub(crate) accepted: Counter,
}

pub(crate) type App = Arc<Shared>;

/// The whole API as one service.
pub fn router(platform: Platform) -> Router {
    metric_definitions::describe();
    let gate = edge::Gate::new(platform.limits);
    let uploads = Arc::new(Semaphore::new(platform.limits.uploads));
    let forecasts = forecasts::Forecasts::new(Arc::clone(&platform.views), platform.clock);
    let accepted = metrics::counter!(metric_definitions::ACCEPTED);
    let app = Arc::new(Shared { platform, gate, forecasts, uploads, accepted });
    let mut router = Router::new();
    for route in routes::table() {
        router = router.route(&routes::served(route.path), route.serve);
    }
    router
        .fallback(any(unknown))
        .method_not_allowed_fallback(wrong_method)
        .layer(edge::Observe::new())
        .with_state(app)
}

async fn unknown() -> ApiError {
    ApiError::new(
        Code::NotFound,
        "There is no such path. Paths under /2010-04-01 end in .json; /openapi.json lists all",
    )
}

async fn wrong_method(method: http::Method, OriginalUri(uri): OriginalUri) -> ApiError {
    let path: String = uri.path().chars().take(200).collect();
    let message = format!("{method} is not allowed on {path}; the Allow header lists what is");
    ApiError::new(Code::MethodNotAllowed, message)
}
