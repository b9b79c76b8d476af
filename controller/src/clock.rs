//! The one clock of the controller: the wall clock's time at a pace that never does harm.
//!
//! Throttles and carriers' rates are promises about real time, and a wall clock that is set by hand or
//! corrected at once breaks them: set forward, it lets two calls follow each other too closely; set back, it
//! stops every queue. So the instants that enter the log follow the time since boot, and drift towards
//! the wall clock at [`FORWARD`] or [`BACKWARD`]. Being slower than real time is safe at any rate; being
//! faster by one part in 200 takes a quarter of the guard of 20 ms a second that carriers' spacings have.

use busyhour_base::{Span, Timestamp};
use parking_lot::Mutex;
use rustix::time::{ClockId, Timespec, clock_gettime};

/// How much of each elapsed microsecond may be gained on a wall clock that is ahead: one part in 200.
const FORWARD: u64 = 200;

/// How much of each elapsed microsecond may be lost to a wall clock that is behind: a tenth.
const BACKWARD: u64 = 10;

/// A wall clock that is ahead by more than this was set, and schedules go by it at once: gaining 10 minutes
/// at that rate would take a day and a half. Around that one instant two set-ups may come too close.
const LEAP_US: u64 = 60_000_000;

/// How often the wall clock is compared with.
const COMPARE_US: u64 = 10_000;

static CLOCK: Mutex<Option<Pace>> = Mutex::new(None);

/// The present instant. It never goes back within a process.
pub fn now() -> Timestamp {
    let (boot, wall) = (read(ClockId::Boottime), read(ClockId::Realtime));
    let mut clock = CLOCK.lock();
    let pace = clock.get_or_insert(Pace { boot, shown: wall, ahead: 0 });
    Timestamp(pace.at(boot, wall))
}

/// Time since this machine was started, which nobody sets: to be compared with itself.
pub fn steady() -> Span {
    Span(read(ClockId::Boottime))
}

fn read(id: ClockId) -> u64 {
    let Timespec { tv_sec, tv_nsec } = clock_gettime(id);
    u64::try_from(tv_sec).unwrap_or(0) * 1_000_000 + u64::try_from(tv_nsec).unwrap_or(0) / 1_000
}

/// What is shown, from the last comparison on. All in microseconds.
struct Pace {
    /// Time since boot at the comparison.
    boot: u64,
    /// What was shown then.
    shown: u64,
    /// How far the wall clock was ahead of it.
    ahead: i64,
}

impl Pace {
    fn at(&mut self, boot: u64, wall: u64) -> u64 {
        let elapsed = boot.saturating_sub(self.boot);
        let steady = self.shown + elapsed;
        let shown = if self.ahead >= 0 {
            steady + self.ahead.unsigned_abs().min(elapsed / FORWARD)
        } else {
            steady - self.ahead.unsigned_abs().min(elapsed / BACKWARD)
        };
        if elapsed < COMPARE_US {
            return shown;
        }
        let leap = wall.saturating_sub(shown) > LEAP_US;
        if leap {
            tracing::warn!(
                ahead_us = wall - shown,
                "the wall clock was set forward; schedules follow it at once"
            );
        }
        self.boot = boot;
        self.shown = if leap { wall } else { shown };
        self.ahead = wall.cast_signed().wrapping_sub(self.shown.cast_signed());
        self.shown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs for `span_us` from an offset of the wall clock, looking every `every_us`; the offsets that are left.
    fn run(offset_us: i64, span_us: u64, every_us: u64) -> Vec<i64> {
        let (start, mut left) = (1_000_000_000_u64, Vec::new());
        let mut pace = Pace { boot: 0, shown: start, ahead: 0 };
        let mut last = start;
        let mut boot = 0;
        while boot < span_us {
            boot += every_us;
            let wall = (start + boot).checked_add_signed(offset_us).unwrap();
            let shown = pace.at(boot, wall);
            assert!(shown >= last, "time went back at {boot}");
            assert!(
                shown - last <= every_us + every_us / FORWARD + 1 || offset_us > LEAP_US as i64
            );
            last = shown;
            left.push(wall as i64 - shown as i64);
        }
        left
    }

    #[test]
    fn a_step_back_slows_time_down_until_it_agrees_and_never_turns_it_back() {
        for every in [100, 7_919, 1_000_000] {
            let left = run(-500_000, 20_000_000, every);
            assert_eq!(*left.last().unwrap(), 0, "every {every} us");
            assert!(left[0] <= -390_000, "not at once: {}", left[0]);
        }
    }

    #[test]
    fn a_small_step_forward_is_gained_slowly() {
        let left = run(50_000, 20_000_000, 1_000);
        assert!(left[999] > 44_000, "after a second: {}", left[999]);
        assert_eq!(*left.last().unwrap(), 0);
    }

    #[test]
    fn a_large_step_forward_is_followed() {
        let left = run(600_000_000, 1_000_000, 1_000);
        assert_eq!(*left.last().unwrap(), 0);
    }

    #[test]
    fn it_shows_the_wall_clocks_time() {
        let wall = read(ClockId::Realtime);
        assert!(now().as_micros().abs_diff(wall) < 1_000_000);
    }
}
