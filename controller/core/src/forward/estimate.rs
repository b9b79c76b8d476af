//! Many runs, and what they say together.

use std::collections::BTreeMap;

use busyhour_base::{AccountSid, Reason, Span};

use super::{
    Bounds, Outlook,
    lengths::mix,
    outlook::Timed,
    run::{Run, Until},
};
use crate::{engine::Engine, spec::BatchId};

/// How often an outlook is run. The start of a request is as likely to fall into each of the 20 gaps that 19 ordered
/// runs make; so the 10th of them is the median, and the 18th leaves one in ten beyond it.
pub const RUNS: usize = 19;

/// When something starts, and why not before.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Estimate {
    /// From the outlook's instant to the start: as likely before as after.
    pub p50: Span,
    /// Nine times out of ten not after; `None` if in too many runs it did not start at all.
    pub p90: Option<Span>,
    /// What held it, with the share of the time in thousandths, the longest first; empty if it starts at once.
    pub held_by: Vec<(Reason, u16)>,
}

impl Estimate {
    /// The limit that holds it longest.
    pub fn binding(&self) -> Reason {
        self.held_by.first().map_or(Reason::Ready, |(reason, _)| *reason)
    }
}

/// The runs of one outlook.
#[derive(Clone, Debug)]
pub struct Forecast {
    runs: Vec<Run>,
    /// Requests of each lane that will want to start.
    lengths: BTreeMap<u32, u64>,
    accounts: BTreeMap<AccountSid, Vec<u32>>,
    batches: BTreeMap<BatchId, Vec<u32>>,
}

/// When one run starts something: microseconds, and what held it for how long.
type Told = Option<(u64, BTreeMap<Reason, u64>)>;

impl Outlook {
    /// Runs it until nothing is left that will start. `None` if the time was up before the first run was over.
    pub fn forecast(&self, seed: u64, bounds: &mut Bounds<'_>) -> Option<Forecast> {
        self.forecast_of(&self.engine, seed, Until::Drained, bounds)
    }

    /// Runs `engine`, which is its own or has been changed.
    pub(super) fn forecast_of(
        &self,
        engine: &Engine,
        seed: u64,
        until: Until,
        bounds: &mut Bounds<'_>,
    ) -> Option<Forecast> {
        let mut runs = Vec::with_capacity(RUNS);
        for n in 0..RUNS as u64 {
            let Some(run) = self.run(engine, seed ^ mix(n), until, bounds) else { break };
            runs.push(run);
        }
        if runs.is_empty() {
            return None;
        }
        let lanes =
            self.tenant_of.iter().map(|(lane, _)| (*lane, u64::from(engine.lane_len(*lane))));
        let mut lengths: BTreeMap<_, _> = lanes.collect();
        for timed in self.timed.values() {
            if let Timed::Begins { lane, .. } = timed {
                *lengths.entry(*lane).or_insert(0) += 1;
            }
        }
        Some(Forecast {
            runs,
            lengths,
            accounts: self.accounts.clone(),
            batches: self.batches.clone(),
        })
    }
}

impl Forecast {
    /// When a request starts that has `ahead` others before it in its lane.
    pub(super) fn start(&self, request: u32, lane: u32, ahead: u64) -> Option<Estimate> {
        self.estimate(|run| run.start(lane, Wanted::Request(request), ahead))
    }

    /// When the last request of a batch starts.
    pub fn batch(&self, batch: BatchId) -> Option<Estimate> {
        self.lanes(self.batches.get(&batch)?)
    }

    /// When the last request of a tenant starts.
    pub fn tenant(&self, account: AccountSid) -> Option<Estimate> {
        self.lanes(self.accounts.get(&account)?)
    }

    /// When the last request of these lanes starts, but for those lanes that never start any.
    pub(super) fn lanes(&self, lanes: &[u32]) -> Option<Estimate> {
        let waiting: Vec<_> = lanes
            .iter()
            .filter_map(|lane| Some((*lane, self.lengths.get(lane)?.checked_sub(1)?)))
            .collect();
        if waiting.is_empty() {
            return None;
        }
        self.estimate(|run| {
            let each = waiting.iter().map(|(lane, last)| run.start(*lane, Wanted::Last, *last));
            each.flatten().max_by_key(|(after, _)| *after)
        })
    }

    fn estimate(&self, told: impl Fn(&Run) -> Told) -> Option<Estimate> {
        let mut afters = Vec::with_capacity(self.runs.len());
        let mut held = BTreeMap::new();
        for run in &self.runs {
            let told = told(run);
            afters.push(told.as_ref().map_or(u64::MAX, |(after, _)| *after));
            for (reason, span) in told.into_iter().flat_map(|(_, held)| held) {
                *held.entry(reason).or_insert(0_u64) += span;
            }
        }
        afters.sort_unstable();
        let p50 = quantile(&afters, 50)?;
        let whole = held.values().sum::<u64>().max(1);
        let mut held_by: Vec<_> = held
            .into_iter()
            .map(|(reason, span)| (reason, (u128::from(span) * 1_000 / u128::from(whole)) as u16))
            .filter(|(_, share)| *share > 0)
            .collect();
        held_by.sort_by_key(|(_, share)| std::cmp::Reverse(*share));
        Some(Estimate { p50, p90: quantile(&afters, 90), held_by })
    }
}

/// The value below which so many in a hundred fall, among sorted ones of which the last may be unknown.
fn quantile(sorted: &[u64], percent: usize) -> Option<Span> {
    let rank = ((sorted.len() + 1) * percent).div_ceil(100).clamp(1, sorted.len());
    Some(sorted[rank - 1]).filter(|value| *value < u64::MAX).map(Span)
}

/// Which start of a lane is wanted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Wanted {
    Request(u32),
    /// The last of those that wait now or will come at their scheduled times.
    Last,
}

impl Run {
    /// When something starts in this run that has `ahead` others before it in its lane, and what held it.
    fn start(&self, lane: u32, wanted: Wanted, ahead: u64) -> Told {
        let mut held = BTreeMap::new();
        let (mut last, mut count) = (0, 0);
        for begun in self.begun.iter().filter(|begun| begun.lane == lane) {
            *held.entry(begun.held_by).or_insert(0) += begun.after - last;
            (last, count) = (begun.after, count + 1);
            if wanted == Wanted::Request(begun.request) {
                return Some((last, held));
            }
        }
        if wanted == Wanted::Last && self.is_whole && count > ahead {
            return Some((last, held));
        }
        self.beyond(lane, (ahead + 1).checked_sub(count)?, held)
    }

    /// The run was cut off before: the lane goes on as fast as in the second half of it.
    fn beyond(&self, lane: u32, more: u64, mut held: BTreeMap<Reason, u64>) -> Told {
        let end = self.begun.last().filter(|_| !self.is_whole)?.after;
        let late = self.begun.iter().rev().take_while(|begun| begun.after > end / 2);
        let late: Vec<_> = late.filter(|begun| begun.lane == lane).collect();
        let (first, newest) = (late.last()?, late.first()?);
        let gaps = late.len() as u64 - 1;
        if gaps == 0 {
            return None;
        }
        let span = u128::from(newest.after - first.after) * u128::from(more) / u128::from(gaps);
        let after = newest.after.saturating_add(u64::try_from(span).unwrap_or(u64::MAX));
        *held.entry(newest.held_by).or_insert(0) += after - newest.after;
        Some((after, held))
    }
}

#[cfg(test)]
mod tests {
    use super::{super::run::Begun, *};

    #[test]
    fn the_tenth_and_the_eighteenth_of_nineteen() {
        let runs: Vec<_> = (1..=19).collect();
        assert_eq!(quantile(&runs, 50), Some(Span(10)));
        assert_eq!(quantile(&runs, 90), Some(Span(18)));
        assert_eq!(quantile(&[7], 90), Some(Span(7)));
        assert_eq!(quantile(&[7, u64::MAX], 50), None);
    }

    #[test]
    fn a_run_that_was_cut_off_goes_on_as_it_went_last() {
        let begun = (1..=10).map(|n| Begun {
            request: n,
            lane: 5,
            after: u64::from(n) * 100,
            held_by: Reason::Throttle,
        });
        let run = Run { begun: begun.collect(), is_whole: false };
        let (after, held) = run.start(5, Wanted::Last, 29).expect("known");
        assert_eq!(after, 3_000);
        assert_eq!(held, BTreeMap::from([(Reason::Throttle, 3_000)]));
        assert_eq!(
            run.start(5, Wanted::Request(7), 6),
            Some((700, BTreeMap::from([(Reason::Throttle, 700)])))
        );
        assert_eq!(run.start(6, Wanted::Last, 0), None);
    }
}
