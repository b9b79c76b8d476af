//! Where a request is, in six bytes: nowhere, at a place of the arena, or apart.

use super::arena::Place;
use crate::paged::Flat;

/// Six bytes, little-endian: what the rest is in the two highest bits, and a place or a number below them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Word([u8; 6]);

/// What a word says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Whereabouts {
    /// There is no such request.
    Nowhere,
    /// It simply waits, and lies here.
    Plain(Place),
    /// The number of what it has apart.
    Aside(u32),
}

const ASIDE: u64 = 1 << 47;
const PLAIN: u64 = 1 << 46;

impl Word {
    /// Of a request that simply waits. A place has 46 bits: chunks of together 16 TiB.
    pub(super) fn plain(place: Place) -> Self {
        assert!(place < PLAIN, "fewer bytes than any machine has");
        Self::of(PLAIN | place)
    }

    /// Of a request that has something apart.
    pub(super) const fn aside(number: u32) -> Self {
        Self::of(ASIDE | number as u64)
    }

    #[inline]
    pub(super) fn whereabouts(self) -> Whereabouts {
        let Self([a, b, c, d, e, f]) = self;
        let word = u64::from_le_bytes([a, b, c, d, e, f, 0, 0]);
        if word & ASIDE != 0 {
            Whereabouts::Aside(word as u32)
        } else if word & PLAIN != 0 {
            Whereabouts::Plain(word & !PLAIN)
        } else {
            Whereabouts::Nowhere
        }
    }

    const fn of(word: u64) -> Self {
        let [a, b, c, d, e, f, ..] = word.to_le_bytes();
        Self([a, b, c, d, e, f])
    }
}

impl Flat for Word {
    const BYTES: usize = 6;

    #[inline]
    fn put(&self, out: &mut [u8]) {
        out.copy_from_slice(&self.0);
    }

    #[inline]
    fn take(bytes: &[u8]) -> Self {
        let mut own = [0; 6];
        own.copy_from_slice(bytes);
        Self(own)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_says_what_it_was_told() {
        assert_eq!(Word::default().whereabouts(), Whereabouts::Nowhere);
        for place in [0, 1, 0x1234_5678_9abc, PLAIN - 1] {
            let word = Word::plain(place & (PLAIN - 1));
            assert_eq!(word.whereabouts(), Whereabouts::Plain(place & (PLAIN - 1)));
            let mut bytes = [0; 6];
            word.put(&mut bytes);
            assert_eq!(Word::take(&bytes), word);
        }
        for number in [0, 7, u32::MAX] {
            assert_eq!(Word::aside(number).whereabouts(), Whereabouts::Aside(number));
        }
        assert_eq!(size_of::<Word>(), 6);
    }
}
