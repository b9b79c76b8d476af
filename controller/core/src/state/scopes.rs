//! Applications and numbers with limits of their own, and the lanes of a tenant's requests (MT-2, MT-3, MT-7).
//!
//! A lane is there while a request of it is in the state. A gate is there as long as its scope is declared, or a lane
//! passes it: its throttle and its caps remember what has started.

use std::{collections::BTreeSet, sync::Arc};

use busyhour_base::ApplicationSid;
use serde::{Deserialize, Serialize};

use super::{State, calls::LaneOwner};
use crate::{
    engine::{
        caps::Window,
        gate::{GateLimits, Scope},
        lanes::LaneKey,
        ring::NIL,
    },
    spec::{Application, Kind, NewRequest, Number, NumberKind, Pace},
};

/// An application or a number, as far as it limits requests.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Scoped {
    pace: Pace,
    /// Of a number.
    pub kind: NumberKind,
    pub gate: u32,
    /// If not, it goes with its last lane.
    declared: bool,
}

/// Which scope of a tenant.
#[derive(Clone, Debug)]
pub(super) enum Which {
    Application(ApplicationSid),
    Number(Arc<str>),
}

impl State {
    /// What the lane of a request is of, and the gates on its way. A scope that is not declared limits nothing.
    pub(super) fn lane_key(&self, tenant: u32, batch: Option<u32>, new: NewRequest<'_>) -> LaneKey {
        let NewRequest { to, rest: new, .. } = new;
        let state = &self.tenants[tenant];
        let gate = |scope: Option<&Scoped>| scope.map_or(NIL, |scope| scope.gate);
        LaneKey {
            kind: Kind::Call,
            urgency: new.urgency as u8,
            route: self.route_of(tenant, &new.spec.from, to),
            application: gate(new.application.and_then(|sid| state.applications.get(&sid))),
            batch: batch.map_or(NIL, |batch| self.batches[batch].gate),
            number: gate(state.numbers.get(new.spec.from.as_str())),
            passed: false,
        }
    }

    /// The application whose limits a lane is subject to.
    pub(super) fn application_of(&self, lane: &LaneOwner) -> Option<ApplicationSid> {
        let mut applications = self.tenants[lane.tenant].applications.iter();
        let gate = lane.key.application;
        let found = (gate != NIL).then(|| applications.find(|(_, scope)| scope.gate == gate));
        found.flatten().map(|(sid, _)| *sid)
    }

    /// The lane of a request, found or made.
    pub(super) fn lane_of(&mut self, tenant: u32, batch: Option<u32>, key: LaneKey) -> u32 {
        if let Some(lane) = self.tenants[tenant].lanes.get(&key) {
            return *lane;
        }
        let lane = self.engine.add_lane(tenant, key);
        self.lanes.put(lane, LaneOwner { tenant, batch, key, requests: 0, canceled: None });
        self.tenants[tenant].lanes.insert(key, lane);
        lane
    }

    /// A request of a lane has left the state: the lane goes with the last one.
    pub(super) fn release_lane(&mut self, lane: u32) {
        self.lanes[lane].requests -= 1;
        if self.lanes[lane].requests > 0 {
            return;
        }
        let Some(owner) = self.lanes.remove(lane) else { return };
        self.engine.remove_lane(lane);
        self.with_requests(owner.tenant, |requests| requests.forget_lane(lane));
        if owner.canceled.is_none() {
            self.tenants[owner.tenant].lanes.remove(&owner.key);
        }
        if self.tenants[owner.tenant].orphans > 0 {
            self.drop_orphans(owner.tenant);
        }
    }

    /// Takes over what is declared of a tenant's applications and numbers.
    pub(super) fn declare_scopes(
        &mut self,
        tenant: u32,
        applications: &[Application],
        numbers: &[&Number],
    ) {
        let sids: BTreeSet<_> = applications.iter().map(|application| application.sid).collect();
        let names: BTreeSet<_> = numbers.iter().map(|number| &number.number).collect();
        let state = &mut self.tenants[tenant];
        for (sid, scope) in &mut state.applications {
            scope.declared = sids.contains(sid);
        }
        for (number, scope) in &mut state.numbers {
            scope.declared = names.contains(number);
        }
        for Application { sid, pace } in applications {
            self.declare_scope(tenant, &Which::Application(*sid), pace);
        }
        for Number { number, pace, kind, .. } in numbers {
            self.declare_scope(tenant, &Which::Number(Arc::clone(number)), pace);
            let scope = self.tenants[tenant].numbers.get_mut(number);
            scope.expect("it was just declared").kind = *kind;
        }
        self.drop_orphans(tenant);
    }

    fn declare_scope(&mut self, tenant: u32, which: &Which, pace: &Pace) {
        let Self { tenants, engine, .. } = self;
        let state = &mut tenants[tenant];
        let mut new = |scope| Scoped {
            pace: Pace::default(),
            kind: NumberKind::default(),
            gate: engine.add_gate(scope),
            declared: true,
        };
        let scope = match which {
            Which::Application(sid) => {
                state.applications.entry(*sid).or_insert_with(|| new(Scope::Application))
            }
            Which::Number(number) => {
                state.numbers.entry(Arc::clone(number)).or_insert_with(|| new(Scope::Number))
            }
        };
        scope.declared = true;
        if scope.pace != *pace {
            scope.pace = pace.clone();
            engine.set_gate(scope.gate, limits(pace));
        }
    }

    /// Forgets the scopes that are not declared any more and that no lane is of.
    fn drop_orphans(&mut self, tenant: u32) {
        let Self { tenants, engine, .. } = self;
        let state = &mut tenants[tenant];
        let mut keep = |scope: &mut Scoped| {
            if scope.declared || engine.has_lanes(scope.gate) {
                return true;
            }
            engine.remove_gate(scope.gate);
            false
        };
        state.applications.retain(|_, scope| keep(scope));
        state.numbers.retain(|_, scope| keep(scope));
        let scopes = state.applications.values().chain(state.numbers.values());
        state.orphans = scopes.filter(|scope| !scope.declared).count();
    }

    /// Forgets every scope of a tenant without lanes.
    pub(super) fn drop_scopes(&mut self, tenant: u32) {
        let state = &mut self.tenants[tenant];
        let scopes = state.applications.values_mut().chain(state.numbers.values_mut());
        scopes.for_each(|scope| scope.declared = false);
        self.drop_orphans(tenant);
    }
}

/// A pace as the engine takes it.
pub(super) fn limits(pace: &Pace) -> GateLimits {
    GateLimits {
        spacing: pace.throttle.map_or(0, |throttle| throttle.spacing.0),
        windows: pace
            .caps
            .iter()
            .map(|cap| Window { count: cap.count, length: cap.window.0 })
            .collect(),
        concurrent: None,
    }
}
