//! `Cancel`: what a tenant has waiting, or as much of it as it says; and what a batch has. None of it starts any more
//! from that entry on; it ends in a bounded number of steps with this entry and the next ones.

use std::sync::Arc;

use busyhour_base::Reason;

use super::{
    State,
    calls::{LaneOwner, Stage, asked},
};
use crate::{
    command::{Cancel, Waiting},
    effect::{Effect, Reply},
    engine::{lanes::LaneKey, ring::NIL},
    spec::Urgency,
};

/// What is to be canceled, with the gates of its scopes.
struct Wanted<'a> {
    which: &'a Waiting,
    application: Option<u32>,
    /// [`NIL`] if it has none. Calls from a number that was not declared when they came are in lanes of no number.
    number: Option<u32>,
}

impl Wanted<'_> {
    /// Whether anything of a lane can be wanted. Callers are never canceled.
    fn has_of(&self, key: &LaneKey) -> bool {
        let urgency = self.which.urgency.is_none_or(|urgency| urgency as u8 == key.urgency);
        let application = self.application.is_none_or(|gate| gate == key.application);
        let number = self.number.is_none_or(|gate| gate == key.number || key.number == NIL);
        urgency && application && number && key.urgency != Urgency::Inbound as u8
    }

    /// Whether all of a lane of which anything can be wanted is.
    fn has_all(&self, key: &LaneKey) -> bool {
        let Waiting { to, scheduled_from, scheduled_before, .. } = self.which;
        let of_number = self.number.is_none() || key.number != NIL;
        of_number && to.is_none() && scheduled_from.is_none() && scheduled_before.is_none()
    }

    /// Whether a request of a lane of which anything can be wanted is.
    fn has(&self, state: &State, request: u32) -> bool {
        let Waiting { from, to, scheduled_from, scheduled_before, .. } = self.which;
        if scheduled_from.is_some() || scheduled_before.is_some() {
            let begins = state.requests.times(request).not_before;
            let within = begins.is_some_and(|at| {
                scheduled_from.is_none_or(|from| from <= at)
                    && scheduled_before.is_none_or(|before| at < before)
            });
            if !within {
                return false;
            }
        }
        let spec = state.requests.spec(request);
        let is =
            |wish: &Option<Arc<str>>, end: &str| wish.as_ref().is_none_or(|wish| **wish == *end);
        is(from, &spec.from) && is(to, &spec.to)
    }
}

impl State {
    pub(super) fn cancel(&mut self, cancel: &Cancel) -> Reply {
        let tenant = match self.tenant(cancel.account) {
            Ok(tenant) => tenant,
            Err(reason) => return Reply::Refused(reason),
        };
        let (state, which) = (&self.tenants[tenant], &cancel.which);
        let application = match which.application.map(|sid| state.applications.get(&sid)) {
            None => None,
            Some(Some(scope)) => Some(scope.gate),
            Some(None) => return Reply::Refused(Reason::UnknownScope),
        };
        let number = which.from.as_ref().map(|number| state.numbers.get(number));
        let number = number.map(|scope| scope.map_or(NIL, |scope| scope.gate));
        let wanted = Wanted { which, application, number };
        let lanes = state.lanes.iter().filter(|(key, _)| wanted.has_of(key));
        let lanes: Vec<_> = lanes.map(|(_, lane)| *lane).collect();
        let canceled = lanes.into_iter().map(|lane| {
            if wanted.has_all(&self.lanes[lane].key) {
                return self.cancel_lane(lane, Reason::CanceledByTenant);
            }
            let chosen: Vec<_> = self
                .engine
                .lane_requests(lane)
                .filter(|request| wanted.has(self, *request))
                .collect();
            self.cancel_some(lane, chosen)
        });
        Reply::Canceling(canceled.sum())
    }

    /// Some of what waits in a lane is to end: it goes into a lane of its own, which is canceled. How much that is.
    fn cancel_some(&mut self, lane: u32, chosen: Vec<u32>) -> u64 {
        if chosen.is_empty() {
            return 0;
        }
        let LaneOwner { tenant, batch, key, .. } = self.lanes[lane];
        let aside = self.engine.add_lane(tenant, key);
        let canceled = Some(Reason::CanceledByTenant);
        self.lanes.put(aside, LaneOwner { tenant, batch, key, requests: 0, canceled });
        self.engine.retire(aside);
        for request in &chosen {
            let scheduled = self.requests.stage(*request) == Stage::Scheduled;
            if scheduled {
                self.engine.take_up(lane, *request);
                self.engine.put_off(aside, *request);
            } else {
                self.engine.unqueue(lane, *request);
                let asked = asked(self.requests.call(*request));
                self.engine.push_back(aside, *request, asked, Reason::CanceledByTenant);
            }
            self.lanes[aside].requests += 1;
            self.with_requests(tenant, |requests| {
                requests.move_to(*request, aside, batch.is_some());
            });
            self.release_lane(lane);
        }
        self.sweeps.push_back(aside);
        chosen.len() as u64
    }

    /// All that waits in a lane is to end; what is submitted from now on goes into another lane. How much that is.
    pub(super) fn cancel_lane(&mut self, lane: u32, reason: Reason) -> u64 {
        let owner = &mut self.lanes[lane];
        if owner.canceled.is_some() {
            return 0;
        }
        owner.canceled = Some(reason);
        let (tenant, key) = (owner.tenant, owner.key);
        self.tenants[tenant].lanes.remove(&key);
        let waiting = self.engine.retire(lane);
        if waiting > 0 {
            self.sweeps.push_back(lane);
        }
        waiting
    }

    /// Ends the next of the requests that were canceled as a whole. A lane that is empty by then is done with: it may be gone
    /// at the next entry.
    pub(super) fn sweep(&mut self, fx: &mut Vec<Effect>) {
        let mut left = self.options.sweep_max;
        while let Some(lane) = self.sweeps.front().copied() {
            match (self.engine.next_retired(lane), self.lanes[lane].canceled) {
                (Some(_), Some(_)) if left == 0 => return,
                (Some(request), Some(reason)) => {
                    left -= 1;
                    self.end_unsent(request, reason, fx);
                }
                _ => {
                    self.sweeps.pop_front();
                }
            }
        }
    }
}
