//! The three tables: what each column shows, how wide the screen must be for it, and how it is sorted.

use ratatui::{
    style::{Color, Stylize as _},
    text::Line,
};

use super::bar::{Part, bar};
use crate::{
    model::{Agent, Carrier, Tenant},
    words::{count, rate, span},
};

/// Cells of a bar.
const BAR: u16 = 14;

/// What a column is sorted by.
#[derive(Clone, PartialEq, PartialOrd, Debug)]
pub(super) enum Key {
    Text(String),
    Number(f64),
}

/// A column.
pub(super) struct Column<T> {
    pub(super) name: &'static str,
    pub(super) width: u16,
    /// The least width of the screen at which it is shown.
    pub(super) from: u16,
    pub(super) key: fn(&T) -> Key,
    pub(super) cell: fn(&T) -> Line<'static>,
}

impl<T> Column<T> {
    /// Numbers stand at the right, and the largest first.
    pub(super) fn is_number(&self, row: &T) -> bool {
        matches!((self.key)(row), Key::Number(_))
    }
}

/// Something that a table lists.
pub(super) trait Listed: Sized + 'static {
    const COLUMNS: &'static [Column<Self>];
    /// Which column it is sorted by at first.
    const FIRST: usize;

    fn name(&self) -> &str;
}

fn text(text: &str) -> Key {
    Key::Text(text.to_lowercase())
}

fn number(number: impl Into<f64>) -> Key {
    Key::Number(number.into())
}

fn large(number: u64) -> Key {
    Key::Number(number as f64)
}

fn right(text: String) -> Line<'static> {
    Line::from(text).right_aligned()
}

fn name(name: &str) -> Line<'static> {
    Line::from(name.to_owned().bold())
}

/// Nothing is shown as a dot, so that what is something stands out.
fn some(count: u32) -> Line<'static> {
    if count == 0 { Line::from("·".dark_gray()).right_aligned() } else { right(count.to_string()) }
}

/// A reason, in the colour of who can do something about it.
fn reason(code: &str) -> Line<'static> {
    let colour = match code {
        "throttle" | "cap" | "batch_throttle" | "batch_concurrency" | "tenant_channels" => {
            Color::Cyan
        }
        "workers" | "no_carrier" | "records_behind" | "suspended" => Color::Red,
        "ready" | "" => Color::Reset,
        _ => Color::Yellow,
    };
    Line::from(code.to_owned().fg(colour))
}

/// Of those that ended, in percent.
fn completed(tenant: &Tenant) -> Option<f64> {
    let ended = tenant.counts.ended();
    (ended > 0).then(|| tenant.counts.completed as f64 * 100.0 / ended as f64)
}

fn shares(tenant: &Tenant) -> String {
    let share = |share: &crate::model::Share| {
        let most = share.maximum.map_or("∞".to_owned(), |most| most.to_string());
        format!("{}/{}/{most}", share.guaranteed, share.expected)
    };
    tenant.shares.iter().map(share).collect::<Vec<_>>().join(" ")
}

fn held_by(tenant: &Tenant) -> &str {
    tenant.eta.as_ref().map_or("", |eta| &eta.limiting_factor)
}

/// How much of what was accepted has ended.
fn progress(tenant: &Tenant) -> f64 {
    tenant.counts.ended() as f64 / (tenant.counts.accepted.max(1) as f64)
}

impl Listed for Tenant {
    const FIRST: usize = 2;
    const COLUMNS: &'static [Column<Self>] = &[
        Column {
            name: "TENANT",
            width: 16,
            from: 0,
            key: |tenant| text(&tenant.name),
            cell: |tenant| name(&tenant.name),
        },
        Column {
            name: "PROGRESS",
            width: BAR,
            from: 158,
            key: |tenant| number(progress(tenant)),
            cell: |tenant| {
                let counts = tenant.counts;
                let parts = [
                    (counts.ended(), "█", Color::Green),
                    (counts.in_progress, "▓", Color::Yellow),
                    (counts.queued, "·", Color::DarkGray),
                ];
                bar(&parts, BAR.into())
            },
        },
        Column {
            name: "WAITING",
            width: 10,
            from: 0,
            key: |tenant| large(tenant.counts.queued),
            cell: |tenant| right(count(tenant.counts.queued)),
        },
        Column {
            name: "UP",
            width: 6,
            from: 0,
            key: |tenant| large(tenant.counts.in_progress),
            cell: |tenant| right(count(tenant.counts.in_progress)),
        },
        Column {
            name: "ENDED",
            width: 10,
            from: 100,
            key: |tenant| large(tenant.counts.ended()),
            cell: |tenant| right(count(tenant.counts.ended())),
        },
        Column {
            name: "OK %",
            width: 5,
            from: 142,
            key: |tenant| number(completed(tenant).unwrap_or(-1.0)),
            cell: |tenant| right(completed(tenant).map_or(String::new(), |ok| format!("{ok:.0}"))),
        },
        Column {
            name: "PER S",
            width: 6,
            from: 0,
            key: |tenant| number(tenant.rate()),
            cell: |tenant| right(rate(tenant.rate())),
        },
        Column {
            name: "OF",
            width: 6,
            from: 0,
            key: |tenant| number(tenant.throttle().unwrap_or(f64::MAX)),
            cell: |tenant| right(tenant.throttle().map_or("any".to_owned(), rate)),
        },
        Column {
            name: "CHANNELS",
            width: 8,
            from: 142,
            key: |tenant| number(tenant.channels()),
            cell: |tenant| some(tenant.channels()),
        },
        Column {
            name: "GUAR/EXP/MAX",
            width: 14,
            from: 142,
            key: |tenant| number(tenant.shares.first().map_or(0, |share| share.guaranteed)),
            cell: |tenant| right(shares(tenant)),
        },
        Column {
            name: "RINGING",
            width: 7,
            from: 142,
            key: |tenant| large(tenant.inbound.ringing),
            cell: |tenant| some(tenant.inbound.ringing as u32),
        },
        Column {
            name: "LAST IN",
            width: 11,
            from: 0,
            key: |tenant| large(tenant.eta.as_ref().map_or(0, |eta| eta.in_ms)),
            cell: |tenant| right(tenant.eta.as_ref().map_or(String::new(), |eta| span(eta.in_ms))),
        },
        Column {
            name: "P90",
            width: 11,
            from: 100,
            key: |tenant| large(tenant.eta.as_ref().and_then(|eta| eta.in_ms_p90).unwrap_or(0)),
            cell: |tenant| {
                let p90 = tenant.eta.as_ref().and_then(|eta| eta.in_ms_p90);
                right(p90.map_or(String::new(), span))
            },
        },
        Column {
            name: "HELD BY",
            width: 17,
            from: 0,
            key: |tenant| text(held_by(tenant)),
            cell: |tenant| reason(held_by(tenant)),
        },
    ];

    fn name(&self) -> &str {
        &self.name
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

impl Listed for Carrier {
    const FIRST: usize = 0;
    const COLUMNS: &'static [Column<Self>] = &[
        Column {
            name: "CARRIER",
            width: 16,
            from: 0,
            key: |carrier| text(&carrier.name),
            cell: |carrier| name(&carrier.name),
        },
        Column {
            name: "CHANNELS",
            width: BAR,
            from: 0,
            key: |carrier| number(carrier.in_use + carrier.leased + carrier.quarantined),
            cell: |carrier| bar(&parts(carrier), BAR.into()),
        },
        Column {
            name: "IN USE",
            width: 6,
            from: 0,
            key: |carrier| number(carrier.in_use),
            cell: |carrier| some(carrier.in_use),
        },
        Column {
            name: "LEASED",
            width: 6,
            from: 100,
            key: |carrier| number(carrier.leased),
            cell: |carrier| some(carrier.leased),
        },
        Column {
            name: "QUARANT",
            width: 7,
            from: 100,
            key: |carrier| number(carrier.quarantined),
            cell: |carrier| some(carrier.quarantined),
        },
        Column {
            name: "RESERVED",
            width: 8,
            from: 128,
            key: |carrier| number(carrier.reserved),
            cell: |carrier| some(carrier.reserved),
        },
        Column {
            name: "INACTIVE",
            width: 8,
            from: 128,
            key: |carrier| number(carrier.inactive + carrier.activating),
            cell: |carrier| some(carrier.inactive + carrier.activating),
        },
        Column {
            name: "FREE",
            width: 5,
            from: 0,
            key: |carrier| number(carrier.free),
            cell: |carrier| some(carrier.free),
        },
        Column {
            name: "OF",
            width: 5,
            from: 0,
            key: |carrier| number(carrier.channels),
            cell: |carrier| right(carrier.channels.to_string()),
        },
        Column {
            name: "PORTS",
            width: 6,
            from: 100,
            key: |carrier| number(carrier.service_ports),
            cell: |carrier| right(carrier.service_ports.to_string()),
        },
        Column {
            name: "SET-UPS",
            width: 8,
            from: 0,
            key: |carrier| number(carrier.setups_1s),
            cell: |carrier| right(format!("{}/{}", carrier.setups_1s, rate(carrier.setups_max()))),
        },
        Column {
            name: "ROOM IN",
            width: 7,
            from: 128,
            key: |carrier| number(carrier.inbound.calls),
            cell: |carrier| right(carrier.inbound.calls.to_string()),
        },
        Column {
            name: "NO MORE FOR",
            width: 17,
            from: 0,
            key: |carrier| text(&shut_by(carrier)),
            cell: |carrier| reason(&shut_by(carrier)),
        },
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
        Column {
            name: "AGENT",
            width: 16,
            from: 0,
            key: |agent| text(&agent.name),
            cell: |agent| name(&agent.name),
        },
        Column { name: "LOAD", width: BAR, from: 0, key: |agent| number(agent.in_use), cell: load },
        Column {
            name: "CALLS",
            width: 6,
            from: 0,
            key: |agent| number(agent.in_use),
            cell: |agent| some(agent.in_use),
        },
        Column {
            name: "OF",
            width: 6,
            from: 0,
            key: |agent| number(agent.slots),
            cell: |agent| right(agent.slots.to_string()),
        },
        Column {
            name: "CPU %",
            width: 6,
            from: 0,
            key: |agent| number(agent.cpu_permille),
            cell: |agent| right(format!("{:.0}", f64::from(agent.cpu_permille) / 10.0)),
        },
        Column { name: "STATE", width: 8, from: 0, key: |agent| text(agent.state()), cell: state },
    ];

    fn name(&self) -> &str {
        &self.name
    }
}
