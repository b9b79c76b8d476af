//! The decisions and nothing else: which request starts next, when, over which carrier and at which worker.
//!
//! The engine knows tenants, lanes, carriers and workers by dense ids and requests by the ids that its owner
//! gives them. It is driven by its owner: change something, then take events from [`Engine::next`] until there is none.
//!
//! Nothing polls. Who waits for an instant is in the wheel; who waits for a gate to be opened or for one of its own calls
//! to end is woken by that; when the ledger or the workers deny a [`turn::Turn`], its line in the fair order rests as a whole
//! until they can serve it. A decision costs the same however many wait.
//!
//! Time: an event happens at the instant for which it was due, if that was at most [`gcra::LATENESS_MAX_US`]
//! before the entry that brought it about. So throttles keep their ideal grid though ticks come late.

use std::io::{self, Read, Write};

use busyhour_base::Reason;
use serde::{Deserialize, Serialize};

pub mod caps;
pub mod forecast;
pub mod gate;
pub mod gcra;
pub mod inbound;
pub mod lanes;
pub mod ledger;
pub mod order;
pub mod policy;
pub mod poppers;
pub mod queue;
pub mod ring;
pub mod slab;
pub mod turn;
pub mod wheel;
pub mod workers;

mod ahead;
mod aside;
mod check;
mod kinds;
mod node;
mod put_back;
mod resources;
mod serve;
mod soon;

use aside::Behind;
use gate::Gate;
use inbound::{Inbound, Wants};
use lanes::{Cold, Tenant};
use ledger::Ledger;
use node::Node;
use order::Order;
use policy::{Arrivals, Units};
use poppers::{Crew, Poppers};
use put_back::PutBack;
use queue::Chunks;
use slab::Slab;
use wheel::{Handle, Wheel};
use workers::Workers;

use crate::spec::OrderPolicy;

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
    /// Counted over all starts of lanes; whoever is put back because it was not sent keeps it.
    pub number: u64,
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
    /// A message's node, until its gate opens for what is at its front.
    Node,
    /// A gate that opens: of all that wait for it.
    Gate,
    Turn,
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
            0 => Self::Node,
            1 => Self::Gate,
            2 => Self::Turn,
            3 => Self::Quarantine,
            4 => Self::Rest,
            _ => Self::Owner,
        };
        (kind, key & ((1 << Self::SHIFT) - 1))
    }
}

/// The engine.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Engine {
    /// The instant of the event in hand; never goes back.
    clock: u64,
    /// As of which instant what the owner takes out makes room: see [`Engine::takes_out_at`].
    makes_room_at: u64,
    wheel: Wheel,
    nodes: Slab<Node>,
    gates: Slab<Gate>,
    requests: Chunks,
    put_back: PutBack,
    order: Order,
    policy: OrderPolicy,
    /// What is rarely looked at of each node.
    cold: Slab<Cold>,
    /// What is behind each gate.
    behind: Slab<Behind>,
    tenants: Slab<Tenant>,
    units: Units,
    arrivals: Arrivals,
    ledger: Ledger,
    workers: Workers,
    /// Offered calls, which go before the fair order.
    inbound: Inbound,
    /// The owner holds everything.
    held: Option<Reason>,
    /// Requests in lanes.
    waiting: u64,
    /// What takes them out, by route.
    poppers: Poppers,
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
        let caps: usize = self.gates.iter().map(|(_, gate)| gate.caps().bytes()).sum();
        let slabs = self.nodes.bytes() + self.gates.bytes() + caps;
        let cold = self.cold.bytes() + self.behind.bytes();
        self.wheel.bytes() + slabs + cold + self.tenants.bytes() + self.requests.bytes()
    }

    /// Lets the next clone be made without copying what grows with the requests.
    pub fn share(&mut self) {
        self.requests.share();
        self.tenants.share();
        self.nodes.share();
        self.cold.share();
        self.gates.share();
        self.behind.share();
    }

    /// What the owner takes out from now on makes room for others as of `now`, which may be ahead of the last event: nothing that
    /// has waited behind what expired starts as of an earlier instant.
    pub fn takes_out_at(&mut self, now: u64) {
        self.makes_room_at = now;
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
        self.inbound.wake(Wants::Leave);
    }

    /// Whether it is held.
    pub const fn is_held(&self) -> bool {
        self.held.is_some()
    }

    /// The lines from which requests are taken: how many stand in each, and why none of them can start, if so.
    pub fn lines(&self) -> impl Iterator<Item = (turn::Turn, usize, Option<Reason>)> {
        self.order.standing_lines()
    }

    /// Why nothing is being started though something could be, if so: of several reasons, that of the most urgent.
    pub fn resting(&self) -> Option<Reason> {
        self.held.or_else(|| self.order.at_rest().map(|(_, reason)| reason).next())
    }

    /// Another bound on the poppers of each route; see [`poppers`].
    pub fn set_poppers_max(&mut self, most: u32) {
        self.poppers.set_most(most);
    }

    /// The poppers of every route, as they are at `now`, and what its carriers could take.
    pub fn poppers(&self, now: u64) -> impl Iterator<Item = (turn::RouteId, Crew, u64)> {
        self.poppers.iter().map(move |(route, crew)| {
            let capacity = self.ledger.capacity(route);
            (route, crew.at(now, capacity, self.poppers.most()), capacity)
        })
    }

    /// The channel ledger.
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The workers.
    pub const fn workers(&self) -> &Workers {
        &self.workers
    }
}
