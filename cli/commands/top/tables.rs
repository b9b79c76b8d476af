//! The four tables: what each column shows, how wide the screen must be for it, and how it is sorted.

use ratatui::{
    style::{Color, Stylize as _},
    text::Line,
};

use super::{
    bar::{Part, bar},
    columns::{Column, Listed},
};
use crate::{
    model::{Agent, Carrier, Queue, Share, Tenant},
    words::{rate, span},
};

/// Cells of a bar.
const BAR: u16 = 14;

/// Of those that ended, in percent.
fn completed(tenant: &Tenant) -> Option<f64> {
    let ended = tenant.counts.ended();
    (ended > 0).then(|| tenant.counts.completed as f64 * 100.0 / ended as f64)
}

fn shares(tenant: &Tenant) -> String {
    let share = |share: &Share| {
        let most = share.maximum.map_or("∞".to_owned(), |most| most.to_string());
        format!("{}/{}/{most}", share.guaranteed, share.expected)
    };
    tenant.shares.iter().map(share).collect::<Vec<_>>().join(" ")
}

fn held_by(tenant: &Tenant) -> String {
    tenant.eta.as_ref().map_or(String::new(), |eta| eta.limiting_factor.clone())
}

/// How much of what was accepted has ended.
fn progress(tenant: &Tenant) -> f64 {
    tenant.counts.ended() as f64 / (tenant.counts.accepted.max(1) as f64)
}

fn progress_bar(tenant: &Tenant) -> Line<'static> {
    let counts = tenant.counts;
    let parts = [
        (counts.ended(), "█", Color::Green),
        (counts.in_progress, "▓", Color::Yellow),
        (counts.queued, "·", Color::DarkGray),
    ];
    bar(&parts, BAR.into())
}

fn last_in(tenant: &Tenant) -> Option<u64> {
    tenant.eta.as_ref().map(|eta| eta.in_ms)
}

fn last_in_p90(tenant: &Tenant) -> Option<u64> {
    tenant.eta.as_ref().and_then(|eta| eta.in_ms_p90)
}

fn told(ms: Option<u64>) -> String {
    ms.map_or(String::new(), span)
}

impl Listed for Tenant {
    const FIRST: usize = 2;
    const COLUMNS: &'static [Column<Self>] = &[
        Column::name("TENANT", 16, |tenant| &tenant.name),
        Column::drawn("PROGRESS", BAR, 172, progress, progress_bar),
        Column::count("WAITING", 10, 0, |tenant| tenant.counts.queued),
        Column::count("UP", 6, 0, |tenant| tenant.counts.in_progress),
        Column::count("ENDED", 10, 100, |tenant| tenant.counts.ended()),
        Column::amount(
            "OK %",
            5,
            156,
            |tenant| completed(tenant).unwrap_or(-1.0),
            |tenant| completed(tenant).map_or(String::new(), |ok| format!("{ok:.0}")),
        ),
        Column::amount("PER S", 6, 0, Tenant::rate, |tenant| rate(tenant.rate())),
        Column::amount(
            "OF",
            6,
            0,
            |tenant| tenant.throttle().unwrap_or(f64::MAX),
            |tenant| tenant.throttle().map_or("any".to_owned(), rate),
        ),
        Column::some("CHANNELS", 8, 156, |tenant| tenant.channels().into()),
        Column::amount(
            "GUAR/EXP/MAX",
            14,
            156,
            |tenant| tenant.shares.first().map_or(0.0, |share| share.guaranteed.into()),
            shares,
        ),
        Column::some("RINGING", 7, 156, |tenant| tenant.inbound.ringing),
        Column::some("MESSAGES", 8, 110, |tenant| {
            tenant.messages.waiting + tenant.messages.sending + tenant.messages.receiving
        }),
        Column::amount(
            "LAST IN",
            11,
            0,
            |tenant| last_in(tenant).unwrap_or(0) as f64,
            |tenant| told(last_in(tenant)),
        ),
        Column::amount(
            "P90",
            11,
            100,
            |tenant| last_in_p90(tenant).unwrap_or(0) as f64,
            |tenant| told(last_in_p90(tenant)),
        ),
        Column::reason("HELD BY", held_by),
    ];

    fn name(&self) -> &str {
        &self.name
    }
}

impl Listed for Queue {
    const FIRST: usize = 3;
    const COLUMNS: &'static [Column<Self>] = &[
        Column::name("TENANT", 16, |queue| &queue.tenant),
        Column::text("OF", 8, 0, |queue| format!("{}s", queue.kind)),
        Column::text("FROM NUMBER", 16, 0, |queue| queue.number.clone().unwrap_or_default()),
        Column::count("WAITING", 8, 0, |queue| queue.waiting),
        Column::some("SEGMENTS", 8, 100, |queue| queue.segments.unwrap_or(0)),
        Column::some("UP", 5, 0, |queue| queue.in_progress),
        Column::text("URGENCY", 11, 88, |queue| queue.urgency.clone()),
        Column::text("BATCH OR APPLICATION", 34, 124, Queue::asked_by),
        Column::reason("HELD BY", |queue| queue.why().to_owned()),
    ];

    fn name(&self) -> &str {
        &self.tenant
    }
}

/// What the parts of a carrier's bar are.
pub(super) const PARTS: [&str; 6] =
    ["in use", "leased", "in quarantine", "reserved", "free", "inactive"];

/// What a carrier's channels do, as the parts of its bar.
pub(super) fn parts(carrier: &Carrier) -> [Part; 6] {
    [
        (carrier.in_use.into(), "█", Color::Green),
        (carrier.leased.into(), "▓", Color::Yellow),
        (carrier.quarantined.into(), "▒", Color::Red),
        (carrier.reserved.into(), "░", Color::Blue),
        (carrier.free.into(), "·", Color::DarkGray),
        (u64::from(carrier.inactive) + u64::from(carrier.activating), "x", Color::DarkGray),
    ]
}

/// Why not one more call can be placed, or else taken.
fn shut_by(carrier: &Carrier) -> String {
    match (carrier.outbound.shut_by(), carrier.inbound.shut_by()) {
        (Some(outbound), _) => outbound.to_owned(),
        (None, Some(inbound)) => format!("in: {inbound}"),
        (None, None) => String::new(),
    }
}

fn setups(carrier: &Carrier) -> String {
    format!("{}/{}", carrier.setups_1s, rate(carrier.setups_max()))
}

impl Listed for Carrier {
    const FIRST: usize = 0;
    const COLUMNS: &'static [Column<Self>] = &[
        Column::name("CARRIER", 16, |carrier| &carrier.name),
        Column::drawn(
            "CHANNELS",
            BAR,
            0,
            |carrier| (carrier.in_use + carrier.leased + carrier.quarantined).into(),
            |carrier| bar(&parts(carrier), BAR.into()),
        ),
        Column::some("IN USE", 6, 0, |carrier| carrier.in_use.into()),
        Column::some("LEASED", 6, 100, |carrier| carrier.leased.into()),
        Column::some("QUARANT", 7, 100, |carrier| carrier.quarantined.into()),
        Column::some("RESERVED", 8, 128, |carrier| carrier.reserved.into()),
        Column::some("INACTIVE", 8, 128, |carrier| (carrier.inactive + carrier.activating).into()),
        Column::some("FREE", 5, 0, |carrier| carrier.free.into()),
        Column::count("OF", 5, 0, |carrier| carrier.channels.into()),
        Column::count("PORTS", 6, 100, |carrier| carrier.service_ports.into()),
        Column::amount("SET-UPS", 8, 0, |carrier| carrier.setups_1s.into(), setups),
        Column::count("ROOM IN", 7, 128, |carrier| carrier.inbound.calls.into()),
        Column::reason("NO MORE FOR", shut_by),
    ];

    fn name(&self) -> &str {
        &self.name
    }
}

fn load(agent: &Agent) -> Line<'static> {
    let free = agent.slots.saturating_sub(agent.in_use);
    let parts = [(agent.in_use.into(), "█", Color::Magenta), (free.into(), "·", Color::DarkGray)];
    bar(&parts, BAR.into())
}

fn state(agent: &Agent) -> Line<'static> {
    let colour = match agent.state() {
        "up" => Color::Green,
        "draining" => Color::Yellow,
        _ => Color::Red,
    };
    Line::from(agent.state().fg(colour))
}

impl Listed for Agent {
    const FIRST: usize = 0;
    const COLUMNS: &'static [Column<Self>] = &[
        Column::name("AGENT", 16, |agent| &agent.name),
        Column::drawn("LOAD", BAR, 0, |agent| agent.in_use.into(), load),
        Column::some("CALLS", 6, 0, |agent| agent.in_use.into()),
        Column::count("OF", 6, 0, |agent| agent.slots.into()),
        Column::amount(
            "CPU %",
            6,
            0,
            |agent| agent.cpu_permille.into(),
            |agent| format!("{:.0}", f64::from(agent.cpu_permille) / 10.0),
        ),
        Column::drawn("STATE", 8, 0, |agent| if agent.connected { 1.0 } else { 0.0 }, state),
    ];

    fn name(&self) -> &str {
        &self.name
    }
}
