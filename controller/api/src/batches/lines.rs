//! Uploading lines.

use std::{convert::Infallible, sync::Arc};

use axum::{body::Body, extract::State, response::Response};
use busyhour_controller_core::{
    spec::Kind,
    view::{BatchStatus, BatchView},
};
use bytes::Bytes;
use futures::{StreamExt as _, stream::BoxStream};
use http::{HeaderMap, StatusCode, Uri, header};
use serde::Serialize;
use tokio_util::io::{StreamReader, SyncIoBridge};
use utoipa::ToSchema;

use super::{
    control::wrong_state,
    find,
    ingest::{Resume, Taken, Upload},
    line::LineError,
    ndjson,
    read::Format,
};
use crate::{
    App,
    edge::{Caller, Ids, Permit, is_type, json},
    error::{ApiError, Code},
    form::Params,
    metric_definitions as metric,
};

/// Most errors in an answer that is one document. An answer of lines has no such bound.
const ERRORS_MAX: usize = 1_000;

/// What became of an upload.
#[derive(Clone, Debug, Default, Serialize, ToSchema)]
pub(crate) struct UploadReport {
    /// Calls or messages that were queued.
    accepted: u64,
    /// Lines whose `custom_id` had been accepted before: nothing was done for them.
    duplicates: u64,
    /// Lines that were not accepted.
    refused: u64,
    /// The last line that was looked at.
    last_line: u64,
    /// The first errors, at most 1,000.
    errors: Vec<LineError>,
    /// There are more errors; with `Accept: application/x-ndjson` all are told.
    errors_truncated: bool,
}

/// Adds lines to a draft: NDJSON or CSV with a line of names, streamed, of any length.
///
/// Each line is accepted or refused by itself, in the order of the file; there is no roll-back. Columns are
/// `custom_id`, the parameters of `calls.create` or, in a batch of messages, `messages.create`, and `var.*`. A line under a `custom_id` that the batch has already is
/// passed over, so that an upload that broke off is simply sent again; lines without one go by their number.
/// With `Accept: application/x-ndjson` errors are told as they are found, one per line, and the last line is the
/// report.
#[utoipa::path(
    post, path = "/v1/Batches/{Sid}/lines", tag = "Batches",
    params(
        ("Sid" = String, Path),
        ("from_line" = Option<u64>, Query, description = "Pass over the lines before this one"),
    ),
    request_body(content(("application/x-ndjson"), ("text/csv"))),
    responses((status = 200, body = UploadReport), (status = "4XX", body = crate::error::ErrorBody)),
    security(("account" = []))
)]
pub(crate) async fn post_lines(
    State(app): State<App>,
    caller: Caller,
    Ids(sid): Ids<String>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    upload(app, caller, &sid, &uri, &headers, body).await
}

/// The same: a line sent twice is taken once, so that `PUT` fits as well.
#[utoipa::path(
    put, path = "/v1/Batches/{Sid}/lines", tag = "Batches",
    params(("Sid" = String, Path), ("from_line" = Option<u64>, Query)),
    request_body(content(("application/x-ndjson"), ("text/csv"))),
    responses((status = 200, body = UploadReport), (status = "4XX", body = crate::error::ErrorBody)),
    security(("account" = []))
)]
pub(crate) async fn put_lines(
    State(app): State<App>,
    caller: Caller,
    Ids(sid): Ids<String>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    upload(app, caller, &sid, &uri, &headers, body).await
}

async fn upload(
    app: App,
    caller: Caller,
    sid: &str,
    uri: &Uri,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let view = draft(&app, &caller, sid)?;
    let format = written(headers)?;
    let params = Params::parse(uri.query().unwrap_or("").as_bytes())?;
    let from_line = params.whole(Code::InvalidParameter, "from_line", 1..=u64::MAX)?;
    let from = From { from_line: from_line.unwrap_or(1), resume: None };
    take(app, caller, &view, headers, body, format, from).await
}

/// A batch of the caller's that takes lines.
pub(super) fn draft(app: &App, caller: &Caller, sid: &str) -> Result<BatchView, ApiError> {
    caller.may_submit()?;
    let view = find(app, caller, sid)?;
    if !matches!(view.status, BatchStatus::Draft | BatchStatus::Validating) {
        return Err(wrong_state(&view, "given more lines"));
    }
    Ok(view)
}

/// Where an upload begins.
pub(super) struct From {
    pub(super) from_line: u64,
    pub(super) resume: Option<Resume>,
}

/// Takes what comes, and tells what became of it.
pub(super) async fn take(
    app: App,
    caller: Caller,
    view: &BatchView,
    headers: &HeaderMap,
    body: Body,
    format: Format,
    from: From,
) -> Result<Response, ApiError> {
    let permit = app.gate.stream(caller.account, caller.permit)?;
    let thread = Arc::clone(&app.uploads).try_acquire_owned().map_err(|_| {
        let message = "Too many uploads of all accounts at once; nothing was done, send again";
        ApiError::new(Code::Unavailable, message)
    })?;
    let upload = Upload {
        account: caller.account,
        batch: view.batch,
        directory: caller.directory,
        plan: Arc::clone(&view.plan),
        now: (app.platform.clock)(),
        format,
        from_line: from.from_line,
        resume: from.resume,
        _thread: thread,
    };
    let idle = app.platform.limits.upload_idle;
    let taken = upload.run(app, reader(body, idle)).boxed();
    if wants_lines(headers) {
        return Ok(as_lines(taken, permit));
    }
    as_document(taken).await
}

/// How the body says it is written, if it says so.
pub(super) fn format(headers: &HeaderMap) -> Result<Option<Format>, ApiError> {
    if is_type(headers, "text/csv") {
        Ok(Some(Format::Csv))
    } else if is_type(headers, "application/x-ndjson") || is_type(headers, "application/jsonl") {
        Ok(Some(Format::Ndjson))
    } else if is_type(headers, "application/partial-upload") {
        Ok(None)
    } else {
        Err(unknown_type())
    }
}

/// The same of a whole file.
pub(crate) fn written(headers: &HeaderMap) -> Result<Format, ApiError> {
    format(headers)?.ok_or_else(unknown_type)
}

pub(super) fn unknown_type() -> ApiError {
    let message = "Content-Type must be text/csv, application/x-ndjson or application/jsonl";
    ApiError::new(Code::MediaType, message)
}

fn wants_lines(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok());
    accept.is_some_and(|accept| accept.contains("application/x-ndjson"))
}

/// The body as a blocking reader. One that stands still too long fails.
pub(crate) fn reader(body: Body, idle: std::time::Duration) -> impl std::io::Read + Send + 'static {
    let timed = tokio_stream::StreamExt::timeout(body.into_data_stream(), idle);
    let pieces = timed.map(|piece| match piece {
        Ok(piece) => piece.map_err(std::io::Error::other),
        Err(_) => {
            Err(std::io::Error::new(std::io::ErrorKind::TimedOut, "nothing came for too long"))
        }
    });
    SyncIoBridge::new(StreamReader::new(Box::pin(pieces)))
}

/// One JSON document at the end.
async fn as_document(mut taken: BoxStream<'static, Taken>) -> Result<Response, ApiError> {
    let mut report = UploadReport::default();
    while let Some(taken) = taken.next().await {
        let broken = report.add(&taken);
        let room = ERRORS_MAX.saturating_sub(report.errors.len());
        report.errors_truncated |= taken.errors.len() > room;
        report.errors.extend(taken.errors.into_iter().take(room));
        if let Some(error) = broken {
            return Err(report.broken(error));
        }
    }
    Ok(json(StatusCode::OK, &report))
}

/// Errors as lines while they are found, and the report, or the error that ended it, as the last.
fn as_lines(taken: BoxStream<'static, Taken>, permit: Permit) -> Response {
    let state = (taken, UploadReport::default(), Some(permit));
    let lines = futures::stream::unfold(state, |(mut taken, mut report, permit)| async move {
        let permit = permit?;
        let mut text = Vec::new();
        let Some(next) = taken.next().await else {
            ndjson::line(&mut text, &Last { report: Some(&report), error: None });
            return Some((Ok::<_, Infallible>(Bytes::from(text)), (taken, report, None)));
        };
        let broken = report.add(&next);
        for error in &next.errors {
            ndjson::line(&mut text, error);
        }
        if let Some(error) = broken {
            let error = report.broken(error);
            ndjson::line(&mut text, &Last { report: Some(&report), error: Some(&error.message) });
            return Some((Ok(Bytes::from(text)), (taken, report, None)));
        }
        Some((Ok(Bytes::from(text)), (taken, report, Some(permit))))
    });
    ndjson::answer(Body::from_stream(lines))
}

/// The last line of an answer of lines.
#[derive(Serialize)]
struct Last<'a> {
    report: Option<&'a UploadReport>,
    error: Option<&'a str>,
}

impl UploadReport {
    /// Counts a chunk and gives why nothing more follows, if so.
    fn add(&mut self, taken: &Taken) -> Option<ApiError> {
        self.accepted += taken.accepted;
        self.duplicates += taken.duplicates;
        self.refused += taken.errors.len() as u64;
        self.last_line = self.last_line.max(taken.last_line);
        let name = match taken.kind {
            Kind::Call => metric::ACCEPTED,
            Kind::Message => metric::MESSAGES_ACCEPTED,
        };
        metrics::counter!(name).increment(taken.accepted);
        for error in &taken.errors {
            metrics::counter!(metric::REFUSED, "code" => error.code.to_string()).increment(1);
        }
        taken.broken.clone()
    }

    /// The same error with how far the upload came.
    fn broken(&self, error: ApiError) -> ApiError {
        let (accepted, line) = (self.accepted, self.last_line);
        let message = if accepted + self.duplicates + self.refused == 0 {
            error.message.into_owned()
        } else {
            format!(
                "{} ({accepted} lines up to line {line} are accepted and stay so; send the file again or from that line on)",
                error.message
            )
        };
        ApiError::new(error.code, message)
    }
}
