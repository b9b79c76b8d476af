//! Which carriers can serve a request (MT-7, MT-17): the table of routes follows the declaration, requests follow the
//! table, and a call that a carrier failed goes to the next one.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use busyhour_base::{Ending, Reason};

use super::{
    State,
    calls::{LaneOwner, Stage, asked},
};
use crate::{
    effect::Effect,
    engine::{
        lanes::LaneKey,
        ledger::table::{Draft, Serves},
        turn::RouteId,
    },
    spec::{Carrier, Declaration, Kind, NumberKind, Price},
};

impl State {
    /// The routes of a declaration. Groups are numbered by the declaration alone.
    ///
    /// # Errors
    /// Why there is no such table.
    pub(super) fn draft(declaration: &Declaration) -> Result<Draft, Reason> {
        let mut groups: BTreeMap<&Arc<str>, u16> = BTreeMap::new();
        let serves = declaration.carriers.iter().map(|carrier| {
            let next = groups.len() as u16;
            let group = *groups.entry(&carrier.group).or_insert(next);
            let prices = ladders(carrier);
            let ladder = |own: &Vec<Price>| prices.iter().position(|prices| prices == own);
            Serves::new(group, &carrier.serves, |to| ladder(&to.prices).unwrap_or(0) as u16)
        });
        Draft::new(&serves.collect::<Vec<_>>())
    }

    /// Puts the declaration's routes in force. Requests whose route has gone are looked up again, each by itself.
    pub(super) fn declare_routes(&mut self) {
        let Ok(draft) = Self::draft(&self.declaration) else { return };
        let carriers = self.declaration.carriers.iter();
        let carriers: Vec<_> = carriers.map(|carrier| self.carrier_names[&carrier.name]).collect();
        let stale: BTreeSet<_> = self.engine.route_by(&draft, &carriers).into_iter().collect();
        let lanes = self.lanes.iter().filter(|(_, owner)| stale.contains(&owner.key.route));
        let lanes: Vec<_> = lanes.map(|(lane, _)| lane).collect();
        let waiting = lanes.into_iter().flat_map(|lane| self.waiting_in(lane));
        let mut waiting: Vec<_> =
            waiting.map(|request| (self.requests.call(request), request)).collect();
        // Those that come together in one lane stand there in the order in which they were accepted.
        waiting.sort_unstable();
        for (_, request) in waiting {
            self.reroute(request);
        }
        self.reclaim_routes();
    }

    fn reclaim_routes(&mut self) {
        let used: BTreeSet<_> = self.lanes.iter().map(|(_, owner)| owner.key.route).collect();
        self.engine.reclaim_routes(|route| used.contains(&route));
    }

    /// The requests of a lane that wait for their start or their time, unless they are being canceled.
    fn waiting_in(&self, lane: u32) -> Vec<u32> {
        if self.lanes[lane].canceled.is_some() {
            return Vec::new();
        }
        self.engine.lane_requests(lane).collect()
    }

    /// The route of a call from one number to another.
    pub(super) fn route_of(&self, tenant: u32, from: &str, to: &str) -> RouteId {
        let number = self.tenants[tenant].numbers.get(from);
        let kind = number.map_or(NumberKind::default(), |number| number.kind);
        self.engine.ledger().resolve(Kind::Call, kind, to)
    }

    /// What the lane of a request is of, by the table in force.
    fn key_by_table(&self, request: u32) -> LaneKey {
        let LaneOwner { tenant, key, .. } = self.lanes[self.requests.lane(request)];
        let spec = self.requests.spec(request);
        LaneKey { route: self.route_of(tenant, &spec.from, &spec.to), ..key }
    }

    /// A request that waits goes to the end of the lane that the table in force leads it to.
    fn reroute(&mut self, request: u32) {
        let key = self.key_by_table(request);
        let old = self.requests.lane(request);
        let held_by = self.held_by(request);
        let scheduled = self.requests.stage(request) == Stage::Scheduled;
        if scheduled {
            self.engine.take_up(old, request);
        } else {
            self.engine.unqueue(old, request);
        }
        let lane = self.move_to(request, key);
        if scheduled {
            self.engine.put_off(lane, request);
        } else {
            self.engine.push_back(lane, request, asked(self.requests.call(request)), held_by);
        }
    }

    /// A request that is in no queue belongs to another lane of its tenant from now on.
    fn move_to(&mut self, request: u32, key: LaneKey) -> u32 {
        let old = self.requests.lane(request);
        let LaneOwner { tenant, batch, key: before, .. } = self.lanes[old];
        if before == key {
            return old;
        }
        let lane = self.lane_of(tenant, batch, key);
        self.lanes[lane].requests += 1;
        self.requests.move_to(request, lane, batch.is_some());
        self.release_lane(old);
        lane
    }

    /// A call that waits for its next attempt may go over any carrier again.
    pub(super) fn route_anew(&mut self, request: u32) -> u32 {
        let key = self.key_by_table(request);
        self.move_to(request, key)
    }

    /// The lane over the carriers that have not failed this call, if that is what it needs: its carrier failed it, nobody
    /// answered, and there is another one.
    pub(super) fn next_carrier(&mut self, id: u32, live: u32, ending: &Ending) -> Option<LaneKey> {
        let live = self.live[live];
        let LaneOwner { key, canceled, .. } = self.lanes[self.requests.lane(id)];
        let failed = ending.reason == Reason::CarrierFailure && ending.confirmed;
        let wanted = live.answered_at.is_none() && live.hang_up.is_none() && canceled.is_none();
        if !failed || !wanted || self.is_inbound(id) {
            return None;
        }
        let route = self.engine.route_without(key.route, &[live.carrier]);
        let route = route.or_else(|| {
            self.reclaim_routes();
            self.engine.route_without(key.route, &[live.carrier])
        });
        Some(LaneKey { route: route?, ..key })
    }

    /// A carrier failed a call, and it goes over the others: before those that have not had their turn.
    pub(super) fn try_elsewhere(
        &mut self,
        id: u32,
        live: u32,
        ending: &Ending,
        key: LaneKey,
        fx: &mut Vec<Effect>,
    ) {
        self.attempt_ended(id, live, ending);
        let lane = self.move_to(id, key);
        self.requests.set_stage(id, Stage::Queued);
        let asked = asked(self.requests.call(id));
        self.engine.push_front(lane, id, asked, Reason::CarrierFailure);
        self.changed(id, crate::effect::Phase::Queued, fx);
    }

    /// What is to be said of the last carrier's failure: that there was no other left.
    pub(super) fn exhausted(&self, id: u32, ending: &mut Ending) {
        if ending.reason == Reason::CarrierFailure
            && self.lanes[self.requests.lane(id)].key.route != self.key_by_table(id).route
        {
            ending.reason = Reason::CarriersExhausted;
        }
    }
}

/// The prices of a carrier: its own, then those of each of its destinations that has some.
pub(super) fn ladders(carrier: &Carrier) -> Vec<Vec<Price>> {
    let mut ladders = vec![carrier.tariff.prices.clone()];
    for prices in carrier.serves.iter().map(|to| &to.prices).filter(|prices| !prices.is_empty()) {
        if !ladders.contains(prices) {
            ladders.push(prices.clone());
        }
    }
    ladders
}
