//! How long a controller takes from its files to a usable state, with ten million queued calls.

#[path = "../core/benches/house/mod.rs"]
#[allow(dead_code, reason = "each benchmark uses its part")]
mod house;
#[path = "../src/machine.rs"]
#[allow(dead_code, reason = "what the API asks of it")]
mod machine;
#[allow(dead_code, reason = "each benchmark uses its part")]
mod support;
#[path = "../src/ticker.rs"]
#[allow(dead_code, unused_imports, reason = "nothing is woken, and its own tests run elsewhere")]
mod ticker;

use std::{
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use busyhour_base::AccountSid;
use busyhour_controller::clock;
use busyhour_controller_core::{
    State,
    command::{self, Submit},
    effect::Reply,
};
use busyhour_log::{Config, Log};
use house::{House, START, TENANTS, new_call};
use machine::Core;
use serde::{Deserialize, Serialize};

/// Starts of which the best and the median count.
const ROUNDS: usize = 5;
/// Calls that were queued since the snapshot.
const TAIL: u64 = 1_000_000;
/// Calls of one entry.
const LINES: u64 = 500;
/// Bytes of log after which the first snapshot is taken.
const SNAPSHOT_AFTER: u64 = 1 << 20;

// As the controller's own program has it.
#[global_allocator]
static ALLOCATOR: busyhour_controller::memory::Allocator = busyhour_controller::memory::Allocator;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if let Some(at) = args.iter().position(|arg| arg == "start") {
        return start(Path::new(&args[at + 1]));
    }
    let dir = tempfile::tempdir().expect("a folder");
    let queued = fill(dir.path());
    let started = starts(dir.path());
    let (best, median) = (&started[0], &started[ROUNDS / 2]);
    assert!(started.iter().all(|started| started.queued == queued), "every call is there");
    lengthen(dir.path());
    let tails = starts(dir.path());
    let tail = &tails[ROUNDS / 2];
    assert!(tails.iter().all(|tail| tail.queued == queued + TAIL), "every call is there");
    let how = format!(
        "from opening the folder to a state that takes the next entry, in a process of its own: a snapshot of {queued} \
         queued calls of {TENANTS} tenants, {} MB, checked and read, and {} commands of log after it; the files are in \
         the system's memory, as after a restart of the process alone; best of {ROUNDS}, median {:.2} s. A tail of \
         {TAIL} more calls takes {:.2} s beside",
        best.snapshot_bytes >> 20,
        best.replayed,
        median.seconds,
        (tail.seconds - median.seconds).max(0.0),
    );
    support::figure("restart.seconds_10m", best.seconds, ("s", "less"), &how);
}

/// Several starts, the quickest first. The first of them finds memory that was never touched, which a virtual machine's host has
/// yet to provide.
fn starts(dir: &Path) -> Vec<Started> {
    let mut starts: Vec<_> = (0..ROUNDS).map(|_| started(dir)).collect();
    starts.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
    starts
}

/// What a start came to.
#[derive(Debug, Serialize, Deserialize)]
struct Started {
    seconds: f64,
    queued: u64,
    /// Commands after the snapshot.
    replayed: u64,
    snapshot_bytes: u64,
}

/// A start in a process of its own: none of its memory was used before.
fn started(folder: &Path) -> Started {
    let program = std::env::current_exe().expect("this program");
    let folder = folder.as_os_str();
    let child = Command::new(program).arg("start").arg(folder).stdout(Stdio::piped()).spawn();
    let output = child.and_then(std::process::Child::wait_with_output).expect("a start");
    assert!(output.status.success(), "the start failed");
    let started = serde_json::from_slice(&output.stdout).expect("its account");
    eprintln!("{started:?}");
    started
}

/// The other process.
fn start(folder: &Path) {
    let core = support::silent_core(State::new());
    let began = Instant::now();
    let log = Log::open(settings(folder), core).expect("the log opens");
    let started = Started {
        seconds: began.elapsed().as_secs_f64(),
        queued: log.machine().read().state().calls_waiting() as u64,
        replayed: log.recovery().replayed,
        snapshot_bytes: log.status().snapshot_bytes,
    };
    close(log);
    println!("{}", serde_json::to_string(&started).expect("plain data"));
}

fn settings(folder: &Path) -> Config {
    Config { snapshot_after_bytes: u64::MAX, ..support::config(folder, clock::now) }
}

fn close(log: Log<Core>) {
    futures::executor::block_on(log.shutdown());
}

/// Leaves a folder with a snapshot of ten million queued calls and a short log; tells how many.
fn fill(folder: &Path) -> u64 {
    let mut house = House::new(START, Vec::new());
    house.submit_batches();
    house.submit_calls();
    let (calls, _) = house.taken();
    let core = support::silent_core(house.state);
    let config = Config { snapshot_after_bytes: SNAPSHOT_AFTER, ..settings(folder) };
    let log = Log::open(config, core).expect("the log opens");
    let mut more = 0;
    while log.status().log_bytes < SNAPSHOT_AFTER {
        submit(&log, more);
        more += LINES;
    }
    let began = Instant::now();
    while log.status().snapshot_index == 0 {
        assert!(began.elapsed() < Duration::from_secs(120), "{:?}", log.status().snapshot_error);
        std::thread::sleep(Duration::from_millis(20));
    }
    eprintln!("the snapshot was written within {:?}", began.elapsed());
    close(log);
    calls + more
}

fn submit(log: &Log<Core>, first: u64) {
    let tenant = first / LINES % TENANTS;
    let calls = (first..first + LINES).map(|n| new_call(tenant, n)).collect();
    let account = AccountSid(u128::from(tenant));
    let submit = Submit { account, idempotency: None, batch: None, calls };
    let pending = log.submit(command::Command::Submit(submit)).expect("room in the queue");
    let (_, reply) = pending.wait().expect("durable");
    let Reply::Submitted(verdicts) = reply else { panic!("{reply:?}") };
    assert!(verdicts.iter().all(Result::is_ok));
}

/// Adds many calls to the log, and no snapshot.
fn lengthen(folder: &Path) {
    let core = support::silent_core(State::new());
    let log = Log::open(settings(folder), core).expect("the log opens");
    for first in (0..TAIL).step_by(LINES as usize) {
        submit(&log, first);
    }
    close(log);
}
