//! Where a waiting call stands and when it is expected to start (`explain`, `queue_time`, ETA).

use busyhour_base::{Reason, Span, Timestamp};

use super::{
    State,
    batch_gate::{is_later, opens_by_itself},
    calls::{LaneOwner, Stage},
};
use crate::{
    engine::{forecast::Position, ring::NIL},
    spec::CallId,
    view::Explanation,
};

impl State {
    /// Why a call is where it is.
    pub fn explain(&self, call: CallId) -> Option<Explanation> {
        let id = self.requests.find(call)?;
        let held_by = match self.requests.stage(id) {
            Stage::Live(live) => self.live[live].held_by,
            Stage::Ended(_) => self.record_of(id)?.held_by,
            Stage::Scheduled | Stage::Queued => return Some(self.explain_waiting(id)),
            Stage::Offered => return Some(self.explain_offered(id)),
        };
        let starts_in = Some(Span::ZERO);
        Some(Explanation { position: 0, starts_in, binding: held_by, limits: Vec::new() })
    }

    /// An offered call waits for one thing, and nobody knows for how long.
    fn explain_offered(&self, id: u32) -> Explanation {
        let binding = self.engine.offer_waits_for(id).unwrap_or(Reason::Ready);
        Explanation { position: 0, starts_in: None, binding, limits: vec![(binding, None)] }
    }

    fn explain_waiting(&self, id: u32) -> Explanation {
        let lane = self.requests.lane(id);
        let LaneOwner { tenant, key, batch, .. } = self.lanes[lane];
        let position = match self.requests.stage(id) {
            Stage::Queued => {
                let mut queue = self.engine.lane_requests(lane);
                let ahead_in_lane = queue.position(|other| other == id).unwrap_or(0) as u64;
                Position::of_call(tenant, key, ahead_in_lane).queued()
            }
            _ => Position::of_call(tenant, key, u64::from(self.engine.lane_len(lane))),
        };
        let mut limits = Vec::new();
        let not_before = self.requests.times(id).not_before;
        if not_before > Some(Timestamp(self.now)) {
            limits.push((self.held_by(id), not_before));
        }
        self.push_limits(position, batch, &mut limits);
        let (starts_in, binding) = self.binding(&limits, lane);
        let now = Timestamp(self.now);
        Explanation {
            position: self.engine.ahead(position),
            starts_in,
            binding,
            limits: limits
                .into_iter()
                .map(|(reason, at)| (reason, at.map(|at| at.since(now))))
                .collect(),
        }
    }

    /// What holds a call that waits.
    pub(super) fn held_by(&self, id: u32) -> Reason {
        match self.requests.stage(id) {
            Stage::Scheduled if self.requests.times(id).again => Reason::Retry,
            Stage::Scheduled => Reason::NotBefore,
            Stage::Offered => self.engine.offer_waits_for(id).unwrap_or(Reason::Ready),
            _ => self.engine.lane_held_by(self.requests.lane(id)),
        }
    }

    /// Expected time from now until the last request of a lane starts, and what binds.
    fn eta_of_lane(&self, lane: u32) -> Option<(Span, Reason)> {
        let len = u64::from(self.engine.lane_len(lane));
        let LaneOwner { tenant, key, .. } = self.lanes[lane];
        let batch = self.lanes[lane].batch;
        let opens = batch.and_then(|batch| self.batches[batch].opens(Timestamp(self.now)));
        let position = Position {
            begins: opens.map_or(0, |opens| opens.0),
            ..Position::of_call(tenant, key, len.checked_sub(1)?).queued()
        };
        let mut limits = Vec::new();
        self.push_limits(position, batch, &mut limits);
        let (starts_in, binding) = self.binding(&limits, lane);
        Some((starts_in?, binding))
    }

    /// Expected time from now until everything that waits in these lanes has started, and what binds.
    pub(super) fn eta_of(&self, lanes: &[u32]) -> Option<(Span, Reason)> {
        lanes.iter().filter_map(|lane| self.eta_of_lane(*lane)).max_by_key(|(span, _)| *span)
    }

    /// The lanes of a tenant, but for those that are being canceled.
    pub(super) fn lanes_of(&self, tenant: u32) -> Vec<u32> {
        self.tenants[tenant].lanes.values().copied().collect()
    }

    /// The lanes of a batch of calls, but for those that are being canceled.
    pub(super) fn lanes_of_batch(&self, batch: u32) -> Vec<u32> {
        let state = &self.batches[batch];
        let lanes = self.tenants[state.tenant].lanes.iter();
        lanes
            .filter(|(key, _)| key.batch != NIL && key.batch == state.gate)
            .map(|(_, lane)| *lane)
            .collect()
    }

    fn push_limits(
        &self,
        position: Position,
        batch: Option<u32>,
        limits: &mut Vec<(Reason, Option<Timestamp>)>,
    ) {
        let now = Timestamp(self.now);
        let opens = batch.and_then(|batch| self.batches[batch].opens(now));
        self.engine.limits(position, |reason, at| {
            let opens = opens.filter(|_| opens_by_itself(reason));
            limits.push((reason, at.map(Timestamp).or(opens)));
        });
    }

    /// The limit that lets a request start last; one for which no instant can be told goes before all others. If none does, what
    /// holds its lane now.
    fn binding(&self, limits: &[(Reason, Option<Timestamp>)], lane: u32) -> (Option<Span>, Reason) {
        let now = Timestamp(self.now);
        let mut last = (now, Reason::FairTurn);
        for (reason, at) in limits {
            let Some(at) = at else { return (None, *reason) };
            if is_later(*reason, *at, last.0) {
                last = (*at, *reason);
            }
        }
        if last.1 == Reason::FairTurn {
            last.1 = match self.engine.lane_held_by(lane) {
                Reason::Ready => self.engine.resting().unwrap_or(Reason::FairTurn),
                held_by => held_by,
            };
        }
        (Some(last.0.since(now)), last.1)
    }
}
