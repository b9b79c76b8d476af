//! The agent's clock: the time of day as it was at the start, moved on by the monotonic clock, so that legs see
//! time that never goes back.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use busyhour_base::Timestamp;

/// Turns monotonic instants into timestamps. Copies agree with each other.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    origin: Instant,
    epoch_us: u64,
}

impl Clock {
    /// A clock set by the operating system's time of day.
    pub fn start() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self {
            origin: Instant::now(),
            epoch_us: u64::try_from(since.as_micros()).unwrap_or(u64::MAX),
        }
    }

    /// Now.
    pub fn now(&self) -> Timestamp {
        self.timestamp(Instant::now())
    }

    /// The timestamp of an instant.
    pub fn timestamp(&self, at: Instant) -> Timestamp {
        let since = at.saturating_duration_since(self.origin).as_micros();
        Timestamp(self.epoch_us.saturating_add(u64::try_from(since).unwrap_or(u64::MAX)))
    }

    /// The instant of a timestamp; a year ahead at most.
    pub fn instant(&self, at: Timestamp) -> Instant {
        let us = at.0.saturating_sub(self.epoch_us).min(365 * 24 * 3_600 * 1_000_000);
        self.origin + std::time::Duration::from_micros(us)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn instants_and_timestamps_lead_back_to_each_other() {
        let clock = Clock::start();
        let later = Instant::now() + Duration::from_millis(1_500);
        let back = clock.instant(clock.timestamp(later));
        assert!(later - back < Duration::from_micros(2));
        assert!(clock.now() <= clock.now());
        assert_eq!(clock.instant(Timestamp(0)), clock.instant(Timestamp(1)));
        let _ = clock.instant(Timestamp::NEVER);
    }
}
