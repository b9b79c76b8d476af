//! Caps (MT-3): at most N units (calls, or segments of messages) in *any* window of a length, several at once, exact at every instant.
//!
//! A bucket that refills lets 2N pass in a window; what is exact is the instants of the last N units. The
//! windows of one gate share one log, as long as the largest N among them or as what has passed within
//! the longest window, whichever is less: memory follows use.
//!
//! The instants are those at which the intent entered the log, not those at which the requests were due, so
//! that a late tick never puts N + 1 real calls into a window.

use serde::{Deserialize, Serialize};

use super::soon::soon;

/// Instants that a log has room for at first.
const LOG_MIN: usize = 4;
/// A log that has room for more gives room back.
const LOG_KEPT: usize = 64;

/// One rolling window.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Window {
    /// At most this many units
    pub count: u32,
    /// in any time of this length, in microseconds.
    pub length: u64,
}

/// No window: nothing is within no time.
const NONE: Window = Window { count: u32::MAX, length: 0 };

/// The caps of one gate and the instants that they have to remember. It fills a cache line; a decision reads and writes that and
/// the end of the log, which it has from `soon` beforehand.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[repr(align(64))]
pub struct Caps {
    /// The log, as a ring: `len` instants from `first` on.
    ring: Box<[u64]>,
    first: u32,
    len: u32,
    /// Two windows are here, further ones apart.
    counts: [u32; 2],
    lengths: [u64; 2],
    more: Box<[Window]>,
}

impl Default for Caps {
    fn default() -> Self {
        Self {
            ring: Box::default(),
            first: 0,
            len: 0,
            counts: [NONE.count; 2],
            lengths: [NONE.length; 2],
            more: Box::default(),
        }
    }
}

impl Caps {
    /// Replaces the windows and keeps the instants.
    pub fn set(&mut self, windows: &[Window]) {
        if let Some(last) = self.len.checked_sub(1) {
            self.forget(self.at(last as usize));
        }
        for at in 0..2 {
            let window = windows.get(at).unwrap_or(&NONE);
            (self.counts[at], self.lengths[at]) = (window.count, window.length);
        }
        self.more = windows.get(2..).unwrap_or_default().into();
        let most = self.reach().0;
        self.drop_oldest(self.len.saturating_sub(most));
        if self.ring.len() > most as usize {
            self.resize(self.len as usize);
        }
    }

    /// The windows.
    #[inline]
    pub fn windows(&self) -> impl Iterator<Item = Window> {
        let few = (0..2).map(|at| Window { count: self.counts[at], length: self.lengths[at] });
        few.filter(|window| *window != NONE).chain(self.more.iter().copied())
    }

    /// The earliest instant at which a request of so many units, at least one, may pass; 0 if that is now, and
    /// [`u64::MAX`] if a window never holds so many.
    #[inline]
    pub fn next(&self, units: u32) -> u64 {
        let mut next = self.next_in(self.counts[0], self.lengths[0], units);
        next = next.max(self.next_in(self.counts[1], self.lengths[1], units));
        for window in &self.more {
            next = next.max(self.next_in(window.count, window.length, units));
        }
        next
    }

    #[inline]
    fn next_in(&self, count: u32, length: u64, units: u32) -> u64 {
        if units > count {
            return u64::MAX;
        }
        // The last unit becomes number `len + units`: `count` before it has to have left the window.
        match (self.len as usize + units as usize - 1).checked_sub(count as usize) {
            None => 0,
            Some(before) => self.at(before).saturating_add(length),
        }
    }

    /// The earliest instant at which the unit after `ahead` others may pass, if each of those passes as soon
    /// as the caps allow, from `now` on.
    pub fn nth(&self, ahead: u64, now: u64) -> u64 {
        self.windows().map(|window| self.nth_in(&window, ahead, now)).max().unwrap_or(now)
    }

    fn nth_in(&self, window: &Window, ahead: u64, now: u64) -> u64 {
        let (passed, count) = (u64::from(self.len), u64::from(window.count));
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
            Some(at) => self.at(at as usize).saturating_add(window.length).max(now),
            None => now,
        };
        first.saturating_add(window.length.saturating_mul(rounds))
    }

    /// How many units of the last `window` lie within it at `now`, at most as many as the caps remember.
    pub fn used(&self, window: &Window, now: u64) -> u64 {
        let back = (0..self.len as usize).rev().map(|at| self.at(at));
        back.take_while(|at| at.saturating_add(window.length) > now).count() as u64
    }

    /// Asks memory for the end of the log, where the next instant goes, and for the instants that the windows look at then.
    #[inline]
    pub(super) fn soon(&self) {
        let end = self.len as usize;
        let ask = |number: usize| {
            if let Some(instant) = self.ring.get(self.place(number)) {
                soon(instant);
            }
        };
        ask(end);
        for count in self.counts {
            if let Some(number) = (end + 1).checked_sub(count as usize) {
                ask(number);
            }
        }
    }

    /// How much a copy of it takes beyond itself.
    pub(super) fn bytes(&self) -> usize {
        self.ring.len() * size_of::<u64>() + self.more.len() * size_of::<Window>()
    }

    /// A request of so many units has passed at `at`. The earliest instant at which one more unit may.
    #[inline]
    pub fn take(&mut self, at: u64, units: u32) -> u64 {
        for _ in 0..units {
            if self.len as usize == self.ring.len() && !self.make_room(at) {
                break;
            }
            let place = self.place(self.len as usize);
            self.ring[place] = at;
            self.len += 1;
        }
        self.next(1)
    }

    /// An instant of the log by its number; the oldest is 0.
    #[inline]
    fn at(&self, number: usize) -> u64 {
        self.ring[self.place(number)]
    }

    /// Where in the ring an instant is, or comes.
    #[inline]
    const fn place(&self, number: usize) -> usize {
        let place = self.first as usize + number;
        if place < self.ring.len() { place } else { place - self.ring.len() }
    }

    /// How many instants, and how old ones, the windows look at.
    fn reach(&self) -> (u32, u64) {
        self.windows().fold((0, 0), |(count, length), window| {
            (count.max(window.count), length.max(window.length))
        })
    }

    fn drop_oldest(&mut self, count: u32) {
        if count > 0 {
            self.first = self.place(count as usize) as u32;
            self.len -= count;
        }
    }

    /// Forgets instants that no window looks at any more at `now`.
    fn forget(&mut self, now: u64) {
        let (count, length) = self.reach();
        let old = (0..self.len as usize)
            .take_while(|number| self.at(*number).saturating_add(length) <= now)
            .count() as u32;
        self.drop_oldest(old.max(self.len.saturating_sub(count)));
    }

    /// Room for one more instant, if any window looks at one. Only a log that is full forgets what is too old.
    #[cold]
    fn make_room(&mut self, now: u64) -> bool {
        let most = self.reach().0;
        let room = self.ring.len();
        // What is small is kept whole: the new instant takes the place of the oldest.
        if room == most as usize && room <= LOG_KEPT {
            self.drop_oldest(u32::from(room > 0));
            return room > 0;
        }
        self.forget(now);
        let len = self.len as usize;
        let wanted = if len == room {
            (2 * room).max(LOG_MIN).min(most as usize)
        } else if room > LOG_KEPT && len < room / 4 {
            2 * len.max(LOG_MIN)
        } else {
            room
        };
        if wanted > len && wanted != room {
            self.resize(wanted);
        } else if len == room {
            self.drop_oldest(u32::from(len > 0));
        }
        !self.ring.is_empty()
    }

    fn resize(&mut self, room: usize) {
        let kept = (0..self.len as usize).map(|number| self.at(number));
        self.ring = kept.chain(std::iter::repeat(0)).take(room).collect();
        self.first = 0;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

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
            caps.set(&windows);
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

        /// The log in its ring is as a plain list of the last instants, whatever windows come and go.
        #[test]
        fn the_log_is_a_list_of_the_last_instants(
            steps in prop::collection::vec((0u64..40, 1u32..4, 0usize..12), 1..400),
            windows in prop::collection::vec(prop::collection::vec((1u32..90, 1u64..900), 0..4), 1..4),
        ) {
            let windows: Vec<Vec<_>> = windows.into_iter()
                .map(|of| of.into_iter().map(|(count, length)| Window { count, length }).collect())
                .collect();
            let (mut caps, mut model, mut now, mut set) = (Caps::default(), VecDeque::new(), 1_000, &windows[0]);
            caps.set(set);
            for (gap, units, change) in steps {
                now += gap;
                let most = set.iter().map(|window| window.count as usize).max().unwrap_or(0);
                if let Some(other) = windows.get(change) {
                    let longest = set.iter().map(|window| window.length).max().unwrap_or(0);
                    let last = model.back().copied().unwrap_or(0);
                    model.retain(|at| at + longest > last);
                    set = other;
                    caps.set(set);
                    let most = set.iter().map(|window| window.count as usize).max().unwrap_or(0);
                    model.drain(..model.len().saturating_sub(most));
                    prop_assert!(caps.windows().eq(set.iter().copied()));
                    continue;
                }
                caps.take(now, units);
                model.extend((0..units).map(|_| now));
                model.drain(..model.len().saturating_sub(most));
                let mut free = now;
                for window in set {
                    let used = model.iter().rev().take_while(|at| *at + window.length > now).count();
                    prop_assert_eq!(caps.used(window, now), used as u64);
                    let before = model.len().checked_sub(window.count as usize);
                    free = free.max(before.map_or(0, |before| model[before] + window.length));
                }
                prop_assert_eq!(caps.next(1).max(now), free);
                prop_assert!(caps.bytes() <= 8 * (most.max(4)) + 16 * 4);
            }
        }

        /// The forecast of the n-th request is what happens when every request passes as soon as it may.
        #[test]
        fn the_forecast_is_what_happens(
            count in 1u32..5, length in 1u64..500, gaps in prop::collection::vec(0u64..300, 0..12), ahead in 0u64..20,
        ) {
            let mut caps = Caps::default();
            caps.set(&[Window { count, length }]);
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
