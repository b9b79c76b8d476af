//! What is noted of each request: a span and metrics by route template. Never a token, a query or a body.

use std::{any::Any, time::Instant};

use axum::{
    extract::{MatchedPath, Request},
    middleware::Next,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, Version, header};
use metrics::Gauge;
use tracing::{Instrument, field::Empty};

use crate::{error::ApiError, metric_definitions as metric};

/// The route label of what matches no route: paths that clients make up must not become labels.
const UNKNOWN_ROUTE: &str = "unknown";

/// A longer body may be answered before all of it has come.
const AT_ONCE: u64 = 8 * 1_024;

/// The outermost layer.
pub(crate) async fn observe(request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = known_method(request.method());
    let matched = request.extensions().get::<MatchedPath>().cloned();
    let route = matched.as_ref().map_or(UNKNOWN_ROUTE, MatchedPath::as_str);
    let span = tracing::info_span!(
        "request",
        method,
        route,
        account = Empty,
        call = Empty,
        batch = Empty,
        status = Empty
    );
    let in_flight = InFlight::begin();
    let is_long = request.version() < Version::HTTP_2 && may_be_unread(request.headers());
    let mut response = next.run(request).instrument(span.clone()).await;
    drop(in_flight);
    let status = response.status();
    if is_long && !status.is_success() {
        // The rest of the body would be taken for the next request, so that the connection ends. A client that is not
        // told would lose that next request with it.
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    span.record("status", status.as_u16());
    let _entered = span.enter();
    tracing::debug!("answered");
    let labels = [
        ("method", method.to_owned()),
        ("route", route.to_owned()),
        ("status", status.as_str().to_owned()),
    ];
    metrics::counter!(metric::REQUESTS, &labels).increment(1);
    metrics::histogram!(metric::REQUEST_SECONDS, "route" => route.to_owned())
        .record(started.elapsed().as_secs_f64());
    response
}

/// Whether a refusal may leave some of the body unread.
fn may_be_unread(headers: &HeaderMap) -> bool {
    let length = headers.get(header::CONTENT_LENGTH);
    let length = length.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    length.map_or(headers.contains_key(header::TRANSFER_ENCODING), |length| length > AT_ONCE)
}

/// Counts a request as in progress, also when its client goes away and the handler is dropped.
struct InFlight(Gauge);

impl InFlight {
    fn begin() -> Self {
        let gauge = metrics::gauge!(metric::IN_FLIGHT);
        gauge.increment(1);
        Self(gauge)
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.decrement(1);
    }
}

/// A label of a bounded set: a client may make up methods.
fn known_method(method: &http::Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "POST" => "POST",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        "HEAD" => "HEAD",
        "OPTIONS" => "OPTIONS",
        "PATCH" => "PATCH",
        _ => "other",
    }
}

/// The answer when a handler panics: the client gets the documented shape, the log the message.
pub(crate) fn panicked(payload: Box<dyn Any + Send>) -> Response {
    let message = payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("panic");
    ApiError::internal(message).into_response()
}
