//! The report as a table for people.

use std::{
    collections::BTreeMap,
    fmt::{Display, Write},
};

use busyhour_base::Span;

use super::{Refused, Report, TenantReport};

const HEAD: [&str; 12] = [
    "tenant",
    "throttle",
    "accepted",
    "completed",
    "busy",
    "no-answer",
    "failed",
    "canceled",
    "heard",
    "digits",
    "spacing p50",
    "p99",
];

impl Report {
    /// Plain text, at most 120 columns wide with names of usual length.
    pub fn table(&self) -> String {
        let mut rows = vec![HEAD.map(str::to_owned)];
        rows.extend(self.tenants.iter().map(row));
        let widths: Vec<_> = (0..HEAD.len())
            .map(|n| rows.iter().map(|row| row[n].len()).max().unwrap_or_default())
            .collect();
        let mut text = String::new();
        for row in &rows {
            let cells = row.iter().zip(&widths).enumerate();
            let cells: Vec<_> = cells
                .map(
                    |(n, (cell, width))| {
                        if n == 0 { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
                    },
                )
                .collect();
            text += cells.join("  ").trim_end();
            text.push('\n');
        }
        text.push('\n');
        self.carrier_lines(&mut text);
        self.inbound_lines(&mut text);
        self.message_lines(&mut text);
        self.waiting_lines(&mut text);
        text
    }

    fn inbound_lines(&self, text: &mut String) {
        for calls in &self.inbound {
            let _ = write!(
                text,
                "callers of {}: {} called, {} answered, {} heard speech",
                calls.number, calls.placed, calls.answered, calls.speech_heard
            );
            for Refused { status, reason, calls } in &calls.refused {
                let _ = write!(text, ", {calls} refused with {status} {reason}");
            }
            text.push('\n');
        }
    }

    fn message_lines(&self, text: &mut String) {
        for messages in &self.messages {
            let _ = write!(
                text,
                "messages of {}: {} accepted, {} segments",
                messages.tenant, messages.accepted, messages.segments
            );
            for (status, count) in &messages.outcomes {
                let _ = write!(text, ", {count} {status}");
                if let Some(reasons) = messages.reasons.get(status) {
                    let _ = write!(text, " ({})", counted(reasons));
                }
            }
            text.push('\n');
        }
        for of in &self.writers {
            let _ = write!(
                text,
                "messages to {}: {} brought, {} received",
                of.number, of.brought, of.received
            );
            for (status, count) in &of.answers {
                let _ = write!(text, ", {count} answers {status}");
            }
            text.push('\n');
        }
        for carrier in &self.message_carriers {
            let _ = writeln!(
                text,
                "carrier {}: {} messages, peak {} of {} segments/s, {} handed over twice",
                carrier.name,
                carrier.handed,
                carrier.segments_peak,
                carrier.segments_per_second,
                carrier.duplicates,
            );
        }
    }

    fn carrier_lines(&self, text: &mut String) {
        let answered: u64 = self.tenants.iter().map(|tenant| tenant.answered).sum();
        let heard: u64 = self.tenants.iter().map(|tenant| tenant.speech_heard).sum();
        // Writing to a string cannot fail.
        for carrier in &self.carriers {
            let _ = writeln!(
                text,
                "carrier {}: peak {} of {} channels, peak {} of {} calls/s, {} breaches, {} dialled twice",
                carrier.name,
                carrier.channels_peak,
                carrier.channels,
                carrier.setups_peak,
                carrier.calls_per_second,
                carrier.breaches,
                carrier.duplicates,
            );
        }
        let _ = writeln!(
            text,
            "speech heard in {heard} of {answered} answered calls; all over after {}",
            Span(self.lasted_us)
        );
    }

    fn waiting_lines(&self, text: &mut String) {
        for tenant in &self.tenants {
            let _ = writeln!(text, "{} waited last for: {}", tenant.name, counted(&tenant.held_by));
        }
    }
}

/// Reasons, each with how many it is of.
fn counted<R: Display>(reasons: &BTreeMap<R, u64>) -> String {
    let each = reasons.iter().map(|(reason, count)| format!("{reason} {count}"));
    each.collect::<Vec<_>>().join(", ")
}

fn row(tenant: &TenantReport) -> [String; HEAD.len()] {
    let throttle = tenant.spacing_us.map_or_else(|| "none".to_owned(), rate);
    let error = |us: Option<u64>| us.map_or_else(|| "-".to_owned(), |us| Span(us).to_string());
    let outcomes = &tenant.outcomes;
    [
        tenant.name.clone(),
        throttle,
        tenant.accepted.to_string(),
        outcomes.completed.to_string(),
        outcomes.busy.to_string(),
        outcomes.no_answer.to_string(),
        outcomes.failed.to_string(),
        outcomes.canceled.to_string(),
        format!("{}/{}", tenant.speech_heard, tenant.answered),
        tenant.with_digits.to_string(),
        error(tenant.spacing_error.map(|error| error.p50_us)),
        error(tenant.spacing_error.map(|error| error.p99_us)),
    ]
}

/// A spacing as calls per second, or as itself if that is less than one.
fn rate(spacing_us: u64) -> String {
    match spacing_us {
        0 => "none".to_owned(),
        1..=1_000_000 => format!("{}/s", (1e8 / spacing_us as f64).round() / 100.0),
        us => format!("1 in {}", Span(us)),
    }
}
