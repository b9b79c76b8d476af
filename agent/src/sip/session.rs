//! Session timers (RFC 4028): who refreshes, when, and when a session that nobody refreshed has ended.

use std::time::Duration;

/// Smallest interval that the RFC allows.
pub const INTERVAL_MIN: Duration = Duration::from_secs(90);
/// Largest interval that is believed.
const INTERVAL_MAX: Duration = Duration::from_secs(24 * 3_600);

/// What a 2xx agreed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    /// The session ends this long after its last refresh.
    pub interval: Duration,
    /// We refresh it.
    pub ours: bool,
}

impl Session {
    /// Reads a `Session-Expires` of a 2xx. Without one the far end keeps no timer, and we refresh by ourselves
    /// at `offered`, so that a session whose BYE was lost still comes to an end.
    pub fn agreed(header: Option<&str>, offered: Duration, min: Duration) -> Self {
        let Some(header) = header else {
            return Self { interval: offered, ours: true };
        };
        let mut parts = header.split(';').map(str::trim);
        let seconds = parts.next().and_then(|s| s.parse::<u64>().ok());
        let theirs = parts.filter_map(|part| part.split_once('=')).any(|(name, value)| {
            name.trim().eq_ignore_ascii_case("refresher")
                && value.trim().eq_ignore_ascii_case("uas")
        });
        Self {
            interval: seconds.map_or(offered, |s| Duration::from_secs(s).clamp(min, INTERVAL_MAX)),
            ours: !theirs,
        }
    }

    /// The same read out of a request: the roles of RFC 4028 are those of the request, in which the far end is the client.
    pub const fn asked_of_us(self) -> Self {
        Self { interval: self.interval, ours: !self.ours }
    }

    /// The `Session-Expires` of our 2xx to a request.
    pub fn as_answered(&self) -> String {
        let refresher = if self.ours { "uas" } else { "uac" };
        format!("{};refresher={refresher}", self.interval.as_secs())
    }

    /// After the last refresh: when we refresh (half of the interval), or when we give the session up
    /// (a third of the interval or 32 s before its end, whichever is less; RFC 4028, 10).
    pub fn wake_after(&self) -> Duration {
        if self.ours {
            self.interval / 2
        } else {
            self.interval - (self.interval / 3).min(Duration::from_secs(32))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFERED: Duration = Duration::from_secs(1_800);

    #[test]
    fn the_refresher_and_its_moment_follow_the_answer() {
        let theirs = Session::agreed(Some("600;refresher=uas"), OFFERED, INTERVAL_MIN);
        assert_eq!((theirs.interval.as_secs(), theirs.ours), (600, false));
        assert_eq!(theirs.wake_after(), Duration::from_secs(568));
        let ours = Session::agreed(Some("120; refresher = UAC"), OFFERED, INTERVAL_MIN);
        assert_eq!((ours.ours, ours.wake_after().as_secs()), (true, 60));
        assert_eq!(
            Session::agreed(Some("93;refresher=uas"), OFFERED, INTERVAL_MIN).wake_after().as_secs(),
            62
        );
    }

    #[test]
    fn silence_and_nonsense_leave_the_timer_with_us() {
        let silent = Session::agreed(None, OFFERED, INTERVAL_MIN);
        assert_eq!((silent.interval, silent.ours), (OFFERED, true));
        assert_eq!(Session::agreed(Some("soon"), OFFERED, INTERVAL_MIN), silent);
        assert_eq!(Session::agreed(Some("0"), OFFERED, INTERVAL_MIN).interval.as_secs(), 90);
        assert!(
            Session::agreed(Some("99999999999999999"), OFFERED, INTERVAL_MIN).interval.as_secs()
                <= 86_400
        );
    }
}
