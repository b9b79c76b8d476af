//! The tree of each tenant: who stands in whose ring, and who waits at which gate.
//!
//! A *root* is a tenant's requests of one kind and urgency over one route. Beneath it stand, level by level, the
//! applications, the batches and the numbers that they are of; the leaves are the lanes, which hold the requests. A node
//! has the gate of its scope, and is at any time in exactly one [`Place`]. It is *ready* when there is something ready
//! beneath it and its gate is open; then it stands in its parent's ring, a root in the fair order. So the front of every
//! ring leads to a request, and a start follows the fronts.
//!
//! Of the only one beneath a branch no order is asked. If its gate opens before the branch's own, then that of the branch
//! is what binds, and it is ready for as long: one timer instead of two.
//!
//! Routes and urgencies share gates. A node may therefore stand although its gate has closed since: at its turn it is sent
//! to wait there and the turn passes on. That costs once for each start of another through the same gate.

use busyhour_base::Reason;
use serde::{Deserialize, Serialize};

use super::{
    Engine, Key,
    gate::Verdict,
    ledger::Direction,
    order::Stand,
    queue::Queue,
    ring::{Link, Member, NIL, Ring},
    slab::Slab,
    turn::{RouteId, Turn},
    wheel::{Handle, NO_TIMER},
};
use crate::spec::Kind;

/// Levels of a tree: tenant, application, batch, number.
pub(super) const LEVELS: usize = 4;

/// Where a node is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) enum Place {
    /// Nothing beneath it is ready.
    Idle,
    /// Until its gate opens by itself: a call's node is in its gate's ring, and the gate in the wheel; a message's is there itself.
    Timed,
    /// In its gate's ring, until the gate is opened.
    Shut,
    /// A root whose tenant has as many channels as it may have at most.
    Maximum,
    /// In its parent's ring; a root in the fair order.
    Ready,
}

/// One node: all that a decision looks at, in one cache line.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[repr(align(64))]
pub(super) struct Node {
    /// In its parent's ring, or in its gate's while it waits there.
    pub link: Link,
    /// [`NIL`] for a root.
    pub parent: u32,
    /// [`NIL`] if its scope has none.
    pub gate: u32,
    /// The timer in the wheel for which it waits, or the low half of its stand's number, in the fair order or in its parent's
    /// ring.
    pub ticket: u32,
    pub part: Part,
    pub route: RouteId,
    pub place: Place,
    pub urgency: u8,
    /// The share class in whose line a root stands.
    pub class: u8,
    /// What held it before it was ready, or holds it now.
    pub held_by: Reason,
    pub kind: Kind,
    /// What is beneath it has passed its throttles and caps before.
    pub passed: bool,
}

const _: () = assert!(size_of::<Node>() == 64, "a node fills a cache line");

/// What a lane has, and what a node above the lanes.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) enum Part {
    Lane(Lane),
    Branch(Branch),
}

/// A lane's requests.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(super) struct Lane {
    pub queue: Queue,
    pub in_progress: u32,
    /// Its parent's gate counts the requests in progress.
    pub counts: bool,
    /// Nothing of it starts any more.
    pub retired: bool,
}

/// What a node above the lanes has; all but the first is a root's.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub(super) struct Branch {
    /// What is ready beneath it, in turn.
    pub ready: Ring,
    /// Its share in the fair order, as the policy counts it: see [`super::policy`].
    pub share: u32,
    /// Its tenant.
    pub tenant: u32,
    /// Its tenant's next root; the first one after the last.
    pub sibling: u32,
    /// More than one node was beneath it at some time.
    pub many: bool,
    /// Its least rank at its next stand.
    pub pass: u64,
}

impl Part {
    pub(super) const fn branch(tenant: u32) -> Self {
        let ready = Ring::EMPTY;
        Self::Branch(Branch { ready, share: 0, tenant, sibling: NIL, many: false, pass: 0 })
    }
}

impl Node {
    /// Whether something beneath it is ready.
    #[inline]
    const fn has_work(&self) -> bool {
        match &self.part {
            Part::Lane(lane) => !lane.queue.is_empty(),
            Part::Branch(branch) => !branch.ready.is_empty(),
        }
    }

    /// A lane's requests; none of a branch.
    #[inline]
    pub(super) const fn queue(&self) -> &Queue {
        match &self.part {
            Part::Lane(lane) => &lane.queue,
            Part::Branch(_) => &Queue::EMPTY,
        }
    }

    /// What is ready beneath it: of a lane, nothing.
    #[inline]
    pub(super) const fn ready(&self) -> Ring {
        match &self.part {
            Part::Lane(_) => Ring::EMPTY,
            Part::Branch(branch) => branch.ready,
        }
    }

    #[inline]
    pub(super) fn lane(&self) -> &Lane {
        let Part::Lane(lane) = &self.part else { unreachable!("requests are a lane's") };
        lane
    }

    #[inline]
    pub(super) fn lane_mut(&mut self) -> &mut Lane {
        let Part::Lane(lane) = &mut self.part else { unreachable!("requests are a lane's") };
        lane
    }

    #[inline]
    pub(super) fn branch(&self) -> &Branch {
        let Part::Branch(branch) = &self.part else { unreachable!("nothing is beneath a lane") };
        branch
    }

    #[inline]
    pub(super) fn branch_mut(&mut self) -> &mut Branch {
        let Part::Branch(branch) = &mut self.part else {
            unreachable!("nothing is beneath a lane")
        };
        branch
    }

    /// Which way the calls of a lane go.
    #[inline]
    pub(super) const fn direction(&self) -> Direction {
        match self {
            Self { kind: Kind::Call, urgency: 0, .. } => Direction::Inbound,
            _ => Direction::Outbound,
        }
    }

    pub(super) const fn turn(&self) -> Turn {
        Turn { route: self.route, urgency: self.urgency, class: self.class }
    }
}

impl Member for Node {
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
    /// A node that is idle takes its place, and its parent after it if that was idle. `why` is what held it.
    #[inline]
    pub(super) fn stand(&mut self, mut id: u32, why: Reason) {
        loop {
            let node = &self.nodes[id];
            debug_assert_eq!(node.place, Place::Idle, "only who is idle takes a stand");
            if !node.has_work() {
                return;
            }
            let Node { gate, parent, kind, .. } = *node;
            match self.verdict_of(id, node) {
                Verdict::Open if parent == NIL => return self.enter(id, why),
                Verdict::Open => {}
                Verdict::Until(at, reason) => {
                    if let Some((later, above)) = self.binds_above(parent, kind, at) {
                        self.list(id, parent, reason);
                        return self.wait_until(parent, later, above);
                    }
                    if at == u64::MAX {
                        return self.wait_shut(id, gate, reason);
                    }
                    return self.wait_until(id, at, reason);
                }
                Verdict::Shut(reason) => return self.wait_shut(id, gate, reason),
            }
            if self.list(id, parent, why) != Place::Idle {
                return;
            }
            id = parent;
        }
    }

    /// A node is ready, and stands in its parent's ring: what the parent's place is.
    #[inline]
    fn list(&mut self, id: u32, parent: u32, why: Reason) -> Place {
        let above = &mut self.nodes[parent];
        let (place, ready) = (above.place, &mut above.branch_mut().ready);
        let last = ready.back();
        let link = ready.append(id);
        let ticket = self.order.stand_at(self.clock) as u32;
        let node = &mut self.nodes[id];
        (node.link, node.ticket) = (link, ticket);
        (node.held_by, node.place) = (why, Place::Ready);
        if last != NIL {
            self.nodes[last].link.set_next(id);
        }
        place
    }

    /// A node waits until its gate is opened.
    fn wait_shut(&mut self, id: u32, gate: u32, reason: Reason) {
        self.gates[gate].waiting.push_back(&mut self.nodes, id);
        let node = &mut self.nodes[id];
        (node.place, node.held_by) = (Place::Shut, reason);
    }

    /// A node waits until its gate opens by itself. A gate opens for all calls at once, so that those behind it have one
    /// timer, which each of them knows; how long a message waits depends on its units.
    #[inline]
    fn wait_until(&mut self, id: u32, at: u64, reason: Reason) {
        let Node { gate, kind, .. } = self.nodes[id];
        if kind != Kind::Call {
            let ticket = self.wheel.set(at, Key::Node.of(id));
            let node = &mut self.nodes[id];
            (node.place, node.held_by, node.ticket) = (Place::Timed, reason, ticket);
            return;
        }
        let Self { nodes, gates, wheel, .. } = self;
        let ring = &mut gates[gate].waiting;
        let others = timer_of(*ring, nodes);
        let last = ring.back();
        let link = ring.append(id);
        if last != NIL {
            nodes[last].link.set_next(id);
        }
        let ticket = others.unwrap_or_else(|| wheel.set(at, Key::Gate.of(gate)));
        let node = &mut nodes[id];
        (node.link, node.ticket) = (link, ticket);
        (node.place, node.held_by) = (Place::Timed, reason);
    }

    /// If a node whose gate opens at `at` is the only one beneath one that is idle and whose gate opens later: when that
    /// opens, and what it says until then.
    #[inline]
    fn binds_above(&self, parent: u32, kind: Kind, at: u64) -> Option<(u64, Reason)> {
        // What a message needs of the branch's gate depends on which one is at its front.
        if parent == NIL || kind != Kind::Call {
            return None;
        }
        let above = &self.nodes[parent];
        if above.branch().many || above.place != Place::Idle {
            return None;
        }
        match self.verdict_of(parent, above) {
            Verdict::Until(later, reason) if later > at && later != u64::MAX => {
                Some((later, reason))
            }
            _ => None,
        }
    }

    /// A root whose gate is open goes into the fair order, unless its tenant has all the channels that it may have.
    #[inline]
    fn enter(&mut self, id: u32, why: Reason) {
        let node = &self.nodes[id];
        let Some(class) = self.ledger.class(node.branch().tenant, node.route) else {
            let node = &mut self.nodes[id];
            (node.place, node.held_by) = (Place::Maximum, Reason::TenantChannels);
            return;
        };
        let rank = self.rank(id, node);
        let turn = Turn { class, ..node.turn() };
        let ticket = self.order.enter(turn, rank, id, self.clock);
        let node = &mut self.nodes[id];
        node.branch_mut().pass = rank;
        (node.class, node.ticket) = (class, ticket);
        (node.place, node.held_by) = (Place::Ready, why);
    }

    /// What a node's gate says to the request that it would let pass next.
    #[inline]
    pub(super) fn verdict(&self, id: u32) -> Verdict {
        self.verdict_of(id, &self.nodes[id])
    }

    /// As [`Engine::verdict`], of a node that is at hand.
    #[inline]
    fn verdict_of(&self, id: u32, node: &Node) -> Verdict {
        if node.gate == NIL {
            return Verdict::Open;
        }
        let units = match node.kind {
            _ if node.passed => 0,
            Kind::Call => 1,
            Kind::Message => self.units_of_front(id),
        };
        self.gates[node.gate].verdict(units, self.clock)
    }

    /// The units of the request to which the fronts of the rings beneath a node lead.
    #[inline(never)]
    pub(super) fn units_of_front(&self, mut id: u32) -> u32 {
        loop {
            let node = &self.nodes[id];
            if let Some(request) = self.requests.front(node.queue()) {
                return self.units.of(request);
            }
            id = node.ready().front();
        }
    }

    /// A node leaves its place and is idle; so does its parent, if nothing beneath that is ready any more.
    pub(super) fn leave(&mut self, mut id: u32) {
        loop {
            let Node { place, parent, gate, ticket, kind, .. } = self.nodes[id];
            self.nodes[id].place = Place::Idle;
            match place {
                Place::Idle | Place::Maximum => return,
                Place::Timed if kind != Kind::Call => return self.wheel.cancel(ticket),
                Place::Timed | Place::Shut => {
                    let mut ring = self.gates[gate].waiting;
                    ring.remove(&mut self.nodes, id);
                    self.gates[gate].waiting = ring;
                    if place == Place::Timed && timer_of(ring, &self.nodes).is_none() {
                        self.wheel.cancel(ticket);
                    }
                    return;
                }
                Place::Ready if parent == NIL => {
                    return self.order.leave(self.nodes[id].turn(), &self.nodes);
                }
                Place::Ready => {
                    let mut ring = self.nodes[parent].ready();
                    let was_front = ring.front() == id;
                    ring.remove(&mut self.nodes, id);
                    self.nodes[parent].branch_mut().ready = ring;
                    if !ring.is_empty() {
                        if was_front {
                            self.front_changed(parent);
                        }
                        return;
                    }
                    id = parent;
                }
            }
        }
    }

    /// The request to which a node's fronts lead may be another one: its gate may open at another instant for it, and in
    /// an order by arrival or size it may rank otherwise.
    pub(super) fn front_changed(&mut self, mut id: u32) {
        loop {
            let Node { place, parent, gate, held_by, kind, .. } = self.nodes[id];
            let regates = kind != Kind::Call && matches!(place, Place::Timed | Place::Shut);
            let reranks = place == Place::Ready && parent == NIL && self.policy.reads_front();
            if regates || reranks {
                let why = if reranks { self.stood_for(id) } else { held_by };
                self.leave(id);
                // A throttle lets nothing pass before an instant that is the same for all.
                let for_all = regates && self.gates[gate].reasons().0 == why;
                if regates && !for_all && self.makes_room_at > self.clock {
                    return self.wait_until(id, self.makes_room_at, why);
                }
                return self.stand(id, why);
            }
            if place != Place::Ready || parent == NIL || self.nodes[parent].ready().front() != id {
                return;
            }
            id = parent;
        }
    }

    /// A gate has room again: who waits for that takes a stand, in the order in which they came. Who waits for an instant goes
    /// on waiting for it.
    pub(super) fn let_in(&mut self, gate: u32) {
        let waiting = self.gates[gate].waiting.iter(&self.nodes);
        let shut: Vec<_> = waiting.filter(|id| self.nodes[*id].place == Place::Shut).collect();
        for id in shut {
            let why = self.nodes[id].held_by;
            self.leave(id);
            self.stand(id, why);
        }
    }

    /// What was waited for at a gate is there: who waits takes a stand, in the order in which they came.
    pub(super) fn gate_due(&mut self, gate: u32) {
        let at = &mut self.gates[gate];
        let mut waiting = std::mem::take(&mut at.waiting);
        let lets_calls = at.verdict(1, self.clock) == Verdict::Open;
        while let Some(id) = waiting.pop_front(&self.nodes) {
            let node = &mut self.nodes[id];
            let why = node.held_by;
            (node.place, node.ticket) = (Place::Idle, NO_TIMER);
            if lets_calls && node.parent == NIL && node.kind == Kind::Call {
                self.enter(id, why);
            } else {
                self.stand(id, why);
            }
        }
    }

    /// The nodes from the root whose turn it is to the lane whose request starts. If one of them stands although its gate
    /// has closed, it goes to wait there, and there is none.
    #[inline]
    pub(super) fn path(&mut self, turn: Turn, stand: Stand) -> Option<Path> {
        let mut path = Path { nodes: [NIL; LEVELS], gates: [NIL; LEVELS], len: 0 };
        let mut id = stand.node;
        loop {
            let node = &self.nodes[id];
            if self.verdict_of(id, node) != Verdict::Open {
                break;
            }
            (path.nodes[path.len], path.gates[path.len]) = (id, node.gate);
            path.len += 1;
            match &node.part {
                Part::Lane(_) => return Some(path),
                Part::Branch(branch) => id = branch.ready.front(),
            }
        }
        let why = self.nodes[id].held_by;
        if path.len == 0 {
            self.nodes[id].place = Place::Idle;
            self.order.take(turn, stand, &self.nodes);
        } else {
            self.leave(id);
        }
        self.stand(id, why);
        None
    }

    /// What held a root last, or another node that is not ready.
    #[inline]
    pub(super) fn stood_for(&self, id: u32) -> Reason {
        let node = &self.nodes[id];
        let stands = node.place == Place::Ready;
        let held = stands.then(|| self.order.held(node.turn(), node.ticket, self.clock));
        held.flatten().unwrap_or(node.held_by)
    }

    /// What held the requests of a lane last, or those that are ready beneath a branch, if something waits there.
    pub fn waited_for(&self, mut id: u32) -> Reason {
        loop {
            let node = &self.nodes[id];
            if node.place != Place::Ready || node.parent == NIL {
                return self.stood_for(id);
            }
            if self.just_stood(node) {
                return node.held_by;
            }
            id = node.parent;
        }
    }

    /// Whether a node that stands in its parent's ring has come there at this very instant: then it has not waited for what
    /// its parent has.
    #[inline]
    fn just_stood(&self, node: &Node) -> bool {
        !self.order.stood_before(node.ticket, self.clock)
    }

    /// What held each node of a path whose request is about to start.
    #[inline]
    pub(super) fn held_on(&self, turn: Turn, stand: Stand, path: &Path) -> [Reason; LEVELS] {
        let rested = self.order.held(turn, stand.number as u32, self.clock);
        let mut held = [rested.unwrap_or_else(|| self.nodes[stand.node].held_by); LEVELS];
        for level in 1..path.len {
            let node = &self.nodes[path.nodes[level]];
            held[level] = if self.just_stood(node) { node.held_by } else { held[level - 1] };
        }
        held
    }

    /// The timer of a message's node has fired.
    pub(super) fn node_due(&mut self, id: u32) {
        let node = &mut self.nodes[id];
        debug_assert_eq!(node.place, Place::Timed, "a node's timer goes with its place");
        let why = node.held_by;
        (node.place, node.ticket) = (Place::Idle, NO_TIMER);
        self.stand(id, why);
    }

    /// The root above a node.
    #[inline]
    pub(super) fn root_of(&self, mut id: u32) -> u32 {
        loop {
            match self.nodes[id].parent {
                NIL => return id,
                parent => id = parent,
            }
        }
    }

    /// A tenant's share class may be another one: its roots go to the lines of that class, and keep their ranks.
    pub(super) fn reclass(&mut self, tenant: u32) {
        if let Some(root) = self.tenants[tenant].roots.first() {
            self.reclass_beside(*root);
        }
    }

    /// As [`Engine::reclass`], of a root's tenant: without a look at the tenant.
    pub(super) fn reclass_beside(&mut self, root: u32) {
        let mut next = root;
        loop {
            let id = next;
            let node = &self.nodes[id];
            let (Node { place, route, class, .. }, branch) = (*node, node.branch());
            let tenant = branch.tenant;
            next = branch.sibling;
            let moves = match place {
                Place::Ready => self.ledger.class(tenant, route) != Some(class),
                Place::Maximum => self.ledger.class(tenant, route).is_some(),
                _ => false,
            };
            if moves {
                let why = self.stood_for(id);
                self.leave(id);
                self.stand(id, why);
            }
            if next == root {
                return;
            }
        }
    }
}

/// The timer of those who wait at a gate for its instant, if any do.
#[inline]
pub(super) fn timer_of(waiting: Ring, nodes: &Slab<Node>) -> Option<Handle> {
    let mut id = waiting.front();
    while id != NIL {
        let node = &nodes[id];
        if node.place == Place::Timed {
            return Some(node.ticket);
        }
        id = node.link.next();
    }
    None
}

/// The nodes from a root down to a lane.
#[derive(Clone, Copy, Debug)]
pub(super) struct Path {
    pub nodes: [u32; LEVELS],
    /// Of each node, or [`NIL`].
    pub gates: [u32; LEVELS],
    pub len: usize,
}

impl Path {
    /// The lane.
    #[inline]
    pub const fn lane(&self) -> u32 {
        self.nodes[self.len - 1]
    }
}
