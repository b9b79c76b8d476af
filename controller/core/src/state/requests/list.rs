//! Each tenant's calls in the order of their numbers: the differences from one to the next, a byte or three each, in
//! chunks of two cache lines. A call that leaves stays listed until those before it have left or until more of the list has left
//! than is there, so that nothing is ever looked for.

use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize};

use crate::{
    engine::ring::NIL,
    paged::{Flat, Paged},
};

const HEAD: usize = 8 + 4 + 4 + 1;
const BYTES: usize = 128 - HEAD;
/// Of a list that is mostly gone, so many are left listed before it is written anew.
const GONE_MAX: u32 = 64;

#[derive(Clone, Copy, Debug)]
struct Chunk {
    /// Its first number.
    first: u64,
    next: u32,
    prev: u32,
    used: u8,
    /// From each number to the next.
    steps: [u8; BYTES],
}

impl Default for Chunk {
    fn default() -> Self {
        Self { first: 0, next: NIL, prev: NIL, used: 0, steps: [0; BYTES] }
    }
}

impl Flat for Chunk {
    const BYTES: usize = 128;

    fn put(&self, out: &mut [u8]) {
        self.first.put(&mut out[..8]);
        self.next.put(&mut out[8..12]);
        self.prev.put(&mut out[12..16]);
        out[16] = self.used;
        out[HEAD..].copy_from_slice(&self.steps);
    }

    fn take(bytes: &[u8]) -> Self {
        let mut steps = [0; BYTES];
        steps.copy_from_slice(&bytes[HEAD..]);
        Self {
            first: u64::take(&bytes[..8]),
            next: u32::take(&bytes[8..12]),
            prev: u32::take(&bytes[12..16]),
            used: bytes[16],
            steps,
        }
    }
}

/// One list.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(in crate::state) struct List {
    head: u32,
    tail: u32,
    /// The oldest that is there, and where the step from it to the next one begins in the chunk `head`.
    first: u64,
    step: u8,
    /// The newest that was listed.
    last: u64,
    listed: u32,
    there: u32,
}

impl Default for List {
    fn default() -> Self {
        Self { head: NIL, tail: NIL, first: 0, step: 0, last: 0, listed: 0, there: 0 }
    }
}

impl List {
    /// Whether no call is left.
    pub(in crate::state) const fn is_empty(&self) -> bool {
        self.there == 0
    }

    /// The oldest.
    pub(in crate::state) const fn oldest(&self) -> Option<u64> {
        if self.there == 0 { None } else { Some(self.first) }
    }
}

/// The chunks of every list.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Lists {
    chunks: Paged<Chunk, 256>,
    free: u32,
}

impl Default for Lists {
    fn default() -> Self {
        Self { chunks: Paged::default(), free: NIL }
    }
}

impl Lists {
    /// Lets the next clone be made without copying.
    pub(super) fn share(&mut self) {
        self.chunks.share();
    }

    /// Writes the chunks.
    pub(super) fn write_tables(&self, to: &mut dyn Write) -> io::Result<()> {
        self.chunks.write_pages(to)
    }

    /// Reads the chunks.
    pub(super) fn read_tables(&mut self, from: &mut dyn Read) -> io::Result<()> {
        self.chunks.read_pages(from)
    }

    /// Appends a number, which is higher than all before it.
    pub(super) fn push(&mut self, list: &mut List, number: u64) {
        if list.head == NIL {
            let chunk = self.take(number, NIL);
            *list = List { head: chunk, tail: chunk, first: number, ..List::default() };
        } else {
            let mut step = [0; 10];
            let length = put(&mut step, number - list.last);
            let tail = &mut self.chunks[list.tail as usize];
            let used = usize::from(tail.used);
            if used + length <= BYTES {
                tail.steps[used..used + length].copy_from_slice(&step[..length]);
                tail.used += length as u8;
            } else {
                let chunk = self.take(number, list.tail);
                self.chunks[list.tail as usize].next = chunk;
                list.tail = chunk;
            }
        }
        list.last = number;
        list.listed += 1;
        list.there += 1;
    }

    /// A call of the list has left; `there` tells who has not.
    pub(super) fn remove(&mut self, list: &mut List, number: u64, there: impl Fn(u64) -> bool) {
        list.there -= 1;
        if list.there == 0 {
            self.clear(list);
        } else if number == list.first {
            while !there(list.first) {
                self.advance(list);
            }
        } else if list.listed - list.there > list.there + GONE_MAX {
            let mut anew = List::default();
            let mut chunk = list.head;
            while chunk != NIL {
                for number in self.numbers(list, chunk) {
                    if there(number) {
                        self.push(&mut anew, number);
                    }
                }
                chunk = self.chunks[chunk as usize].next;
            }
            self.clear(list);
            *list = anew;
        }
    }

    /// Numbers from the oldest to the newest, those of calls that have left among them.
    pub(super) fn iter(&self, list: List) -> impl Iterator<Item = u64> {
        self.chunks_of(list.head, |chunk| chunk.next)
            .flat_map(move |chunk| self.numbers(&list, chunk))
    }

    /// Numbers below `before` from the newest to the oldest, those of calls that have left among them.
    pub(super) fn iter_back(&self, list: List, before: u64) -> impl Iterator<Item = u64> {
        self.chunks_of(list.tail, |chunk| chunk.prev)
            .skip_while(move |chunk| self.chunks[*chunk as usize].first >= before)
            .flat_map(move |chunk| self.numbers(&list, chunk).rev())
            .skip_while(move |number| *number >= before)
    }

    fn chunks_of(&self, from: u32, next: fn(&Chunk) -> u32) -> impl Iterator<Item = u32> {
        let there = |chunk: u32| (chunk != NIL).then_some(chunk);
        std::iter::successors(there(from), move |chunk| there(next(&self.chunks[*chunk as usize])))
    }

    /// The numbers in a chunk of a list.
    fn numbers(&self, list: &List, chunk: u32) -> impl DoubleEndedIterator<Item = u64> + use<> {
        let head = chunk == list.head;
        let chunk = &self.chunks[chunk as usize];
        let (mut number, mut at) = if head { (list.first, list.step) } else { (chunk.first, 0) };
        let (mut numbers, mut count) = ([0; BYTES + 1], 1);
        numbers[0] = number;
        while at < chunk.used {
            let (step, next) = get(&chunk.steps, at);
            (number, at) = (number + step, next);
            numbers[count] = number;
            count += 1;
        }
        numbers.into_iter().take(count)
    }

    /// Passes the oldest over; there is another.
    fn advance(&mut self, list: &mut List) {
        let head = self.chunks[list.head as usize];
        list.listed -= 1;
        if list.step < head.used {
            let (step, next) = get(&head.steps, list.step);
            (list.first, list.step) = (list.first + step, next);
        } else {
            self.give(list.head);
            let next = &mut self.chunks[head.next as usize];
            next.prev = NIL;
            (list.head, list.first, list.step) = (head.next, next.first, 0);
        }
    }

    fn clear(&mut self, list: &mut List) {
        let mut chunk = list.head;
        while chunk != NIL {
            let next = self.chunks[chunk as usize].next;
            self.give(chunk);
            chunk = next;
        }
        *list = List::default();
    }

    fn take(&mut self, first: u64, prev: u32) -> u32 {
        let chunk = Chunk { first, prev, ..Chunk::default() };
        if self.free == NIL {
            self.chunks.push(chunk);
            return (self.chunks.len() - 1) as u32;
        }
        let id = self.free;
        self.free = std::mem::replace(&mut self.chunks[id as usize], chunk).next;
        id
    }

    fn give(&mut self, chunk: u32) {
        self.chunks[chunk as usize].next = self.free;
        self.free = chunk;
    }
}

fn put(out: &mut [u8; 10], mut value: u64) -> usize {
    let mut length = 0;
    while value >= 0x80 {
        out[length] = value as u8 | 0x80;
        value >>= 7;
        length += 1;
    }
    out[length] = value as u8;
    length + 1
}

fn get(steps: &[u8; BYTES], mut at: u8) -> (u64, u8) {
    let (mut value, mut shift) = (0, 0);
    loop {
        let byte = steps[usize::from(at)];
        at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return (value, at);
        }
        shift += 7;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Against an ordered set; and the chunks are bounded by what is there.
        #[test]
        fn lists_are_as_ordered_sets(
            steps in prop::collection::vec(
                (0u8..5, 0usize..2, prop_oneof![1u64..3, 1u64..1_000_000, 1u64..u64::MAX / 1_000], any::<prop::sample::Index>()),
                0..600,
            ),
        ) {
            let mut lists = Lists::default();
            let (mut two, mut models) = ([List::default(); 2], [BTreeSet::new(), BTreeSet::new()]);
            let mut newest = 0;
            for (step, at, gap, which) in steps {
                let (list, model) = (&mut two[at], &mut models[at]);
                if step < 3 {
                    newest += gap;
                    lists.push(list, newest);
                    model.insert(newest);
                } else if !model.is_empty() {
                    // The oldest leaves most often.
                    let nth = if step == 3 { 0 } else { which.index(model.len()) };
                    let gone = *model.iter().nth(nth).unwrap();
                    model.remove(&gone);
                    lists.remove(list, gone, |number| model.contains(&number));
                }
                let there = |number: &u64| model.contains(number);
                prop_assert!(lists.iter(*list).filter(there).eq(model.iter().copied()));
                let before = which.index(newest as usize + 2) as u64;
                let back = lists.iter_back(*list, before).filter(there);
                prop_assert!(back.eq(model.range(..before).rev().copied()));
                prop_assert_eq!(list.oldest(), model.first().copied());
                prop_assert_eq!(list.is_empty(), model.is_empty());
                prop_assert!(list.listed <= 2 * list.there + GONE_MAX + 1);
            }
        }
    }
}
