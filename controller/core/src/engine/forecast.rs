//! When a request is expected to start, limit by limit: analytic, from what is known now, at the cost of a few
//! additions. It is an estimate; nothing is decided by it but whether a wait is too long to accept.

use busyhour_base::Reason;

use super::{Engine, lanes::Standing, ring::NIL};

/// How long a call is taken to hold its channel before the first one has ended.
const HOLD_ASSUMED_US: u64 = 60_000_000;

/// A request's place, as far as an estimate needs it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Position {
    /// Its tenant.
    pub tenant: u32,
    /// Its lane; any other id for one that is yet to be added.
    pub lane: u32,
    /// Requests before it in its lane.
    pub ahead_in_lane: u64,
    /// Requests of its tenant that go before it.
    pub ahead: u64,
}

impl Engine {
    /// Tells `each` every limit that the request has to pass, with the instant at which that limit alone would let it
    /// start, or `None` if no instant can be told.
    pub fn limits(&self, position: Position, mut each: impl FnMut(Reason, Option<u64>)) {
        self.tenant_limits(position, &mut each);
        self.lane_limits(position, &mut each);
        self.carrier_limits(self.ahead_of_all(position), &mut each);
    }

    fn tenant_limits(&self, position: Position, each: &mut impl FnMut(Reason, Option<u64>)) {
        let tenant = &self.tenants[position.tenant];
        if tenant.suspended {
            each(Reason::Suspended, None);
        }
        if tenant.gcra.spacing() > 0 {
            let grid = tenant.gcra.spacing().saturating_mul(position.ahead);
            let start = tenant.gcra.next().max(self.clock).saturating_add(grid);
            each(Reason::Throttle, Some(start));
        }
        if tenant.caps != NIL {
            let start = self.caps[tenant.caps].nth(position.ahead, self.clock);
            each(Reason::Cap, (start != u64::MAX).then_some(start));
        }
    }

    fn lane_limits(&self, position: Position, each: &mut impl FnMut(Reason, Option<u64>)) {
        let Some(lane) = self.lanes.get(position.lane) else { return };
        if let Standing::Parked(reason) = lane.standing {
            each(reason, None);
        }
        if lane.gcra.spacing() > 0 {
            let grid = lane.gcra.spacing().saturating_mul(position.ahead_in_lane);
            let start = lane.gcra.next().max(self.clock).saturating_add(grid);
            each(Reason::BatchThrottle, Some(start));
        }
        if lane.concurrent != u32::MAX {
            let before = position.ahead_in_lane.saturating_add(u64::from(lane.in_progress));
            each(Reason::BatchConcurrency, self.turnover(before, u64::from(lane.concurrent)));
        }
    }

    fn carrier_limits(&self, ahead: u64, each: &mut impl FnMut(Reason, Option<u64>)) {
        let (mut channels, mut ports, mut held, mut in_use) = (0, 0, 0, 0);
        let (mut next, mut rate) = (u64::MAX, 0_u128);
        for id in self.ledger.order() {
            let carrier = self.ledger.get(*id);
            let contract = carrier.contract();
            channels += u64::from(contract.channels.total());
            ports += u64::from(contract.ports.min(contract.channels.total()));
            in_use += u64::from(carrier.in_use());
            held += u64::from(carrier.in_use()) + u64::from(carrier.quarantined());
            next = next.min(carrier.next_setup());
            rate += 1_000_000_000_000_u128 / u128::from(contract.spacing.max(1));
        }
        if channels == 0 {
            each(Reason::NoCarrier, None);
            return;
        }
        let grid = u128::from(ahead) * 1_000_000_000_000 / rate.max(1);
        let start = u128::from(next.max(self.clock)).saturating_add(grid);
        each(Reason::CarrierRate, Some(u64::try_from(start).unwrap_or(u64::MAX)));
        each(Reason::CarrierChannels, self.turnover(ahead.saturating_add(held), channels));
        if ports < channels {
            each(Reason::ServicePorts, self.turnover(ahead.saturating_add(in_use), ports));
        }
        let (mut slots, mut busy) = (0, 0);
        for worker in self.workers.iter().filter(|worker| worker.open) {
            slots += u64::from(worker.slots);
            busy += u64::from(worker.in_use);
        }
        each(Reason::Workers, self.turnover(ahead.saturating_add(busy), slots));
    }

    /// When a place out of `places` is free for a request that has `before` others before it, counting those that
    /// hold one: at once, or after so many mean holding times.
    fn turnover(&self, before: u64, places: u64) -> Option<u64> {
        if places == 0 {
            return None;
        }
        if before < places {
            return Some(self.clock);
        }
        let hold = if self.hold == 0 { HOLD_ASSUMED_US } else { self.hold };
        let turns = u128::from(before - places + 1) * u128::from(hold) / u128::from(places);
        Some(self.clock.saturating_add(u64::try_from(turns).unwrap_or(u64::MAX)))
    }

    /// How many requests of all tenants go before it, at most. When the throttles of all who wait leave the carriers'
    /// rate unused, only its own tenant's count.
    fn ahead_of_all(&self, position: Position) -> u64 {
        let rate: u64 = self
            .ledger
            .order()
            .iter()
            .map(|id| 1_000_000_000_u64 / self.ledger.get(*id).contract().spacing.max(1))
            .sum();
        if self.load.unthrottled == 0 && self.load.demand <= rate {
            return position.ahead;
        }
        let others = u64::from(self.load.tenants.saturating_sub(1));
        let turns = position.ahead.saturating_add(1).saturating_mul(others);
        position.ahead.saturating_add(turns).min(self.waiting.max(position.ahead))
    }
}
