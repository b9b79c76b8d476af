//! `calls.create`.

use axum::{extract::State, response::Response};
use busyhour_base::Span;
use busyhour_controller_core::{
    command::{Command, Submit},
    effect::{Accepted, Phase, Reply},
    spec::NewCall,
};
use http::StatusCode;

use super::{CallResource, Facts, find, new_call};
use crate::{
    App,
    edge::{Caller, FormBody, IdempotencyKey, Ids, json, used_for},
    error::ApiError,
    form::Params,
    platform::Applied,
};

/// Queues a call. It is durable when the answer comes. Over the account's rate it is accepted all the same, and
/// `queue_time` says the expected wait.
#[utoipa::path(
    post, path = "/2010-04-01/Accounts/{AccountSid}/Calls.json", tag = "Calls",
    params(
        ("AccountSid" = String, Path, description = "AC and 32 hex digits"),
        ("Idempotency-Key" = Option<String>, Header, description = "A repeat with the same key is the same request"),
    ),
    request_body(content = crate::openapi::CreateCall, content_type = "application/x-www-form-urlencoded"),
    responses((status = 201, body = CallResource), (status = "4XX", body = crate::error::ErrorBody)),
    security(("account" = []))
)]
pub(crate) async fn create(
    State(app): State<App>,
    caller: Caller,
    Ids(account): Ids<String>,
    key: IdempotencyKey,
    FormBody(body): FormBody,
) -> Result<Response, ApiError> {
    caller.owns(&account)?;
    caller.may_submit()?;
    let params = Params::parse(&body)?;
    let now = (app.platform.clock)();
    let call = new_call(&params, caller.account, &caller.directory, now)?;
    let idempotency = key.hash("call", &caller)?;
    let (accepted, applied) = submit(&app, &caller, &call, idempotency).await?;
    app.accepted.increment(1);
    let sid = app.platform.sid_key.call(accepted.call.0);
    tracing::Span::current().record("call", tracing::field::display(sid));
    if idempotency.is_some() {
        return repeated(&app, &caller, &call, accepted).await;
    }
    let facts = Facts {
        call: accepted.call,
        account: caller.account,
        spec: &call.spec,
        phase: Phase::Queued,
        accepted_at: applied.at,
        queue_time: accepted.wait,
        dialled_at: None,
        answered_at: None,
        ended_at: None,
        talk: Span::ZERO,
    };
    let resource = CallResource::new(facts, app.platform.sid_key, &caller.directory);
    Ok(json(StatusCode::CREATED, &resource))
}

async fn submit(
    app: &App,
    caller: &Caller,
    call: &NewCall,
    idempotency: Option<u128>,
) -> Result<(Accepted, Applied), ApiError> {
    let command = Command::Submit(Submit {
        account: caller.account,
        idempotency,
        batch: None,
        calls: vec![call.clone()],
    });
    let applied = app.platform.proposer.propose(command).await?;
    let verdict = match &applied.reply {
        Reply::Submitted(verdicts) => verdicts.first().copied(),
        Reply::Refused(reason) => Some(Err(*reason)),
        _ => None,
    };
    match verdict {
        Some(Ok(accepted)) => Ok((accepted, applied)),
        Some(Err(reason)) => Err(ApiError::refused(reason)),
        None => Err(ApiError::internal("a submitted call got no verdict")),
    }
}

/// With an idempotency key the call may be one that was accepted before: it is shown as it is now, if it
/// is the same request.
async fn repeated(
    app: &App,
    caller: &Caller,
    call: &NewCall,
    accepted: Accepted,
) -> Result<Response, ApiError> {
    let sid = app.platform.sid_key.call(accepted.call.0);
    let found = find(app, caller.account, sid).await?;
    let facts = found.facts();
    if *facts.spec != *call.spec {
        return Err(used_for(sid));
    }
    let resource = CallResource::new(facts, app.platform.sid_key, &caller.directory);
    Ok(json(StatusCode::CREATED, &resource))
}
