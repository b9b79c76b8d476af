//! When a crowd proposes, groups are let grow a little: each costs a write, a sync and a dozen wake-ups, however few it carries.
//!
//! Whoever proposes alone never waits for this. A crowd waits until as many are there as lately came together, for then there
//! is nobody left to wait for; but for a millisecond at most.

use std::time::Duration;

/// So many at once are a crowd: more will come before the next group.
const CROWD: usize = 4;

/// From the beginning of one group to that of the next, at most.
const SPACING: Duration = Duration::from_millis(1);

/// By what part of it a crowd is forgotten with each group that is smaller.
const FADING: usize = 64;

/// How many lately proposed together.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Crowd {
    last: usize,
    most: usize,
}

impl Crowd {
    /// A group of so many was made.
    pub(crate) fn saw(&mut self, group: usize) {
        self.last = group;
        self.most = (self.most - self.most.div_ceil(FADING)).max(group);
    }

    /// For how many the next group waits, and how long at most, if the last began `since` ago.
    pub(crate) fn company(&self, since: Duration) -> Option<(usize, Duration)> {
        let wait = SPACING.saturating_sub(since);
        (self.last >= CROWD && !wait.is_zero()).then_some((self.most, wait))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JUST: Duration = Duration::from_micros(100);

    fn after(groups: impl IntoIterator<Item = usize>) -> Option<(usize, Duration)> {
        let mut crowd = Crowd::default();
        groups.into_iter().for_each(|group| crowd.saw(group));
        crowd.company(JUST)
    }

    #[test]
    fn only_a_crowd_waits_and_no_longer_than_for_company() {
        assert_eq!(after([]), None, "nobody was there");
        assert_eq!(after([1]), None, "whoever is alone");
        assert_eq!(after([200, 1]), None, "the crowd is gone");
        assert_eq!(after([CROWD]), Some((CROWD, SPACING - JUST)));
        let mut crowd = Crowd::default();
        crowd.saw(100);
        assert_eq!(crowd.company(SPACING), None, "the last was long ago");
    }

    #[test]
    fn a_crowd_that_shrinks_is_forgotten_slowly_and_one_that_grows_known_at_once() {
        let wanted = |groups: &[usize]| after(groups.iter().copied()).map(|(many, _)| many);
        assert_eq!(wanted(&[64, 64]), Some(64));
        assert_eq!(wanted(&[64, 40]), Some(63));
        assert_eq!(wanted(&[64, 40, 90]), Some(90));
        assert_eq!(after([64].into_iter().chain([40; 64])).map(|(many, _)| many), Some(40));
    }
}
