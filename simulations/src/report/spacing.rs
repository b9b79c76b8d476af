//! How far INVITEs were from where an ideal throttle would have put them.

use busyhour_base::{Reason, Span};
use serde::{Deserialize, Serialize};

/// Distances from the ideal grid, as absolute values.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SpacingError {
    /// How many starts were held by the throttle and so have a place on the grid.
    pub samples: u64,
    /// Median, in microseconds.
    pub p50_us: u64,
    /// 99th percentile by nearest rank, in microseconds.
    pub p99_us: u64,
    /// The largest, in microseconds.
    pub max_us: u64,
}

/// Measures `starts` (instants in microseconds with the limit that held each call, in order) against the grid of
/// a throttle.
///
/// A call that the throttle held should start one spacing after its predecessor's ideal instant, so that errors
/// do not hide each other by adding up; a call that another limit held, or none, is no sample and begins a new
/// grid at its own start. Nothing if the throttle held no call.
pub fn spacing_error(
    spacing: Span,
    starts: impl IntoIterator<Item = (u64, Reason)>,
) -> Option<SpacingError> {
    let mut previous: Option<u64> = None;
    let mut errors = Vec::new();
    for (start, held_by) in starts {
        let ideal =
            previous.filter(|_| held_by == Reason::Throttle).map(|at| at + spacing.as_micros());
        errors.extend(ideal.map(|ideal| ideal.abs_diff(start)));
        previous = Some(ideal.unwrap_or(start));
    }
    errors.sort_unstable();
    let rank = |percent: usize| errors[(errors.len() * percent).div_ceil(100).max(1) - 1];
    (!errors.is_empty()).then(|| SpacingError {
        samples: errors.len() as u64,
        p50_us: rank(50),
        p99_us: rank(99),
        max_us: rank(100),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Span = Span::from_secs(1);

    #[test]
    fn an_ideal_throttle_has_no_error() {
        let starts = (0..100).map(|n| (n * 1_000_000 + 17, Reason::Throttle));
        let error = spacing_error(SECOND, starts).expect("samples");
        assert_eq!(error, SpacingError { samples: 99, p50_us: 0, p99_us: 0, max_us: 0 });
    }

    #[test]
    fn drift_adds_up_and_shows() {
        let starts = (0..101).map(|n| (n * 1_001_000, Reason::Throttle));
        let error = spacing_error(SECOND, starts).expect("samples");
        assert_eq!(
            error,
            SpacingError { samples: 100, p50_us: 50_000, p99_us: 99_000, max_us: 100_000 }
        );
    }

    #[test]
    fn early_and_late_count_alike() {
        let starts = [0, 999_000, 2_003_000].map(|at| (at, Reason::Throttle));
        assert_eq!(
            spacing_error(SECOND, starts).map(|e| (e.p50_us, e.max_us)),
            Some((1_000, 3_000))
        );
    }

    #[test]
    fn another_limit_begins_a_new_grid() {
        let throttle = |at| (at, Reason::Throttle);
        let channel = (5_250_000, Reason::CarrierChannels);
        let starts =
            [throttle(0), throttle(1_000_000), channel, throttle(6_250_000), throttle(7_250_400)];
        let error = spacing_error(SECOND, starts).expect("samples");
        assert_eq!((error.samples, error.max_us), (3, 400));
        assert_eq!(spacing_error(SECOND, [channel, channel]), None);
    }
}
