//! The carrier's own calls to the tenants' numbers, while the batches run.

use std::{collections::BTreeMap, net::SocketAddr};

use anyhow::{Context, Result};
use busyhour_base::Span;
use busyhour_carrier::caller::{CallIn, CalledIn, call_in};
use busyhour_crds::Declared;
use busyhour_simulations::{
    report::InboundReport,
    scenario::{Callers, Scenario},
};
use serde_json::Value;
use tokio::{task::JoinSet, time::Instant};

/// Longer than any number of the examples lets a call ring.
const PATIENCE: Span = Span::from_secs(30);

/// What became of the calls, by number.
pub type Called = BTreeMap<String, Vec<CalledIn>>;

/// Makes every call of the scenario, at the agents in turn.
///
/// # Errors
/// A socket fails.
pub async fn play(scenario: Scenario, agents: Vec<SocketAddr>) -> Result<Called> {
    let started = Instant::now();
    let mut calls = JoinSet::new();
    let all =
        scenario.callers.iter().flat_map(|callers| (0..callers.calls).map(move |n| (callers, n)));
    for (number, (callers, n)) in all.enumerate() {
        let trunk = *agents.get(number % agents.len().max(1)).context("there is an agent")?;
        let Callers { to, from, every, listens, .. } = callers.clone();
        let call = CallIn {
            number: number as u64,
            ip: trunk.ip(),
            trunk,
            from,
            to,
            listens,
            patience: PATIENCE,
        };
        let at = started + every.times(u64::from(n)).into();
        calls.spawn(async move {
            tokio::time::sleep_until(at).await;
            let called = call_in(&call).await;
            called.map(|called| (call.to, called))
        });
    }
    let mut called = Called::new();
    while let Some(done) = calls.join_next().await {
        let (to, outcome) = done??;
        called.entry(to).or_default().push(outcome);
    }
    Ok(called)
}

/// Sums the calls up, beside the controller's own count of those that were answered.
pub fn reports(called: &Called, declared: &Declared, overview: &Value) -> Vec<InboundReport> {
    let counted = |number: &str| {
        let tenant = declared.numbers.values().find(|spec| spec.number == number)?.tenant.clone();
        let rows = overview["tenants"].as_array()?;
        let row = rows.iter().find(|row| row["name"] == tenant.as_str())?;
        row["inbound"]["answered"].as_u64()
    };
    let report = |(number, calls): (&String, &Vec<CalledIn>)| {
        let count = |of: &dyn Fn(&CalledIn) -> bool| calls.iter().filter(|c| of(c)).count() as u64;
        let answered = |call: &CalledIn| (200..300).contains(&call.status);
        let mut refused = BTreeMap::new();
        for call in calls.iter().filter(|call| !answered(call)) {
            *refused.entry(call.status).or_default() += 1;
        }
        InboundReport {
            number: number.clone(),
            placed: calls.len() as u64,
            answered: count(&answered),
            speech_heard: count(&|call| answered(call) && call.speech > Span::ZERO),
            refused,
            unconfirmed: count(&|call| !call.ended),
            counted: counted(number).unwrap_or_default(),
        }
    };
    called.iter().map(report).collect()
}
