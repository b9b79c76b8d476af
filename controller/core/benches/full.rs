//! Decisions per second and core at full size with every rule on, beside a bare heap of as many due times; and how fair the
//! weighted order is under overload.
//!
//! One JSON object per line on stdout, the profile of what was measured on stderr.
#![expect(clippy::disallowed_macros, reason = "a benchmark prints")]
#![expect(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a benchmark starts itself anew, for huge pages"
)]

use std::{
    cmp::Reverse, collections::BinaryHeap, env, hint::black_box,
    os::unix::process::CommandExt as _, process::Command,
};

use busyhour_base::Reason;
use busyhour_controller_core::{
    engine::{
        Channel, Engine, Event, Start,
        caps::Window,
        gate::{GateLimits, Scope},
        lanes::{Asked, LaneKey, TenantLimits},
        ledger::{Contract, shares::Terms},
        order::Floors,
        policy::Standing,
    },
    spec::OrderPolicy,
};
use rustix::time::{ClockId, clock_gettime};

const TENANTS: u32 = 100_000;
const QUEUED: u32 = 10_000_000;
const DECISIONS: u64 = 5_000_000;
const ROUNDS: usize = 3;
const SECOND_US: u64 = 1_000_000;
const TICK_US: u64 = 1_000;
const CARRIERS: u32 = 4;
const ASKED: Asked = Asked { number: 0, units: 1 };

fn main() {
    prefer_huge_pages();
    let mut engine = Machine::new();
    let (mut full, mut bare, mut lines) = (0.0_f64, 0.0_f64, 0.0_f64);
    let mut heap = heap();
    let mut table = table(engine.engine.bytes());
    for _ in 0..ROUNDS {
        full = full.max(engine.decisions());
        bare = bare.max(pops(&mut heap));
        lines = lines.max(touches(&mut table));
    }
    eprintln!("engine, every rule: {full:.0} decisions/s, {} held", engine.held);
    eprintln!("heap of {QUEUED}:   {bare:.0} pops and pushes/s");
    eprintln!(
        "memory alone:       {lines:.0}/s for {LINES} random lines of {} MB",
        table.len() * size_of::<MemoryLine>() / 1_000_000
    );
    println!(
        concat!(
            r#"{{"id":"engine.full_decisions_per_core","value":{:.0},"unit":"decisions/s","better":"more","#,
            r#""peer":"std BinaryHeap of the due times of all queued calls, no rules","peer_value":{:.0},"ratio":{:.2},"#,
            r#""how":"{} tenants, {} queued; weighted order with a floor, 2 urgencies, throttles and caps of tenants and numbers, shares, {} carriers with set-up rates, least-loaded of 8 workers, ending and requeue of each; ticks of 1 ms; huge pages for both; memory alone, for {} random lines each: {:.0}/s; CPU time, best of {} runs of {} decisions"}}"#
        ),
        full,
        bare,
        full / bare,
        TENANTS,
        QUEUED,
        CARRIERS,
        LINES,
        lines,
        ROUNDS,
        DECISIONS,
    );
    let jain = jain();
    println!(
        concat!(
            r#"{{"id":"fairness.jain","value":{:.5},"unit":"","better":"more","peer":"equal parts","peer_value":1,"ratio":{:.5},"#,
            r#""how":"1,000 tenants of weights 1 to 10 that ask for twice their parts of 200 channels, ten virtual minutes"}}"#
        ),
        jain, jain,
    );
}

/// Starts this program anew with huge pages, which the controller's own has from its allocator, unless the environment says
/// otherwise. The peer has them too.
fn prefer_huge_pages() {
    const TUNABLES: &str = "GLIBC_TUNABLES";
    if env::var_os(TUNABLES).is_none() {
        let program = env::current_exe().expect("this program's path");
        let error = Command::new(program).env(TUNABLES, "glibc.malloc.hugetlb=1").exec();
        panic!("this program, started anew: {error}");
    }
}

/// A spacing for each tenant, around a second, so that due times do not fall together.
fn spacing(tenant: u32) -> u64 {
    SECOND_US - 50_000 + u64::from(tenant.wrapping_mul(2_654_435_761) % 100_000)
}

/// An engine with every rule on.
struct Machine {
    engine: Engine,
    now: u64,
    held: u64,
}

impl Machine {
    fn new() -> Self {
        let mut engine = Engine::default();
        // The carriers' rates and channels are a little more than what the tenants' throttles let through.
        for _ in 0..CARRIERS {
            engine.add_carrier(Contract::both(TENANTS, 30));
        }
        for _ in 0..8 {
            let worker = engine.add_worker();
            engine.change_worker(worker, |worker| (worker.slots, worker.open) = (100_000, true));
        }
        engine.set_policy(OrderPolicy::Weighted, |_| 0);
        engine.set_floors(Floors([0, 0, 50]));
        let lanes: Vec<_> = (0..TENANTS).map(|id| lanes_of(&mut engine, id)).collect();
        for request in 0..QUEUED {
            let lanes = lanes[(request % TENANTS) as usize];
            // One in ten is synchronous.
            let lane = lanes[usize::from(!(request / TENANTS).is_multiple_of(10))];
            engine.push_back(lane, request, ASKED, Reason::Ready);
        }
        let mut machine = Self { engine, now: 0, held: 0 };
        machine.run(DECISIONS / 5);
        machine
    }

    /// Decisions a second of processor time.
    fn decisions(&mut self) -> f64 {
        let begun = cpu_seconds();
        self.run(DECISIONS);
        DECISIONS as f64 / (cpu_seconds() - begun)
    }

    fn run(&mut self, decisions: u64) {
        let mut made = 0;
        while made < decisions {
            self.now += TICK_US;
            while let Some(event) = self.engine.next(self.now) {
                let Event::Start(start) = event else { continue };
                let Start { lane, carrier, worker, request, held_by, .. } = start;
                self.engine.finished(lane, carrier, worker, Channel::Free, Some(1), true);
                self.engine.push_back(lane, request, ASKED, Reason::Ready);
                self.held += u64::from(held_by != Reason::Ready);
                made += 1;
            }
        }
    }
}

/// A tenant with its limits, its number, and a lane of each urgency.
fn lanes_of(engine: &mut Engine, id: u32) -> [u32; 2] {
    let tenant = engine.add_tenant(TenantLimits {
        calls: GateLimits {
            spacing: spacing(id),
            windows: vec![
                Window { count: 2, length: SECOND_US },
                Window { count: 100, length: 60 * SECOND_US },
            ],
            concurrent: None,
        },
        standing: Standing { weight: 1 + id % 10, plan: 0 },
        ..TenantLimits::default()
    });
    engine.set_share(
        tenant,
        0,
        Terms { guaranteed: 1, expected: 2, maximum: 8, ..Terms::default() },
    );
    let number = engine.add_gate(Scope::Number);
    let windows = vec![Window { count: 3, length: 2 * SECOND_US }];
    engine.set_gate(number, GateLimits { spacing: SECOND_US / 2, windows, concurrent: None });
    [1, 2].map(|urgency| engine.add_lane(tenant, LaneKey { urgency, number, ..LaneKey::default() }))
}

fn heap() -> BinaryHeap<Reverse<(u64, u32)>> {
    let due = |id: u32| (u64::from(id / TENANTS) + 1) * spacing(id % TENANTS);
    (0..QUEUED).map(|id| Reverse((due(id), id))).collect()
}

/// Pops and pushes a second of processor time: each request comes due, and stands at the end of its tenant's again.
fn pops(heap: &mut BinaryHeap<Reverse<(u64, u32)>>) -> f64 {
    let begun = cpu_seconds();
    for _ in 0..DECISIONS {
        let Reverse((due, id)) = heap.pop().expect("it never empties");
        let again = due + u64::from(QUEUED / TENANTS) * spacing(id % TENANTS);
        heap.push(Reverse((again, black_box(id))));
    }
    DECISIONS as f64 / (cpu_seconds() - begun)
}

/// Lines of memory that a decision reads and writes at places of its own: of two gates and their caps, a log of instants, three
/// nodes, a share, two chunks of a queue, and where a request is noted.
const LINES: u64 = 12;

/// A cache line.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct MemoryLine(u64);

/// As much memory as the engine has.
fn table(bytes: usize) -> Vec<MemoryLine> {
    vec![MemoryLine(1); bytes / size_of::<MemoryLine>()]
}

/// How often a second of processor time as many lines can be read and written as a decision needs, at random places, if nothing
/// else is done and none waits for another: no more decisions than that can be made here.
fn touches(table: &mut [MemoryLine]) -> f64 {
    let begun = cpu_seconds();
    let (mut place, mut sum) = (88_172_645_463_325_252_u64, 0_u64);
    for _ in 0..DECISIONS * LINES {
        place ^= place << 13;
        place ^= place >> 7;
        place ^= place << 17;
        let line = &mut table[place as usize % table.len()];
        sum = sum.wrapping_add(line.0);
        line.0 = sum;
    }
    black_box(sum);
    DECISIONS as f64 / (cpu_seconds() - begun)
}

/// Jain's index of what the tenants had, each in parts of its weight.
fn jain() -> f64 {
    const TENANTS: u32 = 1_000;
    const CHANNELS: u32 = 200;
    const HOLD_US: u64 = 500_000;
    let weight = |id: u32| 1 + id % 10;
    let weights: u32 = (0..TENANTS).map(weight).sum();
    let rate = f64::from(CHANNELS) / (HOLD_US as f64 / SECOND_US as f64);
    let mut engine = Engine::default();
    engine.add_carrier(Contract::both(CHANNELS, 0));
    let worker = engine.add_worker();
    engine.change_worker(worker, |worker| (worker.slots, worker.open) = (CHANNELS, true));
    engine.set_policy(OrderPolicy::Weighted, |_| 0);
    let mut request = 0;
    for id in 0..TENANTS {
        // A throttle of twice the tenant's part, and always something queued.
        let part = rate * f64::from(weight(id)) / f64::from(weights);
        let calls = GateLimits {
            spacing: (SECOND_US as f64 / (2.0 * part)) as u64,
            ..GateLimits::default()
        };
        let standing = Standing { weight: weight(id), plan: 0 };
        let tenant = engine.add_tenant(TenantLimits { calls, standing, ..TenantLimits::default() });
        let lane = engine.add_lane(tenant, LaneKey::default());
        for _ in 0..2 {
            engine.push_back(lane, request, ASKED, Reason::Ready);
            request += 1;
        }
    }
    let mut had = vec![0_u64; TENANTS as usize];
    let mut ends: BinaryHeap<Reverse<(u64, u32, u32)>> = BinaryHeap::new();
    let mut now = 0;
    while now < 600 * SECOND_US {
        now += TICK_US;
        while ends.peek().is_some_and(|Reverse((at, ..))| *at <= now) {
            let Reverse((_, lane, carrier)) = ends.pop().expect("it was just seen");
            engine.finished(lane, carrier, worker, Channel::Free, Some(HOLD_US), true);
        }
        while let Some(event) = engine.next(now) {
            let Event::Start(start) = event else { continue };
            had[start.request as usize / 2] += 1;
            // Not in step: holding times differ by as much as a half.
            let length = HOLD_US / 2
                + u64::from(start.request.wrapping_mul(2_654_435_761) ^ now as u32) % HOLD_US;
            ends.push(Reverse((now + length, start.lane, start.carrier)));
            engine.push_back(start.lane, start.request, ASKED, Reason::Ready);
        }
    }
    let parts = had.iter().zip(0..).map(|(had, id)| *had as f64 / f64::from(weight(id)));
    let (sum, squares) = parts.fold((0.0, 0.0), |(sum, squares), x| (sum + x, squares + x * x));
    sum * sum / (f64::from(TENANTS) * squares)
}

/// The time that this thread has had a processor for: what others run on it does not count.
fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
