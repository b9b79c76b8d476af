//! Power cuts and kills at every operation, over generations of the same folder: what was
//! acknowledged is there, in order, exactly once, and nothing that was not proposed ever is.

mod common;

use std::{path::Path, sync::Arc, time::Duration};

use busyhour_log::{Config, Log, Pending};
use common::{
    FOLDER, Journal, collecting,
    sim_disk::{Fault, SimDisk},
    small,
};
use rand::{Rng, SeedableRng, rngs::StdRng};

/// What the world outside knows: every value that was proposed, and those that were acknowledged
/// with their number.
#[derive(Default)]
struct World {
    proposed: u32,
    acknowledged: Vec<(u64, u32)>,
}

impl World {
    /// Proposes values, some at once and some one by one, until the log fails or enough are
    /// through.
    fn work(&mut self, log: &Log<Journal>, random: &mut StdRng) {
        for _ in 0..random.random_range(0..12) {
            let burst: Vec<(u32, Pending<u64>)> = (0..random.random_range(1..4))
                .filter_map(|_| {
                    self.proposed += 1;
                    let value = value(self.proposed, random);
                    Some((self.proposed, log.submit(value).ok()?))
                })
                .collect();
            for (number, pending) in burst {
                if let Ok(index) = pending.wait() {
                    self.acknowledged.push((index, number));
                }
            }
        }
    }

    /// Checks what a log holds after it was opened again.
    fn check(&self, machine: &Journal, seed: u64) {
        assert!(machine.live.is_empty(), "seed {seed}: replayed as live");
        let mut last_number = 0;
        for (n, (index, _, value)) in machine.seen.iter().enumerate() {
            assert_eq!(*index, n as u64 + 1, "seed {seed}: numbers without gaps");
            let number = number_of(value);
            assert!(number > last_number, "seed {seed}: value {number} after {last_number}");
            assert!(number <= self.proposed, "seed {seed}: value {number} was never proposed");
            last_number = number;
        }
        assert!(machine.seen.is_sorted_by_key(|(_, at, _)| *at), "seed {seed}: time went back");
        for (index, number) in &self.acknowledged {
            let held = machine.seen.get(*index as usize - 1).map(|(_, _, value)| number_of(value));
            assert_eq!(held, Some(*number), "seed {seed}: command {index} was acknowledged");
        }
    }
}

fn value(number: u32, random: &mut StdRng) -> Vec<u8> {
    let mut value = vec![number as u8; random.random_range(4..1500)];
    value[..4].copy_from_slice(&number.to_le_bytes());
    value
}

fn number_of(value: &[u8]) -> u32 {
    u32::from_le_bytes(value[..4].try_into().unwrap())
}

fn config() -> Config {
    let mut config = small(Path::new(FOLDER));
    config.snapshot_after_bytes = 5_000;
    config
}

/// One folder through several lives, each ended at a random operation.
fn lives(seed: u64) {
    let mut random = StdRng::seed_from_u64(seed);
    let mut world = World::default();
    let mut disk = SimDisk::default();
    for life in 0..6 {
        let (mut config, fatals) = collecting(config());
        if random.random() {
            // The mark is written whenever the queue is empty for an instant.
            config.idle_mark = Duration::ZERO;
        }
        let dies = random.random_range(1..120);
        disk.fail_at(dies, Fault::Kill);
        // It may die while it is being opened.
        if let Ok(log) = Log::open_on(Arc::new(disk.clone()), config, Journal::default()) {
            world.check(&log.machine().read(), seed);
            world.work(&log, &mut random);
            common::close(log);
        }
        let said = fatals.lock();
        assert!(
            said.iter().all(|fatal| fatal.contains("the process")),
            "seed {seed}, life {life}: {said:?}"
        );
        disk = match random.random_bool(0.3) {
            true => disk.after_kill(),
            false => disk.after_power_cut(random.random()),
        };
    }
    let log = Log::open_on(Arc::new(disk), config(), Journal::default())
        .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
    world.check(&log.machine().read(), seed);
    common::close(log);
}

#[test]
fn what_was_acknowledged_survives_every_crash() {
    for seed in 0..250 {
        lives(seed);
    }
}

/// The first set-up is as exposed as the rest: it is killed at each of its operations.
#[test]
fn a_set_up_that_dies_at_any_operation_is_begun_anew() {
    let whole = SimDisk::default();
    let log = Log::open_on(Arc::new(whole.clone()), config(), Journal::default()).unwrap();
    common::close(log);
    for operation in 1..=whole.operations() {
        for seed in 0..8 {
            let disk = SimDisk::default();
            disk.fail_at(operation, Fault::Kill);
            let (dying, _) = collecting(config());
            if let Ok(log) = Log::open_on(Arc::new(disk.clone()), dying, Journal::default()) {
                common::close(log);
            }
            for left in [disk.after_kill(), disk.after_power_cut(seed)] {
                let log = Log::open_on(Arc::new(left), config(), Journal::default())
                    .unwrap_or_else(|error| panic!("operation {operation}: {error}"));
                common::propose_each(&log, [b"first".as_slice()]);
                common::close(log);
            }
        }
    }
}
