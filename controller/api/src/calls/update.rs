//! `calls(sid).update`: cancel, complete or redirect.

use axum::{extract::State, response::Response};
use busyhour_base::Reason;
use busyhour_controller_core::{
    command::{Change, Command, Update},
    effect::{Phase, Reply},
};
use http::StatusCode;

use super::{CallResource, Facts, Found, find, webhooks::document};
use crate::{
    App,
    edge::{Caller, FormBody, Ids, json, json_sid},
    error::{ApiError, Code},
    form::Params,
};

/// What `calls.create` takes and a call in progress does not.
const FIXED: &[&str] =
    &["FallbackUrl", "FallbackMethod", "StatusCallback", "StatusCallbackMethod", "TimeLimit"];

/// Changes a call: `Status=canceled` ends it unless it was answered, `Status=completed` ends it in any case, `Url` or
/// `Twiml` lead it to another document. With both a status and a document the status goes before.
#[utoipa::path(
    post, path = "/2010-04-01/Accounts/{AccountSid}/Calls/{Sid}.json", tag = "Calls",
    params(("AccountSid" = String, Path), ("Sid" = String, Path)),
    request_body(content = crate::openapi::UpdateCall, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, body = CallResource), (status = "4XX", body = crate::error::ErrorBody)),
    security(("account" = []))
)]
pub(crate) async fn update(
    State(app): State<App>,
    caller: Caller,
    Ids((account, call)): Ids<(String, String)>,
    FormBody(body): FormBody,
) -> Result<Response, ApiError> {
    caller.owns(&account)?;
    let sid = json_sid(&call)?;
    let change = change(&Params::parse(&body)?)?;
    let mut found = find(&app, caller.account, sid).await?;
    if let Some(change) = change {
        apply(&app, &caller, &found, change).await?;
        found = find(&app, caller.account, sid).await?;
    }
    let resource = CallResource::new(found.facts(), app.platform.sid_key, &caller.directory);
    Ok(json(StatusCode::OK, &resource))
}

/// What is asked; nothing at all changes nothing, as in the field.
fn change(params: &Params<'_>) -> Result<Option<Change>, ApiError> {
    for name in FIXED {
        if let Some(value) = params.all(name).next() {
            let allowed = "it cannot be changed once the call is accepted; leave it out";
            return Err(ApiError::parameter(Code::InvalidParameter, name, value, allowed));
        }
    }
    match params.one("Status")? {
        Some("canceled") => Ok(Some(Change::Cancel)),
        Some("completed") => Ok(Some(Change::Complete)),
        Some(other) => Err(ApiError::parameter(
            Code::InvalidParameter,
            "Status",
            other,
            "canceled or completed",
        )),
        None => Ok(document(params)?.map(Change::Redirect)),
    }
}

async fn apply(app: &App, caller: &Caller, found: &Found, change: Change) -> Result<(), ApiError> {
    let facts = found.facts();
    let canceling = change == Change::Cancel;
    if ended(&facts) {
        return Err(over(&facts));
    }
    let command = Command::Update(Update { account: caller.account, call: facts.call, change });
    match app.platform.proposer.propose(command).await?.reply {
        Reply::Refused(Reason::WrongState | Reason::UnknownCall) => {
            let sid = app.platform.sid_key.call(facts.call.0);
            let now = find(app, caller.account, sid).await?;
            // Canceling does not touch a call that was answered meanwhile, and is no error: so the field has it.
            if canceling && now.facts().phase == Phase::InProgress {
                return Ok(());
            }
            Err(over(&now.facts()))
        }
        Reply::Refused(reason) => Err(ApiError::refused(reason)),
        _ => Ok(()),
    }
}

fn ended(facts: &Facts<'_>) -> bool {
    matches!(facts.phase, Phase::Ended(_))
}

fn over(facts: &Facts<'_>) -> ApiError {
    ApiError::new(
        Code::CallState,
        format!("The call is {} and cannot be changed so", facts.status()),
    )
}
