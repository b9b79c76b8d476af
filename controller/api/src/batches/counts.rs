//! Where the requests of a batch are, and how those ended that are over.

use busyhour_base::MessageStatus;
use busyhour_controller_core::{
    spec::Kind,
    view::{BatchView, Counts},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::overview::CountsBody;

/// Counts of a batch, by its kind.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum BatchCounts {
    /// Of calls.
    Calls(CountsBody),
    /// Of messages.
    Messages(MessageLinesBody),
}

/// Messages of a batch by where they are.
#[derive(Serialize, ToSchema)]
pub(crate) struct MessageLinesBody {
    /// Accepted ever.
    accepted: u64,
    /// Waiting.
    queued: u64,
    /// With a carrier that has not answered, or taken by one that has not reported.
    in_progress: u64,
    /// On the recipients' handsets.
    delivered: u64,
    /// Taken by a carrier that sends no reports, or none in time.
    sent: u64,
    /// Taken by a carrier that could not deliver them.
    undelivered: u64,
    /// Not taken by a carrier, expired, or in doubt.
    failed: u64,
    /// Canceled before they were sent.
    canceled: u64,
}

impl BatchCounts {
    pub(crate) fn new(view: &BatchView) -> Self {
        match view.plan.kind {
            Kind::Call => Self::Calls(view.counts.into()),
            Kind::Message => Self::Messages(view.counts.into()),
        }
    }
}

impl From<Counts> for MessageLinesBody {
    fn from(counts: Counts) -> Self {
        let ended = |status: MessageStatus| status.end().map_or(0, |end| counts.ended[end]);
        Self {
            accepted: counts.accepted,
            queued: counts.queued,
            in_progress: counts.in_progress,
            delivered: ended(MessageStatus::Delivered),
            sent: ended(MessageStatus::Sent),
            undelivered: ended(MessageStatus::Undelivered),
            failed: ended(MessageStatus::Failed),
            canceled: ended(MessageStatus::Canceled),
        }
    }
}
