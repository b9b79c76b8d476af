//! `Recorded`: outcomes that are in the records leave the state.

use super::{State, calls::Stage};
use crate::effect::Reply;

impl State {
    pub(super) fn recorded(&mut self, through: u64) -> Reply {
        while self.outbox.front().is_some_and(|record| record.seq <= through) {
            let Some(record) = self.outbox.pop_front() else { break };
            let Some(id) = self.index.get(record.call) else { continue };
            self.index.remove(record.call);
            self.forget_call(id);
        }
        Reply::Done
    }

    fn forget_call(&mut self, id: u32) {
        let request = &self.requests[id];
        debug_assert!(matches!(request.stage, Stage::Ended(_)));
        let owner = self.lanes[request.lane];
        self.tenants[owner.tenant].calls.remove(&mut self.requests, id);
        self.requests.remove(id);
        if let Some(batch) = owner.batch {
            self.batches[batch].unrecorded -= 1;
            self.close_lane(batch);
        }
        self.forget_if_gone(owner.tenant);
    }
}
