//! After a crash: calls of the earlier process that had ended are reported (again), since the controller may not have
//! heard of it. Those that were answered are still up at the carrier: each is hung up on, so that its channel comes
//! free at once instead of after its quarantine.

use std::{sync::Arc, time::Duration};

use busyhour_base::{CallEvent, Ending, Outcome, Reason, Span};
use futures::{StreamExt, stream};
use tokio::time::timeout;

use crate::{node::Node, sip::StoredDialog};

/// BYEs under way at once.
const AT_ONCE: usize = 64;
/// How long they may take in all before the agent reports for work; what is not confirmed by then is in doubt.
const PATIENCE: Duration = Duration::from_secs(3);

/// Hangs up on what is left and reports what was confirmed. Before the first hello: those calls are then ours to
/// report, and the rest are in doubt.
pub async fn settle(node: &Arc<Node>) {
    node.calls.doubt(node.journal.known());
    for ((call, attempt), ending) in node.journal.ended_before() {
        node.calls.settled(*call, *attempt);
        node.reports.push(*call, *attempt, &CallEvent::Ended(ending.clone()));
    }
    let left = node.journal.answered_before();
    if left.is_empty() {
        return;
    }
    tracing::warn!(calls = left.len(), "hanging up on calls of an earlier process");
    let ended = stream::iter(left).for_each_concurrent(AT_ONCE, |(name, dialog)| {
        let node = node.clone();
        async move { hang_up(&node, name, dialog).await }
    });
    if timeout(PATIENCE, ended).await.is_err() {
        tracing::warn!("some were not confirmed; they stay in doubt");
    }
}

async fn hang_up(node: &Arc<Node>, (call, attempt): (u64, u16), dialog: StoredDialog) {
    if node.sip.end_stored(dialog).await != Ok(true) {
        return;
    }
    node.calls.settled(call, attempt);
    let ending = Ending {
        outcome: Outcome::Failed,
        reason: Reason::InDoubtAgentRestarted,
        sip_code: 200,
        ring: Span::ZERO,
        talk: Span::ZERO,
        digits: String::new(),
        confirmed: true,
    };
    node.reports.push(call, attempt, &CallEvent::Ended(ending));
}
