//! What a call needs before its INVITE, and the wait until that is due.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use busyhour_base::Reason;
use busyhour_protocol::DialOrder;
use tokio::sync::mpsc;

use super::{CallCommand, negotiation::Negotiation, trunk};
use crate::{
    journal::JournalError,
    media::{self, MediaEvent, MediaSession},
    node::Node,
};

/// What must be there before the INVITE.
pub struct Ready {
    pub destination: std::net::SocketAddr,
    pub media: MediaSession,
    pub media_events: mpsc::Receiver<MediaEvent>,
    pub negotiation: Negotiation,
}

/// Everything that takes time is done before the call is due, the journal's fsync above all.
pub async fn prepare(
    node: &Arc<Node>,
    order: &DialOrder,
    received: Instant,
    commands: &mut mpsc::Receiver<CallCommand>,
) -> Result<Ready, Reason> {
    let destination = trunk::resolve(&order.trunk.address).await.map_err(|error| {
        tracing::error!(trunk = %order.trunk.address, %error, "the trunk's address is not known");
        Reason::CarrierFailure
    })?;
    let (sender, media_events) = mpsc::channel(media::EVENTS_MAX);
    let media = node.media.open(sender).map_err(|error| {
        tracing::error!(%error, "no media for the call");
        Reason::AgentFull
    })?;
    let address = node
        .options
        .media_public
        .map_or(media.address(), |ip| std::net::SocketAddr::new(ip, media.address().port()));
    let negotiation = Negotiation::new(address, &order.trunk.codecs);
    let written = node.journal.sending(order.call, order.attempt, order.fence).await;
    written.map_err(|error| {
        tracing::error!(%error, "the call is not in the journal, so it is not placed");
        match error {
            JournalError::Refused(reason) => reason,
            JournalError::File(_) | JournalError::Failed(_) => Reason::AgentDraining,
        }
    })?;
    node.pacer.until(received + Duration::from(order.due_in)).await;
    if let Ok(CallCommand::HangUp(reason)) = commands.try_recv() {
        return Err(reason);
    }
    Ok(Ready { destination, media, media_events, negotiation })
}
