//! The schema and its versions. `user_version` counts the steps that a file has taken.

use sqlx::{Connection as _, Executor as _, SqliteConnection};

/// Every step from an empty file to the present schema. A step, once released, never changes.
const STEPS: &[&str] = &[STEP_1, crate::messages::TABLES];

/// The version that a file has after every step.
pub(crate) const VERSION: i64 = STEPS.len() as i64;

/// Every index leads with the account, since no question crosses tenants. Calls are numbered in the order of
/// acceptance, so that the newest is the highest number.
///
/// - By account, by called party and by batch a page costs its own length.
/// - Outcome, calling party and times are read along in the index by account: a page costs as many of its
///   entries as it passes over, and no row. An index for each would make that constant, but every index
///   makes each finished call dearer to store, and calls finish far more often than anyone looks for a rare
///   outcome.
const STEP_1: &str = "
    CREATE TABLE calls (
        call        INTEGER PRIMARY KEY,
        seq         INTEGER NOT NULL,
        account     BLOB NOT NULL CHECK (length(account) = 16),
        called      TEXT NOT NULL,
        calling     TEXT NOT NULL,
        spec        TEXT NOT NULL,
        application BLOB CHECK (length(application) = 16),
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
        confirmed   INTEGER NOT NULL,
        earlier     TEXT
    ) STRICT;
    CREATE INDEX calls_by_account ON calls (account, call, outcome, calling, dialled_us, ended_us);
    CREATE INDEX calls_by_called  ON calls (account, called, call);
    CREATE INDEX calls_by_batch   ON calls (account, batch, seq, outcome) WHERE batch IS NOT NULL;
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
