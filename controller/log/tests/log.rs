//! The log as its users see it.

mod common;

use busyhour_log::{Log, OpenError, Pending, ProposeError};
use common::{Journal, close, propose_each, small};

fn values(count: u32) -> Vec<Vec<u8>> {
    (0..count).map(|n| format!("value {n}").into_bytes()).collect()
}

#[test]
fn what_was_accepted_is_there_after_each_of_many_restarts() {
    let folder = tempfile::tempdir().unwrap();
    let values = values(60);
    for (round, chunk) in values.chunks(3).enumerate() {
        let log = Log::open(small(folder.path()), Journal::default()).unwrap();
        let before = round * 3;
        assert_eq!(log.machine().read().values(), values[..before]);
        assert!(log.machine().read().live.is_empty(), "a replay is told as one");
        assert_eq!(log.recovery().replayed, before as u64);
        propose_each(&log, chunk.iter().map(Vec::as_slice));
        assert_eq!(log.machine().read().live.len(), chunk.len());
        close(log);
    }
    let log = Log::open(small(folder.path()), Journal::default()).unwrap();
    let machine = log.machine().read();
    let numbers: Vec<u64> = machine.seen.iter().map(|(index, ..)| *index).collect();
    assert_eq!(numbers, (1..=60).collect::<Vec<_>>());
}

#[test]
fn a_folder_is_open_once() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::open(small(folder.path()), Journal::default()).unwrap();
    let again = Log::open(small(folder.path()), Journal::default());
    assert!(matches!(again, Err(OpenError::Locked { .. })));
    close(log);
    Log::open(small(folder.path()), Journal::default()).unwrap();
}

#[test]
fn a_closed_log_takes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let log = Log::open(small(folder.path()), Journal::default()).unwrap();
    close(log.clone());
    let answer = log.submit(b"late".to_vec()).and_then(Pending::wait);
    assert_eq!(answer, Err(ProposeError::Closed));
}
