//! A whole installation for a test: real processes of the real binary, in a folder of the test's own.

// Each test binary uses its own part of this.
#![allow(dead_code)]

pub mod cli;
pub mod sipp;
pub mod tenant;

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Result;
use busyhour::{
    commands::example,
    demo::{
        self,
        api::{Account, Api},
        connection::Connection,
    },
    stage::Stage,
};
use busyhour_carrier::account::Account as CarrierAccount;
use busyhour_crds::Declared;
use busyhour_simulations::scenario::Scenario;
use serde_json::Value;
use tenant::Tenant;

/// How long a condition is left alone between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(25);
/// How long everything may take to drain once faults have ended.
const DRAINED_WITHIN: Duration = Duration::from_secs(150);

/// The repository's root.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The binary under test.
pub fn binary() -> &'static Path {
    Path::new(env!("CARGO_BIN_EXE_busyhour"))
}

/// Looks until there is something, and fails with `what` when there is nothing in time.
pub async fn until<T>(what: &str, within: Duration, look: impl AsyncFn() -> Option<T>) -> T {
    let look = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    match tokio::time::timeout(within, look).await {
        Ok(found) => found,
        Err(_) => panic!("waited {within:?} for {what}"),
    }
}

/// An installation whose parts are all up.
pub struct Running {
    /// Its processes.
    pub stage: Stage,
    /// Its API.
    pub api: Api,
    /// What was declared at the start.
    pub declared: Declared,
    /// The scenario beside it.
    pub scenario: Scenario,
    batches: Vec<demo::Submitted>,
}

/// Calls of all tenants by where they are.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub queued: u64,
    pub in_progress: u64,
    pub accepted: u64,
}

impl Counts {
    pub fn ended(self) -> u64 {
        self.accepted - self.queued - self.in_progress
    }
}

impl Running {
    /// The scenario `tests/scenarios/SCENARIO`, in the folder `target/tests/NAME`.
    pub async fn start(name: &str, scenario: &str) -> Self {
        Self::start_with(name, scenario, &[]).await
    }

    /// As [`Running::start`], with the tenants' application server for messages, `127.0.0.1:8082` in the documents, at this
    /// address.
    pub async fn start_answered_at(name: &str, scenario: &str, address: SocketAddr) -> Self {
        let from = root().join("tests/scenarios").join(scenario);
        let to = folder(&format!("{name}-example"));
        copy(&from, &to, address).unwrap_or_else(|error| panic!("{error}"));
        let raised = Self::raise(name, &to, None, &[]).await;
        raised.unwrap_or_else(|error| panic!("{error:#}"))
    }

    /// As [`Running::start`], with more flags for the controller.
    pub async fn start_with(name: &str, scenario: &str, controller: &[&str]) -> Self {
        let folder = root().join("tests/scenarios").join(scenario);
        let raised = Self::raise(name, &folder, None, controller).await;
        raised.unwrap_or_else(|error| panic!("{error:#}"))
    }

    /// As [`Running::start`], but the carrier is the test's own affair, at this address.
    pub async fn start_under(name: &str, scenario: &str, carrier: SocketAddr) -> Self {
        let folder = root().join("tests/scenarios").join(scenario);
        let raised = Self::raise(name, &folder, Some(carrier), &[]).await;
        raised.unwrap_or_else(|error| panic!("{error:#}"))
    }

    async fn raise(
        name: &str,
        example_folder: &Path,
        carrier: Option<SocketAddr>,
        controller: &[&str],
    ) -> Result<Self> {
        busyhour::process::prepare_tls();
        let (declared, scenario) = example(example_folder)?;
        let mut stage =
            Stage::set(binary(), example_folder, &folder(name), busyhour_peer::own_ip().into())?;
        let api = match carrier {
            None => demo::raise(&mut stage, &declared, controller).await?,
            Some(address) => {
                stage.use_carrier_at(address);
                demo::raise_under_carrier(&mut stage, &declared, controller).await?
            }
        };
        Ok(Self { stage, api, declared, scenario, batches: Vec::new() })
    }

    /// Submits and starts every batch of the scenario.
    pub async fn submit_all(&mut self) {
        for batch in &self.scenario.batches {
            let submitted = demo::submit(&self.api, &self.stage, &self.declared, batch).await;
            self.batches.push(submitted.unwrap_or_else(|error| panic!("{error:#}")));
        }
    }

    /// Starts agent number `n` (again).
    pub async fn start_agent(&mut self, n: u32) {
        demo::start_agent(&mut self.stage, &self.declared, n)
            .await
            .unwrap_or_else(|error| panic!("{error:#}"));
    }

    /// How many calls of a tenant were accepted.
    pub fn submitted(&self, tenant: &str) -> u64 {
        self.batches.iter().filter(|batch| batch.tenant == tenant).map(|batch| batch.accepted).sum()
    }

    /// Where the calls are, over all tenants.
    pub async fn counts(&self) -> Result<Counts> {
        let overview = self.api.overview().await?;
        let mut counts = Counts::default();
        for tenant in overview["tenants"].as_array().into_iter().flatten() {
            let number = |field: &str| tenant["counts"][field].as_u64().unwrap_or_default();
            counts.queued += number("queued");
            counts.in_progress += number("in_progress");
            counts.accepted += number("accepted");
        }
        Ok(counts)
    }

    /// Waits until every batch is over and the carrier has all channels free, and gives each tenant's results.
    pub async fn drained(&mut self) -> BTreeMap<String, Vec<Value>> {
        until("every batch to be over", DRAINED_WITHIN, async || {
            for batch in &self.batches {
                let now = self.api.batch(&batch.account, &batch.sid).await.ok()?;
                if now["status"] != "completed" {
                    return None;
                }
            }
            Some(())
        })
        .await;
        until("the carrier's channels to be free", DRAINED_WITHIN, async || {
            (self.carrier_account().await.channels.current == 0).then_some(())
        })
        .await;
        self.stage.check().unwrap_or_else(|error| panic!("{error:#}"));
        let mut results = BTreeMap::<String, Vec<Value>>::new();
        for batch in &self.batches {
            let lines = self.api.results(&batch.account, &batch.sid).await;
            let lines = lines.unwrap_or_else(|error| panic!("{error:#}"));
            results.entry(batch.tenant.clone()).or_default().extend(lines);
        }
        results
    }

    /// The carrier's own account.
    pub async fn carrier_account(&self) -> CarrierAccount {
        let url = format!("http://{}/account", self.stage.address("carrier.account").unwrap());
        let account = self.api.get(&url).await.unwrap_or_else(|error| panic!("{error:#}"));
        serde_json::from_value(account).expect("the carrier's account has its shape")
    }

    /// A tenant's account at the API.
    pub fn account(&self, tenant: &str) -> Account {
        let tenant = &self.declared.tenants[tenant];
        Account { sid: tenant.spec.account.to_string(), token: tenant.token.reveal().to_owned() }
    }

    /// A tenant as a client.
    pub fn tenant(&self, name: &str) -> Tenant {
        Tenant::new(self.api.base(), self.account(name))
    }

    /// Everything that a program needs to use it.
    pub fn connection(&self) -> Connection {
        Connection::new(&self.stage, &self.declared).unwrap_or_else(|error| panic!("{error:#}"))
    }

    /// Ends every part.
    pub async fn end(self) {
        self.stage.end().await;
    }
}

/// Copies a scenario, with the address of the application server for messages.
fn copy(from: &Path, to: &Path, address: SocketAddr) -> std::io::Result<()> {
    std::fs::create_dir_all(to)?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to, address)?;
        } else {
            let text = std::fs::read_to_string(entry.path())?;
            std::fs::write(to, text.replace("127.0.0.1:8082", &address.to_string()))?;
        }
    }
    Ok(())
}

/// A folder of the test's own.
pub fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// How many calls ended for each reason.
pub fn outcomes_by_reason(results: &BTreeMap<String, Vec<Value>>) -> BTreeMap<String, u64> {
    let mut counts = BTreeMap::new();
    for line in results.values().flatten() {
        let reason = line["reason"].as_str().expect("a result has a reason");
        *counts.entry(reason.to_owned()).or_default() += 1;
    }
    counts
}
