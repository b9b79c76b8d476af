//! A real process with a real disk, killed with SIGKILL at any moment, over and over: what it had
//! acknowledged is there, in order, exactly once.

mod common;

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use busyhour_base::Timestamp;
use busyhour_log::{Config, Log};
use common::{Journal, close, propose};

const FOLDER: &str = "BUSYHOUR_LOG_KILL_TEST_FOLDER";
const THREADS: u64 = 4;

fn config(folder: &Path) -> Config {
    let ticks = AtomicU64::new(1);
    let clock = Arc::new(move || Timestamp(ticks.fetch_add(1, Ordering::Relaxed)));
    let mut config = Config::new(folder, clock);
    config.command_bytes = 16 << 10;
    config.group_bytes = 16 << 10;
    config.segment_bytes = 64 << 10;
    config.snapshot_after_bytes = 128 << 10;
    config
}

/// A value of its own for each proposal: who proposed it, and its count.
fn value(thread: u64, count: u64) -> Vec<u8> {
    let mut value = [thread.to_le_bytes(), count.to_le_bytes()].concat();
    value.resize(16 + (count % 7 * 100) as usize, 1);
    value
}

fn parse(value: &[u8]) -> (u64, u64) {
    let number = |at: usize| u64::from_le_bytes(value[at..at + 8].try_into().unwrap());
    (number(0), number(8))
}

/// The last count of each thread in a log.
fn counts(journal: &Journal) -> BTreeMap<u64, u64> {
    journal.seen.iter().map(|(_, _, value)| parse(value)).collect()
}

#[test]
#[ignore = "the process that the other test starts and kills"]
fn child() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let log = Log::open(config(folder.as_ref()), Journal::default()).unwrap();
    let counts = counts(&log.machine().read());
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (log, begun) = (log.clone(), counts.get(&thread).copied().unwrap_or(0));
            scope.spawn(move || {
                for count in begun + 1.. {
                    let index = propose(&log, &value(thread, count));
                    let mut out = std::io::stdout().lock();
                    writeln!(out, "acknowledged {index} {thread} {count}").unwrap();
                    out.flush().unwrap();
                }
            });
        }
    });
}

#[test]
fn what_a_killed_process_acknowledged_is_there_exactly_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    for round in 0..12 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--ignored", "--nocapture"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut seen = 0;
        while let Some(Ok(line)) = lines.next() {
            let words: Vec<&str> = line.split(' ').collect();
            // The test program of the child prints lines of its own.
            let ["acknowledged", index, thread, count] = words.as_slice() else { continue };
            let number = |word: &str| word.parse::<u64>().ok();
            if let (Some(index), Some(thread), Some(count)) =
                (number(index), number(thread), number(count))
            {
                acknowledged.insert(index, (thread, count));
            }
            seen += 1;
            if seen == 50 + round * 37 {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(seen >= 50 + round * 37, "the process ended by itself after {seen}");

        let log = Log::open(config(folder.path()), Journal::default()).unwrap();
        check(&log.machine().read(), &acknowledged);
        close(log);
    }
}

fn check(journal: &Journal, acknowledged: &BTreeMap<u64, (u64, u64)>) {
    assert!(journal.seen.iter().map(|(index, ..)| *index).eq(1..=journal.seen.len() as u64));
    let mut last = BTreeMap::new();
    for (_, _, value) in &journal.seen {
        let (thread, count) = parse(value);
        let before = last.insert(thread, count).unwrap_or(0);
        assert_eq!(count, before + 1, "thread {thread}: in order, exactly once");
    }
    for (index, expected) in acknowledged {
        let held = journal.seen.get(*index as usize - 1).map(|(_, _, value)| parse(value));
        assert_eq!(held.as_ref(), Some(expected), "command {index} was acknowledged");
    }
}
