//! What was wrong with lines, for as long as the batch is there.

use axum::{extract::State, response::Response};
use busyhour_controller_core::{
    spec::Kind,
    view::{LineFault, What},
};
use http::Uri;

use super::{
    find,
    ingest::refused,
    line::LineError,
    ndjson::{self, Wanted},
};
use crate::{
    App,
    edge::{Caller, Ids},
    error::ApiError,
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
    let (Wanted { after, limit }, _) = Wanted::read(&uri, LINES_MAX)?;
    let limit = limit.unwrap_or(LINES_MAX) as usize;
    let faults = app.platform.views.batch_faults(view.batch, after.unwrap_or(0), limit);
    let mut text = Vec::new();
    for (number, fault) in faults {
        ndjson::line(&mut text, &told(view.plan.kind, number, fault));
    }
    Ok(ndjson::answer(text))
}

fn told(kind: Kind, line: u64, fault: LineFault) -> LineError {
    match fault.what {
        What::Unusable(code, message) => {
            LineError { line, custom_id: fault.custom_id, code, message: message.as_ref().into() }
        }
        What::Refused(reason) => LineError::new(line, fault.custom_id, &refused(kind, reason)),
    }
}
