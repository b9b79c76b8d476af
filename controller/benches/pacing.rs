//! How far from the ideal grid calls leave, with 1,000 tenants at 10 calls a second each.
//!
//! Every tenant has a batch that begins at an instant of its own, which fixes its grid: that instant and
//! every tenth of a second after it. An agent in a second process takes the orders over the real protocol and reports
//! each call as sent and ended, so that the whole cycle runs: tick, log, order, report, log, record.

#[path = "../tests/common/mod.rs"]
mod common;
#[path = "support/tenants.rs"]
mod tenants;

use std::{
    collections::HashMap,
    net::SocketAddr,
    process::{Command, Stdio},
};

use busyhour_base::{CallEvent, Span, Timestamp};
use busyhour_controller::clock;
use busyhour_protocol::{
    DialOrder, Transit,
    v1::{self, from_agent, to_agent::Message},
};
use common::{
    House,
    agent::{Agent, completed, hello},
    http,
};
use serde_json::{Value, json};
use tenants::{account, declaration};

const TENANTS: usize = 1_000;
const CALLS: usize = 100;
/// A tenth of a second between two calls of a tenant.
const SPACING_US: u64 = 100_000;
/// From the first call of one tenant to that of the next: their grids interleave evenly.
const PHASE_US: u64 = SPACING_US / TENANTS as u64;
/// Connections that set the batches up.
const CONNECTIONS: usize = 16;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    match args.iter().position(|arg| arg == "agent") {
        Some(at) => common::runtime().block_on(take_orders(&args[at + 1..])),
        None => common::runtime().block_on(pace()),
    }
}

async fn pace() {
    let house = House::declaring(&declaration(TENANTS, "throttle: {callsPerSecond: 10}", 100_000));
    let controller = house.start().await;
    // Late enough for every batch to be set up before the first begins.
    let first = Timestamp(clock::now().as_micros() + 15_000_000);
    let api = controller.ready.api;
    let setups = (0..CONNECTIONS).map(|part| tokio::spawn(set_up(api, part, first)));
    for setup in setups.collect::<Vec<_>>() {
        setup.await.expect("batches");
    }
    assert!(clock::now() < first, "this machine is too slow to set the batches up in time");
    let program = std::env::current_exe().expect("this program");
    let args = ["agent".to_owned(), controller.ready.grpc.to_string(), first.0.to_string()];
    let measured = tokio::task::spawn_blocking(move || {
        let child = Command::new(program).args(args).stdout(Stdio::piped()).spawn();
        child.and_then(std::process::Child::wait_with_output).expect("the agent ran")
    });
    let measured = measured.await.expect("measured");
    assert!(measured.status.success(), "the agent failed");
    let errors: Value = serde_json::from_slice(&measured.stdout).expect("the agent's account");
    report(&errors);
    controller.stop().await;
}

/// The batches of the tenants of one part.
async fn set_up(api: SocketAddr, part: usize, first: Timestamp) {
    let mut connection = http::Connection::open(api).await;
    for n in (part..TENANTS).step_by(CONNECTIONS) {
        let (account, token) = (account(n), format!("token-{n}"));
        let begin = first.0 + n as u64 * PHASE_US;
        let begin = chrono::DateTime::from_timestamp_micros(begin.cast_signed()).expect("a date");
        let body = json!({
            "name": format!("grid {n}"),
            "schedule": {"not_before": begin.to_rfc3339()},
            "defaults": {"From": format!("+1555010{n:04}"), "Twiml": "<Response/>"},
        });
        let who = (account.as_str(), token.as_str());
        let json = "application/json";
        let create = http::request_of(who, "POST", "/v1/Batches", json, &body.to_string());
        let answer = connection.send(&create).await;
        assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
        let sid = answer.json()["sid"].as_str().expect("a sid").to_owned();
        // The number called says whose call it is.
        let lines: String =
            (0..CALLS).map(|k| format!("{{\"To\":\"+1{n:05}{k:05}\"}}\n")).collect();
        let path = format!("/v1/Batches/{sid}/lines");
        let upload = http::request_of(who, "POST", &path, "application/x-ndjson", &lines);
        let answer = connection.send(&upload).await;
        assert!(answer.status < 300, "{}", String::from_utf8_lossy(&answer.body));
        let path = format!("/v1/Batches/{sid}/start");
        let answer = connection.send(&http::request_of(who, "POST", &path, json, "{}")).await;
        assert!(answer.status < 300, "{}", String::from_utf8_lossy(&answer.body));
    }
}

fn report(errors: &Value) {
    let how = format!(
        "{TENANTS} tenants x 10/s, {CALLS} calls each, every intent durable before its order; error of the instant at \
         which the agent sends the INVITE (when the order was sent + due_in) against the tenant's grid; agent in a second process on \
         the same 2 cores, every call reported and recorded; p50 {} us, max {} us; orders arrive {} us ahead of \
         their instant at the median, {} of {} after it",
        errors["p50_us"],
        errors["max_us"],
        errors["ahead_us"],
        errors["late"],
        TENANTS * CALLS,
    );
    let line = json!({
        "id": "pacing.error_p99_us",
        "value": errors["p99_us"],
        "unit": "us",
        "better": "less",
        "peer": null,
        "peer_value": null,
        "ratio": null,
        "how": how,
    });
    println!("{line}");
}

/// The second process: an agent that notes when it would have sent each INVITE.
async fn take_orders(args: &[String]) {
    let grpc: SocketAddr = args[0].parse().expect("an address");
    let first: u64 = args[1].parse().expect("an instant");
    let mut greeting = hello("agent-1");
    greeting.slots = 100_000;
    let mut agent = Agent::connect(grpc, greeting).await;
    let (mut errors, mut ahead) = (Vec::new(), Vec::new());
    let mut places: HashMap<u64, u64> = HashMap::new();
    let mut transit = Transit::default();
    let mut seq = 0;
    while errors.len() < TENANTS * CALLS {
        let Some(Message::Dial(dial)) = agent.next().await.expect("an order") else { continue };
        let received = clock::now();
        let order = DialOrder::try_from(dial).expect("an order that we understand");
        let tenant: u64 = order.spec.to[2..7].parse().expect("a tenant");
        let place = places.entry(tenant).or_default();
        let ideal = first + tenant * PHASE_US + *place * SPACING_US;
        *place += 1;
        let delay = transit.delay(order.sent_at, Span(received.0));
        let sent = received - delay + order.due_in;
        errors.push(sent.0.abs_diff(ideal));
        ahead.push(ideal.saturating_sub(received.0));
        let events = [CallEvent::Sent, CallEvent::Ended(completed())];
        let reports = events.iter().map(|event| {
            seq += 1;
            v1::Report {
                seq,
                call: order.call,
                attempt: order.attempt.into(),
                event: Some(event.into()),
            }
        });
        let reports = reports.collect();
        agent.say(from_agent::Message::Reports(v1::Reports { reports })).await;
    }
    errors.sort_unstable();
    ahead.sort_unstable();
    let at = |part: usize| errors[(errors.len() - 1) * part / 100];
    let line = json!({
        "p50_us": at(50),
        "p99_us": at(99),
        "max_us": at(100),
        "ahead_us": ahead[ahead.len() / 2],
        "late": ahead.iter().filter(|ahead| **ahead == 0).count(),
    });
    println!("{line}");
}
