//! Snapshots: the same state from a shorter log, and a bounded folder.

mod common;

use std::{path::Path, sync::Arc};

use busyhour_log::{Config, Log, Pending};
use common::{FOLDER, Journal, close, propose_each, sim_disk::SimDisk, small};

fn config() -> Config {
    let mut config = small(Path::new(FOLDER));
    config.snapshot_after_bytes = 4_096;
    config
}

fn simulated(disk: &SimDisk) -> Log<Journal> {
    Log::open_on(Arc::new(disk.clone()), config(), Journal::default()).unwrap()
}

fn count(disk: &SimDisk, extension: &str) -> usize {
    let files = disk.files();
    files.keys().filter(|path| path.extension().is_some_and(|e| e == extension)).count()
}

#[test]
fn a_restart_from_a_snapshot_gives_the_same_state() {
    let disk = SimDisk::default();
    let mut states = Vec::new();
    for round in 0..10_u8 {
        let log = simulated(&disk);
        if let Some(before) = states.last() {
            assert_eq!(&log.machine().read().seen, before, "round {round}");
        }
        let values: Vec<Vec<u8>> = (0..8).map(|n| vec![round * 8 + n; 300]).collect();
        propose_each(&log, values.iter().map(Vec::as_slice));
        states.push(log.machine().read().seen.clone());
        close(log);
    }
    let log = simulated(&disk);
    assert!(log.recovery().snapshot_index > 0);
    assert!(log.recovery().replayed < 80, "the snapshot saved nothing");
    let seen = &log.machine().read().seen;
    assert!(seen.iter().map(|(index, ..)| *index).eq(1..=80), "numbers go on after a snapshot");
    assert!(seen.is_sorted_by_key(|(_, at, _)| *at));
}

#[test]
fn the_folder_does_not_grow_with_the_log() {
    let disk = SimDisk::default();
    // A state that stays small while the log grows.
    let log = Log::open_on(Arc::new(disk.clone()), config(), Last::default()).unwrap();
    let mut most = 0;
    for n in 0..600_u32 {
        let mut value = n.to_le_bytes().to_vec();
        value.resize(900, 1);
        // At its bound the log waits for the snapshot that is being written.
        common::eventually(|| log.submit(value.clone()).and_then(Pending::wait).is_ok());
        most = most.max(disk.files().values().map(Vec::len).sum());
    }
    common::runtime().block_on(log.shutdown());
    assert_eq!(count(&disk, "snapshot"), 2);
    // Two snapshots' worth of log at the bound, the file in use, and the spare one.
    assert!(most < 10 * 8_192, "{most} bytes");
    let again = Log::open_on(Arc::new(disk), config(), Last::default()).unwrap();
    assert_eq!(again.machine().read().0[..4], 599_u32.to_le_bytes());
}

/// Remembers only the last value.
#[derive(Default)]
struct Last(Vec<u8>);

impl busyhour_log::Machine for Last {
    type Command = Vec<u8>;
    type Reply = ();
    type Frozen = Vec<u8>;

    fn apply(
        &mut self,
        _index: u64,
        _at: busyhour_base::Timestamp,
        _mode: busyhour_log::Mode,
        command: Vec<u8>,
    ) {
        self.0 = command;
    }

    fn freeze(&mut self) -> Vec<u8> {
        self.0.clone()
    }

    fn restore(&mut self, from: &mut dyn std::io::Read) -> Result<(), busyhour_log::RestoreError> {
        self.0.clear();
        from.read_to_end(&mut self.0)?;
        Ok(())
    }
}
