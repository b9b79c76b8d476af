//! What is noted of each request: a span and metrics by route template. Never a token, a query or a body.
//!
//! Every request passes here, so that nothing is looked up by name twice: each route's metrics are kept, and the future is
//! not boxed.

use std::{
    any::Any,
    collections::HashMap,
    convert::Infallible,
    future::Future,
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Instant,
};

use axum::{
    extract::{MatchedPath, Request},
    response::{IntoResponse, Response},
};
use busyhour_base::AccountSid;
use futures::future::{CatchUnwind, FutureExt as _};
use http::{HeaderMap, HeaderValue, StatusCode, Version, header};
use metrics::{Counter, Gauge, Histogram};
use parking_lot::RwLock;
use pin_project_lite::pin_project;
use tower::{Layer, Service};
use tracing::{Instrument as _, Span, field::Empty, instrument::Instrumented};

use super::whose;
use crate::{error::ApiError, metric_definitions as metric};

/// The route label of what matches no route: paths that clients make up must not become labels.
const UNKNOWN_ROUTE: &str = "unknown";

/// A longer body may be answered before all of it has come.
const AT_ONCE: u64 = 8 * 1_024;

/// The outermost layer: notes every request, and answers for a handler that panics.
#[derive(Clone)]
pub(crate) struct Observe(Arc<Noted>);

impl Observe {
    /// With the metrics of the recorder that is there now.
    pub(crate) fn new() -> Self {
        let in_flight = metrics::gauge!(metric::IN_FLIGHT);
        Self(Arc::new(Noted { in_flight, routes: RwLock::default() }))
    }
}

impl<S> Layer<S> for Observe {
    type Service = Observed<S>;

    fn layer(&self, inner: S) -> Observed<S> {
        Observed { inner, noted: self.0.clone() }
    }
}

/// What all requests share.
struct Noted {
    in_flight: Gauge,
    /// As many as there are routes, and one for what matches none.
    routes: RwLock<HashMap<String, Arc<Route>>>,
}

impl Noted {
    fn route(&self, label: &str) -> Arc<Route> {
        if let Some(known) = self.routes.read().get(label) {
            return known.clone();
        }
        let route = || Arc::new(Route::new(label));
        self.routes.write().entry(label.to_owned()).or_insert_with(route).clone()
    }
}

/// The metrics of one route.
struct Route {
    label: String,
    seconds: Histogram,
    /// By method and status: a handful.
    answered: RwLock<Vec<(&'static str, StatusCode, Counter)>>,
}

impl Route {
    fn new(label: &str) -> Self {
        let seconds = metrics::histogram!(metric::REQUEST_SECONDS, "route" => label.to_owned());
        Self { label: label.to_owned(), seconds, answered: RwLock::default() }
    }

    fn count(&self, method: &'static str, status: StatusCode) {
        let is_this = |known: &&(_, _, _)| known.0 == method && known.1 == status;
        if let Some((.., counter)) = self.answered.read().iter().find(is_this) {
            counter.increment(1);
            return;
        }
        let labels = [
            ("method", method.to_owned()),
            ("route", self.label.clone()),
            ("status", status.as_str().to_owned()),
        ];
        let counter = metrics::counter!(metric::REQUESTS, &labels);
        counter.increment(1);
        // Two at once may both come here; the second entry is then never found, and counts in the same metric.
        self.answered.write().push((method, status, counter));
    }
}

/// A service whose requests are noted.
#[derive(Clone)]
pub(crate) struct Observed<S> {
    inner: S,
    noted: Arc<Noted>,
}

impl<S> Service<Request> for Observed<S>
where
    S: Service<Request, Response = Response, Error = Infallible>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Observing<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let method = known_method(request.method());
        let matched = request.extensions().get::<MatchedPath>();
        let route = self.noted.route(matched.map_or(UNKNOWN_ROUTE, MatchedPath::as_str));
        // Made and filled for each request where somebody listens, at the cost of a sixth of all that a request takes: not by
        // default.
        let span = tracing::debug_span!(
            "request",
            method,
            route = route.label,
            account = Empty,
            call = Empty,
            batch = Empty,
            status = Empty
        );
        let asked = Asked {
            method,
            route,
            span: span.clone(),
            began: Instant::now(),
            in_flight: InFlight::begin(&self.noted.in_flight),
            is_long: request.version() < Version::HTTP_2 && may_be_unread(request.headers()),
        };
        // No handler runs before it is polled, so that a panic comes from there.
        let answering = AssertUnwindSafe(self.inner.call(request).instrument(span));
        Observing { answering: answering.catch_unwind(), asked: Some(asked), account: None }
    }
}

pin_project! {
    /// An answer that will be noted.
    pub(crate) struct Observing<F> {
        #[pin]
        answering: CatchUnwind<AssertUnwindSafe<Instrumented<F>>>,
        // Until the answer is there.
        asked: Option<Asked>,
        // Whose it is, once that is proved.
        account: Option<AccountSid>,
    }
}

impl<F: Future<Output = Result<Response, Infallible>>> Future for Observing<F> {
    type Output = Result<Response, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        whose::during(this.account, || {
            let answer = ready!(this.answering.poll(cx));
            let asked = this.asked.take().expect("nobody polls a future that has ended");
            Poll::Ready(Ok(asked.answered(answer)))
        })
    }
}

/// A request in progress.
struct Asked {
    method: &'static str,
    route: Arc<Route>,
    span: Span,
    began: Instant,
    in_flight: InFlight,
    /// Whether a refusal may leave some of the body unread.
    is_long: bool,
}

impl Asked {
    fn answered(self, answer: std::thread::Result<Result<Response, Infallible>>) -> Response {
        let _entered = self.span.enter();
        drop(self.in_flight);
        let mut response = match answer {
            Ok(Ok(response)) => response,
            Ok(Err(never)) => match never {},
            Err(payload) => panicked(&*payload),
        };
        let status = response.status();
        if self.is_long && !status.is_success() {
            // The rest of the body would be taken for the next request, so that the connection ends. A client that is not
            // told would lose that next request with it.
            let close = HeaderValue::from_static("close");
            response.headers_mut().insert(header::CONNECTION, close);
        }
        self.span.record("status", status.as_u16());
        tracing::debug!("answered");
        if status == StatusCode::INTERNAL_SERVER_ERROR {
            // What went wrong was logged where it did, by default without its span.
            let (method, route, account) = (self.method, &self.route.label, whose::account());
            tracing::error!(method, route, account, "a request failed");
        }
        self.route.count(self.method, status);
        self.route.seconds.record(self.began.elapsed().as_secs_f64());
        response
    }
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
    fn begin(gauge: &Gauge) -> Self {
        gauge.increment(1);
        Self(gauge.clone())
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
fn panicked(payload: &(dyn Any + Send)) -> Response {
    let message = payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("panic");
    ApiError::internal(message).into_response()
}

#[cfg(test)]
mod tests {
    use axum::{Router, body::Body, routing::get};
    use metrics_exporter_prometheus::PrometheusBuilder;
    use tower::ServiceExt as _;

    use super::*;

    async fn panics() -> Response {
        panic!("on purpose")
    }

    async fn status(router: &Router, path: &str) -> StatusCode {
        let request = Request::get(path).body(Body::empty()).unwrap();
        router.clone().oneshot(request).await.unwrap().status()
    }

    #[test]
    fn every_answer_is_counted_by_its_route_a_panic_as_500() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let router = || {
            Router::new()
                .route("/fine/{Sid}", get(|| async { "fine" }))
                .route("/panics", get(panics))
                .layer(Observe::new())
        };
        metrics::with_local_recorder(&recorder, || {
            let router = router();
            futures::executor::block_on(async {
                assert_eq!(status(&router, "/fine/1").await, StatusCode::OK);
                assert_eq!(status(&router, "/fine/2").await, StatusCode::OK);
                assert_eq!(status(&router, "/panics").await, StatusCode::INTERNAL_SERVER_ERROR);
                assert_eq!(status(&router, "/made-up").await, StatusCode::NOT_FOUND);
            });
        });
        let shown = recorder.handle().render();
        for line in [
            "busyhour_api_requests_total{method=\"GET\",route=\"/fine/{Sid}\",status=\"200\"} 2",
            "busyhour_api_requests_total{method=\"GET\",route=\"/panics\",status=\"500\"} 1",
            "busyhour_api_requests_total{method=\"GET\",route=\"unknown\",status=\"404\"} 1",
            "busyhour_api_request_seconds_count{route=\"/fine/{Sid}\"} 2",
            "busyhour_api_requests_in_flight 0",
        ] {
            assert!(shown.contains(line), "no {line} in\n{shown}");
        }
    }
}
