//! "Retry failed": lines that came to nothing are dialled or sent again, once more each.

use std::time::Duration;

use axum::{extract::State, response::Response};
use busyhour_base::{MessageStatus, Outcome, Reason};
use busyhour_controller_core::{
    command::BatchCommand,
    effect::Reply,
    message::MessageRecord,
    spec::{Again, AgainLine, AgainMessage, Kind, RetryOn},
    view::{BatchView, Record},
};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    control::wrong_state,
    find,
    ingest::{CHUNK_BYTES, CHUNK_LINES, insist, size, size_of_text},
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
    /// How they ended: busy, no-answer, failed; of messages failed, undelivered; all of these if left out.
    on: Option<Vec<String>>,
}

/// What became of it.
#[derive(Serialize, ToSchema)]
pub(crate) struct RetryReport {
    /// Lines that wait to be dialled or sent again.
    retried: u64,
    /// Lines that stay failed: whether their last call rang, or their carrier has their last message, is unknown; or the text of
    /// the message was taken out.
    in_doubt: u64,
    /// Why others are not dialled again yet: ask again later for them. Null if that was all.
    stopped_by: Option<&'static str>,
    /// The batch as it is now.
    batch: BatchResource,
}

/// Lines that ended busy, unanswered or failed are dialled once more, and messages that failed or were not delivered sent, each as
/// a new call or message under its `custom_id` with its attempts numbered on. A batch that has ended runs again, within its hours and at its pace.
///
/// However often this is asked, each end of a line is followed by one further call or message.
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
        Some(names) => outcomes(view.plan.kind, "on", names)?,
        None => RetryOn { busy: true, no_answer: true, failed: true, undelivered: true },
    };
    let through = recorded(&app, &view).await?;
    let retrying = Retrying { app: &app, view: &view, on, through };
    let done = retrying.all().await?;
    let now = app.platform.views.batch(view.batch).ok_or_else(ApiError::not_found)?;
    let batch = BatchResource::new(&app, &now);
    let Done { retried, in_doubt, stopped_by } = done;
    let stopped_by = stopped_by.map(Reason::code);
    Ok(json(StatusCode::OK, &RetryReport { retried, in_doubt, stopped_by, batch }))
}

/// Up to where the records are to be looked at. A batch ends a moment before its last requests are in them.
async fn recorded(app: &App, view: &BatchView) -> Result<u64, ApiError> {
    let mut recorded = match view.plan.kind {
        Kind::Call => app.platform.recorded.clone(),
        Kind::Message => app.platform.messages_recorded.clone(),
    };
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
    on: RetryOn,
    /// The last record that is looked at: those of the further requests come behind it.
    through: u64,
}

/// What was done so far.
#[derive(Default)]
struct Done {
    retried: u64,
    in_doubt: u64,
    stopped_by: Option<Reason>,
}

/// A record of a line that came to nothing.
struct Row {
    seq: u64,
    /// Its place among the ends that the batch counts.
    end: usize,
    /// The line, if it may be placed again, and what it weighs in the log, roughly.
    line: Option<(Line, usize)>,
}

/// A line that is placed again.
enum Line {
    Call(AgainLine),
    Message(AgainMessage),
}

impl Row {
    fn of_call(record: Record) -> Self {
        let (seq, end) = (record.seq, record.ending.outcome as usize);
        let line = AgainLine::of(record);
        let line = line.map(|line| {
            let bytes = size(&line.call);
            (Line::Call(line), bytes)
        });
        Self { seq, end, line }
    }

    fn of_message(record: MessageRecord) -> Self {
        let (seq, end) = (record.seq, record.status.end().unwrap_or_default());
        let line = AgainMessage::of(record);
        let line = line.map(|line| {
            let bytes = size_of_text(&line.text);
            (Line::Message(line), bytes)
        });
        Self { seq, end, line }
    }
}

impl Retrying<'_> {
    /// Every record from where the last request of this kind left off.
    async fn all(&self) -> Result<Done, ApiError> {
        let mut done = Done::default();
        // Asked of the machine before anything is read: whether the batch may go on at all.
        self.place(Vec::new(), &mut done).await?;
        let through = |end: usize| self.view.again_through[end];
        let mut after = self.ends().into_iter().map(through).min().unwrap_or(u64::MAX);
        while done.stopped_by.is_none() {
            let rows = self.rows(after).await?;
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

    fn outcomes(&self) -> Vec<Outcome> {
        let RetryOn { busy, no_answer, failed, .. } = self.on;
        let named =
            [(Outcome::Busy, busy), (Outcome::NoAnswer, no_answer), (Outcome::Failed, failed)];
        named.into_iter().filter(|(_, on)| *on).map(|(outcome, _)| outcome).collect()
    }

    fn statuses(&self) -> Vec<MessageStatus> {
        let all = MessageStatus::ENDS.into_iter();
        all.filter(|status| self.on.takes_message(*status)).collect()
    }

    /// The places of the ends that are wanted among those that the batch counts.
    fn ends(&self) -> Vec<usize> {
        match self.view.plan.kind {
            Kind::Call => self.outcomes().into_iter().map(|outcome| outcome as usize).collect(),
            Kind::Message => self.statuses().into_iter().filter_map(MessageStatus::end).collect(),
        }
    }

    /// The next records of lines that ended so.
    async fn rows(&self, after: u64) -> Result<Vec<Row>, ApiError> {
        let (records, rows) = (&self.app.platform.records, CHUNK_LINES as u32);
        let (account, batch) = (self.view.account, self.view.batch);
        Ok(match self.view.plan.kind {
            Kind::Call => {
                let on = self.outcomes();
                let found = records.batch_results_of(account, batch, after, &on, rows).await?;
                found.into_iter().map(Row::of_call).collect()
            }
            Kind::Message => {
                let on = self.statuses();
                let found = records.batch_messages(account, batch, Some(after), &on, rows).await?;
                found.into_iter().map(Row::of_message).collect()
            }
        })
    }

    /// The lines of these records that may be placed again, as many at once as one log entry takes.
    fn chunks(&self, rows: Vec<Row>, done: &mut Done) -> Vec<Vec<Line>> {
        let (mut chunks, mut bytes) = (Vec::<Vec<_>>::new(), 0);
        let fresh = rows
            .into_iter()
            .filter(|row| row.seq <= self.through && row.seq > self.view.again_through[row.end]);
        for row in fresh {
            let Some((line, size)) = row.line else {
                done.in_doubt += 1;
                continue;
            };
            bytes += size;
            match chunks.last_mut() {
                Some(chunk) if bytes <= CHUNK_BYTES => chunk.push(line),
                _ => {
                    bytes = size;
                    chunks.push(vec![line]);
                }
            }
        }
        chunks
    }

    async fn place(&self, all: Vec<Line>, done: &mut Done) -> Result<(), ApiError> {
        let (account, batch) = (self.view.account, self.view.batch);
        let mut again = Again { account, batch, lines: Vec::new(), messages: Vec::new() };
        for line in all {
            match line {
                Line::Call(line) => again.lines.push(line),
                Line::Message(line) => again.messages.push(line),
            }
        }
        let verdicts: Vec<Result<(), Reason>> =
            match insist(self.app, || BatchCommand::Again(Box::new(again.clone()))).await? {
                Reply::Submitted(all) => all.into_iter().map(|one| one.map(drop)).collect(),
                Reply::Messages(all) => all.into_iter().map(|one| one.map(drop)).collect(),
                Reply::Refused(reason) => return Err(self.refused(reason)),
                _ => return Err(ApiError::internal("lines placed again got no verdicts")),
            };
        for verdict in verdicts {
            match verdict {
                Ok(()) => done.retried += 1,
                // Another request of this kind was faster.
                Err(Reason::Duplicate) => {}
                Err(reason) => done.stopped_by = Some(reason),
            }
        }
        Ok(())
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
