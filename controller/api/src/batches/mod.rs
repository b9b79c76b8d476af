//! Batches: `/v1/Batches` (`WIRE.md`, DC-3).
//!
//! A batch takes lines while it is a draft, each of which becomes an ordinary call or an ordinary message under a `custom_id`
//! that is unique in the batch, so that sending a line twice dials or sends once.

mod again;
mod control;
mod counts;
mod create;
mod csv;
mod faults;
mod hours;
mod ingest;
mod kind;
mod line;
mod lines;
mod list;
mod ndjson;
mod object;
mod plan;
mod read;
mod resource;
mod result;
mod results;
mod resumable;
mod retry;
mod schedule;
mod variables;

pub(crate) use again::{__path_retry, retry};
pub(crate) use control::{
    __path_cancel, __path_pace, __path_pause, __path_resume, __path_start, cancel, pace, pause,
    resume, start,
};
pub(crate) use counts::BatchCounts;
pub(crate) use create::{__path_create, __path_fetch, create, fetch};
pub(crate) use faults::{__path_errors, errors};
pub use hours::{AHEAD, openings};
pub(crate) use lines::{
    __path_post_lines, __path_put_lines, post_lines, put_lines, reader, written,
};
pub(crate) use list::{__path_list, list};
pub(crate) use read::Format;
pub(crate) use results::{__path_results, results};
pub(crate) use resumable::{__path_head_lines, __path_patch_lines, head_lines, patch_lines};

use busyhour_base::BatchSid;
use busyhour_controller_core::{spec::BatchId, view::BatchView};

use crate::{App, edge::Caller, error::ApiError};

/// An account's batch by its sid.
fn find(app: &App, caller: &Caller, sid: &str) -> Result<BatchView, ApiError> {
    let sid: BatchSid = sid.parse().map_err(|_| ApiError::not_found())?;
    tracing::Span::current().record("batch", tracing::field::display(sid));
    let batch = app.platform.sid_key.batch_number(sid).map(BatchId);
    let view = batch.and_then(|batch| app.platform.views.batch(batch));
    view.filter(|view| view.account == caller.account).ok_or_else(ApiError::not_found)
}
