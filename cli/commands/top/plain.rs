//! The same without a screen: tables of text, or a line per look.

use super::columns::{Column, Listed};
use crate::{
    model::Overview,
    words::{count, many, rate},
};

/// As wide as all columns are.
const ALL: u16 = u16::MAX;

/// All tables.
pub(super) fn tables(overview: &Overview) -> String {
    let mut text = format!("{}\n\n", line(overview));
    table(&mut text, &overview.tenants);
    if overview.tenants_more > 0 {
        text += &format!("and {}\n", many(overview.tenants_more, "more tenant"));
    }
    if !overview.queues.is_empty() {
        text.push('\n');
        table(&mut text, &overview.queues);
        if overview.queues_more > 0 {
            text += &format!("and {}\n", many(overview.queues_more, "more queue"));
        }
    }
    for route in &overview.poppers {
        text += &format!("{}\n", super::draw::poppers(route));
    }
    for line in &overview.lines {
        text += &format!("{}\n", super::draw::queued(line));
    }
    text.push('\n');
    table(&mut text, &overview.carriers);
    text.push('\n');
    for group in &overview.groups {
        text += &format!("{}\n", super::draw::group(group));
    }
    text.push('\n');
    table(&mut text, &overview.agents);
    text
}

fn table<T: Listed>(text: &mut String, rows: &[T]) {
    let columns: Vec<&Column<T>> = T::COLUMNS.iter().filter(|column| column.from < ALL).collect();
    let shown: Vec<Vec<String>> = rows
        .iter()
        .map(|row| columns.iter().map(|column| column.cell(row).to_string()).collect())
        .collect();
    let width = |n: usize| {
        let cells = shown.iter().map(|row| row[n].chars().count());
        cells.chain([columns[n].name.chars().count()]).max().unwrap_or(0)
    };
    let widths: Vec<_> = (0..columns.len()).map(width).collect();
    let mut put = |cells: Vec<&str>, numbers: &dyn Fn(usize) -> bool| {
        let mut line = String::new();
        for (n, cell) in cells.into_iter().enumerate() {
            let width = widths[n];
            line +=
                &if numbers(n) { format!("{cell:>width$}  ") } else { format!("{cell:<width$}  ") };
        }
        *text += line.trim_end();
        text.push('\n');
    };
    let numbers = |n: usize| columns[n].is_number();
    put(columns.iter().map(|column| column.name).collect(), &numbers);
    for row in &shown {
        put(row.iter().map(String::as_str).collect(), &numbers);
    }
}

/// The most important in one line.
pub(super) fn line(overview: &Overview) -> String {
    let time = overview.at.split_once('T').and_then(|(_, time)| time.get(..8)).unwrap_or_default();
    let sum = |of: fn(&crate::model::Carrier) -> u32| {
        overview.carriers.iter().map(|carrier| u64::from(of(carrier))).sum::<u64>()
    };
    let up = overview.agents.iter().filter(|agent| agent.connected).count();
    format!(
        "{time}  {} waiting, {} in progress, {} set-ups/s; channels: {} in use, {} leased, {} in quarantine, {} free of {}; {up} of {}",
        count(overview.queued),
        count(overview.in_progress),
        rate(sum(|carrier| carrier.setups_1s) as f64),
        sum(|carrier| carrier.in_use),
        sum(|carrier| carrier.leased),
        sum(|carrier| carrier.quarantined),
        sum(|carrier| carrier.free),
        sum(|carrier| carrier.channels),
        many(overview.agents.len() as u64, "agent"),
    )
}
