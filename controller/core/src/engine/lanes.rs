//! Tenants, the gates of their scopes, and lanes: what the engine's owner adds, changes and takes away.
//!
//! A lane is a queue of requests that pass the same gates and go over the same route: those of one tenant, kind, urgency,
//! route, application, batch and number.

use busyhour_base::Reason;
use serde::{Deserialize, Serialize};

use super::{
    Engine,
    aside::Behind,
    caps::Caps,
    gate::{Gate, GateLimits, Scope, Verdict},
    node::{Lane, Node, Part, Place},
    policy::{Standing, Usage},
    queue::Queue,
    ring::{Link, NIL},
    turn::RouteId,
    wheel::NO_TIMER,
};
use crate::{
    few::Few,
    spec::{Kind, OrderPolicy, Urgency},
};

/// How many urgencies there are; 0 goes first.
pub const URGENCIES: usize = 3;

/// A tenant's own limits.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct TenantLimits {
    /// Of its calls.
    pub calls: GateLimits,
    /// Of its messages.
    pub messages: GateLimits,
    /// Starts nothing.
    pub suspended: bool,
    /// Its place in the fair order.
    pub standing: Standing,
}

/// What is rarely looked at of a tenant.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Tenant {
    /// Of its calls and of its messages.
    pub gates: [u32; 2],
    pub roots: Vec<u32>,
    pub standing: Standing,
    pub usage: Usage,
    /// Nodes of its tree that are neither roots nor lanes, and roots, by what they are of.
    pub branches: Few<Scopes, u32>,
    pub lanes: u32,
}

/// What a node above the lanes is of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub(super) struct Scopes {
    pub kind: Kind,
    pub urgency: u8,
    pub route: RouteId,
    pub application: u32,
    pub batch: u32,
    /// Beneath it are requests only that have passed their throttles and caps before: see [`LaneKey::passed`].
    pub passed: bool,
    /// Beneath it are lines of batches only, and the order tells them apart: see [`super::kinds`].
    pub lines_only: bool,
}

/// What is rarely looked at of a node.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Cold {
    pub tenant: u32,
    /// Nodes beneath it.
    pub children: u32,
    /// A lane's requests whose time has not come.
    later: Queue,
    /// What waits in a lane that is retired.
    retired: Option<Queue>,
    pub branch: Option<Scopes>,
}

impl Cold {
    fn set_aside(&mut self) -> &mut Queue {
        self.retired.get_or_insert_default()
    }
}

/// What a lane's requests have in common. Gates are [`NIL`] for those without one.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize, Deserialize)]
pub struct LaneKey {
    /// Calls or messages.
    pub kind: Kind,
    /// Below [`URGENCIES`]; 0 goes first.
    pub urgency: u8,
    /// The carriers that can serve them.
    pub route: RouteId,
    /// The application's gate.
    pub application: u32,
    /// The batch's gate.
    pub batch: u32,
    /// The number's gate.
    pub number: u32,
    /// Its requests were started before and go over another carrier (MT-17). To their tenant each is still the same request: it
    /// takes no place in any throttle or cap again. Whatever else is said of its gates holds.
    pub passed: bool,
}

impl Default for LaneKey {
    /// Ordinary calls of no application, batch or number, over any carrier.
    fn default() -> Self {
        Self {
            kind: Kind::Call,
            urgency: (URGENCIES - 1) as u8,
            route: super::turn::ANY_ROUTE,
            application: NIL,
            batch: NIL,
            number: NIL,
            passed: false,
        }
    }
}

/// What the engine needs to know of a request that is queued.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Asked {
    /// Counted over all requests; smaller came earlier.
    pub number: u64,
    /// Of every throttle and cap.
    pub units: u16,
}

impl Engine {
    /// A new tenant.
    pub fn add_tenant(&mut self, limits: TenantLimits) -> u32 {
        let gates = [self.add_gate(Scope::Tenant), self.add_gate(Scope::Tenant)];
        let id = self.tenants.insert(Tenant {
            gates,
            roots: Vec::new(),
            standing: Standing::default(),
            usage: Usage::default(),
            branches: Few::default(),
            lanes: 0,
        });
        self.set_limits(id, limits);
        id
    }

    /// Other limits, from now on. No queue loses its place.
    pub fn set_limits(&mut self, id: u32, limits: TenantLimits) {
        let [calls, messages] = self.tenants[id].gates;
        let shut = limits.suspended.then_some(Reason::Suspended);
        self.set_standing(id, limits.standing);
        for (gate, limits) in [(calls, limits.calls), (messages, limits.messages)] {
            self.gates[gate].shut = shut;
            self.set_gate(gate, limits);
        }
    }

    /// Forgets a tenant without lanes.
    pub fn remove_tenant(&mut self, id: u32) {
        assert_eq!(self.tenants[id].lanes, 0, "a tenant's lanes go before it");
        let tenant = self.tenants.remove(id).expect("the tenant exists");
        self.ledger.forget_tenant(id);
        for gate in tenant.gates {
            self.remove_gate(gate);
        }
    }

    /// The gate of a tenant's calls or messages.
    pub fn tenant_gate(&self, tenant: u32, kind: Kind) -> u32 {
        self.tenants[tenant].gates[kind as usize]
    }

    /// A new gate, open and without limits.
    pub fn add_gate(&mut self, scope: Scope) -> u32 {
        let id = self.gates.insert(Gate::new(scope));
        let same = self.behind.insert(Behind::default());
        debug_assert_eq!(id, same, "both come and go together");
        id
    }

    /// Other limits of a gate, from now on. No queue loses its place.
    pub fn set_gate(&mut self, id: u32, limits: GateLimits) {
        self.gates[id].set(limits);
        self.regate(id);
    }

    /// Shuts a gate for as long as a reason is given. What waits behind it keeps its places.
    pub fn shut_gate(&mut self, id: u32, reason: Option<Reason>) {
        self.change_gate(id, |gate| gate.shut = reason);
        self.regate(id);
    }

    /// Opens a gate that was shut. What waited there was held by `why`, or else by what the gate was shut for.
    pub fn open_gate(&mut self, id: u32, why: Option<Reason>) {
        if self.change_gate(id, |gate| gate.shut.take()).is_some() {
            if let Some(why) = why {
                for at in 0..self.behind[id].nodes.len() {
                    let node = self.behind[id].nodes[at];
                    self.nodes[node].held_by = why;
                }
            }
            self.regate(id);
        }
    }

    /// Forgets a gate that no lane has.
    pub fn remove_gate(&mut self, id: u32) {
        assert!(self.behind[id].nodes.is_empty(), "a gate's lanes go before it");
        self.gates.remove(id);
        self.behind.remove(id);
    }

    /// Whether there is a lane behind a gate.
    pub fn has_lanes(&self, gate: u32) -> bool {
        !self.behind[gate].nodes.is_empty()
    }

    /// A gate.
    pub fn gate(&self, id: u32) -> &Gate {
        &self.gates[id]
    }

    /// The limits of a gate as they are, and the words for its throttle and its caps.
    pub fn limits_of(&self, id: u32) -> (GateLimits, (Reason, Reason)) {
        let gate = &self.gates[id];
        let limits = GateLimits {
            spacing: gate.gcra().spacing(),
            windows: gate.caps().windows().collect(),
            concurrent: Some(gate.concurrent()).filter(|most| *most < u32::MAX),
        };
        (limits, gate.reasons())
    }

    /// The caps of a gate and what they remember.
    pub fn gate_caps(&self, id: u32) -> &Caps {
        self.gates[id].caps()
    }

    /// Whoever waits at a gate or stands behind it does so by what it says now.
    fn regate(&mut self, gate: u32) {
        // All who wait leave before any of them waits again: those who wait for one instant wait together. Who stands keeps
        // its place, and what is above it too, unless it has to go itself.
        let leave = |engine: &mut Self, at: usize| {
            let id = engine.behind[gate].nodes[at];
            let waits = matches!(engine.nodes[id].place, Place::Timed | Place::Shut);
            if waits {
                engine.leave(id);
            }
            waits
        };
        let waited: Vec<_> = (0..self.behind[gate].nodes.len()).map(|at| leave(self, at)).collect();
        for (at, waited) in waited.into_iter().enumerate() {
            let id = self.behind[gate].nodes[at];
            let Node { place, held_by, .. } = self.nodes[id];
            let stands = matches!(place, Place::Ready | Place::Maximum);
            if stands && self.verdict(id) != Verdict::Open {
                self.leave(id);
                self.stand(id, held_by);
            } else if waited && place == Place::Idle {
                self.stand(id, held_by);
            }
        }
    }

    /// A new lane.
    pub fn add_lane(&mut self, tenant: u32, key: LaneKey) -> u32 {
        let LaneKey { kind, urgency, route, application, batch, number, passed } = key;
        let lines_only = batch != NIL && self.policy.parts_kinds();
        let mut branch =
            Scopes { kind, urgency, route, application: NIL, batch: NIL, passed, lines_only };
        let mut parent =
            self.branch(tenant, branch, NIL, self.tenants[tenant].gates[kind as usize]);
        if application != NIL {
            branch.application = application;
            parent = self.branch(tenant, branch, parent, application);
        }
        if batch != NIL {
            branch.batch = batch;
            parent = self.branch(tenant, branch, parent, batch);
        }
        self.tenants[tenant].lanes += 1;
        let lane = Lane { counts: batch != NIL, ..Lane::default() };
        let id = self.add_node(tenant, branch, parent, number, Part::Lane(lane));
        if batch != NIL {
            self.add_to_batch(batch, id);
        }
        id
    }

    /// The node above lanes that is of this, found or made.
    pub(super) fn branch(&mut self, tenant: u32, branch: Scopes, parent: u32, gate: u32) -> u32 {
        if let Some(id) = self.tenants[tenant].branches.get(&branch) {
            return *id;
        }
        let id = self.add_node(tenant, branch, parent, gate, Part::branch(tenant));
        self.cold[id].branch = Some(branch);
        self.tenants[tenant].branches.insert(branch, id);
        if parent == NIL {
            self.tenants[tenant].roots.push(id);
            self.nodes[id].branch_mut().share = self.share_of(id);
            self.link_roots(tenant);
        }
        id
    }

    /// Each root of a tenant leads to the next, so that a decision need not look at the tenant.
    fn link_roots(&mut self, tenant: u32) {
        let roots = &self.tenants[tenant].roots;
        for (at, id) in roots.iter().enumerate() {
            let sibling = roots[(at + 1) % roots.len()];
            let root = self.nodes[*id].branch_mut();
            root.sibling = sibling;
        }
    }

    fn add_node(&mut self, tenant: u32, of: Scopes, parent: u32, gate: u32, part: Part) -> u32 {
        let id = self.nodes.insert(Node {
            link: Link::default(),
            parent,
            gate,
            ticket: NO_TIMER,
            part,
            route: of.route,
            place: Place::Idle,
            urgency: of.urgency,
            class: 0,
            held_by: Reason::Ready,
            kind: of.kind,
            passed: of.passed,
        });
        let cold =
            Cold { tenant, children: 0, later: Queue::default(), retired: None, branch: None };
        let same = self.cold.insert(cold);
        debug_assert_eq!(id, same, "both come and go together");
        if gate != NIL {
            self.behind[gate].nodes.push(id);
        }
        if parent != NIL {
            let children = &mut self.cold[parent].children;
            *children += 1;
            self.nodes[parent].branch_mut().many |= *children > 1;
        }
        id
    }

    /// Forgets a lane in which nothing waits, and what is above it for it alone.
    pub fn remove_lane(&mut self, lane: u32) {
        let cold = &self.cold[lane];
        let retired = cold.retired.is_some_and(|queue| !queue.is_empty());
        let waits = !self.nodes[lane].queue().is_empty() || !cold.later.is_empty() || retired;
        assert!(!waits, "a lane ends empty");
        self.tenants[cold.tenant].lanes -= 1;
        self.take_from_batch(lane);
        self.prune(lane);
    }

    /// Forgets a node with nothing beneath it, and what is above it for it alone.
    pub(super) fn prune(&mut self, mut id: u32) {
        while id != NIL && self.cold[id].children == 0 {
            let node = self.nodes.remove(id).expect("the node exists");
            debug_assert_eq!(node.place, Place::Idle, "nothing is beneath it");
            if node.gate != NIL {
                self.behind[node.gate].nodes.retain(|other| *other != id);
            }
            let Cold { tenant, branch, .. } = self.cold.remove(id).expect("each node has its own");
            let of = &mut self.tenants[tenant];
            if let Some(branch) = branch {
                of.branches.remove(&branch);
            }
            if node.parent == NIL {
                of.roots.retain(|other| *other != id);
                self.link_roots(tenant);
            } else {
                self.cold[node.parent].children -= 1;
            }
            id = node.parent;
        }
    }

    /// Requests go on from one lane of a tenant to another. In the weighted order the tenant stands beside those who were
    /// served last over the other route as it stood over this one.
    pub fn carry_share(&mut self, from: u32, to: u32) {
        let (from, to) = (self.root_of(from), self.root_of(to));
        if from == to || !matches!(self.policy, OrderPolicy::Weighted) {
            return;
        }
        let served = |id: u32| self.order.served(self.nodes[id].route, self.nodes[id].urgency);
        let ahead = self.nodes[from].branch().pass.saturating_sub(served(from));
        let pass = served(to).saturating_add(ahead);
        let root = self.nodes[to].branch_mut();
        root.pass = root.pass.max(pass);
    }

    /// Appends a request to a lane. `why` says what held it until now.
    #[inline]
    pub fn push_back(&mut self, lane: u32, request: u32, asked: Asked, why: Reason) {
        let of = self.nodes[lane].lane_mut();
        if of.retired {
            return self.requests.push_back(self.cold[lane].set_aside(), request);
        }
        self.requests.push_back(&mut of.queue, request);
        self.pushed(lane, request, asked, why);
    }

    /// Puts a request that was not sent back to the head of its lane: before all but those that are back there, too, and had been
    /// started before it. `number` is that of its start.
    pub fn put_back(&mut self, lane: u32, request: u32, asked: Asked, why: Reason, number: u64) {
        let before = self.put_back.put(lane, request, number);
        let of = self.nodes[lane].lane_mut();
        let retired = of.retired;
        let queue = if retired { self.cold[lane].set_aside() } else { &mut of.queue };
        match before {
            Some(before) => self.requests.push_behind(queue, before, request),
            None => self.requests.push_front(queue, request),
        }
        if retired {
            return;
        }
        self.pushed(lane, request, asked, why);
        if before.is_none() {
            self.front_changed(lane);
        }
    }

    #[inline]
    fn pushed(&mut self, lane: u32, request: u32, asked: Asked, why: Reason) {
        let node = &self.nodes[lane];
        self.units.note(node.kind, request, asked.units);
        if self.policy.reads_front() {
            self.arrivals.note(request, asked.number);
        }
        self.waiting += 1;
        self.poppers.arrived(node.route, 1);
        let place = node.place;
        self.count(lane, 1);
        if place == Place::Idle {
            self.stand(lane, why);
        }
    }

    /// Takes a waiting request out of its lane.
    pub fn unqueue(&mut self, lane: u32, request: u32) {
        self.put_back.leave(lane, request);
        let of = self.nodes[lane].lane_mut();
        if of.retired {
            return self.requests.remove(self.cold[lane].set_aside(), request);
        }
        let was_front = self.requests.front(&of.queue) == Some(request);
        self.requests.remove(&mut of.queue, request);
        self.waiting -= 1;
        self.poppers.left(self.nodes[lane].route, 1);
        self.count(lane, -1);
        if self.nodes[lane].queue().is_empty() {
            self.leave(lane);
        } else if was_front {
            self.front_changed(lane);
        }
    }

    /// A lane has one more request, or one less; the gates above it have, too.
    #[inline]
    fn count(&mut self, lane: u32, change: i32) {
        let node = &self.nodes[lane];
        let alone = node.queue().len() == u32::from(change > 0);
        if self.is_lane_aside(node) {
            self.count_aside(lane, change, if alone { change } else { 0 });
        }
        let Self { nodes, gates, .. } = self;
        let mut node = &nodes[lane];
        let urgency = usize::from(node.urgency);
        loop {
            if node.gate != NIL {
                let gate = &mut gates[node.gate];
                gate.queued[urgency] = gate.queued[urgency].wrapping_add_signed(change);
                if alone {
                    gate.lanes = gate.lanes.wrapping_add_signed(change);
                }
            }
            if node.parent == NIL {
                return;
            }
            node = &nodes[node.parent];
        }
    }

    /// Sets a lane aside for good: nothing of it starts any more. How many requests it holds, those included whose time
    /// has not come.
    pub fn retire(&mut self, lane: u32) -> u64 {
        let held_by = self.lane_held_by(lane);
        let of = self.nodes[lane].lane_mut();
        of.retired = true;
        let queue = std::mem::take(&mut of.queue);
        if !queue.is_empty() {
            self.leave(lane);
            self.waiting -= u64::from(queue.len());
            self.poppers.left(self.nodes[lane].route, u64::from(queue.len()));
            if self.is_lane_aside(&self.nodes[lane]) {
                self.count_aside(lane, (queue.len() as i32).wrapping_neg(), -1);
            }
            for gate in self.gates_of(lane).collect::<Vec<_>>() {
                let gate = &mut self.gates[gate];
                gate.queued[usize::from(self.nodes[lane].urgency)] -= queue.len();
                gate.lanes -= 1;
            }
        }
        self.nodes[lane].held_by = held_by;
        let cold = &mut self.cold[lane];
        cold.retired = Some(queue);
        u64::from(queue.len()) + u64::from(cold.later.len())
    }

    /// The next request of a lane that is retired: first those that were queued.
    pub fn next_retired(&self, lane: u32) -> Option<u32> {
        let cold = &self.cold[lane];
        let retired = cold.retired.and_then(|queue| self.requests.front(&queue));
        retired.or_else(|| self.requests.front(&cold.later))
    }

    /// Keeps a request whose time has not come with its lane.
    pub fn put_off(&mut self, lane: u32, request: u32) {
        self.requests.push_back(&mut self.cold[lane].later, request);
    }

    /// Its time has come, or it has ended.
    pub fn take_up(&mut self, lane: u32, request: u32) {
        self.requests.remove(&mut self.cold[lane].later, request);
    }

    /// Requests waiting in a lane.
    pub fn lane_len(&self, lane: u32) -> u32 {
        self.nodes[lane].queue().len()
    }

    /// Requests of a lane in progress.
    pub fn lane_in_progress(&self, lane: u32) -> u32 {
        self.nodes[lane].lane().in_progress
    }

    /// The requests of a lane from front to back, then those whose time has not come.
    pub fn lane_requests(&self, lane: u32) -> impl Iterator<Item = u32> {
        let queue = self.requests.iter(self.nodes[lane].queue());
        queue.chain(self.requests.iter(&self.cold[lane].later))
    }

    /// The units of a waiting message.
    pub fn units_of(&self, request: u32) -> u32 {
        self.units.of(request)
    }

    /// The urgency of a lane's requests.
    pub fn lane_urgency(&self, lane: u32) -> Urgency {
        match self.nodes[lane].urgency {
            0 => Urgency::Inbound,
            1 => Urgency::Synchronous,
            _ => Urgency::Ordinary,
        }
    }

    /// What holds a lane in which something waits: of all that it waits for, what it waits for now.
    pub fn lane_held_by(&self, lane: u32) -> Reason {
        if self.nodes[lane].lane().retired {
            return self.nodes[lane].held_by;
        }
        let mut id = lane;
        loop {
            let node = &self.nodes[id];
            match node.place {
                Place::Idle => return Reason::Ready,
                Place::Timed | Place::Shut | Place::Maximum => return node.held_by,
                Place::Ready if node.parent == NIL => {
                    let rests = self.held.or_else(|| self.order.resting(node.turn()));
                    return rests.unwrap_or(Reason::FairTurn);
                }
                Place::Ready => id = node.parent,
            }
        }
    }

    /// Why nothing above a lane lets anything pass until it is opened by hand, if so.
    pub fn lane_shut(&self, lane: u32) -> Option<Reason> {
        self.gates_of(lane).find_map(|gate| self.gates[gate].shut())
    }

    /// The gates above a lane, from its own to its tenant's.
    pub fn gates_of(&self, lane: u32) -> impl Iterator<Item = u32> {
        let step = |id: u32| (id != NIL).then_some(id);
        std::iter::successors(step(lane), move |id| step(self.nodes[*id].parent))
            .map(|id| self.nodes[id].gate)
            .filter(|gate| *gate != NIL)
    }
}
