//! DC-3 with real processes: a large file uploaded by the command line while the controller is killed, calling hours in a time
//! zone, further attempts against the test carrier, a callback that is repeated until it is accepted, and a batch of messages.

mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    fs,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use axum::{Router, extract::State, http::HeaderMap, http::StatusCode, routing::post};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use busyhour_simulations::scenario::PacingDocument;
use hmac::{Hmac, Mac as _};
use reqwest::Method;
use serde_json::{Value, json};
use support::{
    Running, binary,
    tenant::{Answer, Tenant, answer},
    until,
};
use tokio::{process::Command, sync::mpsc};

const FROM: &str = "+15550100001";
/// Lines of the large file, and every how many one is wrong.
const LINES: usize = 200_000;
const WRONG_EVERY: usize = 1_000;

/// `busyhour batch ...` as the tenant north.
fn cli(running: &Running, arguments: &[&str]) -> Command {
    let file = running.stage.folder().join("connection.json");
    fs::write(&file, serde_json::to_string(&running.connection()).unwrap()).unwrap();
    let mut command = Command::new(binary());
    command.arg("batch").args(arguments).args(["--json", "--tenant", "north", "--connection"]);
    command.arg(file).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    command
}

/// Runs a command to its end and gives the JSON values that it printed.
async fn say(running: &Running, arguments: &[&str]) -> Vec<Value> {
    let output = cli(running, arguments).output().await.unwrap();
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {errors}");
    let lines = String::from_utf8(output.stdout).unwrap();
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A file of lines, some of which are wrong. CSV with a quoted line break here and there, so that lines and records differ.
fn large_file(running: &Running) -> std::path::PathBuf {
    let mut text = "custom_id,To,var.note\n".to_owned();
    for n in 0..LINES {
        let to = if n % WRONG_EVERY == 7 { "nobody".to_owned() } else { format!("+1555{n:07}") };
        let note = if n % 97 == 0 { "\"two\nlines\"" } else { "plain" };
        writeln!(text, "row-{n},{to},{note}").unwrap();
    }
    let path = running.stage.folder().join("large.csv");
    fs::write(&path, text).unwrap();
    path
}

async fn upload_of(tenant: &Tenant) -> Option<(String, u64, bool)> {
    let list = tenant.request(Method::GET, "/v1/Batches?PageSize=1").send().await.ok()?;
    let list: Value = list.json().await.ok()?;
    let batch = &list["batches"][0];
    let upload = &batch["upload"];
    let sid = batch["sid"].as_str()?.to_owned();
    Some((sid, upload["offset"].as_u64()?, upload["complete"].as_bool()?))
}

/// Kill -9 at several moments of one upload: no line is lost, and none is taken twice.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_goes_on_behind_a_killed_controller_and_takes_each_line_once() {
    let mut running = Running::start("batch-upload", "quick").await;
    let tenant = running.tenant("north");
    let path = large_file(&running);
    let length = fs::metadata(&path).unwrap().len();
    let file = path.to_str().unwrap().to_owned();
    let from = format!("From={FROM}");
    let submit =
        ["submit", &file, "--no-start", "--default", &from, "--default", "Twiml=<Response/>"];
    let mut upload = cli(&running, &submit).spawn().unwrap();
    let mut kills = 0;
    for quarter in 0..3 {
        let within = Duration::from_secs(120);
        let (_, at, complete) = until("the upload to go on", within, async || {
            upload_of(&tenant).await.filter(|(_, at, done)| *done || *at > length * quarter / 4)
        })
        .await;
        assert!(at <= length);
        if complete {
            break;
        }
        running.stage.take("controller").unwrap().kill().await.unwrap();
        running.stage.start_controller(&[]).await.unwrap();
        kills += 1;
        if quarter == 1 {
            // The client is interrupted as well, and run again.
            upload.kill().await.unwrap();
            upload = cli(&running, &submit).spawn().unwrap();
        }
    }
    assert!(kills > 0, "the upload was over before anything was killed");
    let output = upload.wait_with_output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let batch: Value = serde_json::from_slice(&output.stdout).unwrap();
    let wrong = LINES / WRONG_EVERY;
    assert_eq!(batch["counts"]["accepted"], LINES - wrong, "{batch:#}");
    assert_eq!(batch["upload"]["refused"], wrong);
    assert_eq!(batch["upload"]["offset"], length);
    let sid = batch["sid"].as_str().unwrap();
    let errors = say(&running, &["errors", sid]).await;
    assert_eq!(errors.len(), wrong, "what was wrong is still known");
    for (n, error) in errors.iter().enumerate() {
        let row = n * WRONG_EVERY + 7;
        // One line of names, and one line more for every note of two lines before.
        assert_eq!(error["line"], row + 2 + row.div_ceil(97), "{error}");
        assert_eq!(error["custom_id"], format!("row-{row}"));
    }
    let again = say(&running, &submit).await;
    assert_eq!(again[0]["sid"], sid, "the same file and plan are the same batch");
    let list = say(&running, &["list"]).await;
    assert_eq!(list.len(), 1);
    say(&running, &["cancel", sid]).await;
    running.end().await;
}

/// The most resident memory of a process so far, in KiB.
fn peak_kib(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Long lines that were accepted before: they leave nothing in the state, so that what is seen is what an upload itself holds.
/// The log keeps what is newer than its last snapshot, up to a size of its own, which the first two files exceed.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_needs_no_more_memory_however_long_the_file() {
    let mut running = Running::start("batch-memory", "quick").await;
    let tenant = running.tenant("north");
    let batch = post_json(&tenant, "/v1/Batches", json!({"defaults": {"From": FROM}})).await.json();
    let url = format!("{}/lines", batch["url"].as_str().unwrap());
    let document = format!("<Response><Say>{}</Say></Response>", "Good morning. ".repeat(200));
    let upload = async |lines: usize| {
        let mut text = String::with_capacity(lines * (document.len() + 100));
        for n in 0..lines {
            let n = n % 100;
            let line = json!({"custom_id": n.to_string(), "To": format!("+1555{n:07}"), "Twiml": document});
            writeln!(text, "{line}").unwrap();
        }
        let mib = text.len() >> 20;
        let request = tenant.request(Method::POST, &url).timeout(Duration::from_secs(300));
        let report =
            answer(request.header("Content-Type", "application/x-ndjson").body(text)).await;
        assert_eq!(report.json()["last_line"], lines, "{report:?}");
        mib
    };
    let controller = running.stage.part("controller").unwrap().id().unwrap();
    let before = upload(30_000).await + upload(30_000).await;
    let peak = peak_kib(controller);
    let after = upload(100_000).await;
    let grown = (peak_kib(controller) - peak) >> 10;
    println!(
        "{} MiB at most in {before} MiB of lines, {grown} MiB more in {after} MiB",
        peak >> 10
    );
    assert!(grown < 40, "{grown} MiB more than {} MiB, in {after} MiB of lines", peak >> 10);
    running.end().await;
}

/// Refused lines are told with their numbers, what is wrong and what is allowed, and nothing is started.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_with_wrong_lines_is_not_started_and_says_which() {
    let running = Running::start("batch-wrong", "quick").await;
    let path = running.stage.folder().join("wrong.csv");
    fs::write(&path, "custom_id,To\r\na,+15553000001\r\n\r\nb,nobody\r\nc,+4930123456,x\r\n")
        .unwrap();
    let from = format!("From={FROM}");
    let submit =
        ["submit", path.to_str().unwrap(), "--default", &from, "--default", "Twiml=<Response/>"];
    let output = cli(&running, &submit).output().await.unwrap();
    assert!(!output.status.success());
    let told = String::from_utf8(output.stderr).unwrap();
    let expected = [
        "2 of 3 lines were refused",
        "line 4 (b): To = \"nobody\" is not allowed: an E.164 number",
        "line 5: 3 fields: the first line names 2",
        "was not started",
        "100% of",
    ];
    for expected in expected {
        assert!(told.contains(expected), "{expected:?} in {told}");
    }
    let batches = say(&running, &["list"]).await;
    assert_eq!(
        (&batches[0]["status"], &batches[0]["counts"]["accepted"]),
        (&json!("draft"), &json!(1))
    );
    let anyway: Vec<&str> = submit.into_iter().chain(["--start-anyway", "--watch"]).collect();
    let watched = say(&running, &anyway).await;
    assert_eq!(watched.last().unwrap()["status"], "completed");
    let results =
        cli(&running, &["results", watched[0]["sid"].as_str().unwrap(), "--format", "csv"]);
    let rows = String::from_utf8({ results }.output().await.unwrap().stdout).unwrap();
    assert_eq!(rows.lines().count(), 2, "{rows}");
    assert!(rows.starts_with("custom_id,call_sid,to,") && rows.contains("\na,CA"), "{rows}");
    let missing = cli(&running, &["submit", "/no/such.csv"]).output().await.unwrap();
    assert!(String::from_utf8(missing.stderr).unwrap().contains("opening /no/such.csv"));
    running.end().await;
}

/// One call a minute, then as fast as the account may, then paused, then to the end: by the carrier's own count.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_steered_while_it_runs() {
    let running = Running::start("batch-steered", "quick").await;
    let tenant = running.tenant("north");
    let url = started(&tenant, json!({"pacing": {"cps": 0.016, "max_concurrent": 4}}), 60).await;
    let sid = url.rsplit('/').next().unwrap().to_owned();
    let invited = async || running.carrier_account().await.calls.len();
    let within = Duration::from_secs(60);
    until("the first call", within, async || (invited().await > 0).then_some(())).await;
    let batch = &say(&running, &["pace", &sid, "--cps", "none"]).await[0];
    assert_eq!(
        batch["pacing"],
        json!({"cps": null, "unit": "calls", "max_concurrent": 4}),
        "what is not said stays"
    );
    until("more calls", within, async || (invited().await > 8).then_some(())).await;
    let paused = &say(&running, &["pause", &sid]).await[0];
    assert_eq!((&paused["status"], &paused["shut_by"]), (&json!("paused"), &json!("paused")));
    until("what is in progress to end", within, async || {
        let counts = &tenant.get(&url).await.json()["counts"];
        (counts["in_progress"] == 0).then_some(())
    })
    .await;
    let before = invited().await;
    assert!(before < 60);
    say(&running, &["pace", &sid, "--max-concurrent", "20"]).await;
    assert_eq!(invited().await, before, "a paused batch stays paused, whatever its pace");
    say(&running, &["resume", &sid]).await;
    let watched = say(&running, &["watch", &sid]).await;
    assert_eq!(watched.last().unwrap()["status"], "completed");
    let account = running.carrier_account().await;
    assert_eq!((account.calls.len(), account.breaches()), (60, 0));
    let wrong = cli(&running, &["pace", &sid, "--cps", "fast"]).output().await.unwrap();
    assert!(String::from_utf8(wrong.stderr).unwrap().contains("neither a number nor none"));
    running.end().await;
}

/// A scenario's pacing is what the demo asks the API for.
#[tokio::test(flavor = "multi_thread")]
async fn the_batches_of_a_scenario_have_its_pacing() {
    let mut running = Running::start("batch-scenario", "quick").await;
    running.scenario.batches.iter_mut().for_each(|batch| batch.count = 3);
    running.scenario.batches[0].pacing = PacingDocument { cps: Some(2.5), max_concurrent: Some(2) };
    running.submit_all().await;
    for (tenant, cps, max_concurrent) in
        [("north", json!(2.5), json!(2)), ("south", Value::Null, Value::Null)]
    {
        let batches = running.tenant(tenant).get("/v1/Batches").await.json();
        let pacing = json!({"cps": cps, "unit": "calls", "max_concurrent": max_concurrent});
        assert_eq!(batches["batches"][0]["pacing"], pacing, "of {tenant}");
    }
    running.end().await;
}

/// A tenant's server that refuses what it is told so often, and then accepts.
#[derive(Clone)]
struct Server {
    refusals: Arc<AtomicU32>,
    heard: mpsc::UnboundedSender<(HeaderMap, String)>,
}

async fn hear(State(server): State<Server>, headers: HeaderMap, body: String) -> StatusCode {
    let less = |left: u32| left.checked_sub(1);
    let refused = server.refusals.fetch_update(Ordering::SeqCst, Ordering::SeqCst, less).is_ok();
    server.heard.send((headers, body)).unwrap();
    if refused { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::NO_CONTENT }
}

async fn server(refusals: u32) -> (String, mpsc::UnboundedReceiver<(HeaderMap, String)>) {
    let (heard, hears) = mpsc::unbounded_channel();
    let server = Server { refusals: Arc::new(AtomicU32::new(refusals)), heard };
    let app = Router::new().route("/batch", post(hear)).with_state(server);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/batch", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    (url, hears)
}

/// The field's signature of a form.
fn signature(token: &str, url: &str, form: &str) -> String {
    let mut pairs: Vec<(String, String)> =
        url::form_urlencoded::parse(form.as_bytes()).into_owned().collect();
    pairs.sort();
    let text = pairs.into_iter().fold(url.to_owned(), |text, (name, value)| text + &name + &value);
    let mut mac = Hmac::<sha1::Sha1>::new_from_slice(token.as_bytes()).unwrap();
    mac.update(text.as_bytes());
    BASE64_STANDARD.encode(mac.finalize().into_bytes())
}

async fn post_json(tenant: &Tenant, path: &str, body: Value) -> Answer {
    let answer = answer(tenant.request(Method::POST, path).json(&body)).await;
    assert!(answer.status < 300, "{path}: {answer:?}");
    answer
}

/// A started batch of so many calls.
async fn started(tenant: &Tenant, mut plan: Value, lines: usize) -> String {
    plan["defaults"] =
        json!({"From": FROM, "Twiml": "<Response><Hangup/></Response>", "Timeout": 2});
    let batch = post_json(tenant, "/v1/Batches", plan).await.json();
    let url = batch["url"].as_str().unwrap().to_owned();
    let text: String = (0..lines).map(|n| format!("{{\"To\":\"+1555300{n:04}\"}}\n")).collect();
    let upload = tenant.request(Method::POST, &format!("{url}/lines"));
    let report = answer(upload.header("Content-Type", "application/x-ndjson").body(text)).await;
    assert_eq!(report.json()["accepted"], lines, "{report:?}");
    post_json(tenant, &format!("{url}/start"), json!({})).await;
    url
}

/// Every attempt is one INVITE, after a definitive end of the one before; and the callback comes, though the controller is killed.
#[tokio::test(flavor = "multi_thread")]
async fn lines_are_dialled_again_as_the_carrier_counts_them_and_the_callback_is_repeated() {
    let mut running = Running::start("batch-retry", "quick").await;
    let tenant = running.tenant("north");
    let (hook, mut heard) = server(2).await;
    let plan = json!({
        "retry": {"on": ["busy", "no-answer"], "max": 3, "backoff": [0, 1]},
        "callback": {"url": hook},
    });
    let url = started(&tenant, plan, 40).await;
    until("calls to end", Duration::from_secs(60), async || {
        let batch = tenant.get(&url).await.json();
        (batch["counts"]["completed"].as_u64()? > 5).then_some(())
    })
    .await;
    running.stage.take("controller").unwrap().kill().await.unwrap();
    running.stage.start_controller(&[]).await.unwrap();
    let tenant = running.tenant("north");
    let sid = url.rsplit('/').next().unwrap().to_owned();
    let results = say(&running, &["results", &sid, "--follow"]).await;
    assert_eq!(results.len(), 40, "one outcome for each line");
    let account = running.carrier_account().await;
    let mut again = 0;
    for result in &results {
        let to = result["to"].as_str().unwrap();
        let earlier = result["earlier_attempts"].as_array().unwrap();
        let invited = account.calls.iter().filter(|call| call.to == to).count();
        assert_eq!(invited, earlier.len() + 1, "{result:#}");
        assert!(earlier.iter().all(|e| e["status"] == "busy" || e["status"] == "no-answer"));
        if result["status"] == "busy" || result["status"] == "no-answer" {
            assert_eq!(invited, 3, "{result:#}");
        }
        again += usize::from(invited > 1);
    }
    assert!(again > 0, "the carrier's subscribers are busy now and then");
    assert_eq!(account.breaches(), 0);
    let token = &running.account("north").token;
    for round in 0..3 {
        let next = tokio::time::timeout(Duration::from_secs(60), heard.recv()).await;
        let (headers, form) = next.expect("told again until it is accepted").unwrap();
        assert!(form.contains("Event=finished") && form.contains(&sid), "{round}: {form}");
        assert!(form.contains("Accepted=40") && form.contains("BatchStatus=completed"), "{form}");
        assert_eq!(headers["x-twilio-signature"], signature(token, &hook, &form));
    }
    until("the callback to be settled", Duration::from_secs(60), async || {
        tenant.get(&url).await.json()["callback"]["owed"].is_null().then_some(())
    })
    .await;
    failed_lines_are_dialled_once_more(&mut running, &sid, &results).await;
    running.end().await;
}

/// On the tenant's word each line that came to nothing is dialled once more, though the controller is killed meanwhile and the
/// word is repeated.
async fn failed_lines_are_dialled_once_more(running: &mut Running, sid: &str, first: &[Value]) {
    let failed =
        |result: &&Value| result["status"] != "completed" && result["status"] != "canceled";
    let failed = first.iter().filter(failed).count() as u64;
    let report = say(running, &["retry", sid]).await.remove(0);
    let [retried, in_doubt] =
        ["retried", "in_doubt"].map(|field| report[field].as_u64().expect("a number"));
    assert_eq!(retried + in_doubt, failed, "{report:#}");
    running.stage.take("controller").unwrap().kill().await.unwrap();
    running.stage.start_controller(&[]).await.unwrap();
    let results = say(running, &["results", sid, "--follow"]).await;
    assert_eq!(results.len() as u64, first.len() as u64 + retried, "one result for each call");
    let account = running.carrier_account().await;
    for result in &results[first.len()..] {
        let to = result["to"].as_str().unwrap();
        let invited = account.calls.iter().filter(|call| call.to == to).count();
        // Those of before are among them.
        let earlier = result["earlier_attempts"].as_array().unwrap();
        assert_eq!(invited, earlier.len() + 1, "each is dialled once: {result:#}");
        let before = first.iter().find(|other| other["custom_id"] == result["custom_id"]).unwrap();
        assert_ne!(before["call_sid"], result["call_sid"]);
    }
    assert_eq!(account.breaches(), 0);
}

/// What the carrier within the controller was handed: each attempt of each message, and how often.
fn handed(running: &Running) -> BTreeMap<(String, u64), usize> {
    let path = running.stage.folder().join("controller/message-carriers/quay.ndjson");
    let mut handed = BTreeMap::new();
    for line in fs::read_to_string(path).unwrap().lines() {
        // A line that the kill cut off was not followed by an answer.
        let Ok(line) = serde_json::from_str::<Value>(line) else { continue };
        let key = (line["message"].as_str().unwrap().to_owned(), line["attempt"].as_u64().unwrap());
        *handed.entry(key).or_default() += 1;
    }
    handed
}

/// Lines of a file become messages, whose kind the command line tells by the file; a line is handed over at most once for each
/// attempt, though the controller is killed, and its results go on behind the kill.
#[tokio::test(flavor = "multi_thread")]
async fn messages_of_a_batch_are_handed_over_once_each_across_a_kill() {
    let mut running = Running::start("batch-messages", "quick").await;
    let tenant = running.tenant("north");
    let text: String =
        (0..60).map(|n| format!("row-{n},+1555400{n:04},Hello {{var.name}},N{n}\n")).collect();
    let path = running.stage.folder().join("texts.csv");
    fs::write(&path, format!("custom_id,To,Body,var.name\n{text}")).unwrap();
    let (file, from) = (path.to_str().unwrap().to_owned(), format!("From={FROM}"));
    let again = ["--retry", "failed,undelivered", "--attempts", "2", "--retry-delay", "0"];
    let submit = [&["submit", &file, "--default", &from][..], &again[..]].concat();
    let batch = say(&running, &submit).await.remove(0);
    assert_eq!((&batch["kind"], &batch["counts"]["accepted"]), (&json!("messages"), &json!(60)));
    let (url, sid) = (batch["url"].as_str().unwrap(), batch["sid"].as_str().unwrap());
    until("some to be delivered", Duration::from_secs(60), async || {
        (tenant.get(url).await.json()["counts"]["delivered"].as_u64()? > 5).then_some(())
    })
    .await;
    running.stage.take("controller").unwrap().kill().await.unwrap();
    running.stage.start_controller(&[]).await.unwrap();
    let results = say(&running, &["results", sid, "--follow"]).await;
    let names: BTreeSet<_> = results.iter().map(|result| result["custom_id"].to_string()).collect();
    assert_eq!((results.len(), names.len()), (60, 60), "one outcome for each line");
    let handed = handed(&running);
    assert!(handed.values().all(|count| *count == 1), "{handed:?}");
    for result in &results {
        let message = result["message_sid"].as_str().unwrap();
        let made = handed.keys().filter(|(of, _)| of == message).count();
        let earlier = result["earlier_attempts"].as_array().unwrap().len();
        // Of one in doubt it is unknown whether the carrier had it; it is not sent again.
        let doubt = result["reason"] == "in_doubt_restart";
        assert!(made == earlier + 1 || (doubt && made == earlier), "{made}: {result:#}");
        let wrong = result["status"] == "failed" || result["status"] == "undelivered";
        assert!(earlier == 1 || !wrong || doubt, "{result:#}");
    }
    assert!(results.iter().any(|result| result["attempts"] == 2), "the carrier refuses some");
    let csv = cli(&running, &["results", sid, "--format", "csv"]).output().await.unwrap();
    assert!(String::from_utf8(csv.stdout).unwrap().starts_with("custom_id,message_sid,to,"));
    let shown = tenant.get(url).await.json();
    assert_eq!(shown["status"], "completed", "{shown:#}");
    running.end().await;
}

/// In Kathmandu, whose clocks are a quarter of an hour off everyone else's.
#[tokio::test(flavor = "multi_thread")]
async fn a_batch_waits_for_its_window_and_runs_in_it() {
    let running = Running::start("batch-window", "quick").await;
    let tenant = running.tenant("north");
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let local_min = (now.as_secs() / 60 + 5 * 60 + 45) % 1_440;
    let clock = |minutes: u64| format!("{:02}:{:02}", minutes % 1_440 / 60, minutes % 60);
    // The next minute that is far enough to be waited for.
    let opens = local_min + if now.as_secs() % 60 > 45 { 2 } else { 1 };
    let window = json!({"from": clock(opens), "to": clock(opens + 30)});
    let schedule = json!({"timezone": "Asia/Kathmandu", "windows": [window]});
    let url = started(&tenant, json!({"schedule": schedule}), 3).await;
    let batch = tenant.get(&url).await.json();
    assert_eq!((&batch["status"], &batch["shut_by"]), (&json!("running"), &json!("window")));
    assert_eq!(batch["counts"]["queued"], 3);
    let opens_at = batch["schedule"]["opens_at"].as_str().unwrap().to_owned();
    assert!(opens_at.ends_with(":00.000Z"), "{opens_at}");
    let sid = url.rsplit('/').next().unwrap().to_owned();
    let watched = say(&running, &["watch", &sid]).await;
    assert_eq!(watched.last().unwrap()["status"], "completed");
    let results = say(&running, &["results", &sid]).await;
    assert_eq!(results.len(), 3);
    for result in &results {
        // Equal shapes: text compares as the instants do.
        assert!(result["dialled_at"].as_str().unwrap() >= opens_at.as_str(), "{result}");
    }
    assert!(results.iter().any(|result| result["held_by"] == "window"), "{results:#?}");
    running.end().await;
}
