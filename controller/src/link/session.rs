//! One connection of one agent, from its hello to its end.

use std::{collections::HashMap, sync::Arc, time::Duration};

use busyhour_api::Applied;
use busyhour_controller_core::{
    command::{AgentCommand, Command},
    effect::Reply,
    spec::AgentIx,
};
use busyhour_log::ProposeError;
use busyhour_protocol::v1::{self, from_agent, to_agent::Message};
use futures::future::{BoxFuture, FutureExt as _};
use parking_lot::Mutex;
use tokio::sync::{OwnedMutexGuard, mpsc};
use tokio_util::sync::CancellationToken;
use tonic::{Status, Streaming};

use super::{
    Links, Outgoing,
    hello::{self, Greeted},
    offers::{self, Offers},
    reports::{Batch, Reports},
    service::Shared,
};
use crate::{clock, metric_definitions as names};

/// How long a connection may take to say who it is.
const HELLO_WAIT: Duration = Duration::from_secs(10);

/// A change of processor use below this is not worth an entry in the log.
const LOAD_STEP_PERMILLE: u16 = 50;

/// One lock per agent's name: coming and going of the same agent follow each other, so that the late end
/// of an old connection cannot be taken for that of the new one.
#[derive(Default)]
pub(super) struct Names(Mutex<HashMap<Arc<str>, Arc<tokio::sync::Mutex<()>>>>);

impl Names {
    async fn lock(&self, name: &Arc<str>) -> OwnedMutexGuard<()> {
        let lock = {
            let mut names = self.0.lock();
            names.retain(|_, lock| Arc::strong_count(lock) > 1);
            names.entry(name.clone()).or_default().clone()
        };
        lock.lock_owned().await
    }
}

/// An agent that was welcomed.
struct Entered {
    agent: AgentIx,
    fence: u64,
    greeted: Greeted,
    out: mpsc::Sender<Outgoing>,
    cut: CancellationToken,
}

/// Serves a connection until it ends. Whoever ends it, the agent learns why and the state machine learns that it is away.
pub(super) async fn run(
    shared: &Shared,
    mut incoming: Streaming<v1::FromAgent>,
    out: mpsc::Sender<Outgoing>,
) {
    let greeted = match greet(shared, &mut incoming).await {
        Ok(greeted) => greeted,
        Err(status) => {
            refused(&status);
            // The receiver is gone if the agent is.
            let _ = out.send(Err(status)).await;
            return;
        }
    };
    let entered = match enter(shared, greeted, out.clone()).await {
        Ok(entered) => entered,
        Err(status) => {
            refused(&status);
            let _ = out.send(Err(status)).await;
            return;
        }
    };
    let ended = serve(shared, &entered, &mut incoming).await;
    leave(shared, &entered, ended).await;
}

fn refused(status: &Status) {
    metrics::counter!(names::AGENT_LINKS_ENDED, "reason" => "refused").increment(1);
    tracing::warn!(code = ?status.code(), why = status.message(), "an agent was not let in");
}

async fn greet(
    shared: &Shared,
    incoming: &mut Streaming<v1::FromAgent>,
) -> Result<Greeted, Status> {
    let first = tokio::select! {
        first = tokio::time::timeout(HELLO_WAIT, incoming.message()) => first,
        () = shared.shutdown.cancelled() => return Err(stopping()),
    };
    match first {
        Ok(message) => hello::check(message?, &shared.cluster_token),
        Err(_) => Err(Status::deadline_exceeded("no hello within 10 seconds")),
    }
}

/// Tells the state machine that the agent is there, and the agent under which fence.
async fn enter(
    shared: &Shared,
    greeted: Greeted,
    out: mpsc::Sender<Outgoing>,
) -> Result<Entered, Status> {
    let _turn = shared.names.lock(&greeted.name).await;
    let up = Command::Agent(greeted.command());
    let (agent, fence) = match shared.proposer.propose(up).await {
        Ok(Applied { reply: Reply::Agent { agent, fence }, .. }) => (agent, fence),
        Ok(Applied { reply: Reply::Refused(reason), .. }) => {
            return Err(Status::failed_precondition(reason.message()));
        }
        Ok(applied) => {
            tracing::error!(reply = ?applied.reply, "the state machine's answer to an agent makes no sense");
            return Err(Status::internal("the controller does not understand itself"));
        }
        Err(ProposeError::Busy { .. } | ProposeError::NoRoom(_)) => {
            return Err(Status::unavailable("the log is busy; try again"));
        }
        Err(_) => return Err(stopping()),
    };
    let cut = CancellationToken::new();
    let welcome = welcome(shared, &greeted, fence);
    shared.links.enter(agent, fence, out.clone(), cut.clone(), welcome);
    let trunks = offers::trunks(&shared.dial_book.borrow());
    shared.links.send_over(agent, fence, trunks);
    tracing::info!(
        name = &*greeted.name,
        ?agent,
        fence,
        slots = greeted.slots,
        known = greeted.known.len(),
        "an agent is connected"
    );
    Ok(Entered { agent, fence, greeted, out, cut })
}

fn welcome(shared: &Shared, greeted: &Greeted, fence: u64) -> Message {
    // What this process does not run any more and the state machine has an outcome for.
    let forget = shared.proposer.core(|core| {
        let over = greeted.known.iter().filter(|known| !known.live);
        let over = over.filter(|known| core.is_settled(known.call, known.attempt));
        over.map(|known| v1::JournalEntry {
            call: known.call.0,
            attempt: known.attempt.into(),
            live: false,
        })
        .collect()
    });
    Message::Welcome(v1::Welcome {
        fence,
        forget,
        allowed_networks: shared.dial_book.borrow().allowed_networks.clone(),
    })
}

/// Why a connection ended.
enum Ended {
    /// The agent closed it or is gone.
    Away,
    /// It was cut off: replaced, or too slow, or asked to come back.
    Cut,
    /// The controller stops.
    Stopping,
    /// The agent said what it must not.
    Refused(Status),
}

/// What the agent has said and is not durable yet.
#[derive(Default)]
struct Said {
    offers: Offers,
    reports: Reports,
    load: Load,
}

/// What became durable, with what the agent is to hear of it.
enum Written {
    Offers(Vec<Message>),
    Reports(Batch),
    Load,
}

type Write<'a> = BoxFuture<'a, Result<Written, ProposeError>>;

/// Takes in what the agent says and makes it durable, one batch at a time: while one is on its way
/// to the disk the next gathers.
async fn serve(
    shared: &Shared,
    entered: &Entered,
    incoming: &mut Streaming<v1::FromAgent>,
) -> Ended {
    let mut said = Said::default();
    let mut writing: Option<Write<'_>> = None;
    loop {
        if writing.is_none() {
            writing = next_write(shared, entered.agent, entered.fence, &mut said);
        }
        tokio::select! {
            () = shared.shutdown.cancelled() => return Ended::Stopping,
            () = entered.cut.cancelled() => return Ended::Cut,
            written = async { writing.as_mut().expect("guarded").await }, if writing.is_some() => {
                writing = None;
                match written {
                    Ok(written) => answer(&shared.links, entered, written),
                    Err(_) => return Ended::Stopping,
                }
            }
            message = incoming.message(), if !said.reports.is_full() => {
                let taken = match message {
                    Ok(Some(message)) => take_in(shared, entered, message, &mut said),
                    Ok(None) | Err(_) => return Ended::Away,
                };
                if let Err(status) = taken {
                    return Ended::Refused(status);
                }
            }
        }
    }
}

fn take_in(
    shared: &Shared,
    entered: &Entered,
    message: v1::FromAgent,
    said: &mut Said,
) -> Result<(), Status> {
    let wrong = |problem: String| Err(Status::invalid_argument(problem));
    match message.message {
        Some(from_agent::Message::Offer(offer)) => {
            let book = shared.dial_book.borrow().clone();
            let incarnation = entered.greeted.incarnation;
            match said.offers.take_in(entered.agent, incarnation, offer, &book) {
                Ok(Ok(())) => Ok(()),
                Ok(Err(refusal)) => {
                    shared.links.send_over(entered.agent, entered.fence, refusal);
                    Ok(())
                }
                Err(error) => wrong(error.to_string()),
            }
        }
        Some(from_agent::Message::Reports(message)) => {
            let taken = said.reports.take_in(entered.agent, message, clock::now());
            taken.or_else(|error| wrong(error.to_string()))
        }
        Some(from_agent::Message::Load(message)) => {
            let clock = v1::Clock { sent_at_us: clock::steady().as_micros() };
            shared.links.send_over(entered.agent, entered.fence, Message::Clock(clock));
            said.load.take_in(&message).or_else(|problem| wrong(problem.to_owned()))
        }
        Some(from_agent::Message::FenceStored(stored)) if stored.fence == entered.fence => Ok(()),
        Some(from_agent::Message::FenceStored(stored)) => wrong(format!(
            "fence_stored.fence: {} is not {}, the fence that was given",
            stored.fence, entered.fence
        )),
        Some(from_agent::Message::Told(told)) => {
            // Behind a full queue it is forgotten; who waits for it asks again.
            let _ = shared.told.try_send(told);
            Ok(())
        }
        Some(from_agent::Message::Answered(answered)) => {
            let _ = shared.answered.try_send(answered);
            Ok(())
        }
        Some(from_agent::Message::Hello(_)) => wrong("hello: it was said already".to_owned()),
        None => wrong("message: it is empty or of a later version".to_owned()),
    }
}

/// Offers go first: somebody hears them ring.
fn next_write<'a>(
    shared: &'a Shared,
    agent: AgentIx,
    fence: u64,
    said: &mut Said,
) -> Option<Write<'a>> {
    if !said.offers.is_empty() {
        let batch = said.offers.next_batch();
        let write = async move {
            let applied = shared.proposer.insist(|| Command::Offer(batch.clone())).await?;
            Ok(Written::Offers(offers::refusals(&batch, &applied.reply)))
        };
        return Some(write.boxed());
    }
    if !said.reports.is_empty() {
        let batch = said.reports.next_batch();
        let write = async move {
            let command = || Command::Reports(batch.reports.clone());
            shared.proposer.insist(command).await?;
            metrics::counter!(names::REPORTS).increment(batch.reports.len() as u64);
            Ok(Written::Reports(batch))
        };
        return Some(write.boxed());
    }
    let (cpu_permille, draining) = said.load.news()?;
    let write = async move {
        let command =
            || Command::Agent(AgentCommand::Load { agent, fence, cpu_permille, draining });
        shared.proposer.insist(command).await?;
        Ok(Written::Load)
    };
    Some(write.boxed())
}

/// Over this connection or none: another one begins with its own account of what is known.
fn answer(links: &Links, entered: &Entered, written: Written) {
    match written {
        Written::Offers(refusals) => {
            for refusal in refusals {
                links.send_over(entered.agent, entered.fence, refusal);
            }
        }
        Written::Reports(batch) => links.send_over(entered.agent, entered.fence, batch.ack()),
        Written::Load => {}
    }
}

/// The agent's load, in steps that are worth an entry.
#[derive(Default)]
struct Load {
    said: Option<(u16, bool)>,
    written: Option<(u16, bool)>,
}

impl Load {
    fn take_in(&mut self, load: &v1::Load) -> Result<(), &'static str> {
        let cpu = u16::try_from(load.cpu_permille)
            .ok()
            .filter(|cpu| *cpu <= 1_000)
            .ok_or("load.cpu_permille: it is not from 0 to 1000")?;
        self.said = Some((cpu, load.draining));
        Ok(())
    }

    fn news(&mut self) -> Option<(u16, bool)> {
        let said = self.said?;
        let same = self.written.is_some_and(|(cpu, draining)| {
            draining == said.1 && cpu.abs_diff(said.0) < LOAD_STEP_PERMILLE
        });
        if same {
            return None;
        }
        self.written = Some(said);
        Some(said)
    }
}

async fn leave(shared: &Shared, entered: &Entered, ended: Ended) {
    let name = &*entered.greeted.name;
    let reason = match ended {
        Ended::Away => "away",
        Ended::Cut => "cut",
        Ended::Stopping => "stopping",
        Ended::Refused(_) => "refused",
    };
    metrics::counter!(names::AGENT_LINKS_ENDED, "reason" => reason).increment(1);
    let stops = matches!(ended, Ended::Stopping);
    let last_word = match ended {
        Ended::Away | Ended::Cut => None,
        Ended::Stopping => Some(stopping()),
        Ended::Refused(status) => Some(status),
    };
    if let Some(status) = last_word {
        if !stops {
            tracing::error!(name, why = status.message(), "an agent broke the protocol");
        }
        // A full queue loses the reason, not the end.
        let _ = entered.out.try_send(Err(status));
    }
    let _turn = shared.names.lock(&entered.greeted.name).await;
    let present = shared.links.leave(entered.agent, entered.fence);
    tracing::info!(name, reason, "an agent's connection has ended");
    if present && !stops {
        let gone = || {
            Command::Agent(AgentCommand::Disconnected {
                agent: entered.agent,
                incarnation: entered.greeted.incarnation,
            })
        };
        if let Err(error) = shared.proposer.insist(gone).await {
            // The controller is stopping: when it starts again it takes every agent for away first.
            tracing::debug!(name, %error, "not told that the agent is away");
        }
    }
}

fn stopping() -> Status {
    Status::unavailable("the controller is stopping")
}
