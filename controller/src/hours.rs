//! Resolves the calling hours of batches anew before they run out: the state machine knows instants only.

use std::time::Duration;

use busyhour_base::Span;
use busyhour_controller_core::command::{BatchCommand, Command};
use tokio_util::sync::CancellationToken;

use crate::{clock, proposer::Proposer};

/// How often it is looked for hours that run out.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// Hours are resolved anew when they are known for less than this: a controller may be away for four weeks.
const LEFT_MIN: Span = Span::from_secs(28 * 86_400);

/// Runs until the controller stops.
pub(crate) async fn renew(proposer: Proposer, stop: CancellationToken) {
    let mut look = tokio::time::interval(LOOK_EVERY);
    look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = look.tick() => {}
        }
        let now = clock::now();
        for (batch, plan) in proposer.read(|state| state.hours_running_out(now + LEFT_MIN)) {
            let Some(hours) = &plan.hours else { continue };
            let from = plan.not_before.unwrap_or(now).max(now);
            let through = plan.not_after.map_or(from + busyhour_api::HOURS_AHEAD, |end| {
                end.min(from + busyhour_api::HOURS_AHEAD)
            });
            let openings = busyhour_api::openings(hours, from, through);
            let open = || Command::Batch(BatchCommand::Open { batch, openings: openings.clone() });
            if proposer.insist(open).await.is_err() {
                return; // The log is closed.
            }
        }
    }
}
