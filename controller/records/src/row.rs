//! Between a [`Record`] and its row.

use std::sync::{Arc, LazyLock};

use busyhour_base::{
    AccountSid, ApplicationSid, CallSpec, Ending, Outcome, Reason, Span, Timestamp,
};
use busyhour_controller_core::{
    spec::{BatchId, CallId},
    view::Record,
};
use sqlx::{
    Row as _, Sqlite,
    query::Query,
    sqlite::{SqliteArguments, SqliteRow},
};

use crate::RecordsError;

/// The columns in the order in which [`bind`] gives them and [`read`] takes them.
pub(crate) const COLUMNS: &str = "call, seq, account, called, calling, spec, application, accepted_us, due_us, held_by, dialled_us, answered_us, ended_us, \
     attempts, carrier, agent, batch, custom_id, outcome, reason, sip_code, ring_us, talk_us, digits, confirmed, \
     earlier";

/// Rows of one statement. Each statement is a message to SQLite's thread and back, which costs more than a row does.
pub(crate) const ROWS: usize = 64;

/// Stores one row, unless there is one of that number.
static INSERT_ONE: LazyLock<String> = LazyLock::new(|| insert_sql(1));

/// The same for [`ROWS`] rows.
static INSERT_ROWS: LazyLock<String> = LazyLock::new(|| insert_sql(ROWS));

fn insert_sql(rows: usize) -> String {
    let columns = COLUMNS.split(',').count();
    let row = format!("({})", vec!["?"; columns].join(","));
    let rows = vec![row; rows].join(",");
    format!("INSERT INTO calls ({COLUMNS}) VALUES {rows} ON CONFLICT (call) DO NOTHING")
}

/// A statement that stores one record, or [`ROWS`] of them.
pub(crate) fn insert(
    records: &[Record],
) -> Result<Query<'_, Sqlite, SqliteArguments>, RecordsError> {
    let sql = if records.len() == ROWS { &INSERT_ROWS } else { &INSERT_ONE };
    records.iter().try_fold(sqlx::query(LazyLock::force(sql).as_str()), bind)
}

/// Binds the parameters of one row, in the order of [`COLUMNS`].
fn bind<'q>(
    query: Query<'q, Sqlite, SqliteArguments>,
    record: &'q Record,
) -> Result<Query<'q, Sqlite, SqliteArguments>, RecordsError> {
    let fits = |column, value: u64| {
        i64::try_from(value).map_err(|_| RecordsError::Range { call: record.call, column, value })
    };
    let instant = |column, at: Option<Timestamp>| at.map(|at| fits(column, at.0)).transpose();
    let spec = serde_json::to_string(&*record.spec)
        .map_err(|source| RecordsError::Spec { call: record.call, source })?;
    let earlier = (!record.earlier.is_empty())
        .then(|| serde_json::to_string(&record.earlier))
        .transpose()
        .map_err(|source| RecordsError::Spec { call: record.call, source })?;
    let ending = &record.ending;
    Ok(query
        .bind(fits("call", record.call.0)?)
        .bind(fits("seq", record.seq)?)
        .bind(account_key(record.account))
        .bind(&*record.spec.to)
        .bind(&*record.spec.from)
        .bind(spec)
        .bind(record.application.map(|application| application.0.to_be_bytes().to_vec()))
        .bind(fits("accepted_us", record.accepted_at.0)?)
        .bind(instant("due_us", record.due)?)
        .bind(record.held_by.code())
        .bind(instant("dialled_us", record.dialled_at)?)
        .bind(instant("answered_us", record.answered_at)?)
        .bind(fits("ended_us", record.ended_at.0)?)
        .bind(i64::from(record.attempts))
        .bind(record.carrier.as_deref())
        .bind(record.agent.as_deref())
        .bind(record.batch.map(|batch| fits("batch", batch.0)).transpose()?)
        .bind(record.custom_id.as_deref())
        .bind(ending.outcome.as_str())
        .bind(ending.reason.code())
        .bind(i64::from(ending.sip_code))
        .bind(fits("ring_us", ending.ring.0)?)
        .bind(fits("talk_us", ending.talk.0)?)
        .bind(&*ending.digits)
        .bind(ending.confirmed)
        .bind(earlier))
}

/// How an account stands in a row: its 16 bytes.
pub(crate) fn account_key(account: AccountSid) -> Vec<u8> {
    account.0.to_be_bytes().to_vec()
}

/// The final status that a stored word stands for.
pub(crate) fn outcome(word: &str) -> Option<Outcome> {
    Outcome::ALL.into_iter().find(|o| o.as_str() == word)
}

/// The record that a row of [`COLUMNS`] holds.
pub(crate) fn read(row: &SqliteRow) -> Result<Record, RecordsError> {
    let cells = Cells { row, call: row.try_get("call").map_err(sql)? };
    let account: Vec<u8> = row.try_get("account").map_err(sql)?;
    let account = <[u8; 16]>::try_from(account)
        .map_err(|bytes| cells.damaged("account", format!("{bytes:?}"), "account of 16 bytes"))?;
    let spec: &str = row.try_get("spec").map_err(sql)?;
    let spec: CallSpec = serde_json::from_str(spec)
        .map_err(|e| cells.damaged("spec", format!("{e}: {spec}"), "call's request"))?;
    let word: &str = row.try_get("outcome").map_err(sql)?;
    let outcome =
        outcome(word).ok_or_else(|| cells.damaged("outcome", word.to_owned(), "final status"))?;
    let earlier: Option<&str> = row.try_get("earlier").map_err(sql)?;
    let earlier = earlier.map(serde_json::from_str).transpose();
    let earlier =
        earlier.map_err(|e| cells.damaged("earlier", e.to_string(), "list of attempts"))?;
    Ok(Record {
        seq: cells.number("seq")?,
        call: CallId(cells.number("call")?),
        account: AccountSid(u128::from_be_bytes(account)),
        spec: Arc::new(spec),
        application: cells.application()?,
        accepted_at: Timestamp(cells.number("accepted_us")?),
        due: cells.optional("due_us")?.map(Timestamp),
        held_by: cells.reason("held_by")?,
        dialled_at: cells.optional("dialled_us")?.map(Timestamp),
        answered_at: cells.optional("answered_us")?.map(Timestamp),
        ended_at: Timestamp(cells.number("ended_us")?),
        attempts: cells.small("attempts")?,
        carrier: cells.text("carrier")?,
        agent: cells.text("agent")?,
        batch: cells.optional("batch")?.map(BatchId),
        custom_id: cells.text("custom_id")?,
        ending: Ending {
            outcome,
            reason: cells.reason("reason")?,
            sip_code: cells.small("sip_code")?,
            ring: Span(cells.number("ring_us")?),
            talk: Span(cells.number("talk_us")?),
            digits: row.try_get("digits").map_err(sql)?,
            confirmed: row.try_get("confirmed").map_err(sql)?,
        },
        earlier: earlier.unwrap_or_default(),
    })
}

/// A row with its number at hand, for errors that say where.
struct Cells<'r> {
    row: &'r SqliteRow,
    call: i64,
}

impl Cells<'_> {
    fn damaged(&self, column: &'static str, value: String, expected: &'static str) -> RecordsError {
        RecordsError::Damaged {
            call: self.call,
            column,
            value: value.chars().take(64).collect(),
            expected,
        }
    }

    fn optional(&self, column: &'static str) -> Result<Option<u64>, RecordsError> {
        let value: Option<i64> = self.row.try_get(column).map_err(sql)?;
        value
            .map(|value| {
                u64::try_from(value)
                    .map_err(|_| self.damaged(column, value.to_string(), "number from 0"))
            })
            .transpose()
    }

    fn number(&self, column: &'static str) -> Result<u64, RecordsError> {
        self.optional(column)?
            .ok_or_else(|| self.damaged(column, "NULL".to_owned(), "number from 0"))
    }

    fn small(&self, column: &'static str) -> Result<u16, RecordsError> {
        let value = self.number(column)?;
        u16::try_from(value)
            .map_err(|_| self.damaged(column, value.to_string(), "number up to 65535"))
    }

    fn reason(&self, column: &'static str) -> Result<Reason, RecordsError> {
        let code: &str = self.row.try_get(column).map_err(sql)?;
        Reason::from_code(code)
            .ok_or_else(|| self.damaged(column, code.to_owned(), "reason's code"))
    }

    fn application(&self) -> Result<Option<ApplicationSid>, RecordsError> {
        let bytes: Option<Vec<u8>> = self.row.try_get("application").map_err(sql)?;
        let sid = bytes.map(<[u8; 16]>::try_from).transpose().map_err(|bytes| {
            self.damaged("application", format!("{bytes:?}"), "application of 16 bytes")
        })?;
        Ok(sid.map(|sid| ApplicationSid(u128::from_be_bytes(sid))))
    }

    fn text(&self, column: &'static str) -> Result<Option<Arc<str>>, RecordsError> {
        let text: Option<&str> = self.row.try_get(column).map_err(sql)?;
        Ok(text.map(Arc::from))
    }
}

fn sql(source: sqlx::Error) -> RecordsError {
    RecordsError::Sql { doing: "read a row", source }
}
