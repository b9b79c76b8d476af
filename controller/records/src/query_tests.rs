//! That no page reads more than itself, at 100,000 rows.

use std::{sync::Arc, time::Instant};

use busyhour_base::{
    ApplicationSid, CallSpec, Direction, Ending, Instructions, Method, Reason, Span, StatusEvents,
    Webhook,
};

use busyhour_controller_core::view::Attempt;

use super::*;

const ROWS: u64 = 100_000;
const ACCOUNTS: u64 = 4;

fn account(n: u64) -> AccountSid {
    AccountSid(u128::from(n % ACCOUNTS) + 1)
}

fn attempt(n: u64) -> Attempt {
    Attempt {
        number: 1,
        carrier: "north".into(),
        agent: "agent-1".into(),
        held_by: Reason::Throttle,
        due: Timestamp(n),
        dialled_at: Timestamp(n + 1),
        ended_at: Timestamp(n + 2),
        outcome: Outcome::Busy,
        reason: Reason::Busy,
        sip_code: 486,
        ring: Span::from_millis(n),
        passed_on: n.is_multiple_of(2),
    }
}

fn record(n: u64) -> Record {
    let outcome = Outcome::ALL[(n / ACCOUNTS % 5) as usize];
    Record {
        seq: n,
        call: CallId(n),
        account: account(n),
        spec: Arc::new(CallSpec {
            to: format!("+4930{:07}", n % 1_000),
            from: format!("+4989{:07}", n % 10),
            instructions: Instructions::Url(Webhook {
                url: "https://app.example/answer.xml".to_owned(),
                method: Method::Post,
            }),
            fallback: None,
            status_callback: None,
            status_events: StatusEvents::default(),
            send_digits: None,
            ring_timeout: Span::from_secs(60),
            time_limit: Span::from_secs(14_400),
            direction: Direction::OutboundApi,
        }),
        application: n.is_multiple_of(5).then_some(ApplicationSid(n.into())),
        accepted_at: Timestamp(n * 1_000),
        due: (!n.is_multiple_of(3)).then_some(Timestamp(n * 1_000 + 400)),
        held_by: Reason::Throttle,
        dialled_at: (!n.is_multiple_of(3)).then_some(Timestamp(n * 1_000 + 500)),
        answered_at: None,
        ended_at: Timestamp(n * 1_000 + 900),
        attempts: 1,
        carrier: Some("north".into()),
        agent: Some("agent-1".into()),
        batch: n.is_multiple_of(2).then_some(BatchId(n % 8)),
        custom_id: Some(format!("row-{n}").into()),
        earlier: n.is_multiple_of(7).then(|| attempt(n)).into_iter().collect(),
        ending: Ending {
            outcome,
            reason: Reason::Completed,
            sip_code: 200,
            ring: Span(300),
            talk: Span(100),
            digits: "12#".to_owned(),
            confirmed: true,
        },
    }
}

async fn filled() -> (tempfile::TempDir, Records) {
    let dir = tempfile::tempdir().unwrap();
    let records = Records::open(&dir.path().join("records.db")).await.unwrap();
    let began = Instant::now();
    let all: Vec<Record> = (1..=ROWS).map(record).collect();
    for chunk in all.chunks(1_000) {
        records.store(chunk).await.unwrap();
    }
    eprintln!("stored {ROWS} rows in {:?}", began.elapsed());
    (dir, records)
}

/// What SQLite would do: its plan, line by line.
async fn plan(records: &Records, sql: QueryBuilder<Sqlite>) -> Vec<String> {
    let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {}", sql.into_string()));
    // Unbound parameters are NULL, which is all that a plan needs.
    let rows = sqlx::query(explain).fetch_all(&records.readers).await.unwrap();
    rows.iter().map(|row| row.get::<String, _>("detail")).collect()
}

#[tokio::test]
async fn every_page_of_every_filter_is_read_from_an_index() {
    let (_dir, records) = filled().await;
    let base = CallFilter::of(account(1));
    let with = |change: fn(&mut CallFilter)| {
        let mut filter = base.clone();
        change(&mut filter);
        filter
    };
    let ordered = [
        with(|_| {}),
        with(|f| f.to = Some("+49301".to_owned())),
        with(|f| f.from = Some("+49891".to_owned())),
        with(|f| f.status = Some(Outcome::Busy)),
        with(|f| f.start_time = Some(Timestamp(7)..Timestamp(9))),
        with(|f| {
            f.to = Some("+49301".to_owned());
            f.status = Some(Outcome::Busy);
        }),
    ];
    for filter in ordered {
        for before in [None, Some(CallId(50_000))] {
            let plan = plan(&records, page(&filter, before, 50)).await;
            assert_eq!(plan.len(), 1, "{filter:?}: {plan:?}");
            assert!(plan[0].contains("USING INDEX calls_by_"), "{filter:?}: {plan:?}");
            assert!(plan[0].contains("account=?"), "{filter:?}: {plan:?}");
        }
    }
    // A batch is sorted, and no more than it.
    let batch = with(|f| f.batch = Some(BatchId(2)));
    let sorted = plan(&records, page(&batch, None, 50)).await;
    assert!(sorted[0].contains("calls_by_batch (account=? AND batch=?)"), "{sorted:?}");
    let plan = plan(&records, results(account(1), BatchId(2), Some(7), &[], 50)).await;
    assert_eq!(plan.len(), 1, "{plan:?}");
    assert!(plan[0].contains("calls_by_batch (account=? AND batch=? AND seq>?)"), "{plan:?}");
    let of = [Outcome::Busy, Outcome::Failed];
    let of = self::plan(&records, results(account(1), BatchId(2), Some(7), &of, 50)).await;
    assert_eq!(of, plan);
}

#[tokio::test]
async fn pages_join_without_gap_or_repeat_and_hold_only_what_was_asked() {
    let (_dir, records) = filled().await;
    let mut filter = CallFilter::of(account(2));
    filter.status = Some(Outcome::Failed);
    filter.start_time = Some(Timestamp(20_000_000)..Timestamp(90_000_000));
    let expected: Vec<u64> = (1..=ROWS)
        .rev()
        .map(record)
        .filter(|r| r.account == account(2) && r.ending.outcome == Outcome::Failed)
        .filter(|r| r.dialled_at.is_some_and(|at| (20_000_000..90_000_000).contains(&at.0)))
        .map(|r| r.call.0)
        .collect();
    assert!(expected.len() > 2_000, "{}", expected.len());
    let mut found = Vec::new();
    let mut before = None;
    loop {
        let page = records.calls(&filter, before, 500).await.unwrap();
        let Some(last) = page.last() else { break };
        before = Some(last.call);
        assert!(page.iter().all(|r| *r == record(r.call.0)));
        found.extend(page.iter().map(|r| r.call.0));
    }
    assert_eq!(found, expected);

    let all = records.outcomes(account(2), None).await.unwrap();
    assert_eq!(all.iter().sum::<u64>(), ROWS / ACCOUNTS);
    assert_eq!(records.total().await.unwrap(), ROWS);
    let batch = records.outcomes(account(2), Some(BatchId(2))).await.unwrap();
    let expected = (1..=ROWS).filter(|n| *n % 8 == 2).count() as u64;
    assert_eq!(batch.iter().sum::<u64>(), expected);
    let first = records.batch_results(account(2), BatchId(2), None, 3).await.unwrap();
    assert_eq!(first.iter().map(|r| r.seq).collect::<Vec<_>>(), [2, 10, 18]);
    let next = records.batch_results(account(2), BatchId(2), Some(18), 1).await.unwrap();
    assert_eq!(next[0].seq, 26);
    let busy = [Outcome::Busy];
    let busy = records.batch_results_of(account(2), BatchId(2), 18, &busy, 500).await.unwrap();
    let expected = (19..=ROWS).map(record).filter(|r| {
        r.account == account(2) && r.batch == Some(BatchId(2)) && r.ending.outcome == Outcome::Busy
    });
    assert_eq!(busy, expected.take(500).collect::<Vec<_>>());
    assert!(busy.len() > 100, "{}", busy.len());
    let page = records.calls(&CallFilter::of(account(2)), None, u32::MAX).await.unwrap();
    assert_eq!(page.len(), PAGE_MAX as usize);
}

#[tokio::test]
async fn a_row_is_stored_once_and_never_changes() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("records.db");
    let records = Records::open(&path).await.unwrap();
    // Some in statements of many rows, some in statements of one.
    let rows: Vec<Record> = (1..=200).map(record).collect();
    records.store(&rows).await.unwrap();
    records.store(&rows).await.unwrap();
    assert_eq!(records.total().await.unwrap(), 200);

    for place in [2, 199] {
        let mut mixed: Vec<Record> = (101..=300).map(record).collect();
        mixed[0] = record(place);
        mixed[0].ending.digits = "9".to_owned();
        mixed.rotate_left(usize::try_from(place).unwrap());
        let refused = records.store(&mixed).await.unwrap_err();
        let found = matches!(refused, RecordsError::Conflict { call } if call.0 == place);
        assert!(found, "{refused}");
        assert_eq!(records.total().await.unwrap(), 200, "nothing is stored in part");
    }

    // Another account's call is as unknown as one that never was (RELIABILITY.md, invariant 8).
    assert_eq!(records.call(account(2), CallId(2)).await.unwrap(), Some(record(2)));
    assert_eq!(records.call(account(3), CallId(2)).await.unwrap(), None);
    assert_eq!(records.call(account(2), CallId(u64::MAX)).await.unwrap(), None);

    records.close().await;
    let again = Records::open(&path).await.unwrap();
    assert_eq!(again.call(account(2), CallId(2)).await.unwrap(), Some(record(2)));
}

#[tokio::test]
async fn a_file_of_a_later_version_or_of_another_kind_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("records.db");
    let records = Records::open(&path).await.unwrap();
    records.close().await;
    let mut db = sqlx::sqlite::SqliteConnectOptions::new().filename(&path);
    db = db.pragma("user_version", "99");
    let connection = sqlx::ConnectOptions::connect(&db).await.unwrap();
    sqlx::Connection::close(connection).await.unwrap();
    let refused = Records::open(&path).await.err().expect("refused");
    assert!(matches!(refused, RecordsError::Newer { found: 99, known: 2, .. }), "{refused}");

    let other = dir.path().join("other.db");
    std::fs::write(&other, b"this is no database, but long enough to be read as one".repeat(100))
        .unwrap();
    let refused = Records::open(&other).await.err().expect("refused");
    assert!(refused.to_string().contains("other.db: cannot open"), "{refused}");
}
