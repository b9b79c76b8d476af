//! DC-3: which lines mean the same call, what becomes of what is left when a window closes, and failed lines once more.

use busyhour_base::{Outcome, Span};
use serde_json::{Value, json};

use crate::{
    batches::{draft, upload},
    support::Rig,
};

#[tokio::test]
async fn lines_are_deduplicated_by_what_was_asked() {
    let rig = Rig::new().await;
    let csv = "custom_id,To,var.customer\n\
               a,+4930100001,ann\nb,+4930100001,bob\nc,+4930100002,ann\na,+4930100003,eve\n";
    for (by, accepted) in [("custom_id", 3), ("To", 2), ("var.customer", 2)] {
        let url = draft(&rig, json!({"dedupe_by": by}), 0).await;
        let report = upload(&rig, &url, "text/csv", csv).await;
        assert_eq!(
            (&report["accepted"], &report["refused"]),
            (&json!(accepted), &json!(0)),
            "{by}"
        );
        assert_eq!(report["duplicates"], 4 - accepted, "{by}");
        let batch = rig.get(&url).await.json();
        assert_eq!(batch["dedupe_by"], by);
        assert_eq!(batch["upload"]["duplicates"], 4 - accepted);
        // The same file again adds nothing.
        assert_eq!(upload(&rig, &url, "text/csv", csv).await["accepted"], 0, "{by}");
    }
    let url = draft(&rig, json!({"dedupe_by": "var.customer"}), 0).await;
    let lines = "custom_id,To,var.customer\na,+4930100001,\nb,+4930100002,bob\n";
    let report = upload(&rig, &url, "text/csv", lines).await;
    assert_eq!((&report["accepted"], &report["errors"][0]["line"]), (&json!(1), &json!(2)));
    let message = report["errors"][0]["message"].as_str().unwrap();
    assert!(message.contains("var.customer is missing"), "{message}");
    for wrong in ["from", "Url", "var.", ""] {
        let body = json!({"dedupe_by": wrong});
        rig.post("/v1/Batches", &body).await.is_error(400, 20001, &["dedupe_by", "custom_id, To"]);
    }
}

/// It is Tuesday noon.
#[tokio::test]
async fn what_is_left_when_a_window_closes_expires_if_that_was_asked() {
    let rig = Rig::new().await;
    let windows = json!([{"days": ["tue", "wed"], "from": "12:10", "to": "12:11"}]);
    let plan = json!({
        "schedule": {"timezone": "UTC", "windows": windows},
        "on_window_end": "expire",
    });
    let url = draft(&rig, plan, 100).await;
    let started = rig.post(&format!("{url}/start"), &json!({})).await.json();
    assert_eq!(
        (&started["on_window_end"], &started["status"]),
        (&json!("expire"), &json!("running"))
    );
    let mut dials = Vec::new();
    for _ in 0..12 * 60 {
        dials.extend(rig.machine.pass(Span::from_secs(1)));
    }
    let batch = rig.get(&url).await.json();
    assert_eq!((&batch["status"], &batch["counts"]["queued"]), (&json!("completing"), &json!(0)));
    assert_eq!(batch["counts"]["failed"], 100 - dials.len());
    dials.iter().for_each(|dial| rig.machine.end(dial, Outcome::Completed));
    assert_eq!(rig.get(&url).await.json()["status"], "expired");
    let alone = json!({"on_window_end": "expire"});
    rig.post("/v1/Batches", &alone).await.is_error(400, 20001, &["schedule.windows"]);
    let wrong = json!({"on_window_end": "stop"});
    rig.post("/v1/Batches", &wrong).await.is_error(400, 20001, &["pause or expire"]);
}

/// Lets all calls of a batch that may start end so.
async fn all_end(rig: &Rig, outcomes: &[Outcome]) {
    let mut dials = rig.machine.dials();
    for _ in 0..outcomes.len() {
        dials.extend(rig.machine.pass(Span::from_secs(1)));
    }
    assert_eq!(dials.len(), outcomes.len());
    for (dial, outcome) in dials.iter().zip(outcomes) {
        rig.machine.end(dial, *outcome);
    }
}

#[tokio::test]
async fn failed_lines_are_dialled_once_more_and_each_end_once() {
    let rig = Rig::new().await;
    let url = draft(&rig, json!({}), 4).await;
    let retry = async |body: Value| rig.post(&format!("{url}/retry"), &body).await;
    retry(json!({})).await.is_error(409, 20409, &["draft", "retried"]);
    rig.post(&format!("{url}/start"), &json!({})).await;
    all_end(&rig, &[Outcome::Completed, Outcome::Busy, Outcome::NoAnswer, Outcome::Failed]).await;
    rig.record().await;
    retry(json!({"on": []})).await.is_error(400, 20001, &["on is empty"]);
    retry(json!({"on": ["completed"]})).await.is_error(400, 20001, &["busy, no-answer, failed"]);
    retry(json!({"off": []})).await.is_error(400, 20001, &["off"]);

    let report = retry(json!({"on": ["no-answer"]})).await.json();
    assert_eq!((&report["retried"], &report["stopped_by"]), (&json!(1), &Value::Null), "{report}");
    assert_eq!(report["batch"]["status"], "running");
    let report = retry(json!({})).await.json();
    assert_eq!((&report["retried"], &report["in_doubt"]), (&json!(2), &json!(0)), "{report}");
    assert_eq!(retry(json!({})).await.json()["retried"], 0, "each end once");
    let counts = &rig.get(&url).await.json()["counts"];
    assert_eq!((&counts["accepted"], &counts["completed"]), (&json!(4), &json!(1)), "{counts}");

    all_end(&rig, &[Outcome::Completed, Outcome::Completed, Outcome::Busy]).await;
    rig.record().await;
    let batch = rig.get(&url).await.json();
    assert_eq!(batch["status"], "completed");
    let counts = &batch["counts"];
    assert_eq!([&counts["completed"], &counts["busy"], &counts["accepted"]], [3, 1, 4]);
    let lines = rig.get(&format!("{url}/results")).await.lines();
    let told: Vec<_> = lines[4..]
        .iter()
        .map(|line| (line["custom_id"].as_str().unwrap(), line["attempts"].as_u64().unwrap()))
        .collect();
    assert_eq!(told, [("row-2", 2), ("row-1", 2), ("row-3", 2)]);
    assert_eq!(lines[4]["earlier_attempts"][0]["status"], "no-answer");
    let sids: std::collections::BTreeSet<_> =
        lines.iter().map(|line| line["call_sid"].as_str().unwrap()).collect();
    assert_eq!(sids.len(), 7, "a call of its own each time");
}

#[tokio::test]
async fn a_full_queue_stops_it_and_it_goes_on_where_it_stopped() {
    let rig = Rig::new().await;
    let url = draft(&rig, json!({}), 2).await;
    rig.post(&format!("{url}/start"), &json!({})).await;
    all_end(&rig, &[Outcome::Busy, Outcome::Busy]).await;
    rig.record().await;
    // The queue of this account has room for 5,000.
    let other = draft(&rig, json!({}), 4_999).await;
    let report = rig.post(&format!("{url}/retry"), &json!({})).await.json();
    assert_eq!((&report["retried"], &report["stopped_by"]), (&json!(1), &json!("queue_full")));
    rig.post(&format!("{other}/cancel"), &json!({})).await;
    let report = rig.post(&format!("{url}/retry"), &json!({})).await.json();
    assert_eq!((&report["retried"], &report["stopped_by"]), (&json!(1), &Value::Null));
}
