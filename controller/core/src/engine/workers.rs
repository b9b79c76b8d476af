//! Workers (MT-29): the one with the least load for its size takes the next call.
//!
//! A tournament tree over the agents: the least loaded one is at the root, and a change of one agent
//! replays the matches on its path only.

use serde::{Deserialize, Serialize};

use super::wheel::{Handle, NO_TIMER};

/// The worker of a request that needs none.
pub const NO_WORKER: u16 = u16::MAX;

/// An agent that cannot take a call.
const UNAVAILABLE: u64 = u64::MAX;

/// One agent's slots.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Worker {
    /// Calls that it can hold.
    pub slots: u32,
    /// Calls that it holds.
    pub in_use: u32,
    /// Its processor's use.
    pub cpu_permille: u16,
    /// It is reachable and takes new calls.
    pub open: bool,
    /// It turned a call down and is left alone until a timer fires.
    pub(super) rest: Handle,
    /// `2^32 / slots`: load is a multiplication away.
    share: u64,
}

impl Worker {
    /// Load for its size first, which is below 2^32, then the processor, then its number.
    #[inline]
    fn place(&self, id: u16) -> u64 {
        if !self.open || self.rest != NO_TIMER || self.in_use >= self.slots {
            return UNAVAILABLE;
        }
        let load = u64::from(self.in_use) * self.share;
        load << 32 | u64::from(self.cpu_permille) << 16 | u64::from(id)
    }
}

/// Every agent, by its number.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Workers {
    workers: Vec<Worker>,
    /// Winners: node `i` is the lesser one of nodes `2i` and `2i + 1`; the last half are the agents themselves. Each is a
    /// [`Worker::place`].
    tree: Vec<u64>,
}

impl Workers {
    /// A new agent, closed until [`Workers::change`] opens it.
    pub fn add(&mut self) -> u16 {
        let id = u16::try_from(self.workers.len()).expect("fewer than 65,536 agents");
        self.workers.push(Worker {
            slots: 0,
            in_use: 0,
            cpu_permille: 0,
            open: false,
            rest: NO_TIMER,
            share: 0,
        });
        if 2 * self.workers.len() > self.tree.len() {
            self.grow();
        }
        id
    }

    /// One agent.
    pub fn get(&self, id: u16) -> &Worker {
        &self.workers[usize::from(id)]
    }

    /// Every agent.
    pub fn iter(&self) -> impl Iterator<Item = &Worker> {
        self.workers.iter()
    }

    /// The least loaded agent that has room.
    #[inline]
    pub fn pick(&self) -> Option<u16> {
        let winner = *self.tree.get(1)?;
        (winner != UNAVAILABLE).then_some(winner as u16)
    }

    /// Changes an agent and replays its matches.
    #[inline]
    pub fn change(&mut self, id: u16, change: impl FnOnce(&mut Worker)) {
        let worker = &mut self.workers[usize::from(id)];
        let slots = worker.slots;
        change(worker);
        if worker.slots != slots {
            worker.share = (1 << 32) / u64::from(worker.slots.max(1));
        }
        let mut winner = worker.place(id);
        let mut node = self.tree.len() / 2 + usize::from(id);
        while node > 1 {
            self.tree[node] = winner;
            winner = winner.min(self.tree[node ^ 1]);
            node /= 2;
        }
        self.tree[1] = winner;
    }

    fn grow(&mut self) {
        let leaves = self.workers.len().next_power_of_two().max(2);
        self.tree = vec![UNAVAILABLE; 2 * leaves];
        for id in 0..self.workers.len() as u16 {
            self.change(id, |_| ());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// MT-29 against the obvious search, in exact fractions.
        #[test]
        fn mt_29_the_least_loaded_for_its_size_is_picked(
            steps in prop::collection::vec((0u16..9, 1u32..50, 0u32..50, 0u16..1000, any::<bool>()), 1..60),
        ) {
            let mut workers = Workers::default();
            for (id, slots, in_use, cpu, open) in steps {
                while workers.workers.len() <= usize::from(id) { workers.add(); }
                workers.change(id, |worker| {
                    (worker.slots, worker.in_use, worker.cpu_permille, worker.open) = (slots, in_use, cpu, open);
                });
                let best = workers.iter().enumerate()
                    .filter(|(_, w)| w.open && w.in_use < w.slots)
                    .min_by(|(a, v), (b, w)| {
                        (v.in_use * w.slots).cmp(&(w.in_use * v.slots))
                            .then(v.cpu_permille.cmp(&w.cpu_permille)).then(a.cmp(b))
                    })
                    .map(|(id, _)| id as u16);
                let picked = workers.pick();
                prop_assert_eq!(picked.is_some(), best.is_some());
                if let (Some(picked), Some(best)) = (picked, best) {
                    let (picked, best) = (workers.get(picked), workers.get(best));
                    // Loads of equal fractions may differ by the rounding of the share: no more than a millionth.
                    let load = |w: &Worker| u64::from(w.in_use) * 1_000_000 / u64::from(w.slots);
                    prop_assert!(load(picked) <= load(best) + 1);
                }
            }
        }
    }
}
