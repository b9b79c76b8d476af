//! Queues threaded through a table of links: constant time to append, take from the front, put back at the
//! front and take out of the middle, eight bytes for each member.
//!
//! A member is a dense id, and is in at most one queue of a table at a time. Taking from the front reads one
//! link and writes none: the new front's backward link goes stale, and is never read while it is the front.

use serde::{Deserialize, Serialize};

/// No id.
pub const NIL: u32 = u32::MAX;

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Link {
    next: u32,
    prev: u32,
}

/// The links of every queue of one kind of member.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Links(Vec<Link>);

/// One queue: its two ends.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Ring {
    head: u32,
    tail: u32,
}

impl Default for Ring {
    fn default() -> Self {
        Self { head: NIL, tail: NIL }
    }
}

impl Ring {
    /// Whether it has no member.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.head == NIL
    }

    /// The member at the front, or [`NIL`].
    #[inline]
    pub const fn front(&self) -> u32 {
        self.head
    }
}

impl Links {
    /// Makes room for the id.
    #[inline]
    pub fn cover(&mut self, id: u32) {
        if self.0.len() <= id as usize {
            self.0.resize(id as usize + 1, Link { next: NIL, prev: NIL });
        }
    }

    /// Appends `id`, which is in no queue.
    #[inline]
    pub fn push_back(&mut self, ring: &mut Ring, id: u32) {
        self.0[id as usize] = Link { next: NIL, prev: ring.tail };
        if ring.head == NIL {
            ring.head = id;
        } else {
            self.0[ring.tail as usize].next = id;
        }
        ring.tail = id;
    }

    /// Puts `id`, which is in no queue, at the front.
    pub fn push_front(&mut self, ring: &mut Ring, id: u32) {
        self.0[id as usize] = Link { next: ring.head, prev: NIL };
        if ring.head == NIL {
            ring.tail = id;
        } else {
            self.0[ring.head as usize].prev = id;
        }
        ring.head = id;
    }

    /// Takes the front.
    #[inline]
    pub fn pop_front(&mut self, ring: &mut Ring) -> Option<u32> {
        let id = ring.head;
        if id == NIL {
            return None;
        }
        ring.head = self.0[id as usize].next;
        if ring.head == NIL {
            ring.tail = NIL;
        }
        Some(id)
    }

    /// Takes `id` out of the queue that it is in.
    pub fn remove(&mut self, ring: &mut Ring, id: u32) {
        if ring.head == id {
            self.pop_front(ring);
            return;
        }
        let Link { next, prev } = self.0[id as usize];
        self.0[prev as usize].next = next;
        if next == NIL {
            ring.tail = prev;
        } else {
            self.0[next as usize].prev = prev;
        }
    }

    /// The members from front to back.
    pub fn iter(&self, ring: &Ring) -> impl Iterator<Item = u32> {
        let step = |id: u32| (id != NIL).then_some(id);
        std::iter::successors(step(ring.head), move |id| step(self.0[*id as usize].next))
    }

    /// The members from back to front, beginning at `from` or at the back.
    pub fn iter_back(&self, ring: &Ring, from: Option<u32>) -> impl Iterator<Item = u32> {
        let (head, step) = (ring.head, |id: u32| (id != NIL).then_some(id));
        std::iter::successors(step(from.unwrap_or(ring.tail)), move |id| {
            if *id == head { None } else { step(self.0[*id as usize].prev) }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn behaves_as_a_plain_queue(steps in prop::collection::vec((0u8..4, 0u32..16), 0..200)) {
            let (mut links, mut ring, mut model) = (Links::default(), Ring::default(), VecDeque::new());
            links.cover(15);
            for (step, id) in steps {
                let member = model.contains(&id);
                match step {
                    0 if !member => { links.push_back(&mut ring, id); model.push_back(id); }
                    1 if !member => { links.push_front(&mut ring, id); model.push_front(id); }
                    2 if member => { links.remove(&mut ring, id); model.retain(|m| *m != id); }
                    3 => prop_assert_eq!(links.pop_front(&mut ring), model.pop_front()),
                    _ => {}
                }
                prop_assert!(links.iter(&ring).eq(model.iter().copied()));
                prop_assert!(links.iter_back(&ring, None).eq(model.iter().rev().copied()));
                prop_assert_eq!(ring.is_empty(), model.is_empty());
            }
        }
    }
}
