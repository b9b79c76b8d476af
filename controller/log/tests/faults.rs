//! Refusing disks, full disks, full queues, panicking machines: who is told what.

mod common;

use std::{io, path::Path, sync::Arc};

use busyhour_base::Timestamp;
use busyhour_log::{Config, Log, Machine, Mode, OpenError, Pending, ProposeError, RestoreError};
use common::{
    FOLDER, Journal, WRITING, close, collecting, open, propose_each,
    sim_disk::{Fault, SimDisk},
    small,
};

fn simulated(disk: &SimDisk, config: Config) -> Log<Journal> {
    Log::open_on(Arc::new(disk.clone()), config, Journal::default()).unwrap()
}

/// Each operation of a running log fails once: the process would end, nobody is told that it went
/// well, and the next start has everything that was acknowledged.
#[test]
fn a_failed_write_or_sync_ends_the_process_and_acknowledges_nothing() {
    let mut ended = 0;
    for after in 1..40 {
        let disk = SimDisk::default();
        let (config, fatals) = collecting(small(Path::new(FOLDER)));
        let log = simulated(&disk, config);
        propose_each(&log, [b"before".as_slice()]);
        disk.fail_at(disk.operations() + after, Fault::Error(io::ErrorKind::Other));
        let answers: Vec<_> =
            (0..12_u8).map(|n| log.submit(vec![n; 700]).and_then(Pending::wait)).collect();
        close(log);
        let accepted = answers.iter().take_while(|answer| answer.is_ok()).count();
        let fatals = fatals.lock();
        if let [fatal] = fatals.as_slice() {
            ended += 1;
            assert!(fatal.contains("as the test wants it"), "{fatal}");
            assert!(fatal.contains(FOLDER), "no file named: {fatal}");
            if let Some(first) = answers.get(accepted) {
                assert_eq!(first, &Err(ProposeError::InDoubt));
            }
            let rest = answers.iter().skip(accepted + 1);
            assert!(rest.into_iter().all(|answer| answer == &Err(ProposeError::Closed)));
        } else {
            assert_eq!((accepted, fatals.len()), (12, 0));
        }
        let again = open(&disk.after_kill()).unwrap();
        let found = again.machine().read().seen.len();
        // What was in doubt may have been done.
        assert!((accepted + 1..=accepted + 2).contains(&found), "{found} of {accepted}");
        close(again);
    }
    assert!(ended > 20, "only {ended} operations were hit");
}

#[test]
fn a_full_disk_refuses_clearly_and_goes_on_when_there_is_room() {
    let disk = SimDisk::default();
    let (config, fatals) = collecting(small(Path::new(FOLDER)));
    let log = simulated(&disk, config);
    propose_each(&log, [b"before".as_slice()]);
    // The file in use and the one prepared after it are there; a third does not fit.
    common::eventually(|| disk.files().values().map(Vec::len).sum::<usize>() >= 2 * 8192);
    disk.set_capacity(Some(2 * 8192 + 200));
    let mut accepted = 1;
    let refusal = loop {
        match log.submit(vec![7; 1500]).and_then(Pending::wait) {
            Ok(_) => accepted += 1,
            Err(error) => break error,
        }
        assert!(accepted < 100, "the disk never ran full");
    };
    assert!(
        matches!(&refusal, ProposeError::NoRoom(why) if why.contains(FOLDER) && why.contains("disk full")),
        "{refusal}"
    );
    assert_eq!(log.machine().read().seen.len(), accepted, "what was refused was not done");

    disk.set_capacity(None);
    propose_each(&log, [b"after".as_slice()]);
    assert!(fatals.lock().is_empty(), "a full disk need not end the process");
    close(log);
    let again = open(&disk).unwrap();
    assert_eq!(again.machine().read().seen.len(), accepted + 1);
    assert_eq!(again.machine().read().values().last(), Some(&b"after".as_slice()));
    close(again);
}

#[test]
fn a_snapshot_without_room_is_told_and_the_log_goes_on_to_its_bound() {
    let disk = SimDisk::default();
    let mut config = small(Path::new(FOLDER));
    config.snapshot_after_bytes = 4_096;
    let (config, fatals) = collecting(config);
    let log = simulated(&disk, config);
    common::eventually(|| disk.files().values().map(Vec::len).sum::<usize>() >= 2 * 8192);
    // Room for files of the log, but not for a snapshot beside them.
    let mut accepted = 0;
    let mut refusal = None;
    common::eventually(|| {
        let files = disk.files();
        let spare = if files.keys().any(|path| path.ends_with("spare.tmp")) { 0 } else { 8192 };
        let used: usize = files.values().map(Vec::len).sum();
        disk.set_capacity(Some((used + spare) as u64));
        match log.submit(vec![7; 1500]).and_then(Pending::wait) {
            Ok(_) => accepted += 1,
            // For want of a snapshot, when the one that was begun has failed; all else passes.
            Err(ProposeError::NoRoom(why)) if why.contains("last snapshot") => {
                refusal = Some(why).filter(|why| !why.ends_with(WRITING));
            }
            Err(ProposeError::NoRoom(_)) => {}
            Err(other) => panic!("{other}"),
        }
        assert!(accepted < 100, "the log has no bound");
        refusal.is_some()
    });
    let refusal = refusal.expect("just seen");
    assert!(refusal.contains("disk full"), "{refusal}");
    assert!(log.status().snapshot_error.is_some_and(|error| error.contains("disk full")));
    assert!(fatals.lock().is_empty());
    disk.set_capacity(None);
    common::eventually(|| log.submit(b"after".to_vec()).and_then(Pending::wait).is_ok());
    common::eventually(|| log.status().snapshot_index > 0);
    assert_eq!(log.status().snapshot_error, None);
    close(log);
    let again = open(&disk).unwrap();
    assert_eq!(again.machine().read().seen.len(), accepted + 1);
    close(again);
}

/// Lets the log take commands until it stands still behind a machine that somebody reads, with the queue empty: one is being applied,
/// one waits for that, and the log's thread waits with a third.
fn stand_still(log: &Log<Journal>) -> [Pending<u64>; 3] {
    [0, 1, 2].map(|value| {
        let groups = log.status().groups;
        let pending = log.submit(vec![value]).unwrap();
        // Once its group is written it has nothing to do but to hand it on, and takes nothing more before that.
        common::eventually(|| log.status().groups > groups);
        pending
    })
}

#[test]
fn a_full_queue_refuses_at_once_and_loses_nothing_that_it_took() {
    let disk = SimDisk::default();
    let mut config = small(Path::new(FOLDER));
    config.queue_commands = 4;
    let log = simulated(&disk, config);
    let machine = log.machine().clone();
    let reading = machine.read();
    let mut taken = Vec::from(stand_still(&log));
    taken.extend((3..7).map(|value| log.submit(vec![value]).unwrap()));
    let refusal = log.submit(vec![7]).err();
    assert_eq!(refusal, Some(ProposeError::Busy { commands: 4, bytes: 8 }));
    drop(reading);
    let replies: Vec<u64> = taken.into_iter().map(|pending| pending.wait().unwrap()).collect();
    assert_eq!(replies, (1..=7).collect::<Vec<_>>());
    close(log);
}

#[test]
fn a_queue_is_bounded_in_bytes_too() {
    let disk = SimDisk::default();
    let mut config = small(Path::new(FOLDER));
    config.queue_bytes = 2_000;
    let log = simulated(&disk, config);
    let machine = log.machine().clone();
    let reading = machine.read();
    let first = stand_still(&log);
    let large = log.submit(vec![3; 1_500]).unwrap();
    let refusal = log.submit(vec![4; 600]).err();
    assert_eq!(refusal, Some(ProposeError::Busy { commands: 1, bytes: 1_502 }));
    drop(reading);
    assert_eq!(first.map(Pending::wait), [Ok(1), Ok(2), Ok(3)]);
    assert_eq!(large.wait(), Ok(4));
    close(log);
}

#[test]
fn a_command_over_the_limit_is_refused() {
    let log = simulated(&SimDisk::default(), small(Path::new(FOLDER)));
    let refusal = log.submit(vec![0; 2_047]).err();
    assert_eq!(refusal, Some(ProposeError::TooLarge { bytes: 2_049, limit: 2_048 }));
    assert_eq!(log.submit(vec![0; 2_046]).and_then(Pending::wait), Ok(1));
    close(log);
}

/// Panics at a value, and refuses its snapshots.
#[derive(Default)]
struct Touchy(Journal);

impl Machine for Touchy {
    type Command = Vec<u8>;
    type Reply = u64;
    type Frozen = Vec<u8>;

    fn apply(&mut self, index: u64, at: Timestamp, mode: Mode, command: Vec<u8>) -> u64 {
        assert_ne!(command, b"boom", "it went boom");
        self.0.apply(index, at, mode, command)
    }

    fn freeze(&mut self) -> Vec<u8> {
        self.0.freeze()
    }

    fn restore(&mut self, _from: &mut dyn std::io::Read) -> Result<(), RestoreError> {
        Err("written by a newer version".into())
    }
}

#[test]
fn a_panicking_machine_ends_the_process_before_anyone_is_told() {
    let disk = SimDisk::default();
    let (config, fatals) = collecting(small(Path::new(FOLDER)));
    let log = Log::open_on(Arc::new(disk.clone()), config, Touchy::default()).unwrap();
    assert_eq!(log.submit(b"fine".to_vec()).and_then(Pending::wait), Ok(1));
    let answer = log.submit(b"boom".to_vec()).and_then(Pending::wait);
    assert_eq!(answer, Err(ProposeError::InDoubt), "it is in the log");
    let said = fatals.lock().clone();
    assert!(matches!(said.as_slice(), [one] if one.contains("it went boom")), "{said:?}");
    common::runtime().block_on(log.shutdown());
    assert_eq!(open(&disk).unwrap().machine().read().values(), [b"fine".as_slice(), b"boom"]);
}

#[test]
fn a_snapshot_or_a_command_that_is_not_understood_is_refused_by_name() {
    let disk = SimDisk::default();
    let mut config = small(Path::new(FOLDER));
    config.snapshot_after_bytes = 512;
    let log = simulated(&disk, config);
    propose_each(&log, [b"value".as_slice()]);
    common::eventually(|| log.status().snapshot_index > 0);
    close(log);
    let refusal = Log::open_on(Arc::new(disk.clone()), small(Path::new(FOLDER)), Touchy::default())
        .err()
        .unwrap();
    let text = refusal.to_string();
    assert!(matches!(refusal, OpenError::Restore { .. }), "{text}");
    assert!(text.contains(".snapshot") && text.contains("newer version"), "{text}");

    let disk = SimDisk::default();
    let log = Log::open_on(Arc::new(disk.clone()), small(Path::new(FOLDER)), Words).unwrap();
    log.submit(Some("word".to_owned())).and_then(Pending::wait).unwrap();
    common::runtime().block_on(log.shutdown());
    let refusal = open(&disk).err().unwrap();
    assert!(matches!(refusal, OpenError::Command { index: 1, .. }), "{refusal}");
}

/// A machine of another version, with other commands.
struct Words;

impl Machine for Words {
    type Command = Option<String>;
    type Reply = ();
    type Frozen = Vec<u8>;

    fn apply(&mut self, _index: u64, _at: Timestamp, _mode: Mode, _command: Option<String>) {}

    fn freeze(&mut self) -> Vec<u8> {
        Vec::new()
    }

    fn restore(&mut self, _from: &mut dyn std::io::Read) -> Result<(), RestoreError> {
        Ok(())
    }
}

#[test]
fn settings_that_cannot_work_are_refused_by_name() {
    let refused = |change: fn(&mut Config)| {
        let mut config = small(Path::new(FOLDER));
        change(&mut config);
        let refusal = Log::open_on(Arc::new(SimDisk::default()), config, Journal::default());
        refusal.err().map(|error| error.to_string()).unwrap_or_default()
    };
    assert_eq!(refused(|config| config.node = 0), "node is 0; allowed: at least 1");
    assert_eq!(
        refused(|config| config.queue_commands = 0),
        "queue_commands is 0; allowed: at least 1"
    );
    assert_eq!(
        refused(|config| config.segment_bytes = 8_193),
        "segment_bytes is 8193; allowed: a multiple of 512"
    );
    assert!(
        refused(|config| config.segment_bytes = 5_120)
            .starts_with("segment_bytes is 5120; allowed: at least 6144")
    );
}

#[test]
fn the_folder_of_another_node_is_refused() {
    let disk = SimDisk::default();
    close(open(&disk).unwrap());
    let mut config = small(Path::new(FOLDER));
    config.node = 2;
    let refusal = Log::open_on(Arc::new(disk), config, Journal::default()).err().unwrap();
    assert!(matches!(refusal, OpenError::OtherNode { found: 1, wanted: 2, .. }), "{refusal}");
}
