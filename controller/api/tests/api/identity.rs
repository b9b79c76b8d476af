//! Who may do what (`RELIABILITY.md`, invariant 8, and "REST").

use axum::body::Body;
use busyhour_api::EdgeLimits;
use busyhour_base::Span;
use http::Request;

use crate::support::{A, B, C, KEY_A, NUMBER_A, Rig, basic, call, calls};

#[tokio::test]
async fn an_account_is_opened_by_its_token_or_a_key_of_it() {
    let rig = Rig::new().await;
    let path = format!("/2010-04-01/Accounts/{A}.json");
    for (user, password) in [(A.to_string(), "token-a"), (KEY_A.to_string(), "secret-a")] {
        let request = Request::get(&path).header("authorization", basic(&user, password));
        let answer = rig.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        let body = answer.json();
        assert_eq!(body["sid"], A.to_string());
        assert_eq!(body["friendly_name"], "alpha");
        assert_eq!(body["status"], "active");
        assert_eq!(body["date_created"], "Tue, 10 Mar 2026 12:00:00 +0000");
        assert!(body["auth_token"].is_null());
        assert!(!answer.text.contains("token-a"));
    }
    let list = rig.get("/2010-04-01/Accounts.json").await.json();
    assert_eq!(list["accounts"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn wrong_credentials_get_one_answer_whatever_is_wrong() {
    let rig = Rig::new().await;
    let unknown = "AC00000000000000000000000000000000";
    let wrong = [
        None,
        Some(String::new()),
        Some("Basic".to_owned()),
        Some("Basic !!!".to_owned()),
        Some("Bearer token-a".to_owned()),
        Some(basic(&A.to_string(), "token-b")),
        Some(basic(&A.to_string(), "token-a ")),
        Some(basic(&A.to_string(), "")),
        Some(basic(&A.to_string(), "secret-a")),
        Some(basic(&KEY_A.to_string(), "token-a")),
        Some(basic(unknown, "token-a")),
        Some(basic("alpha", "token-a")),
        Some(basic(&A.to_string(), &"x".repeat(2_000))),
    ];
    let mut texts = std::collections::HashSet::new();
    for credentials in wrong {
        let mut request = Request::get(calls());
        if let Some(credentials) = &credentials {
            request = request.header("authorization", credentials);
        }
        let answer = rig.send(request.body(Body::empty()).unwrap()).await;
        answer.is_error(401, 20003, &["Authentication failed"]);
        assert_eq!(answer.headers["www-authenticate"], "Basic realm=\"Busyhour\"");
        texts.insert(answer.text);
    }
    assert_eq!(texts.len(), 1);
}

#[tokio::test]
async fn what_belongs_to_another_tenant_is_as_unknown_as_what_does_not_exist() {
    let rig = Rig::new().await;
    let sid = rig.call("+4930123456").await;
    let as_b = |method: &str, path: &str| {
        let request = Request::builder().method(method).uri(path);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        request
            .header("authorization", basic(&B.to_string(), "token-b"))
            .body(Body::empty())
            .unwrap()
    };
    let mut texts = std::collections::HashSet::new();
    let unknown = "CA00000000000000000000000000000000";
    for (method, path) in [
        // A's resources under A's path, under B's own path, and what is nobody's.
        ("GET", call(&sid)),
        ("GET", calls()),
        ("POST", calls()),
        ("GET", format!("/2010-04-01/Accounts/{A}.json")),
        ("GET", format!("/2010-04-01/Accounts/{B}/Calls/{sid}.json")),
        ("POST", format!("/2010-04-01/Accounts/{B}/Calls/{sid}.json")),
        ("GET", format!("/v1/Calls/{sid}/explain")),
        ("GET", format!("/2010-04-01/Accounts/{B}/Calls/{unknown}.json")),
        ("POST", format!("/2010-04-01/Accounts/{B}/Calls/{unknown}.json")),
        ("GET", format!("/v1/Calls/{unknown}/explain")),
        ("GET", format!("/2010-04-01/Accounts/{B}/Calls/nonsense.json")),
        ("GET", format!("/2010-04-01/Accounts/{B}/Calls/{sid}.xml")),
        ("GET", format!("/2010-04-01/Accounts/{B}/Calls/%ff.json")),
    ] {
        let answer = rig.send(as_b(method, &path)).await;
        answer.is_error(404, 20404, &[]);
        texts.insert(answer.text);
    }
    assert_eq!(texts.len(), 1, "{texts:?}");
    // The same once the call is in the records.
    let dial = rig.machine.pass(Span::from_secs(1)).remove(0);
    rig.machine.end(&dial, busyhour_base::Outcome::Busy);
    rig.record().await;
    assert_eq!(rig.get(&call(&sid)).await.status, 200);
    let path = format!("/2010-04-01/Accounts/{B}/Calls/{sid}.json");
    assert!(texts.contains(&rig.send(as_b("GET", &path)).await.text));
}

#[tokio::test]
async fn a_batch_of_another_tenant_is_unknown() {
    let rig = Rig::new().await;
    let batch = rig.post("/v1/Batches", &serde_json::json!({})).await.json();
    let url = batch["url"].as_str().unwrap();
    for (method, path) in [
        ("GET", ""),
        ("GET", "/results"),
        ("POST", "/start"),
        ("POST", "/cancel"),
        ("PUT", "/lines"),
    ] {
        let request = Request::builder().method(method).uri(format!("{url}{path}"));
        let request = request.header("content-type", "text/csv");
        let request = request.header("authorization", basic(&B.to_string(), "token-b"));
        rig.send(request.body(Body::empty()).unwrap()).await.is_error(404, 20404, &[]);
    }
    assert_eq!(rig.get(url).await.json()["status"], "draft");
}

#[tokio::test]
async fn a_suspended_account_reads_and_submits_nothing() {
    let rig = Rig::new().await;
    let path = format!("/2010-04-01/Accounts/{C}/Calls.json");
    let as_c = |method: &str| {
        let request = Request::builder().method(method).uri(&path);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        request.header("authorization", basic(&C.to_string(), "token-c"))
    };
    let form = format!("To=%2B4930123456&From={NUMBER_A}&Url=http://a.example/");
    rig.send(as_c("POST").body(Body::from(form)).unwrap()).await.is_error(
        403,
        20005,
        &["suspended"],
    );
    assert_eq!(rig.send(as_c("GET").body(Body::empty()).unwrap()).await.status, 200);
}

#[tokio::test]
async fn requests_beyond_the_rate_of_requests_get_429_and_no_effect() {
    let limits = EdgeLimits { requests_per_s: 1, burst: 2, ..EdgeLimits::default() };
    let rig = Rig::with(limits).await;
    rig.call("+4930123456").await;
    rig.call("+4930123457").await;
    let form = [("To", "+4930123458"), ("From", NUMBER_A), ("Url", "https://app.example/")];
    let answer = rig.form(&calls(), &form).await;
    answer.is_error(429, 20429, &["requests"]);
    assert_eq!(answer.headers["retry-after"], "1");
    assert_eq!(rig.machine.submits(), [1, 1]);
    // Another account has its own bound.
    let request = Request::get(format!("/2010-04-01/Accounts/{B}.json"));
    let request = request.header("authorization", basic(&B.to_string(), "token-b"));
    assert_eq!(rig.send(request.body(Body::empty()).unwrap()).await.status, 200);
}

#[tokio::test]
async fn being_over_the_rate_of_calls_is_no_error() {
    let rig = Rig::new().await;
    let waits: Vec<u64> = {
        let mut waits = Vec::new();
        for n in 0..20 {
            let form = [
                ("To", &*format!("+49301234{n:02}")),
                ("From", NUMBER_A),
                ("Url", "https://app.example/"),
            ];
            let answer = rig.form(&calls(), &form).await;
            assert_eq!(answer.status, 201);
            assert_eq!(answer.json()["status"], "queued");
            waits.push(answer.json()["queue_time"].as_str().unwrap().parse().unwrap());
        }
        waits
    };
    // One call a second: the twentieth waits 19 s.
    assert_eq!(waits[19], 19_000, "{waits:?}");
}

#[tokio::test]
async fn a_token_that_was_changed_counts_at_once() {
    let rig = Rig::new().await;
    let mut changed = crate::support::declared();
    changed.accounts.get_mut(&A).unwrap().token = busyhour_api::Secret::new("fresh");
    rig.directory.send_replace(std::sync::Arc::new(changed));
    rig.get(&calls()).await.is_error(401, 20003, &[]);
    let request = Request::get(calls()).header("authorization", basic(&A.to_string(), "fresh"));
    assert_eq!(rig.send(request.body(Body::empty()).unwrap()).await.status, 200);
}
