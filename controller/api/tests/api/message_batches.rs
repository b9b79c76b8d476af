//! Batches of messages through the API, from the plan to the results (MT-1, MT-8, DC-3).

use busyhour_base::{MessageEvent, Reason, Span};
use busyhour_controller_core::{
    command::Command,
    effect::Effect,
    message::{MessageCommand, MessageEffect, MessageReport, Reported, Send},
};
use serde_json::{Value, json};

use crate::{
    batches::upload,
    support::{A, Answer, NUMBER_A, Rig},
};

const CSV: &str = "text/csv";
const NDJSON: &str = "application/x-ndjson";

async fn create(rig: &Rig, body: Value) -> Answer {
    rig.post("/v1/Batches", &body).await
}

/// A draft of messages, and its path.
async fn draft(rig: &Rig, mut body: Value) -> String {
    body["defaults"] = json!({"From": NUMBER_A, "Body": "hello"});
    let answer = create(rig, body).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.json()["url"].as_str().unwrap().to_owned()
}

/// What was handed to the carrier in this time; a segment a second is what the number may.
fn sends(rig: &Rig, span: Span) -> Vec<Send> {
    rig.machine.pass(span);
    let effects = rig.machine.effects().into_iter();
    let sent = |effect| match effect {
        Effect::Message(MessageEffect::Send(send)) => Some(*send),
        _ => None,
    };
    effects.filter_map(sent).collect()
}

fn says(rig: &Rig, send: &Send, event: MessageEvent) {
    let of = Reported::Attempt { message: send.message, attempt: send.attempt };
    rig.machine.apply(Command::Message(MessageCommand::Reports(vec![MessageReport { of, event }])));
}

fn delivers(rig: &Rig, send: &Send) {
    let reference = format!("r{}", send.message.0);
    says(rig, send, MessageEvent::Accepted(reference.as_str().into()));
    let of = Reported::Reference { carrier: "text".into(), reference: reference.into() };
    let reports = vec![MessageReport { of, event: MessageEvent::Delivered }];
    rig.machine.apply(Command::Message(MessageCommand::Reports(reports)));
}

#[tokio::test]
async fn the_kind_is_said_or_told_by_the_defaults() {
    let rig = Rig::new().await;
    for (body, kind, unit) in [
        (json!({"kind": "messages"}), "messages", "segments"),
        (json!({"defaults": {"Body": "hello"}}), "messages", "segments"),
        (json!({"defaults": {"From": NUMBER_A}}), "calls", "calls"),
        (json!({"kind": "messages", "defaults": {"From": NUMBER_A}}), "messages", "segments"),
        (json!({"defaults": {"Twiml": "<Response/>"}}), "calls", "calls"),
    ] {
        let answer = create(&rig, body.clone()).await;
        assert_eq!(answer.status, 201, "{body}: {}", answer.text);
        let batch = answer.json();
        assert_eq!((&batch["kind"], &batch["pacing"]["unit"]), (&kind.into(), &unit.into()));
    }
    let table = [
        (json!({"kind": "texts"}), &["kind", "texts", "calls or messages"][..]),
        (
            json!({"defaults": {"Body": "x", "Url": "https://a.example/"}}),
            &["Body", "Url", "one kind"],
        ),
        (json!({"kind": "calls", "defaults": {"Body": "x"}}), &["Body is a parameter of messages"]),
        (
            json!({"kind": "messages", "defaults": {"Timeout": 3}}),
            &["Timeout is a parameter of calls"],
        ),
        (json!({"kind": "messages", "defaults": {"Bodi": "x"}}), &["Bodi", "ValidityPeriod"]),
        (
            json!({"kind": "messages", "retry": {"on": ["busy"], "max": 2, "backoff": 1}}),
            &["retry.on", "busy", "failed, undelivered"],
        ),
        (
            json!({"retry": {"on": ["undelivered"], "max": 2, "backoff": 1}}),
            &["undelivered", "busy, no-answer, failed"],
        ),
    ];
    for (body, words) in table {
        create(&rig, body).await.is_error(400, 20_001, words);
    }
    let long = json!({"defaults": {"Body": "x".repeat(1_601)}});
    create(&rig, long).await.is_error(400, 21_617, &["1601 characters"]);
    let foreign = json!({"defaults": {"From": "+4930200", "Body": "x"}});
    create(&rig, foreign).await.is_error(400, 21_606, &["From"]);
}

#[tokio::test]
async fn mt_1_dc_3_a_batch_of_messages_from_its_lines_to_its_results() {
    let rig = Rig::new().await;
    let url = draft(&rig, json!({"name": "spring", "pacing": {"cps": 0.5}})).await;
    let lines = "custom_id,To,Body,var.name\n\
        ann,+14155550101,,\n\
        bob,+14155550102,\"Hello {var.name}, ten percent off\",Bob & Söhne\n\
        cyd,+14155550103,,\n";
    let report = upload(&rig, &url, CSV, lines).await;
    assert_eq!((&report["accepted"], &report["refused"]), (&json!(3), &json!(0)), "{report}");
    let started = rig.post(&format!("{url}/start"), &json!({})).await.json();
    assert_eq!((&started["status"], &started["counts"]["queued"]), (&json!("running"), &json!(2)));
    assert_eq!(started["rates"]["allowed_per_s"], 0.5);
    assert_eq!(started["rates"]["unit"], "segments");
    let first = sends(&rig, Span::ZERO).remove(0);
    // It is an ordinary message.
    let sid = rig.key.message(first.message.0);
    let path = format!("/2010-04-01/Accounts/{A}/Messages/{sid}.json");
    assert_eq!(rig.get(&path).await.json()["status"], "sending");
    let batch = rig.get(&url).await.json();
    assert_eq!(batch["eta"]["limiting_factor"], "batch_throttle", "{batch:#}");
    assert!(batch["eta"]["in_ms"].as_u64().unwrap() >= 2_000, "{batch:#}");
    let why = rig.get(&format!("{url}/explain")).await.json();
    assert_eq!(why["limit"]["reason"], "batch_throttle", "{why:#}");
    assert_eq!(why["counts"]["queued"], 2);
    // 0.5 segments a second.
    assert!(sends(&rig, Span::from_millis(1_999)).is_empty());
    let second = sends(&rig, Span::from_millis(1)).remove(0);
    assert_eq!(second.body.text(), "Hello Bob & Söhne, ten percent off");
    let third = sends(&rig, Span::from_secs(2)).remove(0);
    delivers(&rig, &third);
    says(&rig, &first, MessageEvent::Refused(Reason::MessageBlocked));
    delivers(&rig, &second);
    let batch = rig.get(&url).await.json();
    assert_eq!(batch["status"], "completed");
    let counts = json!({"accepted": 3, "queued": 0, "in_progress": 0, "delivered": 2, "sent": 0,
        "undelivered": 0, "failed": 1, "canceled": 0});
    assert_eq!(batch["counts"], counts);
    let rates = &batch["rates"];
    assert_eq!((&rates["started"], &rates["started_per_s"]), (&json!(3), &json!(0.75)));
    let through = rig.machine.record_messages(&rig.records).await;
    rig.messages_recorded.send_replace(through);
    let results = rig.get(&format!("{url}/results")).await.lines();
    let told: Vec<_> = results.iter().map(|r| (&r["custom_id"], &r["status"])).collect();
    assert_eq!(json!(told), json!([["cyd", "delivered"], ["ann", "failed"], ["bob", "delivered"]]));
    let ann = &results[1];
    assert_eq!((&ann["reason"], &ann["error_code"]), (&json!("message_blocked"), &json!(30_004)));
    assert_eq!((&ann["segments"], &ann["price"]), (&json!(1), &Value::Null));
    assert_eq!(ann["message_sid"], sid.to_string());
    let after = ann["cursor"].as_u64().unwrap();
    let rest = rig.get(&format!("{url}/results?after={after}")).await.lines();
    assert_eq!((rest.len(), &rest[0]["custom_id"]), (1, &json!("bob")));
    assert_eq!(rig.get(&path).await.json()["error_code"], 30_004, "recorded like any message");
    let listed = &rig.get("/v1/Batches").await.json()["batches"][0];
    assert_eq!((&listed["kind"], &listed["name"]), (&json!("messages"), &json!("spring")));
}

#[tokio::test]
async fn wrong_lines_are_named_with_their_numbers_and_the_others_are_taken() {
    let rig = Rig::new().await;
    let url = draft(&rig, json!({})).await;
    let long = "x".repeat(1_601);
    let lines = format!(
        "{{\"custom_id\": \"a\", \"To\": \"+14155550101\"}}\n\
         {{\"custom_id\": \"b\", \"To\": \"nobody\"}}\n\
         {{\"custom_id\": \"c\", \"To\": \"+14155550102\", \"Url\": \"https://a.example/\"}}\n\
         {{\"custom_id\": \"d\", \"To\": \"+14155550103\", \"Body\": \"{long}\"}}\n\
         {{\"custom_id\": \"e\", \"To\": \"{NUMBER_A}\"}}\n\
         {{\"custom_id\": \"f\", \"To\": \"+14155550104\", \"Body\": \"Hi {{var.name}}\"}}\n\
         {{\"custom_id\": \"g\", \"To\": \"+14155550105\", \"MediaUrl\": \"https://a.example/x.png\"}}\n\
         {{\"custom_id\": \"h\", \"To\": \"+14155550106\", \"ValidityPeriod\": 0}}\n\
         {{\"custom_id\": \"a\", \"To\": \"+14155550107\"}}\n"
    );
    let report = upload(&rig, &url, NDJSON, lines).await;
    assert_eq!((&report["accepted"], &report["duplicates"]), (&json!(1), &json!(1)), "{report:#}");
    let expected = [
        (2, "To = \"nobody\""),
        (3, "Url is a parameter of calls"),
        (4, "1601 characters"),
        (5, "other than From"),
        (6, "{var.name}"),
        (7, "MediaUrl"),
        (8, "ValidityPeriod"),
    ];
    let errors = rig.get(&format!("{url}/errors")).await.lines();
    assert_eq!(errors.len(), expected.len(), "{errors:#?}");
    for (error, (line, words)) in errors.iter().zip(expected) {
        assert_eq!(error["line"], line, "{error}");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(words), "{words}: {message}");
        assert!(!message.contains("xxx"), "a text is personal: {message}");
    }
    let wrong = upload_refused(&rig, &url, "To,Twiml\n+14155550101,x\n").await;
    wrong.is_error(400, 20_001, &["Twiml is a parameter of calls", "kind = messages"]);
}

async fn upload_refused(rig: &Rig, url: &str, text: &'static str) -> Answer {
    let request = crate::support::request("POST", &format!("{url}/lines"));
    let request = request.header("content-type", CSV);
    rig.send(request.body(axum::body::Body::from(text)).unwrap()).await
}

#[tokio::test]
async fn a_line_is_sent_again_as_the_plan_says_and_the_result_tells_each_attempt() {
    let rig = Rig::new().await;
    let retry = json!({"on": ["failed", "undelivered"], "max": 2, "backoff": 60});
    let url = draft(&rig, json!({"retry": retry, "dedupe_by": "To"})).await;
    let report = upload(&rig, &url, CSV, "To\n+14155550101\n+14155550101\n").await;
    assert_eq!((&report["accepted"], &report["duplicates"]), (&json!(1), &json!(1)));
    rig.post(&format!("{url}/start"), &json!({})).await;
    let first = sends(&rig, Span::ZERO).remove(0);
    says(&rig, &first, MessageEvent::Refused(Reason::MessageRejected));
    let batch = rig.get(&url).await.json();
    assert_eq!((&batch["counts"]["queued"], &batch["status"]), (&json!(1), &json!("running")));
    let second = sends(&rig, Span::from_secs(60)).remove(0);
    assert_eq!((second.message, second.attempt), (first.message, 2));
    delivers(&rig, &second);
    let through = rig.machine.record_messages(&rig.records).await;
    rig.messages_recorded.send_replace(through);
    let results = rig.get(&format!("{url}/results?follow=true")).await.lines();
    assert_eq!(results.len(), 1);
    assert_eq!((&results[0]["status"], &results[0]["attempts"]), (&json!("delivered"), &json!(2)));
    let earlier = &results[0]["earlier_attempts"][0];
    assert_eq!(
        (&earlier["status"], &earlier["reason"]),
        (&json!("failed"), &json!("message_rejected"))
    );
    assert_eq!((&earlier["attempt"], &earlier["carrier"]), (&json!(1), &json!("text")));
}
