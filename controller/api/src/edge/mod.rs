//! What every request passes: who asks, how much of it there may be, what is noted of it, and how bodies are read.

mod auth;
mod body;
mod gate;
mod observe;
mod path;

pub(crate) use auth::{Caller, Operator, Viewer};
pub(crate) use body::{FormBody, JsonBody, is_type};
pub(crate) use gate::{Gate, Permit};
pub(crate) use observe::{observe, panicked};
pub(crate) use path::{Ids, json_sid};

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::error::{ApiError, Code};

/// A JSON answer.
pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    // 1 KiB holds a call resource without growing.
    let mut text = Vec::with_capacity(1_024);
    if let Err(error) = serde_json::to_writer(&mut text, body) {
        tracing::error!(%error, "an answer could not be written as JSON");
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    }
    text.push(b'\n');
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = status;
    let kind = HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// The caller's `Idempotency-Key` was used before for another request, which became this.
pub(crate) fn used_for(sid: impl std::fmt::Display) -> ApiError {
    let message =
        format!("Idempotency-Key was used before for another request, which became {sid}");
    ApiError::new(Code::Conflict, message)
}

/// The hash under which the state machine knows the caller's `Idempotency-Key`, if there is one. `kind` keeps
/// keys of calls and of batches apart.
pub(crate) fn idempotency(
    headers: &HeaderMap,
    kind: &str,
    caller: &Caller,
) -> Result<Option<u128>, ApiError> {
    let Some(key) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    let printable = key.as_bytes().iter().all(|byte| (0x21..0x7f).contains(byte));
    if !printable || key.is_empty() || key.len() > 255 {
        return Err(ApiError::parameter(
            Code::InvalidParameter,
            "Idempotency-Key",
            &String::from_utf8_lossy(key.as_bytes()),
            "1 to 255 printable ASCII characters without spaces",
        ));
    }
    let mut hash = Sha256::new();
    hash.update(kind);
    hash.update(caller.account.0.to_be_bytes());
    hash.update(key);
    let hash: [u8; 32] = hash.finalize().into();
    let (first, _) = hash.split_at(16);
    Ok(first.try_into().ok().map(u128::from_be_bytes))
}
