//! `messages.create`.

use axum::{extract::State, response::Response};
use busyhour_base::{Body, MessageStatus, Reason, Segments};
use busyhour_controller_core::{
    command::Command,
    effect::Reply,
    message::{AcceptedMessage, MessageCommand, NewMessage, SubmitMessages},
};
use http::StatusCode;

use super::{
    find::find,
    params::new_message,
    resource::{Facts, MessageResource},
};
use crate::{
    App,
    edge::{Caller, FormBody, IdempotencyKey, Ids, json, used_for},
    error::{ApiError, Code},
    form::Params,
    metric_definitions as metric,
    platform::Applied,
};

/// Queues a message. It is durable when the answer comes. Over the rate of its number it is accepted all the same, and waits.
#[utoipa::path(
    post, path = "/2010-04-01/Accounts/{AccountSid}/Messages.json", tag = "Messages",
    params(
        ("AccountSid" = String, Path, description = "AC and 32 hex digits"),
        ("Idempotency-Key" = Option<String>, Header, description = "A repeat with the same key is the same request"),
    ),
    request_body(content = crate::openapi::CreateMessage, content_type = "application/x-www-form-urlencoded"),
    responses((status = 201, body = MessageResource), (status = "4XX", body = crate::error::ErrorBody)),
    security(("account" = []))
)]
pub(crate) async fn create(
    State(app): State<App>,
    caller: Caller,
    Ids(account): Ids<String>,
    key: IdempotencyKey,
    FormBody(form): FormBody,
) -> Result<Response, ApiError> {
    caller.owns(&account)?;
    caller.may_submit()?;
    let params = Params::parse(&form)?;
    let (new, body) = new_message(&params, &caller, (app.platform.clock)())?;
    let idempotency = key.hash("message", &caller)?;
    let (accepted, applied) = submit(&app, &caller, &new, &body, idempotency).await?;
    metrics::counter!(metric::MESSAGES_ACCEPTED).increment(1);
    if idempotency.is_some() {
        return repeated(&app, &caller, &new, &body, accepted).await;
    }
    let waits = new.not_before.is_some_and(|at| at > applied.at);
    let facts = Facts {
        message: accepted.message,
        account: caller.account,
        spec: &new.spec,
        body: body.text(),
        segments: accepted.segments,
        status: if waits { MessageStatus::Scheduled } else { MessageStatus::Queued },
        reason: Reason::Ready,
        accepted_at: applied.at,
        sent_at: None,
        ended_at: None,
    };
    Ok(json(StatusCode::CREATED, &MessageResource::new(facts, app.platform.sid_key)))
}

async fn submit(
    app: &App,
    caller: &Caller,
    new: &NewMessage,
    body: &Body,
    idempotency: Option<u128>,
) -> Result<(AcceptedMessage, Applied), ApiError> {
    let command = Command::Message(MessageCommand::Submit(SubmitMessages {
        account: caller.account,
        idempotency,
        bodies: vec![body.clone()],
        messages: vec![new.clone()],
    }));
    let applied = app.platform.proposer.propose(command).await?;
    let verdict = match &applied.reply {
        Reply::Messages(verdicts) => verdicts.first().copied(),
        Reply::Refused(reason) => Some(Err(*reason)),
        _ => None,
    };
    match verdict {
        Some(Ok(accepted)) => Ok((accepted, applied)),
        Some(Err(Reason::SegmentsOverCap)) => Err(over_cap(app, caller, new, body)),
        Some(Err(reason)) => Err(refused(reason)),
        None => Err(ApiError::internal("a submitted message got no verdict")),
    }
}

/// A text that could never be sent.
fn over_cap(app: &App, caller: &Caller, new: &NewMessage, body: &Body) -> ApiError {
    let from = &new.spec.from;
    let segments = Segments::of(body.text()).count;
    let most = app.platform.messages.segments_max(caller.account, from).unwrap_or_default();
    let message = format!(
        "Body has {segments} segments, and the caps of From = {from} and of the account let {most} through in a window at most: send a text of at most {most} segments"
    );
    ApiError::new(Code::BodyTooLong, message)
}

const TOO_LATE: &str = "It could not be sent within its validity period, or within the longest wait of the account's queue.";

/// A refusal by the state machine, in the codes of messages.
pub(crate) fn refused(reason: Reason) -> ApiError {
    match reason {
        Reason::QueueFull | Reason::TextsFull => {
            ApiError::new(Code::MessageQueueFull, reason.message())
        }
        // The shorter of two waits was too long, and which one it was is not told.
        Reason::WaitTooLong => ApiError::new(Code::MessageQueueFull, TOO_LATE),
        Reason::UnknownNumber => ApiError::new(Code::MessageFromNotOwned, reason.message()),
        Reason::OptedOut => ApiError::new(Code::OptedOut, reason.message()),
        Reason::UnknownMessage => ApiError::not_found(),
        Reason::SegmentsOverCap => ApiError::new(Code::BodyTooLong, reason.message()),
        _ => ApiError::refused(reason),
    }
}

/// With an idempotency key the message may be one that was accepted before: it is shown as it is now, if it is the same request.
async fn repeated(
    app: &App,
    caller: &Caller,
    new: &NewMessage,
    body: &Body,
    accepted: AcceptedMessage,
) -> Result<Response, ApiError> {
    let sid = app.platform.sid_key.message(accepted.message.0);
    let found = find(app, caller.account, sid).await?;
    let facts = found.facts();
    // A text that was taken out since can be compared with none.
    let other = !facts.body.is_empty() && facts.body != body.text();
    if *facts.spec != *new.spec || other {
        return Err(used_for(sid));
    }
    Ok(json(StatusCode::CREATED, &MessageResource::new(facts, app.platform.sid_key)))
}
