//! The questions that the API asks.

use std::ops::Range;

use busyhour_base::{AccountSid, Outcome, Timestamp};
use busyhour_controller_core::{
    spec::{BatchId, CallId},
    view::Record,
};
use sqlx::{QueryBuilder, Row as _, Sqlite};

use crate::{Records, RecordsError, row};

/// The longest page, whatever was asked.
pub const PAGE_MAX: u32 = 1_000;

/// Which finished calls of one account. What is `None` does not matter.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CallFilter {
    /// Whose.
    pub account: AccountSid,
    /// Called party, exactly as it was asked for.
    pub to: Option<String>,
    /// Calling party.
    pub from: Option<String>,
    /// How they ended.
    pub status: Option<Outcome>,
    /// Dialled from `start` up to but not at `end`. A call that was never dialled has no start time and is in no range.
    pub start_time: Option<Range<Timestamp>>,
    /// Ended from `start` up to but not at `end`.
    pub end_time: Option<Range<Timestamp>>,
    /// Of which batch.
    pub batch: Option<BatchId>,
}

impl CallFilter {
    /// Every finished call of an account.
    pub fn of(account: AccountSid) -> Self {
        Self {
            account,
            to: None,
            from: None,
            status: None,
            start_time: None,
            end_time: None,
            batch: None,
        }
    }
}

impl Records {
    /// One finished call, if it is this account's.
    pub async fn call(
        &self,
        account: AccountSid,
        call: CallId,
    ) -> Result<Option<Record>, RecordsError> {
        let mut sql = select();
        sql.push(" WHERE call = ").push_bind(integer(call.0));
        sql.push(" AND account = ").push_bind(row::account_key(account));
        Ok(self.records("fetch a call", &mut sql).await?.pop())
    }

    /// A finished call, whosever it is: for the operator.
    pub async fn call_of_any(&self, call: CallId) -> Result<Option<Record>, RecordsError> {
        let mut sql = select();
        sql.push(" WHERE call = ").push_bind(integer(call.0));
        Ok(self.records("fetch a call", &mut sql).await?.pop())
    }

    /// A page of finished calls, newest (highest number) first, those below `before` only. `limit` is clamped to
    /// [`PAGE_MAX`].
    pub async fn calls(
        &self,
        filter: &CallFilter,
        before: Option<CallId>,
        limit: u32,
    ) -> Result<Vec<Record>, RecordsError> {
        let mut sql = page(filter, before, limit);
        self.records("list calls", &mut sql).await
    }

    /// Results of a batch in the order in which its calls ended: those with a [`Record::seq`] above `after`. The
    /// last row's `seq` is the cursor for the next page, also for calls that end later. `limit` is clamped
    /// to [`PAGE_MAX`].
    pub async fn batch_results(
        &self,
        account: AccountSid,
        batch: BatchId,
        after: Option<u64>,
        limit: u32,
    ) -> Result<Vec<Record>, RecordsError> {
        let mut sql = results(account, batch, after, &[], limit);
        self.records("list a batch's results", &mut sql).await
    }

    /// The same, of these outcomes only.
    pub async fn batch_results_of(
        &self,
        account: AccountSid,
        batch: BatchId,
        after: u64,
        outcomes: &[Outcome],
        limit: u32,
    ) -> Result<Vec<Record>, RecordsError> {
        let mut sql = results(account, batch, Some(after), outcomes, limit);
        self.records("list a batch's results by outcome", &mut sql).await
    }

    /// How many finished calls of an account, or of one of its batches, ended how, by [`Outcome::ALL`].
    pub async fn outcomes(
        &self,
        account: AccountSid,
        batch: Option<BatchId>,
    ) -> Result<[u64; Outcome::ALL.len()], RecordsError> {
        let mut sql = QueryBuilder::new("SELECT outcome, count(*) FROM calls WHERE account = ");
        sql.push_bind(row::account_key(account));
        if let Some(batch) = batch {
            sql.push(" AND batch = ").push_bind(integer(batch.0));
        }
        sql.push(" GROUP BY outcome");
        let doing = "count calls";
        let fail = |source| RecordsError::Sql { doing, source };
        let rows = sql.build().fetch_all(&self.readers).await.map_err(fail)?;
        let mut counts = [0; Outcome::ALL.len()];
        for found in &rows {
            let word: &str = found.try_get(0).map_err(fail)?;
            let count: i64 = found.try_get(1).map_err(fail)?;
            if let Some(at) = Outcome::ALL.iter().position(|o| o.as_str() == word) {
                counts[at] = count.unsigned_abs();
            }
        }
        Ok(counts)
    }

    /// How many calls are recorded, over all accounts.
    pub async fn total(&self) -> Result<u64, RecordsError> {
        let fail = |source| RecordsError::Sql { doing: "count all calls", source };
        let total: i64 = sqlx::query_scalar("SELECT count(*) FROM calls")
            .fetch_one(&self.readers)
            .await
            .map_err(fail)?;
        Ok(total.unsigned_abs())
    }

    async fn records(
        &self,
        doing: &'static str,
        sql: &mut QueryBuilder<Sqlite>,
    ) -> Result<Vec<Record>, RecordsError> {
        let rows = sql
            .build()
            .fetch_all(&self.readers)
            .await
            .map_err(|source| RecordsError::Sql { doing, source })?;
        rows.iter().map(row::read).collect()
    }
}

fn select() -> QueryBuilder<Sqlite> {
    QueryBuilder::new(format!("SELECT {} FROM calls", row::COLUMNS))
}

fn page(filter: &CallFilter, before: Option<CallId>, limit: u32) -> QueryBuilder<Sqlite> {
    let mut sql = select();
    sql.push(" WHERE account = ").push_bind(row::account_key(filter.account));
    if let Some(to) = &filter.to {
        sql.push(" AND called = ").push_bind(to.clone());
    }
    if let Some(from) = &filter.from {
        sql.push(" AND calling = ").push_bind(from.clone());
    }
    if let Some(status) = filter.status {
        sql.push(" AND outcome = ").push_bind(status.as_str());
    }
    if let Some(batch) = filter.batch {
        sql.push(" AND batch = ").push_bind(integer(batch.0));
    }
    if let Some(range) = &filter.start_time {
        sql.push(" AND dialled_us >= ").push_bind(integer(range.start.0));
        sql.push(" AND dialled_us < ").push_bind(integer(range.end.0));
    }
    if let Some(range) = &filter.end_time {
        sql.push(" AND ended_us >= ").push_bind(integer(range.start.0));
        sql.push(" AND ended_us < ").push_bind(integer(range.end.0));
    }
    if let Some(before) = before {
        sql.push(" AND call < ").push_bind(integer(before.0));
    }
    // A batch is in order of its endings: the plus keeps SQLite from walking the whole account in order of calls instead.
    let order = if filter.batch.is_some() {
        " ORDER BY +call DESC LIMIT "
    } else {
        " ORDER BY call DESC LIMIT "
    };
    sql.push(order).push_bind(i64::from(limit.min(PAGE_MAX)));
    sql
}

fn results(
    account: AccountSid,
    batch: BatchId,
    after: Option<u64>,
    outcomes: &[Outcome],
    limit: u32,
) -> QueryBuilder<Sqlite> {
    let mut sql = select();
    sql.push(" WHERE account = ").push_bind(row::account_key(account));
    sql.push(" AND batch = ").push_bind(integer(batch.0));
    if let Some(after) = after {
        sql.push(" AND seq > ").push_bind(integer(after));
    }
    if !outcomes.is_empty() {
        let mut words = sql.push(" AND outcome IN (").separated(", ");
        for outcome in outcomes {
            words.push_bind(outcome.as_str());
        }
        sql.push(")");
    }
    sql.push(" ORDER BY seq LIMIT ").push_bind(i64::from(limit.min(PAGE_MAX)));
    sql
}

/// A bound to compare with. Nothing above SQLite's largest integer is ever stored, so that a bound beyond it
/// means the same as the largest.
fn integer(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
#[path = "query_tests.rs"]
mod tests;
