//! Who asks, and for what: bad credentials, another tenant's ids, paths and methods that are not there.

use reqwest::Method;

use super::{FROM, HANGUP, TO, unharmed, victim};
use crate::support::tenant::{Answer, answer};

/// Ids that nothing has.
const NO_CALL: &str = "CA0123456789abcdef0123456789abcdef";
const NO_BATCH: &str = "BT0123456789abcdef0123456789abcdef";

#[tokio::test(flavor = "multi_thread")]
async fn strangers_learn_nothing_and_neighbours_are_strangers() {
    let (running, tenant) = victim("bad-tenants").await;
    let south = running.tenant("south");
    // One that is up, and one that is in the records only.
    let twiml = "<Response><Pause length=\"60\"/></Response>";
    let call = tenant.accepted(&[("To", TO), ("From", FROM), ("Twiml", twiml)]).await;
    let over = tenant.accepted(&[("To", TO), ("From", FROM), ("Twiml", HANGUP)]).await;
    tenant.ended(&over).await;
    let request = tenant.request(Method::POST, "/v1/Batches");
    let batch = answer(request.json(&serde_json::json!({"name": "ours"}))).await;
    assert_eq!(batch.status, 201, "{batch:?}");
    let batch = batch.json()["sid"].as_str().unwrap().to_owned();

    // Credentials.
    let path = tenant.path(&format!("Calls/{call}.json"));
    let bare = |path: &str| tenant.http.get(format!("{}{path}", tenant.base));
    let (ours, theirs) = (&tenant.account, &south.account);
    let refusals = [
        answer(bare(&path)).await,
        answer(bare(&path).basic_auth(&ours.sid, Some("wrong"))).await,
        answer(bare(&path).basic_auth(&ours.sid, Some(""))).await,
        answer(bare(&path).basic_auth(&ours.sid, Some(&theirs.token))).await,
        answer(bare(&path).basic_auth(NO_CALL, Some(&ours.token))).await,
        answer(bare(&path).basic_auth(&ours.sid, Some("x".repeat(5_000)))).await,
        answer(bare(&path).bearer_auth(&ours.token)).await,
        answer(bare(&path).header("Authorization", "Basic !!!")).await,
        answer(bare(&path).header("Authorization", "Basic")).await,
    ];
    for refusal in &refusals {
        refusal.refuses(401, 20003);
        assert_eq!(refusal.text, refusals[0].text, "the answer tells what was wrong");
    }
    let response = bare(&path).send().await.unwrap();
    assert_eq!(response.headers()["www-authenticate"], "Basic realm=\"Busyhour\"");
    tenant.get("/v1/overview.json").await.refuses(401, 20003);
    answer(bare("/v1/overview.json").bearer_auth("wrong")).await.refuses(401, 20003);

    // A neighbour's ids and ids of nobody get the same answer, byte for byte.
    let mut pairs: Vec<(Answer, Answer)> = Vec::new();
    let call_path = |sid: &str| south.path(&format!("Calls/{sid}.json"));
    let canceled = [("Status", "canceled")];
    let cancel = |sid: &str| south.request(Method::POST, &call_path(sid)).form(&canceled);
    let explain = |sid: &str| format!("/v1/Calls/{sid}/explain");
    for ours in [&call, &over] {
        let of_tenant = tenant.path(&format!("Calls/{ours}.json"));
        let of_nobody = tenant.path(&format!("Calls/{NO_CALL}.json"));
        pairs.push((south.get(&call_path(ours)).await, south.get(&call_path(NO_CALL)).await));
        pairs.push((answer(cancel(ours)).await, answer(cancel(NO_CALL)).await));
        pairs.push((south.get(&explain(ours)).await, south.get(&explain(NO_CALL)).await));
        pairs.push((south.get(&of_tenant).await, south.get(&of_nobody).await));
    }
    for (method, rest) in [
        (Method::GET, ""),
        (Method::GET, "/results"),
        (Method::POST, "/start"),
        (Method::POST, "/pause"),
        (Method::POST, "/resume"),
        (Method::POST, "/cancel"),
        (Method::POST, "/lines"),
    ] {
        let of = |sid: &str| {
            let request = south.request(method.clone(), &format!("/v1/Batches/{sid}{rest}"));
            request.header("Content-Type", "application/x-ndjson")
        };
        pairs.push((answer(of(&batch)).await, answer(of(NO_BATCH)).await));
    }
    let account = |sid: &str| format!("/2010-04-01/Accounts/{sid}.json");
    let nobody = "AC99999999999999999999999999999999";
    pairs.push((south.get(&account(&ours.sid)).await, south.get(&account(nobody)).await));
    for (neighbours, nobodys) in pairs {
        neighbours.refuses(404, 20404);
        assert_eq!(neighbours.text, nobodys.text);
        assert_eq!(neighbours.status, nobodys.status);
    }
    let listed = south.get(&south.path("Calls.json")).await;
    assert!(listed.status == 200 && !listed.text.contains(&ours.sid), "{listed:?}");
    assert_eq!(listed.json()["calls"].as_array().map(Vec::len), Some(0), "{listed:?}");
    let listed = south.get("/v1/Batches").await;
    assert!(listed.status == 200 && !listed.text.contains(&batch), "{listed:?}");
    let now = tenant.get(&format!("/v1/Batches/{batch}")).await;
    assert_eq!(now.json()["status"], "draft", "a neighbour has changed it: {now:?}");

    // Paths and methods.
    for path in [
        "/",
        "/v2/Batches",
        "/2010-04-01/Accounts",
        "/2010-04-01/Accounts/x/Calls.json",
        "/v1/Batches/..%2f..%2fetc%2fpasswd",
        "/v1/Batches/%ff",
        "/v1/Calls/%00/explain",
        "//",
    ] {
        tenant.get(path).await.refuses(404, 20404);
    }
    for (method, path, allowed) in [
        (Method::DELETE, "/v1/Batches", "GET"),
        (Method::PUT, "/v1/overview.json", "GET"),
        (Method::PATCH, path.as_str(), "POST"),
    ] {
        let response = tenant.request(method, path).send().await.unwrap();
        let allow = response.headers()["allow"].to_str().unwrap().to_owned();
        assert!(allow.contains(allowed), "{allow}");
        let status = response.status().as_u16();
        Answer { status, text: response.text().await.unwrap() }.refuses(405, 20004);
    }
    unharmed(running, &tenant).await;
}
