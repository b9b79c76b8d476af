//! How many calls a second are accepted over HTTP, each durable before its 201.
//!
//! The controller runs in this process; the load comes from a second process over loopback, so that the processor
//! time per request is the controller's alone (all of it: HTTP, check, log, fsync, state).
//!
//! Two measures, and of either only what answers 99 of 100 requests soon enough. In a closed loop every connection sends its
//! next request when the last is answered, as `redis-benchmark` does: its mean latency is nothing but connections divided by
//! throughput, so that where that is too long, the clients hold back together until it is not. In an open loop requests are
//! due at a rate whether or not earlier ones are answered, and the highest rate is looked for; whatever stops either side or
//! the machine for a moment then makes all late that were due meanwhile.
//!
//! `cargo bench --bench accept -- round` prints one round of the closed loop of most connections as a line of JSON, for
//! whoever measures a peer in turn with it; `-- closed`, `-- held 70000` and `-- due 30000` try one pace alone.

#[path = "../tests/common/mod.rs"]
mod common;
#[path = "support/load.rs"]
mod load;
#[path = "support/tenants.rs"]
mod tenants;

use std::{
    net::SocketAddr,
    num::NonZeroU64,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use common::{House, http};
use load::{Load, Pace};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};
use tenants::{account, declaration};

/// How long each closed loop lasts, after a quarter of it to warm up.
const CLOSED: Duration = Duration::from_secs(3);

/// Connections of the closed loops, and in how many rounds, of which the best counts: what else runs on a machine comes and goes.
const ROUNDS: [(usize, usize); 3] = [(1, 2), (64, 2), (MOST_CONNECTIONS, 5)];

/// Connections of the open loop, and of whatever is tried alone.
const MOST_CONNECTIONS: usize = 256;

/// The hundredths of what a closed loop reached to which its clients hold back, one after the other, until it is in time.
const HELD: [u64; 6] = [94, 88, 82, 70, 55, 40];

/// What the 99th percentile may be.
const P99_MAX: Duration = Duration::from_millis(5);

/// How long a rate is tried in the search, and again to confirm what was found.
const TRIED: Duration = Duration::from_secs(2);
const CONFIRMED: Duration = Duration::from_secs(5);

/// Rates are tried in steps of this part of what the closed loop reaches, up to a step beyond that.
const STEPS: u64 = 24;

/// A rate that fails is tried so often in all, for the same reason as there are rounds.
const TRIES: usize = 2;

/// Accounts that share the load in turn: one alone may send 5,000 requests a second.
const ACCOUNTS: usize = 64;

/// Requests that differ.
const REQUESTS: usize = 256;

// As the controller's own program has it.
#[global_allocator]
static ALLOCATOR: busyhour_controller::memory::Allocator = busyhour_controller::memory::Allocator;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let after = |word| args.iter().position(|arg| arg == word).map(|at| &args[at + 1..]);
    if let Some(load) = after("load") {
        println!("{}", read_load(load).run());
        return;
    }
    log();
    let rate_after = |word| {
        let rest = after(word)?;
        let rate = rest.first().and_then(|rate| rate.parse().ok());
        Some(rate.unwrap_or_else(|| panic!("'{word}' wants requests per second, at least 1")))
    };
    if after("round").is_some() {
        let mut loops = Vec::new();
        round(MOST_CONNECTIONS, &mut loops);
        println!("{}", say_best(&loops));
    } else if after("closed").is_some() {
        try_once(Pace::Closed);
    } else if let Some(rate) = rate_after("held") {
        try_once(Pace::Held(rate));
    } else if let Some(rate) = rate_after("due") {
        try_once(Pace::Due(rate));
    } else {
        measure_all();
    }
}

/// Logs what the controller's own program logs by default, to nowhere.
fn log() {
    let filter = tracing_subscriber::EnvFilter::new("info,rsipstack=error");
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::sink).init();
}

fn try_once(pace: Pace) {
    let measured = Measured::of(MOST_CONNECTIONS, pace, TRIED);
    println!("{}/s: {}", measured.rate, measured.how(fdatasync_us()));
}

fn measure_all() {
    let sync_us = fdatasync_us();
    let mut most: f64 = 0.0;
    for (connections, rounds) in ROUNDS {
        let mut loops = Vec::new();
        for _ in 0..rounds {
            round(connections, &mut loops);
        }
        report_closed(connections, &loops, sync_us);
        most = loops.iter().map(|measured| measured.rate).fold(most, f64::max);
    }
    let (found, tried) = highest_rate(most as u64 / STEPS);
    let beside = found
        .as_ref()
        .map_or_else(|| "No rate was answered in time".to_owned(), |found| found.how(sync_us));
    let how = format!(
        "{beside}, requests due at an even rate, each latency from the instant at which it was due; the highest rate with \
         p99 <= {} ms in {} s; tried (rate: p99 us) {tried}",
        P99_MAX.as_millis(),
        CONFIRMED.as_secs(),
    );
    let value = found.map_or(0.0, |found| found.rate);
    report(&format!("accept.open_loop_per_s.{MOST_CONNECTIONS}"), value, &how);
}

/// A closed loop, and again with clients who hold back until it is in time, unless another round's was that was faster.
fn round(connections: usize, loops: &mut Vec<Measured>) {
    let closed = Measured::of(connections, Pace::Closed, CLOSED);
    let reached = closed.rate as u64;
    loops.push(closed);
    for hundredths in HELD {
        let rate = reached * hundredths / 100;
        if best(loops).is_some_and(|best| best.rate >= rate as f64) {
            return;
        }
        let rate = NonZeroU64::new(rate).expect("something was accepted");
        loops.push(Measured::of(connections, Pace::Held(rate), CLOSED));
    }
}

/// The fastest that was in time.
fn best(loops: &[Measured]) -> Option<&Measured> {
    let in_time = loops.iter().filter(|measured| measured.is_in_time());
    in_time.max_by(|a, b| a.rate.total_cmp(&b.rate))
}

fn say_best(loops: &[Measured]) -> Value {
    let best = best(loops);
    json!({
        "accepted_per_s": best.map_or(0.0, |best| best.rate),
        "p99_us": best.map(|best| &best.load["p99_us"]),
        "tried": tried(loops),
    })
}

fn tried(loops: &[Measured]) -> String {
    let said: Vec<_> = loops.iter().map(Measured::in_short).collect();
    said.join(", ")
}

/// Reports the best of the closed loops that was in time.
fn report_closed(connections: usize, loops: &[Measured], sync_us: u64) {
    let best = best(loops);
    let how = format!(
        "{}, the next request at the earliest once the last is answered, {} s; the best with p99 <= {} ms of {}",
        best.unwrap_or(&loops[0]).how(sync_us),
        CLOSED.as_secs(),
        P99_MAX.as_millis(),
        tried(loops),
    );
    let value = best.map_or(0.0, |best| best.rate);
    report(&format!("accept.durable_per_s.{connections}"), value, &how);
}

/// The highest multiple of `step` that the controller answers in time, and everything that was tried.
fn highest_rate(step: u64) -> (Option<Measured>, String) {
    let mut tried = String::new();
    let mut answers = |times: u64, long: Duration| {
        let rate = NonZeroU64::new(step * times).expect("a rate");
        let measured = Measured::of(MOST_CONNECTIONS, Pace::Due(rate), long);
        let said = format!("{rate}: {}, ", measured.load["p99_us"]);
        eprint!("{said}");
        tried.push_str(&said);
        measured.is_in_time().then_some(measured)
    };
    // The lowest that is too much; below it is the highest that is not.
    let (mut good, mut bad) = (0, STEPS + 2);
    while bad - good > 1 {
        let middle = good.midpoint(bad);
        match (0..TRIES).find_map(|_| answers(middle, TRIED)) {
            Some(_) => good = middle,
            None => bad = middle,
        }
    }
    // What went well for a moment need not go well for longer.
    let found = (1..=good).rev().find_map(|times| answers(times, CONFIRMED));
    eprintln!();
    tried.truncate(tried.len() - 2);
    (found, tried)
}

/// What became of a load on a new controller.
struct Measured {
    connections: usize,
    pace: Pace,
    /// Accepted per second.
    rate: f64,
    /// The load's own account.
    load: Value,
    /// Our processor time per request.
    cpu: Duration,
}

impl Measured {
    /// Puts a load on a new controller.
    fn of(connections: usize, pace: Pace, long: Duration) -> Self {
        let house = House::declaring(&declaration(ACCOUNTS, "", 1_000));
        common::runtime().block_on(async {
            let controller = house.start().await;
            let api = controller.ready.api;
            let drive = move || drive(api, connections, pace, long);
            let measured = tokio::task::spawn_blocking(drive).await.expect("measured");
            controller.stop().await;
            measured
        })
    }

    fn is_in_time(&self) -> bool {
        let p99 = self.load["p99_us"].as_u64().expect("microseconds");
        Duration::from_micros(p99) <= P99_MAX
    }

    /// What was reached, at which pace.
    fn in_short(&self) -> String {
        let held = match self.pace {
            Pace::Closed => String::new(),
            Pace::Held(rate) => format!("held back to {rate}, "),
            Pace::Due(rate) => format!("due at {rate}, "),
        };
        format!("{} ({held}p99 {} us)", self.rate, self.load["p99_us"])
    }

    fn how(&self, sync_us: u64) -> String {
        let connections = self.connections;
        format!(
            "p50 {} us, p99 {} us; processor time per request {:.1} us of the controller and {:.1} us of the clients; \
             POST Calls.json over {connections} keep-alive connections from a second process on the same 2 cores; \
             each 201 after its fdatasync (this disk alone: {sync_us} us)",
            self.load["p50_us"],
            self.load["p99_us"],
            self.cpu.as_secs_f64() * 1e6,
            self.load["client_us"].as_f64().expect("microseconds"),
        )
    }
}

/// Runs the load beside us.
fn drive(api: SocketAddr, connections: usize, pace: Pace, long: Duration) -> Measured {
    let program = std::env::current_exe().expect("this program");
    let (pace_word, rate) = match pace {
        Pace::Closed => ("closed", 0),
        Pace::Held(rate) => ("held", rate.get()),
        Pace::Due(rate) => ("due", rate.get()),
    };
    let numbers = [connections as u64, long.as_millis() as u64, rate].map(|n| n.to_string());
    let before = cpu();
    let mut load = Command::new(program);
    let load = load.args(["load", &api.to_string(), pace_word]).args(numbers);
    let output = load.stdout(Stdio::piped()).spawn();
    let output = output.and_then(std::process::Child::wait_with_output).expect("the load ran");
    let spent = cpu().checked_sub(before).expect("processor time never goes back");
    assert!(output.status.success(), "the load failed");
    let load: Value = serde_json::from_slice(&output.stdout).expect("the load's account");
    let count = |name: &str| load[name].as_u64().expect("a count");
    Measured {
        connections,
        pace,
        rate: (count("accepted") as f64 / long.as_secs_f64()).round(),
        cpu: spent / u32::try_from(count("all")).expect("a count"),
        load,
    }
}

/// The second process's load, as [`drive`] says it.
fn read_load(args: &[String]) -> Load {
    let number = |at: usize| args[at].parse::<u64>().expect("a number");
    let rate = || NonZeroU64::new(number(4)).expect("a rate");
    Load {
        api: args[0].parse().expect("an address"),
        pace: match args[1].as_str() {
            "closed" => Pace::Closed,
            "held" => Pace::Held(rate()),
            "due" => Pace::Due(rate()),
            other => panic!("no pace: {other}"),
        },
        connections: number(2) as usize,
        requests: (0..REQUESTS).map(request).collect(),
        measure: Duration::from_millis(number(3)),
    }
}

fn request(n: usize) -> Vec<u8> {
    let tenant = n % ACCOUNTS;
    let (account, token) = (account(tenant), format!("token-{tenant}"));
    let path = format!("/2010-04-01/Accounts/{account}/Calls.json");
    let form = "application/x-www-form-urlencoded";
    let body = format!(
        "To=%2B15551{n:06}&From=%2B1555010{tenant:04}&Url=https%3A%2F%2Fapp.example%2Fanswer.xml"
    );
    http::request_of((&account, &token), "POST", &path, form, &body)
}

/// Processor time of this process so far.
fn cpu() -> Duration {
    let spent = clock_gettime(ClockId::ProcessCPUTime);
    let (secs, nanos) = (spent.tv_sec.unsigned_abs(), spent.tv_nsec.unsigned_abs());
    Duration::from_secs(secs) + Duration::from_nanos(nanos)
}

/// What the disk alone takes to make 4 KiB durable in a file that is there already.
fn fdatasync_us() -> u64 {
    use std::os::unix::fs::FileExt as _;
    const ROUNDS: u32 = 200;
    let dir = tempfile::tempdir().expect("a folder");
    let file = std::fs::File::create(dir.path().join("probe")).expect("a file");
    let block = [7; 4_096];
    for n in 0..u64::from(ROUNDS) {
        file.write_all_at(&block, n * 4_096).expect("written");
    }
    file.sync_all().expect("synced");
    let began = Instant::now();
    for n in 0..u64::from(ROUNDS) {
        file.write_all_at(&block, n * 4_096).expect("written");
        file.sync_data().expect("synced");
    }
    u64::try_from((began.elapsed() / ROUNDS).as_micros()).expect("short")
}

fn report(id: &str, value: f64, how: &str) {
    let line = json!({
        "id": id,
        "value": value,
        "unit": "1/s",
        "better": "more",
        "peer": null,
        "peer_value": null,
        "ratio": null,
        "how": how,
    });
    println!("{line}");
}
