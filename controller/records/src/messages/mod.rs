//! Finished messages. A row stays as it is but for two things that its tenant may ask for: its text is taken out
//! ([`Records::redact_message`]), or all of it ([`Records::delete_message`]).
//!
//! A text is stored once, under its hash, however many messages have it; it goes with the last of them.

mod query;
mod row;

use busyhour_base::AccountSid;
use busyhour_controller_core::message::{MessageId, MessageRecord};
use sqlx::{Connection as _, Row as _, SqliteConnection};

pub use query::MessageFilter;

use crate::{Records, RecordsError};

/// The tables. By account, and by either party, a page costs its own length.
pub(crate) const TABLES: &str = "
    CREATE TABLE bodies (
        hash BLOB PRIMARY KEY CHECK (length(hash) = 32),
        text TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE messages (
        message     INTEGER PRIMARY KEY,
        seq         INTEGER NOT NULL,
        account     BLOB NOT NULL CHECK (length(account) = 16),
        recipient   TEXT NOT NULL,
        sender      TEXT NOT NULL,
        direction   TEXT NOT NULL,
        spec        TEXT NOT NULL,
        body        BLOB REFERENCES bodies (hash),
        encoding    TEXT NOT NULL,
        segments    INTEGER NOT NULL,
        status      TEXT NOT NULL,
        reason      TEXT NOT NULL,
        accepted_us INTEGER NOT NULL,
        due_us      INTEGER,
        held_by     TEXT NOT NULL,
        sent_us     INTEGER,
        ended_us    INTEGER NOT NULL,
        attempts    INTEGER NOT NULL,
        carrier     TEXT,
        reference   TEXT,
        batch       INTEGER,
        custom_id   TEXT,
        earlier     TEXT
    ) STRICT;
    CREATE INDEX messages_by_account   ON messages (account, message, sent_us);
    CREATE INDEX messages_by_recipient ON messages (account, recipient, message);
    CREATE INDEX messages_by_sender    ON messages (account, sender, message);
    CREATE INDEX messages_by_batch     ON messages (account, batch, seq, status) WHERE batch IS NOT NULL;
    CREATE INDEX messages_by_body      ON messages (body) WHERE body IS NOT NULL;
";

impl Records {
    /// Stores rows in one synced transaction: all or none. Rows that are there already stay as they are.
    pub async fn store_messages(&self, records: &[MessageRecord]) -> Result<(), RecordsError> {
        if records.is_empty() {
            return Ok(());
        }
        let mut writer = self.writer().await;
        // Dropped before its commit, for an error or because the caller went away, it rolls back.
        let mut tx = writer.begin().await.map_err(failed("store finished messages"))?;
        for record in records {
            row::insert(&mut tx, record).await?;
        }
        tx.commit().await.map_err(failed("store finished messages"))
    }

    /// Takes the text out of a recorded message of this account. Answers whether there is such a message.
    pub async fn redact_message(
        &self,
        account: AccountSid,
        message: MessageId,
    ) -> Result<bool, RecordsError> {
        let update = "UPDATE messages SET body = NULL WHERE message = ?";
        self.without_body(account, message, "redact a message", update).await
    }

    /// Deletes a recorded message of this account. Answers whether there was such a message.
    pub async fn delete_message(
        &self,
        account: AccountSid,
        message: MessageId,
    ) -> Result<bool, RecordsError> {
        let delete = "DELETE FROM messages WHERE message = ?";
        self.without_body(account, message, "delete a message", delete).await
    }

    /// Does `change` to a recorded message of this account, and drops its text if it was the last to have it. Answers
    /// whether there is such a message.
    async fn without_body(
        &self,
        account: AccountSid,
        message: MessageId,
        doing: &'static str,
        change: &'static str,
    ) -> Result<bool, RecordsError> {
        let mut writer = self.writer().await;
        let mut tx = writer.begin().await.map_err(failed(doing))?;
        let Some(body) = body_of(&mut tx, account, message).await.map_err(failed(doing))? else {
            return Ok(false);
        };
        let change = sqlx::query(change).bind(integer(message.0));
        change.execute(&mut *tx).await.map_err(failed(doing))?;
        drop_body(&mut tx, body).await.map_err(failed(doing))?;
        tx.commit().await.map_err(failed(doing))?;
        Ok(true)
    }
}

/// The hash of a message's text, if the message is this account's; `Some(None)` if its text was taken out.
async fn body_of(
    db: &mut SqliteConnection,
    account: AccountSid,
    message: MessageId,
) -> Result<Option<Option<Vec<u8>>>, sqlx::Error> {
    let found = sqlx::query("SELECT body FROM messages WHERE message = ? AND account = ?")
        .bind(integer(message.0))
        .bind(crate::row::account_key(account))
        .fetch_optional(db)
        .await?;
    found.map(|found| found.try_get(0)).transpose()
}

/// Drops a text that no message has any more.
async fn drop_body(db: &mut SqliteConnection, body: Option<Vec<u8>>) -> Result<(), sqlx::Error> {
    let Some(body) = body else { return Ok(()) };
    sqlx::query(
        "DELETE FROM bodies WHERE hash = ?1 AND NOT EXISTS (SELECT 1 FROM messages WHERE body = ?1)",
    )
    .bind(body)
    .execute(db)
    .await
    .map(drop)
}

/// A bound to compare with; see `query::integer` of calls.
fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

fn failed(doing: &'static str) -> impl Fn(sqlx::Error) -> RecordsError {
    move |source| RecordsError::Sql { doing, source }
}

#[cfg(test)]
mod tests;
