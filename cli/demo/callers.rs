//! The carrier's customers, who call the tenants' numbers while the batches run. The carrier's process plays them, by the
//! scenario; here it is told where to call, and asked what they heard.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use busyhour_carrier::account::{CallerRecord, Callers};
use busyhour_crds::Declared;
use busyhour_simulations::report::{CallerRow, InboundReport};
use serde_json::json;

use super::{api::Api, pool};
use crate::stage::Stage;

/// Lets the callers begin, at every agent.
///
/// # Errors
/// The carrier does not answer, or has begun before.
pub async fn begin(api: &Api, stage: &Stage, declared: &Declared) -> Result<()> {
    let agents = (1..=pool(declared)?.agents).map(|n| stage.address(&format!("agent-{n}.sip")));
    let trunks = agents.collect::<Result<Vec<_>>>()?;
    let url = format!("http://{}/callers", stage.address("carrier.account")?);
    api.post(&url, &json!({"trunks": trunks})).await.map(drop)
}

/// What became of them, beside the API's list of answered calls.
///
/// # Errors
/// The API does not answer.
pub async fn reports(
    api: &Api,
    declared: &Declared,
    callers: &Callers,
) -> Result<Vec<InboundReport>> {
    let first = callers.calls.iter().map(|caller| caller.called_at_us).min().unwrap_or_default();
    let mut by_number = BTreeMap::<&str, Vec<_>>::new();
    for caller in &callers.calls {
        by_number.entry(&caller.to).or_default().push(row(caller, first));
    }
    let mut reports = Vec::new();
    for (number, rows) in by_number {
        let spec = declared.numbers.values().find(|spec| spec.number == number);
        let tenant = &spec.context("callers call declared numbers")?.tenant;
        let calls = api.completed_calls_to(&super::account(declared, tenant)?, number).await?;
        let inbound = calls.iter().filter(|call| call["direction"] == "inbound");
        reports.push(InboundReport::new(number, rows, inbound.count() as u64));
    }
    Ok(reports)
}

fn row(caller: &CallerRecord, first: u64) -> CallerRow {
    let left = caller.left_at_us.unwrap_or(caller.ended_at_us);
    CallerRow {
        nth: caller.nth,
        start_us: caller.called_at_us - first,
        status: caller.status,
        reason: caller.reason.clone(),
        talk_us: caller.answered_at_us.map_or(0, |at| left.saturating_sub(at)),
        speech_heard: caller.speech_us > 0,
        confirmed: caller.confirmed,
    }
}
