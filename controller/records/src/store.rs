//! The database file: opening it, and writing to it.

use std::{path::Path, sync::Arc, time::Duration};

use busyhour_controller_core::view::Record;
use sqlx::{
    ConnectOptions as _, Connection as _, SqliteConnection, SqlitePool,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};
use tokio::sync::Mutex;

use crate::{RecordsError, row, schema};

/// Reading connections. A page of a thousand rows takes about ten milliseconds, so that four serve some hundred
/// lists a second; further requests wait for up to [`READ_WAIT`].
const READERS: u32 = 4;

/// How long a read waits for a connection before it fails, rather than pile up.
const READ_WAIT: Duration = Duration::from_secs(5);

/// How long SQLite waits for another process's lock (a backup, an operator's shell).
const BUSY_WAIT: Duration = Duration::from_secs(5);

/// Small pages: a finished call changes a few bytes in each of three indexes, in another place for each account,
/// and every page that is touched is written. On a disk that the log shares this is what counts.
const PAGE_BYTES: u32 = 1_024;

/// The WAL is brought into the file when it has this many pages, 16 MiB. A page that changed often meanwhile is
/// written there once.
const CHECKPOINT_PAGES: &str = "16384";

/// The finished calls of one installation. Clones share the same database.
#[derive(Clone)]
pub struct Records {
    pub(crate) readers: SqlitePool,
    writer: Arc<Mutex<SqliteConnection>>,
}

impl Records {
    /// Opens the database, creates it if there is none, and brings its schema up to date.
    pub async fn open(path: &Path) -> Result<Self, RecordsError> {
        let fail = |source| RecordsError::Open { path: path.to_owned(), source };
        let options = SqliteConnectOptions::new()
            .filename(path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .page_size(PAGE_BYTES)
            .pragma("wal_autocheckpoint", CHECKPOINT_PAGES)
            .busy_timeout(BUSY_WAIT)
            .disable_statement_logging();
        let mut writer = options.clone().create_if_missing(true).connect().await.map_err(fail)?;
        let found = schema::migrate(&mut writer).await.map_err(fail)?;
        if found > schema::VERSION {
            return Err(RecordsError::Newer {
                path: path.to_owned(),
                found,
                known: schema::VERSION,
            });
        }
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .acquire_timeout(READ_WAIT)
            .connect_lazy_with(options.pragma("query_only", "ON"));
        Ok(Self { readers, writer: Arc::new(Mutex::new(writer)) })
    }

    /// Stores rows in one synced transaction: all or none. Rows that are there already stay as they are.
    pub async fn store(&self, records: &[Record]) -> Result<(), RecordsError> {
        if records.is_empty() {
            return Ok(());
        }
        let fail = |source| RecordsError::Sql { doing: "store finished calls", source };
        let mut writer = self.writer.lock().await;
        // Dropped before its commit, for an error or because the caller went away, it rolls back.
        let mut tx = writer.begin().await.map_err(fail)?;
        let (whole, rest) = records.as_chunks::<{ row::ROWS }>();
        let statements = whole.iter().map(|rows| &rows[..]).chain(rest.chunks(1));
        for rows in statements {
            let done = row::insert(rows)?.execute(&mut *tx).await.map_err(fail)?;
            if done.rows_affected() < rows.len() as u64 {
                for record in rows {
                    same_as_stored(&mut tx, record).await?;
                }
            }
        }
        tx.commit().await.map_err(fail)
    }

    /// The one connection that writes.
    pub(crate) async fn writer(&self) -> tokio::sync::MutexGuard<'_, SqliteConnection> {
        self.writer.lock().await
    }

    /// Finishes what is being written and closes every connection.
    pub async fn close(self) {
        self.readers.close().await;
        if let Ok(writer) = Arc::try_unwrap(self.writer) {
            // The last commit is synced already; a failed close leaves a WAL file that the next open takes up.
            if let Err(error) = writer.into_inner().close().await {
                tracing::warn!(%error, "records: not closed cleanly");
            }
        }
    }
}

async fn same_as_stored(db: &mut SqliteConnection, record: &Record) -> Result<(), RecordsError> {
    let stored = sqlx::query("SELECT * FROM calls WHERE call = ?")
        .bind(i64::try_from(record.call.0).unwrap_or(i64::MAX))
        .fetch_one(db)
        .await
        .map_err(|source| RecordsError::Sql { doing: "compare with a stored call", source })?;
    if row::read(&stored)? == *record {
        Ok(())
    } else {
        Err(RecordsError::Conflict { call: record.call })
    }
}
