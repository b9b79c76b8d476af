//! The loop of decisions.

use busyhour_base::Reason;

use super::{
    Engine, Event, Key, Start,
    caps::Caps,
    gcra::LATENESS_MAX_US,
    lanes::{Place, Standing},
    ring::NIL,
    turn::{ANY_ROUTE, Turn},
    wheel::NO_TIMER,
};

impl Engine {
    /// The next event at `now` or before; `now` never goes back. To be called until it gives none, before the
    /// owner changes anything at `now` and again after: so every change meets a machine that has done what was due.
    ///
    /// At one instant, all timers fire before any request starts, so that the fair order is right when it is served; and
    /// offered calls start before any request.
    #[inline]
    pub fn next(&mut self, now: u64) -> Option<Event> {
        loop {
            let serving = self.rests.is_none() && self.first().is_some();
            let limit = if serving || self.inbound.is_woken() { self.clock } else { now };
            if let Some((at, key)) = self.pop(limit) {
                self.clock = self.clock.max(at).max(now.saturating_sub(LATENESS_MAX_US));
                if let Some(owner) = self.fire(key) {
                    return Some(Event::Timer(owner));
                }
            } else if self.inbound.is_woken() {
                if let Some(start) = self.serve_offer() {
                    return Some(Event::Start(start));
                }
            } else if serving {
                match self.allot() {
                    Ok((carrier, worker)) => {
                        return Some(Event::Start(self.start(carrier, worker, now)));
                    }
                    Err(reason) => self.rest(reason),
                }
            } else if self.clock < now {
                self.clock = now;
            } else {
                return None;
            }
        }
    }

    /// The next timer. What the timers after it will need is read by the way: the reads of many tenants
    /// overlap, while in a decision each waits for the one before. Half of a decision's time was that waiting.
    #[inline]
    fn pop(&mut self, limit: u64) -> Option<(u64, u32)> {
        let Self { wheel, tenants, lanes, requests, caps, .. } = self;
        wheel.pop_telling(limit, |key| {
            if let (Key::Tenant, id) = Key::split(key) {
                let tenant = &tenants[id];
                let lane = tenant.ready.iter().find_map(|ring| lanes.get(ring.front()));
                std::hint::black_box(lane.map(|lane| requests.ends(&lane.queue)));
                std::hint::black_box(caps.get(tenant.caps).map(Caps::ends));
            }
        })
    }

    /// The most urgent ring of the fair order that has a tenant in it.
    #[inline]
    fn first(&self) -> Option<usize> {
        self.order.iter().position(|ring| !ring.is_empty())
    }

    fn fire(&mut self, key: u32) -> Option<u32> {
        let (kind, id) = Key::split(key);
        match kind {
            Key::Tenant => {
                let tenant = &mut self.tenants[id];
                (tenant.timer, tenant.place) = (NO_TIMER, Place::Idle);
                let held_by = tenant.held_by;
                self.load.remove(tenant.demand);
                self.settle(id, held_by);
            }
            Key::Lane => {
                self.lanes[id].timer = NO_TIMER;
                self.lane_in(id, Reason::BatchThrottle);
            }
            Key::SetupRate => {
                self.ledger.get_mut(id).rate_timer = NO_TIMER;
                self.rests = None;
            }
            Key::Quarantine => {
                self.ledger.get_mut(id).timer = NO_TIMER;
                self.keep_house(id);
            }
            Key::Rest => self.end_rest(id as u16),
            Key::Owner => return Some(id),
        }
        None
    }

    /// A carrier and a worker for the next call, or what binds.
    #[inline]
    fn allot(&self) -> Result<(u32, u16), Reason> {
        if let Some(reason) = self.held {
            return Err(reason);
        }
        let turn = Turn { route: ANY_ROUTE, urgency: self.first().unwrap_or(0) as u8, class: 0 };
        let carrier = self.ledger.pick(turn, self.clock).map_err(|denied| denied.reason)?;
        let worker = self.workers.pick().ok_or(Reason::Workers)?;
        Ok((carrier, worker))
    }

    /// The fair order rests until a carrier or a worker can take a call again.
    fn rest(&mut self, reason: Reason) {
        (self.rests, self.rested) = (Some(reason), Some(reason));
        if reason != Reason::CarrierRate {
            return;
        }
        for at in 0..self.ledger.order().len() {
            let id = self.ledger.order()[at];
            let carrier = self.ledger.get_mut(id);
            if carrier.rate_timer == NO_TIMER && carrier.blocked(self.clock) == Some(reason) {
                carrier.rate_timer = self.wheel.set(carrier.next_setup(), Key::SetupRate.of(id));
            }
        }
    }

    /// Starts the request whose turn it is. The fair order is not empty.
    #[inline]
    fn start(&mut self, carrier: u32, worker: u16, now: u64) -> Start {
        let due = self.clock;
        let urgency = self.first().expect("somebody is ready");
        let tenant_id =
            self.order[urgency].pop_front(&self.tenants).expect("the ring is not empty");
        let tenant = &mut self.tenants[tenant_id];
        let lane_id = tenant.ready[urgency]
            .pop_front(&self.lanes)
            .expect("a tenant in the order has a lane that is ready");
        let held_by = match self.rested {
            Some(reason) if tenant.ready_at < due => reason,
            _ => tenant.held_by,
        };
        tenant.gcra.take(due);
        if tenant.caps != NIL {
            tenant.cap_free = self.caps[tenant.caps].take(now);
        }
        tenant.place = Place::Idle;
        self.load.remove(tenant.demand);

        let lane = &mut self.lanes[lane_id];
        let request = self.requests.pop_front(&mut lane.queue).expect("a ready lane is not empty");
        lane.in_progress += 1;
        lane.gcra.take(due);
        lane.standing = Standing::Empty;
        self.waiting -= 1;
        self.ledger.take(carrier, tenant_id, due, now);
        self.workers.change(worker, |worker| worker.in_use += 1);

        self.lane_in(lane_id, held_by);
        if self.tenants[tenant_id].place == Place::Idle {
            self.settle(tenant_id, held_by);
        }
        Start { request, lane: lane_id, carrier, worker, due, held_by }
    }
}
