//! What the carrier within the controller does to an attempt to send a message: a function of its declaration, the message's
//! number and the attempt's alone, so that a run can be repeated, and a simulation foretells it.

use std::sync::Arc;

use busyhour_base::{Reason, Span};
use busyhour_controller_core::message::Send;

use crate::kinds::{CarrierMessages, InProcessCarrier};

/// What becomes of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fate {
    /// It is not taken.
    Refused(Reason),
    /// Whether it is taken is never said.
    Unanswered,
    /// It is taken, and does not arrive.
    Undelivered(Reason),
    /// It arrives.
    Delivered,
}

impl Fate {
    /// The word for people and accounts.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Refused(_) => "refused",
            Self::Unanswered => "unanswered",
            Self::Undelivered(_) => "undelivered",
            Self::Delivered => "delivered",
        }
    }
}

/// An attempt to send a message. What a first one comes to says nothing of the next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sending {
    /// The message's number.
    pub message: u64,
    /// The attempt's, from 1.
    pub attempt: u16,
}

impl Sending {
    /// What is sent with this.
    pub fn of(send: &Send) -> Self {
        Self { message: send.message.0, attempt: send.attempt }
    }

    /// What the carrier calls it.
    pub fn reference(&self) -> Arc<str> {
        format!("{}.{}", self.message, self.attempt).into()
    }

    /// The attempt that a reference is of; nothing if it is another carrier's.
    pub fn of_reference(reference: &str) -> Option<Self> {
        let (message, attempt) = reference.split_once('.')?;
        Some(Self { message: message.parse().ok()?, attempt: attempt.parse().ok()? })
    }
}

/// What a draw is for.
#[derive(Clone, Copy)]
enum Draw {
    Fate,
    Answer,
    Delivery,
}

impl CarrierMessages {
    /// From one segment to the next by contract.
    pub fn segment_spacing(&self) -> Span {
        crate::spacing(Span::from_secs(1), self.segments_per_second)
    }

    /// From the hand-over of a message to the carrier's answer: its segments leave one after the other, at the contract's rate.
    pub fn answers_after(&self, sending: Sending, segments: u16) -> Span {
        let rest = self.segment_spacing().times(u64::from(segments.saturating_sub(1)));
        self.in_process.drawn(sending, Draw::Answer, self.in_process.answer_ms) + rest
    }
}

impl InProcessCarrier {
    /// What becomes of an attempt.
    pub fn fate(&self, sending: Sending) -> Fate {
        let lot = self.mix(sending, Draw::Fate);
        let lot_of_thousand = u16::try_from(lot % 1_000).unwrap_or(0);
        let refused = self.refused_permille;
        let unanswered = refused + self.unanswered_permille;
        let undelivered = unanswered + self.undelivered_permille;
        let one_of = |reasons: &[Reason]| reasons[(lot / 1_000) as usize % reasons.len()];
        match lot_of_thousand {
            at if at < refused => {
                Fate::Refused(one_of(&[Reason::MessageRejected, Reason::MessageFiltered]))
            }
            at if at < unanswered => Fate::Unanswered,
            at if at < undelivered => Fate::Undelivered(one_of(&[
                Reason::UnreachableHandset,
                Reason::UnknownHandset,
                Reason::MessageBlocked,
            ])),
            _ => Fate::Delivered,
        }
    }

    /// From the carrier's answer to its delivery report.
    pub fn reports_after(&self, sending: Sending) -> Span {
        self.drawn(sending, Draw::Delivery, self.delivery_ms)
    }

    fn drawn(&self, sending: Sending, draw: Draw, most_ms: u16) -> Span {
        Span::from_millis(self.mix(sending, draw) % (u64::from(most_ms) + 1))
    }

    /// A number that looks drawn (the finalizer of `SplitMix64`).
    const fn mix(&self, sending: Sending, draw: Draw) -> u64 {
        const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
        let which = ((draw as u64) << 20) + sending.attempt.saturating_sub(1) as u64;
        let mut x = sending.message ^ ((self.seed as u64) << 32) ^ which.wrapping_mul(GOLDEN);
        x = x.wrapping_add(GOLDEN);
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_thousand_messages_so_many_go_each_way_and_the_same_each_time() {
        let carrier = InProcessCarrier {
            seed: 7,
            refused_permille: 100,
            unanswered_permille: 50,
            undelivered_permille: 200,
            ..InProcessCarrier::default()
        };
        let first = |message| Sending { message, attempt: 1 };
        let fates: Vec<_> = (0..100_000).map(|number| carrier.fate(first(number))).collect();
        let share = |word| fates.iter().filter(|fate| fate.word() == word).count() / 1_000;
        assert!((9..=10).contains(&share("refused")), "{}", share("refused"));
        assert!((4..=5).contains(&share("unanswered")));
        assert!((19..=20).contains(&share("undelivered")));
        assert!((0..).zip(&fates).all(|(n, fate)| *fate == carrier.clone().fate(first(n))));
        // Of those that went wrong once as many go wrong once more, not all.
        let wrong = (0..).zip(&fates).filter(|(_, fate)| fate.word() != "delivered");
        let again = wrong.map(|(message, _)| carrier.fate(Sending { message, attempt: 2 }));
        let again: Vec<_> = again.collect();
        let delivered = again.iter().filter(|fate| fate.word() == "delivered").count();
        assert!((64..=66).contains(&(delivered * 100 / again.len())), "{delivered}");
    }

    #[test]
    fn a_delay_is_at_most_the_longest_and_long_messages_take_their_segments_time() {
        let in_process =
            InProcessCarrier { answer_ms: 20, delivery_ms: 0, ..InProcessCarrier::default() };
        let carrier = CarrierMessages {
            outbound_channels: 1,
            inbound_channels: 0,
            segments_per_second: 10,
            delivery_reports: true,
            in_process,
        };
        let first = |message| Sending { message, attempt: 1 };
        let longest = (0..1_000).map(|n| carrier.answers_after(first(n), 1)).max();
        assert_eq!(longest, Some(Span::from_millis(20)));
        let apart = carrier.answers_after(first(1), 4) - carrier.answers_after(first(1), 1);
        assert_eq!(apart, Span::from_millis(300));
        assert_eq!(carrier.in_process.reports_after(first(1)), Span::ZERO);
    }
}
