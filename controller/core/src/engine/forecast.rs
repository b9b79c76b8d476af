//! When a request is expected to start, limit by limit: analytic, from what is known now, at the cost of a few
//! additions. It is an estimate; nothing is decided by it but whether a wait is too long to accept.

use busyhour_base::Reason;

use super::{
    Engine, aside::Aside, gate::Gate, lanes::LaneKey, ledger::Direction, ring::NIL, turn::RouteId,
};

/// How long a call is taken to hold its channel before the first one has ended.
const HOLD_ASSUMED_US: u64 = 60_000_000;

/// A request's place, as far as an estimate needs it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Position {
    /// Its tenant.
    pub tenant: u32,
    /// What its lane is of; there may be no such lane yet.
    pub lane: LaneKey,
    /// It stands in its lane itself.
    pub is_queued: bool,
    /// Requests before it in its lane.
    pub ahead_in_lane: u64,
    /// Their units.
    pub units_ahead_in_lane: u64,
    /// None of them starts before this instant, for a reason of their own: their batch opens then.
    pub begins: u64,
}

impl Position {
    /// Of a call, whose unit is the call, that is to join its lane.
    pub const fn of_call(tenant: u32, lane: LaneKey, ahead_in_lane: u64) -> Self {
        let (is_queued, units_ahead_in_lane) = (false, ahead_in_lane);
        Self { tenant, lane, is_queued, ahead_in_lane, units_ahead_in_lane, begins: 0 }
    }

    /// The same of one that stands there.
    #[must_use]
    pub const fn queued(self) -> Self {
        Self { is_queued: true, ..self }
    }

    /// The units of so many requests, if they are like those before it in its lane.
    fn units(&self, requests: u64) -> u64 {
        if self.ahead_in_lane == 0 {
            return requests;
        }
        let units = u128::from(requests) * u128::from(self.units_ahead_in_lane);
        u64::try_from(units.div_ceil(u128::from(self.ahead_in_lane))).unwrap_or(u64::MAX)
    }

    /// The requests that go before it through a gate that it has to pass: all that are more urgent, and of lanes of its own
    /// urgency as many as have their turn before it; but for those that are set aside.
    fn ahead(&self, gate: &Gate, aside: &Aside) -> u64 {
        let urgency = self.lane.urgency;
        let queued = |urgency| gate.queued(urgency).saturating_sub(aside.queued(urgency));
        let more_urgent = urgency.checked_sub(1).map_or(0, queued);
        let alike = (queued(urgency) - more_urgent).saturating_sub(u64::from(self.is_queued));
        let lanes = u64::from(gate.lanes()).saturating_sub(aside.lanes());
        let in_own = self.is_queued || self.ahead_in_lane > 0;
        let others = lanes.saturating_sub(u64::from(in_own));
        let in_turn = self.ahead_in_lane.saturating_add(1).saturating_mul(others);
        more_urgent + alike.min(self.ahead_in_lane.saturating_add(in_turn))
    }
}

impl Engine {
    /// Requests of its tenant that go before it.
    pub fn ahead(&self, position: Position) -> u64 {
        self.ahead_at(self.tenant_gate(position.tenant, position.lane.kind), position)
    }

    /// Requests that go before it through a gate.
    fn ahead_at(&self, gate: u32, position: Position) -> u64 {
        position.ahead(&self.gates[gate], &self.aside(gate, position.lane.batch))
    }

    /// Tells `each` every limit that the request has to pass, with the instant at which that limit alone would let it
    /// start, or `None` if no instant can be told.
    pub fn limits(&self, position: Position, mut each: impl FnMut(Reason, Option<u64>)) {
        let LaneKey { kind, application, batch, number, .. } = position.lane;
        for gate in [self.tenant_gate(position.tenant, kind), application, batch, number] {
            if gate != NIL {
                self.gate_limits(gate, position, &mut each);
            }
        }
        let ahead = self.ahead_of_all(position);
        let begins = self.clock.max(position.begins);
        self.carrier_limits(position.lane.route, begins, ahead, position.units(ahead), &mut each);
    }

    fn gate_limits(
        &self,
        gate: u32,
        position: Position,
        each: &mut impl FnMut(Reason, Option<u64>),
    ) {
        let ahead = self.ahead_at(gate, position);
        let gate = &self.gates[gate];
        let (throttle, cap) = gate.reasons();
        if let Some(reason) = gate.shut() {
            each(reason, None);
        }
        let (units, begins) = (position.units(ahead), self.clock.max(position.begins));
        if gate.gcra().spacing() > 0 {
            let grid = gate.gcra().spacing().saturating_mul(units);
            each(throttle, Some(gate.gcra().next().max(begins).saturating_add(grid)));
        }
        if !gate.caps().is_empty() {
            let start = gate.caps().nth(units, begins);
            each(cap, (start != u64::MAX).then_some(start));
        }
        if gate.concurrent() != u32::MAX {
            let before = ahead.saturating_add(u64::from(gate.in_progress()));
            let places = u64::from(gate.concurrent());
            each(Reason::BatchConcurrency, self.turnover(begins, before, places));
        }
    }

    fn carrier_limits(
        &self,
        route: RouteId,
        begins: u64,
        ahead: u64,
        units: u64,
        each: &mut impl FnMut(Reason, Option<u64>),
    ) {
        let (mut channels, mut ports, mut held, mut is_served) = (0, 0, 0, false);
        let mut full = None;
        let (mut next, mut rate) = (u64::MAX, Some(0_u128));
        for id in self.ledger.route(route) {
            let carrier = self.ledger.get(id);
            let contract = carrier.contract();
            is_served |= contract.channels.total() > 0;
            let of_it = carrier.outbound_channels();
            if of_it == 0 {
                full = full.or(carrier.blocked(self.clock));
            }
            channels += u64::from(of_it);
            ports += u64::from(contract.ports.min(of_it));
            held += u64::from(carrier.held(Direction::Outbound).total());
            next = next.min(carrier.next_setup());
            // One carrier without a rate is enough for all.
            let of_it = 1_000_000_000_000_u128.checked_div(contract.spacing.into());
            rate = rate.zip(of_it).map(|(rate, of_it)| rate + of_it);
        }
        if !is_served {
            each(Reason::NoCarrier, None);
            return;
        }
        let grid = rate.map_or(0, |rate| u128::from(units) * 1_000_000_000_000 / rate.max(1));
        let start = u128::from(next.max(begins)).saturating_add(grid);
        each(Reason::CarrierRate, Some(u64::try_from(start).unwrap_or(u64::MAX)));
        // Without any channel for outbound calls no end of a call helps.
        let full = full.filter(|_| channels == 0).unwrap_or(Reason::CarrierChannels);
        each(full, self.turnover(begins, ahead.saturating_add(held), channels));
        let instants = ahead / u64::from(self.poppers.most());
        if instants > 0 {
            each(Reason::Poppers, Some(begins.saturating_add(instants)));
        }
        if ports < channels {
            each(Reason::ServicePorts, self.turnover(begins, ahead.saturating_add(held), ports));
        }
        let (mut slots, mut busy) = (0, 0);
        for worker in self.workers.iter().filter(|worker| worker.open) {
            slots += u64::from(worker.slots);
            busy += u64::from(worker.in_use);
        }
        each(Reason::Workers, self.turnover(begins, ahead.saturating_add(busy), slots));
    }

    /// When a place out of `places` is free for a request that has `before` others before it, counting those that
    /// hold one: at once when it `begins`, or after so many mean holding times.
    fn turnover(&self, begins: u64, before: u64, places: u64) -> Option<u64> {
        if places == 0 {
            return None;
        }
        if before < places {
            return Some(begins);
        }
        let hold = if self.hold == 0 { HOLD_ASSUMED_US } else { self.hold };
        let turns = u128::from(before - places + 1) * u128::from(hold) / u128::from(places);
        Some(begins.saturating_add(u64::try_from(turns).unwrap_or(u64::MAX)))
    }

    /// How many requests of all tenants go before it, at most: its own tenant's, and a turn of each tenant that waits for the
    /// same carriers for each of those. Tenants that wait for their own limits are not in the way.
    fn ahead_of_all(&self, position: Position) -> u64 {
        let ahead = self.ahead(position);
        let LaneKey { route, urgency, .. } = position.lane;
        let others = self.order.standing(route, urgency) as u64;
        let turns = ahead.saturating_add(1).saturating_mul(others);
        ahead.saturating_add(turns).min(self.waiting.max(ahead))
    }
}
