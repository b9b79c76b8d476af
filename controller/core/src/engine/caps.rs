//! Caps (MT-3): at most N units (calls, or segments of messages) in *any* window of a length, several at once, exact at every instant.
//!
//! A bucket that refills lets 2N pass in a window; what is exact is the instants of the last N units. The
//! windows of one gate share one log, as long as the largest N among them or as what has passed within
//! the longest window, whichever is less: memory follows use.
//!
//! The instants are those at which the intent entered the log, not those at which the requests were due, so
//! that a late tick never puts N + 1 real calls into a window.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// One rolling window.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Window {
    /// At most this many units
    pub count: u32,
    /// in any time of this length, in microseconds.
    pub length: u64,
}

/// The caps of one gate and the instants that they have to remember.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Caps {
    windows: Vec<Window>,
    log: VecDeque<u64>,
    /// The largest count and the greatest length among the windows: what the log has to hold.
    count_max: usize,
    length_max: u64,
}

impl Caps {
    /// Replaces the windows and keeps the instants.
    pub fn set(&mut self, windows: Vec<Window>) {
        let counts = windows.iter().map(|window| window.count as usize);
        self.count_max = counts.max().unwrap_or(0);
        self.length_max = windows.iter().map(|window| window.length).max().unwrap_or(0);
        self.windows = windows;
        while self.log.len() > self.count_max {
            self.log.pop_front();
        }
    }

    /// The earliest instant at which a request of so many units, at least one, may pass; 0 if that is now, and
    /// [`u64::MAX`] if a window never holds so many.
    #[inline]
    pub fn next(&self, units: u32) -> u64 {
        let free = |window: &Window| {
            let (count, passed) = (window.count as usize, self.log.len());
            if (units as usize) > count {
                return u64::MAX;
            }
            // The last unit becomes number `passed + units`: `count` before it has to have left the window.
            match (passed + units as usize - 1).checked_sub(count) {
                None => 0,
                Some(before) => self.log[before].saturating_add(window.length),
            }
        };
        self.windows.iter().map(free).max().unwrap_or(0)
    }

    /// The earliest instant at which the unit after `ahead` others may pass, if each of those passes as soon
    /// as the caps allow, from `now` on.
    pub fn nth(&self, ahead: u64, now: u64) -> u64 {
        self.windows.iter().map(|window| self.nth_in(window, ahead, now)).max().unwrap_or(now)
    }

    fn nth_in(&self, window: &Window, ahead: u64, now: u64) -> u64 {
        let (passed, count) = (self.log.len() as u64, u64::from(window.count));
        if count == 0 {
            return u64::MAX;
        }
        // The request becomes number `passed + ahead` in the log. It may pass a window after the request
        // `count` before it, which in turn may lie in the future, and so on back into the log.
        let number = passed.saturating_add(ahead);
        if number < count {
            return now;
        }
        let before = number - count;
        let rounds = if before < passed { 0 } else { (before - passed) / count + 1 };
        let first = match before.checked_sub(rounds * count) {
            Some(at) => self.log[at as usize].saturating_add(window.length).max(now),
            None => now,
        };
        first.saturating_add(window.length.saturating_mul(rounds))
    }

    /// How many units of the last `window` lie within it at `now`, at most as many as the caps remember.
    pub fn used(&self, window: &Window, now: u64) -> u64 {
        self.log.iter().rev().take_while(|at| at.saturating_add(window.length) > now).count() as u64
    }

    /// The oldest and the newest instant that it remembers: what a decision touches.
    #[inline]
    pub(super) fn ends(&self) -> (Option<u64>, Option<u64>) {
        (self.log.front().copied(), self.log.back().copied())
    }

    /// How much a copy of it takes beyond itself.
    pub(super) fn bytes(&self) -> usize {
        self.windows.len() * size_of::<Window>() + self.log.len() * size_of::<u64>()
    }

    /// The windows.
    pub fn windows(&self) -> &[Window] {
        &self.windows
    }

    /// A request of so many units has passed at `at`. The earliest instant at which one more unit may.
    #[inline]
    pub fn take(&mut self, at: u64, units: u32) -> u64 {
        for _ in 0..units {
            self.log.push_back(at);
        }
        while let Some(first) = self.log.front()
            && (self.log.len() > self.count_max || first.saturating_add(self.length_max) <= at)
        {
            self.log.pop_front();
        }
        if self.log.capacity() > 64 && self.log.len() < self.log.capacity() / 4 {
            self.log.shrink_to(self.log.len() * 2);
        }
        self.next(1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// MT-3: whatever the windows, no instant sees more than N in the window that ends there, and the
        /// wait is never longer than one of the windows demands.
        #[test]
        fn mt_3_no_rolling_window_holds_more_than_its_count(
            windows in prop::collection::vec((1u32..6, 1u64..500), 1..4),
            gaps in prop::collection::vec((0u64..100, 1u32..4), 1..100),
        ) {
            let windows: Vec<_> = windows.into_iter().map(|(count, length)| Window { count, length }).collect();
            let mut caps = Caps::default();
            caps.set(windows.clone());
            let (mut now, mut passed) = (1_000, Vec::<u64>::new());
            for (gap, units) in gaps {
                now += gap;
                let next = caps.next(units);
                let free = windows.iter().all(|window| {
                    let inside = passed.iter().filter(|at| **at + window.length > now).count();
                    inside + units as usize <= window.count as usize
                });
                prop_assert_eq!(next <= now, free, "next {} at {}", next, now);
                if free {
                    caps.take(now, units);
                    passed.extend((0..units).map(|_| now));
                }
            }
        }

        /// The forecast of the n-th request is what happens when every request passes as soon as it may.
        #[test]
        fn the_forecast_is_what_happens(
            count in 1u32..5, length in 1u64..500, gaps in prop::collection::vec(0u64..300, 0..12), ahead in 0u64..20,
        ) {
            let mut caps = Caps::default();
            caps.set(vec![Window { count, length }]);
            let mut now = 1_000;
            for gap in gaps {
                now += gap;
                if caps.next(1) <= now { caps.take(now, 1); }
            }
            let forecast = caps.nth(ahead, now);
            for _ in 0..ahead {
                now = now.max(caps.next(1));
                caps.take(now, 1);
            }
            prop_assert_eq!(forecast, now.max(caps.next(1)));
        }
    }
}
