//! A call's way through the controller: placed by a tenant, dialled by an agent, recorded (DC-1, MT-1),
//! and what happens when the controller or the agent goes away in the middle (`RELIABILITY.md`).

mod common;

use busyhour_base::{CallEvent, Reason, Span};
use busyhour_protocol::v1::{self, from_agent, to_agent::Message};
use common::{
    House,
    agent::{Agent, completed, hello, known, up},
    eventually, http, within,
};
use serde_json::Value;

#[tokio::test]
async fn a_call_is_placed_dialled_reported_and_recorded() {
    let (house, controller, mut agent) = up().await;
    assert!(agent.welcome.fence > 0);
    assert_eq!(agent.welcome.allowed_networks, ["127.0.0.0/8"]);

    let sid = http::place(controller.ready.api, "+15551000001", &[]).await;
    let order = agent.dial().await;
    assert_eq!(order.call_sid.to_string(), sid);
    assert_eq!(order.spec.to, "+15551000001");
    assert_eq!(order.fence, agent.welcome.fence);
    assert_eq!(order.trunk.address, "127.0.0.1:5999");
    assert_eq!(order.trunk.password.expose(), "trunk-password-for-tests");
    assert_eq!(order.auth_token.expose(), common::TOKEN);
    assert!(order.due_in <= Span::from_millis(20), "due in {}", order.due_in);
    assert!(order.valid_for > order.due_in && order.valid_for < house.agent_grace);

    let seq = agent.report(&order, &[CallEvent::Sent, CallEvent::Ringing]).await;
    agent.acknowledged(seq).await;
    http::until_status(controller.ready.api, &sid, "ringing").await;
    let seq = agent.report(&order, &[CallEvent::Answered, CallEvent::Ended(completed())]).await;
    let forget = agent.acknowledged(seq).await;
    assert_eq!(forget, [known(&order, false)], "an end that is durable may leave the journal");
    let call = http::until_status(controller.ready.api, &sid, "completed").await;
    assert_eq!(call["duration"], "7");
    in_the_records(&house, 1).await;
    controller.stop().await;
}

/// Waits until so many calls have left the state for the database file.
async fn in_the_records(house: &House, calls: u64) {
    let records = busyhour_records::Records::open(&house.data().join("records.db")).await.unwrap();
    eventually("the calls are in the records", || async {
        (records.total().await.unwrap() == calls).then_some(())
    })
    .await;
    records.close().await;
}

#[tokio::test]
async fn no_secret_reaches_the_data_folder_but_in_the_copy_of_the_documents() {
    let (house, controller, mut agent) = up().await;
    http::place(controller.ready.api, "+15551000001", &[]).await;
    let order = agent.dial().await;
    agent.carry_out(&order).await;
    in_the_records(&house, 1).await;
    controller.stop().await;
    // For its owner's eyes only, as the documents are.
    std::fs::remove_file(house.data().join("declared.json")).unwrap();
    let data = common::contents(&house.data());
    let holds = |text: &str| data.windows(text.len()).any(|part| part == text.as_bytes());
    assert!(holds("+15551000001"), "the request itself is there");
    for secret in [common::TOKEN, common::CLUSTER_TOKEN, "trunk-password-for-tests"] {
        assert!(!holds(secret), "{secret} is in the data folder");
    }
}

#[tokio::test]
async fn a_restart_in_the_middle_of_a_call_loses_and_repeats_nothing() {
    let (house, controller, mut agent) = up().await;
    let fence = agent.welcome.fence;
    let sid = http::place(controller.ready.api, "+15551000001", &[]).await;
    let order = agent.dial().await;
    let seq = agent.report(&order, &[CallEvent::Sent, CallEvent::Answered]).await;
    agent.acknowledged(seq).await;
    controller.stop().await;

    let controller = house.start().await;
    let call = http::fetch(controller.ready.api, &sid).await;
    assert_eq!(call["status"], "in-progress", "it lives on at its agent");
    let mut again = hello("agent-1");
    again.fence = fence;
    again.known = vec![known(&order, true)];
    let mut agent = Agent::connect(controller.ready.grpc, again).await;
    assert!(agent.welcome.fence > fence);
    assert!(agent.welcome.forget.is_empty(), "it still runs");
    let seq = agent.report(&order, &[CallEvent::Ended(completed())]).await;
    agent.acknowledged(seq).await;
    http::until_status(controller.ready.api, &sid, "completed").await;

    // What comes next is a new call, not the old one again.
    let second = http::place(controller.ready.api, "+15551000002", &[]).await;
    assert_eq!(agent.dial().await.call_sid.to_string(), second);
    controller.stop().await;
}

/// An order whose journal entry was never written is dialled again, as the next attempt (RELIABILITY, protocol 6).
#[tokio::test]
async fn an_order_that_the_surviving_journal_does_not_know_is_given_again() {
    let (house, controller, mut agent) = up().await;
    let fence = agent.welcome.fence;
    let sid = http::place(controller.ready.api, "+15551000001", &[]).await;
    let first = agent.dial().await;
    drop(agent);
    controller.stop().await;

    let controller = house.start().await;
    let mut again = hello("agent-1");
    (again.incarnation, again.fence) = (2, fence);
    let mut agent = Agent::connect(controller.ready.grpc, again).await;
    let second = agent.dial().await;
    assert_eq!(second.call, first.call);
    assert_eq!((first.attempt, second.attempt), (1, 2));
    assert_eq!(second.fence, agent.welcome.fence);
    agent.carry_out(&second).await;
    http::until_status(controller.ready.api, &sid, "completed").await;
    controller.stop().await;
}

#[tokio::test]
async fn a_call_whose_journal_is_lost_or_whose_agent_was_killed_fails_and_is_not_dialled_again() {
    for (journal_lost, reason) in
        [(true, Reason::InDoubtJournalLost), (false, Reason::InDoubtAgentRestarted)]
    {
        let (_house, controller, mut agent) = up().await;
        let fence = agent.welcome.fence;
        let sid = http::place(controller.ready.api, "+15551000001", &[]).await;
        let order = agent.dial().await;
        let seq = agent.report(&order, &[CallEvent::Sent]).await;
        agent.acknowledged(seq).await;
        drop(agent);

        let mut again = hello("agent-1");
        again.incarnation = 2;
        if !journal_lost {
            again.fence = fence;
            again.known = vec![known(&order, false)];
        }
        let mut agent = Agent::connect(controller.ready.grpc, again).await;
        if !journal_lost {
            assert_eq!(agent.welcome.forget, [known(&order, false)], "it is settled");
        }
        http::until_status(controller.ready.api, &sid, "failed").await;
        assert_eq!(reason_of(&controller, &sid).await, reason.code());
        let next = http::place(controller.ready.api, "+15551000002", &[]).await;
        assert_eq!(agent.dial().await.call_sid.to_string(), next);
        controller.stop().await;
    }
}

/// An agent whose folder was put back from a backup: its journal is sound, and knows nothing of what it has sent since.
#[tokio::test]
async fn a_journal_that_is_an_old_copy_counts_as_lost() {
    let (_house, controller, mut agent) = up().await;
    let backup = agent.welcome.fence;
    drop(agent);
    let mut again = hello("agent-1");
    again.fence = backup;
    agent = Agent::connect(controller.ready.grpc, again).await;
    assert!(agent.welcome.fence > backup);
    // It drains, which shows, and then no more: so what it says of itself is in the log.
    let load = |draining| from_agent::Message::Load(v1::Load { draining, ..Default::default() });
    agent.say(load(true)).await;
    let sid = eventually("a call that waits for a worker", async || {
        let sid = http::place(controller.ready.api, "+15551000001", &[]).await;
        let path = format!("/v1/Calls/{sid}/explain");
        let explained = http::ask(controller.ready.api, "GET", &path, &[]).await.json();
        (explained["limit"]["reason"] == "workers").then_some(sid)
    })
    .await;
    agent.say(load(false)).await;
    let order = loop {
        let order = agent.dial().await;
        if order.call_sid.to_string() == sid {
            break order;
        }
    };
    // Each load is answered with the clock that orders go by, so that an agent always has something to compare them with.
    let [first, second] = agent.clocks[..] else { panic!("{:?}", agent.clocks) };
    assert!(first < second && second <= order.sent_at.as_micros(), "{first} {second} {order:?}");
    drop(agent);

    let mut restored = hello("agent-1");
    (restored.incarnation, restored.fence) = (2, backup);
    let _agent = Agent::connect(controller.ready.grpc, restored).await;
    http::until_status(controller.ready.api, &sid, "failed").await;
    assert_eq!(reason_of(&controller, &sid).await, Reason::InDoubtJournalLost.code());
    controller.stop().await;
}

async fn reason_of(controller: &common::Running, sid: &str) -> String {
    let answer =
        http::ask(controller.ready.api, "GET", &format!("/v1/Calls/{sid}/explain"), &[]).await;
    let explained: Value = answer.json();
    explained["ending"]["reason"]
        .as_str()
        .unwrap_or_else(|| panic!("no reason: {explained}"))
        .to_owned()
}

/// An agent that is away for longer than its grace is fenced; its call ends in doubt, and a late claim to the call is void.
#[tokio::test]
async fn an_agent_that_stays_away_loses_its_calls() {
    let mut house = House::new();
    house.agent_grace = Span::from_millis(300);
    let controller = house.start().await;
    let mut agent = Agent::connect(controller.ready.grpc, hello("agent-1")).await;
    let fence = agent.welcome.fence;
    let sid = http::place(controller.ready.api, "+15551000001", &[]).await;
    let order = agent.dial().await;
    assert!(order.valid_for < house.agent_grace, "no order outlives the verdict on its call");
    let seq = agent.report(&order, &[CallEvent::Sent, CallEvent::Answered]).await;
    agent.acknowledged(seq).await;
    drop(agent);
    http::until_status(controller.ready.api, &sid, "failed").await;

    let mut again = hello("agent-1");
    (again.fence, again.known) = (fence, vec![known(&order, true)]);
    let mut agent = Agent::connect(controller.ready.grpc, again).await;
    assert!(agent.welcome.forget.is_empty(), "it has yet to end the call");
    let Ok(Some(Message::HangUp(hang_up))) = agent.next().await else { panic!("no hang-up") };
    assert_eq!((hang_up.call, hang_up.fence), (order.call, agent.welcome.fence));
    let seq = agent.report(&order, &[CallEvent::Ended(completed())]).await;
    agent.acknowledged(seq).await;
    let call = http::fetch(controller.ready.api, &sid).await;
    assert_eq!(call["status"], "failed", "the verdict stands");
    controller.stop().await;
}

#[tokio::test]
async fn a_tenant_ends_a_call_and_the_agent_hears_of_it() {
    let (_house, controller, mut agent) = up().await;
    let sid = http::place(controller.ready.api, "+15551000001", &[]).await;
    let order = agent.dial().await;
    let seq = agent.report(&order, &[CallEvent::Sent, CallEvent::Answered]).await;
    agent.acknowledged(seq).await;
    let path = format!("/2010-04-01/Accounts/{}/Calls/{sid}.json", common::ACCOUNT);
    let answer = http::ask(controller.ready.api, "POST", &path, &[("Status", "completed")]).await;
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    let Ok(Some(Message::HangUp(hang_up))) = agent.next().await else { panic!("no hang-up") };
    assert_eq!(hang_up.call, order.call);
    assert_eq!(hang_up.fence, agent.welcome.fence);
    assert_eq!(hang_up.reason, "canceled_by_tenant");
    controller.stop().await;
}

/// SP-8: the status callback of a call that never reached an agent is made by whichever agent comes.
#[tokio::test]
async fn a_callback_that_is_owed_waits_for_an_agent() {
    let house = House::new();
    let controller = house.start().await;
    let callback = [("StatusCallback", "http://127.0.0.1:9/status")];
    let sid = http::place(controller.ready.api, "+15551000001", &callback).await;
    let path = format!("/2010-04-01/Accounts/{}/Calls/{sid}.json", common::ACCOUNT);
    let answer = http::ask(controller.ready.api, "POST", &path, &[("Status", "canceled")]).await;
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    http::until_status(controller.ready.api, &sid, "canceled").await;

    let mut agent = Agent::connect(controller.ready.grpc, hello("agent-1")).await;
    let Ok(Some(Message::Callback(owed))) = agent.next().await else { panic!("no callback") };
    assert_eq!(owed.call_sid, sid);
    assert_eq!(owed.outcome, "canceled");
    assert_eq!(owed.account.unwrap().auth_token, common::TOKEN);
    controller.stop().await;
}

#[tokio::test]
async fn a_second_connection_of_the_same_agent_ends_the_first_and_keeps_the_calls() {
    let house = House::new();
    let controller = house.start().await;
    let mut first = Agent::connect(controller.ready.grpc, hello("agent-1")).await;
    http::place(controller.ready.api, "+15551000001", &[]).await;
    let order = first.dial().await;
    let mut again = hello("agent-1");
    (again.fence, again.known) = (first.welcome.fence, vec![known(&order, true)]);
    let mut second = Agent::connect(controller.ready.grpc, again).await;
    assert!(second.welcome.fence > first.welcome.fence);
    let ended = within("the end of the first", first.next()).await;
    assert_eq!(ended.unwrap_err().code(), tonic::Code::Aborted);
    let seq = second.report(&order, &[CallEvent::Sent, CallEvent::Ended(completed())]).await;
    second.acknowledged(seq).await;
    // The late end of the first connection did not take the agent away.
    let sid = http::place(controller.ready.api, "+15551000002", &[]).await;
    assert_eq!(second.dial().await.call_sid.to_string(), sid);
    controller.stop().await;
}

/// DC-1: what was answered with 201 is on the disk at that moment, whatever becomes of the process.
#[tokio::test]
async fn whatever_was_accepted_is_in_the_disk_of_that_moment() {
    let house = House::new();
    let controller = house.start().await;
    let mut sids = Vec::new();
    for n in 0..20 {
        sids.push(http::place(controller.ready.api, &format!("+1555100{n:04}"), &[]).await);
        if n % 5 == 0 {
            let lost = house.copy();
            let survivor = lost.start().await;
            for sid in &sids {
                assert_eq!(http::fetch(survivor.ready.api, sid).await["status"], "queued");
            }
            survivor.stop().await;
        }
    }
    controller.stop().await;
}

/// An agent that was connected to the last process and never comes to the next is given up like any other.
#[tokio::test]
async fn an_agent_that_does_not_come_back_after_a_restart_loses_its_calls() {
    let mut house = House::new();
    house.agent_grace = Span::from_millis(500);
    let controller = house.start().await;
    let mut agent = Agent::connect(controller.ready.grpc, hello("agent-1")).await;
    let sid = http::place(controller.ready.api, "+15551000001", &[]).await;
    let order = agent.dial().await;
    let seq = agent.report(&order, &[CallEvent::Sent, CallEvent::Answered]).await;
    agent.acknowledged(seq).await;
    controller.stop().await;
    let controller = house.start().await;
    http::until_status(controller.ready.api, &sid, "failed").await;
    assert_eq!(reason_of(&controller, &sid).await, Reason::InDoubtAgentLost.code());
    controller.stop().await;
}
