//! What operators and probes see: health, metrics, the document, the catalogue, the overview.

use axum::body::Body;
use busyhour_api::Readiness;
use busyhour_base::Span;
use http::Request;

use crate::support::{A, Rig, request};

fn plain(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).unwrap()
}

#[tokio::test]
async fn readiness_names_what_is_wrong() {
    let rig = Rig::new().await;
    assert_eq!(rig.send(plain("/healthz")).await.status, 200);
    assert_eq!(rig.send(plain("/readyz")).await.status, 200);
    rig.readiness.send_replace(Readiness::Impaired(vec!["records: the disk is full".to_owned()]));
    let answer = rig.send(plain("/readyz")).await;
    let said = "ready, but:\nrecords: the disk is full\n";
    assert_eq!((answer.status.as_u16(), &*answer.text), (200, said));
    assert_eq!(rig.send(plain("/healthz")).await.status, 200);
}

#[tokio::test]
async fn metrics_have_bounded_labels() {
    let rig = Rig::new().await;
    rig.call("+4930123456").await;
    rig.send(plain("/made/up/by/a/client")).await;
    rig.send(Request::builder().method("BREW").uri("/healthz").body(Body::empty()).unwrap()).await;
    rig.form(&crate::support::calls(), &[]).await;
    let text = rig.send(plain("/metrics")).await.text;
    let has = |line: &str| assert!(text.contains(line), "no {line} in {text}");
    has("# HELP busyhour_api_requests_total Requests by method");
    has(
        r#"busyhour_api_requests_total{method="POST",route="/2010-04-01/Accounts/{AccountSid}/Calls.json",status="201"}"#,
    );
    has(r#"route="unknown",status="404""#);
    has(r#"method="other""#);
    has("busyhour_api_calls_accepted_total");
    has(r#"busyhour_api_refused_total{code="21201"}"#);
    for secret in [A.to_string().as_str(), "token-a", "made", "BREW", "4930123456"] {
        assert!(!text.contains(secret), "{secret}");
    }
}

/// With more tenants than are asked for, the busiest are shown, and what all have together.
#[tokio::test]
async fn an_overview_is_bounded_and_shows_the_busiest() {
    let rig = Rig::new().await;
    for n in 0..3 {
        rig.call(&format!("+493012345{n}")).await;
    }
    rig.machine.pass(Span::from_secs(1));
    let operator = |path: &str| {
        let request = Request::get(path).header("authorization", "Bearer operator-token");
        rig.send(request.body(Body::empty()).unwrap())
    };
    let all = operator("/v1/overview.json").await.json();
    assert_eq!((&all["tenants_more"], all["tenants"].as_array().unwrap().len()), (&0.into(), 3));
    let one = operator("/v1/overview.json?Tenants=1").await.json();
    assert_eq!((&one["tenants_more"], &one["tenants"][0]["name"]), (&2.into(), &"alpha".into()));
    for overview in [&all, &one] {
        let total = ["queued", "in_progress"].map(|field| overview[field].as_u64().unwrap());
        let alpha = ["queued", "in_progress"]
            .map(|field| overview["tenants"][0]["counts"][field].as_u64().unwrap());
        assert_eq!(total, alpha);
        assert_eq!(total.iter().sum::<u64>(), 3);
    }
    let refused = operator("/v1/overview.json?Tenants=10001").await;
    refused.is_error(400, 20001, &["Tenants", "10001", "0 to 10000"]);
}

#[tokio::test]
async fn the_document_lists_what_is_served() {
    let rig = Rig::new().await;
    let document = rig.send(plain("/openapi.json")).await.json();
    assert!(document["openapi"].as_str().unwrap().starts_with("3."));
    let paths = document["paths"].as_object().unwrap();
    let mut operations = 0;
    for (path, methods) in paths {
        // Whatever stands for a variable part, an operation of the document is served: it is never an unknown path or
        // method.
        let concrete = path
            .replace("{AccountSid}", &A.to_string())
            .replace("{Sid}", "x")
            .replace("{Name}", "x")
            .replace("{Code}", "22005");
        for method in methods.as_object().unwrap().keys() {
            let request = request(&method.to_uppercase(), &concrete).body(Body::empty()).unwrap();
            let answer = rig.send(request).await;
            assert_ne!(answer.status, 405, "{method} {path}");
            assert!(!answer.text.contains("no such path"), "{method} {path}");
            operations += 1;
        }
    }
    assert_eq!(operations, 47);
    for scheme in ["account", "operator"] {
        assert!(document["components"]["securitySchemes"][scheme].is_object());
    }
    let form = &document["components"]["schemas"]["CreateCall"]["properties"];
    for name in ["To", "From", "Url", "StatusCallbackEvent", "SendDigits"] {
        assert!(form[name].is_object(), "{name}");
    }
}

#[tokio::test]
async fn every_error_has_an_entry_in_the_catalogue() {
    let rig = Rig::new().await;
    let entry = rig.send(plain("/v1/errors/22005")).await.json();
    assert_eq!((&entry["code"], &entry["status"]), (&22_005.into(), &400.into()));
    assert!(entry["help"].as_str().unwrap().contains("longest wait"));
    for unknown in ["/v1/errors/1", "/v1/errors/x", "/v1/errors/-20404"] {
        rig.send(plain(unknown)).await.is_error(404, 20404, &[]);
    }
}

#[tokio::test]
async fn the_overview_is_the_operators_alone() {
    let rig = Rig::new().await;
    rig.call("+4930123456").await;
    rig.call("+4930123457").await;
    let dials = rig.machine.pass(Span::ZERO);
    assert_eq!(dials.len(), 1);
    for authorization in [None, Some("Bearer wrong"), Some("Bearer "), Some("Basic operator-token")]
    {
        let mut request = Request::get("/v1/overview.json");
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        rig.send(request.body(Body::empty()).unwrap()).await.is_error(401, 20003, &["Bearer"]);
    }
    rig.get("/v1/overview.json").await.is_error(401, 20003, &[]);
    let request =
        Request::get("/v1/overview.json").header("authorization", "bearer operator-token");
    let body = rig.send(request.body(Body::empty()).unwrap()).await.json();
    let alpha = &body["tenants"][0];
    assert_eq!((&alpha["name"], &alpha["spacing_us"]), (&"alpha".into(), &1_000_000.into()));
    assert_eq!(
        (&alpha["counts"]["queued"], &alpha["counts"]["in_progress"]),
        (&1.into(), &1.into())
    );
    assert_eq!(alpha["eta"]["limiting_factor"], "throttle");
    let north = &body["carriers"][0];
    assert_eq!(
        (&north["channels"], &north["leased"], &north["free"]),
        (&100.into(), &1.into(), &99.into())
    );
    assert_eq!(
        (&body["agents"][0]["name"], &body["agents"][0]["in_use"]),
        (&"agent".into(), &1.into())
    );
}
