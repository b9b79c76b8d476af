//! `calls(sid).fetch`.

use axum::{extract::State, response::Response};
use http::StatusCode;

use super::{CallResource, find};
use crate::{
    App,
    edge::{Caller, Ids, json, json_sid},
    error::ApiError,
};

/// One call.
#[utoipa::path(
    get, path = "/2010-04-01/Accounts/{AccountSid}/Calls/{Sid}.json", tag = "Calls",
    params(("AccountSid" = String, Path), ("Sid" = String, Path)),
    responses((status = 200, body = CallResource), (status = "4XX", body = crate::error::ErrorBody)),
    security(("account" = []))
)]
pub(crate) async fn fetch(
    State(app): State<App>,
    caller: Caller,
    Ids((account, call)): Ids<(String, String)>,
) -> Result<Response, ApiError> {
    caller.owns(&account)?;
    let found = find(&app, caller.account, json_sid(&call)?).await?;
    let resource = CallResource::new(found.facts(), app.platform.sid_key, &caller.directory);
    Ok(json(StatusCode::OK, &resource))
}
