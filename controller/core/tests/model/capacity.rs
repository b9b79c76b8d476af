//! Carriers, tenants' shares of them, and over which of them a request could go (MT-7, MT-11 to MT-17).

use std::collections::{BTreeMap, BTreeSet};

use busyhour_base::{Reason, Span};
use busyhour_controller_core::{
    command::Capacity as Said,
    spec::{DEFAULT_GROUP, Declaration, Destination, Price, Share},
};

use super::{
    Instant,
    carrier::{Line, Way, still_said, wanted},
};

/// All carriers that were ever declared, and the tenants' shares.
#[derive(Default)]
pub struct Capacity {
    lines: Vec<Line>,
    /// Places of the declared ones, in the order of declaration.
    order: Vec<usize>,
    /// By account and group.
    shares: BTreeMap<(u128, String), Share>,
}

/// The carriers that can serve a request and their prices, as numbers of [`Capacity`].
pub type Route = Vec<(usize, Vec<(u64, u64)>)>;

impl Capacity {
    /// Whether the guarantees of a declaration would be more than what is active of its carriers.
    pub fn overcommitted(&self, declaration: &Declaration) -> bool {
        let mut left: BTreeMap<&str, i64> = BTreeMap::new();
        for carrier in &declaration.carriers {
            let before =
                self.lines.iter().find(|line| line.there && line.declared.name == carrier.name);
            let (active, reserve, _) =
                before.map_or((None, None, None), |line| still_said(line, carrier));
            let active = wanted(carrier, active);
            let both = active.both.saturating_sub(reserve.unwrap_or(carrier.reserve));
            let most = (active.outbound + both).min(carrier.service_ports);
            *left.entry(&carrier.group).or_default() += i64::from(most);
        }
        for share in declaration.tenants.iter().flat_map(|tenant| &tenant.shares) {
            *left.entry(&share.group).or_default() -= i64::from(share.guaranteed);
        }
        left.values().any(|left| *left < 0)
    }

    pub fn declare(&mut self, declaration: &Declaration, now: Instant) {
        for line in &mut self.lines {
            line.there &=
                declaration.carriers.iter().any(|carrier| carrier.name == line.declared.name);
            if !line.there {
                line.activate(now);
            }
        }
        for carrier in &declaration.carriers {
            let line = self.lines.iter_mut().find(|line| line.declared.name == carrier.name);
            match line {
                Some(line) if line.forgotten => *line = Line::new(carrier),
                Some(line) => line.declare(carrier, now),
                None => self.lines.push(Line::new(carrier)),
            }
        }
        let places = declaration.carriers.iter().map(|carrier| self.named(&carrier.name));
        self.order = places.collect();
        let shares = declaration.tenants.iter().flat_map(|tenant| {
            let account = tenant.account.0;
            tenant
                .shares
                .iter()
                .map(move |share| ((account, share.group.to_string()), share.clone()))
        });
        self.shares = shares.collect();
        self.forget(now);
    }

    /// Carriers that are not declared any more are forgotten when nothing is left of them.
    pub fn forget(&mut self, now: Instant) {
        for line in &mut self.lines {
            let rests = line.next_setup().is_none_or(|at| at <= now);
            line.forgotten |= !line.there && line.holds_nothing() && rests;
        }
    }

    pub fn say(&mut self, said: &Said, now: Instant) {
        let line = self.named(&said.carrier);
        let line = &mut self.lines[line];
        line.active = said.active.or(line.active);
        line.reserve = said.reserve.or(line.reserve);
        line.margin = said.margin.or(line.margin);
        line.activate(now);
    }

    pub fn named(&self, name: &str) -> usize {
        let line = self.lines.iter().position(|line| *line.declared.name == *name);
        line.expect("it was declared")
    }

    /// Whether a carrier is declared.
    pub fn has(&self, name: &str) -> bool {
        self.lines.iter().any(|line| line.there && *line.declared.name == *name)
    }

    pub fn len(&self) -> usize {
        self.lines.len()
    }

    pub fn line(&self, at: usize) -> &Line {
        &self.lines[at]
    }

    pub fn line_mut(&mut self, at: usize) -> &mut Line {
        &mut self.lines[at]
    }

    /// The declared carriers that connect to this number.
    pub fn route(&self, to: &str) -> Route {
        let lines = self.lines.iter().enumerate();
        let prices = |prices: &[Price]| {
            prices.iter().map(|price| (price.from_minutes, price.per_minute_micros)).collect()
        };
        lines.filter_map(|(at, line)| Some((at, prices(line.prices(to)?)))).collect()
    }

    /// The same without the carriers that could not complete a call, unless nobody else is left.
    pub fn route_without(&self, to: &str, without: &[usize]) -> Route {
        let mut others = self.route(to);
        others.retain(|(line, _)| !without.contains(line));
        if others.is_empty() { self.route(to) } else { others }
    }

    /// Who serves what, at which prices.
    pub fn served(&self) -> Vec<(String, Vec<Destination>, Vec<Price>)> {
        let there = self.order.iter().map(|at| &self.lines[*at].declared);
        let served =
            there.map(|of| (of.name.to_string(), of.serves.clone(), of.tariff.prices.clone()));
        served.collect()
    }

    /// The group whose channels a route shares.
    fn group(&self, route: &Route) -> &str {
        route.first().map_or(DEFAULT_GROUP, |(line, _)| &self.lines[*line].declared.group)
    }

    fn of(&self, group: &str) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(move |line| *line.declared.group == *group)
    }

    /// Channels of a group that a tenant holds for calls this way.
    fn used(&self, account: u128, group: &str, way: Way) -> u32 {
        self.of(group).map(|line| line.held_by(account, way)).sum()
    }

    /// 0 below its guarantee, 1 within what is expected, 2 beyond; 3 if it has all that it may have.
    pub fn class(&self, account: u128, route: &Route) -> u8 {
        if route.is_empty() {
            return 2;
        }
        self.class_in(account, self.group(route))
    }

    /// Guarantees and expectations are of outbound channels; the maximum is of all.
    fn class_in(&self, account: u128, group: &str) -> u8 {
        let Some(share) = self.shares.get(&(account, group.to_owned())) else { return 2 };
        let outbound = self.used(account, group, Way::Outbound);
        match outbound {
            used if used + self.used(account, group, Way::Inbound) >= share.maximum => 3,
            used if used < share.guaranteed => 0,
            used if used < share.expected => 1,
            _ => 2,
        }
    }

    fn shares_of<'a>(&'a self, group: &'a str) -> impl Iterator<Item = (u128, &'a Share)> {
        let of = self.shares.iter().filter(move |((_, other), _)| *other == *group);
        of.map(|((account, _), share)| (*account, share))
    }

    /// Guaranteed channels of a group that their tenants do not use.
    fn unfilled(&self, group: &str) -> u32 {
        let unfilled = |(account, share): (u128, &Share)| {
            share.guaranteed.saturating_sub(self.used(account, group, Way::Outbound))
        };
        self.shares_of(group).map(unfilled).sum()
    }

    /// How many free channels are not for this class: guarantees that are not filled are kept from all who have theirs;
    /// what is expected and not lent, and the margin, also from those who have what they expect.
    fn kept(&self, class: u8, group: &str) -> u32 {
        let not_lent = |(account, share): (u128, &Share)| {
            let used = self.used(account, group, Way::Outbound);
            let idle = share.expected.saturating_sub(used.max(share.guaranteed));
            idle - (u64::from(idle) * u64::from(share.lend_permille) / 1_000) as u32
        };
        let expected: u32 = self.shares_of(group).map(not_lent).sum();
        let declared = self.of(group).filter(|line| line.there);
        let margin: u32 = declared.map(|line| line.margin.unwrap_or(line.declared.margin)).sum();
        match class {
            0 => 0,
            1 => self.unfilled(group),
            _ => self.unfilled(group) + expected + margin,
        }
    }

    fn room(&self, group: &str) -> u32 {
        self.of(group).map(Line::room).sum()
    }

    /// The free channels are kept for others.
    fn keeps_from(&self, class: u8, route: &Route) -> bool {
        let group = self.group(route);
        self.room(group) <= self.kept(class, group)
    }

    /// Those of the route that can take a call of this class now, in the order in which they are tried: commitments are filled
    /// first, then the cheapest goes first, then the first in the declaration; but any that would take a channel
    /// on which inbound calls are expected goes last.
    pub fn able(&self, class: u8, route: &Route, to: &str, now: Instant) -> Vec<usize> {
        if class > 2 || self.keeps_from(class, route) {
            return Vec::new();
        }
        let able = |line: &Line| line.room() > 0 && line.next_setup().is_none_or(|at| at <= now);
        let of = route.iter().map(|(line, _)| *line);
        let mut able: Vec<_> = of.filter(|line| able(&self.lines[*line])).collect();
        able.sort_by_key(|at| {
            let line = &self.lines[*at];
            let place = self.order.iter().position(|other| other == at);
            (line.spills(), !line.committed(), line.price(to), place)
        });
        able
    }

    /// What keeps a call of this class from every carrier of the route.
    pub fn says(&self, class: u8, route: &Route, now: Instant) -> BTreeSet<Reason> {
        if class > 2 {
            return [Reason::TenantChannels].into();
        }
        if route.is_empty() {
            return [Reason::NoCarrier].into();
        }
        let mut reasons = BTreeSet::new();
        for (at, _) in route {
            reasons.extend(self.lines[*at].says(now));
        }
        if self.keeps_from(class, route) {
            reasons.insert(Reason::ChannelsKept);
        }
        reasons
    }

    /// All that keeps a carrier's offered call from being answered: there is no channel for it, its tenant has all that it may
    /// have, the channel is one that a guarantee needs.
    pub fn keeps_out(&self, at: usize, account: u128) -> BTreeSet<Reason> {
        let line = &self.lines[at];
        let group = &*line.declared.group;
        let full = line.room_inbound() == 0;
        let lost = line.room() - line.room_beside_another();
        let needed = lost > 0 && self.room(group) < self.unfilled(group) + lost;
        let rules = [
            (full, Reason::CarrierChannels),
            (self.class_in(account, group) > 2, Reason::TenantChannels),
            (needed, Reason::ChannelsKept),
        ];
        rules.into_iter().filter(|(binds, _)| *binds).map(|(_, reason)| reason).collect()
    }

    /// A call was answered and lasted for so long.
    pub fn charge(&mut self, line: usize, to: &str, talk: Span, now: Instant) {
        self.lines[line].charge(to, talk, now);
    }

    /// Ends the quarantines, activation times and periods that are over.
    pub fn pass(&mut self, now: Instant) {
        self.lines.iter_mut().for_each(|line| line.pass(now));
    }

    /// The instants at which a carrier can take more by time alone.
    pub fn moments(&self) -> Vec<Instant> {
        self.lines.iter().flat_map(Line::moments).collect()
    }
}
