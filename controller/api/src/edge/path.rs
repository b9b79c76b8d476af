//! Sids in paths.

use std::str::FromStr;

use axum::extract::{FromRequestParts, Path};
use http::request::Parts;
use serde::de::DeserializeOwned;

use crate::{App, error::ApiError};

/// The variable parts of a path. One that is not UTF-8 names nothing that exists.
pub(crate) struct Ids<T>(pub(crate) T);

impl<T: DeserializeOwned + Send> FromRequestParts<App> for Ids<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        Path::<T>::from_request_parts(parts, app)
            .await
            .map(|Path(ids)| Self(ids))
            .map_err(|_| ApiError::not_found())
    }
}

/// `CA....json`: a sid and the extension that asks for JSON. No other is served.
pub(crate) fn json_sid<T: FromStr>(text: &str) -> Result<T, ApiError> {
    text.strip_suffix(".json").and_then(|sid| sid.parse().ok()).ok_or_else(ApiError::not_found)
}
