//! Where a waiting call stands and when it is expected to start (`explain`, `queue_time`, ETA).

use busyhour_base::{Reason, Span, Timestamp};

use super::{
    State,
    calls::{LaneOwner, Stage},
};
use crate::{
    engine::{forecast::Position, ring::NIL},
    spec::{CallId, Urgency},
    view::Explanation,
};

impl State {
    /// The position of a request with so many before it in its lane. Lanes of its tenant that are more
    /// urgent go before it as a whole, those of the same urgency in turn.
    pub(super) fn position(
        &self,
        tenant: u32,
        lane: u32,
        urgency: Urgency,
        ahead_in_lane: u64,
    ) -> Position {
        let state = &self.tenants[tenant];
        let mut ahead = ahead_in_lane;
        for (level, direct) in state.direct.iter().enumerate() {
            if *direct == NIL || *direct == lane {
                continue;
            }
            let len = u64::from(self.engine.lane_len(*direct));
            match level.cmp(&(urgency as usize)) {
                std::cmp::Ordering::Less => ahead += len,
                std::cmp::Ordering::Equal => ahead += len.min(ahead_in_lane + 1),
                std::cmp::Ordering::Greater => {}
            }
        }
        if urgency == Urgency::Ordinary {
            for batch in &state.batches {
                let other = self.batches[self.batch_index[batch]].lane;
                if other != lane && other != NIL && self.engine.lane_parked(other).is_none() {
                    ahead += u64::from(self.engine.lane_len(other)).min(ahead_in_lane + 1);
                }
            }
        }
        Position { tenant, lane, ahead_in_lane, ahead }
    }

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
        let LaneOwner { tenant, .. } = self.lanes[lane];
        let ahead_in_lane = match self.requests.stage(id) {
            Stage::Queued => {
                let mut queue = self.engine.lane_requests(lane);
                queue.position(|other| other == id).unwrap_or(0) as u64
            }
            _ => u64::from(self.engine.lane_len(lane)),
        };
        let urgency = self.engine.lane_urgency(lane);
        let position = self.position(tenant, lane, urgency, ahead_in_lane);
        let mut limits = Vec::new();
        let not_before = self.requests.times(id).not_before;
        if not_before > Some(Timestamp(self.now)) {
            limits.push((self.held_by(id), not_before));
        }
        self.push_limits(position, &mut limits);
        let (starts_in, binding) = self.binding(&limits);
        let now = Timestamp(self.now);
        Explanation {
            position: position.ahead,
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
    pub(super) fn eta_of_lane(&self, lane: u32) -> Option<(Span, Reason)> {
        let len = u64::from(self.engine.lane_len(lane));
        let LaneOwner { tenant, .. } = self.lanes[lane];
        let urgency = self.engine.lane_urgency(lane);
        let position = self.position(tenant, lane, urgency, len.checked_sub(1)?);
        let mut limits = Vec::new();
        self.push_limits(position, &mut limits);
        let (starts_in, binding) = self.binding(&limits);
        Some((starts_in?, binding))
    }

    /// Expected time from now until everything that a tenant has waiting has started, and what binds.
    pub(super) fn eta_of_tenant(&self, tenant: u32) -> Option<(Span, Reason)> {
        let state = &self.tenants[tenant];
        let batches = state.batches.iter().map(|id| self.batches[self.batch_index[id]].lane);
        let lanes = state.direct.iter().copied().chain(batches);
        lanes
            .filter(|lane| *lane != NIL && self.engine.lane_parked(*lane).is_none())
            .filter_map(|lane| self.eta_of_lane(lane))
            .max_by_key(|(span, _)| *span)
    }

    fn push_limits(&self, position: Position, limits: &mut Vec<(Reason, Option<Timestamp>)>) {
        let now = Timestamp(self.now);
        let batch = self.lanes[position.lane].batch;
        let opens = batch.and_then(|batch| self.batches[batch].opens(now));
        self.engine.limits(position, |reason, at| {
            let opens = opens.filter(|_| matches!(reason, Reason::NotBefore | Reason::Window));
            limits.push((reason, at.map(Timestamp).or(opens)));
        });
    }

    /// The limit that lets a request start last; one for which no instant can be told goes before all others.
    fn binding(&self, limits: &[(Reason, Option<Timestamp>)]) -> (Option<Span>, Reason) {
        let now = Timestamp(self.now);
        let mut last = (now, Reason::FairTurn);
        for (reason, at) in limits {
            match at {
                None => return (None, *reason),
                Some(at) if *at > last.0 => last = (*at, *reason),
                Some(_) => {}
            }
        }
        if last.1 == Reason::FairTurn {
            last.1 = self.engine.resting().unwrap_or(Reason::FairTurn);
        }
        (Some(last.0.since(now)), last.1)
    }
}
