//! One carrier's channels: which are active, who holds them, and what is left for either direction.
//!
//! Channels are counts, not lines: the carrier itself counts calls. Outbound calls fill the outbound-only channels first and
//! spill onto the bidirectional ones, and inbound calls likewise, so that at every instant as many bidirectional
//! channels are free as can be (MT-14).

use std::collections::VecDeque;

use busyhour_base::Reason;
use serde::{Deserialize, Serialize};

use super::tariff::Tariff;
use crate::{
    engine::{
        gcra::Gcra,
        ring::NIL,
        wheel::{Handle, NO_TIMER},
    },
    spec::Channels,
};

/// Most steps of activation under way at a carrier; a further one goes with the last.
const ACTIVATIONS_MAX: usize = 16;

/// Which way a call goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub enum Direction {
    /// From a tenant.
    #[default]
    Outbound,
    /// To a tenant.
    Inbound,
}

/// A carrier's contract, as the ledger needs it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Contract {
    /// Channels.
    pub channels: Channels,
    /// The part of them that is to be active.
    pub allocated: Channels,
    /// Microseconds until a channel that is told to be active can be used.
    pub activation: u64,
    /// Bidirectional channels that are held for inbound calls.
    pub reserve: u32,
    /// Outbound requests in service at once.
    pub ports: u32,
    /// Microseconds from one set-up to the next.
    pub spacing: u64,
    /// Channels of its group that are not lent because of it.
    pub margin: u32,
    /// The group of carriers that it belongs to.
    pub group: u16,
}

impl Contract {
    /// So many bidirectional channels, all of them active, in the first group.
    pub const fn both(channels: u32, spacing: u64) -> Self {
        let all = Channels::both(channels);
        Self {
            channels: all,
            allocated: all,
            activation: 0,
            reserve: 0,
            ports: channels,
            spacing,
            margin: 0,
            group: 0,
        }
    }
}

/// Channels that calls of one direction hold.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Held {
    /// Ordered from an agent that has not said yet that the call was sent.
    pub leased: u32,
    /// With a call.
    pub in_use: u32,
    /// Kept back: the carrier may still count the call.
    pub quarantined: u32,
}

impl Held {
    /// All of them.
    pub const fn total(&self) -> u32 {
        self.leased + self.in_use + self.quarantined
    }
}

/// A channel in quarantine.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Quarantined {
    pub until: u64,
    /// Whose share it still counts in, or [`NIL`].
    pub tenant: u32,
    pub direction: Direction,
}

/// One carrier.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Carrier {
    pub(super) contract: Contract,
    /// Channels that can be used now, if nobody holds them.
    pub(super) active: Channels,
    /// Channels that become active, and when; in order of time.
    activating: VecDeque<(u64, Channels)>,
    pub(super) outbound: Held,
    pub(super) inbound: Held,
    pub(super) quarantine: VecDeque<Quarantined>,
    /// What is left for outbound calls: the ledger keeps it.
    room: u32,
    pub(super) tariff: Tariff,
    pub(super) rate: Gcra,
    /// Of the last request that it took.
    pub(super) units: u32,
    /// Microseconds by which the grid was moved, in all, because set-ups left late.
    pub(super) moved: u64,
    /// For the next of: the end of a quarantine, channels that become active, the end of a period.
    pub(in crate::engine) timer: Handle,
}

impl Carrier {
    pub(super) fn new(group: u16) -> Self {
        let contract = Contract { group, ..Contract::default() };
        Self { contract, timer: NO_TIMER, units: 1, ..Self::default() }
    }

    /// The contract.
    pub const fn contract(&self) -> &Contract {
        &self.contract
    }

    /// Channels that can be used now, by direction, whoever holds them.
    pub const fn active(&self) -> Channels {
        self.active
    }

    /// Channels that were told to become active and are not yet.
    pub fn activating(&self) -> Channels {
        let sum = Channels::default();
        self.activating.iter().fold(sum, |sum, (_, more)| sum.with(*more, u32::saturating_add))
    }

    /// Held by calls of a direction.
    pub const fn held(&self, direction: Direction) -> &Held {
        match direction {
            Direction::Outbound => &self.outbound,
            Direction::Inbound => &self.inbound,
        }
    }

    pub(super) const fn held_mut(&mut self, direction: Direction) -> &mut Held {
        match direction {
            Direction::Outbound => &mut self.outbound,
            Direction::Inbound => &mut self.inbound,
        }
    }

    /// Channels with a call or ordered for one.
    pub const fn in_use(&self) -> u32 {
        self.outbound.leased + self.outbound.in_use + self.inbound.leased + self.inbound.in_use
    }

    /// Channels kept back.
    pub const fn quarantined(&self) -> u32 {
        self.outbound.quarantined + self.inbound.quarantined
    }

    /// Active channels that nobody has, those held for inbound calls included.
    pub fn free(&self) -> u32 {
        let both = self.both_held();
        self.active.outbound.saturating_sub(self.outbound.total())
            + self.active.inbound.saturating_sub(self.inbound.total())
            + self.active.both.saturating_sub(both)
    }

    /// Bidirectional channels with a call of either direction.
    fn both_held(&self) -> u32 {
        self.outbound.total().saturating_sub(self.active.outbound)
            + self.inbound.total().saturating_sub(self.active.inbound)
    }

    /// Free bidirectional channels that are held for inbound calls.
    pub fn reserved(&self) -> u32 {
        let inbound = self.inbound.total().saturating_sub(self.active.inbound);
        let free = self.active.both.saturating_sub(self.both_held());
        self.contract.reserve.saturating_sub(inbound).min(free)
    }

    /// Outbound calls that could be taken now, but for the rate.
    #[inline]
    pub const fn room(&self) -> u32 {
        self.room
    }

    /// Counts anew what [`Carrier::room`] says.
    #[inline]
    pub(super) fn count_room(&mut self) -> u32 {
        self.room = self.room_beside(self.inbound.total());
        self.room
    }

    /// Outbound calls that could be taken beside so many inbound ones.
    #[inline]
    pub(super) fn room_beside(&self, inbound: u32) -> u32 {
        let capacity = self.channels_beside(inbound).min(self.contract.ports);
        capacity.saturating_sub(self.outbound.total())
    }

    /// Channels that outbound calls may have beside so many inbound ones.
    #[inline]
    fn channels_beside(&self, inbound: u32) -> u32 {
        let spilled = inbound.saturating_sub(self.active.inbound);
        let both = self.active.both.saturating_sub(spilled.max(self.contract.reserve));
        self.active.outbound + both
    }

    /// Channels that outbound calls may have beside the inbound ones that are up, once all are active that are to be.
    pub fn outbound_channels(&self) -> u32 {
        let Contract { allocated, reserve, .. } = self.contract;
        let spilled = self.inbound.total().saturating_sub(allocated.inbound);
        allocated.outbound + allocated.both.saturating_sub(spilled.max(reserve))
    }

    /// Inbound calls that could be taken now.
    pub fn room_inbound(&self) -> u32 {
        let outbound = self.outbound.total().saturating_sub(self.active.outbound);
        let both = self.active.both.saturating_sub(outbound);
        (self.active.inbound + both).saturating_sub(self.inbound.total())
    }

    /// Whether the next outbound call would take a bidirectional channel of a carrier that expects inbound calls.
    #[inline]
    pub(super) const fn spills(&self) -> bool {
        self.contract.reserve > 0 && self.outbound.total() >= self.active.outbound
    }

    /// The earliest instant of the next set-up.
    #[inline]
    pub const fn next_setup(&self) -> u64 {
        self.rate.next()
    }

    /// How far the grid was moved, in all. Noted with each set-up for [`super::Ledger::left_late`].
    pub const fn moved(&self) -> u64 {
        self.moved
    }

    /// What the contract says of money, and what was used of it.
    pub const fn tariff(&self) -> &Tariff {
        &self.tariff
    }

    /// What keeps it from taking an outbound call at `at`.
    #[inline]
    pub fn blocked(&self, at: u64) -> Option<Reason> {
        if self.room() == 0 {
            return Some(self.full());
        }
        (self.rate.next() > at).then_some(Reason::CarrierRate)
    }

    /// Why there is no room.
    fn full(&self) -> Reason {
        if self.outbound.total() < self.channels_beside(self.inbound.total()) {
            Reason::ServicePorts
        } else if self.reserved() > 0 {
            Reason::ChannelsReserved
        } else if self.active.outbound < self.contract.channels.outbound
            || self.active.both < self.contract.channels.both
        {
            Reason::ChannelsInactive
        } else {
            Reason::CarrierChannels
        }
    }

    /// Another contract. Of the channels that are to be active more are so after the activation time, counting those under way,
    /// and fewer as their calls end.
    pub(super) fn set(&mut self, contract: Contract, now: u64) {
        if self.contract.spacing != contract.spacing {
            self.rate.respace(contract.spacing, self.units);
        }
        self.contract = contract;
        let wanted = contract.allocated.min(contract.channels);
        self.active = self.active.min(wanted);
        let mut room = wanted.with(self.active, u32::saturating_sub);
        for (_, more) in &mut self.activating {
            *more = more.min(room);
            room = room.with(*more, u32::saturating_sub);
        }
        self.activating.retain(|(_, more)| more.total() > 0);
        if room.total() == 0 {
            return;
        }
        let at = now.saturating_add(contract.activation);
        let full = self.activating.len() >= ACTIVATIONS_MAX;
        match self.activating.back_mut() {
            Some((last, more)) if *last >= at || full => {
                *last = at.max(*last);
                *more = more.with(room, u32::saturating_add);
            }
            _ => self.activating.push_back((at, room)),
        }
        self.activate(now);
    }

    /// Channels whose time has come are active.
    pub(super) fn activate(&mut self, now: u64) {
        while let Some((_, more)) = self.activating.pop_front_if(|(at, _)| *at <= now) {
            self.active = self.active.with(more, u32::saturating_add);
        }
    }

    /// When something happens to it by itself.
    pub(super) fn next_change(&self) -> Option<u64> {
        let quarantine = self.quarantine.front().map(|kept| kept.until);
        let activation = self.activating.front().map(|(at, _)| *at);
        [quarantine, activation, self.tariff.period_ends()].into_iter().flatten().min()
    }

    /// A call has the channel no more.
    pub(super) fn let_go(&mut self, direction: Direction, leased: bool) {
        let held = self.held_mut(direction);
        if leased { held.leased -= 1 } else { held.in_use -= 1 }
    }

    /// A tenant is forgotten: what is in quarantine because of it counts in no share any more.
    pub(super) fn forget_tenant(&mut self, tenant: u32) {
        for kept in self.quarantine.iter_mut().filter(|kept| kept.tenant == tenant) {
            kept.tenant = NIL;
        }
    }
}
