//! `busyhour demo`: everything on one machine, in processes of their own: two tenants' batches as real calls, callers of
//! their numbers, and messages both ways. It ends well only if the report has no failure.

pub mod api;
mod callers;
mod collect;
pub mod connection;
mod follow;
mod messages;
mod view;
mod writers;

use std::{io::Write, net::Ipv4Addr, time::Duration};

use anyhow::{Context, Result, bail};
use busyhour_carrier::account::Account as CarrierAccount;
use busyhour_controller_core::spec::Kind;
use busyhour_crds::{Declared, kinds::PoolSpec};
use busyhour_simulations::{
    report::{Report, TenantTerms},
    scenario::{Batch, BatchLines, Scenario},
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::{args::DemoArgs, commands::example, process, stage::Stage};
use api::{Account, Api};
use collect::Results;
use connection::Connection;

/// How long the agents may take to connect.
const AGENTS_WITHIN: Duration = Duration::from_secs(60);
/// How long the carrier may take to see the last call's end.
const CARRIER_WITHIN: Duration = Duration::from_secs(60);
/// Between two looks at a condition that is waited for.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Runs the demo.
///
/// # Errors
/// A part does not start or ends by itself, or the report has a failure.
pub async fn run(args: DemoArgs) -> Result<()> {
    let shutdown = process::shutdown()?;
    let (declared, scenario) = example(&args.example)?;
    let binary = std::env::current_exe()?;
    let mut stage = Stage::set(&binary, &args.example, &args.folder, Ipv4Addr::LOCALHOST.into())?;
    let played = tokio::select! {
        played = play(&mut stage, &declared, &scenario, &args) => played,
        () = shutdown.cancelled() => Err(anyhow::anyhow!("interrupted")),
    };
    if args.keep && played.is_ok() {
        keep(&stage, &declared, &shutdown).await?;
    }
    stage.end().await;
    let report = played?;
    let failures = report.failures();
    if !failures.is_empty() {
        bail!("the demo did not keep its promises:\n  {}", failures.join("\n  "));
    }
    Ok(())
}

async fn play(
    stage: &mut Stage,
    declared: &Declared,
    scenario: &Scenario,
    args: &DemoArgs,
) -> Result<Report> {
    let api = raise(stage, declared, &[]).await?;
    Connection::new(stage, declared)?.write(stage.folder())?;
    let mut batches = Vec::new();
    for batch in scenario.batches_of(Kind::Call) {
        batches.push(submit(&api, stage, declared, batch).await?);
    }
    if !scenario.callers.is_empty() {
        callers::begin(&api, stage, declared).await?;
    }
    let mut sent = Vec::new();
    for of in &scenario.messages {
        sent.push(messages::send(&api, declared, of).await?);
    }
    for batch in scenario.batches_of(Kind::Message) {
        batches.push(submit(&api, stage, declared, batch).await?);
    }
    let writing = writers::begin(&api, declared, &scenario.writers)?;
    let followed = follow::Followed { batches: &batches, sent: &sent, writing: &writing };
    follow::until_over(stage, &api, declared, &followed, args.json).await?;
    let account = settled(stage, &api).await?;
    let mut report = sum_up(&api, declared, scenario, &batches, &account).await?;
    report.inbound = callers::reports(&api, declared, &account.callers).await?;
    (report.messages, report.message_carriers) =
        messages::reports(&api, stage, declared, &batches, &sent).await?;
    report.writers = writing.reports(&api).await?;
    std::fs::write(stage.folder().join("report.json"), serde_json::to_string_pretty(&report)?)?;
    let mut output = std::io::stdout().lock();
    if args.json {
        writeln!(output, "{}", serde_json::to_string(&report)?)?;
    } else {
        writeln!(output, "{}", report.table())?;
    }
    Ok(report)
}

/// Starts every part, the controller with these flags besides its usual ones, and waits until the agents are
/// connected.
///
/// # Errors
/// A part does not come up.
pub async fn raise(stage: &mut Stage, declared: &Declared, controller: &[&str]) -> Result<Api> {
    let (_, carrier) = declared.carriers.first_key_value().context("no carrier is declared")?;
    stage.start_carrier(carrier.spec.channels, carrier.spec.calls_per_second).await?;
    raise_under_carrier(stage, declared, controller).await
}

/// As [`raise`], with the carrier up already.
///
/// # Errors
/// A part does not come up.
pub async fn raise_under_carrier(
    stage: &mut Stage,
    declared: &Declared,
    controller: &[&str],
) -> Result<Api> {
    let pool = pool(declared)?;
    stage.start_application().await?;
    stage.declare()?;
    stage.start_controller(controller).await?;
    let agents = pool.agents;
    for n in 1..=agents {
        start_agent(stage, declared, n).await?;
    }
    let api = Api::new(stage.address("controller.api")?, stage.operator_token()?)?;
    let connected = async {
        loop {
            stage.check()?;
            let overview = api.overview().await?;
            let rows = overview["agents"].as_array().map(Vec::as_slice).unwrap_or_default();
            if rows.iter().filter(|agent| agent["connected"] == true).count() == agents as usize {
                return Ok(());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    match tokio::time::timeout(AGENTS_WITHIN, connected).await {
        Ok(connected) => connected.map(|()| api),
        Err(_) => bail!("the agents did not connect; see the logs in {}", stage.folder().display()),
    }
}

/// A declared tenant's account.
fn account(declared: &Declared, tenant: &str) -> Result<Account> {
    let tenant = declared.tenants.get(tenant).context("the tenant is declared")?;
    let (sid, token) = (tenant.spec.account.to_string(), tenant.token.reveal().to_owned());
    Ok(Account { sid, token })
}

fn pool(declared: &Declared) -> Result<&PoolSpec> {
    Ok(declared.pools.first_key_value().context("no pool is declared")?.1)
}

/// Starts agent number `n`, from 1, with the slots of the declared pool and RTP ports of its own.
///
/// # Errors
/// It does not come up.
pub async fn start_agent(stage: &mut Stage, declared: &Declared, n: u32) -> Result<()> {
    let first = 20_000 + (n - 1) * 1_000;
    let ports = format!("{first}-{}", first + 999);
    stage.start_agent(&format!("agent-{n}"), pool(declared)?.slots_per_agent, &ports).await
}

/// A batch that was submitted.
pub struct Submitted {
    /// Name of its tenant.
    pub tenant: String,
    /// That tenant's account.
    pub account: Account,
    /// `BT...`
    pub sid: String,
    /// What its lines are.
    pub kind: Kind,
    /// Accepted lines.
    pub accepted: u64,
}

/// Creates a batch of the scenario, uploads its lines and starts it.
///
/// # Errors
/// The API does not answer, or refuses a line.
pub async fn submit(
    api: &Api,
    stage: &Stage,
    declared: &Declared,
    batch: &Batch,
) -> Result<Submitted> {
    let account = account(declared, &batch.tenant)?;
    let (kind, defaults) = (batch.kind(), defaults(stage, batch));
    let (name, pacing) = (&batch.name, &batch.pacing);
    let sid = api.create_batch(&account, name, name, pacing, &defaults).await?;
    let mut lines = String::new();
    for (to, name) in batch.numbers() {
        lines += &json!({"custom_id": name, "To": to}).to_string();
        lines.push('\n');
    }
    let said = api.upload(&account, &sid, lines).await?;
    let accepted = said["accepted"].as_u64().context("an upload says how many it accepted")?;
    if accepted != u64::from(batch.count) {
        bail!("{}: {accepted} of {} lines were accepted: {said}", batch.name, batch.count);
    }
    api.start(&account, &sid).await?;
    Ok(Submitted { tenant: batch.tenant.clone(), account, sid, kind, accepted })
}

/// What the lines of a batch have in common, as parameters of the API.
fn defaults(stage: &Stage, batch: &Batch) -> Value {
    let mut defaults = json!({"From": batch.from});
    match &batch.lines {
        BatchLines::Calls(calls) => {
            defaults["Url"] = stage.with_addresses(&calls.first_document.url).into();
            defaults["Timeout"] = calls.ring_timeout.as_secs().to_string().into();
            defaults["TimeLimit"] = calls.time_limit.as_secs().to_string().into();
            if let Some(fallback) = &calls.fallback {
                defaults["FallbackUrl"] = stage.with_addresses(&fallback.url).into();
            }
        }
        BatchLines::Texts(texts) => {
            defaults["Body"] = texts.body.text().into();
            if let Some(validity) = texts.validity {
                defaults["ValidityPeriod"] = validity.as_secs().to_string().into();
            }
        }
    }
    defaults
}

async fn sum_up(
    api: &Api,
    declared: &Declared,
    scenario: &Scenario,
    batches: &[Submitted],
    account: &CarrierAccount,
) -> Result<Report> {
    let mut results = Vec::new();
    for batch in batches.iter().filter(|batch| batch.kind == Kind::Call) {
        let lines = api.results(&batch.account, &batch.sid).await?;
        results.push(Results { tenant: batch.tenant.clone(), accepted: batch.accepted, lines });
    }
    let declaration = declared.declaration();
    let terms: Vec<_> = declaration
        .tenants
        .iter()
        .map(|tenant| TenantTerms {
            name: tenant.name.to_string(),
            spacing: tenant.limits.throttle.map(|throttle| throttle.spacing),
        })
        .collect();
    let (carrier, _) = declared.carriers.first_key_value().context("no carrier is declared")?;
    collect::report(scenario.behaviour.seed, &terms, carrier, account, &results)
}

/// The carrier's account once it has seen the end of every call.
async fn settled(stage: &Stage, api: &Api) -> Result<CarrierAccount> {
    let url = format!("http://{}/account", stage.address("carrier.account")?);
    let look = async {
        loop {
            let account: CarrierAccount = serde_json::from_value(api.get(&url).await?)?;
            if account.channels.current == 0 {
                return Ok(account);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    match tokio::time::timeout(CARRIER_WITHIN, look).await {
        Ok(account) => account,
        Err(_) => bail!("the carrier still has calls up {CARRIER_WITHIN:?} after the last outcome"),
    }
}

async fn keep(stage: &Stage, declared: &Declared, shutdown: &CancellationToken) -> Result<()> {
    let connection = Connection::new(stage, declared)?;
    eprintln!("{}", connection.how_to(stage.folder()));
    shutdown.cancelled().await;
    Ok(())
}

/// A number out of a JSON object, 0 where there is none.
fn number(value: &Value, field: &str) -> u64 {
    value[field].as_u64().unwrap_or_default()
}
