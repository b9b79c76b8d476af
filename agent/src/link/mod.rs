//! The stream to the controller: opened by the agent, opened again whenever it breaks.

mod asks;
mod errands;
mod load;
mod orders;
mod reports;
mod session;
mod tells;

use std::{sync::Arc, time::Duration};

use rand::Rng as _;
use tokio_util::sync::CancellationToken;

use crate::{metric_definitions as metric, node::Node};

pub use asks::Asks;
pub use reports::Reports;
pub use tells::Tells;

/// First wait before the stream is opened again; it doubles up to [`BACKOFF_MAX`].
const BACKOFF: Duration = Duration::from_millis(100);
/// Longest wait, so that a controller that is back is found within seconds.
const BACKOFF_MAX: Duration = Duration::from_secs(3);

/// Keeps the link up until `stop`.
pub async fn keep(node: Arc<Node>, stop: CancellationToken) {
    let mut wait = BACKOFF;
    for address in node.options.controllers.iter().cycle() {
        let ended = tokio::select! {
            () = stop.cancelled() => return,
            ended = session::run(&node, address) => ended,
        };
        metric::link_up(false);
        if ended.welcomed {
            wait = BACKOFF;
        }
        tracing::warn!(%address, error = %ended.error, "the link to the controller is down");
        // Half of it at random, so that a restarted controller is not met by all agents at once.
        let pause = wait.mul_f64(rand::rng().random_range(0.5..1.0));
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
        wait = (wait * 2).min(BACKOFF_MAX);
    }
}
