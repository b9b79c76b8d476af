//! Applications asked about the messages that came in (MT-9). Agents ask, since agents are what may reach tenants' servers; what
//! an application answers goes into the log, which queues the answers once, however often it was asked.
//!
//! What is being asked is in the state, so that nothing is lost with this process or with an agent. It is asked again when its
//! agent is gone or says nothing: an application may be asked twice, and is heard once.

use std::{collections::HashMap, sync::Arc, time::Duration};

use busyhour_api::Directory;
use busyhour_base::{Reason, SidKey, message::error_code};
use busyhour_controller_core::{
    command::Command,
    message::{After, Again, Answer, Ask, Asked, MessageCommand, MessageId},
    spec::AgentIx,
};
use busyhour_protocol::{
    Replies, Reply,
    v1::{self, answered::Outcome, to_agent::Message},
};
use parking_lot::Mutex;
use tokio::{
    sync::{Notify, mpsc, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use crate::{declared::DialBook, link::Links, metric_definitions as names, proposer::Proposer};

/// Answers of agents that wait to be looked at.
pub(crate) const ANSWERED_MAX: usize = 4_096;
/// Answers in one entry of the log. One may have ten texts and addresses, 150 KB in all, so that they fit into the largest.
const ANSWERS_MAX: usize = 32;
/// How often what has to be asked again is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How long an agent's answer is waited for: longer than it may take.
const ANSWER_WAIT: Duration = Duration::from_secs(75);
/// The version of the interface.
const API_VERSION: &str = "2010-04-01";

/// Questions that the state machine wants asked. As many as it lets be asked at once. Clones share them.
#[derive(Clone, Default)]
pub(crate) struct Asks(Arc<Fresh>);

#[derive(Default)]
struct Fresh {
    asks: Mutex<Vec<Ask>>,
    news: Notify,
}

impl Asks {
    /// Has a question asked.
    pub(crate) fn put(&self, ask: Ask) {
        self.0.asks.lock().push(ask);
        self.0.news.notify_one();
    }

    fn take(&self) -> Vec<Ask> {
        std::mem::take(&mut *self.0.asks.lock())
    }
}

/// Asks.
pub(crate) struct Asker {
    pub asks: Asks,
    pub answered: mpsc::Receiver<v1::Answered>,
    pub proposer: Proposer,
    pub links: Links,
    pub dial_book: watch::Receiver<Arc<DialBook>>,
    pub directory: watch::Receiver<Arc<Directory>>,
    pub sid_key: SidKey,
}

/// A question on its way.
struct Pending {
    ask: Ask,
    /// The agent that asks, and the fence of its connection.
    with: Option<(AgentIx, u64)>,
    /// When it is asked again.
    due: Instant,
}

impl Asker {
    /// Runs until the controller stops.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        let mut pending = HashMap::new();
        let mut heard = Vec::new();
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let fresh = Arc::clone(&self.asks.0);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = fresh.news.notified() => {}
                _ = look.tick() => {}
                _ = self.answered.recv_many(&mut heard, ANSWERS_MAX) => {}
            }
            let now = Instant::now();
            for ask in self.asks.take() {
                pending.insert(ask.message, Pending { ask, with: None, due: now });
            }
            let judged = heard.drain(..).filter_map(|of| self.judge(&mut pending, of, now));
            let mut asked: Vec<Asked> = judged.collect();
            asked.extend(self.send(&mut pending, now));
            if asked.is_empty() {
                continue;
            }
            let command = || Command::Message(MessageCommand::Asked(asked.clone()));
            if self.proposer.insist(command).await.is_err() {
                return;
            }
        }
    }

    /// Sends what is due to an agent, any agent. What cannot be asked at all is over.
    fn send(&self, pending: &mut HashMap<MessageId, Pending>, now: Instant) -> Vec<Asked> {
        let book = self.dial_book.borrow().clone();
        let connected = self.links.connected();
        let mut over = Vec::new();
        for waiting in pending.values_mut() {
            let lost = waiting.with.is_some_and(|with| !connected.contains(&with));
            if waiting.due > now && !lost {
                continue;
            }
            match self.order(&book, &waiting.ask) {
                Ok(order) => {
                    waiting.with = self.links.send_to_next(&Message::Ask(order));
                    let wait = if waiting.with.is_some() { ANSWER_WAIT } else { LOOK_EVERY };
                    waiting.due = now + wait;
                }
                Err(reason) => over.push(finished(&waiting.ask, Vec::new(), After::Failed(reason))),
            }
        }
        for asked in &over {
            pending.remove(&asked.message);
        }
        over
    }

    /// The question as an agent gets it, or why there is nobody to ask.
    fn order(&self, book: &DialBook, ask: &Ask) -> Result<v1::Ask, Reason> {
        let texting = book.texting.get(&ask.spec.to).filter(|of| of.account == ask.account);
        let application = texting.and_then(|texting| texting.application.as_ref());
        let application = application.ok_or(Reason::NoApplication)?;
        let token = book.tokens.get(&ask.account).ok_or(Reason::NoApplication)?;
        let hook = ask.again.as_ref().map_or(&application.hook, |again| &again.hook);
        let parameters = parameters(ask, self.sid_key).into_iter();
        Ok(v1::Ask {
            message: ask.message.0,
            step: ask.step.into(),
            account: Some(v1::Account {
                sid: ask.account.to_string(),
                auth_token: token.expose().to_owned(),
            }),
            hook: Some(hook.into()),
            fallback: application.fallback.as_ref().map(Into::into),
            parameters: parameters
                .map(|(name, value)| v1::Parameter { name: name.to_owned(), value })
                .collect(),
        })
    }

    /// What an agent says of a question. `None` if it is not over.
    fn judge(
        &self,
        pending: &mut HashMap<MessageId, Pending>,
        answered: v1::Answered,
        now: Instant,
    ) -> Option<Asked> {
        let message = MessageId(answered.message);
        let waiting = pending.get_mut(&message)?;
        if u32::from(waiting.ask.step) != answered.step {
            return None;
        }
        let replies = match answered.outcome {
            Some(Outcome::Replies(replies)) => Replies::try_from(replies),
            Some(Outcome::Busy(_)) | None => {
                (waiting.with, waiting.due) = (None, now + LOOK_EVERY);
                return None;
            }
        };
        let waiting = pending.remove(&message)?;
        let replies = replies.unwrap_or_else(|error| {
            tracing::error!(%error, "an agent's answer about a message is refused");
            Replies { failure: Some(Reason::DocumentFailed), ..Replies::default() }
        });
        Some(self.asked(&waiting.ask, replies))
    }

    fn asked(&self, ask: &Ask, replies: Replies) -> Asked {
        let after = match (replies.failure, replies.again) {
            (Some(reason), _) => After::Failed(reason),
            (None, Some(hook)) => After::Again(hook),
            (None, None) => After::Done,
        };
        let directory = self.directory.borrow().clone();
        let plan = directory.accounts.get(&ask.account);
        let answers = replies.replies.into_iter().filter_map(|reply| {
            let answer = answer(ask, reply);
            let allowed = plan.is_some_and(|plan| plan.may_call(&answer.spec.to))
                && answer.spec.to != answer.spec.from;
            if !allowed {
                metrics::counter!(names::REPLIES_FORBIDDEN).increment(1);
                let account = ask.account;
                tracing::warn!(%account, "an application answers to a number that its account may not write to");
            }
            allowed.then_some(answer)
        });
        finished(ask, answers.collect(), after)
    }
}

fn finished(ask: &Ask, answers: Vec<Answer>, after: After) -> Asked {
    Asked { message: ask.message, step: ask.step, answers, after }
}

fn answer(ask: &Ask, reply: Reply) -> Answer {
    ask.answer((reply.to, reply.from), reply.body, reply.status_callback)
}

/// What every request about a message carries.
fn parameters(ask: &Ask, key: SidKey) -> Vec<(&'static str, String)> {
    let mut parameters = match &ask.again {
        None => {
            let sid = key.message(ask.message.0).to_string();
            vec![
                ("MessageSid", sid.clone()),
                ("SmsSid", sid.clone()),
                ("SmsMessageSid", sid),
                ("SmsStatus", "received".to_owned()),
            ]
        }
        Some(again) => of_answer(again, key),
    };
    parameters.extend(ask.keyword.map(|keyword| ("OptOutType", keyword.as_str().to_owned())));
    parameters.extend([
        ("AccountSid", ask.account.to_string()),
        ("From", ask.spec.from.clone()),
        ("To", ask.spec.to.clone()),
        ("Body", ask.body.text().to_owned()),
        ("NumMedia", "0".to_owned()),
        ("NumSegments", ask.segments.count.to_string()),
        ("ApiVersion", API_VERSION.to_owned()),
    ]);
    parameters
}

/// What became of an application's answer.
fn of_answer(again: &Again, key: SidKey) -> Vec<(&'static str, String)> {
    match again.answer {
        Ok(message) => {
            let sid = key.message(message.0).to_string();
            vec![
                ("MessageSid", sid.clone()),
                ("SmsSid", sid),
                ("MessageStatus", "queued".to_owned()),
                ("SmsStatus", "queued".to_owned()),
            ]
        }
        Err(reason) => {
            let code = error_code(reason).map(|code| ("ErrorCode", code.to_string()));
            let failed = ["MessageStatus", "SmsStatus"].map(|name| (name, "failed".to_owned()));
            failed.into_iter().chain(code).collect()
        }
    }
}
