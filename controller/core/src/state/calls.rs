//! Calls in the state: what every call has, what only a call in progress has, and what only a scheduled or
//! expiring one has, apart, so that a queued call is small.

use std::sync::Arc;

use busyhour_base::{CallSpec, Reason, Span, Timestamp};
use serde::{Deserialize, Serialize};

use super::State;
use crate::{
    effect::{Effect, Phase},
    engine::{
        ring::{Link, Member},
        wheel::Handle,
    },
    spec::{CallId, NewCall},
};

/// A call from its acceptance until it is in the records.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Request {
    /// Among its tenant's calls.
    pub link: Link,
    pub call: CallId,
    pub spec: Arc<CallSpec>,
    pub custom_id: Option<Arc<str>>,
    pub accepted_at: Timestamp,
    pub lane: u32,
    /// Expected wait at acceptance, in milliseconds; at most 49 days.
    pub wait_ms: u32,
    /// Its [`Times`], or [`crate::engine::ring::NIL`].
    pub times: u32,
    pub attempt: u16,
    pub stage: Stage,
}

impl Member for Request {
    fn link(&self) -> Link {
        self.link
    }

    fn link_mut(&mut self) -> &mut Link {
        &mut self.link
    }
}

/// Where a call is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) enum Stage {
    /// Its scheduled time has not come.
    Scheduled,
    /// In its lane.
    Queued,
    /// In progress.
    Live(u32),
    /// Over: the number of its record.
    Ended(u64),
}

/// A call's own times and their timers.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Times {
    pub request: u32,
    pub not_before: Option<Timestamp>,
    pub expires: Option<Timestamp>,
    /// In the engine's wheel.
    pub begin: Handle,
    /// In the wheel of expiries.
    pub end: Handle,
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
}

impl State {
    /// Takes a call in: numbers it, and queues or schedules it.
    pub(super) fn take_in(
        &mut self,
        lane: u32,
        new: &NewCall,
        wait: Span,
        fx: &mut Vec<Effect>,
    ) -> CallId {
        let call = self.number_call();
        let tenant = self.lanes[lane].tenant;
        let id = self.requests.insert(Request {
            link: Link::default(),
            call,
            spec: Arc::clone(&new.spec),
            custom_id: new.custom_id.clone(),
            accepted_at: Timestamp(self.now),
            lane,
            wait_ms: u32::try_from(wait.as_millis()).unwrap_or(u32::MAX),
            times: crate::engine::ring::NIL,
            attempt: 0,
            stage: Stage::Queued,
        });
        self.index.insert(call, id);
        self.tenants[tenant].calls.push_back(&mut self.requests, id);
        self.count(lane, |counts| {
            counts.accepted += 1;
            counts.queued += 1;
        });
        if let Some(batch) = self.lanes[lane].batch {
            let batch = &mut self.batches[batch];
            batch.unrecorded += 1;
            batch.custom_ids.extend(new.custom_id.clone());
        }
        self.changed(id, Phase::Queued, fx);
        self.time(id, new);
        if self.requests[id].stage == Stage::Queued {
            self.engine.push_back(lane, id, Reason::Ready);
        }
        call
    }

    /// Tells whoever follows.
    pub(super) fn changed(&self, id: u32, phase: Phase, fx: &mut Vec<Effect>) {
        let request = &self.requests[id];
        let account = self.tenants[self.lanes[request.lane].tenant].account;
        fx.push(Effect::Changed { call: request.call, account, phase });
    }

    /// Changes the counts of a lane's tenant and batch alike.
    pub(super) fn count(&mut self, lane: u32, change: impl Fn(&mut crate::view::Counts)) {
        let LaneOwner { tenant, batch } = self.lanes[lane];
        change(&mut self.tenants[tenant].counts);
        if let Some(batch) = batch {
            change(&mut self.batches[batch].counts);
        }
    }
}
