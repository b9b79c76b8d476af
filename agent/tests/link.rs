//! The link to the controller: fences, leases, duplicates, lost connections, and what a killed agent leaves behind.

mod common;

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use busyhour_agent_core::journal::{Entry, frame};
use busyhour_base::{CallEvent, Outcome, Reason, Span};
use busyhour_peer::own_address;
use busyhour_protocol::v1::{self, to_agent::Message};
use common::{Agent, CLOCK, FENCE, Heard, PATIENCE, Sipp, Stub, linked, order};
use tokio_util::sync::CancellationToken;

const LONG: &str = "<Response><Pause length=\"20\"/></Response>";

async fn refused(stub: &mut Stub) -> Reason {
    match stub.report().await.2 {
        CallEvent::NotSent(reason) => reason,
        other => panic!("{other:?}"),
    }
}

/// RELIABILITY.md, invariant 4 and protocol 3 to 4: nothing is sent under an old fence, after the lease, or twice.
#[tokio::test(flavor = "multi_thread")]
async fn orders_that_must_not_be_sent_are_not() {
    let mut stub = Stub::start().await;
    let agent = Agent::start(&stub);
    assert_eq!(stub.linked().await, FENCE);
    let carrier = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    carrier.set_nonblocking(true).unwrap();
    let good = order(carrier.local_addr().unwrap(), LONG);

    let mut fenced = good.clone();
    fenced.fence = FENCE - 1;
    stub.dial(&fenced).await;
    assert_eq!(refused(&mut stub).await, Reason::Fenced);

    let mut late = good.clone();
    (late.call, late.due_in, late.valid_for) = (78, Span::from_millis(150), Span::from_millis(100));
    stub.dial(&late).await;
    assert_eq!(refused(&mut stub).await, Reason::LeaseExpired);

    // The second comes with the first, but was sent a minute before: what its way took counts.
    let mut slow = good.clone();
    (slow.call, slow.sent_at) = (81, CLOCK - Span::from_secs(60));
    stub.dial(&fenced).await;
    stub.dial(&slow).await;
    let both = [refused(&mut stub).await, refused(&mut stub).await];
    assert!(both.contains(&Reason::Fenced) && both.contains(&Reason::LeaseExpired), "{both:?}");

    // The first after a quiet time has nothing but the clock to be compared with.
    drop(agent);
    let mut stub = Stub::start().await;
    let agent = Agent::start(&stub);
    assert_eq!(stub.linked().await, FENCE);
    stub.clock().await;
    stub.dial(&slow).await;
    assert_eq!(refused(&mut stub).await, Reason::LeaseExpired);

    let mut nowhere = good.clone();
    // No part of a name is so long, which is known without asking any server.
    (nowhere.call, nowhere.trunk.address) = (79, format!("{}.invalid:5060", "x".repeat(64)));
    stub.dial(&nowhere).await;
    assert_eq!(refused(&mut stub).await, Reason::CarrierFailure);

    let mut unwritable = good.clone();
    (unwritable.call, unwritable.spec.to) = (80, "1\r\nX-Evil: 1".to_owned());
    stub.dial(&unwritable).await;
    let (_, ending) = stub.whole_call().await;
    assert_eq!((ending.outcome, ending.sip_code, ending.confirmed), (Outcome::Failed, 484, true));

    let mut bytes = [0; 2_048];
    let nothing = carrier.recv(&mut bytes).unwrap_err();
    assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock, "something was sent");
    agent.stop();
}

#[tokio::test(flavor = "multi_thread")]
async fn slots_are_a_bound_and_a_repeated_order_is_not_sent_again() {
    let mut stub = Stub::start().await;
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let mut options = Agent::options(&stub, folder.path());
    options.slots = 1;
    let _agent = Agent::start_with(options, folder);
    stub.linked().await;
    let sipp = Sipp::start("answer").await;
    let first = order(sipp.address(), LONG);
    stub.dial(&first).await;
    while stub.report().await.2 != CallEvent::Answered {}
    stub.dial(&first).await;
    let mut second = first.clone();
    second.call = 78;
    stub.dial(&second).await;
    let (call, _, event) = stub.report().await;
    assert_eq!(
        (call, event),
        (78, CallEvent::NotSent(Reason::AgentFull)),
        "and nothing of the repeated one"
    );
    stub.order(hang_up(first.call, FENCE)).await;
    let (_, ending) = stub.whole_call().await;
    assert_eq!((ending.outcome, ending.reason), (Outcome::Completed, Reason::CanceledByTenant));
    let messages = sipp.verdict().await;
    assert_eq!(messages.transactions("INVITE"), 1);
}

/// Its tenant wants a call to end.
fn hang_up(call: u64, fence: u64) -> Message {
    let reason = Reason::CanceledByTenant.code().to_owned();
    Message::HangUp(v1::HangUp { call, attempt: 1, fence, reason })
}

/// RELIABILITY.md, protocol 5: reports are repeated until acknowledged; calls outlive the connection.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_link_comes_back_with_everything_that_was_not_acknowledged() {
    let (mut stub, _agent) = linked().await;
    stub.acknowledge(false);
    let sipp = Sipp::start("answer").await;
    let order = order(sipp.address(), LONG);
    stub.dial(&order).await;
    while stub.report().await.2 != CallEvent::Answered {}
    stub.raise_fence(FENCE + 4);
    stub.hang_up_link();
    let hello = stub.hello().await;
    assert_eq!((hello.fence, hello.known.len()), (FENCE, 1));
    assert!(hello.known[0].live, "the call goes on");
    assert_eq!(stub.linked().await, FENCE + 4);
    stub.acknowledge(true);
    stub.order(hang_up(order.call, FENCE + 4)).await;
    let (before, ending) = stub.whole_call().await;
    assert_eq!(before, [CallEvent::Sent, CallEvent::Ringing, CallEvent::Answered], "told again");
    assert_eq!((ending.outcome, ending.confirmed), (Outcome::Completed, true));
    sipp.verdict().await;
}

/// A killed agent's call is up at the carrier: the next process hangs up, says so, and never dials it again.
#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_agent_hangs_up_on_what_was_left_and_does_not_dial_again() {
    let mut stub = Stub::start().await;
    let folder = Arc::new(tempfile::tempdir().unwrap());
    // The same in both lives, as an operator would have it.
    let sip = own_address();
    let mut agent = process(&stub.address, folder.path(), sip);
    stub.linked().await;
    let sipp = Sipp::start("answer").await;
    let order = order(sipp.address(), LONG);
    stub.dial(&order).await;
    while stub.report().await.2 != CallEvent::Answered {}
    wait_for_entry(folder.path(), |entry| matches!(entry, Entry::Answered(..))).await;
    agent.kill().unwrap();
    agent.wait().unwrap();
    while let Some(heard) = stub.pending() {
        assert!(!matches!(heard, Heard::Report { event: CallEvent::Ended(_), .. }), "{heard:?}");
    }

    let mut options = Agent::options(&stub, folder.path());
    options.sip = sip;
    let again = Agent::start_with(options, folder);
    let hello = stub.hello().await;
    assert_eq!(hello.fence, FENCE);
    assert_eq!(
        (hello.known[0].call, hello.known[0].live),
        (order.call, true),
        "it answers for the call"
    );
    let (_, ending) = stub.whole_call().await;
    assert_eq!(ending.reason, Reason::InDoubtAgentRestarted);
    assert!(ending.confirmed, "the carrier has confirmed the BYE");
    let messages = sipp.verdict().await;
    assert_eq!(messages.transactions("INVITE"), 1);
    stub.dial(&order).await;
    let mut other = order.clone();
    (other.call, other.fence) = (99, FENCE - 1);
    stub.dial(&other).await;
    assert_eq!(stub.report().await.0, 99, "the known call is not touched");
    again.stop();
}

/// An ending that the controller has not acknowledged outlives the agent: the next process tells it as it was.
#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_agent_tells_again_how_a_call_ended() {
    let mut stub = Stub::start().await;
    let folder = Arc::new(tempfile::tempdir().unwrap());
    let mut agent = process(&stub.address, folder.path(), own_address());
    stub.linked().await;
    stub.acknowledge(false);
    let sipp = Sipp::start("busy").await;
    let order = order(sipp.address(), LONG);
    stub.dial(&order).await;
    let (_, first) = stub.whole_call().await;
    wait_for_entry(folder.path(), |entry| matches!(entry, Entry::Ended(..))).await;
    agent.kill().unwrap();
    agent.wait().unwrap();
    sipp.verdict().await;

    let _again = Agent::start_with(Agent::options(&stub, folder.path()), folder.clone());
    let hello = stub.hello().await;
    assert_eq!((hello.known[0].call, hello.known[0].live), (order.call, true));
    stub.acknowledge(true);
    let (before, again) = stub.whole_call().await;
    assert_eq!(before, [], "only how it ended");
    assert_eq!((again.outcome, again.sip_code), (Outcome::Busy, 486));
    assert_eq!(again, first);
}

/// Where [`agent_process`] finds its orders; without it that test does nothing.
const PROCESS: &str = "BUSYHOUR_TEST_AGENT";

/// An agent in a process of its own, which can be killed: this very program, told to run [`agent_process`] only.
fn process(controller: &str, folder: &Path, sip: SocketAddr) -> std::process::Child {
    std::process::Command::new(std::env::current_exe().unwrap())
        .args(["agent_process", "--exact", "--nocapture"])
        .env(PROCESS, format!("{controller} {sip} {}", folder.display()))
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap()
}

/// Not a test of its own: the agent that [`process`] starts.
#[tokio::test(flavor = "multi_thread")]
async fn agent_process() {
    let Ok(orders) = std::env::var(PROCESS) else { return };
    let [controller, sip, folder] = orders.splitn(3, ' ').collect::<Vec<_>>()[..] else {
        panic!("{orders:?}")
    };
    let mut options = Agent::options_for(controller, Path::new(folder));
    options.sip = sip.parse().unwrap();
    busyhour_agent::run(options, |_| {}, CancellationToken::new()).await.unwrap();
}

/// The journal writes what nobody waits for within 20 ms.
async fn wait_for_entry(folder: &Path, wanted: impl Fn(&Entry) -> bool) {
    let path = folder.join("journal");
    let is_there = || {
        let bytes = std::fs::read(&path).unwrap();
        frame::read(&bytes).is_ok_and(|contents| contents.entries.iter().any(&wanted))
    };
    let written = async {
        while !is_there() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(PATIENCE, written).await.expect("the entry reaches the journal");
}
