//! SIP's retransmission times (RFC 3261 17.1.1.1) and the index of what is due next.

use std::collections::BTreeSet;

use busyhour_base::{Span, Timestamp};

/// Estimate of the round-trip time.
pub(crate) const T1: Span = Span::from_millis(500);

/// Longest time between retransmissions of anything but INVITE.
const T2: Span = Span::from_secs(4);

/// How long a message is repeated before it is given up (timers B, F, H, J).
pub(crate) const GIVE_UP: Span = Span(T1.0 * 64);

/// Repeats after T1, 2 T1, ... T2, T2 until 64 T1 have passed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Backoff {
    interval: Span,
    next: Timestamp,
    until: Timestamp,
}

impl Backoff {
    pub(crate) fn start(now: Timestamp) -> Self {
        Self { interval: T1, next: now + T1, until: now + GIVE_UP }
    }

    pub(crate) fn wake(&self) -> Timestamp {
        self.next.min(self.until)
    }

    /// Takes the due time: true to send again, false to give up.
    pub(crate) fn again(&mut self, now: Timestamp) -> bool {
        if now >= self.until {
            return false;
        }
        self.interval = self.interval.times(2).min(T2);
        self.next = now + self.interval;
        true
    }
}

/// Which call is due when. Every call is in it at most once.
#[derive(Debug, Default)]
pub(crate) struct Agenda {
    due: BTreeSet<(Timestamp, u64)>,
}

impl Agenda {
    /// Moves a call from one instant to another; [`Timestamp::NEVER`] stands for none.
    pub(crate) fn reschedule(&mut self, call: u64, from: Timestamp, to: Timestamp) {
        if from == to {
            return;
        }
        if from != Timestamp::NEVER {
            self.due.remove(&(from, call));
        }
        if to != Timestamp::NEVER {
            self.due.insert((to, call));
        }
    }

    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.due.first().map(|(at, _)| *at)
    }

    /// The next call that is due at `now`.
    pub(crate) fn due(&self, now: Timestamp) -> Option<u64> {
        self.due.first().filter(|(at, _)| *at <= now).map(|(_, call)| *call)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lost_peer_is_told_ten_more_times_in_half_a_minute() {
        let mut backoff = Backoff::start(Timestamp(0));
        let mut at = Vec::new();
        loop {
            let now = backoff.wake();
            if !backoff.again(now) {
                assert_eq!(now, Timestamp(32_000_000));
                break;
            }
            at.push(now.as_micros() / 1_000);
        }
        assert_eq!(at, [500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500]);
    }
}
