//! Specs that many requests share, apart from the number called: those of a batch's lines, those that a tenant
//! sends again and again. A request then stores what differs from one of them.

use std::{
    hash::{Hash, Hasher},
    io::{self, Read, Write},
    sync::Arc,
};

use busyhour_base::{CallSpec, Instructions};
use serde::{Deserialize, Serialize};

use super::packed::{Base, nothing};
use crate::{
    engine::{ring::NIL, slab::Slab},
    paged::{Flat, Paged},
};

#[derive(Clone, Debug, Serialize, Deserialize)]
struct SharedSpec {
    /// Without the number called.
    spec: Arc<CallSpec>,
    /// Requests and lanes that stand on it.
    uses: u32,
}

/// What the requests of a lane may stand on.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct LaneSpecs {
    /// The first that was shared, or [`NIL`]. It stays for as long as the lane does, so that requests need not name it.
    home: u32,
    /// The last that was shared, or [`NIL`].
    recent: u32,
    /// Of the last request that shared none: the next one like it makes a shared spec.
    seen: u32,
}

/// What a shared spec takes beside its texts.
const OVERHEAD: u64 = 256;

const NO_SPECS: LaneSpecs = LaneSpecs { home: NIL, recent: NIL, seen: 0 };

/// The shared specs.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Specs {
    specs: Slab<SharedSpec>,
    lanes: Paged<LaneSpecs, 1_024>,
    nothing: CallSpec,
    bytes: u64,
}

impl Default for Specs {
    fn default() -> Self {
        Self { specs: Slab::default(), lanes: Paged::default(), nothing: nothing(), bytes: 0 }
    }
}

impl Flat for LaneSpecs {
    const BYTES: usize = 12;

    fn put(&self, out: &mut [u8]) {
        self.home.put(&mut out[..4]);
        self.recent.put(&mut out[4..8]);
        self.seen.put(&mut out[8..]);
    }

    fn take(bytes: &[u8]) -> Self {
        let word = |at: usize| u32::take(&bytes[at..at + 4]);
        Self { home: word(0), recent: word(4), seen: word(8) }
    }
}

impl Specs {
    /// Lets the next clone be made without copying.
    pub(super) fn share(&mut self) {
        self.specs.share();
        self.lanes.share();
    }

    /// Writes the lanes' table.
    pub(super) fn write_tables(&self, to: &mut dyn Write) -> io::Result<()> {
        self.lanes.write_pages(to)
    }

    /// Reads the lanes' table.
    pub(super) fn read_tables(&mut self, from: &mut dyn Read) -> io::Result<()> {
        self.lanes.read_pages(from)
    }

    /// The spec from which a new request of a lane is best told apart. The lines of a batch share that of the first; others
    /// share what two of them in a row have in common.
    pub(super) fn choose(&mut self, lane: u32, in_batch: bool, spec: &CallSpec) -> Base {
        while self.lanes.len() <= lane as usize {
            self.lanes.push(NO_SPECS);
        }
        let LaneSpecs { home, recent, seen } = self.lanes[lane as usize];
        if self.is_like(home, spec) {
            return Base::Lane;
        }
        if self.is_like(recent, spec) {
            self.specs[recent].uses += 1;
            return Base::Shared(recent);
        }
        let hash = hash(spec);
        if hash != seen && !(in_batch && home == NIL) {
            self.lanes[lane as usize].seen = hash;
            return if home == NIL { Base::Nothing } else { Base::Lane };
        }
        let shared = self.add(spec);
        let lane = &mut self.lanes[lane as usize];
        if home == NIL {
            lane.home = shared;
            return Base::Lane;
        }
        lane.recent = shared;
        self.specs[shared].uses += 1;
        if recent != NIL {
            self.unuse(recent);
        }
        Base::Shared(shared)
    }

    /// The spec that a request of a lane was told apart from.
    pub(super) fn get(&self, lane: u32, base: Base) -> &CallSpec {
        match base {
            Base::Nothing => &self.nothing,
            Base::Lane => &self.specs[self.lanes[lane as usize].home].spec,
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
        if let Some(specs) = self.lanes.get_mut(lane as usize) {
            let LaneSpecs { home, recent, .. } = std::mem::replace(specs, NO_SPECS);
            [home, recent].into_iter().filter(|shared| *shared != NIL).for_each(|shared| {
                self.unuse(shared);
            });
        }
    }

    fn is_like(&self, shared: u32, spec: &CallSpec) -> bool {
        self.specs.get(shared).is_some_and(|shared| alike(&shared.spec, spec))
    }

    /// Adds a spec that a lane uses.
    fn add(&mut self, spec: &CallSpec) -> u32 {
        let spec = Arc::new(CallSpec { to: String::new(), ..spec.clone() });
        self.bytes += cost(&spec);
        self.specs.insert(SharedSpec { spec, uses: 1 })
    }

    fn unuse(&mut self, shared: u32) {
        let spec = &mut self.specs[shared];
        spec.uses -= 1;
        if spec.uses == 0 {
            self.bytes -= cost(&spec.spec);
            self.specs.remove(shared);
        }
    }

    /// How many bytes they take.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.specs.len()
    }
}

/// What a shared spec takes.
fn cost(spec: &CallSpec) -> u64 {
    let document = match &spec.instructions {
        Instructions::Url(hook) => hook.url.len(),
        Instructions::Document(text) => text.len(),
    };
    let hooks = [&spec.fallback, &spec.status_callback].into_iter().flatten();
    let hooks: usize = hooks.map(|hook| hook.url.len()).sum();
    let digits = spec.send_digits.as_ref().map_or(0, String::len);
    OVERHEAD + (spec.from.len() + document + hooks + digits) as u64
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
        direction,
    } = other;
    one.from == *from
        && one.instructions == *instructions
        && one.fallback == *fallback
        && one.status_callback == *status_callback
        && one.status_events == *status_events
        && one.send_digits == *send_digits
        && one.ring_timeout == *ring_timeout
        && one.time_limit == *time_limit
        && one.direction == *direction
}

/// Of everything but the number called; never 0, which stands for nothing seen.
fn hash(spec: &CallSpec) -> u32 {
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
        direction,
    } = spec;
    let mut hasher = Mixer(0);
    (from, instructions, fallback, status_callback).hash(&mut hasher);
    (status_events, send_digits, ring_timeout, time_limit, direction).hash(&mut hasher);
    (hasher.finish() as u32).max(1)
}

/// The same on every replica, eight bytes a step. Whoever makes two specs collide has the second shared too early.
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
