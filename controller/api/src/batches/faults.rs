//! What was wrong with lines, for as long as the batch is there.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use busyhour_controller_core::view::{LineFault, What};
use http::{Uri, header};

use super::{find, line::LineError};
use crate::{
    App,
    edge::{Caller, Ids},
    error::{ApiError, Code},
    form::Params,
};

/// Most lines of one answer: as many as a batch keeps.
const LINES_MAX: u64 = 1_000;

/// Lines that were not accepted, as NDJSON, in the order of the file: the first 1,000, or as many as fit into 64 KiB of
/// text. The batch's `upload.refused` counts all.
#[utoipa::path(
    get, path = "/v1/Batches/{Sid}/errors", tag = "Batches",
    params(
        ("Sid" = String, Path),
        ("after" = Option<u64>, Query, description = "Only lines behind this one"),
        ("limit" = Option<u64>, Query, description = "Most lines; 1,000 if left out"),
    ),
    responses(
        (status = 200, body = LineError, content_type = "application/x-ndjson"),
        (status = "4XX", body = crate::error::ErrorBody)
    ),
    security(("account" = []))
)]
pub(crate) async fn errors(
    State(app): State<App>,
    caller: Caller,
    Ids(sid): Ids<String>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let view = find(&app, &caller, &sid)?;
    let params = Params::parse(uri.query().unwrap_or("").as_bytes())?;
    let after = params.whole(Code::InvalidParameter, "after", 0..=u64::MAX)?.unwrap_or(0);
    let limit = params.whole(Code::InvalidParameter, "limit", 1..=LINES_MAX)?;
    let limit = limit.unwrap_or(LINES_MAX) as usize;
    let mut text = Vec::new();
    for (line, fault) in app.platform.views.batch_faults(view.batch, after, limit) {
        // Plain data written to memory does not fail.
        if serde_json::to_writer(&mut text, &told(line, fault)).is_ok() {
            text.push(b'\n');
        }
    }
    Ok(([(header::CONTENT_TYPE, "application/x-ndjson")], text).into_response())
}

fn told(line: u64, fault: LineFault) -> LineError {
    match fault.what {
        What::Unusable(code, message) => {
            LineError { line, custom_id: fault.custom_id, code, message: message.as_ref().into() }
        }
        What::Refused(reason) => LineError::new(line, fault.custom_id, &ApiError::refused(reason)),
    }
}
