//! The tenants' messages: sent through the API, to the carrier within the controller.

use std::{collections::BTreeMap, fs};

use anyhow::{Context, Result, bail};
use busyhour_base::{MessageStatus, Reason};
use busyhour_controller_core::spec::Kind;
use busyhour_crds::Declared;
use busyhour_simulations::{
    report::{Handed, MessageCarrierReport, MessageRow, MessagesReport},
    scenario,
};
use serde::Deserialize;
use serde_json::Value;

use super::{
    Submitted,
    api::{Account, Api},
    number,
};
use crate::stage::Stage;

/// Statuses of a message of which something more is to be heard: the demo's carrier reports on each that it takes.
const OPEN: [&str; 5] = ["accepted", "scheduled", "queued", "sending", "sent"];

/// Whether something more is to be heard of a message with this status.
pub fn is_open(status: &str) -> bool {
    OPEN.contains(&status)
}

/// One tenant's messages that were accepted.
pub struct Sent {
    tenant: String,
    account: Account,
    /// Sids and recipients, in order.
    messages: Vec<(String, String)>,
}

/// Where all messages are.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    /// Accepted.
    pub accepted: u64,
    /// In their numbers' queues.
    pub waiting: u64,
    /// With the carrier.
    pub with_carrier: u64,
    /// Delivered.
    pub delivered: u64,
    /// Ended in any way.
    pub ended: u64,
}

/// Sends messages, one request each.
///
/// # Errors
/// The API does not answer, or refuses one.
pub async fn send(api: &Api, declared: &Declared, of: &scenario::Messages) -> Result<Sent> {
    let account = super::account(declared, &of.tenant)?;
    let mut messages = Vec::new();
    for spec in of.requests() {
        let sid = api.send_message(&account, &spec.from, &spec.to, of.body.text()).await?;
        messages.push((sid, spec.to));
    }
    Ok(Sent { tenant: of.tenant.clone(), account, messages })
}

/// Where they are now.
///
/// # Errors
/// The API does not answer.
pub async fn progress(api: &Api, sent: &[Sent]) -> Result<Progress> {
    let mut progress = Progress::default();
    for of in sent {
        progress.accepted += of.messages.len() as u64;
        for message in of.listed(api).await? {
            match message["status"].as_str().unwrap_or_default() {
                "sending" | "sent" => progress.with_carrier += 1,
                status if is_open(status) => progress.waiting += 1,
                status => {
                    progress.ended += 1;
                    progress.delivered += u64::from(status == "delivered");
                }
            }
        }
    }
    Ok(progress)
}

impl Progress {
    /// Adds a batch of messages, of which the API tells these counts.
    pub fn add(&mut self, counts: &Value) {
        let ended: u64 = MessageStatus::ENDS.iter().map(|end| number(counts, end.as_str())).sum();
        self.accepted += number(counts, "accepted");
        self.waiting += number(counts, "queued");
        self.with_carrier += number(counts, "in_progress");
        self.delivered += number(counts, "delivered");
        self.ended += ended;
    }
}

impl Sent {
    /// What the API lists of these messages.
    async fn listed(&self, api: &Api) -> Result<Vec<Value>> {
        let listed = api.messages(&self.account).await?.into_iter();
        let ours = |message: &Value| self.messages.iter().any(|(sid, _)| message["sid"] == **sid);
        Ok(listed.filter(ours).collect())
    }
}

/// A line of the account that the carrier within the controller keeps.
#[derive(Deserialize)]
struct Line {
    at: u64,
    message: String,
    segments: u64,
}

/// What became of them, by the API's lists and by the carrier's own account.
///
/// # Errors
/// The API does not answer, or the account cannot be read.
pub async fn reports(
    api: &Api,
    stage: &Stage,
    declared: &Declared,
    batches: &[Submitted],
    sent: &[Sent],
) -> Result<(Vec<MessagesReport>, Vec<MessageCarrierReport>)> {
    let (mut handed, mut carriers) = (Vec::new(), Vec::new());
    for (name, carrier) in &declared.carriers {
        let Some(spec) = &carrier.spec.messages else { continue };
        let lines = account(stage, name)?;
        carriers.push(MessageCarrierReport::new(name, spec.segments_per_second, lines.clone()));
        handed.extend(lines);
    }
    let first = handed.iter().map(|handed| handed.at_us).min().unwrap_or_default();
    let mut tenants = BTreeMap::<&str, Vec<_>>::new();
    for of in sent {
        let listed = of.listed(api).await?;
        let rows = of.messages.iter().map(|(sid, to)| listed_row(sid, to, &listed, &handed, first));
        tenants.entry(&of.tenant).or_default().extend(rows);
    }
    for batch in batches.iter().filter(|batch| batch.kind == Kind::Message) {
        let results = api.results(&batch.account, &batch.sid).await?;
        let rows = batch_rows(batch, &results, &handed, first)?;
        tenants.entry(&batch.tenant).or_default().extend(rows);
    }
    let reports = tenants.into_iter().map(|(tenant, rows)| MessagesReport::new(tenant, rows));
    Ok((reports.collect(), carriers))
}

/// A message that was sent by itself, by what the API lists.
fn listed_row(sid: &str, to: &str, listed: &[Value], handed: &[Handed], first: u64) -> MessageRow {
    let status = |message: &Value| message["status"].as_str().unwrap_or_default().to_owned();
    let ended: Vec<_> = listed
        .iter()
        .filter(|message| message["sid"] == *sid && !is_open(&status(message)))
        .collect();
    // The list words the reason for people only.
    let error = ended.first().and_then(|message| message["error_message"].as_str());
    let reason = Reason::ALL.iter().find(|reason| Some(reason.message()) == error);
    let segments = ended.first().and_then(|message| message["num_segments"].as_str()?.parse().ok());
    MessageRow {
        to: to.to_owned(),
        status: ended.first().map(|message| status(message)).unwrap_or_default(),
        reason: reason.map_or_else(String::new, |reason| reason.code().to_owned()),
        outcomes: u32::try_from(ended.len()).unwrap_or(u32::MAX),
        segments: segments.unwrap_or_default(),
        ..handed_row(sid, handed, first)
    }
}

/// The messages of a batch, by its results.
fn batch_rows(
    batch: &Submitted,
    results: &[Value],
    handed: &[Handed],
    first: u64,
) -> Result<Vec<MessageRow>> {
    let mut rows = BTreeMap::<&str, MessageRow>::new();
    for line in results {
        let text = |field: &str| {
            line[field].as_str().with_context(|| format!("a result has no {field}: {line}"))
        };
        let sid = text("message_sid")?;
        let failed = !line["error_code"].is_null();
        let row = MessageRow {
            to: text("to")?.to_owned(),
            status: text("status")?.to_owned(),
            reason: if failed { text("reason")?.to_owned() } else { String::new() },
            outcomes: 1,
            segments: number(line, "segments"),
            ..handed_row(sid, handed, first)
        };
        rows.entry(sid).and_modify(|earlier| earlier.outcomes += 1).or_insert(row);
    }
    if rows.len() as u64 != batch.accepted {
        let (tenant, accepted) = (&batch.tenant, batch.accepted);
        bail!("{tenant}: {accepted} messages of a batch were accepted and {} ended", rows.len());
    }
    Ok(rows.into_values().collect())
}

/// What the carrier was handed of a message.
fn handed_row(sid: &str, handed: &[Handed], first: u64) -> MessageRow {
    let handed: Vec<_> = handed.iter().filter(|handed| handed.message == sid).collect();
    MessageRow {
        start_us: handed.iter().map(|handed| handed.at_us - first).min(),
        handed: u32::try_from(handed.len()).unwrap_or(u32::MAX),
        ..MessageRow::default()
    }
}

fn account(stage: &Stage, carrier: &str) -> Result<Vec<Handed>> {
    let path = stage.folder().join("controller/message-carriers").join(format!("{carrier}.ndjson"));
    if !path.exists() {
        return Ok(Vec::new());
    }
    let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    let line = |line: &str| {
        let Line { at, message, segments } =
            serde_json::from_str(line).with_context(|| format!("the carrier's line {line:?}"))?;
        Ok(Handed { message, at_us: at, segments })
    };
    text.lines().map(line).collect()
}
