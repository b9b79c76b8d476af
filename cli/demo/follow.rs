//! Follows the batches live until both are over.

use std::time::{Duration, Instant};

use anyhow::Result;
use busyhour_crds::Declared;
use serde_json::Value;

use super::{
    Submitted,
    api::Api,
    number,
    view::{AgentRow, Scene, TenantRow, View},
};
use crate::stage::Stage;

/// How often the view is redrawn.
const REDRAW_EVERY: Duration = Duration::from_millis(250);
/// States in which a batch has no call left to place or in progress.
const OVER: [&str; 3] = ["completed", "expired", "cancelled"];

pub(super) async fn until_over(
    stage: &mut Stage,
    api: &Api,
    declared: &Declared,
    batches: &[Submitted],
    quiet: bool,
) -> Result<()> {
    let started = Instant::now();
    let mut view = View::open(&scene(declared, &api.overview().await?, started), quiet)?;
    let mut redraw = tokio::time::interval(REDRAW_EVERY);
    loop {
        redraw.tick().await;
        stage.check()?;
        view.show(&scene(declared, &api.overview().await?, started))?;
        let mut over = true;
        for batch in batches {
            let now = api.batch(&batch.account, &batch.sid).await?;
            over &= now["status"].as_str().is_some_and(|status| OVER.contains(&status));
        }
        if over {
            return Ok(());
        }
    }
}

fn scene(declared: &Declared, overview: &Value, started: Instant) -> Scene {
    let rows = |field: &str| overview[field].as_array().cloned().unwrap_or_default();
    let carrier = rows("carriers").into_iter().next().unwrap_or_default();
    let contract = declared.carriers.first_key_value().map(|(_, carrier)| &carrier.spec);
    Scene {
        elapsed: started.elapsed(),
        tenants: rows("tenants").iter().map(tenant).collect(),
        carrier: carrier["name"].as_str().unwrap_or_default().to_owned(),
        channels_in_use: small(&carrier, "in_use"),
        channels: small(&carrier, "channels"),
        setups_1s: small(&carrier, "setups_1s"),
        calls_per_second: contract.map_or(0, |spec| spec.calls_per_second),
        agents: rows("agents").iter().map(agent).collect(),
    }
}

fn tenant(row: &Value) -> TenantRow {
    let counts = &row["counts"];
    let done = ["completed", "busy", "no_answer", "failed", "canceled"];
    TenantRow {
        name: row["name"].as_str().unwrap_or_default().to_owned(),
        queued: number(counts, "queued"),
        in_progress: number(counts, "in_progress"),
        done: done.iter().map(|outcome| number(counts, outcome)).sum(),
        rate: number(row, "dialled_10s") as f64 / 10.0,
        throttle: row["spacing_us"].as_f64().map(|spacing| 1e6 / spacing),
        eta: row["eta"]["in_ms"].as_u64().map(Duration::from_millis),
        binding: row["eta"]["limiting_factor"].as_str().unwrap_or("-").to_owned(),
    }
}

fn agent(row: &Value) -> AgentRow {
    AgentRow {
        name: row["name"].as_str().unwrap_or_default().to_owned(),
        in_use: small(row, "in_use"),
        slots: small(row, "slots"),
        cpu: number(row, "cpu_permille") as f64 / 1e3,
        connected: row["connected"] == true,
    }
}

fn small(value: &Value, field: &str) -> u32 {
    u32::try_from(number(value, field)).unwrap_or(u32::MAX)
}
