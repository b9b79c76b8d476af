//! The schema and its versions. `user_version` counts the steps that a file has taken.

use sqlx::{Connection as _, Executor as _, SqliteConnection};

/// Every step from an empty file to the present schema. A step, once released, never changes.
const STEPS: &[&str] = &[STEP_1];

/// The version that a file has after every step.
pub(crate) const VERSION: i64 = STEPS.len() as i64;

/// Every index leads with the account, since no question crosses tenants, and ends with what the page
/// is ordered by, so that a page costs its own length and not the table's. Calls are numbered in the
/// order of acceptance, so that the newest is the highest number.
const STEP_1: &str = "
    CREATE TABLE calls (
        call        INTEGER PRIMARY KEY,
        seq         INTEGER NOT NULL,
        account     BLOB NOT NULL CHECK (length(account) = 16),
        called      TEXT NOT NULL,
        calling     TEXT NOT NULL,
        spec        TEXT NOT NULL,
        accepted_us INTEGER NOT NULL,
        due_us      INTEGER,
        held_by     TEXT NOT NULL,
        dialled_us  INTEGER,
        answered_us INTEGER,
        ended_us    INTEGER NOT NULL,
        attempts    INTEGER NOT NULL,
        carrier     TEXT,
        agent       TEXT,
        batch       INTEGER,
        custom_id   TEXT,
        outcome     TEXT NOT NULL,
        reason      TEXT NOT NULL,
        sip_code    INTEGER NOT NULL,
        ring_us     INTEGER NOT NULL,
        talk_us     INTEGER NOT NULL,
        digits      TEXT NOT NULL,
        confirmed   INTEGER NOT NULL
    ) STRICT;
    CREATE INDEX calls_by_account ON calls (account, call);
    CREATE INDEX calls_by_called  ON calls (account, called, call);
    CREATE INDEX calls_by_calling ON calls (account, calling, call);
    CREATE INDEX calls_by_outcome ON calls (account, outcome, call);
    CREATE INDEX calls_by_start   ON calls (account, dialled_us, call);
    CREATE INDEX calls_by_batch   ON calls (account, batch, call) WHERE batch IS NOT NULL;
    CREATE INDEX results_by_batch ON calls (account, batch, seq, outcome) WHERE batch IS NOT NULL;
";

/// Takes the steps that the file lacks, all or none. Answers the version found before.
///
/// A file of a later version is left alone: the caller refuses it by the answer.
pub(crate) async fn migrate(db: &mut SqliteConnection) -> Result<i64, sqlx::Error> {
    let mut tx = db.begin().await?;
    let found: i64 = sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut *tx).await?;
    if found < VERSION {
        for step in &STEPS[usize::try_from(found).unwrap_or(0)..] {
            tx.execute(sqlx::raw_sql(*step)).await?;
        }
        // PRAGMA takes no bound parameters; the value is a constant of ours.
        let set = sqlx::AssertSqlSafe(format!("PRAGMA user_version = {VERSION}"));
        tx.execute(sqlx::raw_sql(set)).await?;
    }
    tx.commit().await?;
    Ok(found)
}
