//! The loop of decisions.

use busyhour_base::Reason;

use super::{
    Engine, Event, Key, Start,
    ahead::Ahead,
    gcra::LATENESS_MAX_US,
    node::{Path, Place},
    order::{Order, Stand},
    ring::NIL,
    turn::{Denied, Turn},
    wheel::NO_TIMER,
    workers::NO_WORKER,
};
use crate::spec::Kind;

impl Engine {
    /// The next event at `now` or before; `now` never goes back. To be called until it gives none, before the
    /// owner changes anything at `now` and again after: so every change meets a machine that has done what was due.
    ///
    /// At one instant, all timers fire before any request starts, so that the fair order is right when it is served; and
    /// offered calls start before any request.
    #[inline]
    pub fn next(&mut self, now: u64) -> Option<Event> {
        loop {
            let serving = self.held.is_none() && self.order.is_active();
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
                if let Some(start) = self.serve(now) {
                    return Some(Event::Start(start));
                }
            } else if self.clock < now {
                self.clock = now;
            } else {
                return None;
            }
        }
    }

    /// The next timer. What those after it will need is asked for by the way.
    #[inline]
    fn pop(&mut self, limit: u64) -> Option<(u64, u32)> {
        if self.wheel.is_quiet(limit) {
            return None;
        }
        let Self { wheel, nodes, gates, requests, ledger, .. } = self;
        let ahead = Ahead { nodes, gates, requests, ledger };
        wheel.pop_telling(limit, |stage, flights| ahead.step(stage, flights))
    }

    fn fire(&mut self, key: u32) -> Option<u32> {
        let (kind, id) = Key::split(key);
        match kind {
            Key::Node => self.node_due(id),
            Key::Gate => self.gate_due(id),
            Key::Turn => self.order.rested(id),
            Key::Quarantine => {
                self.ledger.get_mut(id).timer = NO_TIMER;
                self.keep_house(id);
            }
            Key::Rest => self.end_rest(id as u16),
            Key::Owner => return Some(id),
        }
        None
    }

    /// Starts the request whose turn it is; or whoever cannot go now makes room for the next, and none starts.
    #[inline]
    fn serve(&mut self, now: u64) -> Option<Start> {
        let (turn, stand) = self.order.first(&self.nodes)?;
        match self.allot(turn, stand.node, now) {
            Ok((carrier, worker)) => {
                let path = self.path(turn, stand)?;
                Some(self.start(turn, stand, path, (carrier, worker), now))
            }
            Err(denied) => {
                self.rest(turn, denied);
                None
            }
        }
    }

    /// A carrier and, for a call, a worker; or what binds all of this turn.
    #[inline]
    fn allot(&mut self, turn: Turn, root: u32, now: u64) -> Result<(u32, u16), Denied> {
        let carrier = self.ledger.pick(turn, self.clock)?;
        let worker = match self.nodes[root].kind {
            Kind::Message => NO_WORKER,
            Kind::Call => {
                let picked = self.workers.pick();
                picked.ok_or(Denied { reason: Reason::Workers, until: None })?
            }
        };
        let Self { poppers, ledger, .. } = self;
        if !poppers.has_one(turn.route, now, || ledger.capacity(turn.route)) {
            return Err(Denied { reason: Reason::Poppers, until: Some(now.saturating_add(1)) });
        }
        Ok((carrier, worker))
    }

    /// A turn rests until the ledger or the workers can serve it again.
    fn rest(&mut self, turn: Turn, denied: Denied) {
        self.order.rest(turn, denied.reason);
        // What the carriers of a route have for a class they have for all urgencies.
        if denied.reason != Reason::Workers {
            self.order.rest_beside(turn, denied.reason);
        }
        if let Some(at) = denied.until {
            let timer = self.wheel.set(at, Key::Turn.of(Order::rest_key(turn)));
            self.order.set_timer(turn, timer);
        }
    }

    /// Ends the rests of the turns that are chosen.
    #[inline]
    pub(super) fn wake(&mut self, chosen: impl Fn(Turn, Reason) -> bool) {
        if self.order.any_rests() {
            let Self { order, wheel, .. } = self;
            order.wake(chosen, |timer| wheel.cancel(timer));
        }
    }

    /// Starts the request at the end of a path that is open.
    #[inline]
    fn start(
        &mut self,
        turn: Turn,
        stand: Stand,
        path: Path,
        (carrier, worker): (u32, u16),
        now: u64,
    ) -> Start {
        let due = self.clock;
        let root = stand.node;
        let held = self.held_on(turn, stand, &path);
        self.order.serve(turn, stand);
        let Taken { request, units, passed, emptied, counts, tenant } =
            self.take_request(&path, stand.rank);
        self.order.take(turn, stand, &self.nodes);
        let units_of_gates = if passed { 0 } else { units };
        for level in 0..path.len {
            if path.gates[level] != NIL {
                let gate = &mut self.gates[path.gates[level]];
                gate.pass(units_of_gates, due, now);
                gate.queued[usize::from(turn.urgency)] -= 1;
                gate.lanes -= u32::from(emptied);
            }
        }
        if counts {
            self.gates[path.gates[path.len - 2]].in_progress += 1;
        }
        self.waiting -= 1;
        self.poppers.took_one(turn.route);
        let reclassed = self.ledger.take(carrier, tenant, units, due, now);
        if worker == NO_WORKER {
            self.handed_over(tenant, units);
        } else {
            self.workers.change(worker, |worker| worker.in_use += 1);
        }
        for level in (0..path.len).rev() {
            if self.nodes[path.nodes[level]].place == Place::Idle {
                self.stand(path.nodes[level], held[level]);
            }
        }
        if reclassed {
            self.reclass_beside(root);
        }
        let (lane, held_by) = (path.lane(), held[path.len - 1]);
        let number = self.put_back.start(lane, request);
        Start { request, lane, carrier, worker, due, held_by, number }
    }

    /// Takes the request at the end of a path, on which everything is idle then. `rank` is the one at which it is served.
    #[inline]
    fn take_request(&mut self, path: &Path, rank: u64) -> Taken {
        let Self { nodes, requests, policy, .. } = self;
        let node = &mut nodes[path.lane()];
        node.place = Place::Idle;
        let (kind, passed, mut behind) = (node.kind, node.passed, node.link.next());
        let lane = node.lane_mut();
        lane.in_progress += 1;
        let request = requests.pop_front(&mut lane.queue);
        let request = request.expect("a lane that is ready is not empty");
        let (emptied, counts) = (lane.queue.is_empty(), lane.counts);
        let units = if kind == Kind::Call { 1 } else { self.units.of(request) };
        for level in (1..path.len - 1).rev() {
            let node = &mut nodes[path.nodes[level]];
            node.place = Place::Idle;
            node.branch_mut().ready.behind_front(behind);
            behind = node.link.next();
        }
        let root = &mut nodes[path.nodes[0]];
        root.place = Place::Idle;
        let branch = root.branch_mut();
        branch.ready.behind_front(behind);
        policy.served(branch, rank, units);
        Taken { request, units, passed, emptied, counts, tenant: branch.tenant }
    }
}

/// A request that was taken out of its lane.
struct Taken {
    request: u32,
    units: u32,
    /// It has passed its throttles and caps before.
    passed: bool,
    /// Its lane has no other.
    emptied: bool,
    /// The gate above the lane counts it.
    counts: bool,
    tenant: u32,
}
