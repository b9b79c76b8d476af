//! The generic cell rate algorithm in whole microseconds: a throttle (MT-2) and a carrier's set-up rate (MT-12).
//!
//! A throttle advances from the *ideal grid*: the instant at which a request was due, plus the spacing. A
//! decision that is taken late, because the tick came late, does not move the requests after it.
//!
//! Why not `governor`, which is GCRA too and lets both its store of state and its clock be replaced: it reads
//! the clock when a cell is tested and advances from the later of its theoretical arrival time and that
//! reading, so every late tick moves the grid by its lateness and the drift adds up. Handing it the due
//! instant as its clock would keep the grid, but then nothing is left of it but an addition, behind an atomic
//! read-modify-write that a replicated machine on one thread has no use for. The test below shows the
//! drift. So the core has its own GCRA, and `governor` guards the edge of the API, where wall-clock time is meant.

use serde::{Deserialize, Serialize};

/// The longest lateness that the grid takes no notice of, in microseconds. Beyond it (a stopped process, a
/// restart) the grid begins anew, that much in the past: so a backlog comes back spaced, and at most
/// this time's worth of requests comes back at once.
pub const LATENESS_MAX_US: u64 = 200_000;

/// One throttle. Without a spacing everything passes.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Gcra {
    spacing: u64,
    next: u64,
}

impl Gcra {
    /// A throttle that has let nothing pass yet.
    pub const fn new(spacing: u64) -> Self {
        Self { spacing, next: 0 }
    }

    /// The spacing; 0 without a throttle.
    pub const fn spacing(&self) -> u64 {
        self.spacing
    }

    /// The earliest instant at which the next request may pass.
    #[inline]
    pub const fn next(&self) -> u64 {
        self.next
    }

    /// A request of so many units that was due at `due` has passed.
    #[inline]
    pub const fn take(&mut self, due: u64, units: u32) {
        self.next = due.saturating_add(self.spacing.saturating_mul(units as u64));
    }

    /// Another spacing holds from the last request on, which had so many units.
    pub const fn respace(&mut self, spacing: u64, units: u32) {
        self.next = self.next.saturating_sub(self.spacing.saturating_mul(units as u64));
        if self.next > 0 {
            self.next = self.next.saturating_add(spacing.saturating_mul(units as u64));
        }
        self.spacing = spacing;
    }

    /// Nothing passes before `instant`.
    pub const fn defer(&mut self, instant: u64) {
        if self.next < instant {
            self.next = instant;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{num::NonZeroU32, time::Duration};

    use governor::{Quota, RateLimiter, clock::FakeRelativeClock};

    use super::*;

    /// A hundred requests at 10/s, each looked at 3 ms after it was due.
    #[test]
    fn mt_2_late_ticks_move_governors_grid_and_not_ours() {
        const SPACING_US: u64 = 100_000;
        const LATE_US: u64 = 3_000;
        let clock = FakeRelativeClock::default();
        let quota = Quota::with_period(Duration::from_micros(SPACING_US))
            .expect("a spacing above nothing")
            .allow_burst(NonZeroU32::MIN);
        let theirs = RateLimiter::direct_with_clock(quota, clock.clone());
        let (mut now, mut theirs_due) = (LATE_US, Vec::new());
        clock.advance(Duration::from_micros(LATE_US));
        while theirs_due.len() < 100 {
            match theirs.check() {
                Ok(()) => theirs_due.push(now),
                Err(refusal) => {
                    let wait = refusal.wait_time_from(governor::clock::Clock::now(&clock));
                    let wait_us = u64::try_from(wait.as_micros()).expect("short") + LATE_US;
                    clock.advance(Duration::from_micros(wait_us));
                    now += wait_us;
                }
            }
        }
        assert!(theirs_due[99] - theirs_due[0] > 99 * (SPACING_US + LATE_US - 1_000));

        let (mut ours, mut ours_due) = (Gcra::new(SPACING_US), Vec::new());
        for _ in 0..100 {
            let due = ours.next();
            ours.take(due, 1);
            ours_due.push(due);
        }
        assert_eq!(ours_due[99] - ours_due[0], 99 * SPACING_US);
    }

    #[test]
    fn a_new_spacing_counts_from_the_last_request() {
        let mut gcra = Gcra::new(100);
        gcra.respace(50, 1);
        assert_eq!(gcra.next(), 0);
        gcra.take(1_000, 1);
        gcra.respace(300, 1);
        assert_eq!(gcra.next(), 1_300);
        gcra.respace(0, 1);
        assert_eq!(gcra.next(), 1_000);
        // A message of three segments.
        gcra.respace(300, 1);
        gcra.take(2_000, 3);
        gcra.respace(100, 3);
        assert_eq!(gcra.next(), 2_300);
        gcra.respace(0, 3);
        assert_eq!(gcra.next(), 2_000, "without a throttle nothing holds");
    }
}
