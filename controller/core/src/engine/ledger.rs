//! The channel ledger (MT-11, MT-12): every carrier's channels, set-up rate and service ports.
//!
//! A channel is free, in use or in quarantine, and the three add up to the contract in every state. A channel
//! whose call's end the carrier has not confirmed goes into quarantine, because the carrier may still count it.

use std::collections::VecDeque;

use busyhour_base::Reason;
use serde::{Deserialize, Serialize};

use super::{
    gcra::Gcra,
    slab::Slab,
    turn::{ANY_ROUTE, Denied, Route, RouteId, Turn},
    wheel::{Handle, NO_TIMER},
};

/// How late a set-up may be and still keep the carrier's grid, in microseconds.
///
/// A tenant's grid forgives more, but a carrier's contract is counted by the carrier: N + 1 set-ups must span
/// more than a second *as sent*. The declared spacing holds a guard of 20 ms in a second, of which this is half; the other
/// half is left to the way from the log to the wire.
pub const SETUP_LATENESS_MAX_US: u64 = 10_000;

/// A carrier's contract, as the ledger needs it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Contract {
    /// Channels.
    pub channels: u32,
    /// Outbound requests in service at once; no more than `channels` count.
    pub ports: u32,
    /// Microseconds from one set-up to the next.
    pub spacing: u64,
}

/// One carrier.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Carrier {
    contract: Contract,
    in_use: u32,
    quarantined: VecDeque<u64>,
    rate: Gcra,
    /// Microseconds by which the grid was moved, in all, because set-ups left late.
    moved: u64,
    pub(super) rate_timer: Handle,
    pub(super) quarantine_timer: Handle,
}

impl Carrier {
    /// The contract.
    pub const fn contract(&self) -> &Contract {
        &self.contract
    }

    /// Channels with a call.
    pub const fn in_use(&self) -> u32 {
        self.in_use
    }

    /// Channels kept back.
    pub fn quarantined(&self) -> u32 {
        self.quarantined.len() as u32
    }

    /// Channels that nobody has; none while a contract was cut below its use.
    pub fn free(&self) -> u32 {
        self.contract.channels.saturating_sub(self.in_use).saturating_sub(self.quarantined())
    }

    /// Calls that could be taken now, but for the rate.
    pub fn room(&self) -> u32 {
        self.free().min(self.contract.ports.saturating_sub(self.in_use))
    }

    /// The earliest instant of the next set-up.
    pub const fn next_setup(&self) -> u64 {
        self.rate.next()
    }

    /// How far the grid was moved, in all. Noted with each set-up for [`Ledger::left_late`].
    pub const fn moved(&self) -> u64 {
        self.moved
    }

    /// What keeps it from taking a call at `at`.
    pub(super) fn blocked(&self, at: u64) -> Option<Reason> {
        if self.free() == 0 {
            Some(Reason::CarrierChannels)
        } else if self.in_use >= self.contract.ports {
            Some(Reason::ServicePorts)
        } else if self.rate.next() > at {
            Some(Reason::CarrierRate)
        } else {
            None
        }
    }
}

/// Every carrier, in the order in which they are tried.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Ledger {
    carriers: Slab<Carrier>,
    order: Vec<u32>,
    /// By [`RouteId`]; the first is [`ANY_ROUTE`].
    routes: Vec<Route>,
}

impl Ledger {
    /// A new carrier, tried after the others.
    pub fn add(&mut self, contract: Contract) -> u32 {
        let id = self.carriers.insert(Carrier {
            rate_timer: NO_TIMER,
            quarantine_timer: NO_TIMER,
            ..Carrier::default()
        });
        self.order.push(id);
        self.reroute();
        self.set(id, contract);
        id
    }

    /// Another contract. Calls beyond a smaller one go on and end as they end.
    pub fn set(&mut self, id: u32, contract: Contract) {
        let carrier = &mut self.carriers[id];
        if carrier.contract.spacing != contract.spacing {
            carrier.rate.respace(contract.spacing);
        }
        carrier.contract = contract;
    }

    /// Forgets a carrier that holds no channel.
    pub(super) fn remove(&mut self, id: u32) -> Option<Carrier> {
        self.order.retain(|other| *other != id);
        self.reroute();
        self.carriers.remove(id)
    }

    /// Carriers are tried in this order.
    pub fn reorder(&mut self, order: Vec<u32>) {
        self.order = order;
        self.reroute();
    }

    fn reroute(&mut self) {
        self.routes.resize_with(usize::from(ANY_ROUTE) + 1, Route::default);
        self.routes[usize::from(ANY_ROUTE)].carriers.clone_from(&self.order);
    }

    /// A route's carriers; none of a route that does not exist.
    pub fn route(&self, id: RouteId) -> &[u32] {
        self.routes.get(usize::from(id)).map_or(&[], |route| &route.carriers)
    }

    /// The share class in which a tenant's next call over a route asks for a channel; `None` while it has as many
    /// as it may have at most.
    #[inline]
    pub const fn class(&self, _tenant: u32, _route: RouteId) -> Option<u8> {
        Some(0)
    }

    /// In the order in which they are tried.
    pub fn order(&self) -> &[u32] {
        &self.order
    }

    /// One carrier.
    pub fn get(&self, id: u32) -> &Carrier {
        &self.carriers[id]
    }

    pub(super) fn get_mut(&mut self, id: u32) -> &mut Carrier {
        &mut self.carriers[id]
    }

    /// The first carrier of the route that can take a call of this turn at `at`, or what binds: of several carriers,
    /// the limit that is the first to pass by itself.
    #[inline]
    pub fn pick(&self, turn: Turn, at: u64) -> Result<u32, Denied> {
        let (mut binding, mut until) = (None, None);
        for id in self.route(turn.route) {
            let carrier = &self.carriers[*id];
            if carrier.contract.channels == 0 {
                continue;
            }
            match carrier.blocked(at) {
                None => return Ok(*id),
                Some(Reason::CarrierRate) => {
                    binding = Some(Reason::CarrierRate);
                    until = Some(carrier.next_setup().min(until.unwrap_or(u64::MAX)));
                }
                Some(reason) => binding = binding.or(Some(reason)),
            }
        }
        Err(Denied { reason: binding.unwrap_or(Reason::NoCarrier), until })
    }

    /// A call that was due at `due` takes a channel; its intent entered the log at `now`.
    #[inline]
    pub fn take(&mut self, id: u32, due: u64, now: u64) {
        let carrier = &mut self.carriers[id];
        carrier.in_use += 1;
        if carrier.contract.spacing > 0 {
            carrier.rate.take(due.max(now.saturating_sub(SETUP_LATENESS_MAX_US)));
        }
    }

    /// A call is over and the carrier knows.
    pub fn free(&mut self, id: u32) {
        self.carriers[id].in_use -= 1;
    }

    /// A call is over and the carrier may not know before `until`: its channel is kept back.
    pub fn quarantine(&mut self, id: u32, until: u64) {
        let carrier = &mut self.carriers[id];
        carrier.in_use -= 1;
        let until = carrier.quarantined.back().map_or(until, |last| until.max(*last));
        carrier.quarantined.push_back(until);
    }

    /// Channels whose quarantine is over are free again. When the next one's is.
    pub fn end_quarantine(&mut self, id: u32, now: u64) -> Option<u64> {
        let quarantined = &mut self.carriers[id].quarantined;
        while quarantined.front().is_some_and(|until| *until <= now) {
            quarantined.pop_front();
        }
        quarantined.front().copied()
    }

    /// A set-up whose intent was of `due` left by `sent` only. If that is later than the guard allows, the grid
    /// moves by the difference, less what it has moved since (`moved` was noted then), so that the carrier
    /// does not count one too many in the second after. A second's stillness mends any lateness.
    pub fn left_late(&mut self, id: u32, due: u64, moved: u64, sent: u64) {
        const SECOND_US: u64 = 1_000_000;
        let carrier = &mut self.carriers[id];
        if carrier.contract.spacing == 0 {
            return;
        }
        let late = sent.saturating_sub(due).saturating_sub(SETUP_LATENESS_MAX_US);
        let shift = late.saturating_sub(carrier.moved - moved);
        let next = carrier.rate.next().saturating_add(shift).min(sent + SECOND_US);
        if next > carrier.rate.next() {
            carrier.moved += next - carrier.rate.next();
            carrier.rate.defer(next);
        }
    }
}
