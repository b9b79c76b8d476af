//! The questions that the API asks about messages.

use std::ops::Range;

use busyhour_base::{AccountSid, MessageStatus, Timestamp};
use busyhour_controller_core::{
    message::{MessageId, MessageRecord},
    spec::BatchId,
};
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

    /// Results of a batch of messages in the order in which these ended, as those of calls are given
    /// ([`Records::batch_results`]); with `statuses` those that ended so only.
    pub async fn batch_messages(
        &self,
        account: AccountSid,
        batch: BatchId,
        after: Option<u64>,
        statuses: &[MessageStatus],
        limit: u32,
    ) -> Result<Vec<MessageRecord>, RecordsError> {
        let mut sql = QueryBuilder::new(row::SELECT);
        sql.push(" WHERE account = ").push_bind(account_key(account));
        sql.push(" AND batch = ").push_bind(integer(batch.0));
        if let Some(after) = after {
            sql.push(" AND seq > ").push_bind(integer(after));
        }
        if !statuses.is_empty() {
            let mut wanted = sql.push(" AND status IN (").separated(", ");
            for status in statuses {
                wanted.push_bind(status.as_str());
            }
            sql.push(")");
        }
        sql.push(" ORDER BY seq LIMIT ").push_bind(i64::from(limit.min(PAGE_MAX)));
        let rows = sql.build().fetch_all(&self.readers).await;
        let rows = rows.map_err(failed("list a batch's messages"))?;
        rows.iter().map(row::read).collect()
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
