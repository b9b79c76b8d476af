//! How long calls hold their channels: the last ones that ended, kept in the state.

use busyhour_base::Span;
use serde::{Deserialize, Serialize};

/// How many are remembered: enough that the quantiles of 20 draws hardly change with more, and 256 bytes.
const KEPT: usize = 64;

/// The holding times of the last calls that ended.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Holding {
    /// In milliseconds, rounded up.
    recent: Vec<u32>,
    /// How many there were in all.
    seen: u32,
}

impl Holding {
    /// A call has ended that held its channel for this long.
    pub fn note(&mut self, held: Span) {
        let held = u32::try_from(held.as_micros().div_ceil(1_000)).unwrap_or(u32::MAX);
        if self.recent.len() < KEPT {
            self.recent.push(held);
        } else {
            self.recent[self.seen as usize % KEPT] = held;
        }
        // It counts round without going back to few.
        self.seen = self.seen.checked_add(1).unwrap_or(u32::MAX - KEPT as u32 + 1);
    }

    /// How many ended in all.
    pub const fn seen(&self) -> u32 {
        self.seen
    }

    /// The last ones, in microseconds, in no order.
    pub fn recent(&self) -> impl ExactSizeIterator<Item = u64> {
        self.recent.iter().map(|held| u64::from(*held) * 1_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_last_ones_and_no_more() {
        let mut holding = Holding::default();
        (1..=200).for_each(|n| holding.note(Span::from_millis(n)));
        let mut recent: Vec<_> = holding.recent().collect();
        recent.sort_unstable();
        assert_eq!(recent, (137..=200).map(|n| n * 1_000).collect::<Vec<_>>());
        assert_eq!(holding.seen(), 200);
    }

    #[test]
    fn rounds_up_and_stays_within_its_range() {
        let mut holding = Holding { recent: Vec::new(), seen: u32::MAX };
        holding.note(Span(1));
        holding.note(Span(u64::MAX));
        assert_eq!(holding.recent().collect::<Vec<_>>(), [1_000, u64::from(u32::MAX) * 1_000]);
        assert!(holding.seen() > 1 << 31);
    }
}
