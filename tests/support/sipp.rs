//! sipp as an independent carrier: it takes calls by a scenario of its own, on an address that outlives it.

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
};

pub use busyhour_peer::Messages;

use super::root;

/// One run of sipp; it is killed with the test.
pub struct Sipp(busyhour_peer::Sipp);

impl Sipp {
    /// Takes calls on `address` as `agent/tests/sipp/SCENARIO.xml` says, with its traces in `folder`.
    pub async fn start(scenario: &str, address: SocketAddr, folder: &Path) -> Self {
        Self(busyhour_peer::Sipp::serve(&file(scenario), address, folder, &[""; 0]).await)
    }

    /// Calls `number` at an agent as `agent/tests/sipp/SCENARIO.xml` says.
    pub fn call(scenario: &str, agent: &str, number: &str, folder: &Path) -> Self {
        let agent = agent.parse().expect("an address");
        let one = ["-m", "1", "-s", number];
        Self(busyhour_peer::Sipp::call(&file(scenario), agent, folder, &one))
    }

    /// Waits for its one call, which must have gone as its scenario wants it.
    pub async fn called(self) {
        self.0.verdict().await;
    }

    /// The messages so far.
    pub fn messages(&self) -> Messages {
        self.0.messages()
    }

    /// Lets it end; every call must have gone as its scenario wants it.
    pub async fn verdict(self) -> Messages {
        self.0.take_no_more();
        self.0.verdict().await
    }
}

fn file(scenario: &str) -> PathBuf {
    root().join("agent/tests/sipp").join(scenario).with_extension("xml")
}
