//! What must hold after every event (`RELIABILITY.md`, invariants), checked from outside the cores.

use std::collections::{BTreeMap, BTreeSet};

use busyhour_base::{AccountSid, Reason, Timestamp};
use busyhour_controller_core::{
    State,
    effect::Dial,
    spec::{AgentIx, CallId, Declaration, Tenant},
    view::{CarrierView, Record},
};

use super::{Carriers, Key};

/// A broken promise.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Violation {
    /// When.
    pub at: Timestamp,
    /// What.
    pub what: String,
}

/// Most violations that are told.
const VIOLATIONS_MAX: usize = 100;

/// Watches a run.
pub struct Watch {
    tenants: BTreeMap<AccountSid, Watched>,
    accepted: BTreeMap<CallId, AccountSid>,
    dialled: BTreeSet<Key>,
    invited: BTreeSet<CallId>,
    /// The fence that each agent obeys.
    fences: BTreeMap<AgentIx, u64>,
    /// Finished calls.
    pub records: BTreeMap<CallId, Vec<Record>>,
    /// What was broken.
    pub violations: Vec<Violation>,
}

struct Watched {
    terms: Tenant,
    /// When its calls were due, in order of dispatch.
    due: Vec<Timestamp>,
}

impl Watch {
    /// Watches over what is declared.
    pub fn new(declaration: &Declaration) -> Self {
        let watched =
            |terms: &Tenant| (terms.account, Watched { terms: terms.clone(), due: Vec::new() });
        Self {
            tenants: declaration.tenants.iter().map(watched).collect(),
            accepted: BTreeMap::new(),
            dialled: BTreeSet::new(),
            invited: BTreeSet::new(),
            fences: BTreeMap::new(),
            records: BTreeMap::new(),
            violations: Vec::new(),
        }
    }

    /// Notes a broken promise.
    pub fn broken(&mut self, at: Timestamp, what: String) {
        if self.violations.len() < VIOLATIONS_MAX {
            self.violations.push(Violation { at, what });
        }
    }

    /// A call was accepted.
    pub fn on_accepted(&mut self, now: Timestamp, call: CallId, account: AccountSid) {
        if self.accepted.insert(call, account).is_some() {
            self.broken(now, format!("{call:?} was accepted twice"));
        }
    }

    /// Accepted calls.
    pub fn accepted(&self) -> &BTreeMap<CallId, AccountSid> {
        &self.accepted
    }

    /// An agent places a call: each call is placed once at most, whatever goes wrong.
    pub fn on_invite(&mut self, now: Timestamp, key: Key) {
        if !self.invited.insert(key.call) {
            self.broken(now, format!("{key:?} was placed before"));
        }
    }

    /// Ended calls, by the reason of their end.
    pub fn endings(&self) -> BTreeMap<Reason, u64> {
        let mut endings = BTreeMap::new();
        for record in self.records.values().flatten() {
            *endings.entry(record.ending.reason).or_default() += 1;
        }
        endings
    }

    /// The controller ordered a call: spacing, caps and fences hold, and each attempt is ordered once.
    pub fn on_dial(&mut self, now: Timestamp, dial: &Dial) {
        let key = Key { call: dial.call, attempt: dial.attempt, agent: dial.agent };
        if !self.dialled.insert(key) {
            self.broken(now, format!("{key:?} was ordered twice"));
        }
        let fence = self.fences.get(&dial.agent).copied().unwrap_or(u64::MAX);
        if dial.fence < fence {
            self.broken(
                now,
                format!("{key:?} was ordered under fence {}, below {fence}", dial.fence),
            );
        }
        if dial.at > now {
            self.broken(now, format!("{key:?} was ordered before it was due"));
        }
        let Some(tenant) = self.tenants.get_mut(&dial.account) else {
            return self.broken(now, format!("{key:?} belongs to no declared tenant"));
        };
        let broken = tenant.check(dial.at);
        tenant.due.push(dial.at);
        broken.into_iter().for_each(|what| self.broken(now, format!("{key:?}: {what}")));
    }

    /// A finished call came out.
    pub fn on_record(&mut self, now: Timestamp, record: Record) {
        match self.accepted.get(&record.call) {
            None => {
                self.broken(now, format!("{:?} has an outcome and was never accepted", record.call))
            }
            Some(account) if *account != record.account => {
                self.broken(now, format!("{:?} ended under another tenant's key", record.call));
            }
            Some(_) => {}
        }
        let (call, records) = (record.call, self.records.entry(record.call).or_default());
        records.push(record);
        if records.len() > 1 {
            self.broken(now, format!("{call:?} has more than one outcome"));
        }
    }

    /// Sums that hold at any time.
    pub fn after_event(&mut self, now: Timestamp, state: &State, carriers: &Carriers) {
        let views: Vec<CarrierView> = state.carriers().collect();
        for view in views {
            let channels = view.availability;
            if channels.total() != view.channels + channels.beyond {
                self.broken(now, format!("the channels do not add up: {view:?}"));
            }
            let Some(carrier) = carriers.get(&*view.name) else { continue };
            // What the carrier still counts, the ledger must not have given away.
            if carrier.in_use() > u64::from(channels.held()) {
                self.broken(
                    now,
                    format!("the carrier counts {} channels: {view:?}", carrier.in_use()),
                );
            }
        }
        for tenant in state.tenants() {
            let counts = tenant.counts;
            let ended: u64 = counts.ended.iter().sum();
            if counts.accepted != counts.queued + counts.in_progress + ended {
                self.broken(now, format!("the calls of {} do not add up: {counts:?}", tenant.name));
            }
        }
    }

    /// What must hold in the end: everything has its outcome, and nothing is left in use.
    pub fn at_end(&mut self, now: Timestamp, state: &State, carriers: &Carriers, legs: usize) {
        let without: Vec<_> = self
            .accepted
            .keys()
            .filter(|call| !self.records.contains_key(call))
            .take(5)
            .copied()
            .collect();
        if !without.is_empty() {
            self.broken(now, format!("accepted calls have no outcome, among them {without:?}"));
        }
        if legs > 0 {
            self.broken(now, format!("{legs} legs are left at the agents"));
        }
        for view in state.carriers() {
            if view.availability.held() > 0 {
                self.broken(now, format!("channels are not given back: {view:?}"));
            }
        }
        for (name, carrier) in carriers {
            let account = carrier.account();
            if carrier.in_use() > 0 {
                self.broken(now, format!("{name} still counts {} channels", carrier.in_use()));
            }
            if account.breaches > 0 || account.duplicates > 0 {
                self.broken(now, format!("the contract was breached: {account:?}"));
            }
        }
    }

    /// The fence of an agent must only rise.
    pub fn on_fence(&mut self, now: Timestamp, agent: AgentIx, before: u64, fence: u64) {
        if fence <= before {
            self.broken(now, format!("the fence of {agent:?} went from {before} to {fence}"));
        }
        self.fences.insert(agent, fence);
    }
}

impl Watched {
    /// Whether a call may be due at `at`, after those that were.
    fn check(&self, at: Timestamp) -> Vec<String> {
        let mut broken = Vec::new();
        if let (Some(throttle), Some(last)) = (self.terms.limits.throttle, self.due.last())
            && at < *last + throttle.spacing
        {
            broken.push(format!(
                "the throttle was broken: due {} after the one before",
                at.since(*last)
            ));
        }
        for cap in &self.terms.limits.caps {
            let before = self.due.len().checked_sub(cap.count as usize).map(|n| self.due[n]);
            if before.is_some_and(|before| at < before + cap.window) {
                broken.push(format!("the cap of {} in {} was broken", cap.count, cap.window));
            }
        }
        broken
    }
}
