//! What arrives, in the order in which it was sent: a small playout buffer with the statistics of RFC 3550.

use std::collections::VecDeque;

use super::{FRAME, rtp::Header};

/// Packets that wait at most: 240 ms. Beyond it the oldest is dropped, so that delay does not grow.
pub const WAITING_MAX: usize = 12;
/// A jump by more than this many packets is taken for a new beginning (RFC 3550 appendix A.1).
const JUMP_MAX: i32 = 100;

/// Puts packets of 20 ms into order and gives out one per turn of the clock.
///
/// Playing begins once `ahead` packets wait, and begins anew like that whenever nothing was left.
#[derive(Clone, Debug)]
pub struct Playout {
    /// In order of sequence, without doubles.
    waiting: VecDeque<(u16, Vec<u8>)>,
    ahead: usize,
    begun: bool,
    /// The next to be given out, once one was.
    next: Option<u16>,
    source: Option<u32>,
    statistics: Statistics,
    clock: Option<(u32, u32)>,
}

/// What was noticed of a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Statistics {
    /// Packets that came, doubles and late ones included.
    pub received: u64,
    /// Packets that came twice or too late to be heard.
    pub discarded: u64,
    /// Turns for which a packet was missing though later ones had come.
    pub missing: u64,
    /// Interarrival jitter in samples (RFC 3550 section 6.4.1).
    pub jitter: u32,
}

/// What is heard in a turn.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Turn {
    /// This payload.
    Frame(Vec<u8>),
    /// A packet was lost: repeat or fade what was heard last.
    Lost,
    /// Nothing has come, or not enough yet.
    Empty,
}

impl Playout {
    /// A buffer that waits for `ahead` packets, from 1 to [`WAITING_MAX`], before it begins.
    pub fn new(ahead: usize) -> Self {
        Self {
            waiting: VecDeque::with_capacity(WAITING_MAX),
            ahead: ahead.clamp(1, WAITING_MAX),
            begun: false,
            next: None,
            source: None,
            statistics: Statistics::default(),
            clock: None,
        }
    }

    /// What was noticed so far.
    pub const fn statistics(&self) -> Statistics {
        self.statistics
    }

    /// Takes in a packet that came when the receiver's sample clock stood at `arrived`.
    pub fn put(&mut self, header: &Header, payload: &[u8], arrived: u32) {
        if self.source != Some(header.ssrc) {
            self.begin_anew(Some(header.ssrc));
        }
        self.statistics.received += 1;
        self.note_jitter(header.timestamp, arrived);
        if let Some(newest) = self.waiting.back().map(|(sequence, _)| *sequence).or(self.next)
            && distance(newest, header.sequence).abs() > JUMP_MAX
        {
            self.begin_anew(self.source);
        }
        if self.next.is_some_and(|next| distance(next, header.sequence) < 0) {
            self.statistics.discarded += 1;
            return;
        }
        let place =
            self.waiting.partition_point(|(sequence, _)| distance(*sequence, header.sequence) > 0);
        if self.waiting.get(place).is_some_and(|(sequence, _)| *sequence == header.sequence) {
            self.statistics.discarded += 1;
            return;
        }
        self.waiting.insert(place, (header.sequence, payload.to_vec()));
        if self.waiting.len() > WAITING_MAX {
            self.statistics.discarded += 1;
            self.waiting.pop_front();
            self.next = self.waiting.front().map(|(sequence, _)| *sequence);
        }
    }

    /// Gives out what is heard in the next 20 ms.
    pub fn turn(&mut self) -> Turn {
        if !self.begun {
            if self.waiting.len() < self.ahead {
                return Turn::Empty;
            }
            self.begun = true;
        }
        let Some((sequence, _)) = self.waiting.front() else {
            self.begun = false;
            return Turn::Empty;
        };
        let next = self.next.unwrap_or(*sequence);
        let is_there = *sequence == next;
        self.next = Some(next.wrapping_add(1));
        if is_there {
            self.waiting.pop_front().map_or(Turn::Empty, |(_, payload)| Turn::Frame(payload))
        } else {
            self.statistics.missing += 1;
            Turn::Lost
        }
    }

    fn begin_anew(&mut self, source: Option<u32>) {
        self.waiting.clear();
        self.begun = false;
        self.next = None;
        self.clock = None;
        self.source = source;
    }

    /// RFC 3550 appendix A.8, in whole samples scaled by 16.
    fn note_jitter(&mut self, sent: u32, arrived: u32) {
        if let Some((last_sent, last_arrived)) = self.clock {
            let transit =
                arrived.wrapping_sub(last_arrived).wrapping_sub(sent.wrapping_sub(last_sent));
            // A step of the sender's clock is no jitter.
            let change = (transit as i32).unsigned_abs().min(50 * FRAME as u32);
            let jitter = &mut self.statistics.jitter;
            *jitter = jitter.saturating_sub((*jitter + 8) >> 4) + ((change + 8) >> 4);
        }
        self.clock = Some((sent, arrived));
    }
}

/// How far `to` is after `from`, across the wrap.
const fn distance(from: u16, to: u16) -> i32 {
    to.wrapping_sub(from) as i16 as i32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn put(playout: &mut Playout, sequence: u16) {
        let timestamp = u32::from(sequence) * FRAME as u32;
        let header = Header { sequence, timestamp, ..Header::default() };
        playout.put(&header, &sequence.to_be_bytes(), timestamp);
    }

    fn heard(playout: &mut Playout) -> Option<u16> {
        match playout.turn() {
            Turn::Frame(payload) => Some(u16::from_be_bytes([payload[0], payload[1]])),
            Turn::Lost | Turn::Empty => None,
        }
    }

    #[test]
    fn order_is_restored_across_the_wrap() {
        let mut playout = Playout::new(3);
        for sequence in [65_534, 0, 65_535, 2, 1] {
            put(&mut playout, sequence);
        }
        let order: Vec<_> = std::iter::from_fn(|| heard(&mut playout)).collect();
        assert_eq!(order, [65_534, 65_535, 0, 1, 2]);
        assert_eq!(playout.turn(), Turn::Empty);
    }

    #[test]
    fn a_lost_packet_leaves_one_gap_and_comes_too_late_after_it() {
        let mut playout = Playout::new(1);
        put(&mut playout, 10);
        put(&mut playout, 12);
        assert_eq!(heard(&mut playout), Some(10));
        assert_eq!(playout.turn(), Turn::Lost);
        put(&mut playout, 11);
        put(&mut playout, 12);
        assert_eq!(heard(&mut playout), Some(12));
        let statistics = playout.statistics();
        assert_eq!((statistics.received, statistics.discarded, statistics.missing), (4, 2, 1));
    }

    #[test]
    fn a_new_source_or_a_jump_begins_anew() {
        let mut playout = Playout::new(1);
        put(&mut playout, 10);
        put(&mut playout, 5_000);
        assert_eq!(heard(&mut playout), Some(5_000));
        let header = Header { sequence: 4_990, ssrc: 9, ..Header::default() };
        playout.put(&header, &[0, 1], 0);
        assert_eq!(heard(&mut playout), Some(1));
    }

    #[test]
    fn even_arrival_has_no_jitter_and_uneven_arrival_has() {
        let mut playout = Playout::new(1);
        (0..50).for_each(|sequence| put(&mut playout, sequence));
        assert_eq!(playout.statistics().jitter, 0);
        for sequence in 50..200_u16 {
            let timestamp = u32::from(sequence) * 160;
            let header = Header { sequence, timestamp, ..Header::default() };
            playout.put(&header, &[], timestamp + u32::from(sequence % 2) * 80);
        }
        assert!((70..=90).contains(&playout.statistics().jitter), "{:?}", playout.statistics());
    }

    proptest! {
        #[test]
        fn it_stays_small_and_in_order(
            steps in prop::collection::vec((any::<bool>(), 0_u16..40), 0..300), ahead in 0_usize..20
        ) {
            let mut playout = Playout::new(ahead);
            let mut last: Option<u16> = None;
            for (put_one, sequence) in steps {
                if put_one {
                    put(&mut playout, sequence);
                } else if let Some(heard) = heard(&mut playout) {
                    prop_assert!(last.is_none_or(|last| heard > last));
                    last = Some(heard);
                }
                prop_assert!(playout.waiting.len() <= WAITING_MAX);
            }
        }
    }
}
