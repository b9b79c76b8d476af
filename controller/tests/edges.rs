//! What a controller does with what it must not take: strangers, broken words, broken documents.

mod common;

use std::{net::SocketAddr, os::unix::fs::PermissionsExt as _};

use busyhour_base::CallEvent;
use busyhour_controller::{Options, RunError};
use busyhour_protocol::{
    Secret,
    v1::{self, from_agent},
};
use common::{
    ACCOUNT, DECLARATION, House,
    agent::{Agent, completed, hello, up},
    eventually, http,
};
use tokio_util::sync::CancellationToken;
use tonic::Code;

#[tokio::test]
async fn an_agent_with_another_clusters_token_stays_outside() {
    let house = House::new();
    let controller = house.start().await;
    let mut stranger = hello("agent-1");
    stranger.token = "cluster-token-for-testz".to_owned();
    let refused = Agent::greet(controller.ready.grpc, stranger).await.err().expect("refused");
    assert_eq!(refused.code(), Code::Unauthenticated);
    assert!(!refused.message().contains(common::CLUSTER_TOKEN));
    // Nothing came of it: the same name is new to the state machine.
    let agent = Agent::connect(controller.ready.grpc, hello("agent-1")).await;
    assert_eq!(agent.welcome.fence, 1);
    controller.stop().await;
}

#[tokio::test]
async fn a_malformed_report_is_named_and_nothing_of_its_message_counts() {
    let (_house, controller, mut agent) = up().await;
    let sid = http::place(controller.ready.api, "+15551000001", &[]).await;
    let order = agent.dial().await;
    let report = |seq, event: v1::report::Event| v1::Report {
        seq,
        call: order.call,
        attempt: order.attempt.into(),
        event: Some(event),
    };
    let mut bad = v1::Ended::from(&completed());
    bad.outcome = "won".to_owned();
    let reports =
        vec![report(1, (&CallEvent::Answered).into()), report(2, v1::report::Event::Ended(bad))];
    agent.say(from_agent::Message::Reports(v1::Reports { reports })).await;
    let status = agent.next().await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    assert_eq!(
        status.message(),
        r#"reports[1].ended.outcome: "won" is not completed, busy, no-answer, failed or canceled"#
    );
    let call = http::fetch(controller.ready.api, &sid).await;
    assert_eq!(call["status"], "queued", "not even the good half was applied");

    // The agent mends its ways and goes on with the same call.
    let mut again = hello("agent-1");
    again.fence = agent.welcome.fence;
    again.known = vec![common::agent::known(&order, true)];
    let mut agent = Agent::connect(controller.ready.grpc, again).await;
    agent.carry_out(&order).await;
    http::until_status(controller.ready.api, &sid, "completed").await;
    controller.stop().await;
}

#[tokio::test]
async fn words_out_of_turn_end_the_connection() {
    let house = House::new();
    let controller = house.start().await;
    let load = v1::Load { cpu_permille: 1_001, ..Default::default() };
    let words = [
        (from_agent::Message::Hello(hello("agent-1")), "hello: it was said already"),
        (from_agent::Message::Load(load), "load.cpu_permille: it is not from 0 to 1000"),
        (
            from_agent::Message::FenceStored(v1::FenceStored { fence: 99 }),
            "fence_stored.fence: 99 is not",
        ),
    ];
    for (word, problem) in words {
        let mut agent = Agent::connect(controller.ready.grpc, hello("agent-1")).await;
        agent.say(word).await;
        let status = agent.next().await.unwrap_err();
        assert_eq!(status.code(), Code::InvalidArgument);
        assert!(status.message().starts_with(problem), "{status}");
    }
    controller.stop().await;
}

/// DC-4: a changed folder is taken over while the controller runs; a broken one leaves everything as it was.
#[tokio::test]
async fn a_declaration_changes_live_and_a_broken_one_changes_nothing() {
    let (house, controller, mut agent) = up().await;
    let api = controller.ready.api;

    let moved = DECLARATION.replace("127.0.0.1:5999", "127.0.0.1:6001");
    let half = moved.replace("channels: 100", "channels: many");
    house.declare("all.yaml", &half);
    readiness(api, &["all.yaml", "spec.channels", "many"]).await;
    // The last good set is in force whole: the account, and the trunk's old address.
    http::place(api, "+15551000001", &[]).await;
    assert_eq!(agent.dial().await.trunk.address, "127.0.0.1:5999");

    house.declare("all.yaml", &moved);
    readiness(api, &[]).await;
    http::place(api, "+15551000002", &[]).await;
    assert_eq!(agent.dial().await.trunk.address, "127.0.0.1:6001");

    // A suspended tenant is refused from then on.
    house.declare(
        "all.yaml",
        &moved.replace("allowedDestinations", "suspended: true\n  allowedDestinations"),
    );
    let path = format!("/2010-04-01/Accounts/{ACCOUNT}/Calls.json");
    let form = [("To", "+15551000003"), ("From", "+15550100001"), ("Twiml", "<Response/>")];
    eventually("the suspension holds", || async {
        (http::ask(api, "POST", &path, &form).await.status != 201).then_some(())
    })
    .await;
    controller.stop().await;
}

/// DC-4: a controller that starts anew among broken documents goes on with those that were in force, says so, and takes
/// over the mended ones.
#[tokio::test]
async fn a_start_among_broken_documents_goes_on_with_the_last_good_ones() {
    let house = House::new();
    let controller = house.start().await;
    let moved = DECLARATION.replace("127.0.0.1:5999", "127.0.0.1:6001");
    house.declare("all.yaml", &moved);
    let kept = house.data().join("declared.json");
    eventually("the change is kept", || async {
        let text = std::fs::read_to_string(&kept).unwrap_or_default();
        text.contains("127.0.0.1:6001").then_some(())
    })
    .await;
    let mode = std::fs::metadata(&kept).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "it holds the documents' secrets");
    controller.stop().await;

    house.declare("all.yaml", &moved.replace("channels: 100", "channels: many"));
    let controller = house.start().await;
    let api = controller.ready.api;
    readiness(api, &["all.yaml", "spec.channels", "many"]).await;
    let mut agent = Agent::connect(controller.ready.grpc, hello("agent-1")).await;
    http::place(api, "+15551000001", &[]).await;
    assert_eq!(agent.dial().await.trunk.address, "127.0.0.1:6001");

    house.declare("all.yaml", DECLARATION);
    readiness(api, &[]).await;
    http::place(api, "+15551000002", &[]).await;
    assert_eq!(agent.dial().await.trunk.address, "127.0.0.1:5999");
    controller.stop().await;
}

/// Waits until `/readyz` says all of this is wrong, or nothing. It counts as ready in either case.
async fn readiness(api: SocketAddr, wrong: &[&str]) {
    eventually(&format!("/readyz says {wrong:?}"), || async {
        let answer = http::ask(api, "GET", "/readyz", &[]).await;
        assert_eq!(answer.status, 200);
        let text = String::from_utf8(answer.body).unwrap();
        let well = text == "ready\n";
        (well == wrong.is_empty() && wrong.iter().all(|part| text.contains(part))).then_some(())
    })
    .await;
}

/// A call may be accepted before there is an agent, so that the controller is ready without one, and says what is missing.
#[tokio::test]
async fn without_an_agent_a_controller_is_ready_and_says_that_calls_wait() {
    let house = House::new();
    let controller = house.start().await;
    let api = controller.ready.api;
    readiness(api, &["ready, but:\nagents: none is connected"]).await;
    http::place(api, "+15551000001", &[]).await;
    let mut agent = Agent::connect(controller.ready.grpc, hello("agent-1")).await;
    readiness(api, &[]).await;
    agent.dial().await;
    drop(agent);
    readiness(api, &["agents: none is connected"]).await;
    controller.stop().await;
}

/// New networks that webhooks may reach are told to agents by asking them to come back.
#[tokio::test]
async fn agents_hear_of_changed_networks() {
    let (house, controller, mut agent) = up().await;
    house.declare("all.yaml", &DECLARATION.replace("127.0.0.0/8", "10.1.0.0/16"));
    let ended = loop {
        match agent.next().await {
            Ok(_) => {}
            Err(status) => break status,
        }
    };
    assert_eq!(ended.code(), Code::Unavailable);
    let mut again = hello("agent-1");
    again.fence = agent.welcome.fence;
    let agent = Agent::connect(controller.ready.grpc, again).await;
    assert_eq!(agent.welcome.allowed_networks, ["10.1.0.0/16"]);
    controller.stop().await;
}

#[tokio::test]
async fn a_controller_that_cannot_work_does_not_start_and_says_why() {
    async fn refused(options: Options) -> RunError {
        let never = |_| panic!("it must not be ready");
        busyhour_controller::run(options, never, CancellationToken::new()).await.unwrap_err()
    }
    let broken = House::declaring("apiVersion: busyhour.dev/v1alpha1\nkind: Tenant\n");
    let error = refused(broken.options()).await;
    assert!(matches!(error, RunError::Declaration(_)), "{error}");
    assert!(error.to_string().contains("all.yaml"), "{error}");

    let house = House::new();
    let mut options = house.options();
    options.cluster_token = Secret::new("short");
    let error = refused(options).await.to_string();
    assert_eq!(error, "cluster token: it has 5 characters; allowed: at least 16");

    let controller = house.start().await;
    let mut options = house.options();
    options.data = broken.data();
    options.api = controller.ready.api;
    let error = refused(options).await;
    assert!(matches!(error, RunError::Listen { .. }), "{error}");
    let error = refused(house.options()).await.to_string();
    assert!(error.contains("in use by another process"), "{error}");
    controller.stop().await;
}
