//! Where the requests' own bytes lie: chunks that are filled once and then never change, so that snapshots share
//! them. A chunk of which less than half is in use gives up what is left in it to a new one and goes, so that at most twice the
//! bytes in use are held.

use std::{
    io::{self, Read, Write},
    sync::Arc,
};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::engine::{ring::NIL, slab::Slab};

/// Where a request lies: the number of its chunk above [`OFFSET_BITS`], and its place in it below.
pub(super) type Place = u64;

const OFFSET_BITS: u32 = 20;
/// A chunk is closed at this size. A larger request has a chunk of its own.
const CHUNK: usize = 1 << 18;

/// No chunk is longer: offsets end here, and no request is as long.
const LENGTH_MAX: usize = 1 << OFFSET_BITS;
/// One that is being filled is looked at like the others from this size on.
const OPEN: usize = 1 << 12;

const fn chunk_of(place: Place) -> u32 {
    (place >> OFFSET_BITS) as u32
}

const fn offset_of(place: Place) -> usize {
    (place & ((1 << OFFSET_BITS) - 1)) as usize
}

/// Bytes shared with snapshots. Their number is written with the state, they themselves by [`Arena::write_tables`].
#[derive(Clone, Debug, Default)]
struct Shared(Arc<Vec<u8>>);

impl Serialize for Shared {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        (self.0.len() as u32).serialize(to)
    }
}

impl<'de> Deserialize<'de> for Shared {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let length = u32::deserialize(from)? as usize;
        if length > LENGTH_MAX {
            return Err(serde::de::Error::invalid_length(length, &"the bytes of a chunk"));
        }
        Ok(Self(Arc::new(vec![0; length])))
    }
}

/// Whose the requests in a chunk are, by number.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Owners {
    /// Those that were accepted one after the other.
    Range(u64, u64),
    /// Those that were left in chunks before.
    List(Vec<u64>),
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Chunk {
    bytes: Shared,
    /// Bytes of requests that are still there.
    used: u32,
    owners: Owners,
}

impl Chunk {
    fn is_sparse(&self) -> bool {
        (self.used as usize) * 2 < self.bytes.0.len()
    }

    /// Nothing of it is in use: it is filled anew.
    fn clear(&mut self) {
        match Arc::get_mut(&mut self.bytes.0) {
            Some(bytes) => bytes.clear(),
            None => self.bytes = Shared::default(),
        }
        if let Owners::List(owners) = &mut self.owners {
            owners.clear();
        }
    }
}

/// The chunks.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Arena {
    chunks: Slab<Chunk>,
    /// That which new requests are put into.
    fresh: u32,
    /// That which takes what is left of others.
    moved: u32,
    /// Those of which less than half is in use, until they are given up.
    sparse: Vec<u32>,
}

impl Default for Arena {
    fn default() -> Self {
        Self { chunks: Slab::default(), fresh: NIL, moved: NIL, sparse: Vec::new() }
    }
}

impl Arena {
    /// Lets the next clone be made without copying.
    pub(super) fn share(&mut self) {
        self.chunks.share();
    }

    /// Writes the chunks' bytes.
    pub(super) fn write_tables(&self, to: &mut dyn Write) -> io::Result<()> {
        self.chunks.iter().try_for_each(|(_, chunk)| to.write_all(&chunk.bytes.0))
    }

    /// Reads the chunks' bytes.
    pub(super) fn read_tables(&mut self, from: &mut dyn Read) -> io::Result<()> {
        let numbers: Vec<_> = self.chunks.iter().map(|(number, _)| number).collect();
        numbers.into_iter().try_for_each(|number| {
            from.read_exact(Arc::<Vec<u8>>::make_mut(&mut self.chunks[number].bytes.0))
        })
    }

    /// Puts a new request in. Numbers follow each other without a gap.
    pub(super) fn push(&mut self, number: u64, bytes: &[u8]) -> Place {
        let open = self.chunks.get(self.fresh);
        let follows = open.is_some_and(|chunk| {
            let last = matches!(chunk.owners, Owners::Range(_, last) if last + 1 == number);
            chunk.used == 0 || (last && chunk.bytes.0.len() + bytes.len() <= CHUNK)
        });
        if !follows {
            let closed = std::mem::replace(&mut self.fresh, NIL);
            self.weigh(closed);
            self.fresh = self.chunks.insert(new_chunk(Owners::Range(number, number)));
        }
        let chunk = &mut self.chunks[self.fresh];
        match &mut chunk.owners {
            Owners::Range(_, last) if chunk.used > 0 => *last = number,
            owners => *owners = Owners::Range(number, number),
        }
        append(chunk, self.fresh, bytes)
    }

    /// What lies from a place to the end of its chunk.
    pub(super) fn from(&self, place: Place) -> &[u8] {
        &self.chunks[chunk_of(place)].bytes.0[offset_of(place)..]
    }

    /// A request of `length` bytes goes.
    pub(super) fn remove(&mut self, place: Place, length: usize) {
        let chunk = chunk_of(place);
        let state = &mut self.chunks[chunk];
        state.used -= length as u32;
        for open in [&mut self.fresh, &mut self.moved] {
            if *open == chunk {
                if state.used == 0 {
                    state.clear();
                    return;
                }
                if state.bytes.0.len() < OPEN || !state.is_sparse() {
                    return;
                }
                *open = NIL;
            }
        }
        self.weigh(chunk);
    }

    /// A chunk that should be given up, and the numbers of the requests that may be left in it.
    pub(super) fn sparse(&mut self) -> Option<(u32, Vec<u64>)> {
        let chunk = self.sparse.pop()?;
        let owners = match &self.chunks[chunk].owners {
            Owners::Range(first, last) => (*first..=*last).collect(),
            Owners::List(owners) => owners.clone(),
        };
        Some((chunk, owners))
    }

    /// Whether a place is in this chunk.
    pub(super) const fn is_in(place: Place, chunk: u32) -> bool {
        chunk_of(place) == chunk
    }

    /// Moves a request out of a chunk that is given up; tells where it is now.
    pub(super) fn relocate(&mut self, number: u64, place: Place, length: usize) -> Place {
        let bytes = Arc::clone(&self.chunks[chunk_of(place)].bytes.0);
        self.put(number, &bytes[offset_of(place)..][..length])
    }

    /// Puts in a request that was there before.
    pub(super) fn put(&mut self, number: u64, bytes: &[u8]) -> Place {
        let open = self.chunks.get(self.moved);
        if open.is_none_or(|chunk| chunk.bytes.0.len() + bytes.len() > CHUNK) {
            let closed = std::mem::replace(&mut self.moved, NIL);
            self.weigh(closed);
            self.moved = self.chunks.insert(new_chunk(Owners::List(Vec::new())));
        }
        let chunk = &mut self.chunks[self.moved];
        if let Owners::List(owners) = &mut chunk.owners {
            owners.push(number);
        }
        append(chunk, self.moved, bytes)
    }

    /// Lets a chunk go of which everything was moved.
    pub(super) fn give_up(&mut self, chunk: u32) {
        self.chunks.remove(chunk);
    }

    /// A closed chunk goes if it is empty, and is to be given up if it is sparse.
    fn weigh(&mut self, number: u32) {
        let Some(chunk) = self.chunks.get(number) else { return };
        if chunk.used == 0 {
            self.chunks.remove(number);
            self.sparse.retain(|other| *other != number);
        } else if chunk.is_sparse() && !self.sparse.contains(&number) {
            self.sparse.push(number);
        }
    }

    /// Bytes held and bytes in use.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> (usize, usize) {
        self.chunks.iter().fold((0, 0), |(held, used), (_, chunk)| {
            (held + chunk.bytes.0.len(), used + chunk.used as usize)
        })
    }
}

fn new_chunk(owners: Owners) -> Chunk {
    Chunk { bytes: Shared::default(), used: 0, owners }
}

fn append(chunk: &mut Chunk, number: u32, bytes: &[u8]) -> Place {
    let held = Arc::make_mut(&mut chunk.bytes.0);
    if held.is_empty() {
        held.reserve_exact(OPEN.max(bytes.len()));
    }
    let place = u64::from(number) << OFFSET_BITS | held.len() as u64;
    held.extend_from_slice(bytes);
    chunk.used += bytes.len() as u32;
    place
}
