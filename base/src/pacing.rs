//! What tenants and planners may ask of a batch's pace: one check for the API and for scenarios.

use std::ops::RangeInclusive;

use crate::Span;

/// Calls, or segments of messages, per second of one batch: from one a day to one every 10 us.
const CPS: RangeInclusive<f64> = 1.0 / 86_400.0..=100_000.0;
/// What [`spacing`] takes, in words.
pub const CPS_ALLOWED: &str = "a number of calls, or segments, per second from 1/86400 to 100000";

/// The time between two starts at so many per second, rounded up, so that a batch is never faster than asked; nothing if that
/// many are not allowed.
pub fn spacing(cps: f64) -> Option<Span> {
    CPS.contains(&cps).then(|| Span::from_micros((1e6 / cps).ceil() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spacing_is_never_shorter_than_asked() {
        let micros = |cps| spacing(cps).map(Span::as_micros);
        assert_eq!([2.0, 1.5, 3.0].map(micros), [500_000, 666_667, 333_334].map(Some));
        assert_eq!([1.0 / 86_400.0, 100_000.0].map(micros), [86_400_000_000, 10].map(Some));
    }

    #[test]
    fn less_than_one_a_day_and_more_than_100_000_a_second_are_not_allowed() {
        for cps in [0.0, -1.0, 1.1e-5, 100_000.1, 1e300, f64::INFINITY, f64::NAN] {
            assert_eq!(spacing(cps), None, "{cps}");
        }
    }
}
