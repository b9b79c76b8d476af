//! sipp (Debian `sip-tester`) as an independent carrier: it takes calls by a scenario of its own, on a port that
//! outlives it.

use std::{
    collections::BTreeSet,
    fs,
    net::{SocketAddr, UdpSocket},
    path::PathBuf,
    process::Stdio,
    sync::atomic::{AtomicU16, Ordering},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use super::{root, until};

/// How long it may take to come up, and to end when nothing is left to do.
const PATIENCE: Duration = Duration::from_secs(20);
/// It ends by itself after this, whatever becomes of the test.
const BOUND: &str = "120s";

/// From one address to the next: sipp binds its media port and the second one after it, and gives up if one is taken.
const PORTS_EACH: u16 = 4;

/// A carrier's address, free now and kept out of the range that the system gives out.
pub fn address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let first = 22_000 + (std::process::id() % 500) as u16 * 16;
    let next = || first + NEXT.fetch_add(PORTS_EACH, Ordering::Relaxed);
    let free = |port| UdpSocket::bind(("127.0.0.1", port)).is_ok();
    (0..500)
        .map(|_| next())
        .find(|port| free(*port) && free(port + 2))
        .map(|port| SocketAddr::from(([127, 0, 0, 1], port)))
        .expect("a free port")
}

/// One run of sipp; it is killed with the test.
pub struct Sipp {
    scenario: String,
    folder: PathBuf,
    child: Child,
}

impl Sipp {
    /// Takes calls on `address` as `agent/tests/sipp/SCENARIO.xml` says, with its traces in `folder`.
    pub async fn start(scenario: &str, address: SocketAddr, folder: PathBuf) -> Self {
        fs::create_dir_all(&folder).unwrap();
        let file = root().join("agent/tests/sipp").join(scenario).with_extension("xml");
        let media = self::address().port();
        let mut child = Command::new("sipp")
            .args(["-sf".as_ref(), file.as_os_str()])
            .args(["-i", "127.0.0.1", "-p", &address.port().to_string()])
            .args(["-mi", "127.0.0.1", "-mp", &media.to_string(), "-nostdin"])
            .args(["-timeout", BOUND, "-trace_err", "-error_file", "errors.log"])
            .args(["-trace_msg", "-message_file", "messages.log"])
            .current_dir(&folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("sipp is installed (package sip-tester)");
        let local = format!(" 0100007F:{:04X} ", address.port());
        let listening = until("sipp to listen", PATIENCE, async || {
            fs::read_to_string("/proc/net/udp").ok()?.contains(&local).then_some(())
        });
        tokio::select! {
            () = listening => {}
            ended = child.wait() => {
                let errors = fs::read_to_string(folder.join("errors.log")).unwrap_or_default();
                panic!("sipp {scenario} did not start: {ended:?}\n{errors}");
            }
        }
        Self { scenario: scenario.to_owned(), folder, child }
    }

    /// Calls `number` at an agent as `agent/tests/sipp/SCENARIO.xml` says.
    pub fn call(scenario: &str, agent: &str, number: &str, folder: PathBuf) -> Self {
        fs::create_dir_all(&folder).unwrap();
        let file = root().join("agent/tests/sipp").join(scenario).with_extension("xml");
        let (own, media) = (self::address().port(), self::address().port());
        let child = Command::new("sipp")
            .args([agent, "-s", number, "-m", "1"])
            .args(["-sf".as_ref(), file.as_os_str()])
            .args(["-i", "127.0.0.1", "-p", &own.to_string()])
            .args(["-mi", "127.0.0.1", "-mp", &media.to_string(), "-nostdin"])
            .args(["-timeout", BOUND, "-timeout_error", "-trace_err", "-error_file", "errors.log"])
            .args(["-trace_msg", "-message_file", "messages.log"])
            .current_dir(&folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("sipp is installed (package sip-tester)");
        Self { scenario: scenario.to_owned(), folder, child }
    }

    /// Waits for its one call, which must have gone as its scenario wants it.
    pub async fn called(mut self) {
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        let status = status.expect("its call ends").unwrap();
        let read = |name| fs::read_to_string(self.folder.join(name)).unwrap_or_default();
        let (errors, messages) = (read("errors.log"), read("messages.log"));
        assert!(status.success(), "sipp {}: {status}\n{errors}\n{messages}", self.scenario);
    }

    /// The messages so far.
    pub fn messages(&self) -> Messages {
        Messages::read(&fs::read_to_string(self.folder.join("messages.log")).unwrap_or_default())
    }

    /// Lets it end; every call must have gone as its scenario wants it.
    pub async fn verdict(mut self) -> Messages {
        let pid = self.child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        kill_process(pid.expect("sipp still runs"), Signal::USR1).unwrap();
        let status = tokio::time::timeout(PATIENCE, self.child.wait()).await;
        let status = status.expect("sipp has no call left and ends").unwrap();
        let errors = fs::read_to_string(self.folder.join("errors.log")).unwrap_or_default();
        assert!(status.success(), "sipp {}: {status}\n{errors}", self.scenario);
        self.messages()
    }
}

/// What sipp received, as it wrote it down.
#[derive(Debug)]
pub struct Messages {
    requests: Vec<Request>,
}

#[derive(Debug)]
struct Request {
    method: String,
    call_id: String,
    branch: String,
}

impl Messages {
    fn read(trace: &str) -> Self {
        // Each message follows a line of dashes with the time, a line with its direction, and an empty line.
        let received = trace.split("\n-----").filter_map(|part| {
            let (head, message) = part.split_once("\n\n")?;
            head.contains("message received").then_some(message)
        });
        Self { requests: received.filter_map(Request::read).collect() }
    }

    /// How often a request of this method came, repeats included.
    pub fn count(&self, method: &str) -> usize {
        self.requests.iter().filter(|request| request.method == method).count()
    }

    /// Transactions begun by this method: requests without their repeats.
    pub fn transactions(&self, method: &str) -> usize {
        let of = self.requests.iter().filter(|request| request.method == method);
        of.map(|request| (&request.call_id, &request.branch)).collect::<BTreeSet<_>>().len()
    }

    /// Calls that anything was heard of.
    pub fn calls(&self) -> usize {
        self.requests.iter().map(|request| &request.call_id).collect::<BTreeSet<_>>().len()
    }

    /// The methods in the order in which each was first seen.
    pub fn methods(&self) -> Vec<&str> {
        let mut methods = Vec::new();
        for request in &self.requests {
            if !methods.contains(&request.method.as_str()) {
                methods.push(request.method.as_str());
            }
        }
        methods
    }
}

impl Request {
    fn read(message: &str) -> Option<Self> {
        let (line, headers) = message.split_once('\n')?;
        let method = line.split_once(" sip:")?.0.to_owned();
        let header = |name: &str| {
            let of = headers.lines().filter_map(|line| line.split_once(':'));
            let mut of = of.filter(|(field, _)| field.eq_ignore_ascii_case(name));
            of.next().map(|(_, value)| value.trim())
        };
        let branch = header("Via")?.split("branch=").nth(1)?;
        let branch = branch.split(';').next()?.to_owned();
        Some(Self { method, call_id: header("Call-ID")?.to_owned(), branch })
    }
}
