//! Throttles and caps (MT-2, MT-3): the instants of all that was started, and nothing else.

use std::collections::BTreeSet;

use busyhour_base::Reason;
use busyhour_controller_core::spec::{Cap, Pace, Throttle};

use super::Instant;

/// The limits of one scope, and when its requests were started.
#[derive(Clone, Default, Debug)]
pub struct Gate {
    throttle: Option<Throttle>,
    /// The caps that hold, and how many had been started when each was declared: it counts from then on.
    caps: Vec<(Cap, usize)>,
    starts: Vec<Start>,
}

#[derive(Clone, Copy, Debug)]
struct Start {
    /// When it was due: what a throttle goes by, so that late ticks do not move its grid.
    due: Instant,
    /// When it was made: what a cap goes by, since that is when it left.
    made: Instant,
    /// A call is one unit, a message as many as it has segments.
    units: u32,
}

impl Gate {
    pub fn of(pace: &Pace) -> Self {
        let mut gate = Self::default();
        gate.declare(pace);
        gate
    }

    pub fn start(&mut self, units: u32, due: Instant, made: Instant) {
        self.starts.push(Start { due, made, units });
    }

    /// Other limits are declared. Caps that were there before go on counting.
    pub fn declare(&mut self, pace: &Pace) {
        self.throttle = pace.throttle;
        let before = std::mem::take(&mut self.caps);
        let since = |cap: &Cap| {
            let known = before.iter().find(|(other, _)| other == cap);
            known.map_or(self.starts.len(), |(_, since)| *since)
        };
        self.caps = pace.caps.iter().map(|cap| (*cap, since(cap))).collect();
    }

    /// A spacing after each unit of the last start.
    fn spaced_at(&self) -> Option<Instant> {
        let (throttle, last) = (self.throttle?, self.starts.last()?);
        Some(last.due.saturating_add(throttle.spacing.0 * u64::from(last.units)))
    }

    fn is_spaced(&self, now: Instant) -> bool {
        self.spaced_at().is_none_or(|at| at <= now)
    }

    /// In no window are more than its count. A start counts until the window's length has passed since it.
    fn is_under_caps(&self, units: u32, now: Instant) -> bool {
        self.caps.iter().all(|(cap, since)| {
            let counts = |start: &&Start| start.made.saturating_add(cap.window.0) > now;
            let inside = self.starts[*since..].iter().filter(counts);
            inside.map(|start| start.units).sum::<u32>() + units <= cap.count
        })
    }

    /// Whether a request of so many units could ever start.
    pub fn ever_holds(&self, units: u32) -> bool {
        self.caps.iter().all(|(cap, _)| units <= cap.count)
    }

    /// Why so many units more may not start: the words for its throttle and for its caps.
    pub fn says(&self, units: u32, now: Instant, words: (Reason, Reason)) -> BTreeSet<Reason> {
        let throttle = (!self.is_spaced(now)).then_some(words.0);
        let cap = (!self.is_under_caps(units, now)).then_some(words.1);
        throttle.into_iter().chain(cap).collect()
    }

    /// The instants at which a start stops counting.
    pub fn moments(&self) -> Vec<Instant> {
        let capped = self.caps.iter().flat_map(|(cap, _)| {
            self.starts.iter().map(|start| start.made.saturating_add(cap.window.0))
        });
        self.spaced_at().into_iter().chain(capped).collect()
    }
}
