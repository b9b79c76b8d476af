//! Importing people who have opted out elsewhere.

use std::sync::Arc;

use axum::{body::Body, extract::State, response::Response};
use busyhour_controller_core::message::ChangeOptOuts;
use http::{HeaderMap, StatusCode, Uri};
use serde::Serialize;
use utoipa::ToSchema;

use super::{change, file::Reading, own};
use crate::{
    App,
    batches::{reader, written},
    edge::{Caller, json},
    error::{ApiError, Code},
    form::Params,
};

/// What an import has come to.
#[derive(Serialize, ToSchema)]
pub(crate) struct Imported {
    /// Lines that were read.
    lines: u64,
    /// People who take no messages from now on. Null if the file was only checked.
    added: Option<u64>,
    /// Lines of people who were known.
    known: Option<u64>,
}

/// Has people take no more messages from the account's numbers, as if they had said STOP when the file says: CSV with the columns
/// `To`, `From` and `Since`, or NDJSON with these names; 50,000 lines at most. All of them are added, or, if any line is wrong,
/// none. Who is in the file twice or has opted out already is no mistake, so that a file may be sent again.
#[utoipa::path(
    post, path = "/v1/OptOuts", tag = "Messages",
    params(
        ("From" = Option<String>, Query, description = "The account's number, for lines that name none"),
        ("Check" = Option<bool>, Query, description = "Check the file, and change nothing"),
        ("FirstLine" = Option<u64>, Query, description = "The number of the first line, where a part of a file is sent"),
    ),
    request_body(content(("application/x-ndjson"), ("text/csv"))),
    responses((status = 200, body = Imported), (status = "4XX", body = crate::error::ErrorBody)),
    security(("account" = []))
)]
pub(crate) async fn import(
    State(app): State<App>,
    caller: Caller,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    caller.may_submit()?;
    let format = written(&headers)?;
    let params = Params::parse(uri.query().unwrap_or("").as_bytes())?;
    params.only(&["From", "Check", "FirstLine"])?;
    let account = caller.account;
    let from = params.one("From")?;
    let from = from.map(|text| own("From", text, account, &caller.directory)).transpose()?;
    let check = params.flag("Check")?.unwrap_or(false);
    let first_line = params.whole(Code::InvalidParameter, "FirstLine", 1..=u64::from(u32::MAX))?;
    let now_s = i64::try_from((app.platform.clock)().as_micros() / 1_000_000).unwrap_or(i64::MAX);
    let _permit = app.gate.stream(account, caller.permit)?;
    let thread = Arc::clone(&app.uploads).try_acquire_owned().map_err(|_| {
        let message = "Too many uploads of all accounts at once; nothing was done, send again";
        ApiError::new(Code::Unavailable, message)
    })?;
    let (stream, directory) = (reader(body, app.platform.limits.upload_idle), caller.directory);
    let reading = tokio::task::spawn_blocking(move || {
        let _thread = thread;
        let from = from.map(Arc::from);
        let first_line = first_line.unwrap_or(1);
        let reading = Reading { account, directory: &directory, format, from, first_line, now_s };
        reading.read(stream)
    });
    let contents = reading.await.map_err(ApiError::internal)??;
    let lines = contents.lines;
    let added = if check {
        None
    } else {
        let add = contents.people.into_iter().collect();
        Some(change(&app, ChangeOptOuts { account, add, remove: Vec::new() }).await?.added)
    };
    let known = added.map(|added| lines.saturating_sub(added));
    Ok(json(StatusCode::OK, &Imported { lines, added, known }))
}
