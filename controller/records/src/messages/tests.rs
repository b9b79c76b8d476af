use std::sync::Arc;

use busyhour_base::{
    Body, Direction, MessageSpec, MessageStatus, Method, Reason, Segments, Timestamp, Webhook,
};

use busyhour_controller_core::{message::MessageAttempt, spec::BatchId};

use super::*;

fn record(n: u64, text: &str) -> MessageRecord {
    MessageRecord {
        seq: n,
        message: MessageId(n),
        account: AccountSid(u128::from(n % 2) + 1),
        spec: Arc::new(MessageSpec {
            to: format!("+4930{:07}", n % 3),
            from: "+4989000001".to_owned(),
            direction: Direction::OutboundApi,
            status_callback: Some(Webhook {
                url: "https://app.example/status".to_owned(),
                method: Method::Post,
            }),
        }),
        body: Body::from(text),
        segments: Segments::of(text),
        status: MessageStatus::Delivered,
        reason: Reason::Delivered,
        accepted_at: Timestamp(n * 10),
        due: Some(Timestamp(n * 10 + 1)),
        held_by: Reason::Ready,
        sent_at: Some(Timestamp(n * 10 + 2)),
        ended_at: Timestamp(n * 10 + 3),
        attempts: 1,
        carrier: Some("text".into()),
        reference: Some(format!("r{n}").into()),
        batch: Some(BatchId(n / 10)),
        custom_id: Some(format!("row-{n}").into()),
        earlier: vec![MessageAttempt {
            number: 1,
            carrier: "text".into(),
            reference: None,
            held_by: Reason::Ready,
            due: Timestamp(n),
            sent_at: Timestamp(n + 1),
            ended_at: Timestamp(n + 2),
            status: MessageStatus::Failed,
            reason: Reason::MessageRejected,
        }],
    }
}

async fn texts(records: &Records) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM bodies").fetch_one(&records.readers).await.unwrap()
}

async fn open() -> (tempfile::TempDir, Records) {
    let dir = tempfile::tempdir().unwrap();
    let records = Records::open(&dir.path().join("records.db")).await.unwrap();
    (dir, records)
}

#[tokio::test]
async fn what_was_stored_is_read_back_once_and_another_outcome_is_refused() {
    let (_dir, records) = open().await;
    let rows: Vec<_> = (1..=6).map(|n| record(n, "я hello")).collect();
    records.store_messages(&rows).await.unwrap();
    records.store_messages(&rows[2..4]).await.unwrap();
    let found = records.message(rows[0].account, MessageId(1)).await.unwrap();
    assert_eq!(found.as_ref(), Some(&rows[0]));
    assert_eq!(records.message(AccountSid(1), MessageId(1)).await.unwrap(), None);
    let other = MessageRecord { status: MessageStatus::Failed, ..rows[0].clone() };
    let refused = records.store_messages(&[record(9, "x"), other]).await;
    assert!(matches!(refused, Err(RecordsError::MessageConflict { message: MessageId(1) })));
    assert_eq!(records.message(AccountSid(2), MessageId(9)).await.unwrap(), None, "all or none");
}

#[tokio::test]
async fn lists_are_newest_first_filtered_and_paged() {
    let (_dir, records) = open().await;
    let rows: Vec<_> = (1..=20).map(|n| record(n, "x")).collect();
    records.store_messages(&rows).await.unwrap();
    let list = async |filter: MessageFilter, before, limit| -> Vec<u64> {
        let found = records.messages(AccountSid(1), &filter, before, limit).await.unwrap();
        found.iter().map(|record| record.message.0).collect()
    };
    assert_eq!(list(MessageFilter::default(), None, 3).await, [20, 18, 16]);
    assert_eq!(list(MessageFilter::default(), Some(MessageId(16)), 2).await, [14, 12]);
    let to = MessageFilter { to: Some("+49300000000".to_owned()), ..Default::default() };
    assert_eq!(list(to, None, 9).await, [18, 12, 6]);
    let sent = Some(Timestamp(42)..Timestamp(82));
    assert_eq!(list(MessageFilter { sent, ..Default::default() }, None, 9).await, [6, 4]);
}

#[tokio::test]
async fn dc_3_results_of_a_batch_come_in_order_of_their_ends_behind_a_cursor() {
    let (_dir, records) = open().await;
    let rows = (1..=20).map(|n| MessageRecord { account: AccountSid(1), ..record(n, "x") });
    let mut rows: Vec<_> = rows.collect();
    // The one that was accepted first ended last.
    rows[0] = MessageRecord { seq: 30, status: MessageStatus::Failed, ..rows[0].clone() };
    records.store_messages(&rows).await.unwrap();
    let list = async |batch, after, statuses: &[MessageStatus], limit| -> Vec<u64> {
        let batch = BatchId(batch);
        let found = records.batch_messages(AccountSid(1), batch, after, statuses, limit);
        found.await.unwrap().iter().map(|record| record.seq).collect()
    };
    assert_eq!(list(0, None, &[], 99).await, [2, 3, 4, 5, 6, 7, 8, 9, 30]);
    assert_eq!(list(0, Some(3), &[], 2).await, [4, 5]);
    assert_eq!(list(0, None, &[MessageStatus::Failed], 9).await, [30]);
    assert_eq!(list(2, None, &[], 9).await, [20]);
    let other = records.batch_messages(AccountSid(2), BatchId(0), None, &[], 9).await.unwrap();
    assert!(other.is_empty(), "another account's are not seen");
}

#[tokio::test]
async fn a_text_is_stored_once_and_goes_with_the_last_message_that_has_it() {
    let (_dir, records) = open().await;
    let rows = [record(2, "same"), record(4, "same"), record(6, "other")];
    records.store_messages(&rows).await.unwrap();
    assert_eq!(texts(&records).await, 2);
    let (mine, theirs) = (AccountSid(1), AccountSid(2));
    assert!(!records.redact_message(theirs, MessageId(2)).await.unwrap());
    assert!(records.redact_message(mine, MessageId(2)).await.unwrap());
    assert!(records.redact_message(mine, MessageId(2)).await.unwrap(), "again changes nothing");
    let redacted = records.message(mine, MessageId(2)).await.unwrap().unwrap();
    assert_eq!((redacted.body.text(), redacted.segments), ("", rows[0].segments));
    assert_eq!(texts(&records).await, 2);
    assert!(!records.delete_message(theirs, MessageId(4)).await.unwrap());
    assert!(records.delete_message(mine, MessageId(4)).await.unwrap());
    assert_eq!(texts(&records).await, 1);
    assert_eq!(records.message(mine, MessageId(4)).await.unwrap(), None);
    assert!(!records.delete_message(mine, MessageId(4)).await.unwrap());
}
