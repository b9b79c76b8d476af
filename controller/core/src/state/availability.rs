//! The read model of what is available (MT-27).

use std::sync::Arc;

use busyhour_base::{AccountSid, Reason, Span};

use super::State;
use crate::{
    engine::ledger::{
        Carrier, Direction,
        shares::{Group, Share},
    },
    engine::turn::RouteId,
    spec::{Unused, Urgency},
    view::{Availability, CarrierView, GroupView, LineView, PoppersView, Room, ShareView, Spent},
};

impl State {
    /// Every carrier, in order of name.
    pub fn carriers(&self) -> impl Iterator<Item = CarrierView> {
        self.carrier_names.iter().map(|(name, id)| {
            let (carrier, ledger) = (&self.carriers[*id], self.engine.ledger().get(*id));
            let (contract, tariff) = (ledger.contract(), ledger.tariff());
            CarrierView {
                name: Arc::clone(name),
                group: self.group_name(contract.group),
                channels: contract.channels.total(),
                contract: contract.channels,
                active: ledger.active(),
                unused: self.unused(name),
                availability: availability(ledger),
                outbound: self.outbound(ledger),
                inbound: self.inbound(ledger),
                service_ports: contract.ports,
                setup_spacing: Span(contract.spacing),
                setups_1s: carrier.setups.read(self.now),
                spent: Spent {
                    per_minute_micros: tariff.price(0),
                    minutes: tariff.seconds() / 60,
                    micros: tariff.micros(),
                    is_committed: tariff.is_committed(),
                },
            }
        })
    }

    /// Every group of carriers, in order of name.
    pub fn groups(&self) -> impl Iterator<Item = GroupView> {
        self.groups.iter().map(|(name, id)| {
            let group = self.engine.ledger().group(*id);
            GroupView {
                name: Arc::clone(name),
                free: group.room,
                guaranteed: group.unfilled,
                expected: group.kept,
                margin: group.margin,
                lendable: group.room.saturating_sub(group.threshold(2)),
            }
        })
    }

    /// The lines in which somebody stands, at most so many, the most urgent of each route first.
    pub fn lines(&self, max: usize) -> Vec<LineView> {
        let lines = self.engine.lines().take(max).map(|(turn, standing, rests)| LineView {
            carriers: self.carriers_of(turn.route),
            urgency: match turn.urgency {
                0 => Urgency::Inbound,
                1 => Urgency::Synchronous,
                _ => Urgency::Ordinary,
            },
            class: turn.class,
            standing,
            held_by: rests.unwrap_or(Reason::Ready),
        });
        lines.collect()
    }

    /// The poppers of the routes for which something waits or lately did, at most so many routes.
    pub fn poppers(&self, max: usize) -> Vec<PoppersView> {
        let crews = self.engine.poppers(self.now);
        let crews = crews.filter(|(_, crew, _)| crew.waiting > 0 || crew.number > 0).take(max);
        let poppers = crews.map(|(route, crew, capacity)| PoppersView {
            carriers: self.carriers_of(route),
            number: crew.number,
            most: self.options.poppers_max,
            at_work: crew.at_work,
            waiting: crew.waiting,
            capacity,
        });
        poppers.collect()
    }

    fn carriers_of(&self, route: RouteId) -> Vec<Arc<str>> {
        let carriers = self.engine.ledger().route(route);
        carriers.map(|id| Arc::clone(&self.carriers[id].name)).collect()
    }

    /// The shares of a tenant.
    pub fn shares_of(&self, account: AccountSid) -> impl Iterator<Item = ShareView> {
        let tenant = self.accounts.get(&account).copied();
        let shares = tenant.into_iter().flat_map(|id| self.engine.ledger().shares().of(id));
        shares.map(move |share| {
            let group = self.engine.ledger().group(share.group);
            ShareView {
                account,
                group: self.group_name(share.group),
                guaranteed: share.terms.guaranteed,
                expected: share.terms.expected,
                maximum: Some(share.terms.maximum).filter(|maximum| *maximum < u32::MAX),
                lend_permille: share.terms.lend_permille,
                outbound: share.outbound,
                inbound: share.inbound,
                room: self.why_full(share.group, room(share, &group)),
            }
        })
    }

    /// What a tenant is told of a group without room is what its carriers say: of several reasons one that can be changed.
    fn why_full(&self, group: u16, room: Room) -> Room {
        if room.binding != Reason::CarrierChannels {
            return room;
        }
        let carriers = self.carrier_names.values().map(|id| self.engine.ledger().get(*id));
        let of_it = carriers.filter(|one| one.contract().group == group && one.room() == 0);
        let mut reasons = of_it.filter_map(|one| one.blocked(self.now));
        let other = reasons.find(|reason| *reason != Reason::CarrierChannels);
        Room { binding: other.unwrap_or(room.binding), ..room }
    }

    fn group_name(&self, id: u16) -> Arc<str> {
        let name = self.groups.iter().find(|(_, other)| **other == id);
        name.map_or_else(|| Arc::from(""), |(name, _)| Arc::clone(name))
    }

    fn unused(&self, name: &str) -> Unused {
        let declared = self.declaration.carriers.iter().find(|carrier| *carrier.name == *name);
        declared.map_or(Unused::Off, |carrier| carrier.allocation.unused)
    }

    fn outbound(&self, carrier: &Carrier) -> Room {
        let group = self.engine.ledger().group(carrier.contract().group);
        let binding = carrier.blocked(self.now).unwrap_or(if group.room > group.unfilled {
            Reason::Ready
        } else {
            Reason::ChannelsKept
        });
        Room { calls: carrier.room(), binding }
    }

    fn inbound(&self, carrier: &Carrier) -> Room {
        let calls = carrier.room_inbound();
        let binding = if calls > 0 { Reason::Ready } else { Reason::CarrierChannels };
        Room { calls, binding }
    }
}

fn availability(carrier: &Carrier) -> Availability {
    let [outbound, inbound] =
        [Direction::Outbound, Direction::Inbound].map(|direction| carrier.held(direction));
    let (active, channels) = (carrier.active(), carrier.contract().channels);
    let activating = carrier.activating().total();
    let (reserved, free) = (carrier.reserved(), carrier.free());
    let held = outbound.total() + inbound.total();
    Availability {
        free: free - reserved,
        reserved,
        leased: outbound.leased + inbound.leased,
        in_use: outbound.in_use + inbound.in_use,
        quarantined: carrier.quarantined(),
        activating,
        inactive: channels.total() - active.total() - activating,
        beyond: (free + held).saturating_sub(active.total()),
    }
}

/// How many more channels a tenant could take one after the other, as the shares are.
fn room(share: &Share, group: &Group) -> Room {
    let (mut one, mut sums, mut calls) = (*share, *group, 0);
    loop {
        let binding = match one.class() {
            None => Some(Reason::TenantChannels),
            Some(_) if sums.room == 0 => Some(Reason::CarrierChannels),
            Some(class) if sums.room <= sums.threshold(class) => Some(Reason::ChannelsKept),
            Some(2) => {
                // From here on every channel is taken on the same terms.
                let more = (sums.room - sums.threshold(2)).min(u64::from(one.left()));
                calls += more as u32;
                None
            }
            Some(_) => {
                calls += 1;
                (sums.unfilled, sums.kept) =
                    (sums.unfilled - u64::from(one.unfilled()), sums.kept - u64::from(one.kept()));
                one.outbound += 1;
                sums.room -= 1;
                sums.unfilled += u64::from(one.unfilled());
                sums.kept += u64::from(one.kept());
                continue;
            }
        };
        let binding = if calls > 0 { Reason::Ready } else { binding.unwrap_or(Reason::Ready) };
        return Room { calls, binding };
    }
}
