//! Taking somebody out of those who take no messages, with the reason, which is kept.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use busyhour_controller_core::message::{ChangeOptOuts, RemoveOptOut, RemovedOptOut};
use http::{StatusCode, Uri};
use serde::Serialize;
use utoipa::ToSchema;

use super::{change, own, person};
use crate::{
    App,
    dates::Rfc3339,
    edge::{Caller, FormBody, json},
    error::{ApiError, Code},
    form::Params,
    openapi,
};

/// Rows on a page if nothing is said, and at most.
const PAGE: usize = 50;
const PAGE_MAX: usize = 1_000;

/// A page of opt-outs that the account has removed.
#[derive(Serialize, ToSchema)]
pub(crate) struct RemovedList {
    /// The page, the newest first.
    removed: Vec<RemovedRow>,
    /// Path of the next page.
    next_page_url: Option<String>,
}

/// Somebody took no messages from a number of the account, and takes them again.
#[derive(Serialize, ToSchema)]
pub(crate) struct RemovedRow {
    /// The account's number.
    #[schema(value_type = String)]
    from: Arc<str>,
    /// Who.
    to: String,
    /// Since when they had taken none.
    #[schema(value_type = String)]
    since: Rfc3339,
    /// When it was removed.
    #[schema(value_type = String)]
    removed_at: Rfc3339,
    /// Why, in the tenant's words.
    #[schema(value_type = String)]
    reason: Arc<str>,
}

/// Lets somebody have messages from a number of the account again who has opted out, for a reason that is kept. Only with their consent:
/// who said STOP to a carrier's number is normally let in again by START alone.
#[utoipa::path(
    post, path = "/v1/OptOuts/remove", tag = "Messages",
    request_body(content = openapi::RemoveOptOut, content_type = "application/x-www-form-urlencoded"),
    responses((status = 204), (status = "4XX", body = crate::error::ErrorBody)),
    security(("account" = []))
)]
pub(crate) async fn remove(
    State(app): State<App>,
    caller: Caller,
    FormBody(form): FormBody,
) -> Result<StatusCode, ApiError> {
    caller.may_submit()?;
    let params = Params::parse(&form)?;
    params.only(&["From", "To", "Reason"])?;
    let missing = |name: &str| ApiError::new(Code::InvalidParameter, format!("{name} is required"));
    let from = params.one("From")?.ok_or_else(|| missing("From"))?;
    let from = own("From", from, caller.account, &caller.directory)?;
    let person = person("To", params.one("To")?.ok_or_else(|| missing("To"))?)?;
    let reason = params.one("Reason")?.map(str::trim).filter(|reason| !reason.is_empty());
    let reason = reason.ok_or_else(|| missing("Reason"))?;
    if reason.chars().count() > RemoveOptOut::REASON_CHARS_MAX {
        let allowed = format!("at most {} characters", RemoveOptOut::REASON_CHARS_MAX);
        return Err(ApiError::parameter(Code::InvalidParameter, "Reason", reason, &allowed));
    }
    let one = RemoveOptOut { from: from.into(), person, reason: reason.into() };
    let changes = ChangeOptOuts { account: caller.account, add: Vec::new(), remove: vec![one] };
    if change(&app, changes).await?.removed == 0 {
        let message = format!("{person} has not opted out of messages from this number");
        return Err(ApiError::new(Code::NotFound, message));
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Opt-outs that the account has removed, the newest first, with their reasons. Of all accounts the last 10,000 are kept.
#[utoipa::path(
    get, path = "/v1/OptOuts/removed", tag = "Messages",
    params(
        ("PageSize" = Option<usize>, Query, description = "50 by default, 1000 at most"),
        ("PageToken" = Option<String>, Query),
    ),
    responses((status = 200, body = RemovedList), (status = "4XX", body = crate::error::ErrorBody)),
    security(("account" = []))
)]
pub(crate) async fn removed(
    State(app): State<App>,
    caller: Caller,
    uri: Uri,
) -> Result<Response, ApiError> {
    let params = Params::parse(uri.query().unwrap_or("").as_bytes())?;
    params.only(&["PageSize", "PageToken"])?;
    let size = params.whole(Code::InvalidParameter, "PageSize", 0..=u64::from(u32::MAX))?;
    let size = size.map_or(PAGE, |size| size as usize).clamp(1, PAGE_MAX);
    let before = params.whole(Code::InvalidParameter, "PageToken", 0..=u64::MAX)?;
    let messages = &app.platform.messages;
    let mut found =
        messages.removed_opt_outs_of(caller.account, before.unwrap_or(u64::MAX), size + 1);
    let more = found.len() > size;
    found.truncate(size);
    let last = found.last().filter(|_| more).map(|last| last.seq);
    let next_page_url =
        last.map(|last| format!("/v1/OptOuts/removed?PageSize={size}&PageToken={last}"));
    let removed = found.into_iter().map(RemovedRow::from).collect();
    Ok(json(StatusCode::OK, &RemovedList { removed, next_page_url }))
}

impl From<RemovedOptOut> for RemovedRow {
    fn from(one: RemovedOptOut) -> Self {
        let RemovedOptOut { from, to, since, removed_at, reason, .. } = one;
        let (since, removed_at) = (Rfc3339(since), Rfc3339(removed_at));
        Self { from, to: to.to_string(), since, removed_at, reason }
    }
}
