//! Uploads with bad lines: each is refused by itself with its number, the good ones stay accepted (`/v1/Batches`).

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};

use super::{FROM, HANGUP, unharmed, victim};
use crate::support::{
    tenant::{Answer, Tenant, answer},
    until,
};

async fn draft(tenant: &Tenant) -> String {
    let defaults = json!({"From": FROM, "Twiml": HANGUP});
    let request = tenant.request(Method::POST, "/v1/Batches").json(&json!({"defaults": defaults}));
    let created = answer(request).await;
    assert_eq!(created.status, 201, "{created:?}");
    created.json()["sid"].as_str().unwrap().to_owned()
}

async fn upload(tenant: &Tenant, batch: &str, kind: &str, lines: impl Into<Vec<u8>>) -> Answer {
    let request = tenant.request(Method::POST, &format!("/v1/Batches/{batch}/lines"));
    answer(request.header("Content-Type", kind).body(lines.into())).await
}

/// That exactly the lines `bad` were refused, each with a message that names what is wrong.
fn refused(answer: &Answer, accepted: u64, bad: &[(u64, &str)]) {
    assert_eq!(answer.status, 200, "{answer:?}");
    let report = answer.json();
    assert_eq!(report["accepted"], accepted, "{report:#}");
    assert_eq!(report["refused"], bad.len(), "{report:#}");
    let errors = report["errors"].as_array().unwrap();
    for (error, (line, names)) in errors.iter().zip(bad) {
        assert_eq!(error["line"], *line, "{report:#}");
        assert!(error["message"].as_str().unwrap().contains(names), "{names}: {error}");
        assert!(error["code"].is_u64(), "{error}");
    }
}

/// Starts a batch and gives the custom ids of its results, in order.
async fn results(tenant: &Tenant, batch: &str) -> Vec<String> {
    let start = tenant.request(Method::POST, &format!("/v1/Batches/{batch}/start"));
    assert_eq!(answer(start).await.status, 200);
    until("the batch to be over", Duration::from_secs(60), async || {
        let now = tenant.get(&format!("/v1/Batches/{batch}")).await.json();
        (now["status"] == "completed").then_some(())
    })
    .await;
    let lines = tenant.get(&format!("/v1/Batches/{batch}/results")).await.text;
    let results = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let mut ids: Vec<_> =
        results.map(|result| result["custom_id"].as_str().unwrap().to_owned()).collect();
    ids.sort();
    ids
}

const CSV: &str = "text/csv";
const NDJSON: &str = "application/x-ndjson";

#[tokio::test(flavor = "multi_thread")]
async fn bad_lines_are_named_and_good_ones_are_called() {
    let (running, tenant) = victim("bad-batches").await;

    let batch = draft(&tenant).await;
    let lines = b"custom_id,To,Timeout\n\
        a,+15551000001,10\n\
        b,nobody,10\n\
        c,+15551000002\n\
        d,+15551000003,\n\
        e,+15551000004,never\n\
        f,\xff,10\n\
        \"g\nh\",+15551000005,10\n\
        a,+15551000006,10\n\
        i,\"+1555\r\n1000007\",10\n\
        j,+15551000008,10\n";
    let answer = upload(&tenant, &batch, CSV, lines.to_vec()).await;
    let bad =
        [(3, "To"), (4, "2 fields"), (6, "Timeout"), (7, "UTF-8"), (8, "custom_id"), (11, "To")];
    refused(&answer, 3, &bad);
    assert_eq!(answer.json()["duplicates"], 1, "{answer:?}");
    assert_eq!(results(&tenant, &batch).await, ["a", "d", "j"]);
    upload(&tenant, &batch, CSV, "To\n+15551000009\n").await.refuses(409, 20409);

    let batch = draft(&tenant).await;
    let long = "x".repeat(70_000);
    let lines = format!(
        "{{\"custom_id\": \"a\", \"To\": \"+15551000011\"}}\n\
         {{\"custom_id\": \"b\", \"To\": \n\
         [1, 2]\n\
         \n\
         {{\"custom_id\": \"c\", \"Too\": \"+15551000012\"}}\n\
         {{\"custom_id\": \"d\", \"To\": {{\"a\": 1}}}}\n\
         {{\"custom_id\": \"e\", \"To\": \"+15551000013\\r\\nX: 1\"}}\n\
         {{\"custom_id\": \"f\", \"To\": \"+15551000014\", \"Twiml\": \"{long}\"}}\n\
         {{\"custom_id\": \"g\", \"To\": \"+15551000015\", \"From\": \"+15550100002\"}}\n\
         {{\"custom_id\": \"h\", \"To\": \"+15551000016\"}}"
    );
    let answer = upload(&tenant, &batch, NDJSON, lines).await;
    let bad = [
        (2, "EOF"),
        (3, "object"),
        (5, "Too"),
        (6, "To"),
        (7, "To"),
        (8, "longer than"),
        (9, "From"),
    ];
    refused(&answer, 2, &bad);
    assert_eq!(results(&tenant, &batch).await, ["a", "h"]);

    bad_messages(&tenant).await;
    // What cannot be read as lines at all is refused whole.
    let batch = draft(&tenant).await;
    let message = upload(&tenant, &batch, CSV, "Too,From\n1,2\n").await.refuses(400, 20001);
    assert!(message.contains("Too") && message.contains("custom_id"), "{message}");
    upload(&tenant, &batch, CSV, "To,To\n1,2\n").await.refuses(400, 20001);
    upload(&tenant, &batch, "text/plain", "To\n+15551000021\n").await.refuses(415, 20415);
    let open = format!("To\n\"+15551000021\n{}", "x\n".repeat(100_000));
    let message = upload(&tenant, &batch, CSV, open).await.refuses(400, 20001);
    assert!(message.contains("Line 2") && message.contains("quotation mark"), "{message}");
    let now = tenant.get(&format!("/v1/Batches/{batch}")).await.json();
    assert_eq!(now["counts"]["accepted"], 0, "{now:#}");
    unharmed(running, &tenant).await;
}

/// The same of a batch of messages, whose kind its file's `Body` does not tell: it was said before.
async fn bad_messages(tenant: &Tenant) {
    let plan = json!({"kind": "messages", "defaults": {"From": FROM}});
    let created = answer(tenant.request(Method::POST, "/v1/Batches").json(&plan)).await;
    let batch = created.json()["sid"].as_str().unwrap().to_owned();
    let long = "x".repeat(1_601);
    let lines = format!(
        "custom_id,To,Body,ValidityPeriod\n\
         a,+15551000031,hello,\n\
         b,nobody,hello,\n\
         c,+15551000032,,\n\
         d,+15551000033,{long},\n\
         e,+15551000034,hello {{var.name}},\n\
         f,+15551000035,hello,0\n\
         g,{FROM},hello,\n\
         a,+15551000036,hello,\n"
    );
    let answer = upload(tenant, &batch, CSV, lines).await;
    let bad = [
        (3, "To"),
        (4, "Body is missing"),
        (5, "1601 characters"),
        (6, "{var.name}"),
        (7, "ValidityPeriod"),
        (8, "other than From"),
    ];
    refused(&answer, 1, &bad);
    assert_eq!(answer.json()["duplicates"], 1, "{answer:?}");
    assert!(!answer.text.contains("xxxx"), "a text is personal");
    let message = upload(tenant, &batch, CSV, "To,Url\n1,2\n").await.refuses(400, 20001);
    assert!(message.contains("Url is a parameter of calls"), "{message}");
    let now = tenant.get(&format!("/v1/Batches/{batch}")).await.json();
    assert_eq!(now["counts"]["accepted"], 1, "{now:#}");
}
