//! What the state keeps of a tenant beside the engine's part of it.

use std::{
    collections::{BTreeSet, VecDeque},
    sync::Arc,
};

use busyhour_base::{AccountSid, Reason};
use serde::{Deserialize, Serialize};

use super::{State, calls::LaneOwner, meter::Meter, remembered::Remembered, requests::List};
use crate::{
    engine::{
        lanes::{Pacing, URGENCIES},
        ring::NIL,
    },
    forward::Holding,
    spec::{BatchId, Limits, Share, Urgency},
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
    /// Lanes of its direct calls by urgency, or [`NIL`].
    pub direct: [u32; URGENCIES],
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
            direct: [NIL; URGENCIES],
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

    /// The lane of a tenant's direct calls of an urgency.
    pub(super) fn direct_lane(&mut self, tenant: u32, urgency: Urgency) -> u32 {
        let present = self.tenants[tenant].direct[urgency as usize];
        if present != NIL {
            return present;
        }
        let lane = self.add_lane(tenant, None, urgency, Pacing::default(), None);
        self.tenants[tenant].direct[urgency as usize] = lane;
        lane
    }

    pub(super) fn add_lane(
        &mut self,
        tenant: u32,
        batch: Option<u32>,
        urgency: Urgency,
        pacing: Pacing,
        parked: Option<Reason>,
    ) -> u32 {
        let lane = self.engine.add_lane(tenant, urgency as u8, pacing, parked);
        let owner = self.lanes.insert(LaneOwner { tenant, batch });
        assert_eq!(lane, owner, "state and engine number their lanes alike");
        lane
    }

    pub(super) fn remove_lane(&mut self, lane: u32) {
        self.engine.remove_lane(lane);
        self.lanes.remove(lane);
        self.requests.forget_lane(lane);
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
        for lane in self.tenants[id].direct {
            if lane != NIL {
                self.remove_lane(lane);
            }
        }
        self.engine.remove_tenant(id);
        self.remove_message_tenant(id);
        let gone = self.tenants.remove(id).expect("the tenant exists");
        Arc::make_mut(&mut self.accounts).remove(&gone.account);
    }
}
