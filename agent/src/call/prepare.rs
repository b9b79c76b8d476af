//! What a call needs before its INVITE, and the wait until that is due.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use busyhour_base::Reason;
use busyhour_protocol::DialOrder;
use tokio::sync::mpsc;

use super::{CallCommand, Job, negotiation::Negotiation, trunk};
use crate::{
    journal::JournalError,
    media::{self, MediaEvent, MediaSession},
    node::Node,
};

/// What must be there before the INVITE.
pub(super) struct Ready {
    pub destination: std::net::SocketAddr,
    pub media: MediaSession,
    pub media_events: mpsc::Receiver<MediaEvent>,
    pub negotiation: Negotiation,
}

/// Everything that takes time is done before the call is due, the journal's fsync above all.
pub(super) async fn prepare(
    node: &Arc<Node>,
    order: &DialOrder,
    ordered: Instant,
    commands: &mut mpsc::Receiver<CallCommand>,
) -> Result<Ready, Reason> {
    let destination = trunk::resolve(&order.trunk.address).await.map_err(|error| {
        tracing::error!(trunk = %order.trunk.address, %error, "the trunk's address is not known");
        Reason::CarrierFailure
    })?;
    let (media, media_events) = media(node)?;
    let negotiation = Negotiation::new(media_address(node, &media), &order.trunk.codecs);
    journal(node, &Job::from(order)).await?;
    node.pacer.until(ordered + Duration::from(order.due_in)).await;
    if let Ok(CallCommand::HangUp(reason)) = commands.try_recv() {
        return Err(reason);
    }
    Ok(Ready { destination, media, media_events, negotiation })
}

/// Sockets and a place in the media threads.
pub(super) fn media(node: &Node) -> Result<(MediaSession, mpsc::Receiver<MediaEvent>), Reason> {
    let (sender, events) = mpsc::channel(media::EVENTS_MAX);
    let media = node.media.open(sender).map_err(|error| {
        tracing::error!(%error, "no media for the call");
        Reason::AgentFull
    })?;
    Ok((media, events))
}

/// Where the far end is told to send its audio.
pub(super) fn media_address(node: &Node, media: &MediaSession) -> std::net::SocketAddr {
    let address = media.address();
    let public = node.options.media_public;
    public.map_or(address, |ip| std::net::SocketAddr::new(ip, address.port()))
}

/// Writes the call down before its first byte leaves.
pub(super) async fn journal(node: &Node, job: &Job) -> Result<(), Reason> {
    let written = node.journal.sending(job.call, job.attempt, job.fence).await;
    written.map_err(|error| {
        tracing::error!(%error, "the call is not in the journal, so it is not placed");
        match error {
            JournalError::Refused(reason) => reason,
            JournalError::File(_) | JournalError::Failed(_) => Reason::AgentDraining,
        }
    })
}
