//! Documents of a tenant's application that are none: the fallback is asked at once with the error's code, and
//! without a fallback the call says sorry and ends with its reason (SP-7, `WIRE.md`).

use std::{collections::BTreeMap, sync::Arc};

use axum::{
    Router,
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{any, post},
};
use tokio::{net::TcpListener, sync::Mutex};

use super::{FROM, TO, unharmed, victim};

/// What the fallback was told, by case: `ErrorCode` and `ErrorUrl`.
type Told = Arc<Mutex<BTreeMap<String, Vec<(String, String)>>>>;

/// What is wrong with each document, and the code of the field for it.
const CASES: [(&str, &str); 13] = [
    ("dtd", "12100"),
    ("entities", "12100"),
    ("deep", "12100"),
    ("attributes", "12100"),
    ("verbs", "12100"),
    ("not-xml", "12100"),
    ("not-utf-8", "12100"),
    ("other-root", "12100"),
    ("empty", "12100"),
    ("large", "11200"),
    ("error", "11200"),
    ("inside", "11200"),
    ("html", "12300"),
];

fn xml(body: impl Into<Vec<u8>>) -> Response {
    ([(header::CONTENT_TYPE, "text/xml")], body.into()).into_response()
}

async fn bad(Path(case): Path<String>) -> Response {
    match case.as_str() {
        "dtd" => xml("<!DOCTYPE Response><Response/>"),
        "entities" => xml("<!DOCTYPE r [<!ENTITY a \"aaaa\">]><Response><Say>&a;</Say></Response>"),
        "deep" => {
            let (open, close) = ("<Gather>".repeat(40), "</Gather>".repeat(40));
            xml(format!("<Response>{open}{close}</Response>"))
        }
        "attributes" => {
            let all: String = (0..100).map(|n| format!(" a{n}=\"\"")).collect();
            xml(format!("<Response><Say{all}>x</Say></Response>"))
        }
        "verbs" => xml(format!("<Response>{}</Response>", "<Pause/>".repeat(1_001))),
        "not-xml" => xml("this is no document"),
        "not-utf-8" => xml(b"<Response><Say>\xff\xfe</Say></Response>".to_vec()),
        "other-root" => xml("<Answer/>"),
        "empty" => xml(""),
        "large" => xml(format!("<Response><Say>{}</Say></Response>", "x".repeat(70_000))),
        "error" => (StatusCode::INTERNAL_SERVER_ERROR, "<Response/>").into_response(),
        // The metadata service of a cloud: not in a network that the operator allows.
        "inside" => {
            let to = [(header::LOCATION, "http://169.254.169.254/latest/meta-data/")];
            (StatusCode::FOUND, to).into_response()
        }
        "html" => ([(header::CONTENT_TYPE, "text/html")], "<Response/>").into_response(),
        other => panic!("no case {other}"),
    }
}

async fn fallback(State(told): State<Told>, Path(case): Path<String>, body: String) -> Response {
    let form = url::form_urlencoded::parse(body.as_bytes());
    let wanted = form.filter(|(name, _)| name.starts_with("Error"));
    let wanted = wanted.map(|(name, value)| (name.into_owned(), value.into_owned()));
    told.lock().await.entry(case).or_default().extend(wanted);
    xml(super::HANGUP)
}

/// An application that is bad throughout, but for its fallback.
async fn application() -> (String, Told) {
    let told = Told::default();
    let routes = Router::new()
        .route("/bad/{case}", any(bad))
        .route("/fallback/{case}", post(fallback))
        .with_state(told.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, routes).await });
    (base, told)
}

#[tokio::test(flavor = "multi_thread")]
async fn documents_that_are_none_lead_to_the_fallback_or_to_an_apology() {
    let (running, tenant) = victim("bad-documents").await;
    let (base, told) = application().await;
    let mut calls = Vec::new();
    for (case, _) in CASES {
        let (url, fallback) = (format!("{base}/bad/{case}"), format!("{base}/fallback/{case}"));
        let parameters = [("To", TO), ("From", FROM), ("Url", &*url), ("FallbackUrl", &*fallback)];
        calls.push(tenant.accepted(&parameters).await);
    }
    let url = format!("{base}/bad/dtd");
    let without = [
        tenant.accepted(&[("To", TO), ("From", FROM), ("Url", &url)]).await,
        tenant.accepted(&[("To", TO), ("From", FROM), ("Twiml", "<Response><Say>")]).await,
    ];
    for ((case, code), call) in CASES.iter().zip(&calls) {
        let ended = tenant.ended(call).await;
        assert_eq!((&*ended.status, &*ended.reason), ("completed", "completed"), "{case}");
        let expected = [
            ("ErrorCode".to_owned(), (*code).to_owned()),
            ("ErrorUrl".to_owned(), format!("{base}/bad/{case}")),
        ];
        assert_eq!(told.lock().await.get(*case).map(Vec::as_slice), Some(&expected[..]), "{case}");
    }
    for call in &without {
        let ended = tenant.ended(call).await;
        assert_eq!((&*ended.status, &*ended.reason), ("completed", "document_failed"));
    }
    unharmed(running, &tenant).await;
}
