//! `Recorded`: outcomes that are in the records leave the state.

use super::{State, calls::Stage};
use crate::{effect::Reply, spec::CallId};

impl State {
    pub(super) fn recorded(&mut self, through: u64) -> Reply {
        while self.outbox.front().is_some_and(|record| record.seq <= through) {
            let Some(record) = self.outbox.pop_front() else { break };
            let Some(id) = self.requests.find(record.call) else { continue };
            self.forget_call(id, record.call);
        }
        Reply::Done
    }

    fn forget_call(&mut self, id: u32, call: CallId) {
        debug_assert!(matches!(self.requests.stage(id), Stage::Ended(_)));
        let lane = self.requests.lane(id);
        let owner = self.lanes[lane];
        self.with_requests(owner.tenant, |requests| requests.remove(id));
        self.requests.unlist(&mut self.tenants[owner.tenant].calls, call);
        self.release_lane(lane);
        if let Some(batch) = owner.batch {
            self.batches[batch].unrecorded -= 1;
            self.close_gate(batch);
        }
        self.forget_if_gone(owner.tenant);
    }
}
