//! What must hold in every state, checked from scratch. For tests and the simulator.

use super::{
    Engine,
    lanes::{Place, Standing},
    ring::NIL,
    wheel::NO_TIMER,
};

impl Engine {
    /// Checks the engine's sums and standings against each other. Costs as much as there is.
    ///
    /// # Errors
    /// One sentence about the first contradiction.
    pub fn check(&self) -> Result<(), String> {
        self.check_tenants()?;
        self.check_lanes()?;
        self.check_offers()?;
        self.check_ledger()
    }

    fn check_tenants(&self) -> Result<(), String> {
        let mut standing = 0;
        for (id, tenant) in self.tenants.iter() {
            let ready = tenant.ready.iter().position(|ring| !ring.is_empty());
            let expected = match tenant.place {
                Place::Idle => ready.is_none() || tenant.suspended,
                Place::Timed => ready.is_some() && tenant.timer != NO_TIMER,
                Place::Ready(urgency) => {
                    ready == Some(usize::from(urgency))
                        && self.order[usize::from(urgency)].iter(&self.tenants).any(|t| t == id)
                }
            };
            if !expected {
                return Err(format!("tenant {id} stands at {:?} with {ready:?}", tenant.place));
            }
            standing += u32::from(tenant.place != Place::Idle);
        }
        if standing != self.load.tenants {
            return Err(format!("{standing} tenants stand, {} are counted", self.load.tenants));
        }
        let ready: usize = self.order.iter().map(|ring| ring.iter(&self.tenants).count()).sum();
        let counted =
            self.tenants.iter().filter(|(_, t)| matches!(t.place, Place::Ready(_))).count();
        if ready != counted {
            return Err(format!("{ready} in the fair order, {counted} tenants are ready"));
        }
        if ready > 0 && self.rests.is_none() {
            return Err("the fair order is neither served nor at rest".into());
        }
        Ok(())
    }

    fn check_lanes(&self) -> Result<(), String> {
        let mut waiting = 0;
        for (id, lane) in self.lanes.iter() {
            if self.requests.iter(&lane.queue).count() != lane.queue.len() as usize {
                return Err(format!(
                    "lane {id} counts {} requests and holds others",
                    lane.queue.len()
                ));
            }
            let ring = &self.tenants[lane.tenant].ready[usize::from(lane.urgency)];
            let listed = ring.iter(&self.lanes).any(|other| other == id);
            let fits = match lane.standing {
                Standing::Empty => lane.queue.is_empty() && !listed,
                Standing::Parked(_) => !listed,
                Standing::Timed => !lane.queue.is_empty() && lane.timer != NO_TIMER && !listed,
                Standing::Full => {
                    !lane.queue.is_empty() && lane.in_progress >= lane.concurrent && !listed
                }
                Standing::Ready => {
                    !lane.queue.is_empty() && lane.in_progress < lane.concurrent && listed
                }
            };
            if !fits {
                return Err(format!("lane {id} of {} is {:?}", lane.queue.len(), lane.standing));
            }
            if !matches!(lane.standing, Standing::Parked(_)) {
                waiting += u64::from(lane.queue.len());
            }
        }
        if waiting != self.waiting {
            return Err(format!("{waiting} requests wait, {} are counted", self.waiting));
        }
        Ok(())
    }

    fn check_ledger(&self) -> Result<(), String> {
        let in_progress: u32 = self.lanes.iter().map(|(_, lane)| lane.in_progress).sum();
        let channels: u32 =
            self.ledger.order().iter().map(|id| self.ledger.get(*id).in_use()).sum();
        let slots: u32 = self.workers.iter().map(|worker| worker.in_use).sum();
        if in_progress != channels || in_progress != slots {
            return Err(format!(
                "{in_progress} calls in progress, {channels} channels and {slots} slots in use"
            ));
        }
        self.ledger.check()?;
        debug_assert!(
            self.tenants.iter().all(|(_, t)| t.caps == NIL || self.caps.get(t.caps).is_some())
        );
        Ok(())
    }
}
