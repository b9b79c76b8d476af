//! `Cancel`: everything that a tenant, one of its applications, numbers or batches has waiting. None of it starts any more
//! from that entry on; it ends in a bounded number of steps with this entry and the next ones.

use busyhour_base::Reason;

use super::State;
use crate::{
    command::{Cancel, Whole},
    effect::{Effect, Reply},
    engine::lanes::LaneKey,
};

impl State {
    pub(super) fn cancel(&mut self, cancel: &Cancel) -> Reply {
        let tenant = match self.tenant(cancel.account) {
            Ok(tenant) => tenant,
            Err(reason) => return Reply::Refused(reason),
        };
        let state = &self.tenants[tenant];
        let gate = match &cancel.what {
            Whole::Tenant => None,
            Whole::Application(sid) => match state.applications.get(sid) {
                Some(scope) => Some(scope.gate),
                None => return Reply::Refused(Reason::UnknownScope),
            },
            Whole::Number(number) => match state.numbers.get(number) {
                Some(scope) => Some(scope.gate),
                None => return Reply::Refused(Reason::UnknownScope),
            },
        };
        let of_it =
            |key: &LaneKey| gate.is_none_or(|gate| key.application == gate || key.number == gate);
        let lanes = state.lanes.iter().filter(|(key, _)| of_it(key));
        let lanes: Vec<_> = lanes.map(|(_, lane)| *lane).collect();
        let canceled =
            lanes.into_iter().map(|lane| self.cancel_lane(lane, Reason::CanceledByTenant));
        Reply::Canceling(canceled.sum())
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

    /// Ends the next of the requests that were canceled as a whole.
    pub(super) fn sweep(&mut self, fx: &mut Vec<Effect>) {
        for _ in 0..self.options.sweep_max {
            let Some(lane) = self.sweeps.front().copied() else { return };
            match (self.engine.next_retired(lane), self.lanes[lane].canceled) {
                (Some(request), Some(reason)) => self.end_unsent(request, reason, fx),
                _ => {
                    self.sweeps.pop_front();
                }
            }
        }
    }
}
