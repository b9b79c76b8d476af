//! A message's way through the controller: accepted, handed to its carrier, reported on, recorded (MT-8); its tenant is told
//! of each step; and what happens when the controller goes away in the middle (`RELIABILITY.md`).

mod common;

use std::{collections::BTreeMap, net::SocketAddr};

use busyhour_protocol::v1::{self, to_agent::Message};
use common::{
    ACCOUNT, House, TOKEN,
    agent::{Agent, hello},
    declaring_messages, eventually,
    http::ask,
};
use serde_json::Value;

const FROM: &str = "+15550100001";

fn path(sid: &str) -> String {
    format!("/2010-04-01/Accounts/{ACCOUNT}/Messages/{sid}.json")
}

async fn send(api: SocketAddr, body: &str, more: &[(&str, &str)]) -> String {
    let form = [&[("To", "+15551000001"), ("From", FROM), ("Body", body)], more].concat();
    let answer =
        ask(api, "POST", &format!("/2010-04-01/Accounts/{ACCOUNT}/Messages.json"), &form).await;
    assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
    answer.json()["sid"].as_str().unwrap().to_owned()
}

async fn fetch(api: SocketAddr, sid: &str) -> Value {
    ask(api, "GET", &path(sid), &[]).await.json()
}

fn has_ended(message: &Value) -> bool {
    matches!(message["status"].as_str(), Some("delivered" | "undelivered" | "failed" | "canceled"))
}

async fn ended(api: SocketAddr, sid: &str) -> Value {
    eventually("the message ends", || async { Some(fetch(api, sid).await).filter(has_ended) }).await
}

/// How often the carrier was handed each message, by its own account.
fn handed(house: &House) -> BTreeMap<String, u32> {
    let account = house.data().join("message-carriers/north.ndjson");
    let mut handed = BTreeMap::new();
    for line in std::fs::read_to_string(account).unwrap_or_default().lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        *handed.entry(line["message"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    handed
}

#[tokio::test]
async fn mt_8_a_message_is_sent_delivered_recorded_redacted_and_deleted() {
    let house = House::declaring(&declaring_messages("seed: 1"));
    let controller = house.start().await;
    let api = controller.ready.api;
    let sid = send(api, "hello", &[]).await;
    let message = ended(api, &sid).await;
    assert_eq!((&message["status"], &message["error_code"]), (&"delivered".into(), &Value::Null));
    assert_eq!(handed(&house), BTreeMap::from([(sid.clone(), 1)]));
    let redacted = ask(api, "POST", &path(&sid), &[("Body", "")]).await;
    assert_eq!((redacted.status, &redacted.json()["body"]), (200, &"".into()));
    assert_eq!(ask(api, "DELETE", &path(&sid), &[]).await.status, 204);
    assert_eq!(ask(api, "GET", &path(&sid), &[]).await.status, 404);
    controller.stop().await;
}

/// The next callback of a message. Everything else is passed over.
async fn notice(agent: &mut Agent) -> v1::MessageNotice {
    loop {
        if let Some(Message::MessageNotice(notice)) = agent.next().await.unwrap() {
            return notice;
        }
    }
}

fn field<'a>(notice: &'a v1::MessageNotice, name: &str) -> Option<&'a str> {
    notice.parameters.iter().find(|field| field.name == name).map(|field| field.value.as_str())
}

#[tokio::test]
async fn each_step_of_a_message_is_told_in_order_and_signed_by_its_tenants_token() {
    for (behaviour, last, code) in [
        ("deliveryMs: 5", "delivered", None),
        ("undeliveredPermille: 1000", "undelivered", Some(30_003..=30_005)),
        ("refusedPermille: 1000", "failed", Some(30_007..=30_008)),
        ("unansweredPermille: 1000", "failed", Some(30_008..=30_008)),
    ] {
        let house = House::declaring(&declaring_messages(behaviour));
        let controller = house.start().await;
        let mut agent = Agent::connect(controller.ready.grpc, hello("agent-1")).await;
        let hook = [("StatusCallback", "https://shop.example/told?n=1")];
        let sid = send(controller.ready.api, "hello", &hook).await;
        let mut told = Vec::new();
        loop {
            let notice = notice(&mut agent).await;
            assert_eq!(notice.message_sid, sid);
            assert_eq!(notice.account.as_ref().unwrap().auth_token, TOKEN);
            assert_eq!(notice.hook.as_ref().unwrap().url, hook[0].1);
            assert_eq!(field(&notice, "MessageSid"), Some(&*sid));
            let status = field(&notice, "MessageStatus").unwrap().to_owned();
            told.push(status.clone());
            if status == last {
                let given: Option<u32> = field(&notice, "ErrorCode").map(|c| c.parse().unwrap());
                assert_eq!(given.is_some(), code.is_some(), "{given:?}");
                assert!(given.is_none_or(|given| code.as_ref().unwrap().contains(&given)));
                break;
            }
            assert_eq!(field(&notice, "ErrorCode"), None, "{status}");
        }
        let expected: &[&str] = match last {
            "failed" => &["queued", "sending", "failed"],
            _ => &["queued", "sending", "sent", last],
        };
        assert_eq!(told, expected);
        controller.stop().await;
    }
}

#[tokio::test]
async fn a_controller_killed_with_messages_under_way_loses_none_and_sends_none_twice() {
    for _ in 0..20 {
        if lives_through_a_kill().await {
            return;
        }
        // The machine stood still for so long that all was over before the disk was copied.
    }
    panic!("no kill met a message that was under way while another one waited");
}

/// Kills a controller that has messages. Whether some were with their carrier just then, and some had yet to be sent.
async fn lives_through_a_kill() -> bool {
    const CHANNELS: usize = 8;
    let yaml = declaring_messages(
        "seed: 3, undeliveredPermille: 200, refusedPermille: 100, answerMs: 3000, deliveryMs: 100",
    );
    let yaml = yaml.replace("outboundChannels: 50", &format!("outboundChannels: {CHANNELS}"));
    let house = House::declaring(&yaml);
    let controller = house.start().await;
    let api = controller.ready.api;
    let mut sids = Vec::new();
    for n in 0..2 * CHANNELS {
        sids.push(send(api, &format!("number {n}"), &[]).await);
    }
    eventually("messages are with the carrier", || async {
        (handed(&house).len() >= CHANNELS).then_some(())
    })
    .await;
    // What a kill leaves behind: the disk as it is at one moment.
    let after = house.copy();
    let before = handed(&after);
    controller.stop().await;

    let controller = after.start().await;
    let mut reasons = BTreeMap::<String, u32>::new();
    for sid in &sids {
        let message = ended(controller.ready.api, sid).await;
        let reason = message["error_message"].as_str().unwrap_or_default().to_owned();
        *reasons.entry(reason).or_default() += 1;
    }
    let in_doubt = busyhour_base::Reason::InDoubtRestart.message();
    let under_way = reasons.remove(in_doubt).unwrap_or_default();
    let handed = handed(&after);
    assert!(handed.values().all(|times| *times == 1), "a message was sent twice: {handed:?}");
    // In doubt means: either it was handed over or the process ended just before.
    assert!(handed.len() as u32 + under_way >= sids.len() as u32);
    controller.stop().await;
    under_way > 0 && before.len() < sids.len()
}

#[tokio::test]
async fn a_message_taken_before_a_kill_is_reported_on_after_it() {
    let house = House::declaring(&declaring_messages("deliveryMs: 6000"));
    let controller = house.start().await;
    let sid = send(controller.ready.api, "hello", &[]).await;
    let api = controller.ready.api;
    eventually("it is sent", || async {
        (fetch(api, &sid).await["status"] == "sent").then_some(())
    })
    .await;
    let after = house.copy();
    controller.stop().await;
    let controller = after.start().await;
    assert_eq!(ended(controller.ready.api, &sid).await["status"], "delivered");
    assert_eq!(handed(&after).len(), 1);
    controller.stop().await;
}
