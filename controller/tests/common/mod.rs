//! A controller in this process, on a folder of its own, and what speaks to it over its real ports.
#![allow(dead_code, reason = "each test file uses its part")]

pub mod agent;
pub mod http;

use std::{
    collections::BTreeSet,
    future::Future,
    os::unix::fs::DirEntryExt,
    path::{Path, PathBuf},
    time::Duration,
};

use busyhour_base::Span;
use busyhour_controller::{Options, Ready, RunError, run};
use busyhour_protocol::Secret;
use tokio::{sync::oneshot, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// The bound on waiting for anything: generous, since machines stall; a condition that holds is seen at once.
pub const WAIT: Duration = Duration::from_secs(60);

pub const CLUSTER_TOKEN: &str = "cluster-token-for-tests";

/// The tenant of [`DECLARATION`].
pub const ACCOUNT: &str = "AC11111111111111111111111111111111";
pub const TOKEN: &str = "tenant-token-for-tests";

/// One tenant that is spaced by nothing, one wide carrier.
pub const DECLARATION: &str = r#"
apiVersion: busyhour.dev/v1alpha1
kind: Carrier
metadata: {name: north}
spec:
  address: 127.0.0.1:5999
  username: busyhour
  password: trunk-password-for-tests
  channels: 100
  callsPerSecond: 1000
  quarantineSeconds: 5
  inbound: {networks: [127.0.0.1/32], authenticate: true}
---
apiVersion: busyhour.dev/v1alpha1
kind: Tenant
metadata: {name: acme}
spec:
  account: AC11111111111111111111111111111111
  authToken: tenant-token-for-tests
  allowedDestinations: ["+"]
---
apiVersion: busyhour.dev/v1alpha1
kind: Number
metadata: {name: desk}
spec: {number: "+15550100001", tenant: acme, application: desk, ringFor: 2s}
---
apiVersion: busyhour.dev/v1alpha1
kind: Application
metadata: {name: desk}
spec:
  tenant: acme
  sid: AP11111111111111111111111111111111
  voice: {url: "http://127.0.0.1:1/desk.xml", fallbackUrl: "http://127.0.0.1:1/sorry.xml"}
  statusCallback: {url: "http://127.0.0.1:1/status", events: [answered, completed]}
---
apiVersion: busyhour.dev/v1alpha1
kind: Pool
metadata: {name: routers}
spec: {role: Router, agents: 1, slotsPerAgent: 100, allowedNetworks: ["127.0.0.0/8"]}
"#;

/// Folders that outlive controllers.
pub struct House {
    dir: tempfile::TempDir,
    pub agent_grace: Span,
}

impl House {
    pub fn new() -> Self {
        Self::declaring(DECLARATION)
    }

    pub fn declaring(yaml: &str) -> Self {
        let house = Self { dir: tempfile::tempdir().unwrap(), agent_grace: Options::AGENT_GRACE };
        std::fs::create_dir(house.declarations()).unwrap();
        house.declare("all.yaml", yaml);
        house
    }

    /// The folders as they are on the disk at this moment, as a killed controller would leave them.
    ///
    /// A file that is renamed or removed under the copier's hands makes a picture of no moment at all: it is taken again.
    pub fn copy(&self) -> Self {
        for _ in 0..100 {
            let copy = Self { dir: tempfile::tempdir().unwrap(), agent_grace: self.agent_grace };
            let before = listing(self.dir.path());
            let copied = copy_folder(self.dir.path(), copy.dir.path());
            if copied.is_ok() && listing(self.dir.path()) == before {
                return copy;
            }
        }
        panic!("the files of {} never stay as they are for one copy", self.dir.path().display());
    }

    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub fn declarations(&self) -> PathBuf {
        self.dir.path().join("declarations")
    }

    /// Writes a document as an operator's editor would: whole, by renaming.
    pub fn declare(&self, name: &str, yaml: &str) {
        let fresh = self.dir.path().join("fresh");
        std::fs::write(&fresh, yaml).unwrap();
        std::fs::rename(fresh, self.declarations().join(name)).unwrap();
    }

    pub fn options(&self) -> Options {
        Options {
            data: self.data(),
            declarations: self.declarations(),
            api: "127.0.0.1:0".parse().unwrap(),
            grpc: "127.0.0.1:0".parse().unwrap(),
            cluster_token: Secret::new(CLUSTER_TOKEN),
            operator_token: Some(Secret::new("operator-token-for-tests")),
            agent_grace: self.agent_grace,
        }
    }

    pub async fn start(&self) -> Running {
        let stop = CancellationToken::new();
        let (tell, told) = oneshot::channel();
        let ready = move |ready| tell.send(ready).unwrap();
        let mut task = tokio::spawn(run(self.options(), ready, stop.clone()));
        tokio::select! {
            ready = told => Running { ready: ready.unwrap(), stop, task },
            ended = &mut task => panic!("the controller did not start: {ended:?}"),
        }
    }
}

/// A controller that is up.
pub struct Running {
    pub ready: Ready,
    stop: CancellationToken,
    task: JoinHandle<Result<(), RunError>>,
}

impl Running {
    pub async fn stop(self) {
        self.stop.cancel();
        let ended = tokio::time::timeout(WAIT, self.task).await;
        ended.expect("it stops in time").unwrap().unwrap();
    }
}

/// Asks again until the answer is some, within [`WAIT`].
pub async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut ask: impl FnMut() -> F,
) -> T {
    let asked = async {
        loop {
            if let Some(answer) = ask().await {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let answer = tokio::time::timeout(WAIT, asked).await;
    answer.unwrap_or_else(|_| panic!("never came: {what}"))
}

/// The async runtime of a benchmark.
pub fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().build().expect("a runtime")
}

/// Waits for what must come, within [`WAIT`].
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    let done = tokio::time::timeout(WAIT, future).await;
    done.unwrap_or_else(|_| panic!("never came: {what}"))
}

fn copy_folder(from: &Path, to: &Path) -> std::io::Result<()> {
    let mut entries = std::fs::read_dir(from)?.collect::<std::io::Result<Vec<_>>>()?;
    // A message is in the log before it is in its carrier's account. The copy must have it so, too.
    entries.sort_by_key(|entry| entry.file_name() != "message-carriers");
    for entry in entries {
        let to = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            std::fs::create_dir(&to)?;
            copy_folder(&entry.path(), &to)?;
        } else {
            std::fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}

/// Every file under a folder, with the inode that tells a file from another one of the same name.
fn listing(folder: &Path) -> BTreeSet<(PathBuf, u64)> {
    let mut all = BTreeSet::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            all.extend(listing(&path));
        }
        all.insert((path, entry.ino()));
    }
    all
}

/// Every byte of every file under a folder.
pub fn contents(folder: &Path) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            all.extend(contents(&path));
        } else {
            all.extend(std::fs::read(path).unwrap());
        }
    }
    all
}

/// [`DECLARATION`] with a carrier that takes messages, behaving like this, and a number that may send a hundred a second.
pub fn declaring_messages(in_process: &str) -> String {
    let carrier = format!(
        "  quarantineSeconds: 5\n  messages: {{outboundChannels: 50, segmentsPerSecond: 100, inProcess: {{{in_process}}}}}\n"
    );
    let number = "ringFor: 2s, messages: {throttle: {segmentsPerSecond: 100}}}";
    let declared = DECLARATION.replace("  quarantineSeconds: 5\n", &carrier);
    let paced = declared.replace("ringFor: 2s}", number);
    assert!(declared != DECLARATION && paced != declared, "the declaration has other words");
    paced
}
