//! A message that comes in, through the controller: taken in once, its application asked by an agent, its answer queued once,
//! whatever goes away in between (MT-9, `RELIABILITY.md`).

mod common;

use std::{collections::BTreeMap, net::SocketAddr};

use busyhour_protocol::v1::{self, answered::Outcome, from_agent, to_agent::Message};
use common::{
    ACCOUNT, House, TOKEN,
    agent::{Agent, hello},
    declaring_messages, eventually,
    http::{Answer, ask, operate},
};
use serde_json::{Value, json};

const DESK: &str = "+15550100001";
const WRITER: &str = "+15557654321";

/// The desk's application is asked about messages, and its carrier brings so many at once.
fn declaring(inbound: u32) -> String {
    let yaml = declaring_messages("seed: 1");
    let voice = "fallbackUrl: \"http://127.0.0.1:1/sorry.xml\"}\n";
    let messages = "  messages: {url: \"https://shop.example/sms\", fallbackUrl: \"https://shop.example/sorry\"}\n";
    let asked = yaml.replace(voice, &format!("{voice}{messages}"));
    let brings = format!("inboundChannels: {inbound}, outboundChannels: 50");
    let declared = asked.replace("outboundChannels: 50", &brings);
    assert!(asked != yaml && declared != asked, "the declaration has other words");
    declared
}

async fn bring(api: SocketAddr, reference: &str, to: &str) -> Answer {
    let message =
        json!({"reference": reference, "from": WRITER, "to": to, "body": "where are you?"});
    operate(api, "/v1/Carriers/north/Messages", &message).await
}

async fn brought(api: SocketAddr, reference: &str) -> String {
    let answer = bring(api, reference, DESK).await;
    assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
    answer.json()["message_sid"].as_str().unwrap().to_owned()
}

async fn fetch(api: SocketAddr, sid: &str) -> Value {
    let path = format!("/2010-04-01/Accounts/{ACCOUNT}/Messages/{sid}.json");
    ask(api, "GET", &path, &[]).await.json()
}

async fn until(api: SocketAddr, sid: &str, status: &str) -> Value {
    eventually(&format!("{sid} is {status}"), || async {
        Some(fetch(api, sid).await).filter(|message| message["status"] == status)
    })
    .await
}

/// Every message of the account, by direction.
async fn listed(api: SocketAddr) -> BTreeMap<String, Vec<Value>> {
    let path = format!("/2010-04-01/Accounts/{ACCOUNT}/Messages.json");
    let list = ask(api, "GET", &path, &[]).await.json();
    let mut by_direction = BTreeMap::<String, Vec<Value>>::new();
    for message in list["messages"].as_array().unwrap() {
        let direction = message["direction"].as_str().unwrap().to_owned();
        by_direction.entry(direction).or_default().push(message.clone());
    }
    by_direction
}

/// The next question. Everything else is passed over.
async fn question(agent: &mut Agent) -> v1::Ask {
    loop {
        if let Some(Message::Ask(ask)) = agent.next().await.unwrap() {
            return ask;
        }
    }
}

async fn answer(agent: &Agent, ask: &v1::Ask, outcome: Outcome) {
    let answered = v1::Answered { message: ask.message, step: ask.step, outcome: Some(outcome) };
    agent.say(from_agent::Message::Answered(answered)).await;
}

fn reply(body: &str) -> v1::Reply {
    v1::Reply { body: body.to_owned(), ..v1::Reply::default() }
}

fn replies(replies: Vec<v1::Reply>) -> Outcome {
    Outcome::Replies(v1::Replies { replies, ..v1::Replies::default() })
}

fn parameter<'a>(ask: &'a v1::Ask, name: &str) -> Option<&'a str> {
    ask.parameters.iter().find(|of| of.name == name).map(|of| of.value.as_str())
}

#[tokio::test]
async fn mt_9_a_message_is_asked_about_and_its_answer_goes_out_once() {
    let house = House::declaring(&declaring(10));
    let controller = house.start().await;
    let api = controller.ready.api;
    let sid = brought(api, "in-1").await;
    assert_eq!(fetch(api, &sid).await["status"], "receiving");
    // There is an agent only now: the question has waited for it.
    let mut agent = Agent::connect(controller.ready.grpc, hello("agent-1")).await;
    let asked = question(&mut agent).await;
    assert_eq!(asked.account.as_ref().unwrap().auth_token, TOKEN);
    assert_eq!(asked.hook.as_ref().unwrap().url, "https://shop.example/sms");
    assert_eq!(asked.fallback.as_ref().unwrap().url, "https://shop.example/sorry");
    for (name, value) in [
        ("MessageSid", &*sid),
        ("SmsSid", &sid),
        ("AccountSid", ACCOUNT),
        ("From", WRITER),
        ("To", DESK),
        ("Body", "where are you?"),
        ("NumMedia", "0"),
        ("NumSegments", "1"),
        ("ApiVersion", "2010-04-01"),
    ] {
        assert_eq!(parameter(&asked, name), Some(value), "{name}");
    }
    let said = replies(vec![reply("on my way"), reply("five minutes")]);
    answer(&agent, &asked, said.clone()).await;
    answer(&agent, &asked, said).await;
    let message = until(api, &sid, "received").await;
    assert_eq!((&message["direction"], &message["error_code"]), (&"inbound".into(), &Value::Null));
    let sent = eventually("both answers go out", || async {
        let sent = listed(api).await.remove("outbound-reply")?;
        sent.iter().all(|message| message["status"] == "delivered").then_some(sent)
    })
    .await;
    let texts: Vec<_> =
        sent.iter().rev().map(|message| message["body"].as_str().unwrap()).collect();
    assert_eq!(texts, ["on my way", "five minutes"]);
    for message in &sent {
        assert_eq!((&message["to"], &message["from"]), (&WRITER.into(), &DESK.into()));
    }
    assert_eq!(brought(api, "in-1").await, sid, "brought twice, taken once");
    assert_eq!(listed(api).await["inbound"].len(), 1);
    controller.stop().await;
}

#[tokio::test]
async fn mt_9_a_controller_killed_while_an_application_is_asked_asks_again_and_answers_once() {
    let house = House::declaring(&declaring(10));
    let controller = house.start().await;
    let mut agent = Agent::connect(controller.ready.grpc, hello("agent-1")).await;
    let sid = brought(controller.ready.api, "in-1").await;
    let before = question(&mut agent).await;
    let after = house.copy();
    answer(&agent, &before, replies(vec![reply("never seen")])).await;
    controller.stop().await;

    let controller = after.start().await;
    let api = controller.ready.api;
    assert_eq!(brought(api, "in-1").await, sid, "its carrier knows it under the same name");
    let mut agent = Agent::connect(controller.ready.grpc, hello("agent-1")).await;
    let again = question(&mut agent).await;
    assert_eq!((again.message, again.step), (before.message, before.step));
    assert_eq!(parameter(&again, "MessageSid"), Some(&*sid));
    answer(&agent, &again, replies(vec![reply("here")])).await;
    until(api, &sid, "received").await;
    answer(&agent, &before, replies(vec![reply("late")])).await;
    // What is brought and answered after it shows that the late answer was heard.
    let next = brought(api, "in-2").await;
    let asked = question(&mut agent).await;
    answer(&agent, &asked, replies(Vec::new())).await;
    until(api, &next, "received").await;
    let sent = &listed(api).await["outbound-reply"];
    assert_eq!((sent.len(), &sent[0]["body"]), (1, &"here".into()));
    controller.stop().await;
}

#[tokio::test]
async fn mt_9_a_question_whose_agent_goes_away_or_is_busy_is_asked_again() {
    let house = House::declaring(&declaring(10));
    let controller = house.start().await;
    let mut agent = Agent::connect(controller.ready.grpc, hello("agent-1")).await;
    let sid = brought(controller.ready.api, "in-1").await;
    let first = question(&mut agent).await;
    drop(agent);
    let mut agent = Agent::connect(controller.ready.grpc, hello("agent-2")).await;
    let second = question(&mut agent).await;
    assert_eq!(second.message, first.message);
    answer(&agent, &second, Outcome::Busy(v1::Empty {})).await;
    let third = question(&mut agent).await;
    assert_eq!(third, second);
    answer(&agent, &third, replies(Vec::new())).await;
    until(controller.ready.api, &sid, "received").await;
    controller.stop().await;
}

#[tokio::test]
async fn mt_9_what_cannot_be_taken_now_comes_later_and_what_never_can_is_refused_by_name() {
    let house = House::declaring(&declaring(2));
    let controller = house.start().await;
    let api = controller.ready.api;
    let mut agent = Agent::connect(controller.ready.grpc, hello("agent-1")).await;
    for reference in ["in-1", "in-2"] {
        brought(api, reference).await;
    }
    let full = bring(api, "in-3", DESK).await;
    assert_eq!((full.status, full.json()["code"].as_u64()), (503, Some(20_503)));
    for ask in [question(&mut agent).await, question(&mut agent).await] {
        answer(&agent, &ask, replies(Vec::new())).await;
    }
    eventually("there is room again", || async {
        (bring(api, "in-3", "15550100001").await.status == 201).then_some(())
    })
    .await;

    let unknown = bring(api, "in-4", "+15550109999").await;
    assert_eq!(unknown.status, 400);
    assert!(unknown.json()["message"].as_str().unwrap().contains("+15550109999"));
    let message = json!({"reference": "in-5", "from": WRITER, "to": DESK, "body": "x"});
    assert_eq!(operate(api, "/v1/Carriers/south/Messages", &message).await.status, 404);
    for (field, value) in
        [("reference", ""), ("from", "a b"), ("to", ""), ("body", &*"x".repeat(1_601))]
    {
        let mut bad = message.clone();
        bad[field] = value.into();
        let refused = operate(api, "/v1/Carriers/north/Messages", &bad).await;
        assert_eq!(refused.status, 400, "{field}");
        assert!(refused.json()["message"].as_str().unwrap().contains(field), "{field}");
    }
    controller.stop().await;
}

#[tokio::test]
async fn mt_9_what_went_wrong_is_told_and_no_answer_goes_where_the_account_may_not_write() {
    let yaml =
        declaring(10).replace("allowedDestinations: [\"+\"]", "allowedDestinations: [\"+1555\"]");
    let nobody = "---\napiVersion: busyhour.dev/v1alpha1\nkind: Number\nmetadata: {name: mute}\nspec: {number: \"+15550100009\", tenant: acme}\n";
    let house = House::declaring(&format!("{yaml}{nobody}"));
    let controller = house.start().await;
    let api = controller.ready.api;
    let mut agent = Agent::connect(controller.ready.grpc, hello("agent-1")).await;

    let taken = bring(api, "in-1", "+15550100009").await;
    assert_eq!(taken.status, 201);
    let sid = taken.json()["message_sid"].as_str().unwrap().to_owned();
    let message = until(api, &sid, "received").await;
    assert_eq!(message["error_code"], Value::Null, "nobody is to be asked");

    let sid = brought(api, "in-2").await;
    let asked = question(&mut agent).await;
    let failed = v1::Replies { failure: "document_failed".to_owned(), ..v1::Replies::default() };
    answer(&agent, &asked, Outcome::Replies(failed)).await;
    assert_eq!(until(api, &sid, "received").await["error_code"], 11_200);

    let sid = brought(api, "in-3").await;
    let asked = question(&mut agent).await;
    let far = v1::Reply { to: "+491234567".to_owned(), ..reply("dear") };
    let foreign = v1::Reply { from: "+15550108888".to_owned(), ..reply("not mine") };
    answer(&agent, &asked, replies(vec![far, foreign, reply("fine")])).await;
    until(api, &sid, "received").await;
    let sent = &listed(api).await["outbound-reply"];
    assert_eq!((sent.len(), &sent[0]["body"]), (1, &"fine".into()));
    controller.stop().await;
}

#[tokio::test]
async fn sp_5_an_action_is_asked_with_what_became_of_the_answer() {
    let house = House::declaring(&declaring(10));
    let controller = house.start().await;
    let api = controller.ready.api;
    let mut agent = Agent::connect(controller.ready.grpc, hello("agent-1")).await;
    let sid = brought(api, "in-1").await;
    let first = question(&mut agent).await;
    let again = Some(v1::Webhook { url: "https://shop.example/sent".into(), method: "GET".into() });
    let said = v1::Replies { replies: vec![reply("one")], again, ..v1::Replies::default() };
    answer(&agent, &first, Outcome::Replies(said)).await;
    let second = question(&mut agent).await;
    assert_eq!((second.message, second.step), (first.message, 2));
    let hook = second.hook.as_ref().unwrap();
    assert_eq!((&*hook.url, &*hook.method), ("https://shop.example/sent", "GET"));
    let sent = listed(api).await["outbound-reply"][0]["sid"].clone();
    assert_eq!(parameter(&second, "MessageSid"), sent.as_str());
    assert_eq!(parameter(&second, "MessageStatus"), Some("queued"));
    assert_eq!(fetch(api, &sid).await["status"], "receiving");
    answer(&agent, &second, replies(vec![reply("two")])).await;
    until(api, &sid, "received").await;
    assert_eq!(listed(api).await["outbound-reply"].len(), 2);
    controller.stop().await;
}
