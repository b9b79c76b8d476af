//! The decisions and nothing else: which request starts next, when, over which carrier and at which worker.
//!
//! The engine knows tenants, lanes, carriers and workers by dense ids and requests by the ids that its owner
//! gives them. It is driven by its owner: change something, then take events from [`Engine::next`] until there is none.
//!
//! Nothing polls. A tenant or a lane that waits for an instant is in the wheel; a lane that waits for one of its own
//! calls to end is woken by that; when no carrier or no worker can take a call, the fair order as a whole
//! rests until one can. A decision costs the same however many wait.
//!
//! Time: an event happens at the instant for which it was due, if that was at most [`gcra::LATENESS_MAX_US`]
//! before the entry that brought it about. So throttles keep their ideal grid though ticks come late.

use std::io::{self, Read, Write};

use busyhour_base::Reason;
use serde::{Deserialize, Serialize};

pub mod caps;
pub mod forecast;
pub mod gcra;
pub mod inbound;
pub mod lanes;
pub mod ledger;
pub mod queue;
pub mod ring;
pub mod slab;
pub mod turn;
pub mod wheel;
pub mod workers;

mod check;
mod resources;
mod serve;

use caps::Caps;
use inbound::{Inbound, Wants};
use lanes::{Lane, Tenant, URGENCIES};
use ledger::Ledger;
use queue::Chunks;
use ring::Ring;
use slab::Slab;
use wheel::{Handle, Wheel};
use workers::Workers;

use crate::spec::Urgency;

/// What happens next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// A request starts.
    Start(Start),
    /// A timer of the owner's is due.
    Timer(u32),
}

/// A request that starts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Start {
    /// Which.
    pub request: u32,
    /// Of which lane.
    pub lane: u32,
    /// Over which carrier.
    pub carrier: u32,
    /// At which worker.
    pub worker: u16,
    /// When it was due.
    pub due: u64,
    /// What held it last.
    pub held_by: Reason,
}

/// What becomes of a call's channel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Channel {
    /// The carrier knows that the call is over.
    Free,
    /// It may not know before this instant.
    Quarantine(u64),
}

/// Whose a timer is: the upper three bits of its key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Key {
    Tenant,
    Lane,
    SetupRate,
    Quarantine,
    Rest,
    Owner,
}

impl Key {
    const SHIFT: u32 = 29;

    #[inline]
    const fn of(self, id: u32) -> u32 {
        assert!(id < 1 << Self::SHIFT, "fewer than 2^29 of a kind");
        (self as u32) << Self::SHIFT | id
    }

    #[inline]
    const fn split(key: u32) -> (Self, u32) {
        let kind = match key >> Self::SHIFT {
            0 => Self::Tenant,
            1 => Self::Lane,
            2 => Self::SetupRate,
            3 => Self::Quarantine,
            4 => Self::Rest,
            _ => Self::Owner,
        };
        (kind, key & ((1 << Self::SHIFT) - 1))
    }
}

/// How much the tenants that have something to start would start if nothing but their throttles held them.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Load {
    tenants: u32,
    unthrottled: u32,
    /// Requests per 1,000 s of the throttled ones.
    demand: u64,
}

impl Load {
    fn add(&mut self, demand: u32) {
        self.tenants += 1;
        self.unthrottled += u32::from(demand == 0);
        self.demand += u64::from(demand);
    }

    fn remove(&mut self, demand: u32) {
        self.tenants -= 1;
        self.unthrottled -= u32::from(demand == 0);
        self.demand -= u64::from(demand);
    }
}

/// The engine.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Engine {
    /// The instant of the event in hand; never goes back.
    clock: u64,
    wheel: Wheel,
    tenants: Slab<Tenant>,
    caps: Slab<Caps>,
    lanes: Slab<Lane>,
    requests: Chunks,
    /// The fair order: tenants that may start a request, in turn, by the urgency of the most urgent one.
    order: [Ring; URGENCIES],
    ledger: Ledger,
    workers: Workers,
    /// Offered calls, which go before the fair order.
    inbound: Inbound,
    /// Why the fair order rests, if it does.
    rests: Option<Reason>,
    /// Why it rested last.
    rested: Option<Reason>,
    /// The owner holds everything.
    held: Option<Reason>,
    /// Requests in lanes that are not parked.
    waiting: u64,
    load: Load,
    /// Mean time that a call holds its channel.
    hold: u64,
}

impl Engine {
    /// The instant of the last event.
    pub const fn clock(&self) -> u64 {
        self.clock
    }

    /// When the next timer may be due, if any is set. Not after the next event.
    pub fn next_wake(&self) -> Option<u64> {
        self.wheel.next_at()
    }

    /// How much a copy of it takes, about.
    pub fn bytes(&self) -> usize {
        let caps: usize = self.caps.iter().map(|(_, caps)| caps.bytes()).sum();
        let slabs = self.tenants.bytes() + self.lanes.bytes() + self.caps.bytes() + caps;
        self.wheel.bytes() + slabs + self.requests.bytes()
    }

    /// Lets the next clone be made without copying what grows with the requests.
    pub fn share(&mut self) {
        self.requests.share();
        self.tenants.share();
        self.caps.share();
        self.lanes.share();
    }

    /// Writes what grows with the requests; the rest is written with the engine.
    ///
    /// # Errors
    /// As `to`.
    pub fn write_tables(&self, to: &mut dyn Write) -> io::Result<()> {
        self.requests.write_tables(to)
    }

    /// Reads what grows with the requests, after the rest.
    ///
    /// # Errors
    /// As `from`.
    pub fn read_tables(&mut self, from: &mut dyn Read) -> io::Result<()> {
        self.requests.read_tables(from)
    }

    /// What holds a lane in which something waits.
    pub fn lane_held_by(&self, id: u32) -> Reason {
        let lane = &self.lanes[id];
        match lane.standing {
            lanes::Standing::Parked(reason) => reason,
            lanes::Standing::Timed => Reason::BatchThrottle,
            lanes::Standing::Full => Reason::BatchConcurrency,
            lanes::Standing::Empty => Reason::Ready,
            lanes::Standing::Ready => self.tenant_held_by(lane.tenant),
        }
    }

    /// What holds a tenant that has a request which its lane would let start.
    fn tenant_held_by(&self, id: u32) -> Reason {
        let tenant = &self.tenants[id];
        match tenant.place {
            lanes::Place::Idle => Reason::Suspended,
            lanes::Place::Timed => tenant.held_by,
            lanes::Place::Ready(_) => self.rests.unwrap_or(Reason::FairTurn),
        }
    }

    /// Sets a timer of the owner's; `id` is below 2^29.
    pub fn set_timer(&mut self, at: u64, id: u32) -> Handle {
        self.wheel.set(at, Key::Owner.of(id))
    }

    /// Cancels a timer that is set.
    pub fn cancel_timer(&mut self, handle: Handle) {
        self.wheel.cancel(handle);
    }

    /// Starts nothing while a reason is given.
    pub fn hold(&mut self, reason: Option<Reason>) {
        self.held = reason;
        self.rests = None;
        self.inbound.wake(Wants::Leave);
    }

    /// Whether it is held.
    pub const fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// Requests waiting in a lane.
    pub fn lane_len(&self, lane: u32) -> u32 {
        self.lanes[lane].queue.len()
    }

    /// Calls of a lane in progress.
    pub fn lane_in_progress(&self, lane: u32) -> u32 {
        self.lanes[lane].in_progress
    }

    /// Why nothing is being started though something could be, if so.
    pub const fn resting(&self) -> Option<Reason> {
        self.rests
    }

    /// The urgency of a lane's requests.
    pub fn lane_urgency(&self, lane: u32) -> Urgency {
        match self.lanes[lane].urgency {
            0 => Urgency::Inbound,
            1 => Urgency::Synchronous,
            _ => Urgency::Ordinary,
        }
    }

    /// Why a lane is set aside, if it is.
    pub fn lane_parked(&self, lane: u32) -> Option<Reason> {
        match self.lanes[lane].standing {
            lanes::Standing::Parked(reason) => Some(reason),
            _ => None,
        }
    }

    /// The requests of a lane from front to back.
    pub fn lane_requests(&self, lane: u32) -> impl Iterator<Item = u32> {
        self.requests.iter(&self.lanes[lane].queue)
    }

    /// The channel ledger.
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The workers.
    pub const fn workers(&self) -> &Workers {
        &self.workers
    }

    /// The instants that a tenant's caps remember.
    pub fn tenant_caps(&self, tenant: u32) -> Option<&Caps> {
        self.caps.get(self.tenants[tenant].caps)
    }
}
