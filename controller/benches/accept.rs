//! How many calls a second are accepted over HTTP, each durable before its 201.
//!
//! The controller runs in this process; the load comes from a second process over loopback, so that the processor
//! time per request is the controller's alone (all of it: HTTP, check, log, fsync, state).
//!
//! Two measures, and of either only what answers 99 of 100 requests soon enough. In a closed loop every connection sends its
//! next request when the last is answered, as `redis-benchmark` does: its mean latency is nothing but connections divided by
//! throughput. In an open loop requests are due at a rate whether or not earlier ones are answered, and the highest rate is
//! looked for; whatever stops either side or the machine for a moment then makes all late that were due meanwhile.
//!
//! `cargo bench --bench accept -- at 30000` tries one rate alone, `at 0` the closed loop of as many connections.

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
use load::Load;
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};
use tenants::{account, declaration};

/// How long each closed loop lasts, after a quarter of it to warm up.
const CLOSED: Duration = Duration::from_secs(3);

/// Closed loops of each size, in turn, of which the best counts: what else runs on a machine comes and goes.
const ROUNDS: usize = 5;

/// Connections of the closed loops.
const CONNECTIONS: [usize; 3] = [1, 64, 256];

/// Connections of the open loop.
const OPEN_CONNECTIONS: usize = 256;

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
    match after("at") {
        Some(rate) => try_once(rate[0].parse().expect("a rate")),
        None => measure_all(),
    }
}

/// Logs what the controller's own program logs by default, to nowhere.
fn log() {
    let filter = tracing_subscriber::EnvFilter::new("info,rsipstack=error");
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::sink).init();
}

fn try_once(rate: u64) {
    let measured = Measured::of(OPEN_CONNECTIONS, NonZeroU64::new(rate), TRIED);
    println!("{}/s: {}", measured.rate, measured.how(OPEN_CONNECTIONS, fdatasync_us()));
}

fn measure_all() {
    let sync_us = fdatasync_us();
    let mut measured: Vec<_> = CONNECTIONS.iter().map(|_| Vec::new()).collect();
    for _ in 0..ROUNDS {
        for (connections, measured) in CONNECTIONS.into_iter().zip(&mut measured) {
            measured.push(Measured::of(connections, None, CLOSED));
        }
    }
    let mut most = 0.0;
    for (connections, measured) in CONNECTIONS.into_iter().zip(measured) {
        most = report_closed(connections, measured, sync_us);
    }
    let (found, tried) = highest_rate(most as u64 / STEPS);
    let beside = found.as_ref().map_or_else(
        || "No rate was answered in time".to_owned(),
        |found| found.how(OPEN_CONNECTIONS, sync_us),
    );
    let how = format!(
        "{beside}, requests due at an even rate, each latency from the instant at which it was due; the highest rate with \
         p99 <= {} ms in {} s; tried (rate: p99 us) {tried}",
        P99_MAX.as_millis(),
        CONFIRMED.as_secs(),
    );
    let value = found.map_or(0.0, |found| found.rate);
    report(&format!("accept.open_loop_per_s.{OPEN_CONNECTIONS}"), value, &how);
}

/// Reports the best of the closed loops that was in time, and tells the rate of the fastest.
fn report_closed(connections: usize, mut rounds: Vec<Measured>, sync_us: u64) -> f64 {
    rounds.sort_by(|a, b| b.rate.total_cmp(&a.rate));
    let all: Vec<_> = rounds
        .iter()
        .map(|round| format!("{} (p99 {} us)", round.rate, round.load["p99_us"]))
        .collect();
    let best = rounds.iter().find(|round| round.is_in_time());
    let how = format!(
        "{}, the next request once the last is answered, {} s; the best with p99 <= {} ms of {}",
        best.unwrap_or(&rounds[0]).how(connections, sync_us),
        CLOSED.as_secs(),
        P99_MAX.as_millis(),
        all.join(", "),
    );
    let value = best.map_or(0.0, |best| best.rate);
    report(&format!("accept.durable_per_s.{connections}"), value, &how);
    rounds[0].rate
}

/// The highest multiple of `step` that the controller answers in time, and everything that was tried.
fn highest_rate(step: u64) -> (Option<Measured>, String) {
    let mut tried = String::new();
    let mut answers = |times: u64, long: Duration| {
        let rate = NonZeroU64::new(step * times).expect("a rate");
        let measured = Measured::of(OPEN_CONNECTIONS, Some(rate), long);
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
    /// Accepted per second.
    rate: f64,
    /// The load's own account.
    load: Value,
    /// Our processor time per request.
    cpu: Duration,
}

impl Measured {
    /// Puts a load on a new controller: at this rate, or in a closed loop.
    fn of(connections: usize, rate: Option<NonZeroU64>, long: Duration) -> Self {
        let house = House::declaring(&declaration(ACCOUNTS, "", 1_000));
        common::runtime().block_on(async {
            let controller = house.start().await;
            let api = controller.ready.api;
            let drive = move || drive(api, connections, rate, long);
            let measured = tokio::task::spawn_blocking(drive).await.expect("measured");
            controller.stop().await;
            measured
        })
    }

    fn is_in_time(&self) -> bool {
        let p99 = self.load["p99_us"].as_u64().expect("microseconds");
        Duration::from_micros(p99) <= P99_MAX
    }

    fn how(&self, connections: usize, sync_us: u64) -> String {
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
fn drive(
    api: SocketAddr,
    connections: usize,
    rate: Option<NonZeroU64>,
    long: Duration,
) -> Measured {
    let program = std::env::current_exe().expect("this program");
    let rate = rate.map_or(0, NonZeroU64::get);
    let numbers = [connections.to_string(), rate.to_string(), long.as_millis().to_string()];
    let before = cpu();
    let mut load = Command::new(program);
    let load = load.args(["load".to_owned(), api.to_string()]).args(numbers);
    let output = load.stdout(Stdio::piped()).spawn();
    let output = output.and_then(std::process::Child::wait_with_output).expect("the load ran");
    let spent = cpu().checked_sub(before).expect("processor time never goes back");
    assert!(output.status.success(), "the load failed");
    let load: Value = serde_json::from_slice(&output.stdout).expect("the load's account");
    let count = |name: &str| load[name].as_u64().expect("a count");
    Measured {
        rate: (count("accepted") as f64 / long.as_secs_f64()).round(),
        cpu: spent / u32::try_from(count("all")).expect("a count"),
        load,
    }
}

/// The second process's load, as [`drive`] says it.
fn read_load(args: &[String]) -> Load {
    let number = |at: usize| args[at].parse::<u64>().expect("a number");
    Load {
        api: args[0].parse().expect("an address"),
        connections: number(1) as usize,
        requests: (0..REQUESTS).map(request).collect(),
        rate: NonZeroU64::new(number(2)),
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
