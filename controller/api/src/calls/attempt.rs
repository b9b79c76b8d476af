//! Attempts of a call before its last one, as results of batches and `explain` show them.

use busyhour_controller_core::view::Attempt;
use serde::Serialize;
use utoipa::ToSchema;

use crate::dates::Rfc3339;

/// An attempt after which the call was placed again.
#[derive(Serialize, ToSchema)]
pub(crate) struct EarlierAttempt {
    /// Its number, from 1. Attempts of which nothing was sent have numbers, too.
    attempt: u16,
    /// busy, failed or no-answer.
    status: &'static str,
    /// Why.
    reason: &'static str,
    /// Final SIP status; null if there was none.
    sip_code: Option<u16>,
    /// The limit that held it last before it started.
    held_by: &'static str,
    /// Over which carrier.
    carrier: String,
    /// The carrier failed it, and the call went on over the next one at once.
    failed_over: bool,
    /// When it was dialled.
    #[schema(value_type = String)]
    dialled_at: Rfc3339,
    /// When it ended.
    #[schema(value_type = String)]
    ended_at: Rfc3339,
    /// From INVITE to end.
    ring_ms: u64,
}

impl From<&Attempt> for EarlierAttempt {
    fn from(attempt: &Attempt) -> Self {
        Self {
            attempt: attempt.number,
            status: attempt.outcome.as_str(),
            reason: attempt.reason.code(),
            sip_code: Some(attempt.sip_code).filter(|code| *code > 0),
            held_by: attempt.held_by.code(),
            carrier: attempt.carrier.to_string(),
            failed_over: attempt.passed_on,
            dialled_at: Rfc3339(attempt.dialled_at),
            ended_at: Rfc3339(attempt.ended_at),
            ring_ms: attempt.ring.as_millis(),
        }
    }
}
