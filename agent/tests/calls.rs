//! Whole calls: an agent in this process, orders over gRPC, and `sipp` as an independent carrier (SP-4, SP-5).

mod common;

use busyhour_base::{CallEvent, Ending, Outcome, Reason, Span};
use busyhour_peer::Messages;
use busyhour_protocol::{DialOrder, Secret};
use common::{Sipp, linked, order};

const PAUSE: &str = "<Response><Pause length=\"1\"/></Response>";
const LONG: &str = "<Response><Pause length=\"4\"/></Response>";
const LONGER: &str = "<Response><Pause length=\"9\"/></Response>";

/// One call to a carrier that plays `scenario`: the reports, the ending, and the messages as the carrier saw them.
async fn call(
    scenario: &str,
    change: impl FnOnce(&mut DialOrder),
) -> (Vec<CallEvent>, Ending, Messages) {
    call_with(scenario, PAUSE, change).await
}

async fn call_with(
    scenario: &str,
    document: &str,
    change: impl FnOnce(&mut DialOrder),
) -> (Vec<CallEvent>, Ending, Messages) {
    let (mut stub, _agent) = linked().await;
    let sipp = Sipp::start(scenario).await;
    let mut order = order(sipp.address(), document);
    change(&mut order);
    stub.dial(&order).await;
    let (before, ending) = stub.whole_call().await;
    let messages = sipp.verdict().await;
    (before, ending, messages)
}

const UP: [CallEvent; 3] = [CallEvent::Sent, CallEvent::Ringing, CallEvent::Answered];

#[tokio::test(flavor = "multi_thread")]
async fn an_answered_call_is_spoken_to_and_hung_up_on() {
    let (before, ending, messages) = call("answer", |_| {}).await;
    assert_eq!(before, UP);
    assert_eq!((ending.outcome, ending.reason), (Outcome::Completed, Reason::Completed));
    assert_eq!((ending.sip_code, ending.confirmed), (200, true));
    assert!(ending.talk >= Span::from_secs(1), "{}", ending.talk);
    for header in ["Supported: timer", "Session-Expires: 1800", "INVITE sip:+4930555@127."] {
        assert!(messages.text.contains(header), "no {header:?} in {}", messages.text);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_far_end_hangs_up_first() {
    let (before, ending, messages) = call_with("answer_hangup", LONGER, |_| {}).await;
    assert_eq!(before, UP);
    assert_eq!((ending.outcome, ending.confirmed), (Outcome::Completed, true));
    assert_eq!(messages.count("BYE"), 0, "it was hung up on as well: {}", messages.text);
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_become_outcomes() {
    let (before, ending, _) = call("busy", |_| {}).await;
    assert_eq!(before.first(), Some(&CallEvent::Sent));
    assert_eq!((ending.outcome, ending.sip_code, ending.confirmed), (Outcome::Busy, 486, true));
    let (_, ending, _) = call("unavailable", |_| {}).await;
    assert_eq!((ending.outcome, ending.sip_code, ending.confirmed), (Outcome::Failed, 503, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_rings_out_is_cancelled() {
    let (before, ending, _) = call("no_answer", |o| o.spec.ring_timeout = Span::from_secs(2)).await;
    assert_eq!(before, UP[..2]);
    assert_eq!((ending.outcome, ending.confirmed), (Outcome::NoAnswer, true));
}

/// RELIABILITY.md: a 200 that crosses CANCEL is acknowledged and hung up on, and the channel is free.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_crosses_the_cancel_is_hung_up_on() {
    let (_, ending, _) =
        call("late_answer", |o| o.spec.ring_timeout = Span::from_millis(400)).await;
    assert_eq!((ending.outcome, ending.confirmed), (Outcome::NoAnswer, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_challenge_is_answered_once_and_rightly() {
    let trunk = |password: &'static str| {
        move |order: &mut DialOrder| {
            order.trunk.username = Some("trunk".to_owned());
            order.trunk.password = Secret::new(password);
        }
    };
    let (_, ending, messages) = call("digest", trunk("s3cret")).await;
    assert_eq!((ending.outcome, ending.confirmed), (Outcome::Completed, true));
    assert!(messages.text.contains("CSeq: 2 INVITE"));
    let (_, ending, _) = call("digest", trunk("guess")).await;
    assert_eq!((ending.outcome, ending.sip_code), (Outcome::Failed, 403));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_answer_is_acknowledged_again() {
    let (_, ending, messages) = call("repeated_answer", |_| {}).await;
    assert_eq!((ending.outcome, ending.confirmed), (Outcome::Completed, true));
    let acks = messages.count("ACK");
    assert!(acks >= 2, "{acks} ACKs");
}

/// RELIABILITY.md, protocol 7: without an answer to BYE the end is not confirmed, so the channel is not released.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_bye_is_repeated_and_leaves_the_end_unconfirmed() {
    let (_, ending, messages) = call("lost_bye", |_| {}).await;
    assert_eq!((ending.outcome, ending.confirmed), (Outcome::Completed, false));
    assert_eq!(messages.transactions("BYE"), 1);
}

/// RFC 4028: a session is refreshed as agreed, and one that the far end has forgotten comes to an end.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_refreshed_or_ended() {
    let (_, ending, messages) = call_with("refreshed", LONGER, |_| {}).await;
    assert_eq!((ending.outcome, ending.reason), (Outcome::Completed, Reason::Completed));
    // One more may cross the BYE on a machine that stands still for a second.
    assert!((2..=3).contains(&messages.transactions("UPDATE")), "{}", messages.text);
    let (_, ending, _) = call_with("session_lost", LONGER, |_| {}).await;
    assert_eq!((ending.reason, ending.confirmed), (Reason::MediaLost, true));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_far_end_may_hold_the_call() {
    let (_, ending, messages) = call_with("reinvite", LONGER, |_| {}).await;
    assert_eq!((ending.outcome, ending.confirmed), (Outcome::Completed, true));
    assert!(messages.text.contains("a=recvonly"), "{}", messages.text);
}

/// RFC 3261, 13.2.2.4: of two phones that answer one is spoken to and the other is hung up on.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_phone_that_answers_is_hung_up_on() {
    let (before, ending, messages) = call_with("forked", LONG, |_| {}).await;
    assert_eq!(before, UP);
    assert_eq!((ending.outcome, ending.confirmed), (Outcome::Completed, true));
    assert_eq!(messages.transactions("BYE"), 2);
    let byes: Vec<&str> = messages.text.split("\nBYE sip:").skip(1).collect();
    let [first, .., last] = byes[..] else { panic!("{byes:?}") };
    assert!(first.contains("tag=second") && !last.contains("tag=second"), "{byes:?}");
}
