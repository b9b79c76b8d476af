//! Lines of a batch: formats, checks, dedupe, chunks and bounds.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::body::Body;
use busyhour_api::{EdgeLimits, ProposeError};
use busyhour_base::{Instructions, Span};
use futures::StreamExt as _;
use serde_json::json;
use tower::ServiceExt as _;

use crate::{
    batches::{draft, upload},
    support::{NUMBER_A, Rig, request},
};

#[tokio::test]
async fn lines_take_defaults_and_variables() {
    let rig = Rig::new().await;
    let defaults =
        json!({"From": NUMBER_A, "Url": "https://app.example/{var.lang}/{To}", "Timeout": 20});
    let batch = rig.post("/v1/Batches", &json!({"defaults": defaults})).await.json();
    let url = batch["url"].as_str().unwrap();
    let text = r#"{"custom_id":"a","To":"+4930123456","var.lang":"de","var.name":"Zoë"}
{"custom_id":"b","To":"+4930123457","Twiml":"<Say>Hi {var.name}</Say>","var.name":"<Bob>","Timeout":"30"}
"#;
    let report = upload(&rig, url, "application/x-ndjson", text).await;
    assert_eq!(report["accepted"], 2, "{report}");
    rig.post(&format!("{url}/start"), &json!({})).await;
    let mut dials = rig.machine.dials();
    dials.extend(rig.machine.pass(Span::from_secs(1)));
    let specs: Vec<_> = dials.iter().map(|dial| Arc::clone(&dial.spec)).collect();
    let Instructions::Url(hook) = &specs[0].instructions else { panic!() };
    assert_eq!(hook.url, "https://app.example/de/{To}?name=Zo%C3%AB");
    assert_eq!(specs[0].ring_timeout, Span::from_secs(20));
    // The line's own document goes before a default URL.
    assert_eq!(
        specs[1].instructions,
        Instructions::Document("<Say>Hi &lt;Bob&gt;</Say>".to_owned())
    );
    assert_eq!(specs[1].ring_timeout, Span::from_secs(30));
}

#[tokio::test]
async fn each_line_is_accepted_or_refused_by_itself() {
    let rig = Rig::new().await;
    let url = draft(&rig, json!({}), 0).await;
    let text = "custom_id,To,Timeout\n\
        a,+4930123451,\n\
        b,alice,\n\
        c,+881612345678,\n\
        d,+4930123452,0\n\
        e,+4930123453\n\
        a,+4930123454,\n\
        f,+4930123455,9\n";
    let report = upload(&rig, &url, "text/csv; charset=utf-8", text).await;
    assert_eq!(
        [&report["accepted"], &report["refused"], &report["duplicates"], &report["last_line"]],
        [2, 4, 1, 8],
        "{report}"
    );
    let errors: Vec<_> = report["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|e| (e["line"].as_u64(), e["code"].as_u64()))
        .collect();
    let expected = [(3, 21_211), (4, 21_215), (5, 21_208), (6, 20_001)];
    assert_eq!(errors, expected.map(|(line, code)| (Some(line), Some(code))));
    assert_eq!(report["errors"][0]["custom_id"], "b");
    assert!(report["errors"][0]["message"].as_str().unwrap().contains("alice"));
    assert_eq!(rig.get(&url).await.json()["counts"]["accepted"], 2);
}

#[tokio::test]
async fn a_file_sent_again_dials_nobody_twice() {
    let rig = Rig::new().await;
    let url = draft(&rig, json!({}), 0).await;
    let text = "{\"To\":\"+4930123451\"}\n\n{\"To\":\"+4930123452\"}\n";
    for (accepted, duplicates) in [(2, 0), (0, 2)] {
        let report = upload(&rig, &url, "application/jsonl", text).await;
        assert_eq!(
            [&report["accepted"], &report["duplicates"], &report["refused"]],
            [accepted, duplicates, 0]
        );
    }
    let request = request("PUT", &format!("{url}/lines?from_line=3"))
        .header("content-type", "application/x-ndjson");
    let answer = rig.send(request.body(Body::from(text)).unwrap()).await.json();
    assert_eq!([&answer["accepted"], &answer["duplicates"]], [0, 1]);
}

#[tokio::test]
async fn a_large_file_goes_in_chunks_and_is_not_held_in_memory() {
    let rig = Rig::new().await;
    let url = draft(&rig, json!({}), 0).await;
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let head = futures::stream::iter([Ok::<_, std::io::Error>("custom_id,To\n".to_owned())]);
    let rows = futures::stream::iter(0..4_200).map(move |n| {
        counter.fetch_add(1, Ordering::Relaxed);
        Ok(format!("row-{n},+49301{n:06}\n"))
    });
    let report = upload(&rig, &url, "text/csv", Body::from_stream(head.chain(rows))).await;
    assert_eq!(report["accepted"], 4_200);
    assert_eq!(rig.machine.submits(), [500, 500, 500, 500, 500, 500, 500, 500, 200]);
    assert_eq!(asked.load(Ordering::Relaxed), 4_200);
    // The tenant's queue is bounded: lines beyond it are refused one by one.
    let rows: String = (0..1_000).map(|n| format!("{{\"To\":\"+49302{n:06}\"}}\n")).collect();
    let report = upload(&rig, &url, "application/x-ndjson", rows).await;
    assert_eq!([&report["accepted"], &report["refused"]], [800, 200], "{report}");
    assert_eq!(report["errors"][0]["code"], 22_005);
}

#[tokio::test]
async fn errors_are_told_as_lines_if_asked() {
    let rig = Rig::new().await;
    let url = draft(&rig, json!({}), 0).await;
    let rows: String =
        (0..3_000).map(|n| format!("{{\"custom_id\":\"{n}\",\"To\":\"x\"}}\n")).collect();
    let report = upload(&rig, &url, "application/x-ndjson", rows.clone()).await;
    assert_eq!(
        (report["errors"].as_array().unwrap().len(), &report["errors_truncated"]),
        (1_000, &json!(true))
    );
    let request =
        request("POST", &format!("{url}/lines")).header("content-type", "application/x-ndjson");
    let request = request.header("accept", "application/x-ndjson");
    let lines = rig.send(request.body(Body::from(rows)).unwrap()).await.lines();
    assert_eq!(lines.len(), 3_001);
    assert_eq!(lines[2_999]["line"], 3_000);
    assert_eq!(lines[3_000]["report"]["refused"], 3_000);
}

#[tokio::test]
async fn an_upload_that_breaks_off_says_how_far_it_came() {
    let rig = Rig::new().await;
    let url = draft(&rig, json!({}), 0).await;
    let rows =
        futures::stream::iter((0..700).map(|n| Ok(format!("{{\"To\":\"+49301{n:06}\"}}\n"))));
    let cut = futures::stream::iter([Err(std::io::Error::other("reset by peer"))]);
    let request =
        request("POST", &format!("{url}/lines")).header("content-type", "application/x-ndjson");
    let answer = rig.send(request.body(Body::from_stream(rows.chain(cut))).unwrap()).await;
    answer.is_error(400, 20001, &["broke off", "700 lines up to line 700"]);
    assert_eq!(rig.get(&url).await.json()["counts"]["accepted"], 700);
}

#[tokio::test]
async fn an_upload_that_stands_still_is_ended() {
    let limits =
        EdgeLimits { upload_idle: std::time::Duration::from_millis(50), ..EdgeLimits::default() };
    let rig = Rig::with(limits).await;
    let url = draft(&rig, json!({}), 0).await;
    let stalled = futures::stream::iter([Ok::<_, std::io::Error>("custom_id,To\n")])
        .chain(futures::stream::pending());
    let request = request("POST", &format!("{url}/lines")).header("content-type", "text/csv");
    let answer = rig.send(request.body(Body::from_stream(stalled)).unwrap()).await;
    answer.is_error(400, 20001, &["nothing came"]);
}

#[tokio::test]
async fn a_full_queue_in_front_of_the_log_makes_the_client_wait() {
    let rig = Rig::new().await;
    let url = draft(&rig, json!({}), 0).await;
    rig.machine.fail(vec![ProposeError::Overloaded; 3]);
    let report = upload(&rig, &url, "text/csv", "To\n+4930123456\n").await;
    assert_eq!(report["accepted"], 1);
    rig.machine.fail(vec![ProposeError::Stopped]);
    let request = request("POST", &format!("{url}/lines")).header("content-type", "text/csv");
    let answer = rig.send(request.body(Body::from("custom_id,To\nb,+4930123457\n")).unwrap()).await;
    answer.is_error(503, 20503, &["nothing was done"]);
}

#[tokio::test]
async fn wrong_uploads_are_refused_before_anything_is_taken() {
    let rig = Rig::new().await;
    let url = draft(&rig, json!({}), 1).await;
    let send = async |kind: &str, query: &str, text: &str| {
        let request = request("POST", &format!("{url}/lines{query}")).header("content-type", kind);
        rig.send(request.body(Body::from(text.to_owned())).unwrap()).await
    };
    send("application/json", "", "[]").await.is_error(415, 20415, &["text/csv"]);
    send("text/csv", "", "To,Tos\n1,2\n").await.is_error(400, 20001, &["Tos", "custom_id"]);
    send("text/csv", "?from_line=0", "To\n").await.is_error(400, 20001, &["from_line"]);
    assert_eq!(rig.machine.submits(), [1]);
    rig.post(&format!("{url}/start"), &json!({})).await;
    send("text/csv", "", "To\n+4930123456\n").await.is_error(409, 20409, &["completing"]);
    assert_eq!(rig.machine.submits(), [1]);
}

#[tokio::test]
async fn uploads_of_all_accounts_at_once_are_bounded() {
    let limits = EdgeLimits { uploads: 0, ..EdgeLimits::default() };
    let rig = Rig::with(limits).await;
    let url = draft(&rig, json!({}), 0).await;
    let request = request("POST", &format!("{url}/lines")).header("content-type", "text/csv");
    rig.send(request.body(Body::from("To\n")).unwrap()).await.is_error(503, 20503, &["uploads"]);
}

#[tokio::test]
async fn uploads_of_one_account_at_once_are_bounded() {
    let limits = EdgeLimits { streams: 1, ..EdgeLimits::default() };
    let rig = Rig::with(limits).await;
    let url = draft(&rig, json!({}), 0).await;
    let follow = request("GET", &format!("{url}/results?follow=true")).body(Body::empty()).unwrap();
    let open = rig.app.clone().oneshot(follow).await.unwrap();
    let request = request("POST", &format!("{url}/lines")).header("content-type", "text/csv");
    rig.send(request.body(Body::from("To\n")).unwrap()).await.is_error(429, 20429, &["uploads"]);
    drop(open);
    assert_eq!(upload(&rig, &url, "text/csv", "To\n").await["accepted"], 0);
}
