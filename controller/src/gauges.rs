//! What is shown as it stands now rather than counted as it happens. What carriers have available comes from the one
//! read model (MT-27) that the API shows as well.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use busyhour_base::Reason;
use busyhour_controller_core::view::{CarrierView, GroupView, PoppersView, Room};
use metrics::{counter, gauge};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio_util::sync::CancellationToken;

use crate::{health::Health, metric_definitions as names, proposer::Proposer};

/// The name under which [`Health`] keeps that there is no agent.
const AGENTS: &str = "agents";

/// How old a gauge may be, in seconds.
const REFRESH_S: u64 = 1;

/// Refreshes gauges until the controller stops.
pub(crate) async fn refresh(
    proposer: Proposer,
    recorder: PrometheusHandle,
    health: Health,
    shutdown: CancellationToken,
) {
    let mut ticks = tokio::time::interval(Duration::from_secs(REFRESH_S));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut shown = Shown::default();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = ticks.tick() => {}
        }
        log(&proposer.status());
        state(&proposer, &mut shown);
        unused(&proposer, &mut shown);
        agents(&proposer, &health);
        recorder.run_upkeep();
    }
}

/// Without agents requests are accepted and wait: whoever looks is told, and the controller counts as ready.
fn agents(proposer: &Proposer, health: &Health) {
    if proposer.read(|state| state.agents().any(|agent| agent.connected)) {
        health.is_well(AGENTS);
    } else {
        health.is_ill(AGENTS, "none is connected; calls are accepted and wait for one");
    }
}

fn log(status: &busyhour_log::Status) {
    counter!(names::LOG_GROUPS).absolute(status.groups);
    gauge!(names::LOG_SYNC).set(status.last_sync.as_secs_f64());
    gauge!(names::LOG_BYTES).set(status.log_bytes as f64);
    gauge!(names::LOG_QUEUED).set(status.queued_commands as f64);
}

/// Whose gauges stand at something.
#[derive(Default)]
struct Shown {
    /// What had come in and was not used, once that was looked at.
    unused: Option<[u64; 3]>,
    carriers: BTreeSet<Arc<str>>,
    routes: BTreeSet<String>,
}

/// What came in and is not used is counted in the state, and an event when there is more of it.
fn unused(proposer: &Proposer, shown: &mut Shown) {
    let counts = proposer
        .read(|state| [state.stray_reports(), state.stray_message_reports(), state.clock_backs()]);
    let of = [
        (Reason::StrayReport, "calls"),
        (Reason::StrayReport, "messages"),
        (Reason::ClockBack, "time"),
    ];
    // What the state remembers from before the process began was told then.
    let before = shown.unused.replace(counts).unwrap_or(counts);
    for (((reason, of), count), before) in of.into_iter().zip(counts).zip(before) {
        counter!(names::UNUSED, "reason" => reason.code(), "of" => of).absolute(count);
        if count > before {
            let more = count - before;
            tracing::warn!(%reason, of, more, "{}", reason.message());
        }
    }
}

fn state(proposer: &Proposer, shown: &mut Shown) {
    let (messages, opted_out) = proposer.read(|state| {
        let waiting = state.message_tenants().map(|tenant| tenant.counts.waiting);
        (waiting.sum::<u64>(), state.opted_out())
    });
    gauge!(names::MESSAGES_QUEUED).set(messages as f64);
    gauge!(names::OPTED_OUT).set(opted_out as f64);
    let (waiting, in_progress, carriers, groups, routes) = proposer.read(|state| {
        let carriers: Vec<_> = state.carriers().collect();
        let groups: Vec<_> = state.groups().collect();
        let routes = state.poppers(ROUTES_MAX);
        (state.calls_waiting(), state.calls_in_progress(), carriers, groups, routes)
    });
    gauge!(names::CALLS_QUEUED).set(waiting as f64);
    gauge!(names::CALLS_IN_PROGRESS).set(in_progress as f64);
    groups.iter().for_each(group);
    carriers.iter().for_each(carrier);
    let now: BTreeSet<_> = carriers.into_iter().map(|carrier| carrier.name).collect();
    shown.carriers.difference(&now).for_each(|gone| forget(gone));
    shown.carriers = now;
    let now: BTreeSet<_> = routes.iter().map(poppers).collect();
    shown.routes.difference(&now).for_each(|gone| route(gone, 0, 0));
    shown.routes = now;
}

/// Routes whose poppers are shown.
const ROUTES_MAX: usize = 1_000;

/// Shows the poppers of a route, and tells its label.
fn poppers(view: &PoppersView) -> String {
    let carriers = view.carriers.join("+");
    route(&carriers, view.number, view.waiting);
    carriers
}

fn route(carriers: &str, poppers: u32, waiting: u64) {
    gauge!(names::POPPERS, "carriers" => carriers.to_owned()).set(poppers);
    gauge!(names::ROUTE_WAITING, "carriers" => carriers.to_owned()).set(waiting as f64);
}

const USES: [&str; 8] =
    ["free", "reserved", "leased", "in_use", "quarantined", "activating", "inactive", "beyond"];

const DIRECTIONS: [&str; 2] = ["outbound", "inbound"];

fn carrier(view: &CarrierView) {
    let now = view.availability;
    let counts = [
        now.free,
        now.reserved,
        now.leased,
        now.in_use,
        now.quarantined,
        now.activating,
        now.inactive,
        now.beyond,
    ];
    channels(&view.name, counts);
    for (direction, room) in DIRECTIONS.into_iter().zip([view.outbound, view.inbound]) {
        carrier_room(&view.name, direction, room);
    }
    let name = || view.name.to_string();
    gauge!(names::CARRIER_SETUPS, "carrier" => name()).set(view.setups_1s);
    let limit = 1.0 / view.setup_spacing.as_secs_f64().max(1e-6);
    gauge!(names::CARRIER_SETUPS_MAX, "carrier" => name()).set(limit);
    gauge!(names::CARRIER_PORTS, "carrier" => name()).set(view.service_ports);
}

fn channels(carrier: &str, counts: [u32; USES.len()]) {
    for (r#use, count) in USES.into_iter().zip(counts) {
        gauge!(names::CHANNELS, "carrier" => carrier.to_owned(), "use" => r#use).set(count);
    }
}

fn carrier_room(carrier: &str, direction: &'static str, room: Room) {
    let name = || carrier.to_owned();
    gauge!(names::CARRIER_ROOM, "carrier" => name(), "direction" => direction).set(room.calls);
    if room.binding != Reason::Ready {
        let reason = room.binding.code();
        counter!(names::CARRIER_SHUT, "carrier" => name(), "direction" => direction, "reason" => reason)
            .increment(REFRESH_S);
    }
}

fn group(view: &GroupView) {
    let parts = [
        ("all", view.free),
        ("guaranteed", view.guaranteed),
        ("expected", view.expected),
        ("margin", view.margin),
        ("lendable", view.lendable),
    ];
    for (part, count) in parts {
        gauge!(names::GROUP_FREE, "group" => view.name.to_string(), "part" => part)
            .set(count as f64);
    }
}

/// A carrier that is gone has nothing.
fn forget(carrier: &str) {
    channels(carrier, [0; USES.len()]);
    let name = || carrier.to_owned();
    for direction in DIRECTIONS {
        gauge!(names::CARRIER_ROOM, "carrier" => name(), "direction" => direction).set(0);
    }
    for gauge in [names::CARRIER_SETUPS, names::CARRIER_SETUPS_MAX, names::CARRIER_PORTS] {
        gauge!(gauge, "carrier" => name()).set(0);
    }
}
