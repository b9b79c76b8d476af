//! How long messages of one connection were held up on their way.

use busyhour_base::Span;

/// The quickest message is looked for among those of the last one or two of these: long enough that one of them met no queue,
/// short enough that two clocks, which part by some 100 microseconds a second at worst, have not moved apart meanwhile.
const WINDOW: Span = Span::from_secs(2);

/// Compares when messages were sent, by the sender's clock, with when they came, by the receiver's. Nobody has set one clock
/// by the other; but the quickest message tells how they stand to each other, and by how much longer another one was under way.
#[derive(Clone, Debug, Default)]
pub struct Transit {
    /// The quickest message of this window, and of the one before.
    present: Option<Quickest>,
    past: Option<Quickest>,
}

#[derive(Clone, Copy, Debug)]
struct Quickest {
    /// When its window began, by the receiver's clock.
    began: Span,
    /// The receiver's clock less the sender's, wrapping.
    apart: u64,
}

impl Transit {
    /// How much longer than the quickest of the last seconds a message was under way. `sent` and `received` count from any
    /// instants, which stay the same for all messages, on clocks that nobody sets.
    pub fn delay(&mut self, sent: Span, received: Span) -> Span {
        let apart = received.0.wrapping_sub(sent.0);
        let is_over =
            |window: Quickest, windows| received - window.began >= Span(WINDOW.0 * windows);
        if let Some(present) = self.present.filter(|present| is_over(*present, 1)) {
            self.past = Some(present);
            self.present = None;
        }
        self.past = self.past.filter(|past| !is_over(*past, 2));
        let present = self.present.get_or_insert(Quickest { began: received, apart });
        present.apart = lesser(present.apart, apart);
        let least = self.past.map_or(present.apart, |past| lesser(present.apart, past.apart));
        Span(apart.wrapping_sub(least))
    }
}

/// The lesser of two differences, either of which may be negative.
fn lesser(one: u64, other: u64) -> u64 {
    one.cast_signed().min(other.cast_signed()).cast_unsigned()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BASE: u64 = 20;

    proptest! {
        /// Whatever the clocks show: once a quick message has come, each other's delay is told exactly.
        #[test]
        fn the_delay_is_what_the_quickest_did_not_need(
            offset: u64,
            began in 0..1_u64 << 62,
            delays in prop::collection::vec(0_u64..1_000_000, 1..50),
        ) {
            let mut transit = Transit::default();
            let mut at = began;
            for delay in std::iter::once(0).chain(delays) {
                at += 10_000;
                let (sent, received) = (at.wrapping_add(offset), at + BASE + delay);
                prop_assert_eq!(transit.delay(Span(sent), Span(received)), Span(delay));
            }
        }
    }

    #[test]
    fn the_first_message_is_taken_for_a_quick_one() {
        let mut transit = Transit::default();
        assert_eq!(transit.delay(Span::from_secs(7), Span::from_secs(9_000)), Span::ZERO);
    }

    #[test]
    fn clocks_that_part_slowly_make_no_delay() {
        let mut transit = Transit::default();
        for second in 0..1_000 {
            // The receiver's clock gains 100 microseconds a second.
            let (sent, received) = (Span(second * 1_000_000), Span(second * 1_000_100));
            assert!(transit.delay(sent, received) <= Span(500), "after {second} s");
        }
    }

    #[test]
    fn a_way_that_has_become_longer_is_the_way_after_a_while() {
        let mut transit = Transit::default();
        let mut delay_at =
            |ms: u64, way: u64| transit.delay(Span::from_millis(ms), Span::from_millis(ms + way));
        assert_eq!(delay_at(0, 1), Span::ZERO);
        assert_eq!(delay_at(100, 31), Span::from_millis(30));
        assert_eq!(delay_at(2_500, 31), Span::from_millis(30));
        assert_eq!(delay_at(4_600, 31), Span::ZERO);
        assert_eq!(delay_at(60_000, 31), Span::ZERO);
        assert_eq!(delay_at(60_001, 1), Span::ZERO);
    }
}
