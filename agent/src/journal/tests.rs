//! The journal over restarts, growth and damage.

use super::*;

fn dialog(call_id: &str) -> StoredDialog {
    StoredDialog {
        call_id: call_id.to_owned(),
        local: "<sip:a@192.0.2.1>;tag=1".to_owned(),
        remote: "<sip:b@192.0.2.2>;tag=2".to_owned(),
        target: "sip:b@192.0.2.2".to_owned(),
        routes: vec!["<sip:192.0.2.3;lr>".to_owned()],
        cseq: 2,
        destination: "192.0.2.2:5060".parse().unwrap(),
    }
}

fn ending() -> Ending {
    Ending {
        outcome: busyhour_base::Outcome::Completed,
        reason: Reason::Completed,
        sip_code: 200,
        ring: busyhour_base::Span::from_millis(700),
        talk: busyhour_base::Span::from_secs(9),
        digits: "12#".to_owned(),
        confirmed: true,
    }
}

fn refused(result: Result<(), JournalError>) -> Reason {
    match result {
        Err(JournalError::Refused(reason)) => reason,
        other => panic!("{other:?}"),
    }
}

/// RELIABILITY.md, protocol 4: what was sent is known after a crash, and never sent again.
#[tokio::test]
async fn what_was_sent_is_known_to_the_next_process() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let journal = Journal::open(&path).unwrap();
    assert_eq!(journal.fence(), 0, "a new journal says so");
    journal.store_fence(7).await.unwrap();
    assert_eq!(refused(journal.store_fence(6).await), Reason::Fenced);
    assert_eq!(refused(journal.sending(1, 1, 6).await), Reason::Fenced);
    let all = (1..=200).map(|call| journal.sending(call, 1, 8));
    for sent in futures::future::join_all(all).await {
        sent.unwrap();
    }
    assert_eq!(refused(journal.sending(3, 1, 8).await), Reason::Duplicate);
    for call in 4..=6 {
        journal.answered(call, 1, "north", &dialog(&format!("call {call}")));
    }
    journal.ended(5, 1, &ending());
    (6..=200).for_each(|call| journal.forget(call, 1));
    drop(journal);

    let journal = Journal::open(&path).unwrap();
    assert_eq!(journal.fence(), 8);
    assert_eq!(journal.known(), [(1, 1), (2, 1), (3, 1), (4, 1), (5, 1)]);
    assert_eq!(journal.answered_before(), [((4, 1), dialog("call 4"))]);
    assert_eq!(journal.ended_before(), [((5, 1), ending())]);
    assert_eq!(refused(journal.sending(3, 1, 8).await), Reason::Duplicate);
    assert!(journal.sending(3, 2, 8).await.is_ok());
}

#[tokio::test]
async fn a_file_that_has_grown_is_replaced_and_says_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let journal = Journal::open(&path).unwrap();
    journal.sending(u64::MAX, 9, 1).await.unwrap();
    let long = "x".repeat(4_000);
    for round in 0..12 {
        for call in 0..60 {
            journal.answered(call, 1, "north", &dialog(&long));
            journal.forget(call, 1);
        }
        journal.store_fence(round + 2).await.unwrap();
    }
    drop(journal);
    let bytes = std::fs::metadata(&path).unwrap().len();
    assert!(bytes < 1_600_000, "{bytes} bytes for one call");
    let journal = Journal::open(&path).unwrap();
    assert_eq!((journal.fence(), journal.known()), (13, vec![(u64::MAX, 9)]));
}

#[tokio::test]
async fn rot_is_refused_and_a_torn_tail_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let journal = Journal::open(&path).unwrap();
    for call in 1..=3 {
        journal.sending(call, 1, 1).await.unwrap();
    }
    drop(journal);
    let whole = std::fs::read(&path).unwrap();
    std::fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    assert_eq!(Journal::open(&path).unwrap().known(), [(1, 1), (2, 1)]);
    let mut rotten = whole;
    rotten[25] ^= 1;
    std::fs::write(&path, rotten).unwrap();
    let error = Journal::open(&path).err().unwrap().to_string();
    assert!(error.contains("rotten") && error.contains("journal"), "{error}");
}
