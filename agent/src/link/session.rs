//! One connection to one controller, from the hello to its end.

use std::{sync::Arc, time::Duration};

use busyhour_protocol::v1::{
    self, controller_client::ControllerClient, from_agent::Message as Out, to_agent::Message as In,
};
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Streaming, transport::Endpoint};

use super::{
    load::Meter,
    orders::{self, Timing},
};
use crate::{journal::JournalError, metric_definitions as metric, node::Node};

/// Messages that may wait for the connection; with more the agent waits too.
const OUT_MAX: usize = 64;
/// Time to connect, and to be welcomed.
const PATIENCE: Duration = Duration::from_secs(10);
/// Time between pings, and for their answers, so that a dead connection shows.
const KEEPALIVE: Duration = Duration::from_secs(5);
/// Time between loads.
const LOAD_EVERY: Duration = Duration::from_secs(1);
/// Shortest time between loads that a change of the number of calls causes.
const LOAD_SOONEST: Duration = Duration::from_millis(100);

/// How a connection ended.
pub struct Ended {
    /// The controller had welcomed the agent.
    pub welcomed: bool,
    /// Why.
    pub error: LinkError,
}

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// It could not be made.
    #[error("cannot connect: {}", innermost(.0))]
    Connect(#[from] tonic::transport::Error),
    /// The controller ended it.
    #[error("{}: {}", .0.code(), .0.message())]
    Status(#[from] tonic::Status),
    /// The stream ended without a word.
    #[error("the controller closed the stream")]
    Closed,
    /// No answer to the hello.
    #[error("the controller said nothing for {} s", PATIENCE.as_secs())]
    Silent,
    /// Its first message was no welcome.
    #[error("the controller's first message is no welcome")]
    NotWelcome,
    /// Another controller has given a higher fence since.
    #[error("the controller's fence {given} is below {stored}, which this agent obeys")]
    Stale {
        /// What it gave.
        given: u64,
        /// What is stored.
        stored: u64,
    },
    /// The fence could not be stored.
    #[error(transparent)]
    Journal(#[from] JournalError),
}

/// What is at the bottom of an error of transport, such as a refused connection; the error itself does not say.
fn innermost(error: &tonic::transport::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// Connects, and serves the connection to its end.
pub async fn run(node: &Arc<Node>, address: &str) -> Ended {
    let mut welcomed = false;
    let error = match serve(node, address, &mut welcomed).await {
        Err(error) => error,
        Ok(never) => match never {},
    };
    node.offers.close();
    Ended { welcomed, error }
}

async fn serve(
    node: &Arc<Node>,
    address: &str,
    welcomed: &mut bool,
) -> Result<std::convert::Infallible, LinkError> {
    let endpoint = Endpoint::from_shared(address.to_owned())?
        .connect_timeout(PATIENCE)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE)
        .keep_alive_while_idle(true);
    let mut client = ControllerClient::new(endpoint.connect().await?);
    let (out, stream) = mpsc::channel(OUT_MAX);
    let message = |message| v1::FromAgent { message: Some(message) };
    // There is room: the channel is new.
    let _ = out.try_send(message(Out::Hello(node.hello())));
    let opened = timeout(PATIENCE, client.link(ReceiverStream::new(stream))).await;
    let mut incoming = opened.map_err(|_| LinkError::Silent)??.into_inner();

    let welcome = receive_welcome(&mut incoming).await?;
    let fence = welcome.fence;
    take_welcome(node, welcome).await?;
    *welcomed = true;
    node.offers.open();
    metric::link_up(true);
    tracing::info!(%address, fence, "linked to the controller");
    send(&out, Out::FenceStored(v1::FenceStored { fence })).await?;
    talk(node, &out, &mut incoming).await
}

async fn receive_welcome(incoming: &mut Streaming<v1::ToAgent>) -> Result<v1::Welcome, LinkError> {
    let first = timeout(PATIENCE, incoming.message()).await;
    let first = first.map_err(|_| LinkError::Silent)??.ok_or(LinkError::Closed)?;
    match first.message {
        Some(In::Welcome(welcome)) => Ok(welcome),
        _ => Err(LinkError::NotWelcome),
    }
}

/// The fence is on disk before anything else is done (RELIABILITY.md, protocol 4).
async fn take_welcome(node: &Arc<Node>, welcome: v1::Welcome) -> Result<(), LinkError> {
    let (given, stored) = (welcome.fence, node.journal.fence());
    if given < stored {
        return Err(LinkError::Stale { given, stored });
    }
    node.journal.store_fence(given).await?;
    node.forget(&welcome.forget);
    node.allow_networks(&welcome.allowed_networks);
    Ok(())
}

async fn talk(
    node: &Arc<Node>,
    out: &mpsc::Sender<v1::FromAgent>,
    incoming: &mut Streaming<v1::ToAgent>,
) -> Result<std::convert::Infallible, LinkError> {
    let mut told = 0;
    let mut meter = Meter::start();
    let mut second = interval(LOAD_EVERY);
    second.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut soonest = interval(LOAD_SOONEST);
    soonest.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut told_load = (u32::MAX, false);
    let mut timing = Timing::start();
    loop {
        // What is not acknowledged is told anew on every connection, from the first on.
        loop {
            let reports = node.reports.after(told);
            let Some(last) = reports.last() else { break };
            told = last.seq;
            send(out, Out::Reports(v1::Reports { reports })).await?;
        }
        while let Some(offer) = node.offers.next() {
            send(out, Out::Offer(offer)).await?;
        }
        tokio::select! {
            message = incoming.message() => {
                let message = message?.ok_or(LinkError::Closed)?;
                if let Some(message) = message.message {
                    orders::take(node, message, &mut timing).await?;
                }
            }
            () = node.reports.changed() => {}
            () = node.tells.changed() => {
                for told in node.tells.take() {
                    send(out, Out::Told(told)).await?;
                }
            }
            () = node.asks.changed() => {
                for answered in node.asks.take() {
                    send(out, Out::Answered(answered)).await?;
                }
            }
            () = node.offers.changed() => {}
            _ = second.tick() => {
                meter.measure();
                told_load = node.load();
                send(out, Out::Load(meter.load(told_load.0, told_load.1))).await?;
            }
            _ = soonest.tick() => {
                let load = node.load();
                if load != told_load {
                    told_load = load;
                    send(out, Out::Load(meter.load(load.0, load.1))).await?;
                }
            }
        }
    }
}

async fn send(out: &mpsc::Sender<v1::FromAgent>, message: Out) -> Result<(), LinkError> {
    let message = v1::FromAgent { message: Some(message) };
    out.send(message).await.map_err(|_| LinkError::Closed)
}
