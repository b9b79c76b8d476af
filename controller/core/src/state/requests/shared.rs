//! Specs that many requests share, apart from the number called: those of a batch's lines, those that a tenant
//! sends again and again. A request then stores what differs from one of them.

use std::{
    collections::BTreeMap,
    hash::{Hash, Hasher},
    sync::Arc,
};

use busyhour_base::CallSpec;
use serde::{Deserialize, Serialize};

use super::packed::{Base, nothing};
use crate::engine::{ring::NIL, slab::Slab};

/// Specs seen once that are remembered, so that the second makes a shared one.
const SEEN: usize = 4_096;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct SharedSpec {
    /// Without the number called.
    spec: Arc<CallSpec>,
    hash: u64,
    /// Requests and lanes that stand on it.
    uses: u32,
}

/// The shared specs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Specs {
    specs: Slab<SharedSpec>,
    by_hash: BTreeMap<u64, u32>,
    /// The shared spec of each lane, or [`NIL`].
    lanes: Vec<u32>,
    seen: Vec<u64>,
    nothing: CallSpec,
}

impl Default for Specs {
    fn default() -> Self {
        Self {
            specs: Slab::default(),
            by_hash: BTreeMap::new(),
            lanes: Vec::new(),
            seen: vec![0; SEEN],
            nothing: nothing(),
        }
    }
}

impl Specs {
    /// The spec from which a new request of a lane is best told apart. The lines of a batch share that of the first.
    pub(super) fn choose(&mut self, lane: u32, in_batch: bool, spec: &CallSpec) -> Base {
        let home = self.lanes.get(lane as usize).copied().unwrap_or(NIL);
        if self.specs.get(home).is_some_and(|home| alike(&home.spec, spec)) {
            return Base::Lane;
        }
        let hash = hash(spec);
        let known = self.by_hash.get(&hash).copied();
        let known = known.filter(|known| alike(&self.specs[*known].spec, spec));
        let seen = &mut self.seen[hash as usize % SEEN];
        let again = std::mem::replace(seen, hash) == hash;
        let shared = known.or_else(|| {
            let fits = !self.by_hash.contains_key(&hash);
            (fits && (again || (in_batch && home == NIL))).then(|| self.add(hash, spec))
        });
        match shared {
            Some(shared) if home == NIL => {
                self.settle(lane, shared);
                Base::Lane
            }
            Some(shared) => {
                self.specs[shared].uses += 1;
                Base::Shared(shared)
            }
            None if home != NIL => Base::Lane,
            None => Base::Nothing,
        }
    }

    /// The spec that a request of a lane was told apart from.
    pub(super) fn get(&self, lane: u32, base: Base) -> &CallSpec {
        match base {
            Base::Nothing => &self.nothing,
            Base::Lane => &self.specs[self.lanes[lane as usize]].spec,
            Base::Shared(shared) => &self.specs[shared].spec,
        }
    }

    /// A request that was told apart from this one goes.
    pub(super) fn release(&mut self, base: Base) {
        if let Base::Shared(shared) = base {
            self.unuse(shared);
        }
    }

    /// A lane goes, after all its requests.
    pub(super) fn forget_lane(&mut self, lane: u32) {
        if let Some(home) = self.lanes.get_mut(lane as usize) {
            let home = std::mem::replace(home, NIL);
            if home != NIL {
                self.unuse(home);
            }
        }
    }

    fn add(&mut self, hash: u64, spec: &CallSpec) -> u32 {
        let spec = Arc::new(CallSpec { to: String::new(), ..spec.clone() });
        let shared = self.specs.insert(SharedSpec { spec, hash, uses: 0 });
        self.by_hash.insert(hash, shared);
        shared
    }

    /// A lane keeps its shared spec for as long as it lives, since its requests do not name it.
    fn settle(&mut self, lane: u32, shared: u32) {
        let lane = lane as usize;
        if self.lanes.len() <= lane {
            self.lanes.resize(lane + 1, NIL);
        }
        self.lanes[lane] = shared;
        self.specs[shared].uses += 1;
    }

    fn unuse(&mut self, shared: u32) {
        let spec = &mut self.specs[shared];
        spec.uses -= 1;
        if spec.uses == 0 {
            let gone = self.specs.remove(shared).expect("the spec exists");
            self.by_hash.remove(&gone.hash);
        }
    }

    /// How many there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.specs.len()
    }
}

/// Whether two specs differ in the number called at most.
fn alike(one: &CallSpec, other: &CallSpec) -> bool {
    let CallSpec {
        to: _,
        from,
        instructions,
        fallback,
        status_callback,
        status_events,
        send_digits,
        ring_timeout,
        time_limit,
    } = other;
    one.from == *from
        && one.instructions == *instructions
        && one.fallback == *fallback
        && one.status_callback == *status_callback
        && one.status_events == *status_events
        && one.send_digits == *send_digits
        && one.ring_timeout == *ring_timeout
        && one.time_limit == *time_limit
}

/// Of everything but the number called; never 0, which stands for nothing seen.
fn hash(spec: &CallSpec) -> u64 {
    let CallSpec {
        to: _,
        from,
        instructions,
        fallback,
        status_callback,
        status_events,
        send_digits,
        ring_timeout,
        time_limit,
    } = spec;
    let mut hasher = Mixer(0);
    (from, instructions, fallback, status_callback).hash(&mut hasher);
    (status_events, send_digits, ring_timeout, time_limit).hash(&mut hasher);
    hasher.finish().max(1)
}

/// The same on every replica, eight bytes a step. Whoever makes two specs collide only keeps the second from being shared.
pub(super) struct Mixer(pub u64);

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.write_u64(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.write_u64(u64::from_le_bytes(last) ^ (rest.len() as u64) << 56);
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 ^= self.0 >> 29;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
