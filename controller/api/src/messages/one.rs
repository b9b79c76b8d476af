//! `messages(sid)`: fetch, update (cancel, or take the text out) and delete.

use axum::{
    body::Body as HttpBody,
    extract::State,
    response::{IntoResponse as _, Response},
};
use busyhour_base::Reason;
use busyhour_controller_core::{
    command::Command,
    effect::Reply,
    message::{Cancel, MessageCommand},
};
use http::StatusCode;

use super::{
    create::refused,
    find::{Found, find, recorded},
    resource::MessageResource,
};
use crate::{
    App,
    edge::{Caller, FormBody, Ids, json, json_sid},
    error::{ApiError, Code},
    form::Params,
};

/// One message.
#[utoipa::path(
    get, path = "/2010-04-01/Accounts/{AccountSid}/Messages/{Sid}.json", tag = "Messages",
    params(("AccountSid" = String, Path), ("Sid" = String, Path)),
    responses((status = 200, body = MessageResource), (status = "4XX", body = crate::error::ErrorBody)),
    security(("account" = []))
)]
pub(crate) async fn fetch(
    State(app): State<App>,
    caller: Caller,
    Ids((account, message)): Ids<(String, String)>,
) -> Result<Response, ApiError> {
    caller.owns(&account)?;
    let found = find(&app, caller.account, json_sid(&message)?).await?;
    Ok(json(StatusCode::OK, &MessageResource::new(found.facts(), app.platform.sid_key)))
}

/// Changes a message: `Status=canceled` ends one that waits, an empty `Body` takes the text out of one that has ended.
#[utoipa::path(
    post, path = "/2010-04-01/Accounts/{AccountSid}/Messages/{Sid}.json", tag = "Messages",
    params(("AccountSid" = String, Path), ("Sid" = String, Path)),
    request_body(content = crate::openapi::UpdateMessage, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, body = MessageResource), (status = "4XX", body = crate::error::ErrorBody)),
    security(("account" = []))
)]
pub(crate) async fn update(
    State(app): State<App>,
    caller: Caller,
    Ids((account, message)): Ids<(String, String)>,
    FormBody(form): FormBody,
) -> Result<Response, ApiError> {
    caller.owns(&account)?;
    let sid = json_sid(&message)?;
    let params = Params::parse(&form)?;
    let found = find(&app, caller.account, sid).await?;
    match (params.one("Status")?, redacts(&params)?) {
        (None, false) => {}
        (None, true) => redact(&app, &caller, &found).await?,
        (Some("canceled"), false) => cancel(&app, &caller, &found).await?,
        (Some("canceled"), true) => {
            let message =
                "Status and Body exclude each other: cancel first, then take the text out";
            return Err(ApiError::new(Code::InvalidParameter, message));
        }
        (Some(other), _) => {
            return Err(ApiError::parameter(Code::InvalidParameter, "Status", other, "canceled"));
        }
    }
    let found = find(&app, caller.account, sid).await?;
    Ok(json(StatusCode::OK, &MessageResource::new(found.facts(), app.platform.sid_key)))
}

/// Deletes a message that has ended.
#[utoipa::path(
    delete, path = "/2010-04-01/Accounts/{AccountSid}/Messages/{Sid}.json", tag = "Messages",
    params(("AccountSid" = String, Path), ("Sid" = String, Path)),
    responses((status = 204, description = "It is gone"), (status = "4XX", body = crate::error::ErrorBody)),
    security(("account" = []))
)]
pub(crate) async fn delete(
    State(app): State<App>,
    caller: Caller,
    Ids((account, message)): Ids<(String, String)>,
) -> Result<Response, ApiError> {
    caller.owns(&account)?;
    let found = find(&app, caller.account, json_sid(&message)?).await?;
    in_the_records(&app, &found).await?;
    if app.platform.records.delete_message(caller.account, found.message()).await? {
        Ok((StatusCode::NO_CONTENT, HttpBody::empty()).into_response())
    } else {
        Err(ApiError::not_found())
    }
}

/// Whether the text is to be taken out. Another text cannot be put in.
fn redacts(params: &Params<'_>) -> Result<bool, ApiError> {
    match params.one("Body")? {
        None => Ok(params.iter().any(|(name, _)| name == "Body")),
        Some(_) => Err(ApiError::new(
            Code::InvalidParameter,
            "Body is not empty: the text of a message can be taken out and not be changed",
        )),
    }
}

async fn cancel(app: &App, caller: &Caller, found: &Found) -> Result<(), ApiError> {
    let which = Cancel::One(found.message());
    let command = MessageCommand::Cancel { account: caller.account, which };
    match app.platform.proposer.propose(Command::Message(command)).await?.reply {
        Reply::Refused(Reason::WrongState | Reason::UnknownMessage) => {
            let sid = app.platform.sid_key.message(found.message().0);
            let now = find(app, caller.account, sid).await?;
            let status = now.facts().status.as_str();
            let message = format!("The message is {status} and cannot be canceled");
            Err(ApiError::new(Code::NotCancelable, message))
        }
        Reply::Refused(reason) => Err(refused(reason)),
        _ => Ok(()),
    }
}

async fn redact(app: &App, caller: &Caller, found: &Found) -> Result<(), ApiError> {
    in_the_records(app, found).await?;
    if app.platform.records.redact_message(caller.account, found.message()).await? {
        Ok(())
    } else {
        Err(ApiError::not_found())
    }
}

/// What is to be changed has to have ended, and to be in the records.
async fn in_the_records(app: &App, found: &Found) -> Result<(), ApiError> {
    let Found::Live(view) = found else { return Ok(()) };
    if view.ended_at.is_none() {
        let status = view.status.as_str();
        let message = format!("The message is {status}; only one that has ended can be changed so");
        return Err(ApiError::new(Code::NotComplete, message));
    }
    if recorded(app, view.message).await {
        return Ok(());
    }
    let message = "The message has ended and is not recorded yet; nothing was done, send again";
    Err(ApiError::new(Code::Unavailable, message))
}
