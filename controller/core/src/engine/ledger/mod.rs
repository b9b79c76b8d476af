//! The channel ledger (MT-11 to MT-17): every carrier's channels, set-up rate and service ports, who may take a channel, and
//! over which carrier.
//!
//! An active channel is free, held for inbound calls, leased, in use or in quarantine, and these add up in every state.
//! A channel whose call's end the carrier has not confirmed goes into quarantine, because the carrier may still count it.
//!
//! | file | what it is |
//! |---|---|
//! | `carrier` | one carrier's channels |
//! | `tariff` | what it costs, and what was used |
//! | `table`, `routes` | which carriers can serve a request, in which order |
//! | `shares` | which tenant may take a channel |

use busyhour_base::Reason;
use serde::{Deserialize, Serialize};

use super::{
    poppers::REACH_US,
    ring::NIL,
    slab::Slab,
    turn::{Denied, RouteId, Turn},
};
use crate::spec::{Kind, NumberKind};

pub mod carrier;
mod check;
pub mod routes;
pub mod shares;
pub mod table;
pub mod tariff;

use carrier::Quarantined;
pub use carrier::{Carrier, Contract, Direction, Held};
pub use routes::{Candidate, Route, Routes};
use shares::{Group, Share, Shares};
use table::Draft;

/// How late a set-up may be and still keep the carrier's grid, in microseconds.
///
/// A tenant's grid forgives more, but a carrier's contract is counted by the carrier: N + 1 set-ups must span
/// more than a second *as sent*. The declared spacing holds a guard of 20 ms in a second, of which this is half; the other
/// half is left to the way from the log to the wire.
pub const SETUP_LATENESS_MAX_US: u64 = 10_000;

/// What a call holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Hold {
    /// A channel of this carrier,
    pub carrier: u32,
    /// in the share of this tenant,
    pub tenant: u32,
    /// in this direction.
    pub direction: Direction,
    /// The agent has not said yet that it was sent.
    pub leased: bool,
}

/// Every carrier, and who may use it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Ledger {
    carriers: Slab<Carrier>,
    /// In the order of declaration; then those that only have calls left.
    order: Vec<u32>,
    /// A table of routes is in force.
    routed: bool,
    routes: Routes,
    groups: Vec<Group>,
    shares: Shares,
}

impl Ledger {
    /// A new carrier. The channels that are to be active are so at once.
    pub fn add(&mut self, contract: Contract) -> u32 {
        self.sums(contract.group);
        let id = self.carriers.insert(Carrier::new(contract.group));
        self.order.push(id);
        self.set(id, Contract { activation: 0, ..contract }, 0);
        self.alter(id, |carrier| carrier.contract = contract);
        self.reroute_any();
        id
    }

    /// Another contract from `now` on, in the same group. Calls beyond a smaller one go on and end as they end.
    pub fn set(&mut self, id: u32, contract: Contract, now: u64) {
        let old = self.carriers[id].contract;
        debug_assert_eq!(old.group, contract.group, "groups change by `regroup`");
        self.alter(id, |carrier| carrier.set(contract, now));
        let sums = self.sums(contract.group);
        sums.margin = sums.margin - u64::from(old.margin) + u64::from(contract.margin);
    }

    /// A carrier belongs to another group. `calls` are those that it has, each with its tenant.
    pub fn regroup(&mut self, id: u32, group: u16, calls: impl Iterator<Item = (u32, Direction)>) {
        self.sums(group);
        let carrier = &self.carriers[id];
        let (old, room) = (carrier.contract.group, u64::from(carrier.room()));
        let margin = u64::from(carrier.contract.margin);
        let kept = carrier.quarantine.iter().map(|kept| (kept.tenant, kept.direction));
        let held: Vec<_> = kept.chain(calls).collect();
        for (tenant, direction) in held {
            self.count(old, tenant, direction, -1);
            self.count(group, tenant, direction, 1);
        }
        let sums = self.sums(old);
        (sums.room, sums.margin) = (sums.room - room, sums.margin - margin);
        let sums = self.sums(group);
        (sums.room, sums.margin) = (sums.room + room, sums.margin + margin);
        self.carriers[id].contract.group = group;
        self.reroute_any();
    }

    /// What a carrier costs.
    pub fn set_tariff(&mut self, id: u32, terms: tariff::Terms) {
        if *self.carriers[id].tariff.terms() != terms {
            self.carriers[id].tariff.set(terms);
            self.rank(Some(id));
        }
    }

    /// Forgets a carrier that holds no channel.
    pub(super) fn remove(&mut self, id: u32) -> Option<Carrier> {
        let carrier = self.carriers.get(id)?;
        let (group, room) = (carrier.contract.group, u64::from(carrier.room()));
        let margin = u64::from(carrier.contract.margin);
        let group = self.sums(group);
        group.room -= room;
        group.margin -= margin;
        self.order.retain(|other| *other != id);
        self.reroute_any();
        self.carriers.remove(id)
    }

    /// The carriers, in the order of declaration; then those that only have calls left.
    pub fn reorder(&mut self, order: Vec<u32>) {
        self.order = order;
        self.reroute_any();
    }

    /// Until there is a table every request goes over every carrier.
    fn reroute_any(&mut self) {
        if !self.routed {
            let any = |id: &u32| Candidate { carrier: *id, ladder: 0 };
            let candidates = self.order.iter().map(any).collect();
            let group = self.order.first().map(|id| self.carriers[*id].contract.group);
            self.routes.set_any(candidates, group);
        }
    }

    /// Puts a table of routes in force, whose carriers are numbered as in `carriers`. Says which routes' requests have to be
    /// looked up again, each by itself.
    pub fn route_by(&mut self, draft: &Draft, carriers: &[u32]) -> Vec<RouteId> {
        let of = |id: &u32| (*id, self.carriers[*id].contract.group);
        let carriers: Vec<_> = carriers.iter().map(of).collect();
        self.routed = true;
        let stale = self.routes.replace(draft, &carriers);
        self.rank(None);
        stale
    }

    /// Whether a table of so many routes can be put in force.
    pub fn has_numbers_for(&self, draft: &Draft) -> bool {
        self.routes.numbers_left() >= draft.contents.len()
    }

    /// Committed carriers first, then the cheapest; at one price in the order of declaration.
    fn rank(&mut self, of: Option<u32>) {
        let Self { carriers, order, routes, .. } = self;
        let mut place = vec![u32::MAX; carriers.bound()];
        for (at, id) in order.iter().enumerate() {
            place[*id as usize] = at as u32;
        }
        routes.rank(of, |one| {
            let tariff = &carriers[one.carrier].tariff;
            (!tariff.is_committed(), tariff.price(one.ladder), place[one.carrier as usize])
        });
    }

    /// The routes.
    pub const fn routes(&self) -> &Routes {
        &self.routes
    }

    /// The route of a request.
    #[inline]
    pub fn resolve(&self, kind: Kind, number: NumberKind, to: &str) -> RouteId {
        self.routes.resolve(kind, number, to)
    }

    /// The route of a request whose route was `id` and that these carriers refused.
    pub fn route_without(&mut self, id: RouteId, refused: &[u32]) -> Option<RouteId> {
        self.routes.without(id, refused)
    }

    /// Routes that nobody waits for can be given again.
    pub fn reclaim_routes(&mut self, used: impl Fn(RouteId) -> bool) {
        self.routes.reclaim(used);
    }

    /// A route's carriers, in the order in which they are tried; none of a route that does not exist.
    pub fn route(&self, id: RouteId) -> impl ExactSizeIterator<Item = u32> {
        self.routes.get(id).candidates.iter().map(|one| one.carrier)
    }

    /// The share class in which a tenant's next call over a route asks for a channel; `None` while it has as many
    /// as it may have at most.
    #[inline]
    pub fn class(&self, tenant: u32, route: RouteId) -> Option<u8> {
        let share = self.routes.get(route).group.and_then(|group| self.shares.get(tenant, group));
        share.map_or(Some(2), Share::class)
    }

    /// Asks memory for a tenant's shares.
    #[inline]
    pub(super) fn soon(&self, tenant: u32) {
        self.shares.soon(tenant);
    }

    /// In the order of declaration.
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

    /// Sums of a group.
    pub fn group(&self, group: u16) -> Group {
        self.groups.get(usize::from(group)).copied().unwrap_or_default()
    }

    /// The tenants' shares.
    pub const fn shares(&self) -> &Shares {
        &self.shares
    }

    /// The first carrier of the route that can take a call of this turn at `at`, or what binds: of several carriers,
    /// the limit that is the first to pass by itself.
    #[inline]
    pub fn pick(&self, turn: Turn, at: u64) -> Result<u32, Denied> {
        let route = self.routes.get(turn.route);
        let group = self.group(route.group.unwrap_or(0));
        if group.room > group.threshold(turn.class) {
            let mut spilling = None;
            for one in &route.candidates {
                let carrier = &self.carriers[one.carrier];
                if carrier.room() == 0 || carrier.rate.next() > at {
                    continue;
                }
                if !carrier.spills() {
                    return Ok(one.carrier);
                }
                spilling = spilling.or(Some(one.carrier));
            }
            if let Some(carrier) = spilling {
                return Ok(carrier);
            }
        }
        Err(self.denial(route, at))
    }

    /// Why a route takes no call at `at`.
    #[cold]
    fn denial(&self, route: &Route, at: u64) -> Denied {
        let (mut binding, mut until) = (None, None);
        for one in &route.candidates {
            let carrier = &self.carriers[one.carrier];
            match carrier.blocked(at) {
                // Its group keeps the free channels.
                None => return Denied { reason: Reason::ChannelsKept, until: None },
                Some(Reason::CarrierRate) => {
                    binding = Some(Reason::CarrierRate);
                    until = Some(carrier.next_setup().min(until.unwrap_or(u64::MAX)));
                }
                Some(reason) => binding = binding.or(Some(reason)),
            }
        }
        Denied { reason: binding.unwrap_or(Reason::NoCarrier), until }
    }

    /// Whether an inbound call of a carrier may be answered: on an inbound-only channel or one that is held for inbound calls, or
    /// on one that no guarantee needs.
    ///
    /// # Errors
    /// What binds.
    pub fn admits(&self, carrier: u32, tenant: u32) -> Result<(), Reason> {
        let one = &self.carriers[carrier];
        let group = self.group(one.contract.group);
        if one.room_inbound() == 0 {
            return Err(Reason::CarrierChannels);
        }
        let share = self.shares.get(tenant, one.contract.group);
        if share.is_some_and(|share| share.class().is_none()) {
            return Err(Reason::TenantChannels);
        }
        let lost = u64::from(one.room() - one.room_beside(one.inbound.total() + 1));
        if lost > 0 && group.room < group.unfilled + lost {
            return Err(Reason::ChannelsKept);
        }
        Ok(())
    }

    /// A tenant's outbound request of so many units that was due at `due` takes a channel; its intent entered the log at `now`.
    /// Whether the tenant's class is another one.
    #[inline]
    pub fn take(&mut self, id: u32, tenant: u32, units: u32, due: u64, now: u64) -> bool {
        let group = self.alter(id, |carrier| {
            if carrier.contract.spacing > 0 {
                carrier.rate.take(due.max(now.saturating_sub(SETUP_LATENESS_MAX_US)), units);
                carrier.units = units;
            }
            carrier.outbound.leased += 1;
        });
        self.count(group, tenant, Direction::Outbound, 1)
    }

    /// An inbound call takes a channel. Set-ups of inbound calls are the carrier's own.
    pub fn take_inbound(&mut self, id: u32, tenant: u32) {
        let group = self.alter(id, |carrier| carrier.inbound.leased += 1);
        self.count(group, tenant, Direction::Inbound, 1);
    }

    /// The agent said that a call was sent.
    pub fn sent(&mut self, id: u32, direction: Direction) {
        let held = self.carriers[id].held_mut(direction);
        held.leased -= 1;
        held.in_use += 1;
    }

    /// A call is over and the carrier knows. Whether its tenant's class is another one.
    pub fn free(&mut self, hold: Hold) -> bool {
        let change = |carrier: &mut Carrier| carrier.let_go(hold.direction, hold.leased);
        let group = self.alter(hold.carrier, change);
        self.count(group, hold.tenant, hold.direction, -1)
    }

    /// A call is over and the carrier may not know before `until`: its channel is kept back, and stays in its tenant's
    /// share.
    pub fn quarantine(&mut self, hold: Hold, until: u64) {
        let Hold { carrier, tenant, direction, leased } = hold;
        self.alter(carrier, |carrier| {
            carrier.let_go(direction, leased);
            carrier.held_mut(direction).quarantined += 1;
        });
        let quarantine = &mut self.carriers[carrier].quarantine;
        let until = quarantine.back().map_or(until, |last| until.max(last.until));
        quarantine.push_back(Quarantined { until, tenant, direction });
    }

    /// What time brings a carrier: channels whose quarantine is over are free again, others become active, a period of its
    /// contract ends. When the next such thing is due. `freed` is told the tenants that have a channel less.
    pub fn keep_house(&mut self, id: u32, now: u64, mut freed: impl FnMut(u32)) -> Option<u64> {
        while let Some(kept) = self.carriers[id].quarantine.pop_front_if(|kept| kept.until <= now) {
            self.alter(id, |carrier| carrier.held_mut(kept.direction).quarantined -= 1);
            let group = self.carriers[id].contract.group;
            self.count(group, kept.tenant, kept.direction, -1);
            freed(kept.tenant);
        }
        self.alter(id, |carrier| carrier.activate(now));
        if self.carriers[id].tariff.roll(now) {
            self.rank(Some(id));
        }
        self.next_change(id)
    }

    /// When something happens to a carrier by itself.
    pub fn next_change(&self, id: u32) -> Option<u64> {
        self.carriers[id].next_change()
    }

    /// A call over a route was answered and lasted for `talk`, in microseconds.
    pub fn charge(&mut self, id: u32, route: RouteId, talk: u64, now: u64) {
        let candidates = &self.routes.get(route).candidates;
        let one = candidates.iter().find(|one| one.carrier == id);
        let ladder = one.map_or(0, |one| one.ladder);
        if self.carriers[id].tariff.charge(ladder, talk, now) {
            self.rank(Some(id));
        }
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

/// For the poppers.
impl Ledger {
    /// How many outbound requests the carriers of a route could take, by their free channels and by what their rates let
    /// through in [`REACH_US`].
    pub fn capacity(&self, route: RouteId) -> u64 {
        let each = self.route(route).map(|id| {
            let carrier = self.get(id);
            let spacing = carrier.contract().spacing;
            let by_rate = REACH_US.div_ceil(spacing.max(1));
            let by_rate = if spacing == 0 { u64::MAX } else { by_rate };
            u64::from(carrier.room()).min(by_rate)
        });
        each.sum()
    }
}

/// Shares and sums.
impl Ledger {
    /// A tenant's share of a group from now on; the default ends it. What the tenant uses stays counted.
    pub fn set_share(&mut self, tenant: u32, group: u16, terms: shares::Terms) {
        self.sums(group);
        let sums = &mut self.groups[usize::from(group)];
        self.shares.change(tenant, group, sums, |share| share.terms = terms);
    }

    /// A tenant is forgotten: no call of it is up.
    pub fn forget_tenant(&mut self, tenant: u32) {
        for group in self.shares.groups_of(tenant) {
            self.set_share(tenant, group, shares::Terms::default());
        }
        self.shares.forget_tenant(tenant);
        for (_, carrier) in self.carriers.iter_mut() {
            carrier.forget_tenant(tenant);
        }
    }

    /// A group is forgotten: no carrier belongs to it.
    pub fn forget_group(&mut self, group: u16) {
        self.shares.forget_group(group);
        *self.sums(group) = Group::default();
    }

    /// Whether the tenant's class is another one.
    #[inline]
    fn count(&mut self, group: u16, tenant: u32, direction: Direction, by: i32) -> bool {
        if tenant == NIL {
            return false;
        }
        self.shares.change(tenant, group, &mut self.groups[usize::from(group)], |share| {
            let count = match direction {
                Direction::Outbound => &mut share.outbound,
                Direction::Inbound => &mut share.inbound,
            };
            *count = count.checked_add_signed(by).expect("a share counts what its tenant holds");
        })
    }

    fn sums(&mut self, group: u16) -> &mut Group {
        let at = usize::from(group);
        if at >= self.groups.len() {
            self.groups.resize(at + 1, Group::default());
        }
        &mut self.groups[at]
    }

    /// Changes a carrier, and its group's free channels with it; that group.
    #[inline]
    fn alter(&mut self, id: u32, change: impl FnOnce(&mut Carrier)) -> u16 {
        let carrier = &mut self.carriers[id];
        let before = carrier.room();
        change(carrier);
        let after = carrier.count_room();
        let number = carrier.contract.group;
        let group = &mut self.groups[usize::from(number)];
        group.room = group.room + u64::from(after) - u64::from(before);
        number
    }
}
