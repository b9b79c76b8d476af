//! Tenants and their lanes: who is ready, who waits for an instant, who waits for a slot.
//!
//! A lane is a queue of one tenant: its direct calls of one urgency, or one batch. It stands in its tenant's ring
//! when it may start a request; a tenant stands in the fair order when one of its lanes does and its own
//! limits allow. Whoever waits for an instant is in the wheel, whoever waits for something else is nowhere, and is
//! woken by that thing.

use busyhour_base::Reason;
use serde::{Deserialize, Serialize};

use super::{
    Engine, Key,
    caps::{Caps, Window},
    gcra::Gcra,
    queue::Queue,
    ring::{Link, Member, NIL, Ring},
    wheel::{Handle, NO_TIMER},
};

/// How many urgencies there are; 0 goes first.
pub const URGENCIES: usize = 3;

/// Where a tenant is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) enum Place {
    /// No lane is ready, or it is suspended.
    Idle,
    /// In the wheel, until its throttle and caps allow.
    Timed,
    /// In the fair order, among those of this urgency.
    Ready(u8),
}

/// A tenant's limits, as the engine needs them.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct TenantLimits {
    /// Microseconds from one request to the next; 0 without a throttle.
    pub spacing: u64,
    /// Caps.
    pub windows: Vec<Window>,
    /// Starts nothing.
    pub suspended: bool,
}

/// A tenant.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Tenant {
    /// In the fair order.
    pub link: Link,
    /// The instant from which its caps allow the next request.
    pub cap_free: u64,
    pub gcra: Gcra,
    /// When it entered the fair order last.
    pub ready_at: u64,
    /// Lanes that may start a request, by urgency, in turn.
    pub ready: [Ring; URGENCIES],
    pub timer: Handle,
    /// Its caps, or [`NIL`].
    pub caps: u32,
    pub place: Place,
    pub suspended: bool,
    /// What held it before it entered the fair order, or holds it now.
    pub held_by: Reason,
    /// Requests per 1,000 s that its throttle allows; 0 without one.
    pub demand: u32,
    pub lanes: u32,
}

impl Tenant {
    /// The most urgent ring of lanes that has one in it.
    #[inline]
    fn most_urgent(&self) -> Option<usize> {
        self.ready.iter().position(|ring| !ring.is_empty())
    }

    /// The earliest instant that its own limits allow, and the limit that says so.
    #[inline]
    fn allowed(&self) -> (u64, Reason) {
        if self.cap_free > self.gcra.next() {
            (self.cap_free, Reason::Cap)
        } else {
            (self.gcra.next(), Reason::Throttle)
        }
    }
}

impl Member for Tenant {
    #[inline]
    fn link(&self) -> Link {
        self.link
    }

    #[inline]
    fn link_mut(&mut self) -> &mut Link {
        &mut self.link
    }
}

/// Where a lane is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) enum Standing {
    /// Nothing waits in it.
    Empty,
    /// Set aside, whatever waits in it.
    Parked(Reason),
    /// In the wheel, until its own throttle allows.
    Timed,
    /// As many of its calls are in progress as it allows.
    Full,
    /// In its tenant's ring.
    Ready,
}

/// How a lane is paced.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Pacing {
    /// Microseconds from one request to the next; 0 without a throttle.
    pub spacing: u64,
    /// Most calls in progress at once.
    pub concurrent: Option<u32>,
}

/// A lane.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Lane {
    pub queue: Queue,
    /// In its tenant's ring.
    pub link: Link,
    pub tenant: u32,
    pub in_progress: u32,
    pub concurrent: u32,
    pub gcra: Gcra,
    pub timer: Handle,
    pub standing: Standing,
    pub urgency: u8,
}

impl Member for Lane {
    #[inline]
    fn link(&self) -> Link {
        self.link
    }

    #[inline]
    fn link_mut(&mut self) -> &mut Link {
        &mut self.link
    }
}

impl Engine {
    /// A new tenant.
    pub fn add_tenant(&mut self, limits: TenantLimits) -> u32 {
        let id = self.tenants.insert(Tenant {
            link: Link::default(),
            cap_free: 0,
            gcra: Gcra::default(),
            ready_at: 0,
            ready: Default::default(),
            timer: NO_TIMER,
            caps: NIL,
            place: Place::Idle,
            suspended: false,
            held_by: Reason::Ready,
            demand: 0,
            lanes: 0,
        });
        self.set_limits(id, limits);
        id
    }

    /// Other limits, from now on. No queue loses its place.
    pub fn set_limits(&mut self, id: u32, limits: TenantLimits) {
        let demand = 1_000_000_000_u64
            .checked_div(limits.spacing)
            .map_or(0, |rate| u32::try_from(rate.max(1)).unwrap_or(u32::MAX));
        let tenant = &mut self.tenants[id];
        let place = tenant.place;
        let why = if tenant.suspended { Reason::Suspended } else { tenant.held_by };
        if place != Place::Idle {
            self.load.remove(tenant.demand);
            self.load.add(demand);
        }
        tenant.demand = demand;
        tenant.gcra.respace(limits.spacing);
        tenant.suspended = limits.suspended;
        if limits.windows.is_empty() {
            self.caps.remove(std::mem::replace(&mut tenant.caps, NIL));
            tenant.cap_free = 0;
        } else {
            if tenant.caps == NIL {
                tenant.caps = self.caps.insert(Caps::default());
            }
            self.caps[tenant.caps].set(limits.windows);
            tenant.cap_free = self.caps[tenant.caps].next();
        }
        let allowed = !tenant.suspended && tenant.allowed().0 <= self.clock;
        if !(allowed && matches!(place, Place::Ready(_))) {
            self.withdraw(id);
            self.settle(id, why);
        }
    }

    /// Forgets a tenant without lanes.
    pub fn remove_tenant(&mut self, id: u32) {
        assert_eq!(self.tenants[id].lanes, 0, "a tenant's lanes go before it");
        let caps = self.tenants[id].caps;
        self.caps.remove(caps);
        self.ledger.forget_tenant(id);
        self.tenants.remove(id);
    }

    /// A new lane of a tenant; `urgency` below [`URGENCIES`]. With a reason it begins parked.
    pub fn add_lane(
        &mut self,
        tenant: u32,
        urgency: u8,
        pacing: Pacing,
        parked: Option<Reason>,
    ) -> u32 {
        self.tenants[tenant].lanes += 1;
        self.lanes.insert(Lane {
            queue: Queue::default(),
            link: Link::default(),
            tenant,
            in_progress: 0,
            concurrent: pacing.concurrent.unwrap_or(u32::MAX),
            gcra: Gcra::new(pacing.spacing),
            timer: NO_TIMER,
            standing: parked.map_or(Standing::Empty, Standing::Parked),
            urgency,
        })
    }

    /// Forgets a lane in which nothing waits and of which no call is in progress.
    pub fn remove_lane(&mut self, id: u32) {
        let lane = self.lanes.remove(id).expect("the lane exists");
        assert!(lane.queue.is_empty() && lane.in_progress == 0, "a lane ends empty");
        self.tenants[lane.tenant].lanes -= 1;
    }

    /// Sets a lane aside.
    pub fn park(&mut self, id: u32, reason: Reason) {
        self.lane_out(id);
        if !matches!(self.lanes[id].standing, Standing::Parked(_)) {
            self.waiting -= u64::from(self.lanes[id].queue.len());
        }
        self.lanes[id].standing = Standing::Parked(reason);
    }

    /// Ends a lane's being set aside. What waits in it was held by `why`, or else by what the lane was set aside for.
    pub fn unpark(&mut self, id: u32, why: Option<Reason>) {
        if let Standing::Parked(reason) = self.lanes[id].standing {
            self.waiting += u64::from(self.lanes[id].queue.len());
            self.lanes[id].standing = Standing::Empty;
            self.lane_in(id, why.unwrap_or(reason));
        }
    }

    /// Another pace, from now on. No request loses its place.
    pub fn repace(&mut self, id: u32, pacing: Pacing) {
        let clock = self.clock;
        let lane = &mut self.lanes[id];
        lane.concurrent = pacing.concurrent.unwrap_or(u32::MAX);
        lane.gcra.respace(pacing.spacing);
        let allowed = lane.in_progress < lane.concurrent && lane.gcra.next() <= clock;
        match lane.standing {
            Standing::Empty | Standing::Parked(_) => {}
            Standing::Ready if allowed => {}
            Standing::Timed | Standing::Full | Standing::Ready => {
                let why = self.lane_held_by(id);
                self.lane_out(id);
                self.lane_in(id, why);
            }
        }
    }

    /// Appends a request to a lane. `why` says what held it until now.
    #[inline]
    pub fn push_back(&mut self, lane: u32, request: u32, why: Reason) {
        self.requests.push_back(&mut self.lanes[lane].queue, request);
        self.pushed(lane, why);
    }

    /// Puts a request that was not sent back to the head of its lane.
    pub fn push_front(&mut self, lane: u32, request: u32, why: Reason) {
        self.requests.push_front(&mut self.lanes[lane].queue, request);
        self.pushed(lane, why);
    }

    fn pushed(&mut self, id: u32, why: Reason) {
        let lane = &mut self.lanes[id];
        match lane.standing {
            Standing::Parked(_) => return,
            Standing::Empty => self.lane_in(id, why),
            Standing::Timed | Standing::Full | Standing::Ready => {}
        }
        self.waiting += 1;
    }

    /// Takes a waiting request out of its lane.
    pub fn unqueue(&mut self, id: u32, request: u32) {
        let lane = &mut self.lanes[id];
        self.requests.remove(&mut lane.queue, request);
        if matches!(lane.standing, Standing::Parked(_)) {
            return;
        }
        self.waiting -= 1;
        if lane.queue.is_empty() {
            self.lane_out(id);
            self.lanes[id].standing = Standing::Empty;
        }
    }

    /// A lane in which something waits takes its stand.
    pub(super) fn lane_in(&mut self, id: u32, why: Reason) {
        let clock = self.clock;
        let lane = &mut self.lanes[id];
        if lane.queue.is_empty() {
            lane.standing = Standing::Empty;
        } else if lane.in_progress >= lane.concurrent {
            lane.standing = Standing::Full;
        } else if lane.gcra.next() > clock {
            lane.standing = Standing::Timed;
            lane.timer = self.wheel.set(lane.gcra.next(), Key::Lane.of(id));
        } else {
            lane.standing = Standing::Ready;
            let (tenant, urgency) = (lane.tenant, lane.urgency);
            let ready = &mut self.tenants[tenant].ready[usize::from(urgency)];
            ready.push_back(&mut self.lanes, id);
            self.tenant_in(tenant, urgency, why);
        }
    }

    /// A lane leaves the ring or the wheel.
    fn lane_out(&mut self, id: u32) {
        let lane = &mut self.lanes[id];
        match lane.standing {
            Standing::Timed => {
                self.wheel.cancel(std::mem::replace(&mut lane.timer, NO_TIMER));
            }
            Standing::Ready => {
                let (tenant, urgency) = (lane.tenant, usize::from(lane.urgency));
                self.tenants[tenant].ready[urgency].remove(&mut self.lanes, id);
                self.tenant_out(tenant);
            }
            Standing::Empty | Standing::Parked(_) | Standing::Full => {}
        }
    }

    /// One of a tenant's lanes is not ready any more: it keeps its place if another of that urgency is.
    fn tenant_out(&mut self, id: u32) {
        let tenant = &self.tenants[id];
        let (held_by, ready_at) = (tenant.held_by, tenant.ready_at);
        match (tenant.place, tenant.most_urgent()) {
            (Place::Timed, None) => self.withdraw(id),
            (Place::Ready(present), urgency) if urgency != Some(usize::from(present)) => {
                self.withdraw(id);
                self.settle(id, held_by);
                self.tenants[id].ready_at = ready_at;
            }
            _ => {}
        }
    }

    /// One of a tenant's lanes became ready.
    #[inline]
    fn tenant_in(&mut self, id: u32, urgency: u8, why: Reason) {
        match self.tenants[id].place {
            Place::Idle => self.settle(id, why),
            Place::Ready(present) if urgency < present => {
                self.order[usize::from(present)].remove(&mut self.tenants, id);
                self.order[usize::from(urgency)].push_back(&mut self.tenants, id);
                self.tenants[id].place = Place::Ready(urgency);
            }
            Place::Timed | Place::Ready(_) => {}
        }
    }

    /// A tenant that is idle takes its place: in the fair order, in the wheel, or idle still.
    #[inline]
    pub(super) fn settle(&mut self, id: u32, why: Reason) {
        let tenant = &mut self.tenants[id];
        let Some(urgency) = tenant.most_urgent() else {
            return;
        };
        if tenant.suspended {
            return;
        }
        self.load.add(tenant.demand);
        let (next, limit) = tenant.allowed();
        if next > self.clock {
            tenant.held_by = limit;
            tenant.place = Place::Timed;
            tenant.timer = self.wheel.set(next, Key::Tenant.of(id));
        } else {
            tenant.held_by = why;
            tenant.place = Place::Ready(urgency as u8);
            tenant.ready_at = self.clock;
            self.order[urgency].push_back(&mut self.tenants, id);
        }
    }

    /// A tenant leaves the fair order or the wheel.
    pub(super) fn withdraw(&mut self, id: u32) {
        let tenant = &mut self.tenants[id];
        match std::mem::replace(&mut tenant.place, Place::Idle) {
            Place::Idle => return,
            Place::Timed => {
                self.wheel.cancel(std::mem::replace(&mut tenant.timer, NO_TIMER));
            }
            Place::Ready(urgency) => {
                self.order[usize::from(urgency)].remove(&mut self.tenants, id);
            }
        }
        self.load.remove(self.tenants[id].demand);
    }
}
