//! What the API needs of the controller, as data and three small ports. The controller fills it in; tests
//! fill it with a state machine in memory.

use std::{sync::Arc, time::Duration};

use busyhour_base::{AccountSid, Body, Reason, SidKey, Timestamp};
use busyhour_controller_core::{
    State,
    command::Command,
    effect::Reply,
    forward::{About, Inquiry, Outlook},
    message::{AcceptedMessage, MessageId, MessageView, OptOut, RemovedOptOut},
    spec::{BatchId, CallId},
    view::{
        AgentView, BatchView, CallView, CarrierView, Explanation, GroupView, LineFault, LineView,
        PoppersView, QueueView, ShareView, TenantView, Totals,
    },
};
use busyhour_records::Records;
use futures::future::BoxFuture;
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::sync::watch;

use crate::directory::{Directory, Secret};

/// Everything that a request handler reaches.
#[derive(Clone)]
pub struct Platform {
    /// Reads the state machine.
    pub views: Arc<dyn Views>,
    /// Changes it.
    pub proposer: Arc<dyn Propose>,
    /// Accounts, keys, applications and numbers as declared. The controller puts in a new one at each change.
    pub directory: watch::Receiver<Arc<Directory>>,
    /// Finished calls.
    pub records: Records,
    /// [`busyhour_controller_core::view::Record::seq`] up to which outcomes are in the records. It wakes those who follow results.
    pub recorded: watch::Receiver<u64>,
    /// Reads messages out of the state machine.
    pub messages: Arc<dyn MessageViews>,
    /// Hands in messages as a carrier would.
    pub bring: Arc<dyn Bring>,
    /// Wakes those who wait until a finished message is in the records.
    pub messages_recorded: watch::Receiver<u64>,
    /// Between sids and numbers in the log.
    pub sid_key: SidKey,
    /// The wall clock.
    pub clock: fn() -> Timestamp,
    /// Whether requests can be served.
    pub readiness: watch::Receiver<Readiness>,
    /// What `/metrics` shows. Without it `/metrics` is empty.
    pub metrics: Option<PrometheusHandle>,
    /// Opens the operator's read models. Without it they are closed.
    pub operator_token: Option<Secret>,
    /// Bounds at the API's edge.
    pub limits: EdgeLimits,
}

/// Reads the state machine. Each method takes the state's lock for one short look and gives it back
/// before it returns, so that nothing is held while a handler waits.
pub trait Views: Send + Sync {
    /// One live call, or one that has ended and is not yet in the records.
    fn call(&self, call: CallId) -> Option<CallView>;
    /// At most `max` calls of an account with numbers below `before`, newest first.
    fn calls_of(&self, account: AccountSid, before: Option<CallId>, max: usize) -> Vec<CallView>;
    /// Why a waiting call waits.
    fn explain(&self, call: CallId) -> Option<Explanation>;
    /// A copy of what decides when requests start, to run ahead from `now`; `None` if that is too much to copy.
    fn outlook(&self, now: Timestamp) -> Option<Outlook>;
    /// The same of messages.
    fn message_outlook(&self, now: Timestamp) -> Option<Outlook>;
    /// A question about starts, to be answered without the state.
    fn inquire(&self, about: &About, now: Timestamp) -> Option<Inquiry>;
    /// The queues of a tenant that hold something.
    fn queues_of(&self, account: AccountSid) -> Vec<QueueView>;
    /// The queues of a tenant in which calls wait that a carrier can serve.
    fn queues_for(&self, account: AccountSid, carrier: &str) -> Vec<QueueView>;
    /// One batch.
    fn batch(&self, batch: BatchId) -> Option<BatchView>;
    /// At most `max` batches of an account with numbers below `before`, newest first.
    fn batches_of(
        &self,
        account: AccountSid,
        before: Option<BatchId>,
        max: usize,
    ) -> Vec<BatchView>;
    /// Whether the batch is over and every call of it in the records; no for a batch that is not in the state.
    fn batch_recorded(&self, batch: BatchId) -> bool;
    /// What was wrong with lines of a batch behind line `after`, at most `max`, in order.
    fn batch_faults(&self, batch: BatchId, after: u64, max: usize) -> Vec<(u64, LineFault)>;
    /// The tenants with the most calls waiting and in progress, at most so many, in order of account.
    fn busiest(&self, max: usize) -> Vec<TenantView>;
    /// One tenant.
    fn tenant(&self, account: AccountSid) -> Option<TenantView>;
    /// The tenant of a name.
    fn tenant_named(&self, name: &str) -> Option<TenantView>;
    /// All tenants together.
    fn totals(&self) -> Totals;
    /// Every carrier.
    fn carriers(&self) -> Vec<CarrierView>;
    /// Every group of carriers whose channels tenants share.
    fn groups(&self) -> Vec<GroupView>;
    /// The lines from which the engine takes requests, at most so many.
    fn lines(&self, max: usize) -> Vec<LineView>;
    /// The poppers of at most so many routes.
    fn poppers(&self, max: usize) -> Vec<PoppersView>;
    /// The shares of a tenant.
    fn shares_of(&self, account: AccountSid) -> Vec<ShareView>;
    /// Every agent.
    fn agents(&self) -> Vec<AgentView>;
}

/// Reads messages out of the state machine, in the manner of [`Views`].
pub trait MessageViews: Send + Sync {
    /// Why a message that waits is not being sent; `None` if it does not wait.
    fn explain_message(&self, message: MessageId) -> Option<Explanation>;
    /// The most segments that a message of an account's number may have; `None` if nothing bounds them.
    fn segments_max(&self, account: AccountSid, number: &str) -> Option<u32>;
    /// One message that waits or is under way, or that has ended and is not yet in the records.
    fn message(&self, message: MessageId) -> Option<MessageView>;
    /// At most `max` messages of an account with numbers below `before`, newest first.
    fn messages_of(
        &self,
        account: AccountSid,
        before: Option<MessageId>,
        max: usize,
    ) -> Vec<MessageView>;
    /// At most `max` people who take no messages from numbers of an account.
    fn opt_outs_of(&self, account: AccountSid, wanted: &WantedOptOuts, max: usize) -> Vec<OptOut>;
    /// At most `max` opt-outs that an account has removed before number `before`, the newest first.
    fn removed_opt_outs_of(
        &self,
        account: AccountSid,
        before: u64,
        max: usize,
    ) -> Vec<RemovedOptOut>;
}

/// Which of an account's opt-outs are wanted.
#[derive(Clone, Debug, Default)]
pub struct WantedOptOuts {
    /// Of this number of the account.
    pub from: Option<Arc<str>>,
    /// Of this person.
    pub to: Option<Arc<str>>,
    /// Behind this number and person.
    pub after: Option<(Arc<str>, Arc<str>)>,
}

impl WantedOptOuts {
    /// The first of them in a state.
    pub fn of(&self, state: &State, account: AccountSid, max: usize) -> Vec<OptOut> {
        let after = self.after.as_ref().map(|(from, to)| (&**from, &**to));
        state
            .opt_outs_of(account, self.from.as_deref(), self.to.as_deref(), after)
            .take(max)
            .collect()
    }
}

/// Puts commands into the log.
pub trait Propose: Send + Sync {
    /// Completes when the entry is durable and applied, never before (`RELIABILITY.md`, accept).
    fn propose(&self, command: Command) -> BoxFuture<'static, Result<Applied, ProposeError>>;
}

/// Brings messages to tenants' numbers, in the place of a carrier that is within the controller.
pub trait Bring: Send + Sync {
    /// Completes when it is durable that the message was taken, or when it is certain that it was not. `None`: neither is.
    fn bring(&self, carrier: Arc<str>, message: Brought) -> BoxFuture<'static, Option<Receipt>>;
}

/// A message that a carrier brings.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Brought {
    /// The carrier's name for it: brought twice, it is taken once.
    pub reference: Arc<str>,
    /// Who sent it.
    pub from: String,
    /// To which number, with or without its plus.
    pub to: String,
    /// Its text, joined if it came in several segments.
    pub body: Body,
}

/// What a carrier is told of a message that it brings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Receipt {
    /// It is durable, now or since it was brought first, as a message of this account.
    Taken(AccountSid, AcceptedMessage),
    /// There is no room now; it may be brought again later.
    Later(Reason),
    /// It will not be taken.
    Refused(Reason),
}

/// A command that was applied.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Applied {
    /// The entry's instant.
    pub at: Timestamp,
    /// What the machine answered.
    pub reply: Reply,
}

/// Why no answer came of a command.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ProposeError {
    /// The queue in front of the log is full. There was no effect.
    #[error("the queue in front of the log is full")]
    Overloaded,
    /// The controller is stopping or has lost its log. There was no effect.
    #[error("the controller is stopping")]
    Stopped,
    /// The log failed after the command was handed to it: whether it is durable shows after the next start.
    #[error("the log failed and whether the command is durable is unknown")]
    InDoubt,
}

/// What `/readyz` says of a controller that serves: it does not listen before it can.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Readiness {
    /// All is well.
    Ready,
    /// Requests are served, but somebody should look: one sentence per thing that is wrong. It still counts as ready,
    /// since a balancer that took the controller out would make an outage of what is none.
    Impaired(Vec<String>),
}

/// Bounds at the API's edge. They guard the controller from a runaway client; how fast *calls* are placed is
/// the engine's business and never refused here (`WIRE.md`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct EdgeLimits {
    /// Requests per second of one account, in the long run. Beyond it: 429, code 20429.
    pub requests_per_s: u32,
    /// Requests that an account which was quiet may send at once.
    pub burst: u32,
    /// Requests of one account in progress at once. Beyond it: 429, code 20429.
    pub concurrent: u32,
    /// Uploads of batch lines and followed results of one account at once, apart from `concurrent`, since each lasts long.
    pub streams: u32,
    /// Largest body of a form or of JSON, in bytes. An upload of lines has no such bound: it is streamed.
    pub body_bytes: usize,
    /// Uploads over all accounts at once, since each takes a thread. Beyond it: 503, code 20503.
    pub uploads: usize,
    /// How long an upload may stand still.
    pub upload_idle: Duration,
}

impl Default for EdgeLimits {
    /// 5,000 requests/s is about a twentieth of what one controller accepts on two cores, so that one account
    /// cannot take all; 500 at once is that rate at 100 ms each. The largest legal form is a `Twiml` of 4,000
    /// characters, 48,000 bytes with every UTF-8 byte escaped, beside which a few URLs fit into 64 KiB. The runtime
    /// has 512 threads for blocking work; uploads take at most a quarter of them.
    fn default() -> Self {
        Self {
            requests_per_s: 5_000,
            burst: 10_000,
            concurrent: 500,
            streams: 8,
            uploads: 128,
            body_bytes: 64 * 1024,
            upload_idle: Duration::from_secs(30),
        }
    }
}
