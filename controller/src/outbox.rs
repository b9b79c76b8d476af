//! Finished calls, from the state machine's outbox into the records, at least once and in order.

use std::{sync::Arc, time::Duration};

use busyhour_controller_core::{command::Command, view::Record};
use busyhour_records::Records;
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::{
    health::Health, metric_definitions as names, proposer::Proposer, reasons, trace::CallSpans,
};

/// Rows stored in one transaction. When so many wait, the next follows at once.
const ROWS_MAX: usize = 8_192;

/// The least time from the end of one transaction to the next: rows that end meanwhile share its pages and syncs.
const GATHER_MIN: Duration = Duration::from_millis(50);

/// The longest time that rows gather.
const GATHER_MAX: Duration = Duration::from_secs(1);

/// Rows gather for this many times as long as the last transaction took, so that the records take a third of
/// the time at most: their writes hold up the log's on a disk that both share, and calls must not wait for
/// records. The API finds the rows in the state until then.
const GATHER_FACTOR: u32 = 2;

/// After a failure the same rows are tried again in this time.
const RETRY: Duration = Duration::from_secs(1);

/// The name under which [`Health`] keeps what is wrong with the records.
const PART: &str = "records";

/// Moves rows until the controller stops.
pub(crate) struct Writer {
    pub records: Records,
    pub proposer: Proposer,
    /// Told when rows wait.
    pub waiting: Arc<Notify>,
    /// Told up to where rows are recorded.
    pub recorded: watch::Sender<u64>,
    pub spans: Arc<CallSpans>,
    pub health: Health,
}

impl Writer {
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        loop {
            let rows: Vec<Record> =
                self.proposer.read(|state| state.outbox(ROWS_MAX).cloned().collect());
            if rows.is_empty() {
                tokio::select! {
                    () = self.waiting.notified() => continue,
                    () = shutdown.cancelled() => return,
                }
            }
            let began = Instant::now();
            tokio::select! {
                done = self.move_rows(&rows) => if done.is_none() { return },
                () = shutdown.cancelled() => return,
            }
            if rows.len() < ROWS_MAX {
                let gather = (began.elapsed() * GATHER_FACTOR).clamp(GATHER_MIN, GATHER_MAX);
                tokio::select! {
                    () = tokio::time::sleep(gather) => {}
                    () = shutdown.cancelled() => return,
                }
            }
        }
    }

    /// `None` when the log is closed.
    async fn move_rows(&self, rows: &[Record]) -> Option<()> {
        if let Err(error) = self.records.store(rows).await {
            metrics::counter!(names::RECORDS_FAILED).increment(1);
            if self.health.is_ill(PART, &error.to_string()) {
                tracing::error!(%error, "finished calls cannot be recorded; they stay in the log meanwhile");
            }
            tokio::time::sleep(RETRY).await;
            return Some(());
        }
        if self.health.is_well(PART) {
            tracing::info!("finished calls are recorded again");
        }
        let through = rows.last()?.seq;
        let recorded = self.proposer.insist(|| Command::Recorded { through }).await;
        recorded.ok()?;
        metrics::counter!(names::RECORDS_STORED).increment(rows.len() as u64);
        for row in rows {
            reasons::ended(row);
            self.spans.recorded(row);
        }
        self.recorded.send_replace(through);
        Some(())
    }
}
