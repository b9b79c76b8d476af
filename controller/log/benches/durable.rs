//! How many commands per second the log makes durable, and how long it takes to open a long one.

use std::{
    fs::File,
    io::Read,
    os::unix::fs::FileExt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime},
};

use busyhour_base::Timestamp;
use busyhour_log::{Config, Log, Machine, Mode, Pending, RestoreError};
use serde_json::json;

/// How long each rate is measured.
const MEASURED: Duration = Duration::from_secs(4);
/// Before that, so that files are prepared and caches warm.
const WARM_UP: Duration = Duration::from_secs(1);
/// Size of a command, about that of one accepted call.
const COMMAND_BYTES: usize = 256;
/// Length of the log that is opened.
const RESTART_COMMANDS: u64 = 1_000_000;

/// As cheap as a machine can be, so that the log is what is measured.
#[derive(Default)]
struct Sum(u64);

impl Machine for Sum {
    type Command = Vec<u8>;
    type Reply = u64;
    type Frozen = Vec<u8>;

    fn apply(&mut self, index: u64, _at: Timestamp, _mode: Mode, command: Vec<u8>) -> u64 {
        self.0 = self.0.wrapping_add(u64::from(command[0]));
        index
    }

    fn freeze(&mut self) -> Vec<u8> {
        self.0.to_le_bytes().to_vec()
    }

    fn restore(&mut self, from: &mut dyn Read) -> Result<(), RestoreError> {
        let mut bytes = [0; 8];
        from.read_exact(&mut bytes)?;
        self.0 = u64::from_le_bytes(bytes);
        Ok(())
    }
}

fn main() {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder");
    let bare = bare_syncs_per_second(folder.path());
    for outstanding in [1, 64, 256, 8192] {
        let measured = durable_per_second(&folder.path().join("rate"), outstanding);
        report_rate(outstanding, &measured, (outstanding == 1).then_some(bare));
    }
    let (value, bytes) = restart_seconds(&folder.path().join("restart"));
    println!(
        "{}",
        json!({
            "id": "log.restart_s", "value": value, "unit": "s", "better": "less",
            "peer": null, "peer_value": null, "ratio": null,
            "how": format!(
                "open a log of {RESTART_COMMANDS} commands of {COMMAND_BYTES} bytes ({} MB of files, caches dropped first) and replay it all, without a snapshot",
                bytes / 1_000_000
            ),
        })
    );
}

struct Rate {
    per_second: f64,
    commands_per_group: f64,
    cpu_us_per_command: f64,
}

fn report_rate(outstanding: usize, rate: &Rate, bare: Option<f64>) {
    println!(
        "{}",
        json!({
            "id": format!("log.durable_per_s.{outstanding}"),
            "value": rate.per_second.round(), "unit": "1/s", "better": "more",
            "peer": bare.map(|_| "write and fdatasync of 512 bytes in a prepared file, one after the other, nothing else"),
            "peer_value": bare.map(f64::round),
            "ratio": bare.map(|bare| rate.per_second / bare),
            "how": format!(
                "{outstanding} tasks on a tokio runtime of 2 threads, each proposing a command of {COMMAND_BYTES} bytes and awaiting its reply, {} s on a real file; {:.1} commands per fdatasync, {:.2} us of CPU per command in the whole process",
                MEASURED.as_secs(), rate.commands_per_group, rate.cpu_us_per_command
            ),
        })
    );
}

fn config(folder: &Path) -> Config {
    let clock = Arc::new(|| {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Timestamp(now.map_or(0, |now| now.as_micros() as u64))
    });
    Config::new(folder, clock)
}

fn durable_per_second(folder: &Path, outstanding: usize) -> Rate {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().expect("a runtime");
    let log = Log::open(config(folder), Sum::default()).expect("the log opens");
    let done = Arc::new(AtomicU64::new(0));
    let stop = Arc::new(AtomicBool::new(false));
    let proposers: Vec<_> = (0..outstanding)
        .map(|_| {
            let (log, done, stop) = (log.clone(), done.clone(), stop.clone());
            runtime.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    log.propose(vec![1; COMMAND_BYTES]).await.expect("accepted");
                    done.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    std::thread::sleep(WARM_UP);
    let (began, count, cpu, groups) =
        (Instant::now(), done.load(Ordering::Relaxed), cpu(), log.status().groups);
    std::thread::sleep(MEASURED);
    let commands = (done.load(Ordering::Relaxed) - count) as f64;
    let rate = Rate {
        per_second: commands / began.elapsed().as_secs_f64(),
        commands_per_group: commands / (log.status().groups - groups) as f64,
        cpu_us_per_command: (self::cpu() - cpu).as_secs_f64() * 1e6 / commands,
    };
    stop.store(true, Ordering::Relaxed);
    runtime.block_on(async {
        for proposer in proposers {
            proposer.await.expect("a proposer");
        }
        log.shutdown().await;
    });
    rate
}

/// Processor time of this process so far.
fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn bare_syncs_per_second(folder: &Path) -> f64 {
    const BYTES: u64 = 16 << 20;
    let file = File::create(folder.join("bare")).expect("a file");
    file.write_all_at(&vec![0; BYTES as usize], 0).expect("written");
    file.sync_all().expect("synced");
    let (began, mut count) = (Instant::now(), 0);
    while began.elapsed() < MEASURED {
        file.write_all_at(&[1; 512], count * 512 % BYTES).expect("written");
        file.sync_data().expect("synced");
        count += 1;
    }
    count as f64 / began.elapsed().as_secs_f64()
}

fn restart_seconds(folder: &Path) -> (f64, u64) {
    let mut config = config(folder);
    config.snapshot_after_bytes = 1 << 30;
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let log = Log::open(config.clone(), Sum::default()).expect("the log opens");
    let mut pending = std::collections::VecDeque::new();
    for _ in 0..RESTART_COMMANDS {
        if pending.len() == 8192 {
            pending.pop_front().map(Pending::wait).transpose().expect("accepted");
        }
        pending.push_back(log.submit(vec![1; COMMAND_BYTES]).expect("accepted"));
    }
    runtime.block_on(log.shutdown());
    let bytes = log.status().log_bytes;
    drop(log);
    let began = Instant::now();
    let log = Log::open(config, Sum::default()).expect("the log opens");
    let took = began.elapsed().as_secs_f64();
    assert_eq!(log.recovery().replayed, RESTART_COMMANDS);
    runtime.block_on(log.shutdown());
    (took, bytes)
}
