//! How many in the last while, in ten steps: for views, never for a decision.

use serde::{Deserialize, Serialize};

const STEPS: u64 = 10;

/// Counts events of the last ten steps of `step` microseconds.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Meter {
    step: u64,
    last: u64,
    counts: [u32; STEPS as usize],
}

impl Meter {
    pub const fn new(step: u64) -> Self {
        Self { step, last: 0, counts: [0; STEPS as usize] }
    }

    pub fn count(&mut self, now: u64) {
        let step = now / self.step;
        for passed in (self.last + 1).max(step.saturating_sub(STEPS - 1))..=step {
            self.counts[(passed % STEPS) as usize] = 0;
        }
        self.last = self.last.max(step);
        self.counts[(step % STEPS) as usize] += 1;
    }

    pub fn read(&self, now: u64) -> u32 {
        let first = (now / self.step).saturating_sub(STEPS - 1);
        (first..=self.last)
            .filter(|step| self.last - step < STEPS)
            .map(|step| self.counts[(step % STEPS) as usize])
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_what_lies_within_the_ten_steps() {
        let mut meter = Meter::new(100);
        for now in [0, 950, 999, 1_000, 1_001] {
            meter.count(now);
        }
        assert_eq!(meter.read(1_001), 4);
        assert_eq!(meter.read(1_899), 4);
        assert_eq!(meter.read(1_900), 2);
        assert_eq!(meter.read(50_000), 0);
        meter.count(50_000);
        assert_eq!(meter.read(50_000), 1);
    }
}
