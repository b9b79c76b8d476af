//! Decisions per second and core, with the limits of a busy installation on, beside a bare heap of due times.
//!
//! One JSON object per line on stdout, the profile of what was measured on stderr.
#![expect(clippy::disallowed_macros, reason = "a benchmark prints")]

use std::{cmp::Reverse, collections::BinaryHeap, hint::black_box};

use busyhour_base::Reason;
use busyhour_controller_core::engine::{
    Channel, Engine, Event,
    caps::Window,
    gate::GateLimits,
    lanes::{Asked, LaneKey, TenantLimits},
    ledger::Contract,
};
use rustix::time::{ClockId, clock_gettime};

const TENANTS: u32 = 10_000;
const QUEUED: u32 = 1_000_000;
const DECISIONS: u64 = 10_000_000;
const ROUNDS: usize = 3;
/// Each tenant's own spacing, around 10 a second: tenants are not in step.
const SPACING_US: u64 = 100_000;
const TICK_US: u64 = 1_000;
const ASKED: Asked = Asked { number: 0, units: 1 };

fn main() {
    let (mut capped, mut plain, mut small) = (0.0_f64, 0.0_f64, 0.0_f64);
    for _ in 0..ROUNDS {
        capped = capped.max(decisions(true));
        small = small.max(heap(TENANTS));
        plain = plain.max(decisions(false));
    }
    let large = heap(QUEUED);
    eprintln!("engine, throttles, caps, channels, workers: {capped:.0} decisions/s");
    eprintln!("engine, throttles, channels, workers:       {plain:.0} decisions/s");
    eprintln!("heap of {TENANTS} tenants:                     {small:.0} pops and pushes/s");
    eprintln!("heap of {QUEUED} requests:                  {large:.0} pops and pushes/s");
    println!(
        concat!(
            r#"{{"id":"engine.decisions_per_core","value":{:.0},"unit":"decisions/s","better":"more","#,
            r#""peer":"std BinaryHeap of the tenants' due times, no rules","peer_value":{:.0},"ratio":{:.2},"#,
            r#""how":"{} tenants, {} queued; throttle, cap, fair order, channels, least-loaded of 8 workers, ending and requeue of each; ticks of 1 ms; CPU time, best of {} runs of {} decisions"}}"#
        ),
        capped,
        small,
        capped / small,
        TENANTS,
        QUEUED,
        ROUNDS,
        DECISIONS,
    );
}

/// A spacing for each tenant, so that due times do not fall together.
fn spacing(tenant: u32) -> u64 {
    SPACING_US - 5_000 + u64::from(tenant.wrapping_mul(2_654_435_761) % 10_000)
}

fn decisions(capped: bool) -> f64 {
    let mut engine = Engine::default();
    engine.add_carrier(Contract::both(100_000, 0));
    for _ in 0..8 {
        let worker = engine.add_worker();
        engine.change_worker(worker, |worker| (worker.slots, worker.open) = (10_000, true));
    }
    let lanes: Vec<_> = (0..TENANTS)
        .map(|id| {
            let windows = vec![Window { count: 15, length: 1_000_000 }];
            let tenant = engine.add_tenant(TenantLimits {
                calls: GateLimits {
                    spacing: spacing(id),
                    windows: if capped { windows } else { Vec::new() },
                    concurrent: None,
                },
                ..TenantLimits::default()
            });
            engine.add_lane(tenant, LaneKey::default())
        })
        .collect();
    for request in 0..QUEUED {
        engine.push_back(lanes[(request % TENANTS) as usize], request, ASKED, Reason::Ready);
    }
    let (mut now, mut made) = (0, 0);
    let mut run = |until: u64| {
        while made < until {
            now += TICK_US;
            while let Some(event) = engine.next(now) {
                let Event::Start(start) = event else { continue };
                engine.finished(
                    start.lane,
                    start.carrier,
                    start.worker,
                    Channel::Free,
                    Some(1),
                    true,
                );
                engine.push_back(start.lane, start.request, ASKED, Reason::Ready);
                made += 1;
            }
        }
    };
    run(DECISIONS / 10);
    let begun = cpu_seconds();
    run(DECISIONS / 10 + DECISIONS);
    DECISIONS as f64 / (cpu_seconds() - begun)
}

fn heap(entries: u32) -> f64 {
    let mut heap: BinaryHeap<_> = (0..entries).map(|id| Reverse((u64::from(id), id))).collect();
    let mut run = |pops: u64| {
        for _ in 0..pops {
            let Reverse((due, id)) = heap.pop().expect("it never empties");
            heap.push(Reverse((due + spacing(id % TENANTS), black_box(id))));
        }
    };
    run(DECISIONS / 10);
    let begun = cpu_seconds();
    run(DECISIONS);
    DECISIONS as f64 / (cpu_seconds() - begun)
}

/// The time that this thread has had a processor for: what others run on it does not count.
fn cpu_seconds() -> f64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
