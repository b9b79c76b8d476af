//! How long calls last in one run.
//!
//! Too few have ended to know how long the next will last, and those that have ended first are the short ones. So
//! each run believes in lengths of its own: it draws as many as were seen out of those that were seen (the bootstrap),
//! and to each call in progress it gives one of those longer than what it has lasted, so that the calls that have not
//! ended count as the long ones that they are. Until enough of a tenant's calls have ended, those of all tenants stand
//! in, and for these an assumed distribution whose mean each run takes to be another.

/// From this many on, a tenant's own lengths are enough, and so are those of all.
const ENOUGH: usize = 16;

/// How many assumed ones stand in until then.
const ASSUMED: usize = 4;

/// What is assumed to be the mean of calls, in microseconds, while nothing has ended anywhere; each run multiplies it by one of
/// [`SCALES`].
pub(crate) const CALL_ASSUMED_US: u64 = 60_000_000;

/// The same of messages: how long a carrier takes to answer.
pub(crate) const MESSAGE_ASSUMED_US: u64 = 100_000;

/// From a quarter to four times as much, in thousandths: announcements last ten seconds, conversations minutes.
const SCALES: [u64; 7] = [250, 400, 630, 1_000, 1_600, 2_500, 4_000];

/// An exponential distribution of mean 1,000 in eight equal parts.
const EXPONENTIAL: [u64; 8] = [65, 208, 375, 575, 827, 1_163, 1_674, 2_773];

/// Scrambles (the finaliser of `SplitMix64`): equal arguments, equal draws.
pub(super) const fn mix(of: u64) -> u64 {
    let of = of.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let of = (of ^ (of >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let of = (of ^ (of >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    of ^ (of >> 31)
}

/// Out of `0..of`.
const fn below(draw: u64, of: u64) -> u64 {
    ((draw as u128 * of as u128) >> 64) as u64
}

fn one_of(lengths: &[u64], draw: u64) -> u64 {
    lengths[below(draw, lengths.len() as u64) as usize]
}

/// The lengths of one tenant's calls, or of all tenants', in one run, in microseconds.
#[derive(Clone, Debug)]
pub(super) struct Lengths {
    /// Drawn from what was seen; sorted, never empty.
    ended: Vec<u64>,
    /// How many calls those stand for.
    ended_weight: u64,
    /// Given to calls in progress.
    in_progress: Vec<u64>,
    mean: u64,
}

impl Lengths {
    /// Of all tenants: the last lengths out of `seen` in all, and the mean that is assumed before there are any.
    pub(super) fn of_all(recent: Vec<u64>, seen: u32, mean_us: u64, seed: u64) -> Self {
        let scale = one_of(&SCALES, mix(seed));
        let assumed = |draw| one_of(&EXPONENTIAL, draw) * scale * mean_us / 1_000_000;
        let lacking = if recent.len() < ENOUGH { ASSUMED } else { 0 };
        Self::drawn(recent, lacking, assumed, seen, seed)
    }

    /// Of one tenant, of whose calls few may have ended.
    pub(super) fn of_tenant(recent: Vec<u64>, seen: u32, all: &Self, seed: u64) -> Self {
        let lacking = ENOUGH.saturating_sub(recent.len());
        Self::drawn(recent, lacking, |draw| all.next(draw), seen, seed)
    }

    fn drawn(
        mut base: Vec<u64>,
        lacking: usize,
        stand_in: impl Fn(u64) -> u64,
        seen: u32,
        seed: u64,
    ) -> Self {
        let mut draws = (1..).map(|n| mix(seed ^ mix(n)));
        base.extend(draws.by_ref().take(lacking).map(stand_in));
        let mut ended: Vec<_> = draws.take(base.len()).map(|draw| one_of(&base, draw)).collect();
        ended.sort_unstable();
        let mean = ended.iter().sum::<u64>() / ended.len() as u64;
        let ended_weight = u64::from(seen).max(ended.len() as u64);
        Self { ended, ended_weight, in_progress: Vec::new(), mean }
    }

    /// The whole length of a call that has lasted for `elapsed`.
    pub(super) fn of_one_in_progress(&mut self, elapsed: u64, draw: u64) -> u64 {
        let longer = self.ended.partition_point(|length| *length <= elapsed);
        let length = if longer < self.ended.len() {
            one_of(&self.ended[longer..], draw)
        } else {
            // None was as long: what is so old may last as long again.
            let more = one_of(&EXPONENTIAL, draw) * (self.mean.max(elapsed) / 1_000);
            elapsed.saturating_add(more).max(elapsed + 1)
        };
        self.in_progress.push(length);
        length
    }

    /// The length of a call that is yet to start.
    pub(super) fn next(&self, draw: u64) -> u64 {
        let in_progress = self.in_progress.len() as u64;
        let which = below(draw, self.ended_weight + in_progress);
        match which.checked_sub(self.ended_weight) {
            Some(n) => self.in_progress[n as usize],
            None => one_of(&self.ended, mix(draw)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000;

    fn lengths(own: &[u64], all: &[u64], seed: u64) -> Lengths {
        let all = Lengths::of_all(all.to_vec(), all.len() as u32, CALL_ASSUMED_US, seed);
        Lengths::of_tenant(own.to_vec(), own.len() as u32, &all, !seed)
    }

    fn mean(lengths: &Lengths) -> u64 {
        (0..10_000).map(|n| lengths.next(mix(n))).sum::<u64>() / 10_000
    }

    #[test]
    fn draws_what_was_seen() {
        let own: Vec<_> = (1..=64).map(|n| n * S).collect();
        let mean = (0..50).map(|seed| mean(&lengths(&own, &[], seed))).sum::<u64>() / 50;
        assert!((31 * S..34 * S).contains(&mean), "{mean}");
    }

    #[test]
    fn a_tenant_without_calls_is_taken_to_be_like_the_others() {
        let mean = (0..50).map(|seed| mean(&lengths(&[], &[7 * S; 20], seed))).sum::<u64>() / 50;
        assert_eq!(mean, 7 * S);
    }

    #[test]
    fn without_anything_seen_a_minute_is_assumed_and_spread_widely() {
        let mut means: Vec<_> = (0..200).map(|seed| mean(&lengths(&[], &[], seed))).collect();
        means.sort_unstable();
        assert!((30 * S..90 * S).contains(&means[100]), "{}", means[100]);
        assert!(means[10] < 20 * S && means[190] > 120 * S, "{} {}", means[10], means[190]);
    }

    /// Half of the calls last 5 s, half 60 s: after ten seconds only the short ones have ended.
    #[test]
    fn calls_in_progress_count_as_the_long_ones_that_they_are() {
        let (mut with, mut without) = (0, 0);
        for seed in 0..50 {
            let mut lengths = lengths(&[5 * S; 20], &[5 * S; 20], seed);
            without += mean(&lengths);
            (0..20).for_each(|n| {
                lengths.of_one_in_progress(10 * S, mix(seed ^ mix(n)));
            });
            with += mean(&lengths);
        }
        assert_eq!(without / 50, 5 * S);
        assert!(with / 50 > 10 * S, "{}", with / 50);
    }

    #[test]
    fn a_call_in_progress_lasts_longer_than_it_has() {
        let own: Vec<_> = (1..=64).map(|n| n * S).collect();
        for n in 0..200 {
            assert!(lengths(&own, &[], n).of_one_in_progress(n * S, mix(n)) > n * S);
        }
    }
}
