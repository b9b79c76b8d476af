//! What became of one line.

use busyhour_base::{CallSid, MessageSid, message::error_code};
use busyhour_controller_core::{
    message::{MessageAttempt, MessageRecord},
    view::Record,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{calls::EarlierAttempt, dates::Rfc3339};

/// What became of one line, by the batch's kind.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "it is the schema of both; each is written by itself")]
pub(crate) enum ResultLine<'a> {
    /// Of calls.
    Call(CallResult<'a>),
    /// Of messages.
    Message(MessageResult<'a>),
}

/// One finished call.
#[derive(Serialize, ToSchema)]
pub(crate) struct CallResult<'a> {
    /// Give it as `after` to go on behind this line.
    cursor: u64,
    /// The tenant's name for it.
    custom_id: Option<&'a str>,
    /// The call.
    #[schema(value_type = String)]
    call_sid: CallSid,
    /// Called party.
    to: &'a str,
    /// Calling party.
    from: &'a str,
    /// completed, busy, failed, no-answer or canceled.
    status: &'static str,
    /// Why, for machines.
    reason: &'static str,
    /// Why, for people.
    message: &'static str,
    /// Final SIP status; null if there was none.
    sip_code: Option<u16>,
    /// The limit that held it last before it started, or `ready`.
    held_by: &'static str,
    /// How many attempts were made.
    attempts: u16,
    /// Those before the last that came to an end, in order; the rest of this line is about the last.
    earlier_attempts: Vec<EarlierAttempt>,
    /// Keys that the called party pressed.
    digits: &'a str,
    /// When it was accepted.
    #[schema(value_type = String)]
    accepted_at: Rfc3339,
    /// When it was due by its limits.
    #[schema(value_type = Option<String>)]
    due_at: Option<Rfc3339>,
    /// When it was dialled.
    #[schema(value_type = Option<String>)]
    dialled_at: Option<Rfc3339>,
    /// When it was answered.
    #[schema(value_type = Option<String>)]
    answered_at: Option<Rfc3339>,
    /// When it ended.
    #[schema(value_type = String)]
    ended_at: Rfc3339,
    /// From INVITE to answer or end.
    ring_ms: u64,
    /// From answer to end.
    talk_ms: u64,
}

impl<'a> CallResult<'a> {
    pub(super) fn new(record: &'a Record, call_sid: CallSid) -> Self {
        let ending = &record.ending;
        Self {
            cursor: record.seq,
            custom_id: record.custom_id.as_deref(),
            call_sid,
            to: &record.spec.to,
            from: &record.spec.from,
            status: ending.outcome.as_str(),
            reason: ending.reason.code(),
            message: ending.reason.message(),
            sip_code: Some(ending.sip_code).filter(|code| *code > 0),
            held_by: record.held_by.code(),
            attempts: record.attempts,
            earlier_attempts: record.earlier.iter().map(EarlierAttempt::from).collect(),
            digits: &ending.digits,
            accepted_at: Rfc3339(record.accepted_at),
            due_at: record.due.map(Rfc3339),
            dialled_at: record.dialled_at.map(Rfc3339),
            answered_at: record.answered_at.map(Rfc3339),
            ended_at: Rfc3339(record.ended_at),
            ring_ms: ending.ring.as_millis(),
            talk_ms: ending.talk.as_millis(),
        }
    }
}

/// One finished message.
#[derive(Serialize, ToSchema)]
pub(crate) struct MessageResult<'a> {
    /// Give it as `after` to go on behind this line.
    cursor: u64,
    /// The tenant's name for it.
    custom_id: Option<&'a str>,
    /// The message.
    #[schema(value_type = String)]
    message_sid: MessageSid,
    /// Recipient.
    to: &'a str,
    /// Sender.
    from: &'a str,
    /// delivered, sent, undelivered, failed or canceled.
    status: &'static str,
    /// Why, for machines.
    reason: &'static str,
    /// Why, for people.
    message: &'static str,
    /// The code of the field for why it failed; null if it did not.
    error_code: Option<u32>,
    /// Segments as it travels.
    segments: u16,
    /// Always null: messages are not priced.
    price: Option<&'static str>,
    /// The limit that held it last before it was sent, or `ready`.
    held_by: &'static str,
    /// How many attempts were made.
    attempts: u16,
    /// Those before the last that came to nothing, in order; the rest of this line is about the last.
    earlier_attempts: Vec<EarlierSending>,
    /// When it was accepted.
    #[schema(value_type = String)]
    accepted_at: Rfc3339,
    /// When it was due by its limits.
    #[schema(value_type = Option<String>)]
    due_at: Option<Rfc3339>,
    /// When it was handed to a carrier.
    #[schema(value_type = Option<String>)]
    sent_at: Option<Rfc3339>,
    /// When it ended.
    #[schema(value_type = String)]
    ended_at: Rfc3339,
}

/// An attempt after which the message was sent again.
#[derive(Serialize, ToSchema)]
pub(crate) struct EarlierSending {
    /// Its number, from 1. Attempts of which nothing was sent have numbers, too.
    attempt: u16,
    /// failed or undelivered.
    status: &'static str,
    /// Why.
    reason: &'static str,
    /// The code of the field for that.
    error_code: Option<u32>,
    /// The limit that held it last before it was sent.
    held_by: &'static str,
    /// Over which carrier.
    carrier: String,
    /// When it was handed to the carrier.
    #[schema(value_type = String)]
    sent_at: Rfc3339,
    /// When it ended.
    #[schema(value_type = String)]
    ended_at: Rfc3339,
}

impl<'a> MessageResult<'a> {
    pub(super) fn new(record: &'a MessageRecord, message_sid: MessageSid) -> Self {
        Self {
            cursor: record.seq,
            custom_id: record.custom_id.as_deref(),
            message_sid,
            to: &record.spec.to,
            from: &record.spec.from,
            status: record.status.as_str(),
            reason: record.reason.code(),
            message: record.reason.message(),
            error_code: error_code(record.reason),
            segments: record.segments.count,
            price: None,
            held_by: record.held_by.code(),
            attempts: record.attempts,
            earlier_attempts: record.earlier.iter().map(EarlierSending::from).collect(),
            accepted_at: Rfc3339(record.accepted_at),
            due_at: record.due.map(Rfc3339),
            sent_at: record.sent_at.map(Rfc3339),
            ended_at: Rfc3339(record.ended_at),
        }
    }
}

impl From<&MessageAttempt> for EarlierSending {
    fn from(attempt: &MessageAttempt) -> Self {
        Self {
            attempt: attempt.number,
            status: attempt.status.as_str(),
            reason: attempt.reason.code(),
            error_code: error_code(attempt.reason),
            held_by: attempt.held_by.code(),
            carrier: attempt.carrier.to_string(),
            sent_at: Rfc3339(attempt.sent_at),
            ended_at: Rfc3339(attempt.ended_at),
        }
    }
}
