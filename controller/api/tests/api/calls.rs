//! Create, fetch, update and explain of calls (`WIRE.md`).

use axum::body::Body;
use busyhour_api::ProposeError;
use busyhour_base::{CallEvent, Instructions, Method, Outcome, Span};
use busyhour_controller_core::effect::Effect;
use serde_json::json;

use crate::support::{A, APPLICATION_A, NUMBER_A, Rig, call, calls, request};

/// Every key of the field's schema (`twilio-oai`, `api.v2010.account.call`).
const KEYS: [&str; 26] = [
    "account_sid",
    "answered_by",
    "api_version",
    "caller_name",
    "date_created",
    "date_updated",
    "direction",
    "duration",
    "end_time",
    "forwarded_from",
    "from",
    "from_formatted",
    "group_sid",
    "parent_call_sid",
    "phone_number_sid",
    "price",
    "price_unit",
    "queue_time",
    "sid",
    "start_time",
    "status",
    "stir_verstat",
    "subresource_uris",
    "to",
    "to_formatted",
    "trunk_sid",
];

#[tokio::test]
async fn a_new_call_has_every_key_in_its_type() {
    let rig = Rig::new().await;
    rig.call("+4930000000").await;
    let form = [
        ("To", "+14155550123"),
        ("From", NUMBER_A),
        ("Twiml", "<Response><Say>Hi</Say></Response>"),
    ];
    let answer = rig.form(&calls(), &form).await;
    assert_eq!(answer.status, 201);
    assert_eq!(answer.headers["content-type"], "application/json");
    let body = answer.json();
    let keys = body.as_object().unwrap();
    for key in KEYS.iter().chain(&["uri"]) {
        assert!(keys.contains_key(*key), "{key}");
    }
    assert_eq!(keys.len(), KEYS.len() + 1);
    let sid = body["sid"].as_str().unwrap();
    assert!(sid.starts_with("CA") && sid.len() == 34);
    assert_eq!(body["account_sid"], A.to_string());
    assert_eq!(body["status"], "queued");
    assert_eq!(body["direction"], "outbound-api");
    assert_eq!(body["api_version"], "2010-04-01");
    assert_eq!(body["to_formatted"], "(415) 555-0123");
    assert_eq!(body["from"], NUMBER_A);
    assert_eq!(body["phone_number_sid"], format!("PN{:032x}", 1));
    assert_eq!(body["date_created"], "Tue, 10 Mar 2026 12:00:00 +0000");
    assert_eq!(body["queue_time"], "1000");
    assert_eq!(body["uri"], call(sid));
    for key in ["duration", "price", "start_time", "end_time", "answered_by", "parent_call_sid"] {
        assert!(body[key].is_null(), "{key}");
    }
    assert_eq!(rig.get(&call(sid)).await.json(), body);
}

#[tokio::test]
async fn a_call_is_shown_through_its_life_and_after() {
    let rig = Rig::new().await;
    let sid = rig.call("+4930123456").await;
    let dial = rig.machine.pass(Span::from_secs(1)).remove(0);
    let status = async || rig.get(&call(&sid)).await.json()["status"].clone();
    assert_eq!(status().await, "queued");
    rig.machine.report(&dial, CallEvent::Sent);
    assert_eq!(status().await, "queued");
    rig.machine.report(&dial, CallEvent::Ringing);
    assert_eq!(status().await, "ringing");
    rig.machine.report(&dial, CallEvent::Answered);
    assert_eq!(status().await, "in-progress");
    rig.machine.end(&dial, Outcome::Completed);
    let ended = rig.get(&call(&sid)).await.json();
    assert_eq!(ended["status"], "completed");
    // Two and a half seconds count as three.
    assert_eq!(ended["duration"], "3");
    assert!(ended["start_time"].is_string() && ended["end_time"].is_string());
    rig.record().await;
    assert!(rig.machine.outbox().is_empty());
    assert_eq!(rig.get(&call(&sid)).await.json(), ended);
}

#[tokio::test]
async fn every_parameter_reaches_the_request() {
    let rig = Rig::new().await;
    let form = [
        ("To", "sip:desk@example.com"),
        ("From", "+49 30 100"),
        ("Url", "https://app.example/{To}?a=1#x"),
        ("Method", "get"),
        ("Twiml", "<Response/>"),
        ("FallbackUrl", "http://fall.example/"),
        ("FallbackMethod", "GET"),
        ("StatusCallback", "http://status.example/"),
        ("StatusCallbackMethod", "POST"),
        ("StatusCallbackEvent", "initiated"),
        ("StatusCallbackEvent", "ringing answered"),
        ("SendDigits", "ww12#"),
        ("Timeout", "30"),
        ("TimeLimit", "90"),
        ("Record", "false"),
        ("CallReason", "x"),
        ("SomethingElse", "y"),
    ];
    assert_eq!(rig.form(&calls(), &form).await.status, 201);
    let spec = rig.machine.pass(Span::ZERO).remove(0).spec;
    assert_eq!((&*spec.to, &*spec.from), ("sip:desk@example.com", NUMBER_A));
    let Instructions::Url(hook) = &spec.instructions else { panic!("Url wins over Twiml") };
    assert_eq!((&*hook.url, hook.method), ("https://app.example/{To}?a=1#x", Method::Get));
    assert_eq!(spec.fallback.as_ref().unwrap().method, Method::Get);
    assert_eq!(spec.status_callback.as_ref().unwrap().url, "http://status.example/");
    let events = spec.status_events;
    assert!(events.initiated && events.ringing && events.answered && !events.completed);
    assert_eq!(spec.send_digits.as_deref(), Some("ww12#"));
    assert_eq!((spec.ring_timeout, spec.time_limit), (Span::from_secs(30), Span::from_secs(90)));
}

#[tokio::test]
async fn an_application_brings_its_documents() {
    let rig = Rig::new().await;
    let sid = APPLICATION_A.to_string();
    let form = [
        ("To", "+4930123456"),
        ("From", NUMBER_A),
        ("ApplicationSid", &*sid),
        ("Url", "http://other.example/"),
    ];
    assert_eq!(rig.form(&calls(), &form).await.status, 201);
    let spec = rig.machine.pass(Span::ZERO).remove(0).spec;
    let Instructions::Url(hook) = &spec.instructions else { panic!() };
    assert_eq!(hook.url, "https://app.example/voice");
    assert_eq!(spec.fallback.as_ref().unwrap().url, "https://app.example/fallback");
    assert_eq!(spec.status_callback.as_ref().unwrap().url, "https://app.example/status");
}

#[tokio::test]
async fn a_repeat_with_the_same_key_is_the_same_request() {
    let rig = Rig::new().await;
    let send = async |key: &str, to: &str| {
        let form = format!("To=%2B{to}&From=%2B4930100&Url=https://app.example/");
        let request = request("POST", &calls()).header("idempotency-key", key);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        rig.send(request.body(Body::from(form)).unwrap()).await
    };
    let first = send("k1", "4930123456").await;
    let again = send("k1", "4930123456").await;
    assert_eq!((first.status.as_u16(), again.status.as_u16()), (201, 201));
    assert_eq!(first.json(), again.json());
    assert_ne!(send("k2", "4930123456").await.json()["sid"], first.json()["sid"]);
    send("k1", "4930123457").await.is_error(409, 20409, &["Idempotency-Key", "another request"]);
    send("a b", "4930123457").await.is_error(400, 20001, &["Idempotency-Key"]);
    send(&"k".repeat(256), "4930123457").await.is_error(400, 20001, &["Idempotency-Key"]);
    // The call that the key became is shown as it is now, also out of the records.
    let dial = rig.machine.pass(Span::ZERO).remove(0);
    rig.machine.end(&dial, Outcome::Busy);
    rig.record().await;
    let later = send("k1", "4930123456").await;
    assert_eq!((later.status.as_u16(), &later.json()["status"]), (201, &json!("busy")));
}

#[tokio::test]
async fn a_scheduled_call_starts_at_its_time_and_expires_after_it() {
    let rig = Rig::new().await;
    let form = [
        ("To", "+4930123456"),
        ("From", NUMBER_A),
        ("Url", "https://app.example/"),
        ("SendAt", "2026-03-10T12:01:00Z"),
        ("ValidityPeriod", "60"),
    ];
    let answer = rig.form(&calls(), &form).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    assert_eq!(answer.json()["queue_time"], "60000");
    assert!(rig.machine.pass(Span::from_secs(59)).is_empty());
    assert_eq!(rig.machine.pass(Span::from_secs(1)).len(), 1);
}

#[tokio::test]
async fn a_waiting_call_is_canceled_and_a_call_in_progress_completed() {
    let rig = Rig::new().await;
    rig.call("+4930123455").await;
    let sid = rig.call("+4930123456").await;
    let canceled = rig.form(&call(&sid), &[("Status", "canceled")]).await;
    assert_eq!((canceled.status.as_u16(), &canceled.json()["status"]), (200, &json!("canceled")));

    let sid = rig.call("+4930123457").await;
    let dial = rig.machine.pass(Span::from_secs(1)).remove(1);
    rig.machine.report(&dial, CallEvent::Answered);
    // Canceling leaves a call that was answered alone, and is no error.
    let answer = rig.form(&call(&sid), &[("Status", "canceled")]).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["status"]), (200, &json!("in-progress")));
    rig.machine.effects();
    let answer =
        rig.form(&call(&sid), &[("Status", "completed"), ("Url", "http://ignored.example/")]).await;
    assert_eq!(answer.status, 200);
    assert!(matches!(rig.machine.effects()[..], [Effect::HangUp { .. }]));
}

#[tokio::test]
async fn a_call_in_progress_is_led_to_another_document() {
    let rig = Rig::new().await;
    let sid = rig.call("+4930123456").await;
    rig.form(&call(&sid), &[("Url", "http://next.example/")]).await.is_error(
        400,
        21220,
        &["queued"],
    );
    let dial = rig.machine.pass(Span::from_secs(1)).remove(0);
    rig.machine.report(&dial, CallEvent::Answered);
    for form in [
        [("Url", "http://next.example/"), ("Method", "GET")],
        [("Twiml", "<Response/>"), ("Method", "")],
    ] {
        rig.machine.effects();
        assert_eq!(rig.form(&call(&sid), &form).await.status, 200);
        assert!(matches!(rig.machine.effects()[..], [Effect::Redirect { .. }]));
    }
    // Nothing asked, nothing changed.
    assert_eq!(rig.form(&call(&sid), &[]).await.status, 200);
    assert!(rig.machine.effects().is_empty());
}

#[tokio::test]
async fn a_call_that_has_ended_cannot_be_changed() {
    let rig = Rig::new().await;
    let sid = rig.call("+4930123456").await;
    let dial = rig.machine.pass(Span::ZERO).remove(0);
    rig.machine.end(&dial, Outcome::Completed);
    for recorded in [false, true] {
        if recorded {
            rig.record().await;
        }
        for form in [("Status", "completed"), ("Status", "canceled"), ("Twiml", "<Response/>")] {
            rig.form(&call(&sid), &[form]).await.is_error(400, 21220, &["completed"]);
        }
    }
}

#[tokio::test]
async fn explain_tells_position_start_and_binding_limit() {
    let rig = Rig::new().await;
    let mut sids = Vec::new();
    for n in 0..5 {
        sids.push(rig.call(&format!("+493012345{n}")).await);
    }
    let path = |sid: &str| format!("/v1/Calls/{sid}/explain");
    let last = rig.get(&path(&sids[4])).await;
    assert_eq!(last.status, 200);
    let body = last.json();
    assert_eq!(body["call_sid"], sids[4]);
    assert_eq!(body["limit"]["reason"], "throttle");
    assert_eq!(body["limit"]["message"], "The tenant's throttle spaces its requests.");
    assert_eq!(body["starts_in_ms"], 4_000);
    assert_eq!(body["start"], "2026-03-10T12:00:04.000Z");
    assert!(body["position"].as_u64().unwrap() >= 3);
    assert!(body["limits"].as_array().unwrap().iter().any(|limit| limit["reason"] == "throttle"));
    // The first one was dialled at once; ended, its end is told.
    let dial = rig.machine.pass(Span::ZERO).remove(0);
    assert!(rig.get(&path(&sids[0])).await.json()["position"].is_null());
    rig.machine.end(&dial, Outcome::Busy);
    for recorded in [false, true] {
        if recorded {
            rig.record().await;
        }
        let body = rig.get(&path(&sids[0])).await.json();
        assert_eq!(body["status"], "busy");
        assert_eq!(body["ending"]["reason"], "busy");
        assert_eq!(body["sip_code"], 486);
        assert_eq!(body["limit"]["reason"], "ready");
    }
}

#[tokio::test]
async fn a_log_that_takes_nothing_is_told_as_what_it_is() {
    let rig = Rig::new().await;
    let form = [("To", "+4930123456"), ("From", NUMBER_A), ("Url", "https://app.example/")];
    rig.machine.fail(vec![ProposeError::InDoubt, ProposeError::Stopped, ProposeError::Overloaded]);
    let overloaded = rig.form(&calls(), &form).await;
    overloaded.is_error(503, 20503, &["nothing was done"]);
    assert_eq!(overloaded.headers["retry-after"], "1");
    rig.form(&calls(), &form).await.is_error(503, 20503, &["nothing was done"]);
    rig.form(&calls(), &form).await.is_error(500, 20500, &["unknown", "Idempotency-Key"]);
    assert_eq!(rig.form(&calls(), &form).await.status, 201);
}

#[tokio::test]
async fn mt_5_waiting_calls_are_canceled_in_bulk_by_what_they_have_in_common() {
    let rig = Rig::new().await;
    let up = rig.call("+4930123455").await;
    let url = ("Url", "https://app.example/");
    let form = |more: &[(&'static str, &'static str)]| {
        [&[("To", "+4930123456"), ("From", NUMBER_A), url], more].concat()
    };
    let application: &'static str = APPLICATION_A.to_string().leak();
    for more in [
        &[("Urgency", "synchronous")][..],
        &[("ApplicationSid", application)],
        &[("SendAt", "2026-03-10T12:30:00Z")],
        &[("SendAt", "2026-03-10T13:00:00Z")],
        &[],
        &[],
    ] {
        assert_eq!(rig.form(&calls(), &form(more)).await.status, 201);
    }
    let last = rig.call("+4930123457").await;
    let path = "/v1/Calls/cancel";
    // A filter that is not known or not right must not cancel everything.
    for (filter, code, word) in [
        (("Number", NUMBER_A), 20_001, "ScheduledBefore"),
        (("Status", "in-progress"), 20_001, "queued"),
        (("From", "x"), 21_212, "From"),
        (("To", "x"), 21_211, "To"),
        (("ApplicationSid", "AP0"), 21_218, "ApplicationSid"),
        (("Urgency", "inbound"), 20_001, "synchronous"),
        (("ScheduledFrom", "noon"), 20_001, "ScheduledFrom"),
    ] {
        rig.form(path, &[filter]).await.is_error(400, code, &[word]);
    }
    rig.machine.effects();
    rig.machine.dials();
    let canceled = async |filters: &[(&str, &str)]| {
        let answer = rig.form(path, filters).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
        answer.json()["canceled"].as_u64().unwrap()
    };
    assert_eq!(canceled(&[("To", "+4930999999"), ("Status", "queued")]).await, 0);
    // A number that the account has no more may still have calls waiting, so that any number may be said.
    assert_eq!(canceled(&[("From", "+15550009999")]).await, 0);
    assert_eq!(canceled(&[("Urgency", "synchronous"), ("From", NUMBER_A)]).await, 1);
    assert_eq!(canceled(&[("ApplicationSid", application)]).await, 1);
    let within =
        [("ScheduledFrom", "2026-03-10T12:30:00Z"), ("ScheduledBefore", "2026-03-10T13:00:00Z")];
    assert_eq!(canceled(&within).await, 1);
    assert_eq!(canceled(&[("To", "+49 30 123456")]).await, 3);
    assert_eq!(rig.get(&call(&last)).await.json()["status"], "queued");
    assert_eq!(canceled(&[]).await, 1);
    assert_eq!(rig.get(&call(&last)).await.json()["status"], "canceled");
    assert_eq!(rig.get(&call(&up)).await.json()["status"], "queued", "it is with its agent");
    let told = rig.machine.effects();
    let told =
        told.iter().filter(|fx| matches!(fx, Effect::Notify { outcome: Outcome::Canceled, .. }));
    let outcomes = rig.machine.outbox().len();
    assert_eq!((told.count(), outcomes), (7, 7), "one callback and one outcome each");
    let later = rig.machine.pass(Span::from_secs(7_200));
    assert!(later.is_empty(), "none of them starts any more");
}

#[tokio::test]
async fn mt_6_a_call_that_someone_waits_on_goes_before_ordinary_ones() {
    let rig = Rig::new().await;
    for to in ["+4930123450", "+4930123451", "+4930123452"] {
        rig.call(to).await;
    }
    rig.machine.dials();
    let form = |urgency| {
        let url = ("Url", "https://app.example/");
        [("To", "+4930123459"), ("From", NUMBER_A), url, ("Urgency", urgency)]
    };
    rig.form(&calls(), &form("inbound")).await.is_error(400, 20_001, &["Urgency", "synchronous"]);
    let answer = rig.form(&calls(), &form("synchronous")).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["queue_time"]), (201, &json!("1000")));
    let next = rig.machine.pass(Span::from_secs(1));
    assert_eq!(next.iter().map(|dial| &*dial.spec.to).collect::<Vec<_>>(), ["+4930123459"]);
}
