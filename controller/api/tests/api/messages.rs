//! Messages through the API: create, fetch, list, update, delete, cancel (MT-8, `WIRE.md`).

use axum::body::Body;
use busyhour_base::{MessageEvent, Reason, Span};
use busyhour_controller_core::{
    command::Command,
    effect::Effect,
    message::{MessageCommand, MessageEffect, MessageReport, Reported, Send},
    spec::Cap,
};
use http::Request;
use serde_json::{Value, json};

use crate::support::{A, Answer, B, NUMBER_A, Rig, basic, declaration, request};

/// Every key of the field's schema (`twilio-oai`, `api.v2010.account.message`).
const KEYS: [&str; 20] = [
    "account_sid",
    "api_version",
    "body",
    "date_created",
    "date_sent",
    "date_updated",
    "direction",
    "error_code",
    "error_message",
    "from",
    "messaging_service_sid",
    "num_media",
    "num_segments",
    "price",
    "price_unit",
    "sid",
    "status",
    "subresource_uris",
    "to",
    "uri",
];

const TO: &str = "+14155550123";

fn messages() -> String {
    format!("/2010-04-01/Accounts/{A}/Messages.json")
}

fn message(sid: &str) -> String {
    format!("/2010-04-01/Accounts/{A}/Messages/{sid}.json")
}

async fn create(rig: &Rig, more: &[(&str, &str)]) -> Answer {
    let form = [&[("To", TO), ("From", NUMBER_A), ("Body", "hello")], more].concat();
    rig.form(&messages(), &form).await
}

/// A created message's sid.
async fn created(rig: &Rig, body: &str) -> String {
    let form = [("To", TO), ("From", NUMBER_A), ("Body", body)];
    let answer = rig.form(&messages(), &form).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    answer.json()["sid"].as_str().unwrap().to_owned()
}

async fn delete(rig: &Rig, sid: &str) -> Answer {
    rig.send(request("DELETE", &message(sid)).body(Body::empty()).unwrap()).await
}

async fn status(rig: &Rig, sid: &str) -> Value {
    rig.get(&message(sid)).await.json()["status"].clone()
}

/// What was handed to the carrier since it was last asked.
fn sends(rig: &Rig) -> Vec<Send> {
    let effects = rig.machine.effects().into_iter();
    let sent = |effect| match effect {
        Effect::Message(MessageEffect::Send(send)) => Some(*send),
        _ => None,
    };
    effects.filter_map(sent).collect()
}

fn report(rig: &Rig, send: &Send, event: MessageEvent) {
    let of = Reported::Attempt { message: send.message, attempt: send.attempt };
    rig.machine.apply(Command::Message(MessageCommand::Reports(vec![MessageReport { of, event }])));
}

#[tokio::test]
async fn mt_8_a_new_message_has_every_key_in_its_type_and_is_shown_through_its_life() {
    let rig = Rig::new().await;
    let answer = create(&rig, &[]).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let body = answer.json();
    let keys: Vec<&String> = body.as_object().unwrap().keys().collect();
    assert_eq!(keys.len(), KEYS.len());
    assert!(KEYS.iter().all(|key| keys.iter().any(|found| found == key)), "{keys:?}");
    let sid = body["sid"].as_str().unwrap();
    assert!(sid.starts_with("SM") && sid.len() == 34);
    let told = [
        ("status", "queued"),
        ("direction", "outbound-api"),
        ("num_segments", "1"),
        ("num_media", "0"),
        ("body", "hello"),
        ("to", TO),
        ("from", NUMBER_A),
    ];
    for (key, value) in told {
        assert_eq!(body[key], value, "{key}");
    }
    let send = sends(&rig).remove(0);
    assert_eq!(status(&rig, sid).await, "sending");
    report(&rig, &send, MessageEvent::Accepted("r".into()));
    assert_eq!(status(&rig, sid).await, "sent");
    let of = Reported::Reference { carrier: "text".into(), reference: "r".into() };
    let event = MessageEvent::Undelivered(Reason::UnreachableHandset);
    rig.machine.apply(Command::Message(MessageCommand::Reports(vec![MessageReport { of, event }])));
    let ended = rig.get(&message(sid)).await.json();
    assert_eq!((&ended["status"], &ended["error_code"]), (&"undelivered".into(), &30_003.into()));
    rig.machine.record_messages(&rig.records).await;
    assert_eq!(rig.get(&message(sid)).await.json(), ended, "the records tell the same");
}

#[tokio::test]
async fn what_is_wrong_is_refused_with_the_fields_code_and_nothing_is_queued() {
    let rig = Rig::new().await;
    let long = "x".repeat(1_601);
    let cases: &[(&[(&str, &str)], u32)] = &[
        (&[("From", NUMBER_A), ("Body", "x")], 21_604),
        (&[("To", "nobody"), ("From", NUMBER_A), ("Body", "x")], 21_211),
        (&[("To", "+881612345678"), ("From", NUMBER_A), ("Body", "x")], 21_408),
        (&[("To", TO), ("Body", "x")], 21_603),
        (&[("To", TO), ("From", "me"), ("Body", "x")], 21_212),
        (&[("To", TO), ("From", "+14155559999"), ("Body", "x")], 21_606),
        (&[("To", NUMBER_A), ("From", NUMBER_A), ("Body", "x")], 21_266),
        (&[("To", TO), ("From", NUMBER_A)], 21_602),
        (&[("To", TO), ("From", NUMBER_A), ("Body", &long)], 21_617),
    ];
    for (form, code) in cases {
        rig.form(&messages(), form).await.is_error(400, *code, &[]);
    }
    let service = format!("MG{:032}", 0);
    let application = format!("AP{:032}", 0);
    let others = [
        ("MessagingServiceSid", &*service, 20_001),
        ("ApplicationSid", &*application, 20_001),
        ("MediaUrl", "https://example.com/a.png", 20_001),
        ("ValidityPeriod", "36001", 20_001),
        ("StatusCallback", "ftp://example.com", 21_205),
        ("SendAt", "2026-03-10T13:00:00Z", 35_118),
        ("ScheduleType", "fixed", 35_114),
        ("ScheduleType", "daily", 35_118),
    ];
    for (name, value, code) in others {
        create(&rig, &[(name, value)]).await.is_error(400, code, &[name]);
    }
    // What may be said instead, in the words that calls have too.
    create(&rig, &[("ShortenUrls", "true")]).await.is_error(400, 20_001, &["or send false"]);
    for past_or_far in ["2026-03-10T11:00:00Z", "2027-03-10T11:00:00Z", "soon"] {
        let schedule = [("ScheduleType", "fixed"), ("SendAt", past_or_far)];
        create(&rig, &schedule).await.is_error(400, 35_114, &["SendAt"]);
    }
    assert!(sends(&rig).is_empty());
    assert_eq!(rig.get(&messages()).await.json()["messages"].as_array().unwrap().len(), 0);
}

#[tokio::test]
async fn no_error_shows_the_text_of_a_message() {
    let rig = Rig::new().await;
    let secret = "the meeting is at noon ".repeat(100);
    let form = [("To", TO), ("From", NUMBER_A), ("Body", &*secret)];
    let answer = rig.form(&messages(), &form).await;
    answer.is_error(400, 21_617, &["2300"]);
    assert!(!answer.text.contains("noon"));
}

#[tokio::test]
async fn a_queue_that_outlasts_the_validity_period_refuses_with_21611() {
    let rig = Rig::new().await;
    for _ in 0..20 {
        created(&rig, "hello").await;
    }
    create(&rig, &[("ValidityPeriod", "5")]).await.is_error(400, 21_611, &["validity period"]);
    assert_eq!(create(&rig, &[("ValidityPeriod", "60")]).await.status, 201);
}

/// MT-8: a message that no window of a cap ever holds is refused with what is allowed, and one that waits when the cap shrinks
/// ends and holds nobody.
#[tokio::test]
async fn mt_8_a_text_with_more_segments_than_a_cap_holds_is_refused_with_21617() {
    let rig = Rig::new().await;
    let text = "x".repeat(400);
    created(&rig, "hello").await;
    // Three segments wait for the number's throttle.
    let long = created(&rig, &text).await;
    let mut declaration = declaration();
    declaration.messages.numbers[0].caps = vec![Cap { count: 2, window: Span::from_secs(3_600) }];
    rig.machine.apply(Command::Declare(Box::new(declaration)));
    let form = [("To", TO), ("From", NUMBER_A), ("Body", &*text)];
    let answer = rig.form(&messages(), &form).await;
    answer.is_error(400, 21_617, &["Body", "3 segments", NUMBER_A, "at most 2 segments"]);
    let ended = rig.get(&message(&long)).await.json();
    assert_eq!((&ended["status"], &ended["error_code"]), (&"failed".into(), &30_008.into()));
}

#[tokio::test]
async fn a_scheduled_message_waits_and_can_be_canceled_once() {
    let rig = Rig::new().await;
    let schedule = [("ScheduleType", "fixed"), ("SendAt", "2026-03-10T13:00:00Z")];
    let body = create(&rig, &schedule).await.json();
    assert_eq!((&body["status"], &body["date_sent"]), (&"scheduled".into(), &Value::Null));
    let sid = body["sid"].as_str().unwrap();
    let canceled = rig.form(&message(sid), &[("Status", "canceled")]).await;
    assert_eq!((canceled.status.as_u16(), &canceled.json()["status"]), (200, &"canceled".into()));
    let again = rig.form(&message(sid), &[("Status", "canceled")]).await;
    again.is_error(409, 30_409, &["canceled"]);
    rig.machine.pass(Span::from_secs(7_200));
    assert!(sends(&rig).is_empty());
    rig.form(&message(sid), &[("Status", "sent")]).await.is_error(400, 20_001, &["Status"]);
}

#[tokio::test]
async fn waiting_messages_are_canceled_in_bulk_by_number_and_never_by_an_unknown_filter() {
    let rig = Rig::new().await;
    let first = created(&rig, "hello").await;
    for _ in 0..3 {
        created(&rig, "hello").await;
    }
    let path = "/v1/Messages/cancel";
    for (filter, code, word) in [
        (("Number", TO), 20_001, "From, To"),
        (("From", "x"), 21_212, "SIP"),
        (("To", "x"), 21_211, "SIP"),
        (("To", " 4930123456"), 21_217, "%2B"),
    ] {
        rig.form(path, &[filter]).await.is_error(400, code, &[word]);
    }
    assert_eq!(rig.form(path, &[("From", "+15550009999")]).await.json()["canceled"], 0);
    assert_eq!(rig.form(path, &[("To", "+4930123456")]).await.json()["canceled"], 0);
    assert_eq!(rig.form(path, &[("From", NUMBER_A)]).await.json()["canceled"], 3);
    assert_eq!(status(&rig, &first).await, "sending", "it is with its carrier");
}

#[tokio::test]
async fn who_has_said_stop_is_listed_and_is_sent_nothing_until_they_say_start() {
    let rig = Rig::new().await;
    let says = async |from: &str, body: &str| {
        let reference = format!("{from}-{body}");
        let text = json!({"reference": reference, "from": from, "to": NUMBER_A, "body": body});
        let asked = Request::post("/v1/Carriers/text/Messages")
            .header("authorization", "Bearer operator-token")
            .header("content-type", "application/json");
        let brought = rig.send(asked.body(Body::from(text.to_string())).unwrap()).await;
        assert_eq!(brought.status, 201, "{}", brought.text);
    };
    says(TO, "Stop").await;
    create(&rig, &[]).await.is_error(400, 21_610, &["STOP"]);
    let list = async |query: &str| {
        let page = rig.get(&format!("/v1/OptOuts{query}")).await;
        assert_eq!(page.status, 200, "{}", page.text);
        page.json()
    };
    let one = json!({"from": NUMBER_A, "to": TO, "since": "2026-03-10T12:00:00.000Z"});
    assert_eq!(list("").await, json!({"opt_outs": [one], "next_page_url": null}));
    says("+14155550177", "unsubscribe").await;
    let first = list("?PageSize=1").await;
    let path = first["next_page_url"].as_str().unwrap();
    let second = rig.get(path).await.json();
    assert_eq!(second["next_page_url"], Value::Null);
    let of = |page: &Value| page["opt_outs"][0]["to"].as_str().unwrap().to_owned();
    let mut both = [of(&first), of(&second)];
    both.sort_unstable();
    let mut expected = [TO, "+14155550177"];
    expected.sort_unstable();
    assert_eq!(both, expected);
    let only = list("?To=%2B14155550177").await;
    assert_eq!(
        (only["opt_outs"].as_array().unwrap().len(), of(&only).as_str()),
        (1, "+14155550177")
    );
    for (query, word) in [("?Number=1", "From, To"), ("?PageToken=x", "next_page_url")] {
        rig.get(&format!("/v1/OptOuts{query}")).await.is_error(400, 20_001, &[word]);
    }
    says(TO, "START").await;
    assert_eq!(create(&rig, &[]).await.status, 201);
    assert_eq!(list("").await["opt_outs"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_file_of_opt_outs_is_taken_whole_or_with_the_numbers_of_its_wrong_lines_not_at_all() {
    let rig = Rig::new().await;
    let import = async |query: &str, kind: &str, text: &str| {
        let asked = request("POST", &format!("/v1/OptOuts{query}")).header("content-type", kind);
        rig.send(asked.body(Body::from(text.to_owned())).unwrap()).await
    };
    let (csv, ndjson) = ("text/csv", "application/x-ndjson");
    let from = format!("?From=%2B{}", &NUMBER_A[1..]);
    let listed = async || rig.get("/v1/OptOuts").await.json()["opt_outs"].clone();

    let wrong = format!(
        "To,From,Since\n{TO},{NUMBER_A},\n\nsip:a@b,{NUMBER_A},\n{TO},+14155559999,\n{TO},{NUMBER_A},2999-01-01T00:00:00Z\n"
    );
    let words = ["Nothing was changed", "line 4", "line 5", "line 6", "sip:a@b"];
    import("", csv, &wrong).await.is_error(400, 20_001, &words);
    import("?FirstLine=1001", csv, &wrong).await.is_error(400, 20_001, &["line 1004"]);
    import("", csv, "To,Name\n").await.is_error(400, 20_001, &["Name", "To, From or Since"]);
    import("", ndjson, "{\"To\": 1}\n").await.is_error(400, 20_001, &["line 1"]);
    import(&from, csv, &format!("To\n{}", "9".repeat(2_000))).await.is_error(
        400,
        20_001,
        &["line 2", "1024"],
    );
    import("", csv, &format!("To\n{TO}\n")).await.is_error(400, 20_001, &["From is missing"]);
    import("", "text/plain", "").await.is_error(415, 20_415, &["text/csv"]);
    let many = format!("To\n{}", format!("{TO}\n").repeat(50_001));
    import(&from, csv, &many).await.is_error(413, 20_413, &["50000"]);
    let checked = import(&format!("{from}&Check=true"), csv, &format!("To\n{TO}\n")).await;
    assert_eq!(checked.json(), json!({"lines": 1, "added": null, "known": null}));
    assert_eq!(listed().await, json!([]), "nothing was applied");

    let since = "2025-01-01T12:00:00+02:00";
    let good = format!("\"To\",\"Since\"\r\n\"{TO}\",{since}\r\n(415) 555-0177,\r\n");
    import(&from, csv, &good).await.is_error(400, 20_001, &["line 3"]);
    let good = good.replace("(415)", "+1 (415)");
    assert_eq!(import(&from, csv, &good).await.json(), json!({"lines": 2, "added": 2, "known": 0}));
    let again = format!("{{\"To\": \"{TO}\", \"From\": \"{NUMBER_A}\"}}\n");
    assert_eq!(
        import("", ndjson, &again).await.json(),
        json!({"lines": 1, "added": 0, "known": 1})
    );
    let all = listed().await;
    let of = |to: &str| all.as_array().unwrap().iter().find(|one| one["to"] == to).unwrap().clone();
    assert_eq!(of(TO)["since"], "2025-01-01T10:00:00.000Z");
    assert_eq!(of("+14155550177")["since"], "2026-03-10T12:00:00.000Z");
    create(&rig, &[]).await.is_error(400, 21_610, &["STOP"]);

    let remove = async |pairs: &[(&str, &str)]| rig.form("/v1/OptOuts/remove", pairs).await;
    let whom = [("From", NUMBER_A), ("To", TO)];
    remove(&whom).await.is_error(400, 20_001, &["Reason is required"]);
    let long = "x".repeat(201);
    remove(&[whom[0], whom[1], ("Reason", &long)]).await.is_error(400, 20_001, &["200"]);
    let reason = ("Reason", "signed our form of 9 March");
    let removed = remove(&[whom[0], whom[1], reason]).await;
    assert_eq!((removed.status.as_u16(), removed.text.as_str()), (204, ""));
    remove(&[whom[0], whom[1], reason]).await.is_error(404, 20_404, &[TO]);
    assert_eq!(create(&rig, &[]).await.status, 201);
    let row = json!({
        "from": NUMBER_A,
        "to": TO,
        "since": "2025-01-01T10:00:00.000Z",
        "removed_at": "2026-03-10T12:00:00.000Z",
        "reason": reason.1,
    });
    let page = rig.get("/v1/OptOuts/removed").await.json();
    assert_eq!(page, json!({"removed": [row], "next_page_url": null}));
    assert_eq!(remove(&[whom[0], ("To", "+14155550177"), reason]).await.status, 204);
    let first = rig.get("/v1/OptOuts/removed?PageSize=1").await.json();
    assert_eq!(first["removed"][0]["to"], "+14155550177");
    let second = rig.get(first["next_page_url"].as_str().unwrap()).await.json();
    assert_eq!((&second["removed"][0]["to"], &second["next_page_url"]), (&json!(TO), &Value::Null));
}

/// `accounts.v1.bulk_consents.create` of the field's SDKs.
#[tokio::test]
async fn consents_in_bulk_have_a_verdict_each() {
    let rig = Rig::new().await;
    let item = |to: &str, status: &str| {
        json!({
            "contact_id": to, "correlation_id": format!("{to} {status}"), "sender_id": NUMBER_A,
            "status": status, "source": "website", "date_of_consent": "2026-03-01T00:00:00Z",
        })
        .to_string()
    };
    let bulk = async |items: &[String]| {
        let pairs: Vec<_> = items.iter().map(|item| ("Items", item.as_str())).collect();
        rig.form("/v1/Consents/Bulk", &pairs).await
    };
    let first = bulk(&[item(TO, "opt-out"), item("nobody", "opt-out"), item(TO, "opt-in")]).await;
    assert_eq!(first.status, 201, "{}", first.text);
    let codes = |answer: &Value| -> Vec<u64> {
        let items = answer["items"].as_array().unwrap().iter();
        items.map(|item| item["error_code"].as_u64().unwrap()).collect()
    };
    assert_eq!(codes(&first.json()), [0, 21_211, 20_001], "the third names whom the first does");
    assert_eq!(first.json()["items"][1]["correlation_id"], "nobody opt-out");
    create(&rig, &[]).await.is_error(400, 21_610, &["STOP"]);
    assert_eq!(codes(&bulk(&[item(TO, "opt-in")]).await.json()), [0]);
    assert_eq!(create(&rig, &[]).await.status, 201);
    let removed = rig.get("/v1/OptOuts/removed").await.json();
    assert_eq!(removed["removed"][0]["reason"], "website, consent of 2026-03-01T00:00:00+00:00");
    bulk(&[]).await.is_error(400, 20_001, &["1 to 25"]);
    bulk(&vec![item(TO, "opt-in"); 26]).await.is_error(400, 20_001, &["1 to 25"]);
    bulk(&["{}".to_owned()]).await.is_error(400, 20_001, &["contact_id"]);
}

#[tokio::test]
async fn a_text_is_taken_out_and_a_message_deleted_once_it_has_ended() {
    let rig = Rig::new().await;
    let sid = created(&rig, "secret").await;
    rig.form(&message(&sid), &[("Body", "")]).await.is_error(409, 20_009, &["sending"]);
    delete(&rig, &sid).await.is_error(409, 20_009, &[]);
    let send = sends(&rig).remove(0);
    report(&rig, &send, MessageEvent::Refused(Reason::MessageRejected));
    rig.form(&message(&sid), &[("Body", "other")]).await.is_error(400, 20_001, &["Body"]);
    // It is not yet in the records; the request waits until it is.
    let redact = async { rig.form(&message(&sid), &[("Body", "")]).await };
    let record = async {
        let through = rig.machine.record_messages(&rig.records).await;
        rig.messages_recorded.send_replace(through);
    };
    let (redacted, ()) = tokio::join!(redact, record);
    assert_eq!(redacted.status, 200, "{}", redacted.text);
    assert_eq!(
        (&redacted.json()["body"], &redacted.json()["num_segments"]),
        (&"".into(), &"1".into())
    );
    assert_eq!(delete(&rig, &sid).await.status, 204);
    rig.get(&message(&sid)).await.is_error(404, 20_404, &[]);
    delete(&rig, &sid).await.is_error(404, 20_404, &[]);
}

#[tokio::test]
async fn lists_join_the_state_and_the_records_page_by_page() {
    let rig = Rig::new().await;
    let mut sids = Vec::new();
    for at in 0..7 {
        sids.push(created(&rig, &format!("number {at}")).await);
        rig.machine.pass(Span::from_secs(1));
    }
    for send in &sends(&rig)[..4] {
        report(&rig, send, MessageEvent::Refused(Reason::MessageRejected));
    }
    rig.machine.record_messages(&rig.records).await;
    let (mut seen, mut path) = (Vec::new(), format!("{}?PageSize=3&To=%2B14155550123", messages()));
    loop {
        let page = rig.get(&path).await.json();
        let listed = page["messages"].as_array().unwrap().clone();
        seen.extend(listed.iter().map(|one| one["sid"].as_str().unwrap().to_owned()));
        match page["next_page_uri"].as_str() {
            Some(next) => path = next.to_owned(),
            None => break,
        }
    }
    sids.reverse();
    assert_eq!(seen, sids);
    let none = [
        "To=%2B4930123456",
        "From=%2B4930123456",
        "DateSent%3E=2027-01-01",
        "DateSent%3C=2026-01-01",
    ];
    for query in none {
        let page = rig.get(&format!("{}?{query}", messages())).await.json();
        assert_eq!(page["messages"].as_array().unwrap().len(), 0, "{query}");
    }
    // The Python SDK writes a day as its midnight.
    for day in ["2026-03-10", "2026-03-10T00:00:00Z"] {
        let on_the_day = rig.get(&format!("{}?DateSent={day}", messages())).await.json();
        assert_eq!(on_the_day["messages"].as_array().unwrap().len(), 7);
    }
}

#[tokio::test]
async fn another_tenants_message_is_one_that_does_not_exist() {
    let rig = Rig::new().await;
    let sid = created(&rig, "hello").await;
    let theirs = format!("/2010-04-01/Accounts/{B}/Messages/{sid}.json");
    for method in ["GET", "POST", "DELETE"] {
        let asked = http::Request::builder()
            .method(method)
            .uri(&theirs)
            .header("authorization", crate::support::basic(&B.to_string(), "token-b"))
            .header("content-type", "application/x-www-form-urlencoded");
        let answer = rig.send(asked.body(Body::from("Status=canceled")).unwrap()).await;
        answer.is_error(404, 20_404, &[]);
    }
}

#[tokio::test]
async fn a_repeat_with_the_same_idempotency_key_is_the_same_message() {
    let rig = Rig::new().await;
    let send = async |body: &str| {
        let text = format!("To=%2B14155550123&From={}&Body={body}", NUMBER_A.replace('+', "%2B"));
        let asked = request("POST", &messages())
            .header("idempotency-key", "k1")
            .header("content-type", "application/x-www-form-urlencoded");
        rig.send(asked.body(Body::from(text)).unwrap()).await
    };
    let first = send("hello").await.json()["sid"].clone();
    assert_eq!(send("hello").await.json()["sid"], first);
    send("other").await.is_error(409, 20_409, &["Idempotency-Key"]);
    assert_eq!(sends(&rig).len(), 1);
}

#[tokio::test]
async fn a_message_is_explained_while_it_waits_and_once_it_has_ended() {
    let rig = Rig::new().await;
    let first = created(&rig, "hello").await;
    for _ in 0..3 {
        created(&rig, "hello").await;
    }
    let last = created(&rig, "hello").await;
    let explain = async |sid: &str| rig.get(&format!("/v1/Messages/{sid}/explain")).await.json();
    let why = explain(&last).await;
    assert_eq!((&why["status"], &why["position"]), (&"queued".into(), &3.into()));
    assert_eq!(why["starts_in_ms"], 4_000, "one segment a second: {why}");
    assert_eq!((&why["starts_in_ms_p90"], &why["method"]), (&4_000.into(), &"forward".into()));
    assert_eq!(
        (&why["limit"]["reason"], &why["ending"]),
        (&"number_throttle".into(), &Value::Null)
    );
    assert_eq!(why["held_by"][0]["share"], 1.0, "{why}");
    let change = &why["changes"][0];
    assert_eq!((&change["limit"], &change["of"]), (&"number_throttle".into(), &NUMBER_A.into()));
    assert!((1_000..=2_000).contains(&change["sooner_ms"].as_u64().unwrap()), "{change}");
    let path = format!("/v1/Messages/{last}/explain");
    let operator = Request::get(&path).header("authorization", "Bearer operator-token");
    let seen = rig.send(operator.body(Body::empty()).unwrap()).await.json();
    assert_eq!(seen["limit"]["reason"], "number_throttle", "the operator sees it, too: {seen}");
    let other = Request::get(&path).header("authorization", basic(&B.to_string(), "token-b"));
    rig.send(other.body(Body::empty()).unwrap()).await.is_error(404, 20_404, &[]);

    let tenant = rig.get("/v1/Tenants/alpha/explain").await.json();
    let messages = &tenant["messages"];
    assert_eq!(
        (&messages["counts"]["waiting"], &messages["limit"]["reason"]),
        (&4.into(), &"number_throttle".into())
    );
    assert_eq!(messages["last_start"]["in_ms"], 4_000, "{tenant}");
    let queue = &tenant["queues"][0];
    assert_eq!((&queue["kind"], &queue["number"]), (&"message".into(), &NUMBER_A.into()));
    assert_eq!((&queue["waiting"], &queue["segments"]), (&4.into(), &4.into()));
    let overview =
        Request::get("/v1/overview.json").header("authorization", "Bearer operator-token");
    let overview = rig.send(overview.body(Body::empty()).unwrap()).await.json();
    assert_eq!(overview["queues"][0]["held_by"]["reason"], "number_throttle", "{overview}");
    assert_eq!(overview["tenants"][0]["messages"]["waiting"], 4);
    let send = sends(&rig).remove(0);
    report(&rig, &send, MessageEvent::Refused(Reason::MessageFiltered));
    let why = explain(&first).await;
    assert_eq!(why["ending"]["reason"], "message_filtered");
    assert_eq!((&why["position"], &why["carrier"]), (&Value::Null, &"text".into()));
    let other = format!("/v1/Messages/SM{:032}/explain", 0);
    rig.get(&other).await.is_error(404, 20_404, &[]);
}

#[tokio::test]
async fn the_media_of_a_message_are_an_empty_list_of_the_fields_shape() {
    let rig = Rig::new().await;
    let sid = created(&rig, "hello").await;
    let of = |sid: &str| message(sid).replace(".json", "/Media.json");
    let path = of(&sid);
    let answer = rig.get(&format!("{path}?PageSize=20")).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let link = format!("{path}?PageSize=20&Page=0");
    let expected = json!({
        "media_list": [], "start": 0, "end": 0, "page": 0, "page_size": 20, "uri": link, "first_page_uri": link,
        "next_page_uri": null, "previous_page_uri": null,
    });
    assert_eq!(answer.json(), expected);
    assert_eq!(rig.get(&path).await.json()["page_size"], 50);
    for none in [format!("SM{}", "0".repeat(32)), sid.replace("SM", "CA"), "x".to_owned()] {
        rig.get(&of(&none)).await.is_error(404, 20404, &[]);
    }
    let path = path.replace(&A.to_string(), &B.to_string());
    let other = Request::get(path).header("authorization", basic(&B.to_string(), "token-b"));
    rig.send(other.body(Body::empty()).unwrap()).await.is_error(404, 20404, &[]);
}
