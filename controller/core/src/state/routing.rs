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
        for request in self.passed_on() {
            // Other carriers may be there by now, or none but those that have failed it.
            let LaneOwner { key, canceled, .. } = self.lanes[self.requests.lane(request)];
            let stays = canceled.is_some() || stale.contains(&key.route);
            if !stays && self.present_key(request) != key {
                waiting.push((self.requests.call(request), request));
            }
        }
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

    /// The route of a call by the table in force.
    pub(super) fn route_by_table(&self, request: u32) -> RouteId {
        let tenant = self.lanes[self.requests.lane(request)].tenant;
        let spec = self.requests.spec(request);
        self.route_of(tenant, &spec.from, &spec.to)
    }

    /// What the lane of a request is of: by the table in force, without the carriers that have failed it since it was last
    /// placed, unless no other is left. What some carrier has failed has passed its throttles and caps: it is the same call.
    fn present_key(&mut self, request: u32) -> LaneKey {
        let key = self.lanes[self.requests.lane(request)].key;
        let route = self.route_by_table(request);
        let failed = self.failed_by(request);
        let left = if failed.is_empty() { None } else { self.route_without(route, &failed) };
        let passed = self.was_passed_on(request);
        LaneKey { route: left.unwrap_or(route), passed, ..key }
    }

    /// Whether some carrier has failed a call since it was last placed.
    fn was_passed_on(&self, request: u32) -> bool {
        let last = self.earlier.get(&request).and_then(|all| all.last());
        last.is_some_and(|last| last.passed_on)
    }

    /// Calls that wait and that some carrier has failed since they were last placed.
    fn passed_on(&self) -> Vec<u32> {
        let waits =
            |request: u32| matches!(self.requests.stage(request), Stage::Queued | Stage::Scheduled);
        let last =
            self.earlier.iter().filter(|(_, all)| all.last().is_some_and(|one| one.passed_on));
        last.map(|(request, _)| *request).filter(|request| waits(*request)).collect()
    }

    /// The carriers that have failed a call since it was last placed, as far as they are known still.
    fn failed_by(&self, request: u32) -> Vec<u32> {
        let earlier = self.earlier.get(&request).map_or(&[][..], Vec::as_slice);
        let failed = earlier.iter().rev().take_while(|attempt| attempt.passed_on);
        failed.filter_map(|attempt| self.carrier_names.get(&attempt.carrier).copied()).collect()
    }

    fn route_without(&mut self, route: RouteId, failed: &[u32]) -> Option<RouteId> {
        self.engine.route_without(route, failed).or_else(|| {
            self.reclaim_routes();
            self.engine.route_without(route, failed)
        })
    }

    /// A request that waits goes to the end of the lane that the table in force leads it to.
    fn reroute(&mut self, request: u32) {
        let key = self.present_key(request);
        let old = self.requests.lane(request);
        let batch = self.lanes[old].batch.map(|batch| &self.batches[batch]);
        let held_by = match (self.engine.waited_for(old), batch) {
            // What was never started is held by nothing that a tenant could name.
            (Reason::Draft, _) => Reason::Ready,
            (Reason::BatchStarting, Some(batch)) => batch.held_before_run_up,
            (held_by, _) => held_by,
        };
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
        self.engine.carry_share(old, lane);
        self.with_requests(tenant, |requests| requests.move_to(request, lane, batch.is_some()));
        self.release_lane(old);
        lane
    }

    /// The lane in which a call waits again: its route may be another one by now.
    pub(super) fn lane_again(&mut self, request: u32) -> u32 {
        let lane = self.requests.lane(request);
        if self.lanes[lane].canceled.is_some() {
            return lane;
        }
        let key = self.present_key(request);
        self.move_to(request, key)
    }

    /// Whether a call goes to another carrier: its own failed it for good, nobody answered, it may still start, and there is
    /// one that has not failed it.
    pub(super) fn has_next_carrier(&mut self, id: u32, live: u32, ending: &Ending) -> bool {
        let live = self.live[live];
        let failed = ending.reason == Reason::CarrierFailure && ending.confirmed;
        let wanted = live.answered_at.is_none() && live.hang_up.is_none();
        let canceled = self.lanes[self.requests.lane(id)].canceled.is_some();
        let expires = self.requests.times(id).expires;
        let over = canceled || expires.is_some_and(|at| at.0 <= self.now);
        if !failed || !wanted || over || self.is_inbound(id) {
            return false;
        }
        let (route, mut failed) = (self.route_by_table(id), self.failed_by(id));
        failed.push(live.carrier);
        self.route_without(route, &failed).is_some()
    }

    /// A carrier failed a call, and it goes over the others: in a queue beside that of those that have not had their turn, behind
    /// those that were failed before it.
    pub(super) fn try_elsewhere(
        &mut self,
        id: u32,
        live: u32,
        ending: &Ending,
        fx: &mut Vec<Effect>,
    ) {
        self.attempt_ended(id, live, ending, true);
        let lane = self.lane_again(id);
        self.requests.set_stage(id, Stage::Queued);
        let asked = asked(self.requests.call(id));
        self.engine.push_back(lane, id, asked, Reason::CarrierFailure);
        self.changed(id, crate::effect::Phase::Queued, fx);
    }

    /// What is to be said of the last carrier's failure: that there was no other left.
    pub(super) fn exhausted(&self, id: u32, ending: &mut Ending) {
        if ending.reason == Reason::CarrierFailure && self.was_passed_on(id) {
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
