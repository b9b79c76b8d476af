//! What must hold in every state, checked from scratch. For tests and the simulator.

use super::{State, calls::Stage};
use crate::view::Counts;

impl State {
    /// Checks the state's sums against each other (`RELIABILITY.md`, invariants). Costs as much as there is.
    ///
    /// # Errors
    /// One sentence about the first contradiction.
    pub fn check(&self) -> Result<(), String> {
        self.engine.check()?;
        self.check_messages()?;
        let mut ringing = self.ringing.keys();
        let offered = ringing.all(|id| self.requests.stage(*id) == Stage::Offered);
        if !offered || self.engine.offers_waiting() != self.ringing.len() {
            return Err("offered calls ring once each, and wait in the engine".into());
        }
        let bytes: u64 = self.tenants.iter().map(|(_, tenant)| tenant.bytes).sum();
        if bytes != self.requests.bytes() {
            let held = self.requests.bytes();
            return Err(format!("the calls take {held} bytes, and the tenants' sum is {bytes}"));
        }
        let mut totals = Counts::default();
        for (id, tenant) in self.tenants.iter() {
            let mut counts = Counts::default();
            for request in self.requests.listed(tenant.calls) {
                match self.requests.stage(request) {
                    Stage::Scheduled | Stage::Queued | Stage::Offered => counts.queued += 1,
                    Stage::Live(_) => counts.in_progress += 1,
                    Stage::Ended(_) => {}
                }
            }
            let told = (tenant.counts.queued, tenant.counts.in_progress);
            if told != (counts.queued, counts.in_progress) {
                return Err(format!("tenant {id} counts {told:?}, has {counts:?}"));
            }
            let ended: u64 = tenant.counts.ended.iter().sum();
            if tenant.counts.accepted != ended + counts.queued + counts.in_progress {
                return Err(format!("tenant {id} has lost or doubled a call: {:?}", tenant.counts));
            }
            totals.queued += counts.queued;
            totals.in_progress += counts.in_progress;
        }
        if totals.in_progress != self.live.len() as u64 {
            return Err(format!("{} calls in progress, {totals:?}", self.live.len()));
        }
        let known = totals.queued + totals.in_progress + self.outbox.len() as u64;
        if known != self.requests.len() as u64 {
            return Err(format!(
                "{} calls in the state, {known} accounted for",
                self.requests.len()
            ));
        }
        for (id, attempts) in &self.earlier {
            let over = matches!(self.requests.stage(*id), Stage::Ended(_));
            let last = self.requests.attempt(*id);
            if over || attempts.iter().any(|attempt| attempt.number > last) {
                return Err(format!("request {id} at attempt {last} had {attempts:?}"));
            }
        }
        for (id, batch) in self.batches.iter() {
            if self.owing.contains(&batch.id) != batch.notices.owed.is_some() {
                return Err(format!("batch {id} is owed {:?}", batch.notices.owed));
            }
            let Counts { accepted, queued, in_progress, ended } = batch.counts;
            if accepted != queued + in_progress + ended.iter().sum::<u64>() {
                return Err(format!("batch {id} has lost or doubled a call: {:?}", batch.counts));
            }
            if batch.has_ended() != batch.ended_at.is_some() {
                return Err(format!(
                    "batch {id} is {:?} and ended {:?}",
                    batch.status, batch.ended_at
                ));
            }
        }
        Ok(())
    }
}
