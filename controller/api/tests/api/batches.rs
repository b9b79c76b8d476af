//! The life of a batch: create, start, pause, resume, cancel, list, results (`WIRE.md`, DC-3).

use std::time::Duration;

use axum::body::Body;
use busyhour_base::{Outcome, Span};
use futures::StreamExt as _;
use http::StatusCode;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::support::{NUMBER_A, Rig, request};

/// Creates a batch with so many lines, and gives its path.
pub async fn draft(rig: &Rig, mut body: Value, lines: usize) -> String {
    body["defaults"] = json!({"From": NUMBER_A, "Url": "https://app.example/"});
    let answer = rig.post("/v1/Batches", &body).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let url = answer.json()["url"].as_str().unwrap().to_owned();
    if lines > 0 {
        let text: String = (0..lines).map(|n| format!("row-{n},+49301{n:06}\n")).collect();
        let report = upload(rig, &url, "text/csv", format!("custom_id,To\n{text}")).await;
        assert_eq!(report["accepted"], lines, "{report}");
    }
    url
}

/// Uploads lines and gives the report.
pub async fn upload(rig: &Rig, url: &str, kind: &str, text: impl Into<Body>) -> Value {
    let request = request("POST", &format!("{url}/lines")).header("content-type", kind);
    let answer = rig.send(request.body(text.into()).unwrap()).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    answer.json()
}

#[tokio::test]
async fn a_new_batch_is_a_draft_with_what_was_asked() {
    let rig = Rig::new().await;
    let body = json!({
        "name": "spring",
        "defaults": {"From": NUMBER_A, "Timeout": 20, "StatusCallbackEvent": ["ringing", "completed"], "Record": false},
        "schedule": {"not_before": "2026-03-10T13:00:00+01:00", "not_after": "2026-03-10T18:00:00Z"},
        "pacing": {"cps": 0.5, "max_concurrent": 3},
    });
    let answer = rig.post("/v1/Batches", &body).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let batch = answer.json();
    assert!(batch["sid"].as_str().unwrap().starts_with("BT"));
    assert_eq!((&batch["status"], &batch["name"]), (&json!("draft"), &json!("spring")));
    assert_eq!(batch["schedule"]["not_before"], "2026-03-10T12:00:00.000Z");
    assert_eq!(batch["pacing"], json!({"cps": 0.5, "unit": "calls", "max_concurrent": 3}));
    assert_eq!(batch["counts"]["accepted"], 0);
    assert_eq!(rig.get(batch["url"].as_str().unwrap()).await.json(), batch);
    let empty = request("POST", "/v1/Batches").body(Body::empty()).unwrap();
    assert_eq!(rig.send(empty).await.status, 201);
}

fn schedule(timezone: &str, day: &str, from: &str, to: &str) -> Value {
    json!({"schedule": {"timezone": timezone, "windows": [{"days": [day], "from": from, "to": to}]}})
}

#[tokio::test]
async fn what_is_wrong_with_a_batch_is_named_and_nothing_is_created() {
    let rig = Rig::new().await;
    let table = [
        (json!({"nmae": "x"}), "nmae"),
        (json!({"name": 7}), "Body: name: invalid type: integer `7`, expected a string"),
        (json!({"callback": {"url": ["x"]}}), "Body: callback.url: invalid type"),
        (json!({"schedule": {"windows": [{"days": 1}]}}), "schedule.windows[0].days: invalid type"),
        (json!({"retry": {"on": ["busy", 2]}}), "retry.on[1]: invalid type"),
        (json!({"name": "x".repeat(129)}), "128"),
        (json!({"name": "a\nb"}), "control"),
        (json!({"retry": {}}), "on"),
        (json!({"retry": {"on": [], "max": 2, "backoff": 1}}), "retry.on"),
        (json!({"retry": {"on": ["answered"], "max": 2, "backoff": 1}}), "no-answer"),
        (json!({"retry": {"on": ["busy"], "max": 1, "backoff": 1}}), "from 2 to 10"),
        (json!({"retry": {"on": ["busy"], "max": 11, "backoff": 1}}), "from 2 to 10"),
        (json!({"retry": {"on": ["busy"], "max": 3, "backoff": []}}), "backoff"),
        (json!({"retry": {"on": ["busy"], "max": 3, "backoff": 1e9 as u64}}), "604800"),
        (json!({"schedule": {"windows": [{"from": "09:00", "to": "18:00"}]}}), "schedule.timezone"),
        (json!({"schedule": {"timezone": "Europe/Berlin"}}), "schedule.windows"),
        (schedule("Europe/Atlantis", "mon", "09:00", "18:00"), "schedule.timezone"),
        (schedule("UTC", "monday", "09:00", "18:00"), "schedule.windows[0].days"),
        (schedule("UTC", "mon", "9:00", "18:00"), "schedule.windows[0].from"),
        (schedule("UTC", "mon", "24:00", "18:00"), "23:59"),
        (schedule("UTC", "mon", "09:00", "24:01"), "24:00"),
        (json!({"callback": {"url": "https://a.example/", "progress_percent": 0}}), "1 to 100"),
        (json!({"callback": {}}), "url"),
        (json!({"schedule": {"not_before": "soon"}}), "schedule.not_before"),
        (json!({"schedule": {"not_after": "2026-03-10T12:00:00Z"}}), "schedule.not_after"),
        (
            json!({"schedule": {"not_before": "2026-03-11T00:00:00Z", "not_after": "2026-03-10T23:00:00Z"}}),
            "not_after",
        ),
        (json!({"pacing": {"cps": 0}}), "pacing.cps"),
        (json!({"pacing": {"cps": -1}}), "pacing.cps"),
        (json!({"pacing": {"cps": 1e300}}), "pacing.cps"),
        (json!({"pacing": {"cps": "1"}}), "Body: pacing.cps: invalid type"),
        (json!({"pacing": {"max_concurrent": 0}}), "max_concurrent"),
        (json!({"pacing": {"max_concurrent": -1}}), "pacing.max_concurrent: invalid value"),
        (json!({"defaults": {"Tos": "x"}}), "Tos"),
        (json!({"defaults": {"Url": {"a": 1}}}), "defaults.Url is an object"),
        (json!({"defaults": {"Twiml": "x".repeat(20_000)}}), "16384"),
        (json!([]), "Body"),
    ];
    for (body, word) in table {
        rig.post("/v1/Batches", &body).await.is_error(400, 20001, &[word]);
    }
    // Defaults are checked like the parameters that they are.
    rig.post("/v1/Batches", &json!({"defaults": {"From": "+4930200"}})).await.is_error(
        400,
        21210,
        &["From"],
    );
    rig.post("/v1/Batches", &json!({"defaults": {"Timeout": 0}})).await.is_error(
        400,
        21208,
        &["Timeout"],
    );
    rig.post("/v1/Batches", &json!({"defaults": {"Url": "x"}})).await.is_error(
        400,
        21205,
        &["Url"],
    );
    let callback = json!({"callback": {"url": "app.example"}});
    rig.post("/v1/Batches", &callback).await.is_error(400, 21205, &["callback.url"]);
    let broken = request("POST", "/v1/Batches").header("content-type", "application/json");
    rig.send(broken.body(Body::from("{")).unwrap()).await.is_error(400, 20001, &["line 1"]);
    let form = request("POST", "/v1/Batches").header("content-type", "text/plain");
    rig.send(form.body(Body::from("{}")).unwrap()).await.is_error(
        415,
        20415,
        &["application/json"],
    );
    assert_eq!(rig.get("/v1/Batches").await.json()["batches"], json!([]));
}

#[tokio::test]
async fn a_batch_created_again_with_the_same_key_is_the_same_batch() {
    let rig = Rig::new().await;
    let send = async |name: &str| {
        let request = request("POST", "/v1/Batches").header("content-type", "application/json");
        let request = request.header("idempotency-key", "once");
        rig.send(request.body(Body::from(json!({"name": name}).to_string())).unwrap()).await
    };
    let first = send("a").await.json();
    assert_eq!(send("a").await.json()["sid"], first["sid"]);
    send("b").await.is_error(409, 20409, &["Idempotency-Key"]);
}

#[tokio::test]
async fn a_batch_runs_pauses_goes_on_and_completes() {
    let rig = Rig::new().await;
    let url = draft(&rig, json!({}), 4).await;
    assert!(rig.machine.pass(Span::from_secs(10)).is_empty());
    let post = async |what: &str| rig.post(&format!("{url}/{what}"), &json!({})).await;
    post("pause").await.is_error(409, 20409, &["draft", "paused"]);
    assert_eq!(post("start").await.json()["status"], "running");
    let mut dials = rig.machine.dials();
    dials.extend(rig.machine.pass(Span::from_secs(1)));
    assert_eq!(dials.len(), 2);
    let batch = rig.get(&url).await.json();
    assert_eq!(
        (&batch["counts"]["queued"], &batch["counts"]["in_progress"]),
        (&json!(2), &json!(2))
    );
    assert_eq!(batch["eta"]["limiting_factor"], "throttle");
    assert!(batch["eta"]["p50"].is_string() && batch["eta"]["p90"].is_string());

    assert_eq!(post("pause").await.json()["status"], "paused");
    assert!(rig.machine.pass(Span::from_secs(60)).is_empty());
    assert_eq!(post("resume").await.json()["status"], "running");
    dials.extend(rig.machine.dials());
    dials.extend(rig.machine.pass(Span::from_secs(1)));
    dials.extend(rig.machine.pass(Span::from_secs(1)));
    assert_eq!(dials.len(), 4);
    for (dial, outcome) in dials.iter().zip(Outcome::ALL) {
        rig.machine.end(dial, outcome);
    }
    let batch = rig.get(&url).await.json();
    assert_eq!(batch["status"], "completed");
    let counts = &batch["counts"];
    assert_eq!(
        [&counts["completed"], &counts["busy"], &counts["no_answer"], &counts["failed"]],
        [1, 1, 1, 1]
    );
    assert_eq!(batch["rates"]["completed_share"], 0.25);
    for what in ["start", "pause", "resume", "cancel"] {
        post(what).await.is_error(409, 20409, &["completed"]);
    }
}

#[tokio::test]
async fn canceling_ends_what_waits_and_hangs_up_if_asked() {
    for hang_up in [false, true] {
        let rig = Rig::new().await;
        let url = draft(&rig, json!({}), 3).await;
        rig.post(&format!("{url}/start"), &json!({})).await;
        rig.machine.pass(Span::ZERO);
        rig.post(&format!("{url}/cancel"), &json!({"hangup": true})).await.is_error(
            400,
            20001,
            &["hang_up"],
        );
        let answer = rig.post(&format!("{url}/cancel"), &json!({"hang_up": hang_up})).await;
        assert_eq!(answer.json()["status"], "cancelling", "{}", answer.text);
        assert_eq!(answer.json()["counts"]["canceled"], 2);
        let hung_up = rig
            .machine
            .effects()
            .iter()
            .filter(|effect| format!("{effect:?}").starts_with("HangUp"))
            .count();
        assert_eq!(hung_up, usize::from(hang_up));
    }
}

#[tokio::test]
async fn batches_are_listed_newest_first_in_pages() {
    let rig = Rig::new().await;
    let mut urls = Vec::new();
    for _ in 0..5 {
        urls.push(draft(&rig, json!({}), 0).await);
    }
    urls.reverse();
    let mut path = "/v1/Batches?PageSize=2".to_owned();
    let mut seen = Vec::new();
    loop {
        let page = rig.get(&path).await.json();
        let rows = page["batches"].as_array().unwrap();
        seen.extend(rows.iter().map(|row| row["url"].as_str().unwrap().to_owned()));
        match page["meta"]["next_page_url"].as_str() {
            Some(next) => path = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(seen, urls);
    rig.get("/v1/Batches?PageToken=x").await.is_error(400, 20001, &["PageToken"]);
}

#[tokio::test]
async fn results_are_read_from_a_cursor_on() {
    let rig = Rig::new().await;
    let url = draft(&rig, json!({}), 3).await;
    rig.post(&format!("{url}/start"), &json!({})).await;
    let mut dials = rig.machine.dials();
    dials.extend(rig.machine.pass(Span::from_secs(1)));
    rig.machine.end(&dials[1], Outcome::Completed);
    rig.machine.end(&dials[0], Outcome::Busy);
    rig.record().await;
    let answer = rig.get(&format!("{url}/results")).await;
    assert_eq!(answer.headers["content-type"], "application/x-ndjson");
    let lines = answer.lines();
    // In the order in which they ended.
    let ids: Vec<&Value> = lines.iter().map(|line| &line["custom_id"]).collect();
    assert_eq!(ids, ["row-1", "row-0"]);
    let busy = &lines[1];
    assert_eq!(
        (&busy["status"], &busy["reason"], &busy["sip_code"]),
        (&json!("busy"), &json!("busy"), &json!(486))
    );
    assert_eq!(busy["call_sid"], rig.key.call(dials[0].call.0).to_string());
    assert_eq!((&lines[0]["digits"], &lines[0]["talk_ms"]), (&json!("12#"), &json!(2_500)));
    let after = format!("{url}/results?after={}", lines[0]["cursor"]);
    assert_eq!(rig.get(&after).await.lines(), lines[1..]);
    assert_eq!(rig.get(&format!("{url}/results?limit=1")).await.lines(), lines[..1]);
    for query in ["after=x", "limit=0", "follow=yes"] {
        let name = query.split('=').next().unwrap();
        rig.get(&format!("{url}/results?{query}")).await.is_error(400, 20001, &[name]);
    }
}

#[tokio::test]
async fn results_are_followed_until_the_batch_is_over_and_recorded() {
    let rig = Rig::new().await;
    let url = draft(&rig, json!({}), 3).await;
    rig.post(&format!("{url}/start"), &json!({})).await;
    let follow = request("GET", &format!("{url}/results?follow=true")).body(Body::empty()).unwrap();
    let response = rig.app.clone().oneshot(follow).await.unwrap();
    let mut body = response.into_body().into_data_stream();
    let mut dials = rig.machine.dials();
    for n in 0..3 {
        let dial = dials.pop().unwrap_or_else(|| rig.machine.pass(Span::from_secs(1)).remove(0));
        rig.machine.end(&dial, Outcome::Completed);
        // Over, but not recorded: whoever follows waits.
        let early = tokio::time::timeout(Duration::from_millis(20), body.next()).await;
        assert!(early.is_err(), "{n}: {early:?}");
        rig.record().await;
        let piece = tokio::time::timeout(Duration::from_secs(60), body.next()).await.unwrap();
        let text = piece.unwrap().unwrap();
        let line: Value = serde_json::from_slice(&text).unwrap();
        assert_eq!(line["custom_id"], format!("row-{n}"));
    }
    let end = tokio::time::timeout(Duration::from_secs(60), body.next()).await.unwrap();
    assert!(end.is_none(), "{end:?}");
}

/// It is Tuesday, noon in UTC and 13:00 in Berlin.
#[tokio::test]
async fn calls_out_of_hours_wait_for_their_window_in_its_own_zone() {
    let rig = Rig::new().await;
    let windows = json!([{"days": ["tue", "wed"], "from": "13:30", "to": "13:31"}]);
    let plan = json!({"schedule": {"timezone": "Europe/Berlin", "windows": windows}});
    let url = draft(&rig, plan, 100).await;
    let batch = rig.post(&format!("{url}/start"), &json!({})).await.json();
    assert_eq!((&batch["status"], &batch["shut_by"]), (&json!("running"), &json!("window")));
    assert_eq!(batch["schedule"]["windows"], windows);
    assert_eq!(batch["schedule"]["opens_at"], "2026-03-10T12:30:00.000Z");
    assert_eq!(batch["schedule"]["closes_at"], "2026-03-10T12:31:00.000Z");
    let minutes = |n: u64| Span::from_secs(n * 60);
    assert!(rig.machine.pass(minutes(29)).is_empty());
    let mut dialled = 0;
    for _ in 0..70 {
        dialled += rig.machine.pass(Span::from_secs(1)).len();
    }
    assert_eq!(dialled, 11, "one a second from 12:30:00 to 12:30:10");
    assert_eq!(rig.machine.pass(minutes(2)).len(), 0, "and nothing once it is closed");
    assert_eq!(rig.get(&url).await.json()["shut_by"], "window");
    let never = json!({"schedule": {"timezone": "UTC", "not_after": "2026-03-10T20:00:00Z",
        "windows": [{"days": ["fri"], "from": "09:00", "to": "18:00"}]}});
    rig.post("/v1/Batches", &never).await.is_error(400, 20001, &["none of them opens"]);
}

/// Berlin's clocks go forward between the 28th and the 29th of March: its nine o'clock is an hour earlier in UTC from then on.
#[tokio::test]
async fn a_window_keeps_its_local_time_when_clocks_change() {
    let rig = Rig::new().await;
    let plan = json!({
        "schedule": {
            "not_before": "2026-03-27T23:00:00Z",
            "timezone": "Europe/Berlin",
            "windows": [{"from": "09:00", "to": "09:10"}],
        },
        "pacing": {"max_concurrent": 1},
    });
    let url = draft(&rig, plan, 2).await;
    rig.post(&format!("{url}/start"), &json!({})).await;
    let shown = rig.get(&url).await.json()["schedule"]["opens_at"].clone();
    assert_eq!(shown, "2026-03-28T08:00:00.000Z");
    // From noon of the 10th.
    let (hour, second) = (Span::from_secs(3_600), Span::from_secs(1));
    let to_the_28th = Span::from_secs(17 * 86_400 + 20 * 3_600 - 1);
    assert!(rig.machine.pass(to_the_28th).is_empty());
    let first = rig.machine.pass(second).remove(0);
    assert!(rig.machine.pass(hour).is_empty(), "one at once");
    rig.machine.end(&first, Outcome::Completed);
    assert!(rig.machine.dials().is_empty(), "the window is closed");
    assert!(rig.machine.pass(Span::from_secs(22 * 3_600 - 1)).is_empty());
    assert_eq!(rig.machine.pass(second).len(), 1, "23 hours after the first");
}

#[tokio::test]
async fn every_attempt_of_a_line_is_in_its_result() {
    let rig = Rig::new().await;
    let retry = json!({"on": ["busy", "no-answer"], "max": 3, "backoff": [60, 600]});
    let url = draft(&rig, json!({"retry": retry}), 1).await;
    assert_eq!(rig.get(&url).await.json()["retry"], retry);
    rig.post(&format!("{url}/start"), &json!({})).await;
    let first = rig.machine.dials().remove(0);
    rig.machine.end(&first, Outcome::Busy);
    let waiting = rig.get(&url).await.json();
    assert_eq!((&waiting["status"], &waiting["counts"]["queued"]), (&json!("running"), &json!(1)));
    assert!(rig.machine.pass(Span::from_secs(59)).is_empty());
    let second = rig.machine.pass(Span::from_secs(1)).remove(0);
    assert_eq!((second.call, second.attempt), (first.call, 2));
    rig.machine.end(&second, Outcome::Completed);
    rig.record().await;
    let lines = rig.get(&format!("{url}/results")).await.lines();
    assert_eq!(lines.len(), 1, "one outcome");
    assert_eq!((&lines[0]["status"], &lines[0]["attempts"]), (&json!("completed"), &json!(2)));
    let earlier = &lines[0]["earlier_attempts"];
    assert_eq!((&earlier[0]["status"], &earlier[0]["sip_code"]), (&json!("busy"), &json!(486)));
    assert_eq!(earlier.as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_running_batch_takes_another_pace() {
    let rig = Rig::new().await;
    let url = draft(&rig, json!({"pacing": {"max_concurrent": 1}}), 5).await;
    rig.post(&format!("{url}/start"), &json!({})).await;
    assert_eq!(rig.machine.dials().len() + rig.machine.pass(Span::from_secs(3)).len(), 1);
    let pace = async |body: Value| rig.post(&format!("{url}/pace"), &body).await;
    let batch = pace(json!({"cps": 0.5, "max_concurrent": 3})).await.json();
    assert_eq!(batch["pacing"], json!({"cps": 0.5, "unit": "calls", "max_concurrent": 3}));
    let mut dialled = rig.machine.dials().len();
    for _ in 0..10 {
        dialled += rig.machine.pass(Span::from_secs(1)).len();
    }
    assert_eq!(dialled, 2, "three are up");
    let batch = pace(json!({"cps": 2})).await.json();
    assert_eq!(
        batch["pacing"],
        json!({"cps": 2.0, "unit": "calls", "max_concurrent": 3}),
        "what is left out stays"
    );
    let batch = pace(json!({"cps": null})).await.json();
    assert_eq!(batch["pacing"], json!({"cps": null, "unit": "calls", "max_concurrent": 3}));
    pace(json!({"cps": 0})).await.is_error(400, 20001, &["pacing.cps"]);
    pace(json!({"cpm": 1})).await.is_error(400, 20001, &["cpm"]);
    rig.post(&format!("{url}/cancel"), &json!({})).await;
    pace(json!({})).await.is_error(409, 20409, &["cancelling", "pace"]);
}

#[tokio::test]
async fn a_callback_is_shown_with_what_it_is_owed() {
    let rig = Rig::new().await;
    let callback = json!({"url": "https://app.example/batch", "progress_percent": 50});
    let url = draft(&rig, json!({"callback": callback}), 2).await;
    rig.post(&format!("{url}/start"), &json!({})).await;
    let mut dials = rig.machine.dials();
    dials.extend(rig.machine.pass(Span::from_secs(1)));
    for (dial, owed) in dials.iter().zip(["progress", "finished"]) {
        rig.machine.end(dial, Outcome::Completed);
        let shown = &rig.get(&url).await.json()["callback"];
        assert_eq!((&shown["owed"], &shown["method"]), (&json!(owed), &json!("POST")));
    }
}
