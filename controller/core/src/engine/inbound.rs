//! Inbound calls: callers who hear ringing go before everything that nobody listens to (MT-6, MT-9).
//!
//! An offered call needs a channel of the carrier that offers it, within its tenant's share, and a slot of the agent at
//! which it rings; it has no choice of either, and no throttle, cap or set-up rate of ours holds it. One that cannot have them waits at the
//! one thing that binds, and is woken by it, before any outbound request is looked at. Of those that can be served the one that
//! came first is, whatever each of them waits for.

use std::collections::{BTreeMap, BTreeSet};

use busyhour_base::Reason;
use serde::{Deserialize, Serialize};

use super::{Engine, Start};

/// What an offered call waits for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub(super) enum Wants {
    /// That the owner lets anything start.
    Leave,
    /// A channel of this carrier.
    Channel(u32),
    /// That this tenant has fewer calls over a group's carriers than it may have at most.
    Share(u16, u32),
    /// That taking a channel of this carrier takes none of its group's that is kept for a guarantee.
    Kept(u16, u32),
    /// A slot of this worker.
    Slot(u16),
}

/// An offered call as the engine needs it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Offered {
    /// The owner's id for it.
    pub request: u32,
    /// The lane that it is counted in.
    pub lane: u32,
    /// The carrier that offers it.
    pub carrier: u32,
    /// Where it rings.
    pub worker: u16,
}

/// An offered call that waits.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Waiting {
    offered: Offered,
    wants: Wants,
    held_by: Reason,
}

/// Every offered call that has not been started.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Inbound {
    waiting: BTreeMap<u64, Waiting>,
    numbers: BTreeMap<u32, u64>,
    /// By what they wait for, in the order in which they came.
    queues: BTreeSet<(Wants, u64)>,
    /// What may be there again, by the first who waits for it.
    woken: BTreeSet<(u64, Wants)>,
    given: u64,
}

impl Inbound {
    /// Whether something that is waited for may be there.
    #[inline]
    pub fn is_woken(&self) -> bool {
        !self.woken.is_empty()
    }

    /// Whether any offered call waits.
    #[inline]
    pub fn waits(&self) -> bool {
        !self.queues.is_empty()
    }

    /// Something may be there again.
    #[inline]
    pub fn wake(&mut self, wants: Wants) {
        if !self.queues.is_empty() {
            self.wake_queue(wants);
        }
    }

    #[cold]
    fn wake_queue(&mut self, wants: Wants) {
        if let Some(first) = self.first(wants) {
            self.woken.insert((first, wants));
        }
    }

    /// Fewer channels of a group of carriers may be kept.
    pub fn wake_kept(&mut self, group: u16) {
        let last = (Wants::Kept(group, u32::MAX), u64::MAX);
        let mut next = (Wants::Kept(group, 0), 0);
        while let Some((wants, first)) = self.queues.range(next..=last).next() {
            self.woken.insert((*first, *wants));
            next = (*wants, u64::MAX);
        }
    }

    /// Anything may be there again.
    pub fn wake_all(&mut self) {
        let mut next = self.queues.first();
        while let Some((wants, first)) = next {
            self.woken.insert((*first, *wants));
            next = self.queues.range((*wants, u64::MAX)..).nth(0);
        }
    }

    fn first(&self, wants: Wants) -> Option<u64> {
        let from = (wants, 0)..=(wants, u64::MAX);
        self.queues.range(from).next().map(|(_, number)| *number)
    }

    fn remove(&mut self, number: u64) -> Option<Waiting> {
        let waiting = self.waiting.remove(&number)?;
        self.queues.remove(&(waiting.wants, number));
        self.numbers.remove(&waiting.offered.request);
        if self.queues.is_empty() {
            self.woken.clear();
        }
        Some(waiting)
    }
}

impl Engine {
    /// A carrier offers a call. It starts as soon as [`Engine::next`] finds room for it.
    pub fn offer(&mut self, offered: Offered) {
        let blocked = self.offer_blocked(&offered);
        let inbound = &mut self.inbound;
        inbound.given += 1;
        let number = inbound.given;
        let wants = Wants::Channel(offered.carrier);
        let (wants, held_by) = blocked.unwrap_or((wants, Reason::Ready));
        inbound.numbers.insert(offered.request, number);
        inbound.waiting.insert(number, Waiting { offered, wants, held_by });
        inbound.queues.insert((wants, number));
        if blocked.is_none() {
            inbound.woken.insert((number, wants));
        }
    }

    /// An offered call that has not been started is not offered any more.
    pub fn withdraw_offer(&mut self, request: u32) {
        if let Some(number) = self.inbound.numbers.get(&request) {
            self.inbound.remove(*number);
        }
    }

    /// What an offered call waits for; `None` if it is not waiting. A channel that was kept from it may have been taken since by
    /// whom it was kept for.
    pub fn offer_waits_for(&self, request: u32) -> Option<Reason> {
        let number = self.inbound.numbers.get(&request)?;
        let waiting = self.inbound.waiting.get(number)?;
        let blocked = self.offer_blocked(&waiting.offered);
        Some(blocked.map_or(waiting.held_by, |(_, reason)| reason))
    }

    /// Offered calls that wait.
    pub fn offers_waiting(&self) -> usize {
        self.inbound.waiting.len()
    }

    /// What binds an offered call now.
    fn offer_blocked(&self, offered: &Offered) -> Option<(Wants, Reason)> {
        if let Some(reason) = self.held {
            return Some((Wants::Leave, reason));
        }
        let (carrier, tenant) = (offered.carrier, self.cold[offered.lane].tenant);
        if let Err(reason) = self.ledger.admits(carrier, tenant) {
            let group = self.ledger.get(carrier).contract().group;
            let wants = match reason {
                Reason::TenantChannels => Wants::Share(group, tenant),
                Reason::ChannelsKept => Wants::Kept(group, carrier),
                _ => Wants::Channel(carrier),
            };
            return Some((wants, reason));
        }
        let worker = self.workers.get(offered.worker);
        if worker.in_use >= worker.slots {
            return Some((Wants::Slot(offered.worker), Reason::Workers));
        }
        None
    }

    /// Starts the offered call that came first of those that can start, if there is one. Each look at a waiting call either starts
    /// it, moves it to the one other thing that it then waits for, or ends the looking at what it waits for.
    pub(super) fn serve_offer(&mut self) -> Option<Start> {
        while let Some((number, wants)) = self.inbound.woken.pop_first() {
            if self.inbound.first(wants) != Some(number) {
                self.inbound.wake(wants);
                continue;
            }
            let waiting = self.inbound.waiting[&number];
            match self.offer_blocked(&waiting.offered) {
                None => {
                    self.inbound.remove(number);
                    self.inbound.wake(wants);
                    return Some(self.start_offer(&waiting));
                }
                Some((binding, reason)) => {
                    let entry = self.inbound.waiting.get_mut(&number).expect("it waits");
                    (entry.wants, entry.held_by) = (binding, reason);
                    if binding != wants {
                        self.inbound.queues.remove(&(wants, number));
                        self.inbound.queues.insert((binding, number));
                        self.inbound.wake(wants);
                    }
                }
            }
        }
        None
    }

    fn start_offer(&mut self, waiting: &Waiting) -> Start {
        let Offered { request, lane, carrier, worker } = waiting.offered;
        self.nodes[lane].lane_mut().in_progress += 1;
        let tenant = self.cold[lane].tenant;
        self.ledger.take_inbound(carrier, tenant);
        self.reclass(tenant);
        self.workers.change(worker, |worker| worker.in_use += 1);
        // It never was in a lane, and is never put back into one.
        let (due, held_by, number) = (self.clock, waiting.held_by, 0);
        Start { request, lane, carrier, worker, due, held_by, number }
    }

    /// Whether every offered call that waits has a reason to. For tests and the simulator.
    pub(super) fn check_offers(&self) -> Result<(), String> {
        let inbound = &self.inbound;
        if inbound.queues.len() != inbound.waiting.len()
            || inbound.numbers.len() != inbound.waiting.len()
        {
            return Err("offered calls are in one queue each, and no queue holds others".into());
        }
        for (number, waiting) in &inbound.waiting {
            if !inbound.queues.contains(&(waiting.wants, *number)) {
                return Err(format!("offered call {number} is in no queue"));
            }
            let blocked = self.offer_blocked(&waiting.offered);
            let woken = inbound.woken.iter().any(|(_, wants)| *wants == waiting.wants);
            if blocked.is_none() && !woken {
                return Err(format!("offered call {number} waits for nothing: {waiting:?}"));
            }
        }
        Ok(())
    }
}
