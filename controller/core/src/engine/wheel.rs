//! A hierarchical timing wheel over whole microseconds: timers are set, cancelled and fired in constant time,
//! and what is not due costs nothing.
//!
//! Level 0 has a slot per microsecond, each level above covers 256 slots of the one below. A timer lies on the
//! level of the highest digit (base 256) in which its instant differs from the wheel's, and moves down as the
//! wheel comes near it. The wheel is never moved past the instant that it is asked about: a timer set later
//! for an instant in between would otherwise be late. Timers of the same instant fire in the order in which
//! they were set.

use serde::{Deserialize, Serialize};

use super::ring::NIL;

const BITS: u32 = 8;
const SLOTS: usize = 1 << BITS;
const MASK: u64 = SLOTS as u64 - 1;
const LEVELS: usize = 64_u32.div_ceil(BITS) as usize;
const WORDS: usize = SLOTS / 64;

/// Names a timer that is set, so that it can be cancelled. [`NO_TIMER`] names none.
pub type Handle = u32;

/// The handle of no timer.
pub const NO_TIMER: Handle = NIL;

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Node {
    at: u64,
    key: u32,
    next: u32,
    prev: u32,
    bucket: u32,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Bucket {
    head: u32,
    tail: u32,
    /// Not after any of its timers; exact unless one was cancelled.
    min: u64,
}

const EMPTY: Bucket = Bucket { head: NIL, tail: NIL, min: u64::MAX };

/// Timers, each with a key that says whose it is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Wheel {
    cursor: u64,
    nodes: Vec<Node>,
    free: u32,
    len: usize,
    buckets: Vec<Bucket>,
    occupied: [[u64; WORDS]; LEVELS],
}

impl Default for Wheel {
    fn default() -> Self {
        Self {
            cursor: 0,
            nodes: Vec::new(),
            free: NIL,
            len: 0,
            buckets: vec![EMPTY; SLOTS * LEVELS],
            occupied: [[0; WORDS]; LEVELS],
        }
    }
}

impl Wheel {
    /// How much a copy of it takes.
    pub const fn bytes(&self) -> usize {
        self.nodes.len() * size_of::<Node>() + self.buckets.len() * size_of::<Bucket>()
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
        let handle = self.free;
        let node = Node { at, key, next: NIL, prev: NIL, bucket: 0 };
        let handle = if handle == NIL {
            self.nodes.push(node);
            (self.nodes.len() - 1) as u32
        } else {
            self.free = self.nodes[handle as usize].next;
            self.nodes[handle as usize] = node;
            handle
        };
        self.len += 1;
        self.place(handle);
        handle
    }

    /// Cancels a timer that is set.
    pub fn cancel(&mut self, handle: Handle) {
        let Node { next, prev, bucket, .. } = self.nodes[handle as usize];
        let slot = &mut self.buckets[bucket as usize];
        if prev == NIL {
            slot.head = next;
        } else {
            self.nodes[prev as usize].next = next;
        }
        if next == NIL {
            slot.tail = prev;
        } else {
            self.nodes[next as usize].prev = prev;
        }
        if slot.head == NIL {
            self.vacate(bucket as usize);
        }
        self.release(handle);
    }

    /// Takes the earliest timer that is due at `now` or before: its instant and key.
    #[inline]
    pub fn pop(&mut self, now: u64) -> Option<(u64, u32)> {
        self.pop_telling(now, |_| ())
    }

    /// As [`Wheel::pop`]; tells `near` the keys of timers that will fire within the next slots.
    #[inline]
    pub fn pop_telling(&mut self, now: u64, near: impl Fn(u32)) -> Option<(u64, u32)> {
        loop {
            if let Some(slot) = self.first(0, (self.cursor & MASK) as usize) {
                let at = (self.cursor & !MASK) | slot as u64;
                if at > now {
                    return None;
                }
                self.cursor = at;
                let handle = self.buckets[slot].head;
                let Node { key, next, .. } = self.nodes[handle as usize];
                self.buckets[slot].head = next;
                if next == NIL {
                    self.vacate(slot);
                } else {
                    self.nodes[next as usize].prev = NIL;
                }
                self.release(handle);
                return Some((at, key));
            }
            let bucket = self.first_above()?;
            let min = self.buckets[bucket].min;
            if min > now {
                return None;
            }
            self.cascade(bucket, min, &near);
        }
    }

    /// An instant that is not after any timer, and the earliest timer's own unless one beside it was cancelled.
    pub fn next_at(&self) -> Option<u64> {
        if let Some(slot) = self.first(0, (self.cursor & MASK) as usize) {
            return Some((self.cursor & !MASK) | slot as u64);
        }
        self.first_above().map(|bucket| self.buckets[bucket].min)
    }

    /// The first occupied bucket above level 0. Timers on a level differ from the wheel's instant in that
    /// level's digit and agree above it, so each lies before every timer of the levels above.
    fn first_above(&self) -> Option<usize> {
        (1..LEVELS).find_map(|level| {
            let digit = ((self.cursor >> (BITS * level as u32)) & MASK) as usize;
            Some(level * SLOTS + self.first(level, digit + 1)?)
        })
    }

    /// Moves the wheel to `to`, the start of what `bucket` holds, and its timers down.
    fn cascade(&mut self, bucket: usize, to: u64, near: &impl Fn(u32)) {
        let mut handle = self.buckets[bucket].head;
        self.buckets[bucket].tail = NIL;
        self.vacate(bucket);
        self.cursor = to;
        while handle != NIL {
            let Node { next, key, .. } = self.nodes[handle as usize];
            if self.place(handle) == 0 {
                near(key);
            }
            handle = next;
        }
    }

    #[inline]
    fn place(&mut self, handle: Handle) -> u32 {
        let at = self.nodes[handle as usize].at.max(self.cursor);
        let level = (63 - ((at ^ self.cursor) | 1).leading_zeros()) / BITS;
        let slot = ((at >> (BITS * level)) & MASK) as usize;
        let bucket = level as usize * SLOTS + slot;
        let Bucket { tail, min, .. } = self.buckets[bucket];
        if tail == NIL {
            self.buckets[bucket] = Bucket { head: handle, tail: handle, min: at };
            self.occupied[level as usize][slot / 64] |= 1 << (slot % 64);
        } else {
            self.nodes[tail as usize].next = handle;
            self.buckets[bucket].tail = handle;
            self.buckets[bucket].min = min.min(at);
        }
        let node = &mut self.nodes[handle as usize];
        (node.next, node.prev, node.bucket) = (NIL, tail, bucket as u32);
        level
    }

    #[inline]
    fn vacate(&mut self, bucket: usize) {
        let slot = bucket % SLOTS;
        self.buckets[bucket] = EMPTY;
        self.occupied[bucket / SLOTS][slot / 64] &= !(1 << (slot % 64));
    }

    #[inline]
    fn release(&mut self, handle: Handle) {
        self.nodes[handle as usize].next = self.free;
        self.free = handle;
        self.len -= 1;
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
                let first = model.first_key_value().map(|((at, _), _)| *at);
                prop_assert_eq!(wheel.next_at().is_some(), first.is_some());
                prop_assert!(wheel.next_at() <= first || first.is_none());
            }
        }
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
