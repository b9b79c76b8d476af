//! Queues threaded through their members: constant time to append, take from the front and take out of the middle.
//!
//! A member is an item of a slab, and is in at most one queue at a time. Taking from the front reads one
//! link and writes none: the new front's backward link goes stale, and is never read while it is the front.

use serde::{Deserialize, Serialize};

use super::slab::Slab;

/// No id.
pub const NIL: u32 = u32::MAX;

/// A member's neighbours.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Link {
    next: u32,
    prev: u32,
}

impl Link {
    /// `next` is behind it.
    #[inline]
    pub(super) const fn set_next(&mut self, next: u32) {
        self.next = next;
    }

    /// The member behind, or [`NIL`]; of a member that is in no queue, any.
    #[inline]
    pub(super) const fn next(self) -> u32 {
        self.next
    }
}

impl Default for Link {
    fn default() -> Self {
        Self { next: NIL, prev: NIL }
    }
}

/// What can be a member: it carries its link.
pub trait Member {
    /// The link.
    fn link(&self) -> Link;
    /// The link.
    fn link_mut(&mut self) -> &mut Link;
}

/// One queue: its two ends.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Ring {
    head: u32,
    tail: u32,
}

impl Default for Ring {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl Ring {
    /// Without a member.
    pub const EMPTY: Self = Self { head: NIL, tail: NIL };

    /// Whether it has no member.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.head == NIL
    }

    /// The member at the back, or [`NIL`].
    #[inline]
    pub(super) const fn back(&self) -> u32 {
        self.tail
    }

    /// The front goes, and `next` is behind it.
    #[inline]
    pub(super) const fn behind_front(&mut self, next: u32) {
        self.head = next;
        if next == NIL {
            self.tail = NIL;
        }
    }

    /// `id` comes to the back: what its link is then. It is the next one of who was at the back before.
    #[inline]
    pub(super) const fn append(&mut self, id: u32) -> Link {
        let link = Link { next: NIL, prev: self.tail };
        if self.head == NIL {
            self.head = id;
        }
        self.tail = id;
        link
    }

    /// The member at the front, or [`NIL`].
    #[inline]
    pub const fn front(&self) -> u32 {
        self.head
    }
}

impl Ring {
    /// Appends `id`, which is in no queue.
    #[inline]
    pub fn push_back<T: Member + Clone>(&mut self, table: &mut Slab<T>, id: u32) {
        let last = self.tail;
        *table[id].link_mut() = self.append(id);
        if last != NIL {
            table[last].link_mut().next = id;
        }
    }

    /// Takes the front.
    #[inline]
    pub fn pop_front<T: Member + Clone>(&mut self, table: &Slab<T>) -> Option<u32> {
        let id = self.head;
        if id == NIL {
            return None;
        }
        self.behind_front(table[id].link().next);
        Some(id)
    }

    /// Takes `id` out of the queue, which it is in.
    pub fn remove<T: Member + Clone>(&mut self, table: &mut Slab<T>, id: u32) {
        if self.head == id {
            self.pop_front(table);
            return;
        }
        let Link { next, prev } = table[id].link();
        table[prev].link_mut().next = next;
        if next == NIL {
            self.tail = prev;
        } else {
            table[next].link_mut().prev = prev;
        }
    }

    /// The members from front to back.
    pub fn iter<T: Member + Clone>(self, table: &Slab<T>) -> impl Iterator<Item = u32> {
        let step = |id: u32| (id != NIL).then_some(id);
        std::iter::successors(step(self.head), move |id| step(table[*id].link().next))
    }

    /// The members from back to front, beginning at `from` or at the back.
    pub fn iter_back<T: Member + Clone>(
        self,
        table: &Slab<T>,
        from: Option<u32>,
    ) -> impl Iterator<Item = u32> {
        let step = |id: u32| (id != NIL).then_some(id);
        std::iter::successors(step(from.unwrap_or(self.tail)), move |id| {
            if *id == self.head { None } else { step(table[*id].link().prev) }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    impl Member for Link {
        fn link(&self) -> Link {
            *self
        }

        fn link_mut(&mut self) -> &mut Link {
            self
        }
    }

    proptest! {
        #[test]
        fn behaves_as_a_plain_queue(steps in prop::collection::vec((0u8..4, 0u32..16), 0..200)) {
            let (mut table, mut ring, mut model) = (Slab::default(), Ring::default(), VecDeque::new());
            for _ in 0..16 { table.insert(Link::default()); }
            for (step, id) in steps {
                let member = model.contains(&id);
                match step {
                    0 | 1 if !member => { ring.push_back(&mut table, id); model.push_back(id); }
                    2 if member => { ring.remove(&mut table, id); model.retain(|m| *m != id); }
                    3 => prop_assert_eq!(ring.pop_front(&table), model.pop_front()),
                    _ => {}
                }
                prop_assert!(ring.iter(&table).eq(model.iter().copied()));
                prop_assert!(ring.iter_back(&table, None).eq(model.iter().rev().copied()));
                prop_assert_eq!(ring.is_empty(), model.is_empty());
            }
        }
    }
}
