//! Every byte of a small log is damaged in turn, and every write torn at every place: what happens
//! then is written down here, case by case (`RELIABILITY.md`: rot is refused loudly, a torn end is
//! repaired).

mod common;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, LazyLock},
    time::Duration,
};

use busyhour_log::{Config, Log, OpenError};
use proptest::prelude::*;

use common::{FOLDER, Journal, close, open, propose_each, sim_disk::SimDisk, small};

const SECTOR: usize = 512;
/// The sector of a file that says which group was durable when the log was last idle.
const MARK: usize = 1;

type Files = BTreeMap<PathBuf, Vec<u8>>;

/// Values of one, two and three sectors.
fn values(count: usize) -> Vec<Vec<u8>> {
    (0..count).map(|n| vec![n as u8 + 1; [20, 600, 1200][n % 3]]).collect()
}

fn log_files(files: &Files) -> Vec<PathBuf> {
    with_extension(files, "log")
}

fn with_extension(files: &Files, extension: &str) -> Vec<PathBuf> {
    let wanted = |path: &&PathBuf| path.extension().is_some_and(|found| found == extension);
    files.keys().filter(wanted).cloned().collect()
}

/// A log over several files that was closed in order.
fn closed_log(values: &[Vec<u8>]) -> Files {
    let disk = SimDisk::default();
    let log = open(&disk).unwrap();
    propose_each(&log, values.iter().map(Vec::as_slice));
    close(log);
    let files = disk.files();
    assert!(log_files(&files).len() >= 2, "too small to prove anything");
    files
}

/// The same with two snapshots. Each is written before the log goes on, so that the same files
/// are there whichever thread comes first.
fn log_with_snapshots(values: &[Vec<u8>]) -> Files {
    let disk = SimDisk::default();
    let config = snapshotting();
    let after = config.snapshot_after_bytes;
    let log = Log::open_on(Arc::new(disk.clone()), config, Journal::default()).unwrap();
    for value in values {
        propose_each(&log, [value.as_slice()]);
        common::eventually(|| {
            let status = log.status();
            status.log_bytes < after.max(status.snapshot_bytes)
        });
    }
    close(log);
    let files = disk.files();
    assert_eq!(with_extension(&files, "snapshot").len(), 2);
    files
}

fn snapshotting() -> Config {
    let mut config = small(Path::new(FOLDER));
    config.snapshot_after_bytes = 6_000;
    config
}

/// What opening these files gives: the values, or the file and offset that are blamed.
fn opened(files: &Files) -> Result<Vec<Vec<u8>>, (PathBuf, u64)> {
    let disk = SimDisk::with(files);
    match open(&disk) {
        Ok(log) => {
            let machine = log.machine().read();
            assert!(machine.live.is_empty());
            let values = machine.seen.iter().map(|(_, _, value)| value.clone());
            Ok(values.collect())
        }
        Err(OpenError::Damaged(damage)) => {
            let same = &disk.files() == files;
            assert!(same, "a refusal must leave everything as it is: {damage}");
            Err((damage.file, damage.offset))
        }
        Err(other) => panic!("neither opened nor refused as damaged: {other}"),
    }
}

#[test]
fn any_flipped_bit_of_a_closed_log_is_refused_with_its_file_and_sector() {
    let files = closed_log(&values(9));
    for path in log_files(&files) {
        for offset in 0..files[&path].len() {
            let mut damaged = files.clone();
            damaged.get_mut(&path).unwrap()[offset] ^= 1 << (offset % 8);
            let sector = offset / SECTOR * SECTOR;
            assert_eq!(
                opened(&damaged),
                Err((path.clone(), sector as u64)),
                "byte {offset} of {}",
                path.display()
            );
        }
    }
}

#[test]
fn any_blanked_sector_of_a_closed_log_is_refused_except_the_mark_alone() {
    let values = values(9);
    let files = closed_log(&values);
    let newest = log_files(&files).pop().unwrap();
    for path in log_files(&files) {
        let bytes = &files[&path];
        for at in 0..bytes.len() / SECTOR {
            if bytes[at * SECTOR..(at + 1) * SECTOR] == [0; SECTOR] {
                continue;
            }
            let mut damaged = files.clone();
            damaged.get_mut(&path).unwrap()[at * SECTOR..(at + 1) * SECTOR].fill(0);
            let found = opened(&damaged);
            if path == newest && at == MARK {
                // It holds nothing but doubts about the last group, which is there.
                assert_eq!(found.as_ref(), Ok(&values));
            } else {
                let (file, _) = found.expect_err("lost data must be noticed");
                assert!(file >= path, "{} for {}", file.display(), path.display());
            }
        }
    }
}

/// As after a disk that forgot what it had acknowledged, from any place on.
#[test]
fn a_closed_log_that_lost_its_end_is_refused_wherever_the_loss_begins() {
    let values = values(9);
    let files = closed_log(&values);
    let newest = log_files(&files).pop().unwrap();
    let used = files[&newest].chunks(SECTOR).rposition(|sector| sector != [0; SECTOR]).unwrap() + 1;
    for from in (MARK + 1) * SECTOR..used * SECTOR {
        let mut damaged = files.clone();
        damaged.get_mut(&newest).unwrap()[from..].fill(0);
        match opened(&damaged) {
            Ok(found) => {
                // Only the padding of the last sector.
                assert_eq!(damaged[&newest], files[&newest], "byte {from}");
                assert_eq!(found, values);
            }
            Err((file, _)) => assert_eq!(file, newest),
        }
    }
}

#[test]
fn a_file_of_another_length_is_refused() {
    let files = closed_log(&values(9));
    for path in log_files(&files) {
        let length = files[&path].len();
        for cut in (0..length).step_by(64) {
            let mut damaged = files.clone();
            damaged.get_mut(&path).unwrap().truncate(cut);
            let (file, _) = opened(&damaged).expect_err("cut");
            assert_eq!(file, path);
        }
        let mut damaged = files.clone();
        damaged.get_mut(&path).unwrap().push(0);
        assert_eq!(opened(&damaged), Err((path.clone(), length as u64 + 1)));
    }
}

#[test]
fn any_lost_file_is_noticed() {
    let files = log_with_snapshots(&values(40));
    let whole = values(40);
    for path in files.keys() {
        let mut damaged = files.clone();
        damaged.remove(path);
        let newest = with_extension(&files, "snapshot").pop();
        if path.extension().is_some_and(|extension| extension == "tmp") {
            assert_eq!(opened(&damaged), Ok(whole.clone()), "{}", path.display());
        } else if path.extension().is_some_and(|extension| extension == "snapshot") {
            // Either snapshot alone is enough with the log that is kept.
            assert_eq!(opened(&damaged), Ok(whole.clone()), "{}", path.display());
        } else if Some(path) == log_files(&files).first() {
            // Needed only if the newest snapshot is lost as well.
            assert_eq!(opened(&damaged), Ok(whole.clone()), "{}", path.display());
            damaged.remove(&newest.unwrap());
            opened(&damaged).expect_err("a gap between snapshot and log");
        } else {
            opened(&damaged).expect_err(&path.display().to_string());
        }
    }
}

#[test]
fn any_flipped_bit_of_the_newest_snapshot_is_refused_and_the_older_one_loses_nothing() {
    let values = values(40);
    let files = log_with_snapshots(&values);
    let newest = with_extension(&files, "snapshot").pop().unwrap();
    for offset in 0..files[&newest].len() {
        let mut damaged = files.clone();
        damaged.get_mut(&newest).unwrap()[offset] ^= 1 << (offset % 8);
        let (file, _) = opened(&damaged).expect_err("rot");
        assert_eq!(file, newest);
    }
    let mut without = files;
    without.remove(&newest);
    assert_eq!(opened(&without), Ok(values));
}

#[test]
fn any_flipped_bit_of_the_identity_is_refused() {
    let files = closed_log(&values(9));
    let path = Path::new(FOLDER).join("identity");
    for offset in 0..files[&path].len() {
        let mut damaged = files.clone();
        damaged.get_mut(&path).unwrap()[offset] ^= 1 << (offset % 8);
        assert_eq!(opened(&damaged), Err((path.clone(), 0)), "byte {offset}");
    }
}

/// The last group is written but the process dies before its mark: the disk may have any part of
/// it.
#[test]
fn a_torn_last_write_is_repaired_whichever_of_its_sectors_arrived() {
    let mut values = values(3);
    let disk = SimDisk::default();
    let log = open(&disk).unwrap();
    propose_each(&log, values[..2].iter().map(Vec::as_slice));
    let before = disk.files();
    propose_each(&log, [values[2].as_slice()]);
    let after = disk.files();
    close(log);

    let path = log_files(&after).pop().unwrap();
    let sectors: Vec<usize> = (0..after[&path].len() / SECTOR)
        .filter(|at| {
            let range = at * SECTOR..(at + 1) * SECTOR;
            before[&path][range.clone()] != after[&path][range]
        })
        .collect();
    assert_eq!(sectors.len(), 3, "the last value fills three sectors");
    let last = values.pop().unwrap();
    for arrived in 0..1 << sectors.len() {
        let mut torn = before.clone();
        for (bit, at) in sectors.iter().enumerate() {
            if arrived & 1 << bit != 0 {
                let range = at * SECTOR..(at + 1) * SECTOR;
                torn.get_mut(&path).unwrap()[range.clone()].copy_from_slice(&after[&path][range]);
            }
        }
        let expected = match arrived {
            0b111 => [values.clone(), vec![last.clone()]].concat(),
            _ => values.clone(),
        };
        assert_eq!(opened(&torn).as_ref(), Ok(&expected), "{arrived:03b}");

        // What was repaired takes new entries, and they stay.
        let disk = SimDisk::with(&torn);
        let log = open(&disk).unwrap();
        assert_eq!(log.recovery().torn.is_some(), !matches!(arrived, 0 | 0b111));
        propose_each(&log, [b"new".as_slice()]);
        close(log);
        let expected = [expected, vec![b"new".to_vec()]].concat();
        assert_eq!(opened(&disk.files()), Ok(expected), "{arrived:03b}");

        // A flipped bit in what arrived is rot even here, before the mark.
        for at in sectors.iter().filter(|at| torn[&path][*at * SECTOR..][..SECTOR] != [0; SECTOR]) {
            for offset in at * SECTOR..(at + 1) * SECTOR {
                let mut damaged = torn.clone();
                damaged.get_mut(&path).unwrap()[offset] ^= 1 << (offset % 8);
                let found = opened(&damaged);
                assert_eq!(found, Err((path.clone(), (at * SECTOR) as u64)), "byte {offset}");
            }
        }
    }
}

/// The one ambiguity that is left, and its end: until the mark is written, a last group that lost
/// whole sectors after it was acknowledged looks like one that was never whole.
#[test]
fn the_mark_ends_the_doubt_about_the_last_group() {
    let disk = SimDisk::default();
    let mut config = small(Path::new(FOLDER));
    config.idle_mark = Duration::from_millis(1);
    let log = Log::open_on(Arc::new(disk.clone()), config, Journal::default()).unwrap();
    propose_each(&log, [b"last".as_slice()]);
    let path = log_files(&disk.files()).pop().unwrap();
    let sector = |at: usize| at * SECTOR..(at + 1) * SECTOR;
    // Header, mark, election, value. The mark comes by itself, first for the election alone.
    let loss = || {
        let mut damaged = disk.files();
        damaged.get_mut(&path).unwrap()[sector(3)].fill(0);
        damaged
    };
    common::eventually(|| opened(&loss()) == Err((path.clone(), 3 * SECTOR as u64)));
    // Without the mark, the same would have been taken for a torn write.
    let mut damaged = loss();
    damaged.get_mut(&path).unwrap()[sector(MARK)].fill(0);
    assert_eq!(opened(&damaged), Ok(vec![]));
    close(log);
}

proptest! {
    /// Misplaced, repeated and foreign bytes anywhere: what opens is what was written.
    #[test]
    fn damage_of_any_shape_is_refused_or_harmless(
        file in any::<prop::sample::Index>(),
        to in any::<prop::sample::Index>(),
        from in any::<prop::sample::Index>(),
        length in 1_usize..3_000,
        aligned in any::<bool>(),
        foreign in prop::option::of(any::<u8>()),
    ) {
        static CLOSED: LazyLock<Files> = LazyLock::new(|| closed_log(&values(9)));
        let paths = log_files(&CLOSED);
        let path = file.get(&paths);
        let align = |n: usize| if aligned { n / SECTOR * SECTOR } else { n };
        let mut damaged = CLOSED.clone();
        let bytes = damaged.get_mut(path).unwrap();
        let (to, from) = (align(to.index(bytes.len())), align(from.index(bytes.len())));
        let length = align(length + SECTOR).min(bytes.len() - to.max(from));
        match foreign {
            Some(byte) => bytes[to..to + length].fill(byte),
            None => bytes.copy_within(from..from + length, to),
        }
        let lost_mark = bytes[MARK * SECTOR..(MARK + 1) * SECTOR] == [0; SECTOR];
        if let Ok(found) = opened(&damaged) {
            // Two losses at once, of the mark and of the end, are more than can be noticed.
            prop_assert!(found == values(9) || lost_mark && values(9).starts_with(&found));
        }
    }
}
