//! Bad input: each refused with its code, the name of the parameter, and without effect (`RELIABILITY.md`, "REST").

use axum::body::Body;
use busyhour_api::EdgeLimits;
use http::Request;

use crate::support::{NUMBER_A, NUMBER_B, Rig, call, calls, request};

const TO: (&str, &str) = ("To", "+4930123456");
const FROM: (&str, &str) = ("From", NUMBER_A);
const URL: (&str, &str) = ("Url", "https://app.example/");

/// A form, the code that it gets, and what the message says.
type Case<'a> = (&'a [(&'a str, &'a str)], u32, &'a str);

#[tokio::test]
async fn every_wrong_parameter_has_its_code_and_is_named() {
    let rig = Rig::new().await;
    let long_url = format!("https://app.example/{}", "a".repeat(2_040));
    let long_twiml = "é".repeat(4_001);
    let table: &[Case] = &[
        (&[FROM, URL], 21201, "To"),
        (&[("To", ""), FROM, URL], 21201, "To"),
        (&[("To", "alice"), FROM, URL], 21211, "alice"),
        (&[("To", "client:alice"), FROM, URL], 21211, "client:alice"),
        (&[("To", "sip:a@b;transport=tcp"), FROM, URL], 21211, "To"),
        (&[("To", "sip:x\r\nVia: y@b"), FROM, URL], 21211, r"x\r\nVia"),
        (&[("To", "4930123456"), FROM, URL], 21217, "4930123456"),
        (&[("To", " 4930123456"), FROM, URL], 21217, "+14155550123"),
        (&[("To", "+49"), FROM, URL], 21217, "+49"),
        (&[("To", "+881612345678"), FROM, URL], 21215, "+881612345678"),
        (&[("To", "sip:other@example.com"), FROM, URL], 21215, "sip:other@example.com"),
        (&[TO, ("To", "+4930123457"), FROM, URL], 20001, "To is given twice"),
        (&[TO, URL], 21213, "From"),
        (&[TO, ("From", "bob"), URL], 21212, "bob"),
        (&[TO, ("From", "+493099"), URL], 21212, "+493099"),
        (&[TO, ("From", "+49309999"), URL], 21210, "+49309999"),
        (&[TO, ("From", NUMBER_B), URL], 21210, NUMBER_B),
        (&[TO, FROM, URL, ("CallerId", NUMBER_B)], 21210, "CallerId"),
        (&[TO, FROM], 21205, "Url"),
        (&[TO, FROM, ("Url", "app.example")], 21205, "app.example"),
        (&[TO, FROM, ("Url", "ftp://app.example/")], 21205, "http or https"),
        (&[TO, FROM, ("Url", "http://")], 21205, "Url"),
        (&[TO, FROM, ("Url", "http://a.example/\r\nX: y")], 21205, "Url"),
        (&[TO, FROM, ("Url", &long_url)], 21205, "2048"),
        (&[TO, FROM, URL, ("FallbackUrl", "/x")], 21205, "FallbackUrl"),
        (&[TO, FROM, URL, ("StatusCallback", "x")], 21205, "StatusCallback"),
        (&[TO, FROM, URL, ("Method", "PUT")], 21209, "Method = \"PUT\""),
        (&[TO, FROM, URL, ("FallbackMethod", "x")], 21209, "FallbackMethod"),
        (&[TO, FROM, URL, ("StatusCallbackMethod", "x")], 21209, "StatusCallbackMethod"),
        (
            &[TO, FROM, URL, ("StatusCallbackEvent", "finished")],
            20001,
            "initiated, ringing, answered",
        ),
        (&[TO, FROM, ("Twiml", &long_twiml)], 20001, "4000"),
        (&[TO, FROM, ("ApplicationSid", "AP1")], 21218, "AP1"),
        (
            &[TO, FROM, ("ApplicationSid", "AP00000000000000000000000000000099")],
            21218,
            "ApplicationSid",
        ),
        (&[TO, FROM, URL, ("SendDigits", "12x")], 21206, "12x"),
        (&[TO, FROM, URL, ("SendDigits", "123456789012345678901234567890123")], 21206, "32"),
        (&[TO, FROM, URL, ("Timeout", "0")], 21208, "1 to 600"),
        (&[TO, FROM, URL, ("Timeout", "601")], 21208, "1 to 600"),
        (&[TO, FROM, URL, ("Timeout", "ten")], 21208, "ten"),
        (&[TO, FROM, URL, ("TimeLimit", "-1")], 20001, "TimeLimit"),
        (&[TO, FROM, URL, ("TimeLimit", "99999999999999999999999")], 20001, "TimeLimit"),
        (&[TO, FROM, URL, ("SendAt", "tomorrow")], 20001, "SendAt"),
        (&[TO, FROM, URL, ("SendAt", "2027-01-01T00:00:00Z")], 20001, "35 days"),
        (&[TO, FROM, URL, ("ValidityPeriod", "36001")], 20001, "36000"),
        (&[TO, FROM, URL, ("Record", "true")], 20001, "Record"),
        (&[TO, FROM, URL, ("MachineDetection", "Enable")], 20001, "MachineDetection"),
        (&[TO, FROM, URL, ("AsyncAmd", "true")], 20001, "AsyncAmd"),
        (&[TO, FROM, URL, ("SipAuthPassword", "hunter2")], 20001, "SipAuthPassword"),
        (&[TO, FROM, URL, ("Byoc", "BY1")], 20001, "Byoc"),
    ];
    for (form, code, word) in table {
        let answer = rig.form(&calls(), form).await;
        answer.is_error(400, *code, &[word]);
        assert!(!answer.text.contains("hunter2"));
    }
    assert!(rig.machine.submits().is_empty());
}

#[tokio::test]
async fn bodies_that_are_no_form_are_refused() {
    let rig = Rig::new().await;
    rig.form_text(&calls(), "To=%zz").await.is_error(400, 20001, &["\"To\""]);
    rig.form_text(&calls(), "To=%ff%fe").await.is_error(400, 20001, &["\"To\"", "UTF-8"]);
    rig.form_text(&calls(), vec![0xff, 0xfe, b'=', 0]).await.is_error(400, 20001, &["name"]);
    rig.form_text(&calls(), "a=1&".repeat(300)).await.is_error(400, 20001, &["200"]);
    rig.form_text(&calls(), vec![b'a'; 65_537]).await.is_error(413, 20413, &["65536"]);
    for kind in ["application/json", "multipart/form-data; boundary=x", "text/plain", "\u{1f4a9}"] {
        let request = request("POST", &calls()).header("content-type", kind.as_bytes());
        rig.send(request.body(Body::from("{}")).unwrap()).await.is_error(
            415,
            20415,
            &["x-www-form-urlencoded"],
        );
    }
    let request = request("POST", &calls()).body(Body::from("To=1")).unwrap();
    rig.send(request).await.is_error(415, 20415, &[]);
    assert!(rig.machine.submits().is_empty());
}

#[tokio::test]
async fn a_body_is_bounded_also_when_its_length_is_not_announced() {
    let limits = EdgeLimits { body_bytes: 1_000, ..EdgeLimits::default() };
    let rig = Rig::with(limits).await;
    let pieces = futures::stream::iter((0..100).map(|_| Ok::<_, std::io::Error>("a".repeat(100))));
    rig.form_text(&calls(), Body::from_stream(pieces)).await.is_error(413, 20413, &["1000"]);
    let cut = futures::stream::iter([Ok("To=1"), Err(std::io::Error::other("reset"))]);
    rig.form_text(&calls(), Body::from_stream(cut)).await.is_error(400, 20001, &["ended early"]);
}

#[tokio::test]
async fn updates_are_checked_like_creations() {
    let rig = Rig::new().await;
    let sid = rig.call("+4930123456").await;
    for (form, code, word) in [
        (("Status", "ringing"), 20001, "canceled or completed"),
        (("Url", "nowhere"), 21205, "nowhere"),
        (("Method", "PUT"), 21209, "PUT"),
        (("TimeLimit", "10"), 20001, "TimeLimit"),
        (("StatusCallback", "http://a.example/"), 20001, "StatusCallback"),
    ] {
        rig.form(&call(&sid), &[form]).await.is_error(400, code, &[word]);
    }
    assert_eq!(rig.get(&call(&sid)).await.json()["status"], "queued");
}

#[tokio::test]
async fn unknown_paths_and_methods_keep_the_shape() {
    let rig = Rig::new().await;
    for path in [
        "/",
        "/2010-04-01",
        "/2010-04-01/Accounts",
        "/v2/Calls",
        "/2010-04-01/Accounts/x/Transcriptions.json",
        "/%00",
        "//",
    ] {
        let request = Request::get(path).body(Body::empty()).unwrap();
        rig.send(request).await.is_error(404, 20404, &["no such path"]);
    }
    for (method, path) in [
        ("DELETE", calls()),
        ("PUT", calls()),
        ("PATCH", "/v1/Batches".to_owned()),
        ("BREW", "/healthz".to_owned()),
    ] {
        let answer = rig.send(request(method, &path).body(Body::empty()).unwrap()).await;
        answer.is_error(405, 20004, &[method]);
        assert!(answer.headers.contains_key("allow"));
    }
}
