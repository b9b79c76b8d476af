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

/// Instants that a log has room for at first, beside what else there is of its caps.
const LOG_HERE: usize = 3;
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
/// the end of a log that is apart, which it has from `soon` beforehand.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[repr(align(64))]
pub struct Caps {
    /// A ring: `len` instants from `first` on.
    log: Log,
    first: u32,
    len: u32,
    /// Two windows are here, further ones with a log that is apart.
    counts: [u32; 2],
    lengths: [u64; 2],
}

/// Room for instants: a few are kept here, more of them elsewhere.
#[derive(Clone, Debug, Serialize, Deserialize)]
enum Log {
    Here {
        room: u8,
        instants: [u64; LOG_HERE],
    },
    Apart {
        instants: Box<[u64]>,
        /// Windows after the first two.
        #[expect(clippy::box_collection, reason = "rarely any, and so it takes one word")]
        more: Option<Box<Vec<Window>>>,
    },
}

impl Log {
    /// So much room, with these instants at its beginning.
    fn new(kept: impl Iterator<Item = u64>, room: usize, more: Vec<Window>) -> Self {
        let mut instants = kept.chain(std::iter::repeat(0));
        if room <= LOG_HERE && more.is_empty() {
            let mut next = || instants.next().unwrap_or_default();
            return Self::Here { room: room as u8, instants: std::array::from_fn(|_| next()) };
        }
        Self::Apart {
            instants: instants.take(room).collect(),
            more: (!more.is_empty()).then(|| Box::new(more)),
        }
    }

    #[inline]
    fn instants(&self) -> &[u64] {
        match self {
            Self::Here { room, instants } => &instants[..usize::from(*room)],
            Self::Apart { instants, .. } => instants,
        }
    }

    #[inline]
    fn instants_mut(&mut self) -> &mut [u64] {
        match self {
            Self::Here { room, instants } => &mut instants[..usize::from(*room)],
            Self::Apart { instants, .. } => instants,
        }
    }

    #[inline]
    fn more(&self) -> &[Window] {
        match self {
            Self::Here { .. } => &[],
            Self::Apart { more, .. } => more.as_deref().map_or(&[], Vec::as_slice),
        }
    }
}

impl Default for Caps {
    fn default() -> Self {
        Self {
            log: Log::new(std::iter::empty(), 0, Vec::new()),
            first: 0,
            len: 0,
            counts: [NONE.count; 2],
            lengths: [NONE.length; 2],
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
        let more = windows.get(2..).unwrap_or_default();
        let most = windows.iter().map(|window| window.count).max().unwrap_or(0);
        self.drop_oldest(self.len.saturating_sub(most));
        let room = self.log.instants().len();
        let room = if room > most as usize { self.len as usize } else { room };
        self.remake(room, more.to_vec());
    }

    /// Whether there is no window.
    #[inline]
    pub(super) const fn is_empty(&self) -> bool {
        self.lengths[0] == NONE.length && self.counts[0] == NONE.count
    }

    /// The windows.
    #[inline]
    pub fn windows(&self) -> impl Iterator<Item = Window> {
        let few = (0..2).map(|at| Window { count: self.counts[at], length: self.lengths[at] });
        few.filter(|window| *window != NONE).chain(self.log.more().iter().copied())
    }

    /// The earliest instant at which a request of so many units, at least one, may pass; 0 if that is now, and
    /// [`u64::MAX`] if a window never holds so many.
    #[inline]
    pub fn next(&self, units: u32) -> u64 {
        let mut next = self.next_in(self.counts[0], self.lengths[0], units);
        next = next.max(self.next_in(self.counts[1], self.lengths[1], units));
        for window in self.log.more() {
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
        let Log::Apart { instants, .. } = &self.log else { return };
        let end = self.len as usize;
        let ask = |number: usize| {
            if let Some(instant) = instants.get(self.place(number)) {
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
        match &self.log {
            Log::Here { .. } => 0,
            Log::Apart { instants, .. } => {
                size_of_val(&instants[..]) + size_of_val(self.log.more())
            }
        }
    }

    /// A request of so many units has passed at `at`. The earliest instant at which one more unit may.
    #[inline]
    pub fn take(&mut self, at: u64, units: u32) -> u64 {
        for _ in 0..units {
            let room = self.log.instants().len();
            if self.len as usize == room {
                let most = self.most() as usize;
                if most == 0 {
                    break;
                }
                // What is small is kept whole: the new instant takes the place of the oldest.
                if room == most && room <= LOG_KEPT {
                    self.drop_oldest(1);
                } else {
                    self.make_room(at, most);
                }
            }
            let place = self.place(self.len as usize);
            self.log.instants_mut()[place] = at;
            self.len += 1;
        }
        self.next(1)
    }

    /// An instant of the log by its number; the oldest is 0.
    #[inline]
    fn at(&self, number: usize) -> u64 {
        self.log.instants()[self.place(number)]
    }

    /// Where in the ring an instant is, or comes.
    #[inline]
    fn place(&self, number: usize) -> usize {
        let (place, room) = (self.first as usize + number, self.log.instants().len());
        if place < room { place } else { place - room }
    }

    /// How many instants the windows look at.
    #[inline]
    fn most(&self) -> u32 {
        let mut most = 0;
        for (count, length) in self.counts.into_iter().zip(self.lengths) {
            most = if (Window { count, length }) == NONE { most } else { count.max(most) };
        }
        self.log.more().iter().fold(most, |most, window| window.count.max(most))
    }

    /// How old instants the windows look at.
    fn reach(&self) -> u64 {
        self.windows().map(|window| window.length).max().unwrap_or(0)
    }

    fn drop_oldest(&mut self, count: u32) {
        if count > 0 {
            self.first = self.place(count as usize) as u32;
            self.len -= count;
        }
    }

    /// Forgets instants that no window looks at any more at `now`.
    fn forget(&mut self, now: u64) {
        let (count, length) = (self.most(), self.reach());
        let old = (0..self.len as usize)
            .take_while(|number| self.at(*number).saturating_add(length) <= now)
            .count() as u32;
        self.drop_oldest(old.max(self.len.saturating_sub(count)));
    }

    /// Room for one more instant in a log that is full, of which the windows look at `most`, at least one. Only a log that is
    /// full forgets what is too old.
    #[cold]
    fn make_room(&mut self, now: u64, most: usize) {
        self.forget(now);
        let (len, room) = (self.len as usize, self.log.instants().len());
        let wanted = if len == room {
            (2 * room).max(LOG_HERE).min(most)
        } else if room > LOG_KEPT && len < room / 4 {
            2 * len.max(LOG_HERE)
        } else {
            room
        };
        if wanted > len && wanted != room {
            self.remake(wanted, self.log.more().to_vec());
        } else if len == room {
            self.drop_oldest(1);
        }
    }

    /// The log with other room, and the windows after the first two.
    fn remake(&mut self, room: usize, more: Vec<Window>) {
        let kept = (0..self.len as usize).map(|number| self.at(number));
        self.log = Log::new(kept, room, more);
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
