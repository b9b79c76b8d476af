//! Queue poppers (MT-10): how many requests of a route may be taken out of the queues in one step.
//!
//! A step is all that happens at one instant of the owner's. What starts in it is an intent of one entry of the log, becomes
//! durable at once with the others and then goes to the agents, so that the poppers of all routes are the dispatches that are
//! in work at once. Each popper takes one request in a step.
//!
//! Their number follows capacity and queue length: as many as requests wait for the route, as its carriers have free channels
//! for, and as their rates let through in [`REACH_US`], whichever is least, and [`POPPERS_MAX`] at most. It grows at once
//! when more could be taken, and falls by half for each [`HOLD_US`] in which fewer would have done.
//! What more could start goes on in the next step, one microsecond later; its line rests until then.
//!
//! A route's poppers are its own: another route's long queue takes none of them. A decision costs a look at one counter;
//! the number is found anew once for each step in which the route is served, from its carriers.

use serde::{Deserialize, Serialize};

use super::turn::RouteId;

/// The most poppers of a route.
pub const POPPERS_MAX: u32 = 10_000;
/// A carrier's rate counts for so long.
pub const REACH_US: u64 = 1_000_000;
/// After so long with too many poppers, half of them go.
pub const HOLD_US: u64 = 1_000_000;

/// The poppers of a route.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Crew {
    /// Requests that wait for the route, those included that wait for limits of their own.
    pub waiting: u64,
    /// How many there are.
    pub number: u32,
    /// How many of them took a request in the last step.
    pub at_work: u32,
    /// When the last step was.
    step: u64,
    /// So many are kept until then.
    keep_until: u64,
}

impl Crew {
    /// What could be taken in a step, after what was taken in it.
    fn wanted(&self, capacity: u64) -> u64 {
        u64::from(self.at_work) + self.waiting.min(capacity)
    }

    /// Grows at once, falls slowly.
    fn follow(&mut self, now: u64, wanted: u64, most: u32) {
        let wanted = u32::try_from(wanted).unwrap_or(u32::MAX).min(most);
        if wanted >= self.number {
            (self.number, self.keep_until) = (wanted, now.saturating_add(HOLD_US));
        } else if now >= self.keep_until {
            let halvings = 1 + (now - self.keep_until) / HOLD_US;
            let halved = u32::try_from(halvings).ok().and_then(|n| self.number.checked_shr(n));
            (self.number, self.keep_until) =
                (halved.unwrap_or(0).max(wanted), now.saturating_add(HOLD_US));
        }
        self.number = self.number.min(most);
    }

    /// As it is at an instant, if nothing was taken since the last step.
    pub fn at(mut self, now: u64, capacity: u64, most: u32) -> Self {
        if self.step != now {
            self.at_work = 0;
        }
        let wanted = self.wanted(capacity);
        self.follow(now, wanted, most);
        self
    }
}

/// The poppers of all routes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Poppers {
    most: u32,
    crews: Vec<Crew>,
}

impl Default for Poppers {
    fn default() -> Self {
        Self { most: POPPERS_MAX, crews: Vec::new() }
    }
}

impl Poppers {
    /// Another bound, at least 1.
    pub fn set_most(&mut self, most: u32) {
        self.most = most.max(1);
    }

    /// The bound on each route's.
    pub const fn most(&self) -> u32 {
        self.most
    }

    /// More requests wait for a route.
    #[inline]
    pub fn arrived(&mut self, route: RouteId, requests: u64) {
        let route = usize::from(route);
        if route >= self.crews.len() {
            self.crews.resize(route + 1, Crew::default());
        }
        self.crews[route].waiting += requests;
    }

    /// Fewer requests wait for a route.
    #[inline]
    pub fn left(&mut self, route: RouteId, requests: u64) {
        self.crews[usize::from(route)].waiting -= requests;
    }

    /// Whether a popper of a route for which something waits has not taken a request at `now`. `capacity` tells how many
    /// requests its carriers could take.
    #[inline]
    pub fn has_one(&mut self, route: RouteId, now: u64, capacity: impl FnOnce() -> u64) -> bool {
        let most = self.most;
        let crew = &mut self.crews[usize::from(route)];
        if crew.step != now {
            (crew.step, crew.at_work) = (now, 0);
        } else if crew.at_work < crew.number {
            return true;
        }
        if crew.at_work < most {
            let wanted = crew.wanted(capacity());
            crew.follow(now, wanted, most);
        }
        crew.at_work < crew.number
    }

    /// A popper of a route takes a request.
    #[inline]
    pub fn took_one(&mut self, route: RouteId) {
        let crew = &mut self.crews[usize::from(route)];
        crew.at_work += 1;
        crew.waiting -= 1;
    }

    /// The poppers of a route as they were at its last step.
    pub fn of(&self, route: RouteId) -> Crew {
        self.crews.get(usize::from(route)).copied().unwrap_or_default()
    }

    /// Every route's, as they were at its last step.
    pub fn iter(&self) -> impl Iterator<Item = (RouteId, Crew)> {
        self.crews.iter().enumerate().map(|(route, crew)| (route as RouteId, *crew))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ROUTE: RouteId = 1;

    /// Takes as many requests as it may, as the engine does: each needs a channel.
    fn step(poppers: &mut Poppers, now: u64, free: &mut u64) -> u32 {
        let mut taken = 0;
        while poppers.of(ROUTE).waiting > 0 && *free > 0 && poppers.has_one(ROUTE, now, || *free) {
            poppers.took_one(ROUTE);
            *free -= 1;
            taken += 1;
        }
        taken
    }

    proptest! {
        /// A step takes all that it could, and never more than the bound; the number is never below what was taken nor above
        /// the bound, and never above what both queue and capacity ever asked for.
        #[test]
        fn mt_10_poppers_follow_queue_and_capacity_within_their_bound(
            most in 1u32..50,
            steps in prop::collection::vec((0u64..3_000_000, 0u64..60, 0u64..60), 1..60),
        ) {
            let mut poppers = Poppers::default();
            poppers.set_most(most);
            let (mut now, mut highest) = (0, 0);
            for (gap, arrivals, mut free) in steps {
                now += gap + 1;
                poppers.arrived(ROUTE, arrivals);
                let could = poppers.of(ROUTE).waiting.min(free);
                highest = could.max(highest);
                let taken = step(&mut poppers, now, &mut free);
                prop_assert_eq!(u64::from(taken), could.min(u64::from(most)));
                let crew = poppers.of(ROUTE);
                prop_assert!(crew.number <= most && u64::from(crew.number) <= highest);
                if taken > 0 {
                    prop_assert!(crew.at_work == taken && crew.number >= taken);
                }
            }
            let crew = poppers.of(ROUTE);
            let idle = Crew { waiting: 0, ..crew }.at(now + 20 * HOLD_US, 0, most);
            prop_assert_eq!(idle.number, 0, "they go when nothing waits");
        }
    }

    #[test]
    fn mt_10_the_number_grows_at_once_and_falls_slowly() {
        let mut poppers = Poppers::default();
        poppers.arrived(ROUTE, 64);
        assert_eq!(step(&mut poppers, 10, &mut 1_000), 64);
        poppers.arrived(ROUTE, 1);
        let one = |poppers: &mut Poppers, at| {
            poppers.arrived(ROUTE, 1);
            assert_eq!(step(poppers, at, &mut 1), 1);
            poppers.of(ROUTE).number
        };
        assert_eq!(one(&mut poppers, HOLD_US), 64, "fewer would have done for less than a hold");
        assert_eq!(one(&mut poppers, 10 + HOLD_US), 32);
        assert_eq!(one(&mut poppers, 20 + HOLD_US), 32);
        assert_eq!(one(&mut poppers, 10 + 2 * HOLD_US), 16);
        assert_eq!(one(&mut poppers, 10 + 5 * HOLD_US), 2, "after three holds at once");
        poppers.arrived(ROUTE, 20);
        assert_eq!(step(&mut poppers, 11 + 5 * HOLD_US, &mut 9), 9, "as capacity comes back");
        assert_eq!(poppers.of(ROUTE).number, 9);
    }
}
