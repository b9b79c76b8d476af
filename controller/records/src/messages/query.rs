//! The questions that the API asks about messages.

use std::ops::Range;

use busyhour_base::{AccountSid, Timestamp};
use busyhour_controller_core::message::{MessageId, MessageRecord};
use sqlx::{QueryBuilder, Sqlite};

use super::{failed, integer, row};
use crate::{PAGE_MAX, Records, RecordsError, row::account_key};

/// Which finished messages of one account. What is `None` does not matter.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct MessageFilter {
    /// Recipient.
    pub to: Option<String>,
    /// Sender.
    pub from: Option<String>,
    /// Sent, or received, from `start` up to but not at `end`. What was never sent is in no range.
    pub sent: Option<Range<Timestamp>>,
}

impl Records {
    /// One finished message, if it is this account's.
    pub async fn message(
        &self,
        account: AccountSid,
        message: MessageId,
    ) -> Result<Option<MessageRecord>, RecordsError> {
        let mut sql = QueryBuilder::new(row::SELECT);
        sql.push(" WHERE message = ").push_bind(integer(message.0));
        sql.push(" AND account = ").push_bind(account_key(account));
        self.one_message(sql).await
    }

    /// A finished message, whosever it is: for the operator.
    pub async fn message_of_any(
        &self,
        message: MessageId,
    ) -> Result<Option<MessageRecord>, RecordsError> {
        let mut sql = QueryBuilder::new(row::SELECT);
        sql.push(" WHERE message = ").push_bind(integer(message.0));
        self.one_message(sql).await
    }

    async fn one_message(
        &self,
        mut sql: QueryBuilder<Sqlite>,
    ) -> Result<Option<MessageRecord>, RecordsError> {
        let found =
            sql.build().fetch_optional(&self.readers).await.map_err(failed("fetch a message"))?;
        found.as_ref().map(row::read).transpose()
    }

    /// A page of finished messages, newest (highest number) first, those below `before` only. `limit` is clamped to
    /// [`PAGE_MAX`].
    pub async fn messages(
        &self,
        account: AccountSid,
        filter: &MessageFilter,
        before: Option<MessageId>,
        limit: u32,
    ) -> Result<Vec<MessageRecord>, RecordsError> {
        let mut sql = QueryBuilder::new(row::SELECT);
        sql.push(" WHERE account = ").push_bind(account_key(account));
        if let Some(to) = &filter.to {
            sql.push(" AND recipient = ").push_bind(to.clone());
        }
        if let Some(from) = &filter.from {
            sql.push(" AND sender = ").push_bind(from.clone());
        }
        if let Some(range) = &filter.sent {
            sql.push(" AND sent_us >= ").push_bind(integer(range.start.0));
            sql.push(" AND sent_us < ").push_bind(integer(range.end.0));
        }
        if let Some(before) = before {
            sql.push(" AND message < ").push_bind(integer(before.0));
        }
        sql.push(" ORDER BY message DESC LIMIT ").push_bind(i64::from(limit.min(PAGE_MAX)));
        let rows = sql.build().fetch_all(&self.readers).await.map_err(failed("list messages"))?;
        rows.iter().map(row::read).collect()
    }
}
