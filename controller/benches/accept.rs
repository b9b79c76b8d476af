//! How many calls a second are accepted over HTTP, each durable before its 201.
//!
//! The controller runs in this process; the load comes from a second process over loopback, so that the processor
//! time per request is the controller's alone (all of it: HTTP, check, log, fsync, state).

#[path = "../tests/common/mod.rs"]
mod common;
#[path = "support/tenants.rs"]
mod tenants;

use std::{
    net::SocketAddr,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use common::{House, http};
use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};
use tenants::{account, declaration};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// How long each load lasts, after a quarter of it to warm up.
const MEASURE: Duration = Duration::from_secs(3);

/// Loads of each size, in turn, of which the best counts: what else runs on a machine comes and goes.
const ROUNDS: usize = 3;

/// Connections of the loads.
const CONNECTIONS: [usize; 3] = [1, 64, 256];

/// Accounts that share the load: one alone may send 5,000 requests a second.
const ACCOUNTS: usize = 64;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    match args.iter().position(|arg| arg == "load") {
        Some(at) => load(&args[at + 1..]),
        None => {
            // As the controller's own program does.
            busyhour_controller::memory::prefer_huge_pages().expect("this program, started anew");
            serve();
        }
    }
}

/// One connection's request, the same each time.
fn request(n: usize) -> Vec<u8> {
    let (account, token) = (account(n % ACCOUNTS), format!("token-{}", n % ACCOUNTS));
    let path = format!("/2010-04-01/Accounts/{account}/Calls.json");
    let form = "application/x-www-form-urlencoded";
    let body = format!(
        "To=%2B15551{n:06}&From=%2B1555010{:04}&Url=https%3A%2F%2Fapp.example%2Fanswer.xml",
        n % ACCOUNTS
    );
    http::request_of((&account, &token), "POST", &path, form, &body)
}

fn serve() {
    let sync_us = fdatasync_us();
    let mut measured: Vec<_> = CONNECTIONS.iter().map(|_| Vec::new()).collect();
    for _ in 0..ROUNDS {
        for (connections, measured) in CONNECTIONS.into_iter().zip(&mut measured) {
            measured.push(measure(connections));
        }
    }
    for (connections, mut measured) in CONNECTIONS.into_iter().zip(measured) {
        measured.sort_by_key(|(load, _)| std::cmp::Reverse(load["accepted"].as_u64()));
        let (load, cpu) = &measured[0];
        let rates: Vec<_> = measured.iter().map(|(load, _)| rate(load)).collect();
        report(connections, load, *cpu, &rates, sync_us);
    }
}

/// A load on a new controller: the load's account, and our processor time per request.
fn measure(connections: usize) -> (Value, Duration) {
    let house = House::declaring(&declaration(ACCOUNTS, "", 1_000));
    common::runtime().block_on(async {
        let controller = house.start().await;
        let api = controller.ready.api;
        let measured = tokio::task::spawn_blocking(move || drive(api, connections));
        let measured = measured.await.expect("measured");
        controller.stop().await;
        measured
    })
}

fn rate(load: &Value) -> f64 {
    (load["accepted"].as_f64().expect("a count") / MEASURE.as_secs_f64()).round()
}

/// Runs the load beside us; its own account, and our processor time per request meanwhile.
fn drive(api: SocketAddr, connections: usize) -> (Value, Duration) {
    let program = std::env::current_exe().expect("this program");
    let args = ["load".to_owned(), api.to_string(), connections.to_string()];
    let before = cpu();
    let output = Command::new(program).args(args).stdout(Stdio::piped()).spawn();
    let output = output.and_then(std::process::Child::wait_with_output).expect("the load ran");
    let spent = cpu().checked_sub(before).expect("processor time never goes back");
    assert!(output.status.success(), "the load failed");
    let load: Value = serde_json::from_slice(&output.stdout).expect("the load's account");
    let all = load["all"].as_u64().expect("a count");
    (load, spent / u32::try_from(all).expect("a count"))
}

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

fn report(connections: usize, load: &Value, cpu: Duration, rates: &[f64], sync_us: u64) {
    let how = format!(
        "POST Calls.json over {connections} keep-alive connections from a second process on the same 2 cores, \
         {} s; each 201 after its fdatasync (this disk alone: {sync_us} us). p50 {} us, p99 {} us; \
         controller's processor time per request {:.1} us; best of {rates:?}",
        MEASURE.as_secs(),
        load["p50_us"],
        load["p99_us"],
        cpu.as_secs_f64() * 1e6,
    );
    let line = json!({
        "id": format!("accept.durable_per_s.{connections}"),
        "value": rates[0],
        "unit": "1/s",
        "better": "more",
        "peer": null,
        "peer_value": null,
        "ratio": null,
        "how": how,
    });
    println!("{line}");
}

/// The second process: keeps every connection busy and counts.
fn load(args: &[String]) {
    let api: SocketAddr = args[0].parse().expect("an address");
    let connections: usize = args[1].parse().expect("a count");
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let (all, mut latencies) = runtime.expect("a runtime").block_on(async {
        let began = Instant::now();
        let tasks: Vec<_> =
            (0..connections).map(|n| tokio::spawn(keep_busy(api, request(n), began))).collect();
        let (mut all, mut latencies) = (0, Vec::new());
        for task in tasks {
            let (count, measured) = task.await.expect("a connection");
            all += count;
            latencies.extend(measured);
        }
        (all, latencies)
    });
    latencies.sort_unstable();
    let at = |part: usize| latencies[latencies.len() * part / 100];
    let line = json!({"all": all, "accepted": latencies.len(), "p50_us": at(50), "p99_us": at(99)});
    println!("{line}");
}

/// How many requests were answered, and how long each took that ended within the measured time.
async fn keep_busy(api: SocketAddr, request: Vec<u8>, began: Instant) -> (u64, Vec<u32>) {
    let mut stream = TcpStream::connect(api).await.expect("a connection");
    stream.set_nodelay(true).expect("no delay");
    let (mut all, mut latencies) = (0, Vec::new());
    let mut answer = Vec::with_capacity(4_096);
    loop {
        let sent = Instant::now();
        stream.write_all(&request).await.expect("sent");
        read_answer(&mut stream, &mut answer).await;
        all += 1;
        let ran = began.elapsed();
        if ran >= MEASURE / 4 + MEASURE {
            return (all, latencies);
        }
        if ran >= MEASURE / 4 {
            latencies.push(u32::try_from(sent.elapsed().as_micros()).expect("short"));
        }
    }
}

async fn read_answer(stream: &mut TcpStream, answer: &mut Vec<u8>) {
    answer.clear();
    loop {
        assert!(stream.read_buf(answer).await.expect("an answer") > 0, "the connection was closed");
        let Some(head) = answer.windows(4).position(|w| w == b"\r\n\r\n") else { continue };
        assert!(answer.starts_with(b"HTTP/1.1 201"), "{}", String::from_utf8_lossy(answer));
        let text = String::from_utf8_lossy(&answer[..head]).to_ascii_lowercase();
        let length = text.split("content-length: ").nth(1).expect("a length");
        let length: usize = length.split('\r').next().expect("a line").parse().expect("a number");
        if answer.len() >= head + 4 + length {
            return;
        }
    }
}
