//! Results of a batch: one JSON object per finished call, in the order in which they were recorded, with a cursor.

use std::{convert::Infallible, time::Duration};

use axum::{body::Body, extract::State, response::Response};
use busyhour_base::{AccountSid, CallSid};
use busyhour_controller_core::{spec::BatchId, view::Record};
use bytes::Bytes;
use http::Uri;
use serde::Serialize;
use tokio::sync::watch;
use utoipa::ToSchema;

use super::{
    find,
    ndjson::{self, LAST, Wanted},
};
use crate::{
    App,
    calls::EarlierAttempt,
    dates::Rfc3339,
    edge::{Caller, Ids, Permit},
    error::ApiError,
};

/// Rows per query.
const ROWS: u32 = 500;
/// Whoever follows hears an empty line after this time without a result, so that connections are not taken for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// One finished call.
#[derive(Serialize, ToSchema)]
pub(crate) struct ResultLine<'a> {
    /// Give it as `after` to go on behind this line.
    cursor: u64,
    /// The tenant's name for it.
    custom_id: Option<&'a str>,
    /// The call.
    #[schema(value_type = String)]
    call_sid: CallSid,
    /// Called party.
    to: &'a str,
    /// Calling party.
    from: &'a str,
    /// completed, busy, failed, no-answer or canceled.
    status: &'static str,
    /// Why, for machines.
    reason: &'static str,
    /// Why, for people.
    message: &'static str,
    /// Final SIP status; null if there was none.
    sip_code: Option<u16>,
    /// The limit that held it last before it started, or `ready`.
    held_by: &'static str,
    /// How many attempts were made.
    attempts: u16,
    /// Those before the last that came to an end, in order; the rest of this line is about the last.
    earlier_attempts: Vec<EarlierAttempt>,
    /// Keys that the called party pressed.
    digits: &'a str,
    /// When it was accepted.
    #[schema(value_type = String)]
    accepted_at: Rfc3339,
    /// When it was due by its limits.
    #[schema(value_type = Option<String>)]
    due_at: Option<Rfc3339>,
    /// When it was dialled.
    #[schema(value_type = Option<String>)]
    dialled_at: Option<Rfc3339>,
    /// When it was answered.
    #[schema(value_type = Option<String>)]
    answered_at: Option<Rfc3339>,
    /// When it ended.
    #[schema(value_type = String)]
    ended_at: Rfc3339,
    /// From INVITE to answer or end.
    ring_ms: u64,
    /// From answer to end.
    talk_ms: u64,
}

/// Results as NDJSON. With `follow=true` the answer goes on until the batch is over. The results of a batch that is
/// over are whole: the answer waits for those that are not recorded yet.
#[utoipa::path(
    get, path = "/v1/Batches/{Sid}/results", tag = "Batches",
    params(
        ("Sid" = String, Path),
        ("after" = Option<u64>, Query, description = "Cursor of the last line that was seen"),
        ("limit" = Option<u64>, Query, description = "Most lines; all if left out"),
        ("follow" = Option<bool>, Query, description = "Go on until the batch is over"),
    ),
    responses(
        (status = 200, body = ResultLine, content_type = "application/x-ndjson"),
        (status = "4XX", body = crate::error::ErrorBody)
    ),
    security(("account" = []))
)]
pub(crate) async fn results(
    State(app): State<App>,
    caller: Caller,
    Ids(sid): Ids<String>,
    uri: Uri,
) -> Result<Response, ApiError> {
    let view = find(&app, &caller, &sid)?;
    let (Wanted { after, limit }, params) = Wanted::read(&uri, LAST)?;
    let follow = params.flag("follow")?.unwrap_or(false);
    let reading = Reading {
        account: caller.account,
        batch: view.batch,
        after,
        left: limit.unwrap_or(LAST),
        // A batch ends a moment before its last calls are in the records.
        follow: follow || view.ended_at.is_some(),
        recorded: app.platform.recorded.clone(),
        _permit: app.gate.stream(caller.account, caller.permit)?,
        app,
    };
    let pieces = futures::stream::unfold(reading, Reading::next);
    Ok(ndjson::answer(Body::from_stream(pieces)))
}

/// Where a reader stands.
struct Reading {
    account: AccountSid,
    batch: BatchId,
    after: Option<u64>,
    left: u64,
    follow: bool,
    recorded: watch::Receiver<u64>,
    _permit: Permit,
    app: App,
}

impl Reading {
    /// The next piece of the answer. A failure to read ends it; the reader goes on from the last cursor.
    async fn next(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        loop {
            if self.left == 0 {
                return None;
            }
            self.recorded.mark_unchanged();
            // Asked before the rows, so that none can come after the last read unnoticed.
            let complete = self.is_complete();
            let rows = self.read().await?;
            if let Some(last) = rows.last() {
                self.after = Some(last.seq);
                self.left = self.left.saturating_sub(rows.len() as u64);
                return Some((Ok(self.write(&rows)), self));
            }
            if !self.follow || complete {
                return None;
            }
            tokio::select! {
                changed = self.recorded.changed() => changed.ok()?,
                () = tokio::time::sleep(KEEP_ALIVE) => {
                    return Some((Ok(Bytes::from_static(b"\n")), self));
                }
            }
        }
    }

    fn is_complete(&self) -> bool {
        let views = &self.app.platform.views;
        // The state forgets a batch only when its last call is in the records.
        views.batch(self.batch).is_none() || views.batch_recorded(self.batch)
    }

    async fn read(&self) -> Option<Vec<Record>> {
        let limit = u32::try_from(self.left).unwrap_or(ROWS).min(ROWS);
        let records = &self.app.platform.records;
        let rows = records.batch_results(self.account, self.batch, self.after, limit).await;
        rows.inspect_err(|error| tracing::error!(%error, "results cannot be read")).ok()
    }

    fn write(&self, rows: &[Record]) -> Bytes {
        let mut text = Vec::with_capacity(rows.len() * 512);
        for record in rows {
            let sid = self.app.platform.sid_key.call(record.call.0);
            ndjson::line(&mut text, &ResultLine::new(record, sid));
        }
        Bytes::from(text)
    }
}

impl<'a> ResultLine<'a> {
    fn new(record: &'a Record, call_sid: CallSid) -> Self {
        let ending = &record.ending;
        Self {
            cursor: record.seq,
            custom_id: record.custom_id.as_deref(),
            call_sid,
            to: &record.spec.to,
            from: &record.spec.from,
            status: ending.outcome.as_str(),
            reason: ending.reason.code(),
            message: ending.reason.message(),
            sip_code: Some(ending.sip_code).filter(|code| *code > 0),
            held_by: record.held_by.code(),
            attempts: record.attempts,
            earlier_attempts: record.earlier.iter().map(EarlierAttempt::from).collect(),
            digits: &ending.digits,
            accepted_at: Rfc3339(record.accepted_at),
            due_at: record.due.map(Rfc3339),
            dialled_at: record.dialled_at.map(Rfc3339),
            answered_at: record.answered_at.map(Rfc3339),
            ended_at: Rfc3339(record.ended_at),
            ring_ms: ending.ring.as_millis(),
            talk_ms: ending.talk.as_millis(),
        }
    }
}
