//! One message as a row.

use std::sync::Arc;

use busyhour_base::{
    AccountSid, Body, MessageSpec, MessageStatus, Reason, Segments, Timestamp, message::Encoding,
};
use busyhour_controller_core::{
    message::{MessageId, MessageRecord},
    spec::BatchId,
};
use sha2::{Digest as _, Sha256};
use sqlx::{Row as _, SqliteConnection, sqlite::SqliteRow};

use super::{failed, integer};
use crate::{RecordsError, row::account_key};

/// The columns in the order in which [`insert`] gives them.
const COLUMNS: &str = "message, seq, account, recipient, sender, direction, spec, body, encoding, segments, status, reason, \
     accepted_us, due_us, held_by, sent_us, ended_us, attempts, carrier, reference, batch, custom_id, earlier";

/// What a query reads: every column, and the text.
pub(super) const SELECT: &str =
    "SELECT messages.*, bodies.text FROM messages LEFT JOIN bodies ON bodies.hash = messages.body";

/// Stores one row and its text, unless they are there.
pub(super) async fn insert(
    db: &mut SqliteConnection,
    record: &MessageRecord,
) -> Result<(), RecordsError> {
    let doing = "store finished messages";
    let hash = Sha256::digest(record.body.text()).to_vec();
    sqlx::query("INSERT INTO bodies (hash, text) VALUES (?, ?) ON CONFLICT (hash) DO NOTHING")
        .bind(&hash)
        .bind(record.body.text())
        .execute(&mut *db)
        .await
        .map_err(failed(doing))?;
    let spec = serde_json::to_string(&*record.spec)
        .map_err(|source| RecordsError::MessageSpec { message: record.message, source })?;
    let earlier = (!record.earlier.is_empty())
        .then(|| serde_json::to_string(&record.earlier))
        .transpose()
        .map_err(|source| RecordsError::MessageSpec { message: record.message, source })?;
    let marks = vec!["?"; COLUMNS.split(',').count()].join(",");
    let sql = format!(
        "INSERT INTO messages ({COLUMNS}) VALUES ({marks}) ON CONFLICT (message) DO NOTHING"
    );
    // It is made of constants.
    let done = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(integer(record.message.0))
        .bind(integer(record.seq))
        .bind(account_key(record.account))
        .bind(&record.spec.to)
        .bind(&record.spec.from)
        .bind(record.spec.direction.as_str())
        .bind(spec)
        .bind(&hash)
        .bind(record.segments.encoding.as_str())
        .bind(i64::from(record.segments.count))
        .bind(record.status.as_str())
        .bind(record.reason.code())
        .bind(integer(record.accepted_at.0))
        .bind(record.due.map(|at| integer(at.0)))
        .bind(record.held_by.code())
        .bind(record.sent_at.map(|at| integer(at.0)))
        .bind(integer(record.ended_at.0))
        .bind(i64::from(record.attempts))
        .bind(record.carrier.as_deref())
        .bind(record.reference.as_deref())
        .bind(record.batch.map(|batch| integer(batch.0)))
        .bind(record.custom_id.as_deref())
        .bind(earlier)
        .execute(&mut *db)
        .await
        .map_err(failed(doing))?;
    if done.rows_affected() > 0 {
        return Ok(());
    }
    // It is there already: stored by the process before this one, which ended before the log knew.
    let sql = format!("{SELECT} WHERE message = ?");
    let stored = sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(integer(record.message.0))
        .fetch_one(db)
        .await
        .map_err(failed(doing))?;
    if read(&stored)? == *record {
        Ok(())
    } else {
        Err(RecordsError::MessageConflict { message: record.message })
    }
}

/// The message that a row of [`SELECT`] holds. A text that was taken out is empty.
pub(super) fn read(row: &SqliteRow) -> Result<MessageRecord, RecordsError> {
    let message: i64 = column(row, "message")?;
    let damaged = |column, expected| RecordsError::DamagedMessage { message, column, expected };
    let number = |name| -> Result<u64, RecordsError> {
        u64::try_from(column::<i64>(row, name)?).map_err(|_| damaged(name, "number from 0"))
    };
    let instant = |name| -> Result<Option<Timestamp>, RecordsError> {
        let value = column::<Option<i64>>(row, name)?.map(u64::try_from).transpose();
        Ok(value.map_err(|_| damaged(name, "number from 0"))?.map(Timestamp))
    };
    let small =
        |name| u16::try_from(number(name)?).map_err(|_| damaged(name, "number up to 65535"));
    let reason =
        |name| Reason::from_code(column(row, name)?).ok_or_else(|| damaged(name, "reason's code"));
    let account: Vec<u8> = column(row, "account")?;
    let account =
        <[u8; 16]>::try_from(account).map_err(|_| damaged("account", "account of 16 bytes"))?;
    let spec: MessageSpec = serde_json::from_str(column(row, "spec")?)
        .map_err(|_| damaged("spec", "message's request"))?;
    let word: &str = column(row, "encoding")?;
    let encoding = [Encoding::Gsm7, Encoding::Ucs2].into_iter().find(|e| e.as_str() == word);
    let status: &str = column(row, "status")?;
    let text: Option<&str> = column(row, "text")?;
    let earlier = column::<Option<&str>>(row, "earlier")?.map(serde_json::from_str).transpose();
    let earlier = earlier.map_err(|_| damaged("earlier", "list of attempts"))?;
    let batch = column::<Option<i64>>(row, "batch")?.map(u64::try_from).transpose();
    let batch = batch.map_err(|_| damaged("batch", "number from 0"))?;
    Ok(MessageRecord {
        seq: number("seq")?,
        message: MessageId(number("message")?),
        account: AccountSid(u128::from_be_bytes(account)),
        spec: Arc::new(spec),
        body: Body::from(text.unwrap_or_default()),
        segments: Segments {
            encoding: encoding.ok_or_else(|| damaged("encoding", "alphabet"))?,
            count: small("segments")?,
        },
        status: MessageStatus::from_word(status).ok_or_else(|| damaged("status", "status"))?,
        reason: reason("reason")?,
        accepted_at: Timestamp(number("accepted_us")?),
        due: instant("due_us")?,
        held_by: reason("held_by")?,
        sent_at: instant("sent_us")?,
        ended_at: Timestamp(number("ended_us")?),
        attempts: small("attempts")?,
        carrier: column::<Option<&str>>(row, "carrier")?.map(Arc::from),
        reference: column::<Option<&str>>(row, "reference")?.map(Arc::from),
        batch: batch.map(BatchId),
        custom_id: column::<Option<&str>>(row, "custom_id")?.map(Arc::from),
        earlier: earlier.unwrap_or_default(),
    })
}

fn column<'r, T>(row: &'r SqliteRow, name: &'static str) -> Result<T, RecordsError>
where
    T: sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite>,
{
    row.try_get(name).map_err(failed("read a message"))
}
