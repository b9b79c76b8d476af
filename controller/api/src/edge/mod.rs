//! What every request passes: who asks, how much of it there may be, what is noted of it, and how bodies are read.

mod auth;
mod body;
mod gate;
mod idempotency;
mod observe;
mod path;
mod whose;

pub(crate) use auth::{Caller, Operator, Viewer};
pub(crate) use body::{FormBody, JsonBody, is_type, parse};
pub(crate) use gate::{Gate, Permit};
pub(crate) use idempotency::{IdempotencyKey, used_for};
pub(crate) use observe::Observe;
pub(crate) use path::{Ids, json_sid};
pub(crate) use whose::account;

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;

/// A JSON answer.
pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    // 1 KiB holds a call resource without growing.
    let mut text = Vec::with_capacity(1_024);
    if let Err(error) = serde_json::to_writer(&mut text, body) {
        tracing::error!(account = account(), %error, "an answer could not be written as JSON");
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    text.push(b'\n');
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}
