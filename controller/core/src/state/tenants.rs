//! What the state keeps of a tenant beside the engine's part of it.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
};

use busyhour_base::{AccountSid, ApplicationSid, Reason};
use serde::{Deserialize, Serialize};

use super::{
    State,
    meter::Meter,
    remembered::Remembered,
    requests::{List, Requests},
    scopes::Scoped,
};
use crate::{
    engine::lanes::LaneKey,
    few::Few,
    forward::Holding,
    spec::{BatchId, Limits, Share},
    view::{Counts, InboundCounts},
};

/// A tenant.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct TenantState {
    pub account: AccountSid,
    pub name: Arc<str>,
    pub limits: Limits,
    pub shares: Vec<Share>,
    pub suspended: bool,
    /// Still in the declaration. If not, it goes when its last call is in the records.
    pub declared: bool,
    pub counts: Counts,
    pub inbound: InboundCounts,
    /// Its calls, oldest first.
    pub calls: List,
    /// How many bytes those take, as [`Requests::bytes`] counts them.
    pub bytes: u64,
    /// Its lanes, but for those that are being canceled.
    pub lanes: Few<LaneKey, u32>,
    pub applications: BTreeMap<ApplicationSid, Scoped>,
    pub numbers: BTreeMap<Arc<str>, Scoped>,
    /// How many of these are not declared any more.
    pub orphans: usize,
    pub batches: BTreeSet<BatchId>,
    /// Those that have ended, in the order in which they did.
    pub ended_batches: VecDeque<BatchId>,
    pub remembered: Remembered,
    /// Starts of the last ten seconds.
    pub dialled: Meter,
    /// How long its calls held their channels.
    pub holding: Holding,
}

impl TenantState {
    pub fn new(account: AccountSid, name: Arc<str>, limits: Limits) -> Self {
        Self {
            account,
            name,
            limits,
            shares: Vec::new(),
            suspended: false,
            declared: true,
            counts: Counts::default(),
            inbound: InboundCounts::default(),
            calls: List::default(),
            bytes: 0,
            lanes: Few::default(),
            applications: BTreeMap::new(),
            numbers: BTreeMap::new(),
            orphans: 0,
            batches: BTreeSet::new(),
            ended_batches: VecDeque::new(),
            remembered: Remembered::default(),
            dialled: Meter::new(1_000_000),
            holding: Holding::default(),
        }
    }
}

impl State {
    /// A tenant that may ask for something.
    pub(super) fn tenant(&self, account: AccountSid) -> Result<u32, Reason> {
        let id = self.accounts.get(&account).ok_or(Reason::UnknownTenant)?;
        if self.tenants[*id].declared { Ok(*id) } else { Err(Reason::UnknownTenant) }
    }

    /// Does something with requests of a tenant, and counts what they take from then on.
    pub(super) fn with_requests<T>(
        &mut self,
        tenant: u32,
        change: impl FnOnce(&mut Requests) -> T,
    ) -> T {
        let before = self.requests.bytes();
        let done = change(&mut self.requests);
        let tenant = &mut self.tenants[tenant];
        tenant.bytes = tenant.bytes + self.requests.bytes() - before;
        done
    }

    /// Forgets a tenant that is not declared any more once none of its calls is left.
    pub(super) fn forget_if_gone(&mut self, id: u32) {
        if self.tenants[id].declared
            || !self.tenants[id].calls.is_empty()
            || !self.has_no_message(id)
        {
            return;
        }
        for batch in self.tenants[id].batches.clone() {
            self.forget_batch(batch);
        }
        self.drop_scopes(id);
        self.engine.remove_tenant(id);
        self.remove_message_tenant(id);
        let gone = self.tenants.remove(id).expect("the tenant exists");
        Arc::make_mut(&mut self.accounts).remove(&gone.account);
    }
}
