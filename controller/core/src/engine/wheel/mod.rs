//! A hierarchical timing wheel over whole microseconds: timers are set, cancelled and fired in constant time,
//! and what is not due costs nothing.
//!
//! Level 0 has a slot per microsecond, each level above covers 256 slots of the one below. A timer lies on the
//! level of the highest digit (base 256) in which its instant differs from the wheel's, and moves down as the
//! wheel comes near it. The wheel is never moved past the instant that it is asked about: a timer set later
//! for an instant in between would otherwise be late. Timers of the same instant fire in the order in which
//! they were set.
//!
//! The timers of a slot lie behind one another in memory ([`chain`]), so that a slot moves down at the pace of a copy, and
//! whoever sets a timer waits for nothing. A timer that is cancelled leaves its entry behind, which is dropped when the wheel
//! comes to it; no more such entries are kept than there are timers, but for [`DEAD_MIN`].

use serde::{Deserialize, Serialize};

mod chain;
mod coming;

use chain::{Chain, Chains, Entry};
use coming::Coming;
pub use coming::Flight;

use super::ring::NIL;

const BITS: u32 = 8;
const SLOTS: usize = 1 << BITS;
const MASK: u64 = SLOTS as u64 - 1;
const LEVELS: usize = 64_u32.div_ceil(BITS) as usize;
const WORDS: usize = SLOTS / 64;
/// Entries of cancelled timers that are kept in any case.
const DEAD_MIN: usize = 1_024;

/// Names a timer that is set, so that it can be cancelled. [`NO_TIMER`] names none.
pub type Handle = u32;

/// The handle of no timer.
pub const NO_TIMER: Handle = NIL;

/// The timers of one slot above level 0.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Bucket {
    chain: Chain,
    /// Not after any of its timers; exact unless one was cancelled.
    min: u64,
}

/// A timer on level 0: its instant is its slot's.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Near {
    key: u32,
    handle: u32,
    next: u32,
}

/// The timers of one slot of level 0.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Slot {
    head: u32,
    tail: u32,
}

const EMPTY: Slot = Slot { head: NIL, tail: NIL };

/// Timers, each with a key that says whose it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Wheel {
    cursor: u64,
    /// No timer is due before; the first may be due later. Nothing is decided by it.
    #[serde(skip)]
    quiet_until: u64,
    /// By handle, a bit: whether the timer is set.
    live: Vec<u64>,
    /// Handles that no entry has.
    handles: Vec<Handle>,
    len: usize,
    /// Entries of timers that were cancelled.
    dead: usize,
    near: Vec<Near>,
    near_free: u32,
    /// Of level 0.
    slots: Vec<Slot>,
    /// Of the levels above, from level 1 on.
    buckets: Vec<Bucket>,
    chains: Chains,
    occupied: [[u64; WORDS]; LEVELS],
    /// Nothing is decided by it.
    #[serde(skip)]
    coming: Coming,
}

impl Default for Wheel {
    fn default() -> Self {
        let empty = Bucket { chain: Chain::default(), min: u64::MAX };
        Self {
            cursor: 0,
            quiet_until: 0,
            live: Vec::new(),
            handles: Vec::new(),
            len: 0,
            dead: 0,
            near: Vec::new(),
            near_free: NIL,
            slots: vec![EMPTY; SLOTS],
            buckets: vec![empty; SLOTS * (LEVELS - 1)],
            chains: Chains::default(),
            occupied: [[0; WORDS]; LEVELS],
            coming: Coming::default(),
        }
    }
}

impl Wheel {
    /// How much a copy of it takes.
    pub const fn bytes(&self) -> usize {
        self.near.len() * size_of::<Near>()
            + self.buckets.len() * size_of::<Bucket>()
            + self.chains.bytes()
            + self.live.len() * size_of::<u64>()
            + self.handles.len() * size_of::<Handle>()
    }

    /// How many timers are set.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether no timer is set.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Sets a timer. An instant that has passed fires at the next look.
    #[inline]
    pub fn set(&mut self, at: u64, key: u32) -> Handle {
        let handle = self.handles.pop().unwrap_or_else(|| self.more_handles());
        self.live[handle as usize / 64] |= 1 << (handle % 64);
        self.len += 1;
        self.quiet_until = self.quiet_until.min(at);
        self.place(Entry { at, key, handle });
        handle
    }

    /// Handles that were never given; one of them.
    #[cold]
    fn more_handles(&mut self) -> Handle {
        let first = Handle::try_from(self.live.len() * 64).expect("fewer than 2^32 timers");
        self.live.push(0);
        self.handles.extend((first + 1..first + 64).rev());
        first
    }

    #[inline]
    fn is_live(&self, handle: Handle) -> bool {
        self.live[handle as usize / 64] & 1 << (handle % 64) != 0
    }

    /// Cancels a timer that is set.
    pub fn cancel(&mut self, handle: Handle) {
        debug_assert!(self.is_live(handle), "a timer is cancelled once, and before it fires");
        self.live[handle as usize / 64] &= !(1 << (handle % 64));
        self.len -= 1;
        self.dead += 1;
        if self.len == 0 || self.dead > self.len + DEAD_MIN {
            self.sweep();
        }
    }

    /// Whether it is known that no timer is due at `now` or before.
    #[inline]
    pub const fn is_quiet(&self, now: u64) -> bool {
        now < self.quiet_until
    }

    /// Takes the earliest timer that is due at `now` or before: its instant and key.
    #[inline]
    pub fn pop(&mut self, now: u64) -> Option<(u64, u32)> {
        self.pop_telling(now, |_, _| ())
    }

    /// As [`Wheel::pop`]. Before the wheel comes to a slot of level 1, it tells `soon` of those who are there, once for each of
    /// the last [`coming::STAGES`] slots that are not empty. It tells of some with each timer, so that what `soon` asks for
    /// comes while that timer is seen to.
    #[inline]
    pub fn pop_telling(
        &mut self,
        now: u64,
        soon: impl Fn(u32, &mut [Flight]),
    ) -> Option<(u64, u32)> {
        if self.is_quiet(now) {
            return None;
        }
        loop {
            if let Some(slot) = self.first(0, (self.cursor & MASK) as usize) {
                let at = (self.cursor & !MASK) | slot as u64;
                if at > now {
                    self.quiet_until = at;
                    return None;
                }
                self.cursor = at;
                let head = self.slots[slot].head;
                let Near { key, handle, next } = self.near[head as usize];
                self.near[head as usize].next = self.near_free;
                self.near_free = head;
                self.slots[slot].head = next;
                if next == NIL {
                    self.slots[slot].tail = NIL;
                    self.vacate(0, slot);
                }
                if self.release(handle) {
                    self.coming.tell_some(&soon);
                    return Some((at, key));
                }
                continue;
            }
            let above = self.first_above();
            let min = above.map_or(u64::MAX, |(level, slot)| self.bucket(level, slot).min);
            let Some((level, slot)) = above.filter(|_| min <= now) else {
                self.quiet_until = min;
                return None;
            };
            self.cascade(level, slot, min);
            if level == 1 {
                self.coming.arrive(slot, &soon);
                self.look_ahead(slot);
            } else {
                self.coming.clear();
            }
        }
    }

    /// An instant that is not after any timer, and the earliest timer's own unless one beside it was cancelled.
    pub fn next_at(&self) -> Option<u64> {
        if self.len == 0 {
            return None;
        }
        if let Some(slot) = self.first(0, (self.cursor & MASK) as usize) {
            return Some((self.cursor & !MASK) | slot as u64);
        }
        self.first_above().map(|(level, slot)| self.bucket(level, slot).min)
    }

    /// The first occupied slot above level 0. Timers on a level differ from the wheel's instant in that
    /// level's digit and agree above it, so each lies before every timer of the levels above.
    fn first_above(&self) -> Option<(usize, usize)> {
        (1..LEVELS).find_map(|level| {
            let digit = ((self.cursor >> (BITS * level as u32)) & MASK) as usize;
            Some((level, self.first(level, digit + 1)?))
        })
    }

    #[inline]
    fn bucket(&self, level: usize, slot: usize) -> &Bucket {
        &self.buckets[(level - 1) * SLOTS + slot]
    }

    #[inline]
    fn bucket_mut(&mut self, level: usize, slot: usize) -> &mut Bucket {
        &mut self.buckets[(level - 1) * SLOTS + slot]
    }

    /// Moves the wheel to `to`, the start of what a slot holds, and its timers down.
    fn cascade(&mut self, level: usize, slot: usize, to: u64) {
        self.cursor = to;
        self.place_again(level, slot);
    }

    /// Places the timers of a slot above level 0 by the wheel's instant, those left out that were cancelled.
    fn place_again(&mut self, level: usize, slot: usize) {
        let bucket = self.bucket_mut(level, slot);
        let mut chain = std::mem::take(&mut bucket.chain);
        bucket.min = u64::MAX;
        self.vacate(level, slot);
        while let Some((entries, len)) = self.chains.take(&mut chain) {
            for entry in &entries[..len] {
                if self.is_live(entry.handle) {
                    self.place(*entry);
                } else {
                    self.release(entry.handle);
                }
            }
        }
    }

    /// Drops the entries of timers that were cancelled.
    #[cold]
    fn sweep(&mut self) {
        let mut from = 0;
        while let Some(slot) = self.first(0, from) {
            from = slot + 1;
            let mut next = std::mem::replace(&mut self.slots[slot], EMPTY).head;
            self.vacate(0, slot);
            while next != NIL {
                let id = next;
                let Near { handle, .. } = self.near[id as usize];
                next = std::mem::replace(&mut self.near[id as usize].next, NIL);
                if self.is_live(handle) {
                    self.append(slot, id);
                } else {
                    self.near[id as usize].next = self.near_free;
                    self.near_free = id;
                    self.release(handle);
                }
            }
        }
        for level in 1..LEVELS {
            let mut from = 0;
            while let Some(slot) = self.first(level, from) {
                from = slot + 1;
                self.place_again(level, slot);
            }
        }
    }

    /// Notes whom to tell of from now on, while a slot of level 1 is in hand.
    fn look_ahead(&mut self, slot: usize) {
        while self.coming.has_room() {
            let Some(next) = self.first(1, self.coming.last().unwrap_or(slot) + 1) else { return };
            let chain = self.bucket(1, next).chain;
            let Self { chains, coming, .. } = self;
            coming.append(next, |tell| chains.each(chain, |entry| tell(entry.key)));
        }
    }

    #[inline]
    fn place(&mut self, entry: Entry) {
        let at = entry.at.max(self.cursor);
        let level = ((63 - ((at ^ self.cursor) | 1).leading_zeros()) / BITS) as usize;
        let slot = ((at >> (BITS * level as u32)) & MASK) as usize;
        if level == 0 {
            return self.place_near(slot, entry);
        }
        let bucket = &mut self.buckets[(level - 1) * SLOTS + slot];
        bucket.min = bucket.min.min(at);
        self.chains.push(&mut bucket.chain, entry);
        self.occupied[level][slot / 64] |= 1 << (slot % 64);
    }

    #[inline]
    fn place_near(&mut self, slot: usize, Entry { key, handle, .. }: Entry) {
        let near = Near { key, handle, next: NIL };
        let id = self.near_free;
        if id == NIL {
            self.near.push(near);
            return self.append(slot, (self.near.len() - 1) as u32);
        }
        self.near_free = std::mem::replace(&mut self.near[id as usize], near).next;
        self.append(slot, id);
    }

    /// Appends to a slot of level 0.
    #[inline]
    fn append(&mut self, slot: usize, id: u32) {
        let tail = std::mem::replace(&mut self.slots[slot].tail, id);
        if tail == NIL {
            self.slots[slot].head = id;
            self.occupied[0][slot / 64] |= 1 << (slot % 64);
        } else {
            self.near[tail as usize].next = id;
        }
    }

    #[inline]
    const fn vacate(&mut self, level: usize, slot: usize) {
        self.occupied[level][slot / 64] &= !(1 << (slot % 64));
    }

    /// An entry is gone: its handle can be given again. Whether its timer was set until now.
    #[inline]
    fn release(&mut self, handle: Handle) -> bool {
        let live = self.is_live(handle);
        if live {
            self.live[handle as usize / 64] &= !(1 << (handle % 64));
            self.len -= 1;
        } else {
            self.dead -= 1;
        }
        self.handles.push(handle);
        live
    }

    /// The first occupied slot of a level from `from` on.
    #[inline]
    fn first(&self, level: usize, from: usize) -> Option<usize> {
        let words = &self.occupied[level];
        let mut word = from / 64;
        if word >= WORDS {
            return None;
        }
        let mut bits = words[word] & (u64::MAX << (from % 64));
        loop {
            if bits != 0 {
                return Some(word * 64 + bits.trailing_zeros() as usize);
            }
            word += 1;
            bits = *words.get(word)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Set(u64),
        Cancel(prop::sample::Index),
        Pop(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let span = prop_oneof![0u64..300, 0u64..70_000, 0u64..20_000_000, 0u64..u64::MAX / 1_000];
        let step = prop_oneof![
            4 => span.clone().prop_map(Step::Set),
            1 => any::<prop::sample::Index>().prop_map(Step::Cancel),
            3 => span.prop_map(Step::Pop),
        ];
        prop::collection::vec(step, 0..300)
    }

    proptest! {
        /// Against an ordered map: the same timers, in order of instant and then of setting, never early.
        #[test]
        fn fires_like_an_ordered_map(steps in steps()) {
            let (mut wheel, mut model, mut handles) = (Wheel::default(), BTreeMap::new(), Vec::new());
            let (mut now, mut key) = (1_700_000_000_000_000_u64, 0u32);
            for step in steps {
                match step {
                    Step::Set(span) => {
                        let handle = wheel.set(now + span, key);
                        model.insert((now + span, key), handle);
                        handles.push((now + span, key));
                        key += 1;
                    }
                    Step::Cancel(which) if !handles.is_empty() => {
                        if let Some(handle) = model.remove(which.get(&handles)) {
                            wheel.cancel(handle);
                        }
                    }
                    Step::Cancel(_) => {}
                    Step::Pop(span) => {
                        now += span;
                        while let Some(fired) = wheel.pop(now) {
                            prop_assert_eq!(Some(fired), model.pop_first().map(|(timer, _)| timer));
                        }
                        prop_assert!(model.first_key_value().is_none_or(|((at, _), _)| *at > now));
                    }
                }
                prop_assert_eq!(wheel.len(), model.len());
                prop_assert!(wheel.dead <= wheel.len() + DEAD_MIN);
                let first = model.first_key_value().map(|((at, _), _)| *at);
                prop_assert_eq!(wheel.next_at().is_some(), first.is_some());
                prop_assert!(wheel.next_at() <= first || first.is_none());
            }
        }
    }

    /// However many are cancelled, their entries do not pile up, and their handles come back.
    #[test]
    fn what_is_cancelled_takes_no_memory_for_long() {
        let mut wheel = Wheel::default();
        let mut timers: Vec<_> =
            (0..100).map(|key| wheel.set(1_000_000 + u64::from(key), key)).collect();
        for round in 0..100_000 {
            let at = round % timers.len();
            wheel.cancel(timers[at]);
            timers[at] = wheel.set(1_000_000_000 + round as u64, at as u32);
        }
        assert!(wheel.bytes() < 200_000, "{}", wheel.bytes());
        timers.drain(1..).for_each(|timer| wheel.cancel(timer));
        assert_eq!(wheel.pop(2_000_000_000), Some((1_000_099_900, 0)));
        assert_eq!((wheel.pop(u64::MAX), wheel.len(), wheel.dead), (None, 0, 0));
    }

    #[test]
    fn the_next_instant_is_exact_without_cancellations() {
        let mut wheel = Wheel::default();
        for at in [5_000_000, 70_000, 300, 299] {
            wheel.set(at, 0);
            assert_eq!(wheel.next_at(), Some(at));
        }
    }
}
