//! How late dispatches are at 100,000 a second, one a second of each of 100,000 tenants, every intent durable.
//!
//! Each tenant has a batch that begins at an instant of its own, ten microseconds after that of the tenant before, and a
//! throttle of one call a second. The controller's own ticker wakes its own machine on its own log; late is what is handed
//! on towards the agents, which is after its intent is durable, later than its instant on the grid.

#[path = "../core/benches/house/mod.rs"]
#[allow(dead_code, reason = "each benchmark uses its part")]
mod house;
#[path = "../src/machine.rs"]
#[allow(dead_code, reason = "what the API asks of it")]
mod machine;
#[allow(dead_code, reason = "each benchmark uses its part")]
mod support;
#[path = "../src/ticker.rs"]
#[allow(dead_code, unused_imports, reason = "its own tests run elsewhere")]
mod ticker;

use busyhour_base::{Span, Timestamp};
use busyhour_controller::clock;
use busyhour_controller_core::{
    command::{AgentCommand, Command},
    effect::{Effect, Reply},
    spec::{BatchPlan, Carrier},
};
use busyhour_log::{Config, Log};
use house::{House, TENANTS};
use machine::Effects;
use ticker::Ticker;
use tokio::sync::mpsc;

/// Calls of each tenant: the first ones warm up.
const CALLS: u64 = 11;
const WARM_UP: u64 = 1;
const ROUNDS: usize = 2;
/// From one tenant's instant to that of the next.
const PHASE: Span = Span::from_micros(1_000_000 / TENANTS);
/// For the batches to be made before the first begins.
const SETUP: Span = Span::from_secs(12);
/// By how much the controller's machine runs ahead of the clock.
const LEAD: Span = Span::from_millis(10);

// As the controller's own program has it.
#[global_allocator]
static ALLOCATOR: busyhour_controller::memory::Allocator = busyhour_controller::memory::Allocator;

fn main() {
    let (disk_p50, disk_p99) = support::fdatasync_us();
    let behind = |lead| (0..ROUNDS).map(|_| run(lead)).min_by_key(|late| late.p99).expect("rounds");
    let bare = behind(Span::ZERO);
    let led = behind(LEAD);
    let how = format!(
        "{} dispatches at 100,000/s, {TENANTS} tenants x 1/s, as the controller runs: its machine's time is {LEAD} ahead of \
         the clock, so that an intent is durable and its order on its way when it is due; from the due instant to the \
         order after its intent is durable: max {} us, {} decided by each entry. Without the lead: p50 {} us, p99 {} us, \
         max {} us. This disk alone, one write at a time: p50 {disk_p50} us, p99 {disk_p99} us. Calls do not end \
         meanwhile; best of {ROUNDS}",
        (CALLS - WARM_UP) * TENANTS,
        led.max,
        led.in_group,
        bare.p50,
        bare.p99,
        bare.max,
    );
    support::figure("dispatch.lateness_p99_us", led.p99 as f64, ("us", "less"), &how);
}

/// How late dispatches were, in microseconds.
struct Late {
    p50: u64,
    p99: u64,
    max: u64,
    /// Dispatches of a group, in the mean.
    in_group: u64,
}

fn run(lead: Span) -> Late {
    let first = clock::now() + SETUP;
    let (core, waker, asked) = support::core(queued(first).state);
    assert!(clock::now() < first, "this machine is too slow to make the batches in time");
    let dir = tempfile::tempdir().expect("a folder");
    let ahead: fn() -> Timestamp = if lead == Span::ZERO { clock::now } else { clock_ahead };
    let config = Config { snapshot_after_bytes: u64::MAX, ..support::config(dir.path(), ahead) };
    let log = Log::open(config, core).expect("the log opens");
    let to_tick = log.clone();
    let tick = move || to_tick.submit(Command::Tick).is_ok_and(|tick| tick.wait().is_ok());
    let ticker = Ticker::start(waker, ahead, tick).expect("a thread");
    log.machine().read().announce();
    let late = watch(asked, first);
    drop(ticker);
    futures::executor::block_on(log.shutdown());
    late
}

fn clock_ahead() -> Timestamp {
    clock::now() + LEAD
}

/// All batches, one agent and one carrier with room for every call.
fn queued(first: Timestamp) -> House {
    let room = u32::try_from(CALLS * TENANTS).expect("not that many");
    let carriers = vec![Carrier::new("north", room, Span::ZERO)];
    // What is made takes ten microseconds of the machine's time each.
    let mut house = House::new(Timestamp(clock::now().0 - 10_000_000), carriers);
    let up = AgentCommand::Up {
        name: "agent".into(),
        incarnation: 1,
        slots: room,
        fence: 0,
        known: Vec::new(),
    };
    assert!(matches!(house.apply(Command::Agent(up)), Reply::Agent { .. }));
    for tenant in 0..TENANTS {
        let begins = Timestamp(first.0 + tenant * PHASE.0);
        let plan = BatchPlan { not_before: Some(begins), ..BatchPlan::default() };
        house.submit_batch(tenant, tenant * CALLS, CALLS, plan);
    }
    house
}

/// Takes the orders as they come, until all have.
fn watch(mut asked: mpsc::Receiver<Effects>, first: Timestamp) -> Late {
    let counts_from = first + Span::from_secs(WARM_UP);
    let (mut late, mut all, mut groups) = (Vec::new(), 0, 0);
    while all < CALLS * TENANTS {
        let group = asked.blocking_recv().expect("the log goes on");
        let now = clock::now();
        groups += 1;
        for effect in group {
            let Effect::Dial(dial) = effect else { continue };
            all += 1;
            if dial.at >= counts_from {
                late.push(now.since(dial.at).0);
            }
        }
    }
    late.sort_unstable();
    let at = |permille: usize| late[(late.len() - 1) * permille / 1_000];
    let in_group = all / groups;
    eprintln!(
        "p50 {} us, p90 {} us, p99 {} us, p99.9 {} us, max {} us; {in_group} an entry",
        at(500),
        at(900),
        at(990),
        at(999),
        at(1_000)
    );
    Late { p50: at(500), p99: at(990), max: at(1_000), in_group }
}
