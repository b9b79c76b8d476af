//! The account over HTTP, and where the callers are told whom to call.

use std::net::SocketAddr;

use axum::{
    Json, Router,
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot},
};

use crate::{calling::NotBegun, server::Question};

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
    let app = Router::new()
        .route("/account", get(account))
        .route("/callers", post(callers))
        .with_state(questions);
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
    let question = Question::Account { with_calls: wanted.calls, answer };
    if questions.send(question).await.is_err() {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    match account.await {
        Ok(account) => Json(account).into_response(),
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}

/// Where the trunks' other sides listen.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Trunks {
    trunks: Vec<SocketAddr>,
}

#[derive(Serialize)]
struct Begun {
    callers: usize,
}

/// The scenario's callers begin to call at these addresses, in turn.
async fn callers(
    State(questions): State<mpsc::Sender<Question>>,
    Json(Trunks { trunks }): Json<Trunks>,
) -> Response {
    let (answer, begun) = oneshot::channel();
    if questions.send(Question::CallIn { trunks, answer }).await.is_err() {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    match begun.await {
        Ok(Ok(callers)) => Json(Begun { callers }).into_response(),
        Ok(Err(error @ NotBegun::Trunks)) => {
            (StatusCode::BAD_REQUEST, error.to_string()).into_response()
        }
        Ok(Err(error)) => (StatusCode::CONFLICT, error.to_string()).into_response(),
        Err(_) => StatusCode::SERVICE_UNAVAILABLE.into_response(),
    }
}
