//! The agent's journal: never dialled twice across restarts (RELIABILITY, protocol 4 and 6), torn tails at every
//! offset, flipped bits at every place.

use busyhour_agent_core::journal::{
    Attempt, Dialog, Entry, Journal, KNOWN_MAX, Standing, call_id, frame,
};
use busyhour_base::{CallSid, Ending, Outcome, Reason, Span};
use proptest::prelude::*;

fn attempt(call: u64) -> Attempt {
    Attempt { call, attempt: 1 }
}

fn dialog() -> Box<Dialog> {
    Box::new(Dialog {
        call_id: call_id(CallSid(7), 1, "agent-1"),
        from: "<sip:+1@us>;tag=a".to_owned(),
        to: "<sip:+2@them>;tag=b".to_owned(),
        target: "sip:them:5070".to_owned(),
        routes: vec!["<sip:proxy;lr>".to_owned()],
        sequence: 2,
        carrier: "north".to_owned(),
        address: "127.0.0.1:5070".to_owned(),
    })
}

fn ending() -> Box<Ending> {
    Box::new(Ending {
        outcome: Outcome::Completed,
        reason: Reason::Completed,
        sip_code: 200,
        ring: Span::from_secs(3),
        talk: Span::from_secs(40),
        digits: "12#".to_owned(),
        confirmed: true,
    })
}

fn folded(entries: &[Entry]) -> Journal {
    let mut journal = Journal::default();
    journal.extend(entries);
    journal
}

#[test]
fn an_order_is_sent_once_and_under_the_highest_fence_only() {
    let mut journal = Journal::default();
    let entries = journal.to_send(attempt(1), 3).unwrap();
    assert_eq!(entries, [Entry::Fence(3), Entry::Sending(attempt(1))]);
    journal.extend(&entries);
    assert_eq!(journal.fence(), 3);
    assert_eq!(journal.to_send(attempt(1), 3), Err(Reason::Duplicate));
    assert_eq!(journal.to_send(attempt(2), 2), Err(Reason::Fenced));
    assert_eq!(journal.to_send(attempt(2), 3), Ok(vec![Entry::Sending(attempt(2))]));
    assert!(journal.to_send(Attempt { call: 1, attempt: 2 }, 3).is_ok());
    journal.apply(&Entry::Ended(attempt(1), ending()));
    assert_eq!(journal.to_send(attempt(1), 3), Err(Reason::Duplicate), "over is still known");
    journal.apply(&Entry::Forget(attempt(1)));
    assert_eq!(journal.standing(attempt(1)), None);
}

#[test]
fn a_restart_knows_what_was_sent_and_what_was_up() {
    let entries = [
        Entry::Fence(7),
        Entry::Sending(attempt(1)),
        Entry::Sending(attempt(2)),
        Entry::Answered(attempt(2), dialog()),
        Entry::Sending(attempt(3)),
        Entry::Ended(attempt(3), ending()),
        Entry::Answered(attempt(3), dialog()),
        Entry::Sending(attempt(2)),
        Entry::Fence(5),
    ];
    let file = frame::write_file(entries).unwrap();
    let journal = folded(&frame::read(&file).unwrap().entries);
    assert_eq!(journal.fence(), 7);
    assert_eq!(journal.standing(attempt(1)), Some(&Standing::Sending));
    assert_eq!(journal.standing(attempt(2)), Some(&Standing::Answered(dialog())));
    assert_eq!(journal.standing(attempt(3)), Some(&Standing::Ended(ending())));
    assert_eq!(journal.known().len(), 3);
}

#[test]
fn a_full_journal_refuses() {
    let mut journal = Journal::default();
    (0..KNOWN_MAX as u64).for_each(|call| journal.apply(&Entry::Ended(attempt(call), ending())));
    assert_eq!(journal.to_send(attempt(u64::MAX), 0), Err(Reason::AgentFull));
    journal.apply(&Entry::Forget(attempt(0)));
    assert!(journal.to_send(attempt(u64::MAX), 0).is_ok());
}

#[test]
fn a_file_is_rewritten_when_most_of_it_is_history() {
    let journal = folded(&[Entry::Sending(attempt(1))]);
    assert!(!journal.wants_compaction(1 << 20));
    assert!(journal.wants_compaction((1 << 20) + 1));
    let mut journal = Journal::default();
    (0..50_000).for_each(|call| journal.apply(&Entry::Ended(attempt(call), ending())));
    assert!(!journal.wants_compaction(6 << 20));
    assert!(journal.wants_compaction(8 << 20));
}

#[test]
fn the_call_id_is_derived() {
    assert_eq!(
        call_id(CallSid(0xab), 2, "agent-1"),
        "CA000000000000000000000000000000ab-2@agent-1"
    );
}

/// Three frames, as three writes would leave them.
fn file() -> (Vec<u8>, Vec<usize>, Vec<Vec<Entry>>) {
    let frames = vec![
        vec![Entry::Fence(7), Entry::Sending(attempt(1))],
        vec![Entry::Answered(attempt(1), dialog())],
        vec![Entry::Ended(attempt(1), ending()), Entry::Sending(attempt(2))],
    ];
    let mut file = frame::HEADER.to_vec();
    let mut ends = vec![file.len()];
    for entries in &frames {
        file.extend(frame::write(entries).unwrap());
        ends.push(file.len());
    }
    (file, ends, frames)
}

#[test]
fn a_tail_torn_at_any_offset_is_repaired() {
    let (file, ends, frames) = file();
    for length in 0..=file.len() {
        let contents = frame::read(&file[..length]).unwrap();
        let whole = ends.iter().filter(|end| **end <= length).count();
        let sound = if whole == 0 { 0 } else { ends[whole - 1] };
        assert_eq!(contents.sound, sound, "torn at {length}");
        assert_eq!(
            contents.entries,
            frames[..whole.saturating_sub(1)].concat(),
            "torn at {length}"
        );
    }
}

/// What was allotted but never written reads as zeros.
#[test]
fn a_tail_of_zeros_is_a_torn_tail() {
    let (mut file, ends, _) = file();
    file.truncate(ends[2] + 5);
    file.resize(ends[3] + 4_096, 0);
    assert_eq!(frame::read(&file).unwrap().sound, ends[2]);
}

#[test]
fn a_flipped_bit_before_the_last_frame_is_refused_and_in_it_is_taken_for_a_tear() {
    let (file, ends, _) = file();
    for at in 0..file.len() {
        for bit in 0..8 {
            let mut flipped = file.clone();
            flipped[at] ^= 1 << bit;
            let read = frame::read(&flipped);
            if at < ends[0] {
                assert_eq!(read, Err(frame::Rotten::Header), "byte {at} bit {bit}");
            } else if at < ends[2] {
                let flaw = if at < ends[1] { ends[0] } else { ends[1] };
                assert_eq!(read, Err(frame::Rotten::Middle(flaw)), "byte {at} bit {bit}");
            } else {
                assert_eq!(read.map(|contents| contents.sound), Ok(ends[2]), "byte {at} bit {bit}");
            }
        }
    }
}

#[test]
fn what_does_not_fit_into_a_frame_is_refused() {
    let mut dialog = dialog();
    dialog.to = "x".repeat(frame::BODY_MAX);
    assert_eq!(frame::write(&[Entry::Answered(attempt(1), dialog)]), Err(frame::TooLarge));
}

fn any_entry() -> impl Strategy<Value = Entry> {
    let attempts = (0_u64..6, 0_u32..3).prop_map(|(call, attempt)| Attempt { call, attempt });
    prop_oneof![
        any::<u64>().prop_map(Entry::Fence),
        attempts.clone().prop_map(Entry::Sending),
        attempts.clone().prop_map(|attempt| Entry::Answered(attempt, dialog())),
        attempts.clone().prop_map(|attempt| Entry::Ended(attempt, ending())),
        attempts.prop_map(Entry::Forget),
    ]
}

proptest! {
    #[test]
    fn compaction_changes_nothing(entries in prop::collection::vec(any_entry(), 0..60)) {
        let journal = folded(&entries);
        let file = frame::write_file(journal.compacted()).unwrap();
        let contents = frame::read(&file).unwrap();
        prop_assert_eq!(contents.sound, file.len());
        prop_assert!(contents.entries.len() <= journal.known().len() + 1);
        prop_assert_eq!(folded(&contents.entries), journal);
    }

    /// Whatever is known was sent at most once: no entry makes a known attempt sendable but to forget it.
    #[test]
    fn only_forgetting_makes_an_attempt_new(entries in prop::collection::vec(any_entry(), 0..60)) {
        let mut journal = Journal::default();
        for entry in &entries {
            let known: Vec<_> = journal.known().map(|known| known.attempt).collect();
            let fence = journal.fence();
            journal.apply(entry);
            prop_assert!(journal.fence() >= fence);
            for attempt in known {
                let forgotten = *entry == Entry::Forget(attempt);
                prop_assert_eq!(journal.to_send(attempt, u64::MAX).is_ok(), forgotten);
            }
        }
    }

    #[test]
    fn no_bytes_make_it_panic(with_header: bool, bytes: Vec<u8>) {
        let file = if with_header { [frame::HEADER, &bytes[..]].concat() } else { bytes };
        if let Ok(contents) = frame::read(&file) {
            prop_assert!(contents.sound <= file.len());
        }
    }
}
