//! Calls in the state: how one is taken in, and what only a call in progress has.

use std::ops::{Index, IndexMut};

use busyhour_base::{Reason, Span};
use serde::{Deserialize, Serialize};

use super::State;
use crate::{
    effect::{Effect, Phase},
    engine::lanes::{Asked, LaneKey},
    paged::{Paged, items},
    spec::{CallId, NewRequest},
    view::BatchStatus,
};

/// Where a call is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) enum Stage {
    /// Its scheduled time has not come.
    Scheduled,
    /// In its lane.
    Queued,
    /// A carrier offers it, and it rings until there is room for it.
    Offered,
    /// In progress.
    Live(u32),
    /// Over: the number of its record.
    Ended(u64),
}

/// What only a call in progress has.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Live {
    pub request: u32,
    pub carrier: u32,
    pub agent: u16,
    pub phase: Phase,
    pub due: u64,
    pub held_by: Reason,
    /// That of its start; 0 for an inbound one.
    pub number: u64,
    pub dialled_at: u64,
    pub answered_at: Option<u64>,
    /// How far the carrier's grid had been moved when it started.
    pub moved: u64,
    /// It is to end, and its agent was told so.
    pub hang_up: Option<Reason>,
}

/// Whose a lane is.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct LaneOwner {
    pub tenant: u32,
    pub batch: Option<u32>,
    pub key: LaneKey,
    /// Requests of it in the state.
    pub requests: u32,
    /// Why all that waits in it ends, if so.
    pub canceled: Option<Reason>,
}

/// Lanes by the ids that the engine gives them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Lanes(#[serde(with = "items")] Paged<Option<LaneOwner>, 64>);

impl Lanes {
    /// Lets the next clone be made without copying.
    pub fn share(&mut self) {
        self.0.share();
    }

    pub fn put(&mut self, lane: u32, owner: LaneOwner) {
        self.0.grow_to(lane as usize + 1);
        self.0[lane as usize] = Some(owner);
    }

    pub fn remove(&mut self, lane: u32) -> Option<LaneOwner> {
        self.0.get_mut(lane as usize)?.take()
    }

    pub fn iter(&self) -> impl Iterator<Item = (u32, &LaneOwner)> {
        self.0.iter().enumerate().filter_map(|(lane, owner)| Some((lane as u32, owner.as_ref()?)))
    }

    /// How much a copy of it takes.
    pub const fn bytes(&self) -> usize {
        self.0.bytes()
    }
}

impl Index<u32> for Lanes {
    type Output = LaneOwner;

    fn index(&self, lane: u32) -> &LaneOwner {
        self.0[lane as usize].as_ref().expect("a lane is there while a request of it is")
    }
}

impl IndexMut<u32> for Lanes {
    fn index_mut(&mut self, lane: u32) -> &mut LaneOwner {
        self.0[lane as usize].as_mut().expect("a lane is there while a request of it is")
    }
}

impl State {
    /// Takes a call in: numbers it, and queues or schedules it.
    pub(super) fn take_in(
        &mut self,
        lane: u32,
        new: NewRequest<'_>,
        wait: Span,
        fx: &mut Vec<Effect>,
    ) -> CallId {
        let call = self.number_call();
        let tenant = self.lanes[lane].tenant;
        let in_batch = self.lanes[lane].batch.is_some();
        let now = self.now;
        let id = self.with_requests(tenant, |requests| {
            requests.insert(call, (lane, in_batch), new, now, wait)
        });
        self.requests.list(&mut self.tenants[tenant].calls, call);
        self.lanes[lane].requests += 1;
        self.count(lane, |counts| {
            counts.accepted += 1;
            counts.queued += 1;
        });
        if let Some(batch) = self.lanes[lane].batch {
            let batch = &mut self.batches[batch];
            batch.unrecorded += 1;
            if let Some(name) = new.custom_id.filter(|_| batch.status == BatchStatus::Draft) {
                batch.custom_ids.insert(name);
            }
        }
        self.changed(id, Phase::Queued, fx);
        self.time(id, new.rest);
        if self.requests.stage(id) == Stage::Queued {
            self.engine.push_back(lane, id, asked(call), Reason::Ready);
        }
        call
    }

    /// Tells whoever follows.
    pub(super) fn changed(&self, id: u32, phase: Phase, fx: &mut Vec<Effect>) {
        let account = self.tenants[self.lanes[self.requests.lane(id)].tenant].account;
        fx.push(Effect::Changed { call: self.requests.call(id), account, phase });
    }

    /// Changes the counts of a lane's tenant and batch alike.
    pub(super) fn count(&mut self, lane: u32, change: impl Fn(&mut crate::view::Counts)) {
        let LaneOwner { tenant, batch, .. } = self.lanes[lane];
        change(&mut self.tenants[tenant].counts);
        if let Some(batch) = batch {
            change(&mut self.batches[batch].counts);
        }
    }
}

/// What the engine needs to know of a call.
pub(super) const fn asked(call: CallId) -> Asked {
    Asked { number: call.0, units: 1 }
}
