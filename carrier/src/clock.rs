//! The carrier's own clock.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use busyhour_base::{Span, Timestamp};

/// Microseconds since the Unix epoch that never step: the wall clock is read once, at the start.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    wall: Timestamp,
    origin: Instant,
}

impl Clock {
    pub(crate) fn start() -> Self {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { wall: Timestamp(Span::from(since_epoch).as_micros()), origin: Instant::now() }
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.wall + Span::from(self.origin.elapsed())
    }

    /// The same instant as the runtime's timers understand it.
    pub(crate) fn instant(&self, at: Timestamp) -> Instant {
        let ahead = at.since(self.wall).as_micros().min(FAR_FUTURE_US);
        self.origin + std::time::Duration::from_micros(ahead)
    }
}

/// A year: further instants would overflow some platforms' clocks.
const FAR_FUTURE_US: u64 = 365 * 86_400 * 1_000_000;
