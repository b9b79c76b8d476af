//! What the controller writes about a call: one tree of spans, and never a secret. A program of its own, since a
//! subscriber is for a whole process.

mod common;

use std::{
    io::Write,
    sync::{Arc, Mutex},
};

use base64::Engine as _;
use common::{
    House,
    agent::{Agent, hello},
    eventually, http,
};

/// Everything written, for the test to read.
#[derive(Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Write for Written {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Written {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap()).into_owned()
    }
}

#[tokio::test]
async fn a_call_has_one_tree_of_spans_and_no_secret_is_written() {
    let written = Written::default();
    let writer = written.clone();
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .init();
    let house = House::new();
    let controller = house.start().await;
    let mut stranger = hello("agent-2");
    stranger.token = "a-strangers-secret".to_owned();
    assert!(Agent::greet(controller.ready.grpc, stranger).await.is_err());
    let mut agent = Agent::connect(controller.ready.grpc, hello("agent-1")).await;
    let sid = http::place(controller.ready.api, "+15551000001", &[]).await;
    let order = agent.dial().await;
    agent.carry_out(&order).await;
    let root = format!("call{{sid={sid} account={}}}", common::ACCOUNT);
    let tree = eventually("the call's tree is whole", || async {
        let text = written.text();
        let tree: Vec<_> =
            text.lines().filter(|line| line.contains(&root)).map(str::to_owned).collect();
        tree.last().is_some_and(|line| line.contains("recorded")).then_some(tree)
    })
    .await;
    let dial = format!("{root}:dial{{attempt=1 agent=0 carrier=\"north\"}}");
    for (part, word) in [
        (dial.as_str(), "ordered"),
        (&root, "phase=Sent"),
        (&root, "phase=Ringing"),
        (&root, "phase=InProgress"),
        (&root, "phase=Ended(Completed)"),
        (&root, "outcome=\"completed\" reason=\"completed\""),
    ] {
        let found = tree.iter().any(|line| line.contains(part) && line.contains(word));
        assert!(found, "no {word} in {tree:#?}");
    }
    controller.stop().await;
    let text = written.text();
    let pair = format!("{}:{}", common::ACCOUNT, common::TOKEN);
    let basic = base64::engine::general_purpose::STANDARD.encode(pair);
    for secret in [
        basic.as_str(),
        common::TOKEN,
        common::CLUSTER_TOKEN,
        "trunk-password-for-tests",
        "operator-token-for-tests",
        "a-strangers-secret",
    ] {
        assert!(!text.contains(secret), "{secret} is in the log");
    }
}
