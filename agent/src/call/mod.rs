//! One task per call drives its [`Leg`](busyhour_agent_core::leg::Leg) with SIP, media, speech, HTTP and time.

mod driver;
mod events;
mod inbound;
mod negotiation;
mod offers;
mod prepare;
mod registry;
mod trunk;

use std::{sync::Arc, sync::atomic::Ordering, time::Instant};

use busyhour_base::{AccountSid, CallEvent, CallSid, CallSpec, Instructions, Reason};
use busyhour_protocol::{AnswerOrder, DialOrder, Secret};
use tokio::sync::mpsc;
use tracing::Instrument;

use crate::{metric_definitions as metric, node::Node};

pub use inbound::receive;
pub use offers::{Offers, Word};
pub use registry::{Calls, NotAdmitted};

/// What may be ordered of a call that runs.
#[derive(Clone, Debug)]
pub enum CallCommand {
    /// End it.
    HangUp(Reason),
    /// Go on with another document.
    Redirect(Instructions),
}

/// What a call's driver needs of its order, whoever began the call.
struct Job {
    call: u64,
    attempt: u16,
    fence: u64,
    call_sid: CallSid,
    account: AccountSid,
    auth_token: Secret,
    carrier: String,
    spec: CallSpec,
}

impl From<&DialOrder> for Job {
    fn from(order: &DialOrder) -> Self {
        Self {
            call: order.call,
            attempt: order.attempt,
            fence: order.fence,
            call_sid: order.call_sid,
            account: order.account,
            auth_token: order.auth_token.clone(),
            carrier: order.trunk.carrier.clone(),
            spec: order.spec.clone(),
        }
    }
}

impl From<AnswerOrder> for Job {
    fn from(order: AnswerOrder) -> Self {
        Self {
            call: order.call,
            attempt: order.attempt,
            fence: order.fence,
            call_sid: order.call_sid,
            account: order.account,
            auth_token: order.auth_token,
            carrier: order.carrier,
            spec: order.spec,
        }
    }
}

/// Judges an order to dial and begins its call. The fence of the node is at least the order's.
pub fn admit(node: &Arc<Node>, order: DialOrder, ordered: Instant) {
    let (call, attempt) = (order.call, order.attempt);
    let refuse = |reason: Reason| {
        metric::order(reason.code());
        node.reports.push(call, attempt, &CallEvent::NotSent(reason));
    };
    // What the journal has was sent, or may have been: its first order is being answered, or was (invariant 2).
    if node.journal.knows(call, attempt) {
        return metric::order("repeated");
    }
    if order.fence < node.journal.fence() {
        return refuse(Reason::Fenced);
    }
    if node.draining.load(Ordering::Acquire) {
        return refuse(Reason::AgentDraining);
    }
    let commands = match node.calls.admit((call, attempt)) {
        Ok(commands) => commands,
        Err(NotAdmitted::Running) => return metric::order("repeated"),
        Err(NotAdmitted::Full) => return refuse(Reason::AgentFull),
    };
    metric::order("accepted");
    metric::load(node.calls.in_use(), node.options.slots);
    let span = tracing::info_span!(parent: None, "call", sid = %order.call_sid, attempt);
    tokio::spawn(run(node.clone(), order, ordered, commands).instrument(span));
}

async fn run(
    node: Arc<Node>,
    order: DialOrder,
    ordered: Instant,
    commands: mpsc::Receiver<CallCommand>,
) {
    let name = (order.call, order.attempt);
    let slot = Slot { node: node.clone(), name };
    driver::place(&node, order, ordered, commands).await;
    drop(slot);
}

/// A call's slot, given back whatever becomes of its task.
struct Slot {
    node: Arc<Node>,
    name: (u64, u16),
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.node.calls.release(self.name);
        metric::load(self.node.calls.in_use(), self.node.options.slots);
    }
}
