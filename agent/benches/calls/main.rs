//! What calls cost an agent: CPU and memory of calls that are up, and CPU of setting calls up and taking them down.
//!
//! This process runs the agent and nothing else. Its carrier and its controller are another process (the same program,
//! told to be the [`peer`]), so what they use is not counted.

#[path = "../../tests/common/mod.rs"]
mod common;
mod peer;

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use busyhour_agent::Options;
use rustix::time::{ClockId, clock_gettime};
use tokio_util::sync::CancellationToken;

/// Calls that are up at once.
const UP: u32 = 300;
/// How long they are watched.
const WATCH: Duration = Duration::from_secs(10);
/// Calls set up and taken down.
const SET_UPS: u32 = 20_000;
/// Of these under way at once.
const AT_ONCE: u32 = 100;

fn main() {
    if std::env::args().nth(1).as_deref() == Some("peer") {
        return peer::run();
    }
    let folder = tempfile::tempdir().expect("a folder");
    let mut peer = Peer::start();
    let mut options =
        Options::new("agent-1", &peer.controller, common::TOKEN, folder.path().into());
    options.slots = 1_000;
    options.media_threads = 1;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .expect("a runtime");
    let agent = runtime.spawn(busyhour_agent::run(options, |_| {}, CancellationToken::new()));
    peer.wait_for("linked");
    set_ups(&mut peer, 200);
    concurrent(&mut peer);
    answered(&mut peer);
    agent.abort();
}

fn concurrent(peer: &mut Peer) {
    let before = resident_kib();
    peer.say(&format!("up {UP}"));
    peer.wait_for("up");
    let (cpu, clock) = (cpu(), Instant::now());
    std::thread::sleep(WATCH);
    let used = (self::cpu() - cpu).as_secs_f64() / clock.elapsed().as_secs_f64();
    let ram_kib = (resident_kib().saturating_sub(before)) as f64 / f64::from(UP);
    peer.say("down");
    let packets = peer.wait_for("down");
    eprintln!("{UP} calls used {:.1} % of a core; {packets}", used * 100.0);
    let how = format!(
        "{UP} calls up for {} s, G.711 both ways over loopback, every one playing speech; the agent's own CPU \
         time, extrapolated in proportion; carrier and controller in another process",
        WATCH.as_secs()
    );
    figure("call.concurrent_per_core", f64::from(UP) / used, "calls", "more", &how);
    let how = format!(
        "growth of resident memory from none to {UP} calls, per call, without the kernel's sockets"
    );
    figure("call.ram_kib", ram_kib, "KiB", "less", &how);
}

fn answered(peer: &mut Peer) {
    let (cpu, clock) = (cpu(), Instant::now());
    set_ups(peer, SET_UPS);
    let (used, took) = ((self::cpu() - cpu).as_secs_f64(), clock.elapsed().as_secs_f64());
    eprintln!("{SET_UPS} calls took {took:.1} s and {used:.1} s of CPU");
    let how = format!(
        "{SET_UPS} calls, {AT_ONCE} at once: order, journal synced, INVITE, 180, 200, ACK, document, BYE, reports; \
         per second of the agent's CPU time; {:.0}/s in all on this machine",
        f64::from(SET_UPS) / took
    );
    figure("call.answered_per_core", f64::from(SET_UPS) / used, "calls/s", "more", &how);
}

fn set_ups(peer: &mut Peer, calls: u32) {
    peer.say(&format!("rate {calls} {AT_ONCE}"));
    peer.wait_for("done");
}

fn figure(id: &str, value: f64, unit: &str, better: &str, how: &str) {
    println!(
        concat!(
            r#"{{"id":"{}","value":{:.1},"unit":"{}","better":"{}","#,
            r#""peer":null,"peer_value":null,"ratio":null,"how":"{}"}}"#
        ),
        id, value, unit, better, how,
    );
}

fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.cast_unsigned(), u32::try_from(time.tv_nsec).unwrap_or(0))
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// The process of carrier and controller.
struct Peer {
    controller: String,
    child: Child,
    orders: ChildStdin,
    words: BufReader<ChildStdout>,
}

impl Peer {
    fn start() -> Self {
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .arg("peer")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the peer starts");
        let orders = child.stdin.take().expect("piped");
        let words = BufReader::new(child.stdout.take().expect("piped"));
        let mut peer = Self { controller: String::new(), child, orders, words };
        peer.controller = peer.wait_for("controller");
        peer
    }

    fn say(&mut self, order: &str) {
        writeln!(self.orders, "{order}").expect("the peer listens");
    }

    /// The rest of the line that begins with `word`.
    fn wait_for(&mut self, word: &str) -> String {
        let mut line = String::new();
        self.words.read_line(&mut line).expect("the peer speaks");
        let rest = line.strip_prefix(word).unwrap_or_else(|| panic!("{line:?} instead of {word}"));
        rest.trim().to_owned()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
