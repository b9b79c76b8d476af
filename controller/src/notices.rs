//! Callbacks of batches: what the state machine owes is told through any agent, again and again until it is accepted.
//!
//! What is owed is in the replicated state, so that no restart loses it; only the waiting between tries is here. A callback
//! may come twice, if the answer to the first was lost.

use std::{collections::HashMap, sync::Arc, time::Duration};

use busyhour_base::{SidKey, Span, Timestamp};
use busyhour_controller_core::{
    command::{BatchCommand, Command},
    effect::Reply,
    spec::{BatchId, Kind},
    view::{BatchEvent, BatchView, Notice},
};
use busyhour_protocol::v1::{self, to_agent::Message};
use tokio::{
    sync::{Notify, mpsc, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::{clock, declared::DialBook, link::Links, proposer::Proposer};

/// Answers of agents that wait to be looked at.
pub(crate) const TOLD_MAX: usize = 4_096;
/// How often what is due is looked for.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The wait after the first try; it doubles.
const BACKOFF: Duration = Duration::from_secs(1);
/// The longest wait between tries; so long, too, an answer is waited for.
const BACKOFF_MAX: Duration = Duration::from_secs(300);
/// An answer is waited for so long: longer than an agent's webhooks may take.
const ANSWER_WAIT: Duration = Duration::from_secs(30);
/// A notice is given up when it has been owed for so long.
const GIVE_UP: Span = Span::from_secs(86_400);

/// Tells what is owed.
pub(crate) struct Teller {
    pub proposer: Proposer,
    pub links: Links,
    pub dial_book: watch::Receiver<Arc<DialBook>>,
    pub sid_key: SidKey,
    /// Told when something is owed.
    pub owed: Arc<Notify>,
    /// What became of what agents were asked to tell.
    pub told: mpsc::Receiver<v1::Told>,
}

/// A notice on its way.
struct Pending {
    notice: u64,
    tries: u32,
    due: Instant,
    id: u64,
}

impl Teller {
    /// Runs until the controller stops.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut pending: HashMap<BatchId, Pending> = HashMap::new();
        let mut asked = 0;
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.owed.notified() => {}
                _ = look.tick() => {}
                Some(told) = self.told.recv() => {
                    if self.answered(&mut pending, &told).await.is_none() {
                        return;
                    }
                    continue;
                }
            }
            if self.tell_all(&mut pending, &mut asked).await.is_none() {
                return;
            }
        }
    }

    /// Tells everything that is due. `None` when the log is closed.
    async fn tell_all(
        &self,
        pending: &mut HashMap<BatchId, Pending>,
        asked: &mut u64,
    ) -> Option<()> {
        let owed: Vec<(BatchView, Notice)> = self.proposer.read(|state| {
            let batches = state.batches_owing().filter_map(|batch| state.batch(batch));
            batches.filter_map(|view| view.owed.map(|owed| (view, owed))).collect()
        });
        pending.retain(|batch, _| owed.iter().any(|(view, _)| view.batch == *batch));
        let now = Instant::now();
        for (view, notice) in owed {
            let entry = pending.entry(view.batch).or_insert(Pending {
                notice: notice.number,
                tries: 0,
                due: now,
                id: 0,
            });
            if entry.due > now {
                continue;
            }
            if clock::now().since(notice.since) > GIVE_UP {
                self.settle(view.batch, notice.number, false).await?;
                continue;
            }
            *asked += 1;
            (entry.notice, entry.id) = (notice.number, *asked);
            let tell = self.message(&view, notice, *asked);
            // Without an agent, or a tenant, it waits like one that was not accepted.
            let sent = tell.is_some_and(|tell| self.links.send_to_any(&tell));
            entry.tries += u32::from(sent);
            entry.due = now + if sent { ANSWER_WAIT } else { LOOK_EVERY };
        }
        Some(())
    }

    /// An agent says what became of a try. `None` when the log is closed.
    async fn answered(
        &self,
        pending: &mut HashMap<BatchId, Pending>,
        told: &v1::Told,
    ) -> Option<()> {
        let found = pending.iter_mut().find(|(_, entry)| entry.id == told.id);
        let Some((batch, entry)) = found else { return Some(()) };
        let (batch, notice) = (*batch, entry.notice);
        if told.accepted {
            pending.remove(&batch);
            return self.settle(batch, notice, true).await;
        }
        let wait = BACKOFF.saturating_mul(1 << entry.tries.saturating_sub(1).min(16));
        entry.due = Instant::now() + wait.min(BACKOFF_MAX);
        Some(())
    }

    async fn settle(&self, batch: BatchId, notice: u64, accepted: bool) -> Option<()> {
        let told = || Command::Batch(BatchCommand::Told { batch, notice, accepted });
        let settled = self.proposer.insist(told).await.ok()?;
        if !accepted && settled.reply == Reply::Done {
            tracing::warn!(batch = %self.sid_key.batch(batch.0), "a batch's callback was given up");
        }
        Some(())
    }

    fn message(&self, view: &BatchView, notice: Notice, id: u64) -> Option<Message> {
        let book = self.dial_book.borrow().clone();
        let token = book.tokens.get(&view.account)?;
        let hook = &view.plan.callback.as_ref()?.hook;
        Some(Message::Tell(v1::Tell {
            id,
            account: Some(v1::Account {
                sid: view.account.to_string(),
                auth_token: token.expose().to_owned(),
            }),
            hook: Some(hook.into()),
            parameters: self.parameters(view, notice, clock::now()),
        }))
    }

    fn parameters(&self, view: &BatchView, notice: Notice, now: Timestamp) -> Vec<v1::Parameter> {
        let event = match notice.event {
            BatchEvent::Progress => "progress",
            BatchEvent::Finished => "finished",
        };
        let mut all = vec![
            ("BatchSid", self.sid_key.batch(view.batch.0).to_string()),
            ("AccountSid", view.account.to_string()),
            ("BatchName", view.plan.name.clone()),
            ("BatchKind", kind_word(view.plan.kind).to_owned()),
            ("BatchStatus", format!("{:?}", view.status).to_lowercase()),
            ("Event", event.to_owned()),
            ("SequenceNumber", (notice.number - 1).to_string()),
            ("TimestampMs", (now.0 / 1_000).to_string()),
            ("Accepted", view.counts.accepted.to_string()),
            ("Queued", view.counts.queued.to_string()),
            ("InProgress", view.counts.in_progress.to_string()),
        ];
        all.extend(ended(view).map(|(name, count)| (name, count.to_string())));
        let parameter =
            |(name, value): (&str, String)| v1::Parameter { name: name.to_owned(), value };
        all.into_iter().map(parameter).collect()
    }
}

const fn kind_word(kind: Kind) -> &'static str {
    match kind {
        Kind::Call => "calls",
        Kind::Message => "messages",
    }
}

/// How the requests of a batch ended, in the order in which it counts them.
fn ended(view: &BatchView) -> impl Iterator<Item = (&'static str, u64)> {
    const CALLS: [&str; 5] = ["Completed", "Busy", "NoAnswer", "Failed", "Canceled"];
    const MESSAGES: [&str; 5] = ["Delivered", "Sent", "Undelivered", "Failed", "Canceled"];
    let names = match view.plan.kind {
        Kind::Call => CALLS,
        Kind::Message => MESSAGES,
    };
    names.into_iter().zip(view.counts.ended)
}
