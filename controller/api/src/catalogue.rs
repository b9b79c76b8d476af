//! The error catalogue that `more_info` leads to.

use axum::response::Response;
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    edge::{Ids, json},
    error::{ApiError, Code},
};

/// One kind of error.
#[derive(Serialize, ToSchema)]
pub(crate) struct ErrorInfo {
    /// Number on the wire.
    code: u32,
    /// HTTP status that it comes with.
    status: u16,
    /// What it is.
    title: &'static str,
    /// What to do about it.
    help: &'static str,
}

/// What an error code means.
#[utoipa::path(
    get, path = "/v1/errors/{Code}", tag = "Operation",
    params(("Code" = u32, Path)),
    responses((status = 200, body = ErrorInfo), (status = 404, body = crate::error::ErrorBody))
)]
pub(crate) async fn error(Ids(number): Ids<String>) -> Result<Response, ApiError> {
    let number = number.parse::<u32>().map_err(|_| ApiError::not_found())?;
    let code = Code::ALL.iter().find(|code| code.number() == number);
    let code = code.ok_or_else(ApiError::not_found)?;
    let info =
        ErrorInfo { code: number, status: code.status(), title: code.title(), help: code.help() };
    Ok(json(StatusCode::OK, &info))
}
