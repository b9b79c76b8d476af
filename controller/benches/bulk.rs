//! How many lines of batches are made durable and queued a second: over HTTP, as a tenant sends them; and by the log and
//! the state machine alone, as any way in may use them.

#[path = "../tests/common/mod.rs"]
mod common;
#[path = "../core/benches/house/mod.rs"]
#[allow(dead_code, reason = "each benchmark uses its part")]
mod house;
#[path = "../src/machine.rs"]
#[allow(dead_code, reason = "what the API asks of it")]
mod machine;
#[allow(dead_code, reason = "each benchmark uses its part")]
mod support;
#[path = "support/tenants.rs"]
mod tenants;
#[path = "../src/ticker.rs"]
#[allow(dead_code, unused_imports, reason = "nothing is woken, and its own tests run elsewhere")]
mod ticker;

use std::{
    collections::VecDeque, fmt::Write as _, net::SocketAddr, sync::Arc, thread, time::Instant,
};

use busyhour_base::AccountSid;
use busyhour_controller::clock;
use busyhour_controller_core::{
    command::{BatchCommand, Command},
    effect::Reply,
    spec::{BatchId, BatchPlan, Lines, Requests},
};
use busyhour_log::{Log, Pending};
use house::{House as Installation, START, new_call};
use machine::Core;
use serde_json::json;
use tenants::{account, declaration};

const ROUNDS: usize = 3;
/// Uploads at once: one for each core.
const UPLOADS: usize = 2;
/// Lines of an upload.
const LINES: u64 = 400_000;
/// Lines of an entry, and entries on their way, as the API has them.
const CHUNK: u64 = 500;
const IN_FLIGHT: usize = 4;

// As the controller's own program has it.
#[global_allocator]
static ALLOCATOR: busyhour_controller::memory::Allocator = busyhour_controller::memory::Allocator;

fn main() {
    let (mut bare, mut whole) = (0.0_f64, 0.0_f64);
    for _ in 0..ROUNDS {
        bare = bare.max(through_the_log());
        whole = whole.max(through_http());
        eprintln!("best so far: log and state {bare:.0} lines/s, over HTTP {whole:.0} lines/s");
    }
    let all = UPLOADS as u64 * LINES;
    let how = format!(
        "{all} lines in {UPLOADS} uploads at once, {CHUNK} lines an entry, each entry durable and applied before it is \
         answered; {{}}; on the same 2 cores as the sender; best of {ROUNDS}"
    );
    let over_http = "NDJSON over HTTP, read, checked and queued: number and custom_id per line, the rest from the \
                     batch; from the first byte sent to the report";
    let rate = ("1/s", "more");
    support::figure("accept.bulk_per_s", whole.round(), rate, &how.replace("{}", over_http));
    let by_hand = "requests made in this process: neither HTTP nor JSON";
    support::figure("log.bulk_per_s", bare.round(), rate, &how.replace("{}", by_hand));
}

/// Lines a second by log and state machine.
fn through_the_log() -> f64 {
    let dir = tempfile::tempdir().expect("a folder");
    let core = support::silent_core(Installation::new(START, Vec::new()).state);
    let log = Log::open(support::config(dir.path(), clock::now), core).expect("the log opens");
    let began = Instant::now();
    thread::scope(|scope| {
        for tenant in 0..UPLOADS {
            let log = &log;
            scope.spawn(move || upload(log, tenant as u64));
        }
    });
    let took = began.elapsed();
    futures::executor::block_on(log.shutdown());
    (UPLOADS as u64 * LINES) as f64 / took.as_secs_f64()
}

fn upload(log: &Log<Core>, tenant: u64) {
    let account = AccountSid(u128::from(tenant));
    let plan = Box::new(BatchPlan::default());
    let create = Command::Batch(BatchCommand::Create { account, idempotency: None, plan });
    let created = log.submit(create).expect("room in the queue").wait().expect("durable");
    let Reply::Batch(batch) = created.1 else { panic!("{created:?}") };
    let mut pending = VecDeque::new();
    for first in (0..LINES).step_by(CHUNK as usize) {
        if pending.len() == IN_FLIGHT {
            taken(pending.pop_front());
        }
        let command = chunk(account, batch, tenant, first);
        pending.push_back(log.submit(command).expect("room in the queue"));
    }
    pending.into_iter().for_each(|pending| taken(Some(pending)));
}

fn chunk(account: AccountSid, batch: BatchId, tenant: u64, first: u64) -> Command {
    let mut requests = Requests::default();
    let shared = requests.share(new_call(tenant, first));
    for n in first..first + CHUNK {
        let (to, name) = (format!("+1555{n:08}"), format!("customer-{n}"));
        requests.push(n + 1, shared, &to, Some(&name));
    }
    let keys = Vec::new();
    let lines = Lines { account, batch, part: None, requests, keys, faults: Vec::new() };
    Command::Batch(BatchCommand::Take(Arc::new(lines)))
}

fn taken(pending: Option<Pending<(busyhour_base::Timestamp, Reply)>>) {
    let Some(pending) = pending else { return };
    let (_, reply) = pending.wait().expect("durable");
    let Reply::Submitted(verdicts) = reply else { panic!("{reply:?}") };
    assert!(verdicts.iter().all(Result::is_ok));
}

/// Lines a second as tenants send them.
fn through_http() -> f64 {
    let bodies: Vec<String> = (0..UPLOADS).map(body).collect();
    let house = common::House::declaring(&declaration(UPLOADS, "", 100_000));
    common::runtime().block_on(async {
        let controller = house.start().await;
        let api = controller.ready.api;
        let mut ready = Vec::new();
        for (n, body) in bodies.into_iter().enumerate() {
            ready.push(create(api, n, &body).await);
        }
        let began = Instant::now();
        let uploads =
            ready.into_iter().map(|(connection, request)| tokio::spawn(send(connection, request)));
        for upload in uploads.collect::<Vec<_>>() {
            upload.await.expect("an upload");
        }
        let took = began.elapsed();
        controller.stop().await;
        (UPLOADS as u64 * LINES) as f64 / took.as_secs_f64()
    })
}

fn body(n: usize) -> String {
    let mut lines = String::new();
    for line in 0..LINES {
        let to = format_args!("+1555{n:02}{line:06}");
        writeln!(lines, r#"{{"To":"{to}","custom_id":"customer-{line}"}}"#).expect("memory");
    }
    lines
}

/// A draft of a tenant: a connection, and the request that sends its lines.
async fn create(api: SocketAddr, n: usize, body: &str) -> (common::http::Connection, Vec<u8>) {
    let (account, token) = (account(n), format!("token-{n}"));
    let who = (account.as_str(), token.as_str());
    let mut connection = common::http::Connection::open(api).await;
    let plan = json!({
        "name": format!("bulk {n}"),
        "defaults": {
            "From": format!("+1555010{n:04}"),
            "Url": format!("https://app-{n}.example.com/calls/answer.xml"),
            "StatusCallback": format!("https://app-{n}.example.com/calls/status"),
        },
    });
    let kind = "application/json";
    let create = common::http::request_of(who, "POST", "/v1/Batches", kind, &plan.to_string());
    let answer = connection.send(&create).await;
    assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
    let sid = answer.json()["sid"].as_str().expect("a sid").to_owned();
    let path = format!("/v1/Batches/{sid}/lines");
    let kind = "application/x-ndjson";
    (connection, common::http::request_of(who, "POST", &path, kind, body))
}

async fn send(mut connection: common::http::Connection, request: Vec<u8>) {
    let answer = connection.send(&request).await;
    let text = String::from_utf8_lossy(&answer.body);
    assert_eq!(answer.status, 200, "{text}");
    assert_eq!(answer.json()["accepted"], LINES, "{text}");
}
