//! `explain`: of calls, batches, tenants and carriers; and the ETAs that come from the same forecasts.

use axum::body::Body;
use busyhour_base::{Outcome, Span};
use http::Request;
use serde_json::{Value, json};

use crate::support::{A, B, Rig, basic};

async fn operator(rig: &Rig, path: &str) -> crate::support::Answer {
    let request = Request::get(path).header("authorization", "Bearer operator-token");
    rig.send(request.body(Body::empty()).unwrap()).await
}

/// Forty calls that have lasted 30 s each, so that lengths are known.
async fn seasoned(rig: &Rig) {
    for n in 0..40 {
        rig.call(&format!("+4930100{n:02}")).await;
    }
    let mut up = Vec::new();
    for _ in 0..80 {
        up.extend(rig.machine.pass(Span::from_secs(1)).into_iter().map(|dial| (30, dial)));
        for (left, _) in &mut up {
            *left -= 1;
        }
        while up.first().is_some_and(|(left, _)| *left < 0) {
            rig.machine.end(&up.remove(0).1, Outcome::Completed);
        }
    }
    rig.record().await;
}

#[tokio::test]
async fn mt_27_a_waiting_call_is_explained_with_what_would_change_it() {
    let rig = Rig::new().await;
    seasoned(&rig).await;
    let mut sids = Vec::new();
    for n in 0..60 {
        sids.push(rig.call(&format!("+4930200{n:02}")).await);
    }
    let path = format!("/v1/Calls/{}/explain", sids[59]);
    let answer = rig.get(&path).await;
    assert!(answer.text.ends_with("}\n"), "a line of its own");
    let why = answer.json();
    assert_eq!((&why["status"], &why["method"]), (&"queued".into(), &"forward".into()), "{why}");
    assert_eq!(why["limit"]["reason"], "throttle");
    assert_eq!(why["held_by"][0]["reason"], "throttle");
    assert_eq!(why["held_by"][0]["share"], 1.0);
    let (p50, p90) = (&why["starts_in_ms"], &why["starts_in_ms_p90"]);
    let in_ms = p50.as_u64().unwrap();
    assert!((55_000..=60_000).contains(&in_ms), "{why}");
    assert!(p90.as_u64().unwrap() >= in_ms);
    let change = &why["changes"][0];
    assert_eq!((&change["limit"], &change["of"]), (&"throttle".into(), &"alpha".into()));
    assert_eq!((&change["from"], &change["to"]), (&1.0.into(), &2.0.into()));
    let sooner = change["sooner_ms"].as_u64().unwrap();
    assert!((25_000..=31_000).contains(&sooner), "{change}");
    let message = change["message"].as_str().unwrap();
    assert!(
        message.starts_with("With alpha's throttle at 2.00/s instead of 1.00/s, it would start in")
    );
    // A limit that does not bind does not read as if it did.
    let limits = why["limits"].as_array().unwrap();
    let channels = limits.iter().find(|limit| limit["reason"] == "carrier_channels").unwrap();
    assert_eq!((&channels["binds"], &channels["starts_in_ms"]), (&false.into(), &0.into()));
    assert_eq!(channels["message"], "The number of the carriers' channels would let it start now.");
    // The operator sees it, another tenant does not.
    assert_eq!(operator(&rig, &path).await.json()["limit"]["reason"], "throttle");
    let other = Request::get(&path).header("authorization", basic(&B.to_string(), "token-b"));
    rig.send(other.body(Body::empty()).unwrap()).await.is_error(404, 20404, &[]);
}

#[tokio::test]
async fn a_call_canceled_before_it_started_says_what_held_it() {
    let rig = Rig::new().await;
    rig.call("+4930200001").await;
    let sid = rig.call("+4930200002").await;
    rig.form(&crate::support::call(&sid), &[("Status", "canceled")]).await;
    for _ in 0..2 {
        let why = rig.get(&format!("/v1/Calls/{sid}/explain")).await.json();
        assert_eq!(why["status"], "canceled");
        assert_eq!(why["ending"]["reason"], "canceled_by_tenant");
        if let Some(limit) = why["limit"].as_object() {
            assert_eq!(limit["reason"], "throttle");
        }
        rig.record().await;
    }
    let why = rig.get(&format!("/v1/Calls/{sid}/explain")).await.json();
    assert_eq!(why["limit"]["reason"], "throttle");
}

#[tokio::test]
async fn mt_27_batches_tenants_and_carriers_are_explained() {
    let rig = Rig::new().await;
    seasoned(&rig).await;
    let batch = rig.post("/v1/Batches", &json!({"name": "reminders"})).await.json();
    let sid = batch["sid"].as_str().unwrap();
    let line = |n: u32| {
        json!({"custom_id": n.to_string(), "To": format!("+49302000{n:02}"), "From": crate::support::NUMBER_A, "Url": "https://app.example/"}).to_string() + "\n"
    };
    let lines: String = (0..30).map(line).collect();
    let request = crate::support::request("POST", &format!("/v1/Batches/{sid}/lines"))
        .header("content-type", "application/x-ndjson");
    let answer = rig.send(request.body(Body::from(lines)).unwrap()).await;
    assert_eq!(answer.json()["accepted"], 30, "{}", answer.text);

    let draft = rig.get(&format!("/v1/Batches/{sid}/explain")).await.json();
    assert_eq!((&draft["limit"]["reason"], &draft["last_start"]), (&"draft".into(), &Value::Null));
    rig.post(&format!("/v1/Batches/{sid}/start"), &json!({})).await;

    let why = rig.get(&format!("/v1/Batches/{sid}/explain")).await.json();
    assert_eq!((&why["name"], &why["limit"]["reason"]), (&"reminders".into(), &"throttle".into()));
    assert!((28_000..=30_000).contains(&why["last_start"]["in_ms"].as_u64().unwrap()), "{why}");
    assert_eq!(why["changes"][0]["limit"], "throttle");

    let eta = rig.get(&format!("/v1/Batches/{sid}")).await.json()["eta"].clone();
    assert_eq!(eta["limiting_factor"], "throttle", "{eta}");
    assert!(eta["p90"].as_str() >= eta["p50"].as_str() && eta["p90"].is_string(), "{eta}");

    for name in ["alpha".to_owned(), A.to_string()] {
        let why = operator(&rig, &format!("/v1/Tenants/{name}/explain")).await.json();
        assert_eq!((&why["name"], &why["limit"]["reason"]), (&"alpha".into(), &"throttle".into()));
        assert_eq!(why["queues"][0]["batch_sid"], sid, "{why}");
        assert_eq!(why["queues"][0]["held_by"]["reason"], "throttle");
    }
    assert_eq!(rig.get("/v1/Tenants/alpha/explain").await.json()["name"], "alpha");
    rig.get("/v1/Tenants/beta/explain").await.is_error(404, 20404, &[]);
    rig.get("/v1/Tenants/nobody/explain").await.is_error(404, 20404, &[]);

    let why = operator(&rig, "/v1/Carriers/north/explain").await.json();
    assert_eq!((&why["channels"], &why["waiting"]), (&100.into(), &json!([])), "{why}");
    rig.get("/v1/Carriers/north/explain").await.is_error(401, 20003, &[]);
    operator(&rig, "/v1/Carriers/south/explain").await.is_error(404, 20404, &[]);

    let available = operator(&rig, "/v1/Availability").await.json();
    let north = &available["carriers"][0];
    assert_eq!((&north["name"], &north["inbound"]["binding"]), (&"north".into(), &"ready".into()));
    let parts = ["free", "reserved", "leased", "in_use", "quarantined", "activating", "inactive"];
    let sum: u64 = parts.iter().map(|part| north[part].as_u64().unwrap()).sum();
    assert_eq!(sum, 100, "{north}");
    assert!(available["groups"][0]["free"].is_u64(), "{available}");
    rig.get("/v1/Availability").await.is_error(401, 20003, &[]);

    let overview = operator(&rig, "/v1/overview.json").await.json();
    assert!(overview["tenants"][0]["eta"]["p90"].is_string(), "{overview}");
}

#[tokio::test]
async fn a_number_that_lost_its_plus_says_how_to_send_it() {
    let rig = Rig::new().await;
    let form = format!("To=+4930123456&From={}&Url=https://app.example/", "%2B4930555");
    rig.form_text(&crate::support::calls(), form).await.is_error(400, 21217, &["%2B"]);
}
