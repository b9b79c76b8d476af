//! Finished calls and messages, from the state machine's outboxes into the records, at least once and in order.

use std::{sync::Arc, time::Duration};

use busyhour_controller_core::{
    State,
    command::Command,
    message::{MessageCommand, MessageRecord},
    view::Record,
};
use busyhour_records::{Records, RecordsError};
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

/// What ends up in the records.
pub(crate) trait Finished: Send + Sync + 'static {
    /// One of them.
    type Row: Clone + Send + Sync;
    /// The name under which [`Health`] keeps what is wrong with these records.
    const PART: &str;

    /// Those that wait, at most `max`, in the order of their ends.
    fn waiting(state: &State, max: usize) -> Vec<Self::Row>;
    /// Stores them: all or none.
    fn store(
        records: &Records,
        rows: &[Self::Row],
    ) -> impl Future<Output = Result<(), RecordsError>> + Send;
    /// A row's place in the outbox.
    fn seq(row: &Self::Row) -> u64;
    /// What tells the state machine that it may forget them.
    fn recorded(through: u64) -> Command;
    /// They are stored.
    fn stored(&self, rows: &[Self::Row]);
}

/// Finished calls, whose traces end with them.
pub(crate) struct Calls(pub Arc<CallSpans>);

impl Finished for Calls {
    type Row = Record;
    const PART: &str = "records of calls";

    fn waiting(state: &State, max: usize) -> Vec<Record> {
        state.outbox(max).cloned().collect()
    }

    async fn store(records: &Records, rows: &[Record]) -> Result<(), RecordsError> {
        records.store(rows).await
    }

    fn seq(row: &Record) -> u64 {
        row.seq
    }

    fn recorded(through: u64) -> Command {
        Command::Recorded { through }
    }

    fn stored(&self, rows: &[Record]) {
        metrics::counter!(names::RECORDS_STORED).increment(rows.len() as u64);
        for row in rows {
            reasons::ended(row);
            self.0.recorded(row);
        }
    }
}

/// Finished messages.
pub(crate) struct Messages;

impl Finished for Messages {
    type Row = MessageRecord;
    const PART: &str = "records of messages";

    fn waiting(state: &State, max: usize) -> Vec<MessageRecord> {
        state.message_outbox(max).cloned().collect()
    }

    async fn store(records: &Records, rows: &[MessageRecord]) -> Result<(), RecordsError> {
        records.store_messages(rows).await
    }

    fn seq(row: &MessageRecord) -> u64 {
        row.seq
    }

    fn recorded(through: u64) -> Command {
        Command::Message(MessageCommand::Recorded { through })
    }

    fn stored(&self, rows: &[MessageRecord]) {
        metrics::counter!(names::MESSAGES_STORED).increment(rows.len() as u64);
    }
}

/// Moves rows until the controller stops.
pub(crate) struct Writer<F> {
    pub finished: F,
    pub records: Records,
    pub proposer: Proposer,
    /// Told when rows wait.
    pub waiting: Arc<Notify>,
    /// Told up to where rows are recorded.
    pub recorded: watch::Sender<u64>,
    pub health: Health,
}

impl<F: Finished> Writer<F> {
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        loop {
            let rows = self.proposer.read(|state| F::waiting(state, ROWS_MAX));
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
    async fn move_rows(&self, rows: &[F::Row]) -> Option<()> {
        if let Err(error) = F::store(&self.records, rows).await {
            metrics::counter!(names::RECORDS_FAILED).increment(1);
            if self.health.is_ill(F::PART, &error.to_string()) {
                tracing::error!(part = F::PART, %error, "nothing can be recorded; it stays in the log meanwhile");
            }
            tokio::time::sleep(RETRY).await;
            return Some(());
        }
        if self.health.is_well(F::PART) {
            tracing::info!(part = F::PART, "what has finished is recorded again");
        }
        let through = F::seq(rows.last()?);
        let recorded = self.proposer.insist(|| F::recorded(through)).await;
        recorded.ok()?;
        self.finished.stored(rows);
        self.recorded.send_replace(through);
        Some(())
    }
}
