//! When a crowd proposes, groups are let grow a little: each costs a write, a sync and a dozen wake-ups, however few it carries.
//!
//! Whoever proposes alone never waits for this. A crowd waits for a part of a millisecond at most, and answers for all of
//! it take less of the processor.

use std::time::Duration;

/// With this many commands a group says that more will come before the next.
const CROWD: usize = 8;

/// So many are worth a group at once.
const ENOUGH: usize = 16;

/// From the beginning of one group to that of the next, at most.
const SPACING: Duration = Duration::from_micros(500);

/// How long the next group waits for company: after one of `last` commands that began `since` ago, with so many waiting.
pub(crate) fn pause(last: usize, since: Duration, waiting: usize) -> Duration {
    if last < CROWD || waiting >= ENOUGH {
        return Duration::ZERO;
    }
    SPACING.saturating_sub(since)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_crowd_waits_and_no_longer_than_for_company() {
        let just = Duration::from_micros(100);
        assert_eq!(pause(1, just, 0), Duration::ZERO, "whoever is alone");
        assert_eq!(pause(CROWD, just, 0), SPACING - just);
        assert_eq!(pause(100, just, ENOUGH - 1), SPACING - just);
        assert_eq!(pause(100, just, ENOUGH), Duration::ZERO, "enough are there");
        assert_eq!(pause(100, SPACING, 0), Duration::ZERO, "the last was long ago");
    }
}
