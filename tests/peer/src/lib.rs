//! sipp (Debian `sip-tester`) as an independent peer of a test, on an address of its own, so that no port of it is ever
//! another's.

mod messages;
mod stranger;

use std::{
    ffi::OsStr,
    fs,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4},
    path::{Path, PathBuf},
    process::Stdio,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    process::{Child, Command},
    time::{sleep, timeout},
};

pub use messages::Messages;
pub use stranger::{Stranger, status_for};

/// How long it may take to come up, and to end. Only a failure lasts so long, however slow the machine.
const PATIENCE: Duration = Duration::from_secs(60);
/// It ends by itself after this, whatever becomes of the test.
const BOUND: &str = "180s";
/// Between two looks whether it listens.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Where it takes audio; it takes some of the ports after it as well.
const MEDIA_PORT: u16 = 6_000;
const SIP_PORT: u16 = 5_060;

/// A loopback address that was not given before in this process, and is given in no other that runs now: all of 127.0.0.0/8 is
/// this machine (RFC 1122, 3.2.1.3), and its upper half is shared out by process, so that ports on it need no luck.
pub fn own_ip() -> Ipv4Addr {
    const EACH: u32 = 128;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Neither the first nor the last of them: the very last address of all is for broadcasts.
    let number = 1 + NEXT.fetch_add(1, Ordering::Relaxed) % (EACH - 2);
    let process = std::process::id() & 0xFFFF;
    Ipv4Addr::from_bits(0x7F80_0000 | (process * EACH) | number)
}

/// An address for SIP, free until a test uses it.
pub fn own_address() -> SocketAddr {
    SocketAddrV4::new(own_ip(), SIP_PORT).into()
}

/// One run of sipp; it is killed with the test.
pub struct Sipp {
    /// Where it is.
    pub address: SocketAddr,
    scenario: PathBuf,
    folder: PathBuf,
    child: Child,
}

impl Sipp {
    /// Takes calls at `address`, an [`own_address`], as the file says, and listens when this returns. Its traces are in
    /// `folder`.
    ///
    /// # Panics
    /// If it does not come up.
    pub async fn serve<A: AsRef<OsStr>>(
        scenario: &Path,
        address: SocketAddr,
        folder: &Path,
        more: &[A],
    ) -> Self {
        let mut sipp = Self::start(scenario, address, folder, more);
        let SocketAddr::V4(v4) = address else { panic!("{address} is not an IPv4 address") };
        let ip = u32::from_ne_bytes(v4.ip().octets());
        let local = format!(" {ip:08X}:{:04X} ", address.port());
        let listening = async {
            while !fs::read_to_string("/proc/net/udp").is_ok_and(|sockets| sockets.contains(&local))
            {
                sleep(LOOK_EVERY).await;
            }
        };
        let problem = tokio::select! {
            listening = timeout(PATIENCE, listening) => listening.err().map(|late| late.to_string()),
            ended = sipp.child.wait() => Some(format!("{ended:?}")),
        };
        if let Some(problem) = problem {
            panic!(
                "sipp {} did not start: {problem}\n{}",
                scenario.display(),
                sipp.read("errors.log")
            );
        }
        sipp
    }

    /// Calls in at `agent` as the file says, from an address of its own.
    ///
    /// # Panics
    /// If sipp cannot be started.
    pub fn call<A: AsRef<OsStr>>(
        scenario: &Path,
        agent: SocketAddr,
        folder: &Path,
        more: &[A],
    ) -> Self {
        let agent = agent.to_string();
        let more: Vec<_> =
            [agent.as_ref()].into_iter().chain(more.iter().map(AsRef::as_ref)).collect();
        Self::start(scenario, own_address(), folder, &more)
    }

    fn start<A: AsRef<OsStr>>(
        scenario: &Path,
        address: SocketAddr,
        folder: &Path,
        more: &[A],
    ) -> Self {
        fs::create_dir_all(folder).expect("a folder for its traces");
        let (ip, port) = (address.ip().to_string(), address.port().to_string());
        let child = Command::new("sipp")
            .args(more)
            .args(["-sf".as_ref(), scenario.as_os_str()])
            .args(["-i", &ip, "-p", &port, "-mi", &ip, "-mp", &MEDIA_PORT.to_string(), "-nostdin"])
            .args(["-timeout", BOUND, "-timeout_error", "-trace_err", "-error_file", "errors.log"])
            .args(["-trace_msg", "-message_file", "messages.log"])
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("sipp is installed (package sip-tester)");
        let (scenario, folder) = (scenario.to_owned(), folder.to_owned());
        Self { address, scenario, folder, child }
    }

    /// Waits for its end; every call must have gone as its scenario wants it. The messages as it saw them.
    ///
    /// # Panics
    /// If a call went otherwise, or it does not end.
    pub async fn verdict(mut self) -> Messages {
        let status = timeout(PATIENCE, self.child.wait()).await;
        let (scenario, errors, messages) =
            (self.scenario.display(), self.read("errors.log"), self.messages());
        let status = match status {
            Ok(status) => status.expect("it is a child of this process"),
            Err(late) => panic!("sipp {scenario}: {late}\n{errors}\n{}", messages.text),
        };
        assert!(status.success(), "sipp {scenario}: {status}\n{errors}\n{}", messages.text);
        messages
    }

    /// Tells it to take no more calls.
    ///
    /// # Panics
    /// If it has ended.
    pub fn take_no_more(&self) {
        let pid = self.child.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        kill_process(pid.expect("sipp still runs"), Signal::USR1).expect("it can be told");
    }

    /// The messages so far.
    pub fn messages(&self) -> Messages {
        Messages::read(self.read("messages.log"))
    }

    /// One of its traces, so far.
    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.folder.join(name)).unwrap_or_default()
    }
}
