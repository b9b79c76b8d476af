//! For probes and scrapers: `/healthz`, `/readyz`, `/metrics`. Open to all who reach the port; they show no tenant's data.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::header;

use crate::{App, platform::Readiness};

/// The process answers.
#[utoipa::path(get, path = "/healthz", tag = "Operation", responses((status = 200, body = String)))]
pub(crate) async fn live() -> &'static str {
    "ok\n"
}

/// Requests can be served; under it what is wrong all the same, one sentence per line.
#[utoipa::path(get, path = "/readyz", tag = "Operation", responses((status = 200, body = String)))]
pub(crate) async fn ready(State(app): State<App>) -> String {
    match &*app.platform.readiness.borrow() {
        Readiness::Ready => "ready\n".to_owned(),
        Readiness::Impaired(wrong) => format!("ready, but:\n{}\n", wrong.join("\n")),
    }
}

/// Metrics in the text format of Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "Operation", responses((status = 200, body = String)))]
pub(crate) async fn metrics(State(app): State<App>) -> Response {
    let text = app.platform.metrics.as_ref().map(|handle| handle.render());
    let kind = "text/plain; version=0.0.4; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], text.unwrap_or_default()).into_response()
}
