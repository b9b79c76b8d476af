//! For probes and scrapers: `/healthz`, `/readyz`, `/metrics`. Open to all who reach the port; they show no tenant's data.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::{StatusCode, header};

use crate::{App, platform::Readiness};

/// The process answers.
#[utoipa::path(get, path = "/healthz", tag = "Operation", responses((status = 200, body = String)))]
pub(crate) async fn live() -> &'static str {
    "ok\n"
}

/// Requests can be served; if not, what is missing, one sentence per line.
#[utoipa::path(
    get, path = "/readyz", tag = "Operation",
    responses((status = 200, body = String), (status = 503, body = String))
)]
pub(crate) async fn ready(State(app): State<App>) -> Response {
    match &*app.platform.readiness.borrow() {
        Readiness::Ready => "ready\n".into_response(),
        Readiness::NotReady(missing) => {
            let text = missing.join("\n") + "\n";
            (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
        }
    }
}

/// Metrics in the text format of Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "Operation", responses((status = 200, body = String)))]
pub(crate) async fn metrics(State(app): State<App>) -> Response {
    let text = app.platform.metrics.as_ref().map(|handle| handle.render());
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], text.unwrap_or_default()).into_response()
}
