//! The texts of messages, each stored once (MT-8). A text's address is the SHA-256 of it; equal texts share one
//! place, whichever messages have them, and a message holds the number of that place.
//!
//! Bounded by [`Bodies::BYTES_MAX`]: beyond it no new text is taken, which refuses the message before it is accepted.

use std::collections::BTreeMap;

use busyhour_base::{Body, Segments};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::engine::slab::Slab;

/// What a text costs beside itself: its hash twice, counters and the map's share.
const OVERHEAD: u64 = 128;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Stored {
    body: Body,
    hash: [u8; 32],
    segments: Segments,
    /// Messages that have it.
    references: u32,
}

/// Every text.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Bodies {
    stored: Slab<Stored>,
    places: BTreeMap<[u8; 32], u32>,
    bytes: u64,
}

impl Bodies {
    /// The most memory that texts may take: four million different texts of one segment.
    pub const BYTES_MAX: u64 = 1 << 30;

    /// Notes one more message with this text; `None` if it would be a new one too many.
    pub fn hold(&mut self, body: &Body) -> Option<u32> {
        let hash: [u8; 32] = Sha256::digest(body.text()).into();
        if let Some(place) = self.places.get(&hash) {
            let stored = &mut self.stored[*place];
            stored.references = stored.references.checked_add(1)?;
            return Some(*place);
        }
        let bytes = cost(body);
        if self.bytes + bytes > Self::BYTES_MAX {
            return None;
        }
        self.bytes += bytes;
        let segments = Segments::of(body.text());
        let stored = Stored { body: body.clone(), hash, segments, references: 1 };
        let place = self.stored.insert(stored);
        self.places.insert(hash, place);
        Some(place)
    }

    /// A message with this text is gone; with the last one the text goes.
    pub fn release(&mut self, place: u32) {
        let stored = &mut self.stored[place];
        stored.references -= 1;
        if stored.references == 0 {
            self.bytes -= cost(&stored.body);
            self.places.remove(&stored.hash);
            self.stored.remove(place);
        }
    }

    /// A text.
    pub fn body(&self, place: u32) -> &Body {
        &self.stored[place].body
    }

    /// How it travels.
    pub fn segments(&self, place: u32) -> Segments {
        self.stored[place].segments
    }

    /// How many different texts there are, and how many messages have one.
    pub fn counts(&self) -> (usize, u64) {
        let references = self.stored.iter().map(|(_, stored)| u64::from(stored.references));
        (self.stored.len(), references.sum())
    }
}

fn cost(body: &Body) -> u64 {
    body.text().len() as u64 + OVERHEAD
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mt_8_equal_texts_are_stored_once_and_go_with_their_last_message() {
        let mut bodies = Bodies::default();
        let hello = bodies.hold(&Body::from("hello")).unwrap();
        assert_eq!(bodies.hold(&Body::from("hello")), Some(hello));
        let other = bodies.hold(&Body::from("hello!")).unwrap();
        assert_ne!(other, hello);
        assert_eq!(bodies.counts(), (2, 3));
        bodies.release(hello);
        assert_eq!(bodies.body(hello).text(), "hello");
        bodies.release(hello);
        bodies.release(other);
        assert_eq!((bodies.counts(), bodies.bytes, bodies.places.len()), ((0, 0), 0, 0));
    }

    #[test]
    fn a_new_text_too_many_is_refused_and_a_known_one_is_not() {
        let mut bodies = Bodies::default();
        let known = bodies.hold(&Body::from("known")).unwrap();
        bodies.bytes = Bodies::BYTES_MAX - cost(&Body::from("1234")) + 1;
        assert_eq!(bodies.hold(&Body::from("1234")), None);
        assert_eq!(bodies.hold(&Body::from("known")), Some(known));
    }
}
