//! An inbound call's way through the controller: offered by an agent, looked up, let in before everything or left to
//! ring, recorded once (MT-6, MT-9, SP-1).

mod common;

use busyhour_base::{CallEvent, Direction, Instructions, Span};
use busyhour_protocol::{AnswerOrder, Refusal, v1::to_agent::Message};
use common::{
    DECLARATION, House,
    agent::{Agent, completed, hello, up},
    http,
};

const NUMBER: &str = "+15550100001";

async fn answered(agent: &mut Agent) -> AnswerOrder {
    match agent.verdict().await {
        Message::Answer(answer) => answer.try_into().unwrap(),
        other => panic!("expected an order to answer: {other:?}"),
    }
}

async fn refused(agent: &mut Agent) -> (u64, u16) {
    match agent.verdict().await {
        Message::Refuse(refuse) => (refuse.offer, Refusal::try_from(&refuse).unwrap().sip_code),
        other => panic!("expected a refusal: {other:?}"),
    }
}

/// The events of the only call of an order, as an agent tells them.
async fn carry_out(agent: &mut Agent, order: &AnswerOrder, events: &[CallEvent]) {
    let seq = agent.report_of(order.call, order.attempt, events).await;
    agent.acknowledged(seq).await;
}

#[tokio::test]
async fn a_call_is_offered_looked_up_answered_and_recorded_as_inbound() {
    let (_house, controller, mut agent) = up().await;
    // A carrier may leave the plus out.
    agent.offer(41, NUMBER.trim_start_matches('+')).await;
    let order = answered(&mut agent).await;
    assert_eq!((order.offer, order.attempt, order.fence), (41, 1, agent.welcome.fence));
    assert_eq!((order.carrier.as_str(), order.spec.to.as_str()), ("north", NUMBER));
    assert_eq!(order.auth_token.expose(), common::TOKEN);
    assert_eq!(order.spec.direction, Direction::Inbound);
    assert_eq!(order.spec.ring_timeout, Span::from_secs(2));
    let Instructions::Url(voice) = &order.spec.instructions else { panic!("a URL") };
    assert!(voice.url.ends_with("/desk.xml") && order.spec.fallback.is_some());
    assert!(order.spec.status_callback.is_some() && order.spec.status_events.answered);

    let sid = order.call_sid.to_string();
    assert_eq!(http::fetch(controller.ready.api, &sid).await["status"], "ringing");
    let events = [CallEvent::Ringing, CallEvent::Answered];
    carry_out(&mut agent, &order, &events).await;
    http::until_status(controller.ready.api, &sid, "in-progress").await;
    carry_out(&mut agent, &order, &[CallEvent::Ended(completed())]).await;
    let call = http::until_status(controller.ready.api, &sid, "completed").await;
    assert_eq!((&call["direction"], &call["to"]), (&"inbound".into(), &NUMBER.into()));
    assert_eq!(call["to_formatted"], "(555) 010-0001");
    assert_eq!(call["duration"], "7");
    let trunk = agent.trunks[0].clone();
    assert_eq!((trunk.carrier.as_str(), trunk.networks[0].as_str()), ("north", "127.0.0.1/32"));
    assert_eq!(trunk.username, "busyhour", "the document asks for authentication");
    controller.stop().await;
}

#[tokio::test]
async fn unknown_numbers_and_repeated_offers_are_refused() {
    let (_house, controller, mut agent) = up().await;
    agent.offer(1, "+15559999999").await;
    assert_eq!(refused(&mut agent).await, (1, 404));
    agent.offer(2, NUMBER).await;
    answered(&mut agent).await;
    agent.offer(2, NUMBER).await;
    assert_eq!(refused(&mut agent).await, (2, 503));
    controller.stop().await;
}

/// MT-9: a bounded time, then 503; and MT-6: what frees up meanwhile is the caller's.
#[tokio::test]
async fn without_a_slot_it_rings_for_as_long_as_its_number_says() {
    // One number that gives up soon, and one that does not while the test is about it.
    let patient = "---\napiVersion: busyhour.dev/v1alpha1\nkind: Number\nmetadata: {name: patient}\n\
        spec: {number: \"+15550100002\", tenant: acme, application: desk, ringFor: 2m}\n";
    let house = House::declaring(&format!("{DECLARATION}{patient}"));
    let controller = house.start().await;
    let mut one = hello("agent-1");
    one.slots = 1;
    let mut agent = Agent::connect(controller.ready.grpc, one).await;
    agent.offer(1, NUMBER).await;
    let first = answered(&mut agent).await;
    agent.offer(2, NUMBER).await;
    assert!(matches!(agent.verdict().await, Message::Ring(ring) if ring.offer == 2));
    assert_eq!(refused(&mut agent).await, (2, 503));
    let told = agent.verdict().await;
    assert!(matches!(&told, Message::Callback(c) if c.outcome == "failed"), "{told:?}");
    agent.offer(3, "+15550100002").await;
    assert!(matches!(agent.verdict().await, Message::Ring(ring) if ring.offer == 3));
    http::place(controller.ready.api, "+15551000001", &[]).await;
    agent.report_of(first.call, 1, &[CallEvent::Ended(completed())]).await;
    assert_eq!(answered(&mut agent).await.offer, 3, "before the request that waits as well");
    controller.stop().await;
}

/// A killed controller comes back: calls that were answered go on at their agent, those that rang are over.
#[tokio::test]
async fn a_restart_loses_no_call_that_was_answered() {
    let (house, controller, mut agent) = up().await;
    agent.offer(1, NUMBER).await;
    let up = answered(&mut agent).await;
    carry_out(&mut agent, &up, &[CallEvent::Ringing, CallEvent::Answered]).await;
    agent.offer(2, NUMBER).await;
    let lost = answered(&mut agent).await;
    let fence = agent.welcome.fence;
    controller.stop().await;

    let controller = house.start().await;
    let mut again = hello("agent-1");
    again.fence = fence;
    // The second one was never written down: the agent refused it when its link was gone.
    again.known = vec![agent.entry(up.call, true)];
    let mut agent = Agent::connect(controller.ready.grpc, again).await;
    let call = http::until_status(controller.ready.api, &lost.call_sid.to_string(), "failed").await;
    assert_eq!(call["direction"], "inbound");
    carry_out(&mut agent, &up, &[CallEvent::Ended(completed())]).await;
    http::until_status(controller.ready.api, &up.call_sid.to_string(), "completed").await;
    controller.stop().await;
}
