//! Order policies (MT-4). A policy says what a root's rank is when it takes a stand; the smaller goes first, and of
//! equal ones the one that has stood longer. A change ranks everybody who stands anew and moves no request in its lane.
//! Calls and messages each have an engine and so an order of their own; a call is one unit, a message as many as it has segments.
//!
//! | policy | rank |
//! |---|---|
//! | alternating | the same for all, so that tenants take turns |
//! | weighted | the units that the tenant has had, in parts of its weight; who was idle begins where the last served one is |
//! | first come, first served | the number of the oldest request at the front |
//! | plan | the service plan's place: within one, tenants take turns |
//! | kind | the place of the request's kind, see [`super::kinds`]: within one, tenants take turns |
//! | resource use | channel time that the tenant's calls used lately, or segments of its messages that carriers were handed lately; either counts half after each half-life |
//! | random | so much above the last served one's as is drawn from a seed and the number of the stand |

use serde::{Deserialize, Serialize};

use super::{
    Engine,
    node::{Branch, Node},
    order::Floors,
};
use crate::spec::{Kind, OrderPolicy};

/// What a unit costs a tenant of weight 1, and what a segment counts as use: after 22 half-lives it is nothing.
const UNIT: u32 = 1 << 22;

/// What an order policy needs to know of a tenant.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Standing {
    /// For the weighted order: its part of what there is.
    pub weight: u32,
    /// For the order by plan: smaller goes first.
    pub plan: u32,
}

impl Default for Standing {
    fn default() -> Self {
        Self { weight: 1, plan: 0 }
    }
}

/// Channel time that a tenant used lately, or segments that were handed over for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub(super) struct Usage {
    amount: u64,
    /// Half-lives from the beginning of time to the last change.
    era: u64,
}

impl Usage {
    fn at(self, era: u64) -> u64 {
        self.amount >> era.saturating_sub(self.era).min(63)
    }

    fn add(&mut self, amount: u64, era: u64) {
        *self = Self { amount: self.at(era).saturating_add(amount), era };
    }
}

impl OrderPolicy {
    /// Whether a rank depends on which request is at the front.
    pub(super) const fn reads_front(&self) -> bool {
        matches!(self, Self::FirstComeFirstServed)
    }

    /// Whether lines of batches stand apart from calls that were asked for one by one.
    pub(super) const fn parts_kinds(&self) -> bool {
        matches!(self, Self::Kind { .. })
    }

    /// A root's request of so many units was served at this rank.
    #[inline]
    pub(super) const fn served(&self, root: &mut Branch, rank: u64, units: u32) {
        if matches!(self, Self::Weighted) {
            root.pass = rank.saturating_add(root.share as u64 * units as u64);
        }
    }

    fn era(&self, now: u64) -> u64 {
        match self {
            Self::ResourceUse { half_life } => now / half_life.0.max(1),
            _ => 0,
        }
    }
}

impl Engine {
    /// Another order from now on. Everybody keeps the place in its lane, and how long it has stood.
    /// `arrived` tells the number of a waiting request's arrival.
    pub fn set_policy(&mut self, policy: OrderPolicy, arrived: impl Fn(u32) -> u64) {
        if self.policy == policy {
            return;
        }
        self.policy = policy;
        self.arrivals.clear();
        if policy.reads_front() {
            for (_, node) in self.nodes.iter() {
                for request in self.requests.iter(node.queue()) {
                    self.arrivals.note(request, arrived(request));
                }
            }
        }
        self.part_kinds();
        let roots: Vec<_> = self.tenants.iter().flat_map(|(_, t)| t.roots.clone()).collect();
        for id in roots {
            let share = self.share_of(id);
            let root = self.nodes[id].branch_mut();
            (root.pass, root.share) = (0, share);
        }
        self.rerank();
    }

    /// What lower urgencies get at least, from now on.
    pub fn set_floors(&mut self, floors: Floors) {
        self.order.set_floors(floors);
    }

    /// What the policies need to know of a tenant, from now on.
    pub fn set_standing(&mut self, tenant: u32, standing: Standing) {
        if self.tenants[tenant].standing == standing {
            return;
        }
        self.tenants[tenant].standing = standing;
        for at in 0..self.tenants[tenant].roots.len() {
            let id = self.tenants[tenant].roots[at];
            self.nodes[id].branch_mut().share = self.share_of(id);
        }
        if matches!(self.policy, OrderPolicy::Plan) {
            self.rerank();
        }
    }

    fn rerank(&mut self) {
        let mut order = std::mem::take(&mut self.order);
        order.rerank(&self.nodes, |_, stand| {
            self.rank_of(stand.node, &self.nodes[stand.node], stand.number, 0)
        });
        self.order = order;
    }

    /// What the policy keeps in a root, so that a decision need not look at the tenant.
    pub(super) fn share_of(&self, id: u32) -> u32 {
        let standing = self.tenants[self.nodes[id].branch().tenant].standing;
        match self.policy {
            OrderPolicy::Weighted => UNIT / standing.weight.clamp(1, UNIT),
            OrderPolicy::Plan => standing.plan,
            OrderPolicy::Kind { first } => u32::from(self.asked_as(id) != first),
            _ => 0,
        }
    }

    /// The rank of a root that takes a stand.
    #[inline]
    pub(super) fn rank(&self, id: u32, node: &Node) -> u64 {
        let served = self.order.served(node.route, node.urgency);
        self.rank_of(id, node, self.order.next_stand(), served)
    }

    #[inline]
    fn rank_of(&self, id: u32, node: &Node, stand: u64, served: u64) -> u64 {
        match self.policy {
            OrderPolicy::Alternating => 0,
            OrderPolicy::Weighted => node.branch().pass.max(served),
            OrderPolicy::Plan | OrderPolicy::Kind { .. } => u64::from(node.branch().share),
            OrderPolicy::FirstComeFirstServed => self.arrivals.of(self.front_of(id)),
            OrderPolicy::ResourceUse { .. } => {
                let usage = self.tenants[node.branch().tenant].usage;
                usage.at(self.policy.era(self.clock))
            }
            // Above who was served last, so that nobody waits for ever for an unlucky draw.
            OrderPolicy::Random { seed } => served.saturating_add(mix(seed ^ stand) >> 40),
        }
    }

    /// A tenant's call held a channel for so long.
    pub(super) fn used(&mut self, tenant: u32, held: u64) {
        if let OrderPolicy::ResourceUse { .. } = self.policy {
            let era = self.policy.era(self.clock);
            self.tenants[tenant].usage.add(held, era);
        }
    }

    /// A message of a tenant was handed to a carrier. How long that takes to answer is not the tenant's doing, so that it counts
    /// by its segments, and at once.
    #[inline]
    pub(super) fn handed_over(&mut self, tenant: u32, segments: u32) {
        self.used(tenant, u64::from(segments) * u64::from(UNIT));
    }

    fn front_of(&self, mut id: u32) -> u32 {
        loop {
            let node = &self.nodes[id];
            match self.requests.front(node.queue()) {
                Some(request) => return request,
                None => id = node.ready().front(),
            }
        }
    }
}

/// Splitmix64's finaliser: every bit of the result depends on every bit of `x`.
const fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// The arrival numbers of waiting requests; only kept while the policy reads them.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Arrivals(Vec<u64>);

impl Arrivals {
    pub(super) fn clear(&mut self) {
        self.0 = Vec::new();
    }

    pub(super) fn note(&mut self, request: u32, number: u64) {
        let at = request as usize;
        if self.0.len() <= at {
            self.0.resize(at + 1, 0);
        }
        self.0[at] = number;
    }

    pub(super) fn of(&self, request: u32) -> u64 {
        self.0.get(request as usize).copied().unwrap_or(0)
    }
}

/// The units of messages that wait; calls have one.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Units(Vec<u16>);

impl Units {
    pub(super) fn note(&mut self, kind: Kind, request: u32, units: u16) {
        if kind == Kind::Call {
            return;
        }
        let at = request as usize;
        if self.0.len() <= at {
            self.0.resize(at + 1, 1);
        }
        self.0[at] = units.max(1);
    }

    #[inline]
    pub(super) fn of(&self, request: u32) -> u32 {
        self.0.get(request as usize).map_or(1, |units| u32::from(*units))
    }
}
