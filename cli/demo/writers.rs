//! The carrier's customers, who write to the tenants' numbers. The carrier within the controller is told to bring their messages,
//! by the scenario, and again until each is taken.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use anyhow::{Context, Result};
use busyhour_crds::Declared;
use busyhour_simulations::{
    report::{WriterRow, WritersReport},
    scenario::Writers,
};
use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::api::{Account, Api};

/// From one try to bring a message to the next.
const AGAIN_AFTER: Duration = Duration::from_millis(250);

/// Messages on their way in. Dropping it ends the writers.
pub struct Writing {
    numbers: Vec<(Writers, Account)>,
    taken: Arc<AtomicU64>,
    _tasks: JoinSet<()>,
}

/// Where the messages to the tenants' numbers are.
#[derive(Clone, Copy, Debug, Default)]
pub struct Progress {
    /// By the scenario.
    pub planned: u64,
    /// Taken.
    pub taken: u64,
    /// Of these, the ones about which the application was asked.
    pub received: u64,
    /// Answers to them that have not ended.
    pub answers_open: u64,
}

impl Progress {
    /// Whether nothing more will happen.
    pub const fn is_over(self) -> bool {
        self.received == self.planned && self.answers_open == 0
    }
}

/// Lets everybody write in their time.
///
/// # Errors
/// A number has no declared tenant.
pub fn begin(api: &Api, declared: &Declared, all: &[Writers]) -> Result<Writing> {
    let (mut numbers, mut tasks) = (Vec::new(), JoinSet::new());
    let taken = Arc::new(AtomicU64::new(0));
    for writers in all {
        let number = declared.numbers.values().find(|spec| spec.number == writers.to);
        let tenant = &number.context("writers write to declared numbers")?.tenant;
        numbers.push((writers.clone(), super::account(declared, tenant)?));
        for written in writers.written() {
            let (api, taken, carrier) = (api.clone(), Arc::clone(&taken), writers.carrier.clone());
            let message = json!({
                "reference": written.reference,
                "from": written.from,
                "to": writers.to,
                "body": writers.body.text(),
            });
            tasks.spawn(async move {
                tokio::time::sleep(written.after.into()).await;
                while api.bring_message(&carrier, &message).await.is_err() {
                    tokio::time::sleep(AGAIN_AFTER).await;
                }
                taken.fetch_add(1, Ordering::Relaxed);
            });
        }
    }
    Ok(Writing { numbers, taken, _tasks: tasks })
}

impl Writing {
    /// Where the messages are now.
    ///
    /// # Errors
    /// The API does not answer.
    pub async fn progress(&self, api: &Api) -> Result<Progress> {
        let planned = self.numbers.iter().map(|(writers, _)| u64::from(writers.messages)).sum();
        let taken = self.taken.load(Ordering::Relaxed);
        let mut progress = Progress { planned, taken, ..Progress::default() };
        for report in self.reports(api).await? {
            progress.received += report.received;
            let open = |status: &&String| super::messages::is_open(status);
            let answers = report.writers.iter().flat_map(|writer| &writer.answers);
            progress.answers_open += answers.filter(open).count() as u64;
        }
        Ok(progress)
    }

    /// What became of them, by the API's lists.
    ///
    /// # Errors
    /// The API does not answer.
    pub async fn reports(&self, api: &Api) -> Result<Vec<WritersReport>> {
        let mut reports = Vec::new();
        for (writers, account) in &self.numbers {
            let listed = api.messages(account).await?;
            let rows = writers.written().map(|written| row(&writers.to, written.from, &listed));
            reports.push(WritersReport::new(&writers.to, rows.collect()));
        }
        reports.sort_by(|one, other| one.number.cmp(&other.number));
        Ok(reports)
    }
}

fn row(number: &str, from: String, listed: &[Value]) -> WriterRow {
    let status = |message: &Value| message["status"].as_str().unwrap_or_default().to_owned();
    let between = |direction: &'static str, from: &str, to: &str| -> Vec<String> {
        let found = listed.iter().filter(|message| {
            message["direction"] == *direction && message["from"] == *from && message["to"] == *to
        });
        found.map(status).collect()
    };
    let came = between("inbound", &from, number);
    let answers = between("outbound-reply", number, &from);
    WriterRow {
        taken: u32::try_from(came.len()).unwrap_or(u32::MAX),
        status: came.into_iter().next().unwrap_or_default(),
        answers,
        from,
    }
}
