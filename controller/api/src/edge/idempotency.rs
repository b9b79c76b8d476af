//! `Idempotency-Key`: a repeat with the same key is the same request.

use axum::extract::FromRequestParts;
use http::{HeaderValue, request::Parts};
use sha2::{Digest, Sha256};

use super::Caller;
use crate::{
    App,
    error::{ApiError, Code},
};

/// Longest key.
const KEY_MAX: usize = 255;

/// The key that came with a request, if one did. Not checked yet.
pub(crate) struct IdempotencyKey(Option<HeaderValue>);

impl FromRequestParts<App> for IdempotencyKey {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, ApiError> {
        Ok(Self(parts.headers.get("idempotency-key").cloned()))
    }
}

impl IdempotencyKey {
    /// The hash under which the state machine knows the key. `kind` keeps keys of calls and of batches apart.
    pub(crate) fn hash(&self, kind: &str, caller: &Caller) -> Result<Option<u128>, ApiError> {
        let Some(key) = &self.0 else {
            return Ok(None);
        };
        let printable = key.as_bytes().iter().all(|byte| (0x21..0x7f).contains(byte));
        if !printable || key.is_empty() || key.len() > KEY_MAX {
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
}

/// The caller's key was used before for another request, which became this.
pub(crate) fn used_for(sid: impl std::fmt::Display) -> ApiError {
    let message =
        format!("Idempotency-Key was used before for another request, which became {sid}");
    ApiError::new(Code::Conflict, message)
}
