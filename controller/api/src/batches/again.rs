//! "Retry failed": lines that came to nothing are dialled again, once more each.

use std::time::Duration;

use axum::{extract::State, response::Response};
use busyhour_base::{Outcome, Reason};
use busyhour_controller_core::{
    command::BatchCommand,
    effect::Reply,
    spec::{Again, AgainLine, RetryOn},
    view::{BatchView, Record},
};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    control::wrong_state,
    find,
    ingest::{CHUNK_BYTES, CHUNK_LINES, insist, size},
    resource::BatchResource,
    retry::outcomes,
};
use crate::{
    App,
    edge::{Caller, Ids, JsonBody, json},
    error::{ApiError, Code},
};

/// How long the last calls of a batch that has ended may take to come into the records.
const RECORDED_WAIT: Duration = Duration::from_secs(10);

/// Which lines are dialled again.
#[derive(Clone, Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RetryFailed {
    /// How they ended: busy, no-answer, failed; all three if left out.
    on: Option<Vec<String>>,
}

/// What became of it.
#[derive(Serialize, ToSchema)]
pub(crate) struct RetryReport {
    /// Lines that wait to be dialled again.
    retried: u64,
    /// Lines that stay failed: whether their last call rang is unknown.
    in_doubt: u64,
    /// Why others are not dialled again yet: ask again later for them. Null if that was all.
    stopped_by: Option<&'static str>,
    /// The batch as it is now.
    batch: BatchResource,
}

/// Lines that ended busy, unanswered or failed are dialled once more, each as a new call under its `custom_id` with its
/// attempts numbered on. A batch that has ended runs again, within its hours and at its pace.
///
/// However often this is asked, each end of a line is followed by one further call.
#[utoipa::path(
    post, path = "/v1/Batches/{Sid}/retry", tag = "Batches", params(("Sid" = String, Path)),
    request_body = RetryFailed,
    responses((status = 200, body = RetryReport), (status = "4XX", body = crate::error::ErrorBody)),
    security(("account" = []))
)]
pub(crate) async fn retry(
    State(app): State<App>,
    caller: Caller,
    Ids(sid): Ids<String>,
    JsonBody(body): JsonBody<RetryFailed>,
) -> Result<Response, ApiError> {
    caller.may_submit()?;
    let view = find(&app, &caller, &sid)?;
    let on = match &body.on {
        Some(names) => outcomes("on", names)?,
        None => RetryOn { busy: true, no_answer: true, failed: true },
    };
    let through = recorded(&app, &view).await?;
    let retrying = Retrying { app: &app, view: &view, on: chosen(on), through };
    let done = retrying.all().await?;
    let now = app.platform.views.batch(view.batch).ok_or_else(ApiError::not_found)?;
    let batch = BatchResource::new(&app, &now);
    let Done { retried, in_doubt, stopped_by } = done;
    let stopped_by = stopped_by.map(Reason::code);
    Ok(json(StatusCode::OK, &RetryReport { retried, in_doubt, stopped_by, batch }))
}

fn chosen(on: RetryOn) -> Vec<Outcome> {
    let RetryOn { busy, no_answer, failed } = on;
    let named = [(Outcome::Busy, busy), (Outcome::NoAnswer, no_answer), (Outcome::Failed, failed)];
    named.into_iter().filter(|(_, on)| *on).map(|(outcome, _)| outcome).collect()
}

/// Up to where the records are to be looked at. A batch ends a moment before its last calls are in them.
async fn recorded(app: &App, view: &BatchView) -> Result<u64, ApiError> {
    let mut recorded = app.platform.recorded.clone();
    let whole = async {
        while view.ended_at.is_some() && !app.platform.views.batch_recorded(view.batch) {
            recorded.changed().await.ok()?;
        }
        Some(())
    };
    if tokio::time::timeout(RECORDED_WAIT, whole).await.is_err() {
        let message = "The batch's last results are not stored yet; nothing was done, send again";
        return Err(ApiError::new(Code::Unavailable, message));
    }
    let through = *recorded.borrow();
    Ok(through)
}

struct Retrying<'a> {
    app: &'a App,
    view: &'a BatchView,
    on: Vec<Outcome>,
    /// The last record that is looked at: those of the further calls come behind it.
    through: u64,
}

/// What was done so far.
#[derive(Default)]
struct Done {
    retried: u64,
    in_doubt: u64,
    stopped_by: Option<Reason>,
}

impl Retrying<'_> {
    /// Every record from where the last request of this kind left off.
    async fn all(&self) -> Result<Done, ApiError> {
        let mut done = Done::default();
        // Asked of the machine before anything is read: whether the batch may go on at all.
        self.place(Vec::new(), &mut done).await?;
        let through = |outcome: &Outcome| self.view.again_through[*outcome as usize];
        let mut after = self.on.iter().map(through).min().unwrap_or(u64::MAX);
        while done.stopped_by.is_none() {
            let records = &self.app.platform.records;
            let (account, batch) = (self.view.account, self.view.batch);
            let rows = CHUNK_LINES as u32;
            let rows = records.batch_results_of(account, batch, after, &self.on, rows).await?;
            let Some(last) = rows.last().map(|row| row.seq) else { break };
            for chunk in self.chunks(rows, &mut done) {
                self.place(chunk, &mut done).await?;
                if done.stopped_by.is_some() {
                    break;
                }
            }
            if last >= self.through {
                break;
            }
            after = last;
        }
        Ok(done)
    }

    /// The lines of these records that may be placed again, as many at once as one log entry takes.
    fn chunks(&self, rows: Vec<Record>, done: &mut Done) -> Vec<Vec<AgainLine>> {
        let (mut chunks, mut bytes) = (Vec::<Vec<_>>::new(), 0);
        let fresh = rows.into_iter().filter(|row| {
            row.seq <= self.through
                && row.seq > self.view.again_through[row.ending.outcome as usize]
        });
        for row in fresh {
            let Some(line) = AgainLine::of(row) else {
                done.in_doubt += 1;
                continue;
            };
            bytes += size(&line.call);
            match chunks.last_mut() {
                Some(chunk) if bytes <= CHUNK_BYTES => chunk.push(line),
                _ => {
                    bytes = size(&line.call);
                    chunks.push(vec![line]);
                }
            }
        }
        chunks
    }

    async fn place(&self, lines: Vec<AgainLine>, done: &mut Done) -> Result<(), ApiError> {
        let (account, batch) = (self.view.account, self.view.batch);
        let again = Again { account, batch, lines };
        match insist(self.app, || BatchCommand::Again(Box::new(again.clone()))).await? {
            Reply::Submitted(verdicts) => {
                for verdict in verdicts {
                    match verdict {
                        Ok(_) => done.retried += 1,
                        // Another request of this kind was faster.
                        Err(Reason::Duplicate) => {}
                        Err(reason) => done.stopped_by = Some(reason),
                    }
                }
                Ok(())
            }
            Reply::Refused(reason) => Err(self.refused(reason)),
            _ => Err(ApiError::internal("lines that were placed again got no verdicts")),
        }
    }

    fn refused(&self, reason: Reason) -> ApiError {
        match reason {
            Reason::WrongState => wrong_state(self.view, "retried"),
            Reason::Expired => {
                let message =
                    "The batch's schedule.not_after has passed: submit the lines as a new batch";
                ApiError::new(Code::Conflict, message)
            }
            Reason::TooLarge => {
                let message =
                    "The account has as many batches that have not ended as it may; cancel some";
                ApiError::new(Code::Conflict, message)
            }
            reason => ApiError::refused(reason),
        }
    }
}
