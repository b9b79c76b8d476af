//! Queues of requests in chunks of one cache line: a start touches one line of its lane's queue, and the next ones
//! of that lane find it again, however the requests of many lanes arrived mixed. About nine bytes a request.
//!
//! Taking out of the middle leaves a gap, which is passed over later; a chunk of gaps goes at once, so that memory is bounded by
//! what waits.

use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize};

use super::{ring::NIL, soon::soon};
use crate::paged::{Flat, Paged};

/// Ids in a chunk: with both its links it fills a cache line.
const IDS: usize = 14;

#[derive(Clone, Copy, Debug)]
#[repr(align(64))]
struct Chunk {
    ids: [u32; IDS],
    next: u32,
    prev: u32,
}

const _: () = assert!(size_of::<Chunk>() == 64, "a chunk fills a cache line");

impl Default for Chunk {
    fn default() -> Self {
        Self { ids: [NIL; IDS], next: NIL, prev: NIL }
    }
}

impl Flat for Chunk {
    const BYTES: usize = 64;

    fn put(&self, out: &mut [u8]) {
        let words = self.ids.iter().chain([&self.next, &self.prev]);
        words.zip(out.chunks_exact_mut(4)).for_each(|(word, out)| word.put(out));
    }

    fn take(bytes: &[u8]) -> Self {
        let mut words = bytes.chunks_exact(4).map(u32::take);
        let mut word = || words.next().unwrap_or(NIL);
        Self { ids: std::array::from_fn(|_| word()), next: word(), prev: word() }
    }
}

/// The chunks of every queue.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Chunks {
    chunks: Paged<Chunk, 512>,
    free: u32,
    /// The chunk of each request that is in a queue.
    at: Paged<u32, 8_192>,
}

impl Default for Chunks {
    fn default() -> Self {
        Self { chunks: Paged::default(), free: NIL, at: Paged::default() }
    }
}

/// One queue. Its ids lie from `first` in the chunk `head` up to `end` in the chunk `tail`; the one at the front is
/// never a gap.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Queue {
    head: u32,
    tail: u32,
    len: u32,
    first: u8,
    end: u8,
}

impl Default for Queue {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl Queue {
    /// Without a request.
    pub const EMPTY: Self = Self { head: NIL, tail: NIL, len: 0, first: 0, end: 0 };

    /// How many requests wait.
    #[inline]
    pub const fn len(&self) -> u32 {
        self.len
    }

    /// Whether none waits.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl Chunks {
    /// Lets the next clone be made without copying.
    pub fn share(&mut self) {
        self.chunks.share();
        self.at.share();
    }

    /// Writes the queues' tables; the rest is written with the engine.
    ///
    /// # Errors
    /// As `to`.
    pub fn write_tables(&self, to: &mut dyn Write) -> io::Result<()> {
        self.chunks.write_pages(to)?;
        self.at.write_pages(to)
    }

    /// Reads the queues' tables, after the rest.
    ///
    /// # Errors
    /// As `from`.
    pub fn read_tables(&mut self, from: &mut dyn Read) -> io::Result<()> {
        self.chunks.read_pages(from)?;
        self.at.read_pages(from)
    }

    /// How much a copy of them takes.
    pub const fn bytes(&self) -> usize {
        self.chunks.bytes() + self.at.bytes()
    }

    /// Appends a request, which is in no queue.
    #[inline]
    pub fn push_back(&mut self, queue: &mut Queue, id: u32) {
        if queue.tail == NIL || usize::from(queue.end) == IDS {
            let chunk = self.take(NIL, queue.tail);
            if queue.tail == NIL {
                (queue.head, queue.first) = (chunk, 0);
            } else {
                self.chunks[queue.tail as usize].next = chunk;
            }
            (queue.tail, queue.end) = (chunk, 0);
        }
        self.put(queue.tail, queue.end, id);
        queue.end += 1;
        queue.len += 1;
    }

    /// Puts a request, which is in no queue, at the front.
    pub fn push_front(&mut self, queue: &mut Queue, id: u32) {
        if queue.head == NIL {
            return self.push_back(queue, id);
        }
        if queue.first == 0 {
            let chunk = self.take(queue.head, NIL);
            self.chunks[queue.head as usize].prev = chunk;
            (queue.head, queue.first) = (chunk, IDS as u8);
        }
        queue.first -= 1;
        self.put(queue.head, queue.first, id);
        queue.len += 1;
    }

    /// Puts a request, which is in no queue, right behind another one of this queue.
    pub fn push_behind(&mut self, queue: &mut Queue, other: u32, id: u32) {
        let chunk = self.at[other as usize];
        let (from, to) = self.range(queue, chunk);
        let ids = &mut self.chunks[chunk as usize].ids;
        let at = (from..to).find(|at| ids[*at] == other).expect("the other is in this queue");
        if chunk == queue.tail && at + 1 == to {
            return self.push_back(queue, id);
        }
        let gap = (0..at).rev().find(|gap| *gap < from || ids[*gap] == NIL);
        let chunk = match gap {
            Some(gap) => {
                ids.copy_within(gap + 1..=at, gap);
                if chunk == queue.head {
                    queue.first = queue.first.min(gap as u8);
                }
                chunk
            }
            None => self.split(queue, chunk, at + 1),
        };
        self.put(chunk, at as u8, id);
        queue.len += 1;
    }

    /// What stands in a chunk from a position on goes to a new chunk behind it, and keeps its position.
    fn split(&mut self, queue: &mut Queue, chunk: u32, from: usize) -> u32 {
        let next = self.chunks[chunk as usize].next;
        let new = self.take(next, chunk);
        self.chunks[chunk as usize].next = new;
        match next {
            NIL => queue.tail = new,
            next => self.chunks[next as usize].prev = new,
        }
        for at in from..IDS {
            let id = std::mem::replace(&mut self.chunks[chunk as usize].ids[at], NIL);
            if id != NIL {
                self.put(new, at as u8, id);
            }
        }
        new
    }

    /// The request at the front.
    #[inline]
    pub fn front(&self, queue: &Queue) -> Option<u32> {
        (queue.head != NIL).then(|| self.chunks[queue.head as usize].ids[usize::from(queue.first)])
    }

    /// Asks memory for the chunks at either end, which a start and an arrival will touch.
    #[inline]
    pub(super) fn soon(&self, queue: &Queue) {
        for chunk in [queue.head, queue.tail] {
            if let Some(chunk) = self.chunks.get_near(chunk as usize) {
                soon(chunk);
            }
        }
    }

    /// Asks memory for what taking the front leads to: where it is noted which chunk that is in, and the next chunk.
    #[inline]
    pub(super) fn soon_behind(&self, queue: &Queue) {
        let Some(chunk) = self.chunks.get_near(queue.head as usize) else { return };
        let first = usize::from(queue.first);
        if let Some(at) = chunk.ids.get(first).and_then(|id| self.at.get_near(*id as usize)) {
            soon(at);
        }
        if first + 1 == IDS
            && let Some(next) = self.chunks.get_near(chunk.next as usize)
        {
            soon(next);
        }
    }

    /// Takes the front.
    #[inline]
    pub fn pop_front(&mut self, queue: &mut Queue) -> Option<u32> {
        let id = self.front(queue)?;
        queue.len -= 1;
        queue.first += 1;
        self.pass_gaps(queue);
        Some(id)
    }

    /// Takes a request out of the queue that it is in.
    pub fn remove(&mut self, queue: &mut Queue, id: u32) {
        let chunk = self.at[id as usize];
        let (from, to) = self.range(queue, chunk);
        let ids = &mut self.chunks[chunk as usize].ids[from..to];
        let found = ids.iter_mut().find(|other| **other == id);
        *found.expect("the request is in this queue") = NIL;
        queue.len -= 1;
        if chunk == queue.head {
            self.pass_gaps(queue);
        } else if ids.iter().all(|id| *id == NIL) {
            self.unlink(queue, chunk);
        }
    }

    /// The requests from front to back.
    pub fn iter(&self, queue: &Queue) -> impl Iterator<Item = u32> {
        let (queue, step) = (*queue, |chunk: u32| (chunk != NIL).then_some(chunk));
        std::iter::successors(step(queue.head), move |chunk| {
            step(self.chunks[*chunk as usize].next)
        })
        .flat_map(move |chunk| {
            let (from, to) = self.range(&queue, chunk);
            self.chunks[chunk as usize].ids[from..to].iter().copied().filter(|id| *id != NIL)
        })
    }

    /// Brings the front to a request, and gives back the chunks before it.
    #[inline]
    fn pass_gaps(&mut self, queue: &mut Queue) {
        loop {
            if queue.head == queue.tail && queue.first == queue.end {
                self.give(queue.head);
                *queue = Queue::default();
                return;
            }
            let chunk = &self.chunks[queue.head as usize];
            if usize::from(queue.first) == IDS {
                let next = chunk.next;
                self.give(queue.head);
                (queue.head, queue.first) = (next, 0);
                self.chunks[next as usize].prev = NIL;
            } else if chunk.ids[usize::from(queue.first)] == NIL {
                queue.first += 1;
            } else {
                return;
            }
        }
    }

    /// Takes a chunk of gaps, which is not the head, out of its queue.
    fn unlink(&mut self, queue: &mut Queue, chunk: u32) {
        let Chunk { next, prev, .. } = self.chunks[chunk as usize];
        self.chunks[prev as usize].next = next;
        if next == NIL {
            (queue.tail, queue.end) = (prev, IDS as u8);
        } else {
            self.chunks[next as usize].prev = prev;
        }
        self.give(chunk);
    }

    /// Where a chunk's ids lie.
    fn range(&self, queue: &Queue, chunk: u32) -> (usize, usize) {
        let from = if chunk == queue.head { usize::from(queue.first) } else { 0 };
        let to = if chunk == queue.tail { usize::from(queue.end) } else { IDS };
        (from, to)
    }

    #[inline]
    fn put(&mut self, chunk: u32, position: u8, id: u32) {
        self.at.grow_to(id as usize + 1);
        self.at[id as usize] = chunk;
        self.chunks[chunk as usize].ids[usize::from(position)] = id;
    }

    fn take(&mut self, next: u32, prev: u32) -> u32 {
        let chunk = Chunk { ids: [NIL; IDS], next, prev };
        if self.free == NIL {
            self.chunks.push(chunk);
            return (self.chunks.len() - 1) as u32;
        }
        let id = self.free;
        self.free = std::mem::replace(&mut self.chunks[id as usize], chunk).next;
        id
    }

    #[inline]
    fn give(&mut self, chunk: u32) {
        self.chunks[chunk as usize].next = self.free;
        self.free = chunk;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against plain queues; and no more chunks than requests, plus one for each queue.
        #[test]
        fn behaves_as_plain_queues(steps in prop::collection::vec((0u8..9, 0usize..2, 0u32..64), 0..400)) {
            let mut chunks = Chunks::default();
            let (mut queues, mut models) = ([Queue::default(); 2], [VecDeque::new(), VecDeque::new()]);
            let mut most = 0;
            for (step, at, id) in steps {
                let (queue, model) = (&mut queues[at], &mut models[at]);
                let id = id * 2 + at as u32;
                let member = model.contains(&id);
                match step {
                    0..4 if !member => { chunks.push_back(queue, id); model.push_back(id); }
                    4 if !member => { chunks.push_front(queue, id); model.push_front(id); }
                    0..6 if member => { chunks.remove(queue, id); model.retain(|m| *m != id); }
                    6 => prop_assert_eq!(chunks.pop_front(queue), model.pop_front()),
                    7 if !member && !model.is_empty() => {
                        let behind = id as usize % model.len();
                        chunks.push_behind(queue, model[behind], id);
                        model.insert(behind + 1, id);
                    }
                    _ => {}
                }
                prop_assert!(chunks.iter(queue).eq(model.iter().copied()));
                prop_assert_eq!(chunks.front(queue), model.front().copied());
                prop_assert_eq!(queue.len() as usize, model.len());
                most = most.max(models[0].len() + models[1].len());
            }
            prop_assert!(chunks.chunks.len() <= most + 2);
        }
    }
}
