//! The state machine on its log as the controller runs it, without the network around it.

use std::{fs::File, os::unix::fs::FileExt as _, path::Path, sync::Arc, thread, time::Instant};

use busyhour_base::Timestamp;
use busyhour_controller_core::State;
use busyhour_log::Config;
use serde_json::json;
use tokio::sync::{Notify, mpsc};

use crate::{
    machine::{Core, EFFECTS_MAX, Effects, Outlets},
    ticker::Waker,
};

/// A machine with this state, its waker, and what it asks for.
pub fn core(state: State) -> (Core, Waker, mpsc::Receiver<Effects>) {
    let (effects, asked) = mpsc::channel(EFFECTS_MAX);
    let waker = Waker::new();
    let (outbox, message_outbox) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let queued = metrics::Counter::noop();
    let outlets = Outlets { effects, queued, waker: waker.clone(), outbox, message_outbox };
    (Core::new(state, outlets), waker, asked)
}

/// A machine with this state whose effects nobody looks at.
pub fn silent_core(state: State) -> Core {
    let (core, _, mut asked) = core(state);
    thread::spawn(move || while asked.blocking_recv().is_some() {});
    core
}

/// The log's bounds as the controller sets them.
pub fn config(folder: &Path, clock: fn() -> Timestamp) -> Config {
    Config::new(folder.join("log"), Arc::new(clock))
}

/// Prints a figure that has no peer in this program.
pub fn figure(id: &str, value: f64, (unit, better): (&str, &str), how: &str) {
    let line = json!({
        "id": id, "value": value, "unit": unit, "better": better, "peer": null, "peer_value": null, "ratio": null, "how": how,
    });
    println!("{line}");
}

/// What the disk alone takes to make 4 KiB durable in a file that is there already: the median and the 99th percentile, in
/// microseconds.
pub fn fdatasync_us() -> (u64, u64) {
    const ROUNDS: usize = 400;
    let dir = tempfile::tempdir().expect("a folder");
    let file = File::create(dir.path().join("probe")).expect("a file");
    let block = [7; 4_096];
    let offsets = (0..ROUNDS as u64).map(|n| n * 4_096);
    offsets.clone().for_each(|at| file.write_all_at(&block, at).expect("written"));
    file.sync_all().expect("synced");
    let mut took: Vec<_> = offsets
        .map(|at| {
            let began = Instant::now();
            file.write_all_at(&block, at).expect("written");
            file.sync_data().expect("synced");
            u64::try_from(began.elapsed().as_micros()).expect("short")
        })
        .collect();
    took.sort_unstable();
    (took[ROUNDS / 2], took[ROUNDS * 99 / 100])
}
