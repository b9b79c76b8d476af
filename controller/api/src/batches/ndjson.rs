//! Answers of one JSON value per line, from a cursor on.

use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use http::{Uri, header};
use serde::Serialize;

use crate::{
    error::{ApiError, Code},
    form::Params,
};

/// Largest cursor and limit: those of SQLite.
pub(super) const LAST: u64 = i64::MAX as u64;

/// Which lines of an answer are wanted.
pub(super) struct Wanted {
    /// Only those behind this cursor.
    pub(super) after: Option<u64>,
    /// At most so many.
    pub(super) limit: Option<u64>,
}

impl Wanted {
    /// Reads `after` and `limit`, which is at most `most`; and gives the query for what else is in it.
    pub(super) fn read(uri: &Uri, most: u64) -> Result<(Self, Params<'_>), ApiError> {
        let params = Params::parse(uri.query().unwrap_or("").as_bytes())?;
        let after = params.whole(Code::InvalidParameter, "after", 0..=LAST)?;
        let limit = params.whole(Code::InvalidParameter, "limit", 1..=most)?;
        Ok((Self { after, limit }, params))
    }
}

/// Adds a line.
pub(super) fn line(text: &mut Vec<u8>, value: &impl Serialize) {
    // Plain data written to memory does not fail.
    if serde_json::to_writer(&mut *text, value).is_ok() {
        text.push(b'\n');
    }
}

/// The answer.
pub(super) fn answer(lines: impl Into<Body>) -> Response {
    ([(header::CONTENT_TYPE, "application/x-ndjson")], lines.into()).into_response()
}
