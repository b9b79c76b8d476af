//! Chains of timers, first in, first out, in chunks of half a kilobyte: timers are written one behind the other and read in
//! one go, so that what lies between them in time costs no wait for memory.

use serde::{Deserialize, Serialize};

use crate::engine::ring::NIL;

/// Timers in a chunk: with its link it takes 504 bytes.
const ENTRIES: usize = 31;

/// A timer that waits.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Entry {
    pub at: u64,
    pub key: u32,
    pub handle: u32,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Chunk {
    entries: [Entry; ENTRIES],
    next: u32,
}

/// One chain: its first and its last chunk, and how many timers are in the last.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Chain {
    head: u32,
    tail: u32,
    end: u32,
}

impl Default for Chain {
    fn default() -> Self {
        Self { head: NIL, tail: NIL, end: ENTRIES as u32 }
    }
}

impl Chain {
    #[inline]
    const fn len(&self, chunk: u32) -> usize {
        if chunk == self.tail { self.end as usize } else { ENTRIES }
    }
}

/// The chunks of every chain.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Chains {
    chunks: Vec<Chunk>,
    free: u32,
}

impl Default for Chains {
    fn default() -> Self {
        Self { chunks: Vec::new(), free: NIL }
    }
}

impl Chains {
    /// How much a copy of them takes.
    pub const fn bytes(&self) -> usize {
        self.chunks.len() * size_of::<Chunk>()
    }

    /// Appends a timer.
    #[inline]
    pub fn push(&mut self, chain: &mut Chain, entry: Entry) {
        if chain.end as usize == ENTRIES {
            self.grow(chain);
        }
        self.chunks[chain.tail as usize].entries[chain.end as usize] = entry;
        chain.end += 1;
    }

    #[cold]
    fn grow(&mut self, chain: &mut Chain) {
        let chunk = self.free;
        let chunk = if chunk == NIL {
            self.chunks.push(Chunk { entries: [Entry::default(); ENTRIES], next: NIL });
            (self.chunks.len() - 1) as u32
        } else {
            self.free = self.chunks[chunk as usize].next;
            self.chunks[chunk as usize].next = NIL;
            chunk
        };
        if chain.tail == NIL {
            chain.head = chunk;
        } else {
            self.chunks[chain.tail as usize].next = chunk;
        }
        (chain.tail, chain.end) = (chunk, 0);
    }

    /// Takes the first chunk of a chain: its timers, and how many they are.
    #[inline]
    pub fn take(&mut self, chain: &mut Chain) -> Option<([Entry; ENTRIES], usize)> {
        let head = chain.head;
        if head == NIL {
            return None;
        }
        let len = chain.len(head);
        let chunk = &mut self.chunks[head as usize];
        let (entries, next) = (chunk.entries, chunk.next);
        chunk.next = self.free;
        self.free = head;
        if next == NIL {
            *chain = Chain::default();
        } else {
            chain.head = next;
        }
        Some((entries, len))
    }

    /// Tells `each` the timers of a chain.
    #[inline]
    pub fn each(&self, chain: Chain, mut each: impl FnMut(&Entry)) {
        let mut id = chain.head;
        while id != NIL {
            let chunk = &self.chunks[id as usize];
            chunk.entries[..chain.len(id)].iter().for_each(&mut each);
            id = chunk.next;
        }
    }
}
