//! Carriers and workers coming, changing and going, and calls giving back what they held.

use busyhour_base::Reason;

use super::{
    Channel, Engine, Key,
    inbound::Wants,
    ledger::{Contract, Direction, Hold, shares, table::Draft, tariff},
    ring::NIL,
    turn::RouteId,
    wheel::NO_TIMER,
    workers::{NO_WORKER, Worker},
};
use crate::spec::Kind;

impl Engine {
    /// A new carrier, tried after the others.
    pub fn add_carrier(&mut self, contract: Contract) -> u32 {
        self.wake(|_, _| true);
        self.ledger.add(contract)
    }

    /// Another contract, from now on.
    pub fn set_carrier(&mut self, id: u32, contract: Contract) {
        self.ledger.set(id, contract, self.clock);
        self.keep_house(id);
    }

    /// A carrier belongs to another group. `calls` are those that it has, each with its tenant.
    pub fn regroup_carrier(&mut self, id: u32, group: u16, calls: Vec<(u32, Direction)>) {
        self.ledger.regroup(id, group, calls.into_iter());
        self.reclass_all();
        self.inbound.wake_all();
    }

    /// A group is forgotten: no carrier belongs to it.
    pub fn forget_group(&mut self, group: u16) {
        self.ledger.forget_group(group);
    }

    /// What a carrier costs.
    pub fn set_tariff(&mut self, id: u32, terms: tariff::Terms) {
        self.ledger.set_tariff(id, terms);
        self.keep_house(id);
    }

    /// A tenant's share of a group of carriers.
    pub fn set_share(&mut self, tenant: u32, group: u16, terms: shares::Terms) {
        self.ledger.set_share(tenant, group, terms);
        self.reclass(tenant);
        self.wake(|_, _| true);
        self.inbound.wake_all();
    }

    /// Carriers are tried in this order.
    pub fn order_carriers(&mut self, order: Vec<u32>) {
        self.ledger.reorder(order);
        self.wake(|_, _| true);
    }

    /// Puts a table of routes in force, whose carriers are numbered as in `carriers`. Says which routes' requests have to be
    /// looked up again, each by itself.
    pub fn route_by(&mut self, draft: &Draft, carriers: &[u32]) -> Vec<RouteId> {
        let stale = self.ledger.route_by(draft, carriers);
        self.reclass_all();
        stale
    }

    /// The route of a request whose route was `id` and that these carriers refused.
    pub fn route_without(&mut self, id: RouteId, refused: &[u32]) -> Option<RouteId> {
        self.ledger.route_without(id, refused)
    }

    /// Routes that nobody waits for can be given again.
    pub fn reclaim_routes(&mut self, used: impl Fn(RouteId) -> bool) {
        self.ledger.reclaim_routes(used);
    }

    /// Forgets a carrier that holds no channel.
    pub fn remove_carrier(&mut self, id: u32) {
        if let Some(carrier) = self.ledger.remove(id) {
            assert!(carrier.in_use() == 0 && carrier.quarantined() == 0, "its channels end first");
            if carrier.timer != NO_TIMER {
                self.wheel.cancel(carrier.timer);
            }
        }
    }

    /// A set-up left at `sent` that was due at `due`; see [`super::ledger::Ledger::left_late`].
    pub fn left_late(&mut self, carrier: u32, due: u64, moved: u64, sent: u64) {
        if moved <= self.ledger.get(carrier).moved() {
            self.ledger.left_late(carrier, due, moved, sent);
            self.wake_carrier(carrier);
        }
    }

    /// A carrier may take a call that it could not, or at another instant: whoever rests and shares its channels is asked
    /// again.
    #[inline]
    pub(super) fn wake_carrier(&mut self, id: u32) {
        let Self { order, wheel, ledger, .. } = self;
        if order.any_rests() {
            let group = ledger.get(id).contract().group;
            let shares = |route: RouteId| ledger.routes().get(route).group == Some(group);
            order.wake(|turn, _| shares(turn.route), |timer| wheel.cancel(timer));
        }
        self.inbound.wake(Wants::Channel(id));
    }

    /// Every tenant's share class may be another one.
    fn reclass_all(&mut self) {
        let tenants: Vec<_> = self.tenants.iter().map(|(id, _)| id).collect();
        for tenant in tenants {
            self.reclass(tenant);
        }
        self.wake(|_, _| true);
    }

    /// A new worker, closed until it is changed.
    pub fn add_worker(&mut self) -> u16 {
        self.workers.add()
    }

    /// Changes a worker's size, load or readiness.
    pub fn change_worker(&mut self, id: u16, change: impl FnOnce(&mut Worker)) {
        self.workers.change(id, change);
        self.wake(|_, reason| reason == Reason::Workers);
        self.inbound.wake(Wants::Slot(id));
    }

    /// Leaves a worker alone until `until`: it turned a call down.
    pub fn rest_worker(&mut self, id: u16, until: u64) {
        if self.workers.get(id).rest == NO_TIMER {
            let timer = self.wheel.set(until, Key::Rest.of(u32::from(id)));
            self.workers.change(id, |worker| worker.rest = timer);
        }
    }

    pub(super) fn end_rest(&mut self, id: u16) {
        self.change_worker(id, |worker| worker.rest = NO_TIMER);
    }

    /// A request that was started is over, or was not sent: its lane, worker and channel have it no more.
    /// `held` is how long it held its channel, if it was sent; `leased`, that its agent has not said so yet.
    pub fn finished(
        &mut self,
        lane: u32,
        carrier: u32,
        worker: u16,
        channel: Channel,
        held: Option<u64>,
        leased: bool,
    ) {
        let node = &mut self.nodes[lane];
        let (direction, parent, kind) = (node.direction(), node.parent, node.kind);
        let of = node.lane_mut();
        of.in_progress -= 1;
        let counts = of.counts;
        let (mut root, mut above) = (parent, &self.nodes[parent]);
        while above.parent != NIL {
            (root, above) = (above.parent, &self.nodes[above.parent]);
        }
        let tenant = above.branch().tenant;
        let hold = Hold { carrier, tenant, direction, leased };
        let reclassed = match channel {
            Channel::Free => {
                let reclassed = self.ledger.free(hold);
                self.wake_carrier(carrier);
                reclassed
            }
            Channel::Quarantine(until) => {
                self.ledger.quarantine(hold, until);
                self.keep_house(carrier);
                false
            }
        };
        self.wake_offers(carrier, tenant);
        if let Some(held) = held {
            self.hold = if self.hold == 0 { held } else { self.hold - self.hold / 8 + held / 8 };
            if kind == Kind::Call {
                self.used(tenant, held);
            }
        }
        if worker != NO_WORKER {
            self.change_worker(worker, |worker| worker.in_use -= 1);
        }
        if counts {
            self.leave_gate(self.nodes[parent].gate);
        }
        if reclassed {
            self.reclass_beside(root);
        }
    }

    /// A gate has one request in progress less: whoever waited for that may pass.
    fn leave_gate(&mut self, id: u32) {
        let gate = &mut self.gates[id];
        gate.in_progress -= 1;
        if gate.waiting.front() != NIL && gate.has_room() {
            self.let_in(id);
        }
    }

    /// An agent said that a lane's call was sent.
    pub fn sent(&mut self, carrier: u32, lane: u32) {
        self.ledger.sent(carrier, self.nodes[lane].direction());
    }

    /// A tenant's call has its channel of a carrier no more: what others wait for may be there.
    fn wake_offers(&mut self, carrier: u32, tenant: u32) {
        if !self.inbound.waits() {
            return;
        }
        let group = self.ledger.get(carrier).contract().group;
        for wants in [Wants::Channel(carrier), Wants::Share(group, tenant)] {
            self.inbound.wake(wants);
        }
        self.inbound.wake_kept(group);
    }

    /// A call over a lane's route was answered and lasted for `talk`, in microseconds.
    pub fn charge(&mut self, carrier: u32, route: RouteId, talk: u64) {
        let before = self.ledger.next_change(carrier);
        self.ledger.charge(carrier, route, talk, self.clock);
        if self.ledger.next_change(carrier) != before {
            self.keep_house(carrier);
        }
    }

    /// What time brings a carrier, and a timer for the next such thing.
    pub(super) fn keep_house(&mut self, id: u32) {
        let mut freed = Vec::new();
        let next = self.ledger.keep_house(id, self.clock, |tenant| freed.push(tenant));
        let timer = std::mem::replace(&mut self.ledger.get_mut(id).timer, NO_TIMER);
        if timer != NO_TIMER {
            self.wheel.cancel(timer);
        }
        if let Some(at) = next {
            self.ledger.get_mut(id).timer = self.wheel.set(at, Key::Quarantine.of(id));
        }
        for tenant in freed.into_iter().filter(|tenant| *tenant != NIL) {
            self.reclass(tenant);
        }
        self.wake_carrier(id);
        self.inbound.wake_all();
    }
}
