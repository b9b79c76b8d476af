//! Uploads in parts, each of which may break off: in the manner of the IETF's "Resumable Uploads for HTTP"
//! (draft-ietf-httpbis-resumable-upload), with the batch's `lines` as the upload resource.
//!
//! `HEAD` tells up to which byte lines were taken: what is told is durable. `PATCH` goes on there. A part that begins
//! before it is taken from there on, so that a part sent twice is taken once; one that begins behind it is refused, since a
//! hole cannot be filled.

use axum::{body::Body, extract::State, response::IntoResponse, response::Response};
use busyhour_controller_core::view::{BatchView, UploadView};
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::{
    find,
    ingest::Resume,
    lines::{From, draft, format, take, unknown_type},
    read::{Format, Place},
};
use crate::{
    App,
    edge::{Caller, Ids},
    error::{ApiError, Code},
};

/// How far the upload is: `Upload-Offset` in bytes, `Upload-Line` the number of the line behind it, and `Upload-Complete`.
#[utoipa::path(
    head, path = "/v1/Batches/{Sid}/lines", tag = "Batches", params(("Sid" = String, Path)),
    responses(
        (status = 204, headers(
            ("Upload-Offset" = u64, description = "Bytes up to which lines were taken: go on there"),
            ("Upload-Line" = u64, description = "The number of the line there"),
            ("Upload-Complete" = String, description = "?1 once the last part was taken"),
        )),
        (status = "4XX", body = crate::error::ErrorBody)
    ),
    security(("account" = []))
)]
pub(crate) async fn head_lines(
    State(app): State<App>,
    caller: Caller,
    Ids(sid): Ids<String>,
) -> Result<Response, ApiError> {
    let view = find(&app, &caller, &sid)?;
    let mut response = StatusCode::NO_CONTENT.into_response();
    tell(&view.upload, response.headers_mut());
    Ok(response)
}

/// The next part of an upload: NDJSON or CSV from `Upload-Offset` on. `Upload-Complete: ?1` says that the file ends
/// with it; otherwise a line that is not whole is left for the next part.
#[utoipa::path(
    patch, path = "/v1/Batches/{Sid}/lines", tag = "Batches",
    params(
        ("Sid" = String, Path),
        ("Upload-Offset" = u64, Header, description = "Where the body begins in the file, in bytes"),
        ("Upload-Complete" = Option<String>, Header, description = "?1 if the file ends with it; ?0 if left out"),
    ),
    request_body(content(("application/x-ndjson"), ("text/csv"), ("application/partial-upload"))),
    responses(
        (status = 200, body = super::lines::UploadReport),
        (status = "4XX", body = crate::error::ErrorBody)
    ),
    security(("account" = []))
)]
pub(crate) async fn patch_lines(
    State(app): State<App>,
    caller: Caller,
    Ids(sid): Ids<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let view = draft(&app, &caller, &sid)?;
    let taken = patch(app.clone(), caller, &view, &headers, body).await;
    // Also after an error: whoever goes on needs no further question.
    let mut response = taken.unwrap_or_else(IntoResponse::into_response);
    if let Some(now) = app.platform.views.batch(view.batch) {
        tell(&now.upload, response.headers_mut());
    }
    Ok(response)
}

async fn patch(
    app: App,
    caller: Caller,
    view: &BatchView,
    headers: &HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let (offset, last) = (offset(headers)?, complete(headers)?);
    let upload = &view.upload;
    let Some(skip) = upload.bytes.checked_sub(offset) else {
        let message = format!(
            "Upload-Offset = {offset} is behind the {} bytes that were taken: go on from there",
            upload.bytes
        );
        return Err(ApiError::new(Code::Conflict, message));
    };
    if upload.complete && skip == 0 {
        let message = "The upload is complete: its last part was taken, and nothing can be added";
        return Err(ApiError::new(Code::Conflict, message));
    }
    let format = match (format(headers)?, &upload.format) {
        (Some(format), _) => format,
        (None, Some(_)) => Format::Ndjson, // Not read: the first part said how it is written.
        (None, None) => return Err(unknown_type()),
    };
    let place = Place { byte: upload.bytes, line: upload.next_line };
    let resume = Resume { place, format: upload.format.clone(), skip, last };
    // The whole upload again: there is nothing in it that was not taken.
    let resume = if upload.complete { Resume { last: false, ..resume } } else { resume };
    let from = From { from_line: 1, resume: Some(resume) };
    take(app, caller, view, headers, body, format, from).await
}

fn offset(headers: &HeaderMap) -> Result<u64, ApiError> {
    let allowed = "where the body begins in the file, in bytes; HEAD tells how far the upload is";
    let text = text(headers, "upload-offset").ok_or_else(|| {
        ApiError::new(Code::InvalidParameter, format!("Upload-Offset is missing: {allowed}"))
    })?;
    let wrong = || ApiError::parameter(Code::InvalidParameter, "Upload-Offset", text, allowed);
    text.parse().map_err(|_| wrong())
}

fn complete(headers: &HeaderMap) -> Result<bool, ApiError> {
    match text(headers, "upload-complete") {
        None | Some("?0") => Ok(false),
        Some("?1") => Ok(true),
        Some(other) => {
            let allowed = "?1 if the file ends with the body, or ?0";
            Err(ApiError::parameter(Code::InvalidParameter, "Upload-Complete", other, allowed))
        }
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name).map(|value| value.to_str().unwrap_or("\u{fffd}").trim())
}

fn tell(upload: &UploadView, headers: &mut HeaderMap) {
    headers.insert("upload-offset", HeaderValue::from(upload.bytes));
    headers.insert("upload-line", HeaderValue::from(upload.next_line));
    let complete = if upload.complete { "?1" } else { "?0" };
    headers.insert("upload-complete", HeaderValue::from_static(complete));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
}
