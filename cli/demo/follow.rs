//! Follows batches, callers and messages live until all are over.

use std::time::{Duration, Instant};

use anyhow::Result;
use busyhour_carrier::account::Callers;
use busyhour_controller_core::spec::Kind;
use busyhour_crds::Declared;
use serde_json::Value;

use super::{
    Submitted,
    api::Api,
    messages::{self, Progress, Sent},
    number,
    view::{AgentRow, Scene, TenantRow, View},
    writers::{self, Writing},
};
use crate::stage::Stage;

/// How often the view is redrawn.
const REDRAW_EVERY: Duration = Duration::from_millis(250);
/// States in which a batch has no call left to place or in progress.
const OVER: [&str; 3] = ["completed", "expired", "cancelled"];

/// What has to be over.
pub(super) struct Followed<'a> {
    pub batches: &'a [Submitted],
    pub sent: &'a [Sent],
    pub writing: &'a Writing,
}

pub(super) async fn until_over(
    stage: &mut Stage,
    api: &Api,
    declared: &Declared,
    followed: &Followed<'_>,
    quiet: bool,
) -> Result<()> {
    let started = Instant::now();
    let mut view = None;
    let mut redraw = tokio::time::interval(REDRAW_EVERY);
    loop {
        redraw.tick().await;
        stage.check()?;
        let now = Now::look(stage, api, followed).await?;
        let scene = now.scene(declared, followed.batches, started);
        let view = match &mut view {
            Some(view) => view,
            None => view.insert(View::open(&scene, quiet)?),
        };
        view.show(&scene)?;
        if now.is_over() {
            return Ok(());
        }
    }
}

/// Everything at one instant.
struct Now {
    overview: Value,
    batches: Vec<Value>,
    callers: Callers,
    messages: Progress,
    written: writers::Progress,
}

impl Now {
    async fn look(stage: &Stage, api: &Api, followed: &Followed<'_>) -> Result<Self> {
        let mut shown = Vec::new();
        for batch in followed.batches {
            shown.push(api.batch(&batch.account, &batch.sid).await?);
        }
        let url = format!("http://{}/account?calls=false", stage.address("carrier.account")?);
        let texts = followed.batches.iter().zip(&shown);
        let texts = texts.filter(|(batch, _)| batch.kind == Kind::Message).map(|(_, now)| now);
        let mut messages = messages::progress(api, followed.sent).await?;
        texts.for_each(|now| messages.add(&now["counts"]));
        Ok(Self {
            overview: api.overview().await?,
            batches: shown,
            callers: serde_json::from_value(api.get(&url).await?["callers"].take())?,
            messages,
            written: followed.writing.progress(api).await?,
        })
    }

    fn is_over(&self) -> bool {
        let over = |batch: &Value| batch["status"].as_str().is_some_and(|s| OVER.contains(&s));
        self.batches.iter().all(over)
            && self.callers.over == self.callers.planned
            && self.messages.ended == self.messages.accepted
            && self.written.is_over()
    }

    fn scene(&self, declared: &Declared, batches: &[Submitted], started: Instant) -> Scene {
        let rows = |field: &str| self.overview[field].as_array().cloned().unwrap_or_default();
        let carrier = rows("carriers").into_iter().next().unwrap_or_default();
        let contract = declared.carriers.first_key_value().map(|(_, carrier)| &carrier.spec);
        let tenants = rows("tenants");
        Scene {
            elapsed: started.elapsed(),
            tenants: tenants.iter().map(|row| self.tenant(row, batches)).collect(),
            carrier: carrier["name"].as_str().unwrap_or_default().to_owned(),
            channels_in_use: small(&carrier, "in_use"),
            channels: small(&carrier, "channels"),
            setups_1s: small(&carrier, "setups_1s"),
            calls_per_second: contract.map_or(0, |spec| spec.calls_per_second),
            callers: self.callers.clone(),
            messages: self.messages,
            written: self.written,
            agents: rows("agents").iter().map(agent).collect(),
        }
    }

    /// A tenant's batches of calls; its callers and messages are shown beside the carrier.
    fn tenant(&self, row: &Value, batches: &[Submitted]) -> TenantRow {
        let name = row["name"].as_str().unwrap_or_default();
        let shown = batches.iter().zip(&self.batches);
        let own: Vec<_> = shown
            .filter(|(batch, _)| batch.tenant == name && batch.kind == Kind::Call)
            .map(|(_, now)| &now["counts"])
            .collect();
        let count = |field: &str| own.iter().map(|counts| number(counts, field)).sum();
        let done = ["completed", "busy", "no_answer", "failed", "canceled"];
        TenantRow {
            name: name.to_owned(),
            queued: count("queued"),
            in_progress: count("in_progress"),
            done: done.iter().map(|outcome| -> u64 { count(outcome) }).sum(),
            rate: number(row, "dialled_10s") as f64 / 10.0,
            throttle: row["spacing_us"].as_f64().map(|spacing| 1e6 / spacing),
            eta: row["eta"]["in_ms"].as_u64().map(Duration::from_millis),
            binding: row["eta"]["limiting_factor"].as_str().unwrap_or("-").to_owned(),
        }
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
