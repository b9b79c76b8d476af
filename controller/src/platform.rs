//! The API's ports, filled with the running controller.

use busyhour_api::{Applied, MessageViews, Propose, ProposeError, Views, WantedOptOuts};
use busyhour_base::{AccountSid, Timestamp};
use busyhour_controller_core::{
    State,
    command::Command,
    forward::{About, Inquiry, Outlook},
    message::{MessageId, MessageView, OptOut, RemovedOptOut},
    spec::{BatchId, CallId},
    view::{
        AgentView, BatchView, CallView, CarrierView, Explanation, GroupView, LineFault, LineView,
        PoppersView, QueueView, ShareView, TenantView, Totals,
    },
};
use busyhour_log::ProposeError as LogError;
use futures::future::{BoxFuture, FutureExt as _};

use crate::{proposer::Proposer, reasons};

/// The API's way to the state and into the log.
#[derive(Clone)]
pub(crate) struct Ports(pub Proposer);

impl Views for Ports {
    fn call(&self, call: CallId) -> Option<CallView> {
        self.0.read(|state| state.call(call))
    }

    fn calls_of(&self, account: AccountSid, before: Option<CallId>, max: usize) -> Vec<CallView> {
        self.0.read(|state| state.calls_of(account, before).take(max).collect())
    }

    fn explain(&self, call: CallId) -> Option<Explanation> {
        self.0.read(|state| state.explain(call))
    }

    fn outlook(&self, now: Timestamp) -> Option<Outlook> {
        self.0.read(|state| state.outlook(now))
    }

    fn message_outlook(&self, now: Timestamp) -> Option<Outlook> {
        self.0.read(|state| state.message_outlook(now))
    }

    fn inquire(&self, about: &About, now: Timestamp) -> Option<Inquiry> {
        self.0.read(|state| state.inquire(about, now))
    }

    fn queues_of(&self, account: AccountSid) -> Vec<QueueView> {
        self.0.read(|state| state.queues_of(account).collect())
    }

    fn queues_for(&self, account: AccountSid, carrier: &str) -> Vec<QueueView> {
        self.0.read(|state| state.queues_for(account, carrier).collect())
    }

    fn batch(&self, batch: BatchId) -> Option<BatchView> {
        self.0.read(|state| state.batch(batch))
    }

    fn batches_of(
        &self,
        account: AccountSid,
        before: Option<BatchId>,
        max: usize,
    ) -> Vec<BatchView> {
        self.0.read(|state| {
            let batches = state.batches_of(account);
            let older = batches.filter(|view| before.is_none_or(|before| view.batch < before));
            older.take(max).collect()
        })
    }

    fn batch_recorded(&self, batch: BatchId) -> bool {
        self.0.read(|state| state.batch_recorded(batch) == Some(true))
    }

    fn batch_faults(&self, batch: BatchId, after: u64, max: usize) -> Vec<(u64, LineFault)> {
        self.0.read(|state| {
            let faults = state.batch_faults(batch, after).take(max);
            faults.map(|(line, fault)| (line, fault.clone())).collect()
        })
    }

    fn busiest(&self, max: usize) -> Vec<TenantView> {
        self.0.read(|state| state.busiest(max))
    }

    fn tenant(&self, account: AccountSid) -> Option<TenantView> {
        self.0.read(|state| state.tenant_of(account))
    }

    fn tenant_named(&self, name: &str) -> Option<TenantView> {
        self.0.read(|state| state.tenant_named(name))
    }

    fn totals(&self) -> Totals {
        self.0.read(State::totals)
    }

    fn carriers(&self) -> Vec<CarrierView> {
        self.0.read(|state| state.carriers().collect())
    }

    fn groups(&self) -> Vec<GroupView> {
        self.0.read(|state| state.groups().collect())
    }

    fn lines(&self, max: usize) -> Vec<LineView> {
        self.0.read(|state| state.lines(max))
    }

    fn poppers(&self, max: usize) -> Vec<PoppersView> {
        self.0.read(|state| state.poppers(max))
    }

    fn shares_of(&self, account: AccountSid) -> Vec<ShareView> {
        self.0.read(|state| state.shares_of(account).collect())
    }

    fn agents(&self) -> Vec<AgentView> {
        self.0.read(|state| state.agents().collect())
    }
}

impl MessageViews for Ports {
    fn explain_message(&self, message: MessageId) -> Option<Explanation> {
        self.0.read(|state| state.explain_message(message))
    }

    fn segments_max(&self, account: AccountSid, number: &str) -> Option<u32> {
        self.0.read(|state| state.message_segments_max(account, number))
    }

    fn message(&self, message: MessageId) -> Option<MessageView> {
        self.0.read(|state| state.message(message))
    }

    fn messages_of(
        &self,
        account: AccountSid,
        before: Option<MessageId>,
        max: usize,
    ) -> Vec<MessageView> {
        self.0.read(|state| state.messages_of(account, before).take(max).collect())
    }

    fn opt_outs_of(&self, account: AccountSid, wanted: &WantedOptOuts, max: usize) -> Vec<OptOut> {
        self.0.read(|state| wanted.of(state, account, max))
    }

    fn removed_opt_outs_of(
        &self,
        account: AccountSid,
        before: u64,
        max: usize,
    ) -> Vec<RemovedOptOut> {
        self.0.read(|state| state.removed_opt_outs_of(account, before).take(max).cloned().collect())
    }
}

impl Propose for Ports {
    fn propose(&self, command: Command) -> BoxFuture<'static, Result<Applied, ProposeError>> {
        let proposer = self.0.clone();
        async move {
            let applied = proposer.propose(command).await.map_err(told)?;
            reasons::replied(&applied.reply);
            Ok(applied)
        }
        .boxed()
    }
}

fn told(error: LogError) -> ProposeError {
    match error {
        LogError::Busy { .. } | LogError::NoRoom(_) => ProposeError::Overloaded,
        LogError::TooLarge { .. } | LogError::Encode(_) => {
            tracing::error!(%error, "the API made a command that the log does not take");
            ProposeError::Overloaded
        }
        LogError::Closed => ProposeError::Stopped,
        LogError::InDoubt => ProposeError::InDoubt,
    }
}
