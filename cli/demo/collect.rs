//! From the API's results and the carrier's own account to the report.

use std::collections::HashMap;

use anyhow::{Context, Result, bail};
use busyhour_base::{Outcome, Reason};
use busyhour_carrier::account::{Account, Outcome as Seen, Record};
use busyhour_simulations::report::{CallRow, CarrierReport, Report, TenantTerms};
use serde_json::Value;

/// The results of one tenant's batch.
pub struct Results {
    /// The tenant's name.
    pub tenant: String,
    /// How many calls the API accepted.
    pub accepted: u64,
    /// One line per ended call.
    pub lines: Vec<Value>,
}

/// Joins what the API says of each call with what the carrier saw of it.
///
/// # Errors
/// A line of the results lacks what its documentation promises.
pub fn report(
    seed: u64,
    terms: &[TenantTerms],
    carrier: &str,
    account: &Account,
    results: &[Results],
) -> Result<Report> {
    let seen: HashMap<_, _> = account.calls.iter().map(|call| (call.to.as_str(), call)).collect();
    let mut calls: HashMap<String, CallRow> = HashMap::new();
    for result in results {
        for line in &result.lines {
            let row = row(&result.tenant, line, &seen)?;
            calls.entry(row.to.clone()).and_modify(|earlier| earlier.outcomes += 1).or_insert(row);
        }
        let ended = calls.values().filter(|call| call.tenant == result.tenant).count() as u64;
        if ended != result.accepted {
            bail!("{}: {} calls were accepted and {ended} ended", result.tenant, result.accepted);
        }
    }
    let carriers = vec![CarrierReport {
        name: carrier.to_owned(),
        channels: account.contract.channels.into(),
        channels_peak: account.channels.peak,
        calls_per_second: account.contract.calls_per_second.into(),
        setups_peak: account.rate.peak,
        breaches: account.breaches(),
        duplicates: account.duplicates.call_ids + account.duplicates.numbers,
    }];
    Ok(Report::new(seed, terms, carriers, calls.into_values().collect()))
}

fn row(tenant: &str, line: &Value, seen: &HashMap<&str, &Record>) -> Result<CallRow> {
    let text = |field: &str| {
        line[field].as_str().with_context(|| format!("a result has no {field}: {line}"))
    };
    let to = text("to")?;
    let status = text("status")?;
    let outcome = Outcome::ALL.into_iter().find(|outcome| outcome.as_str() == status);
    let held_by = Reason::from_code(text("held_by")?).context("held_by is a reason's code")?;
    let at_carrier = seen.get(to);
    let answered = at_carrier.is_some_and(|call| call.outcome == Seen::Answered);
    Ok(CallRow {
        to: to.to_owned(),
        tenant: tenant.to_owned(),
        start_us: at_carrier.map(|call| call.invited_at_us),
        end_us: at_carrier.and_then(|call| call.ended_at_us),
        outcome,
        outcomes: 1,
        held_by,
        answered,
        speech_heard: at_carrier
            .and_then(|call| call.media.as_ref())
            .is_some_and(|media| media.speech_us > 0),
        digits: line["digits"].as_str().unwrap_or_default().to_owned(),
    })
}
