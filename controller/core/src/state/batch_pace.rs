//! How fast a batch may run, as far as throttles say.

use std::collections::BTreeSet;

use busyhour_base::Span;

use super::State;
use crate::{engine::ring::NIL, spec::Kind};

impl State {
    /// The time between two calls or segments of a batch by the slowest of these: its own pace, its tenant's throttle, and those
    /// of the applications and of the numbers that its open lines go out by, each time all of them together. `None` if none
    /// of these has a throttle.
    pub(super) fn spacing_of_batch(&self, id: u32) -> Option<Span> {
        let batch = &self.batches[id];
        let (of_tenant, scopes) = match batch.kind() {
            Kind::Call => {
                let keys = || self.lanes_of_batch(id).into_iter().map(|lane| self.lanes[lane].key);
                let spacing = |gate| match gate {
                    NIL => 0,
                    gate => self.engine.limits_of(gate).0.spacing,
                };
                let applications: BTreeSet<_> = keys().map(|key| key.application).collect();
                let numbers: BTreeSet<_> = keys().map(|key| key.number).collect();
                let of = |gates: BTreeSet<u32>| together(gates.into_iter().map(spacing));
                (self.tenants[batch.tenant].limits.throttle, [of(applications), of(numbers)])
            }
            Kind::Message => {
                let numbers = self.message_spacings(batch.tenant, batch.gate);
                (self.message_throttle(batch.tenant), [None, together(numbers)])
            }
        };
        let throttles = [batch.plan.throttle, of_tenant].into_iter().flatten();
        let spacings = throttles.map(|throttle| throttle.spacing);
        spacings.chain(scopes.into_iter().flatten()).filter(|spacing| spacing.0 > 0).max()
    }
}

/// The time between two events of several throttles that run side by side; `None` if one of them lets everything through
/// (a spacing of 0), or if there is none.
fn together(spacings: impl IntoIterator<Item = u64>) -> Option<Span> {
    /// Events in this many microseconds are counted: enough that no spacing is rounded.
    const LONG: u128 = 10_u128.pow(30);
    let mut events = 0;
    for spacing in spacings {
        events += LONG.checked_div(spacing.into())?;
    }
    let spacing = LONG.checked_div(events)?;
    u64::try_from(spacing).ok().map(Span)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn throttles_side_by_side_add_up() {
        assert_eq!(together([]), None);
        assert_eq!(together([1_000_000, 0]), None);
        for spacing in [1, 333_333, 1_000_000, 86_400_000_001] {
            assert_eq!(together([spacing]), Some(Span(spacing)));
        }
        assert_eq!(together([1_000_000, 1_000_000]), Some(Span(500_000)));
        assert_eq!(together([1_000_000, 500_000]), Some(Span(333_333)));
    }
}
