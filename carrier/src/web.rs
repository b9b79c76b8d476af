//! The account over HTTP.

use axum::{
    Json, Router,
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use serde::Deserialize;
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot},
};

use crate::server::Question;

#[derive(Deserialize)]
struct Wanted {
    /// `calls=false` leaves the single calls out, for those who ask often.
    #[serde(default = "yes")]
    calls: bool,
}

const fn yes() -> bool {
    true
}

pub(crate) async fn serve(listener: TcpListener, questions: mpsc::Sender<Question>) {
    let app = Router::new().route("/account", get(account)).with_state(questions);
    if let Err(error) = axum::serve(listener, app).await {
        tracing::error!(%error, "the account is not served any more");
    }
}

async fn account(
    State(questions): State<mpsc::Sender<Question>>,
    Query(wanted): Query<Wanted>,
) -> Response {
    let (answer, account) = oneshot::channel();
    // Both fail only while the carrier stops.
    if questions.send((wanted.calls, answer)).await.is_err() {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    match account.await {
        Ok(account) => Json(account).into_response(),
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}
