//! Carriers and workers coming, changing and going, and calls giving back what they held.

use super::{Channel, Engine, Key, ledger::Contract, wheel::NO_TIMER, workers::Worker};

impl Engine {
    /// A new carrier, tried after the others.
    pub fn add_carrier(&mut self, contract: Contract) -> u32 {
        self.rests = None;
        self.ledger.add(contract)
    }

    /// Another contract, from now on.
    pub fn set_carrier(&mut self, id: u32, contract: Contract) {
        self.ledger.set(id, contract);
        self.retime(id);
    }

    /// Carriers are tried in this order.
    pub fn order_carriers(&mut self, order: Vec<u32>) {
        self.ledger.reorder(order);
        self.rests = None;
    }

    /// Forgets a carrier that holds no channel.
    pub fn remove_carrier(&mut self, id: u32) {
        if let Some(carrier) = self.ledger.remove(id) {
            assert!(carrier.in_use() == 0 && carrier.quarantined() == 0, "its channels end first");
            for timer in [carrier.rate_timer, carrier.quarantine_timer] {
                if timer != NO_TIMER {
                    self.wheel.cancel(timer);
                }
            }
        }
    }

    /// A set-up left at `sent` that was due at `due`; see [`super::ledger::Ledger::left_late`].
    pub fn left_late(&mut self, carrier: u32, due: u64, moved: u64, sent: u64) {
        if moved <= self.ledger.get(carrier).moved() {
            self.ledger.left_late(carrier, due, moved, sent);
            self.retime(carrier);
        }
    }

    /// The carrier's next set-up may be at another instant.
    fn retime(&mut self, id: u32) {
        let timer = std::mem::replace(&mut self.ledger.get_mut(id).rate_timer, NO_TIMER);
        if timer != NO_TIMER {
            self.wheel.cancel(timer);
        }
        self.rests = None;
    }

    /// A new worker, closed until it is changed.
    pub fn add_worker(&mut self) -> u16 {
        self.workers.add()
    }

    /// Changes a worker's size, load or readiness.
    pub fn change_worker(&mut self, id: u16, change: impl FnOnce(&mut Worker)) {
        self.workers.change(id, change);
        self.rests = None;
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

    /// A call that was started is over, or was not sent: its lane, worker and channel have it no more.
    /// `held` is how long it held its channel, if it was sent.
    pub fn finished(
        &mut self,
        lane: u32,
        carrier: u32,
        worker: u16,
        channel: Channel,
        held: Option<u64>,
    ) {
        match channel {
            Channel::Free => self.ledger.free(carrier),
            Channel::Quarantine(until) => {
                self.ledger.quarantine(carrier, until);
                self.end_quarantine(carrier);
            }
        }
        if let Some(held) = held {
            self.hold = if self.hold == 0 { held } else { self.hold - self.hold / 8 + held / 8 };
        }
        self.change_worker(worker, |worker| worker.in_use -= 1);
        self.leave_lane(lane);
    }

    pub(super) fn end_quarantine(&mut self, id: u32) {
        let next = self.ledger.end_quarantine(id, self.clock);
        let carrier = self.ledger.get_mut(id);
        if let (Some(at), NO_TIMER) = (next, carrier.quarantine_timer) {
            carrier.quarantine_timer = self.wheel.set(at, Key::Quarantine.of(id));
        }
        self.rests = None;
    }

    fn leave_lane(&mut self, id: u32) {
        use super::lanes::Standing;
        let lane = &mut self.lanes[id];
        lane.in_progress -= 1;
        if lane.standing == Standing::Full {
            self.lane_in(id, busyhour_base::Reason::BatchConcurrency);
        }
    }
}
