//! Parameters, forms, JSON and bytes at the API.

use std::time::Duration;

use reqwest::{Body, Method};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::{FROM, HANGUP, TO, unharmed, victim};
use crate::support::{
    Running,
    tenant::{Answer, Tenant, answer},
};

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";

/// One parameter in place of, or beside, those of a valid call; its refusal has this code and names it.
const PARAMETERS: [(&str, &str, u32); 27] = [
    ("To", "+15551000001\r\nX-Evil: 1", 21211),
    ("To", "+1555\r\n1000001", 21211),
    ("To", "sip:a@b\r\nRoute: <sip:evil>", 21211),
    ("To", "sip:a@b>;tag=1", 21211),
    ("To", "sip:a\0b@c", 21211),
    ("To", "alice", 21211),
    ("To", "+\u{661}\u{662}\u{663}\u{664}\u{665}\u{666}\u{667}", 21211),
    ("To", "5551000001", 21217),
    ("To", "+4915551000001", 21215),
    ("To", "", 21201),
    ("From", "+15550100001\r\nX-Evil: 1", 21212),
    ("From", "\"Bank\" <sip:+15550100001@b>", 21212),
    ("From", "+15550100099", 21210),
    ("From", "+15550100002", 21210),
    ("From", "", 21213),
    ("CallerId", "+15550100001\r\nP-Asserted-Identity: <sip:evil>", 21212),
    ("CallerId", "+15550100002", 21210),
    ("Url", "ftp://127.0.0.1/", 21205),
    ("Url", "http://127.0.0.1/\r\nX-Evil: 1", 21205),
    ("Url", "//127.0.0.1", 21205),
    ("FallbackUrl", "javascript:alert(1)", 21205),
    ("Method", "DELETE", 21209),
    ("Timeout", "0", 21208),
    ("Timeout", "1e3", 21208),
    ("SendDigits", "1234\r\n", 21206),
    ("ApplicationSid", "AP00000000000000000000000000000002", 21218),
    ("StatusCallbackEvent", "everything", 20001),
];

async fn accepted(running: &Running) -> u64 {
    let counts = running.counts().await;
    counts.unwrap_or_else(|error| panic!("{error:#}")).accepted
}

fn shows(message: &str, name: &str) {
    assert!(message.contains(name), "{name} is not named: {message}");
    assert!(!message.contains(['\r', '\n', '\0']), "not escaped: {message:?}");
}

async fn post(tenant: &Tenant, path: &str, kind: &str, body: impl Into<Body>) -> Answer {
    let request = tenant.request(Method::POST, path).header("Content-Type", kind);
    answer(request.body(body)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_are_refused_by_name_and_have_no_effect() {
    let (running, tenant) = victim("bad-api").await;
    let before = accepted(&running).await;
    bad_parameters(&tenant).await;
    bad_forms(&tenant).await;
    bad_json(&tenant).await;
    assert_eq!(accepted(&running).await, before, "something of it was accepted");
    bad_bytes(&running).await;
    unharmed(running, &tenant).await;
}

async fn bad_parameters(tenant: &Tenant) {
    for (name, value, code) in PARAMETERS {
        let mut parameters = vec![("To", TO), ("From", FROM), ("Twiml", HANGUP)];
        parameters.retain(|(kept, _)| *kept != name);
        parameters.push((name, value));
        shows(&tenant.create(&parameters).await.refuses(400, code), name);
    }
    let long = "x".repeat(4_001);
    let parameters = [("To", TO), ("From", FROM), ("Twiml", &*long)];
    let message = tenant.create(&parameters).await.refuses(400, 20001);
    shows(&message, "Twiml");
    assert!(message.len() < 300, "the value is not cut: {message}");
    let parameters = [("To", TO), ("To", "+15551000002"), ("From", FROM), ("Twiml", HANGUP)];
    shows(&tenant.create(&parameters).await.refuses(400, 20001), "To");
    let parameters = [("To", TO), ("From", FROM)];
    shows(&tenant.create(&parameters).await.refuses(400, 21205), "Url");
    for (name, value) in [("PageSize", "x"), ("StartTime", "yesterday"), ("Page", "-1")] {
        let answer = tenant.get(&format!("{}?{name}={value}", tenant.path("Calls.json"))).await;
        shows(&answer.refuses(400, 20001), name);
    }
}

async fn bad_forms(tenant: &Tenant) {
    let path = tenant.path("Calls.json");
    for body in ["To=%", "To=%4", "To=%zz", "To=%ff%fe"] {
        shows(&post(tenant, &path, FORM, body).await.refuses(400, 20001), "\"To\"");
    }
    shows(&post(tenant, &path, FORM, b"To=\xff".to_vec()).await.refuses(400, 20001), "\"To\"");
    let many = "a=1&".repeat(201);
    post(tenant, &path, FORM, many).await.refuses(400, 20001);
    for kind in [JSON, "text/plain", "multipart/form-data; boundary=x"] {
        post(tenant, &path, kind, "{}").await.refuses(415, 20415);
    }
    let large = "x".repeat(65 * 1_024);
    post(tenant, &path, FORM, large.clone()).await.refuses(413, 20413);
    // Of a length that is not told beforehand.
    let pieces =
        large.as_bytes().chunks(8_192).map(|piece| Ok::<_, std::io::Error>(piece.to_vec()));
    let pieces: Vec<_> = pieces.collect();
    let stream = Body::wrap_stream(futures::stream::iter(pieces));
    post(tenant, &path, FORM, stream).await.refuses(413, 20413);
}

async fn bad_json(tenant: &Tenant) {
    let deep = format!("{{\"defaults\": {{\"To\": {}1{}}}}}", "[".repeat(9_000), "]".repeat(9_000));
    for (body, code, names) in [
        ("{", 20001, "line 1"),
        ("[]", 20001, "object"),
        ("\"x\"", 20001, "object"),
        ("{\"name\": 5}", 20001, "string"),
        ("{\"nmae\": \"x\"}", 20001, "nmae"),
        ("{\"name\": \"a\\r\\nb\"}", 20001, "name"),
        ("{\"defaults\": {\"Too\": \"x\"}}", 20001, "Too"),
        ("{\"defaults\": {\"To\": {\"a\": 1}}}", 20001, "defaults.To"),
        ("{\"defaults\": {\"To\": \"+1555\\r\\n1000001\"}}", 21211, "To"),
        ("{\"pacing\": {\"cps\": -1}}", 20001, "cps"),
        ("{\"pacing\": {\"cps\": 1e999}}", 20001, "line 1"),
        ("{\"schedule\": {\"not_before\": \"soon\"}}", 20001, "not_before"),
        ("{\"name\": \"\\ud800\"}", 20001, "line 1"),
        (&deep, 20001, "line 1"),
    ] {
        shows(&post(tenant, "/v1/Batches", JSON, body.to_owned()).await.refuses(400, code), names);
    }
    let bytes = b"{\"name\": \"\xff\"}".to_vec();
    post(tenant, "/v1/Batches", JSON, bytes).await.refuses(400, 20001);
    post(tenant, "/v1/Batches", FORM, "name=x").await.refuses(415, 20415);
    let large = format!("{{\"name\": \"{}\"}}", "x".repeat(65 * 1_024));
    post(tenant, "/v1/Batches", JSON, large).await.refuses(413, 20413);
    let batches = tenant.get("/v1/Batches").await.json();
    assert_eq!(batches["batches"].as_array().map(Vec::len), Some(0), "{batches}");
}

/// What is no HTTP at all, at both ports of the controller: an error or the end of the connection, soon.
async fn bad_bytes(running: &Running) {
    let huge = format!("GET /healthz HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(1 << 20));
    let requests: [&[u8]; 5] = [
        b"INVITE sip:a@b SIP/2.0\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        &[0xff; 10_000],
        huge.as_bytes(),
    ];
    for part in ["controller.api", "controller.grpc"] {
        for request in requests {
            let mut stream =
                TcpStream::connect(running.stage.address(part).unwrap()).await.unwrap();
            // It may hang up before it has read all.
            let _ = stream.write_all(request).await;
            let mut said = Vec::new();
            let read = timeout(Duration::from_secs(60), stream.read_to_end(&mut said)).await;
            let shown = String::from_utf8_lossy(&request[..request.len().min(40)]);
            assert!(read.is_ok(), "{part} keeps the connection after {shown:?}");
            let said = String::from_utf8_lossy(&said);
            assert!(!said.starts_with("HTTP/1.1 2"), "{part} took {shown:?}: {said}");
        }
    }
    let health = running.api.base().to_owned() + "/healthz";
    assert_eq!(reqwest::get(health).await.unwrap().status(), 200);
    let overview: Value = running.api.overview().await.unwrap_or_else(|error| panic!("{error:#}"));
    assert_eq!(overview["agents"][0]["connected"], true, "{overview}");
}
