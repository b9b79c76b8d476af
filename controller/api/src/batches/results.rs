//! Results of a batch: one JSON object per finished call or message, in the order in which they were recorded, with a cursor.

use std::{convert::Infallible, time::Duration};

use axum::{body::Body, extract::State, response::Response};
use busyhour_base::AccountSid;
use busyhour_controller_core::{
    message::MessageRecord,
    spec::{BatchId, Kind},
    view::Record,
};
use busyhour_records::RecordsError;
use bytes::Bytes;
use http::Uri;
use serde::Serialize;
use tokio::sync::watch;

use super::{
    find,
    ndjson::{self, LAST, Wanted},
    result::{CallResult, MessageResult, ResultLine},
};
use crate::{
    App,
    edge::{Caller, Ids, Permit},
    error::ApiError,
};

/// Rows per query.
const ROWS: u32 = 500;
/// Whoever follows hears an empty line after this time without a result, so that connections are not taken for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

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
        (status = 200, body = ResultLine<'static>, content_type = "application/x-ndjson"),
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
        // A batch ends a moment before its last requests are in the records.
        follow: follow || view.ended_at.is_some(),
        kind: view.plan.kind,
        recorded: match view.plan.kind {
            Kind::Call => app.platform.recorded.clone(),
            Kind::Message => app.platform.messages_recorded.clone(),
        },
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
    kind: Kind,
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
            let read = self.read().await;
            let read = read.inspect_err(
                |error| tracing::error!(account = %self.account, %error, "results cannot be read"),
            );
            let Rows { text, count, last } = read.ok()?;
            if last.is_some() {
                self.after = last;
                self.left = self.left.saturating_sub(count);
                return Some((Ok(text), self));
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

    async fn read(&self) -> Result<Rows, RecordsError> {
        let limit = u32::try_from(self.left).unwrap_or(ROWS).min(ROWS);
        let (records, key) = (&self.app.platform.records, self.app.platform.sid_key);
        let (account, batch, after) = (self.account, self.batch, self.after);
        Ok(match self.kind {
            Kind::Call => {
                let rows = records.batch_results(account, batch, after, limit).await?;
                let sid = |row: &Record| key.call(row.call.0);
                Rows::of(rows.iter().map(|row| (row.seq, CallResult::new(row, sid(row)))))
            }
            Kind::Message => {
                let rows = records.batch_messages(account, batch, after, &[], limit).await?;
                let sid = |row: &MessageRecord| key.message(row.message.0);
                Rows::of(rows.iter().map(|row| (row.seq, MessageResult::new(row, sid(row)))))
            }
        })
    }
}

/// Results as they are told.
struct Rows {
    text: Bytes,
    count: u64,
    /// The cursor of the last one.
    last: Option<u64>,
}

impl Rows {
    fn of(rows: impl ExactSizeIterator<Item = (u64, impl Serialize)>) -> Self {
        let count = rows.len();
        let mut text = Vec::with_capacity(count * 512);
        let mut last = None;
        for (seq, row) in rows {
            last = Some(seq);
            ndjson::line(&mut text, &row);
        }
        Self { text: text.into(), count: count as u64, last }
    }
}
