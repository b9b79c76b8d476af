//! What is shown as it stands now rather than counted as it happens.

use std::time::Duration;

use metrics_exporter_prometheus::PrometheusHandle;
use tokio_util::sync::CancellationToken;

use crate::{metric_definitions as names, proposer::Proposer};

/// How old a gauge may be.
const REFRESH: Duration = Duration::from_secs(1);

/// Refreshes gauges until the controller stops.
pub(crate) async fn refresh(
    proposer: Proposer,
    recorder: PrometheusHandle,
    shutdown: CancellationToken,
) {
    let mut ticks = tokio::time::interval(REFRESH);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = ticks.tick() => {}
        }
        log(&proposer.status());
        state(&proposer);
        recorder.run_upkeep();
    }
}

fn log(status: &busyhour_log::Status) {
    metrics::counter!(names::LOG_GROUPS).absolute(status.groups);
    metrics::gauge!(names::LOG_SYNC).set(status.last_sync.as_secs_f64());
    metrics::gauge!(names::LOG_BYTES).set(status.log_bytes as f64);
    metrics::gauge!(names::LOG_QUEUED).set(status.queued_commands as f64);
}

fn state(proposer: &Proposer) {
    let (waiting, in_progress, carriers) = proposer.read(|state| {
        (state.calls_waiting(), state.calls_in_progress(), state.carriers().collect::<Vec<_>>())
    });
    metrics::gauge!(names::CALLS_QUEUED).set(waiting as f64);
    metrics::gauge!(names::CALLS_IN_PROGRESS).set(in_progress as f64);
    for carrier in carriers {
        let name = carrier.name.to_string();
        let now = carrier.availability;
        for (r#use, count) in [
            ("free", now.free),
            ("reserved", now.reserved),
            ("leased", now.leased),
            ("in_use", now.in_use),
            ("quarantined", now.quarantined),
            ("activating", now.activating),
            ("inactive", now.inactive),
        ] {
            let labels = [("carrier", name.clone()), ("use", r#use.to_owned())];
            metrics::gauge!(names::CHANNELS, &labels).set(f64::from(count));
        }
    }
}
