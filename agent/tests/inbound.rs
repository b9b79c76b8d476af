//! Calls that a carrier begins, with `sipp` as the carrier (MT-6, MT-9, SP-4): nothing is answered before the
//! controller says so, and every caller hears an answer, a refusal, or ringing that ends.

mod common;

use std::time::Instant;

use busyhour_base::{AccountSid, CallEvent, CallSid, Direction, Outcome, Reason, Span};
use busyhour_peer::Stranger;
use busyhour_protocol::{AnswerOrder, Refusal, Secret, v1, v1::to_agent::Message};
use common::{Agent, FENCE, PATIENCE, Sipp, Stub, linked, order};

const PAUSE: &str = "<Response><Pause length=\"1\"/></Response>";
/// Waits for keys, which needs an answer, where a pause alone would let it ring on.
const LONGER: &str = "<Response><Gather timeout=\"9\"/></Response>";
const CALL: u64 = 91;

fn trunk() -> v1::InboundTrunk {
    v1::InboundTrunk {
        carrier: "north".to_owned(),
        networks: vec!["127.0.0.0/8".to_owned()],
        codecs: "PCMU,PCMA".to_owned(),
        ..v1::InboundTrunk::default()
    }
}

fn answer(offer: &v1::Offer, document: &str) -> Message {
    let mut spec = order("127.0.0.1:9".parse().unwrap(), document).spec;
    spec.direction = Direction::Inbound;
    (spec.to, spec.from) = (offer.to.clone(), offer.from.clone());
    Message::Answer(v1::Answer::from(&AnswerOrder {
        offer: offer.offer,
        call: CALL,
        attempt: 1,
        fence: FENCE,
        call_sid: CallSid(0x91),
        account: AccountSid(1),
        auth_token: Secret::new("tenant secret"),
        carrier: offer.carrier.clone(),
        spec,
    }))
}

fn ring(offer: &v1::Offer) -> Message {
    Message::Ring(v1::Ring { offer: offer.offer, call: CALL, attempt: 1, fence: FENCE })
}

/// An agent at which a carrier may call in.
async fn agent(trunk: v1::InboundTrunk) -> (Stub, Agent) {
    let (stub, agent) = linked().await;
    stub.let_in(trunk).await;
    let_in(&agent).await;
    (stub, agent)
}

/// Waits until the agent knows who may call in: strangers are told 403, others are not.
async fn let_in(agent: &Agent) {
    let stranger = Stranger::of(agent.sip);
    let known = tokio::task::spawn_blocking(move || {
        let (local, sip) = (stranger.address(), stranger.port);
        // Without a Contact it is refused whoever sends it, so nothing is offered.
        let probe = |call: &str| {
            let request = format!(
                "INVITE sip:+1@{sip} SIP/2.0\r\nVia: SIP/2.0/UDP {local};branch=z9hG4bK{call}\r\n\
                 From: <sip:+2@{local}>;tag=1\r\nTo: <sip:+1@{sip}>\r\nCall-ID: {call}\r\n\
                 CSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
            );
            stranger.status(request, call)
        };
        let bound = Instant::now() + PATIENCE;
        let mut probes = (0..).map(|n| probe(&format!("probe{n}")));
        probes.any(|status| status != 403 || Instant::now() > bound) && Instant::now() < bound
    });
    assert!(known.await.unwrap(), "the carrier was never let in");
}

#[tokio::test(flavor = "multi_thread")]
async fn mt_9_a_call_rings_until_there_is_room_and_is_then_spoken_to() {
    let (mut stub, agent) = agent(trunk()).await;
    let sipp = Sipp::call("calls_in", agent.sip);
    let offer = stub.offer().await;
    assert_eq!((offer.carrier.as_str(), offer.to.as_str()), ("north", "+15550100001"));
    assert_eq!(offer.from, "+15559990001");
    stub.order(ring(&offer)).await;
    stub.order(answer(&offer, PAUSE)).await;
    let (before, ending) = stub.whole_call().await;
    assert_eq!(before, [CallEvent::Answered]);
    assert_eq!((ending.outcome, ending.reason), (Outcome::Completed, Reason::Completed));
    assert_eq!((ending.sip_code, ending.confirmed), (200, true));
    let messages = sipp.verdict().await;
    assert!(messages.text.contains("SIP/2.0 180"), "{}", messages.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_need_not_wait_never_rings_and_the_caller_may_hang_up() {
    let (mut stub, agent) = agent(trunk()).await;
    let sipp = Sipp::call("calls_in_at_once", agent.sip);
    let offer = stub.offer().await;
    stub.order(answer(&offer, LONGER)).await;
    let (_, ending) = stub.whole_call().await;
    assert_eq!((ending.outcome, ending.confirmed), (Outcome::Completed, true));
    let messages = sipp.verdict().await;
    assert_eq!(messages.count("BYE"), 0, "it was hung up on as well: {}", messages.text);
    assert!(!messages.text.contains("SIP/2.0 180"), "it rang: {}", messages.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_told_in_sip() {
    let (mut stub, agent) = agent(trunk()).await;
    for (reason, code) in [
        (Reason::UnknownNumber, 404),
        (Reason::TenantChannels, 486),
        (Reason::CarrierChannels, 503),
    ] {
        let sipp = Sipp::call(&format!("calls_in_{code}"), agent.sip);
        let offer = stub.offer().await;
        let refuse = Refusal::of(reason).message(offer.offer);
        stub.order(Message::Refuse(refuse)).await;
        let messages = sipp.verdict().await;
        assert_eq!(messages.text.contains("Retry-After: 5"), code == 503);
    }
}

/// `WIRE.md`, Reject: the caller is told in SIP, and the call was never up.
#[tokio::test(flavor = "multi_thread")]
async fn sp_5_a_document_that_begins_with_reject_refuses_the_call_without_answering() {
    for (document, code, outcome) in [
        ("<Response><Reject reason=\"busy\"/></Response>", 486, Outcome::Busy),
        ("<Response><Pause length=\"1\"/><Reject/></Response>", 603, Outcome::NoAnswer),
    ] {
        let (mut stub, agent) = agent(trunk()).await;
        let sipp = Sipp::call(&format!("calls_in_{code}"), agent.sip);
        let offer = stub.offer().await;
        stub.order(answer(&offer, document)).await;
        let (before, ending) = stub.whole_call().await;
        assert!(before.is_empty(), "{before:?}");
        assert_eq!((ending.outcome, ending.sip_code), (outcome, code));
        assert_eq!((ending.reason, ending.talk), (Reason::RejectedByApplication, Span::ZERO));
        let messages = sipp.verdict().await;
        let text = &messages.text;
        assert!(text.contains("399 busyhour \"rejected_by_application\""), "{text}");
        assert!(!text.contains("SIP/2.0 200"), "{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_who_gives_up_is_reported_and_an_answer_that_crosses_changes_nothing() {
    let (mut stub, agent) = agent(trunk()).await;
    let sipp = Sipp::call("calls_in_gives_up", agent.sip);
    let offer = stub.offer().await;
    stub.order(ring(&offer)).await;
    let (before, ending) = stub.whole_call().await;
    assert!(before.is_empty());
    assert_eq!((ending.outcome, ending.reason), (Outcome::NoAnswer, Reason::CallerGaveUp));
    assert_eq!((ending.sip_code, ending.confirmed), (487, true));
    sipp.verdict().await;
    stub.order(answer(&offer, PAUSE)).await;
    let (_, ending) = stub.whole_call().await;
    assert_eq!(ending.reason, Reason::CallerGaveUp, "told again");
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_and_calls_that_nobody_could_hear_are_not_offered() {
    let elsewhere = v1::InboundTrunk { networks: vec!["192.0.2.0/24".to_owned()], ..trunk() };
    let (stub, stranger) = linked().await;
    stub.let_in(elsewhere).await;
    Sipp::call("calls_in_403", stranger.sip).verdict().await;
    let (mut stub, agent) = agent(trunk()).await;
    Sipp::call("calls_in_488", agent.sip).verdict().await;
    while let Some(heard) = stub.pending() {
        assert!(!matches!(heard, common::Heard::Offer(_)), "{heard:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_link_go_the_calls_that_ring_and_without_it_none_are_taken() {
    let (mut stub, agent) = agent(trunk()).await;
    let sipp = Sipp::call("calls_in_503", agent.sip);
    let offer = stub.offer().await;
    stub.order(ring(&offer)).await;
    stub.hang_up_link();
    sipp.verdict().await;
}

/// RFC 3261, 13.3.1.4.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_never_acknowledged_ends_in_bye() {
    let (mut stub, agent) = agent(trunk()).await;
    let sipp = Sipp::call("calls_in_no_ack", agent.sip);
    let offer = stub.offer().await;
    stub.order(answer(&offer, LONGER)).await;
    let (before, ending) = stub.whole_call().await;
    assert!(before.is_empty(), "{before:?}");
    assert_eq!((ending.outcome, ending.confirmed), (Outcome::Failed, true));
    sipp.verdict().await;
}
