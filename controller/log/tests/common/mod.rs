//! A small machine for the tests, and ways to open its log.
#![allow(dead_code, reason = "each test program uses its part of this")]

pub mod sim_disk;

use std::{
    io::Read,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use busyhour_base::Timestamp;
use busyhour_log::{Config, Log, Machine, Mode, Pending, ProposeError, RestoreError};

/// Remembers every command that it was given: number, instant and value, in order.
#[derive(Default, Debug, Clone, PartialEq, Eq)]
pub struct Journal {
    /// What was applied, live or not.
    pub seen: Vec<(u64, Timestamp, Vec<u8>)>,
    /// The numbers of those that were applied live.
    pub live: Vec<u64>,
    /// Ends of groups.
    pub settled: u64,
}

impl Journal {
    /// The values alone.
    pub fn values(&self) -> Vec<&[u8]> {
        self.seen.iter().map(|(_, _, value)| value.as_slice()).collect()
    }
}

impl Machine for Journal {
    type Command = Vec<u8>;
    type Reply = u64;
    type Frozen = Vec<u8>;

    fn apply(&mut self, index: u64, at: Timestamp, mode: Mode, command: Vec<u8>) -> u64 {
        if mode == Mode::Live {
            self.live.push(index);
        }
        self.seen.push((index, at, command));
        index
    }

    fn settled(&mut self, _mode: Mode) {
        self.settled += 1;
    }

    fn freeze(&mut self) -> Vec<u8> {
        postcard::to_stdvec(&self.seen).unwrap()
    }

    fn restore(&mut self, from: &mut dyn Read) -> Result<(), RestoreError> {
        let mut bytes = Vec::new();
        from.read_to_end(&mut bytes)?;
        self.seen = postcard::from_bytes(&bytes)?;
        Ok(())
    }
}

/// A small log: files of 8 KiB, no snapshots unless asked for, no mark before it is closed.
pub fn small(folder: &Path) -> Config {
    let ticks = AtomicU64::new(1);
    let clock = Arc::new(move || Timestamp(ticks.fetch_add(1, Ordering::Relaxed)));
    let mut config = Config::new(folder, clock);
    config.command_bytes = 2048;
    config.group_bytes = 2048;
    config.segment_bytes = 8192;
    config.idle_mark = Duration::from_secs(3600);
    config
}

/// Proposes each value and waits for its reply before the next, so that each has a group of its
/// own.
pub fn propose_each<'a>(log: &Log<Journal>, values: impl IntoIterator<Item = &'a [u8]>) {
    for value in values {
        propose(log, value);
    }
}

/// Proposes a value until it is accepted, as any client does: at its bound the log waits for the
/// snapshot that is being written. Gives its number.
pub fn propose(log: &Log<Journal>, value: &[u8]) -> u64 {
    let mut index = None;
    eventually(|| {
        index = match log.submit(value.to_vec()).and_then(Pending::wait) {
            Ok(index) => Some(index),
            Err(ProposeError::NoRoom(why)) if why.ends_with(WRITING) => None,
            Err(other) => panic!("not accepted: {other}"),
        };
        index.is_some()
    });
    index.expect("just seen")
}

/// How a refusal ends that only asks for patience.
pub const WRITING: &str = "the snapshot is still being written";

/// Closes a log and waits until its folder is free.
pub fn close(log: Log<Journal>) {
    runtime().block_on(log.shutdown());
}

/// A runtime for the few calls that need one.
pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Where a simulated disk has its log.
pub const FOLDER: &str = "/log";

/// What a log said when it could not go on.
pub type Fatals = Arc<parking_lot::Mutex<Vec<String>>>;

/// A configuration that collects what would end the process.
pub fn collecting(mut config: Config) -> (Config, Fatals) {
    let fatals = Fatals::default();
    let collect = fatals.clone();
    config.on_fatal = Arc::new(move |fatal| collect.lock().push(fatal.to_string()));
    (config, fatals)
}

/// Opens a small log on a simulated disk.
pub fn open(disk: &sim_disk::SimDisk) -> Result<Log<Journal>, busyhour_log::OpenError> {
    Log::open_on(Arc::new(disk.clone()), small(Path::new(FOLDER)), Journal::default())
}

/// Waits until something holds, for at most a minute.
pub fn eventually(mut holds: impl FnMut() -> bool) {
    let end = std::time::Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(std::time::Instant::now() < end, "it never came to hold");
        std::thread::yield_now();
    }
}
