//! Who takes no messages from the account's numbers, having said STOP to them.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use http::{StatusCode, Uri};
use serde::Serialize;
use url::form_urlencoded;
use utoipa::ToSchema;

use crate::{
    App,
    calls::Ends,
    dates::Rfc3339,
    edge::{Caller, json},
    error::{ApiError, Code},
    form::Params,
    platform::WantedOptOuts,
};

/// People on a page if nothing is said, and at most.
const PAGE: usize = 50;
const PAGE_MAX: usize = 1_000;

/// A number of the account, and somebody's.
type Pair = (Arc<str>, Arc<str>);

/// A page of people who have opted out.
#[derive(Serialize, ToSchema)]
pub(crate) struct OptOutList {
    /// The page, in order of the account's number and of theirs.
    opt_outs: Vec<OptOutRow>,
    /// Path of the next page.
    next_page_url: Option<String>,
}

/// Somebody takes no messages from a number of the account.
#[derive(Serialize, ToSchema)]
pub(crate) struct OptOutRow {
    /// The account's number.
    #[schema(value_type = String)]
    from: Arc<str>,
    /// Who.
    #[schema(value_type = String)]
    to: Arc<str>,
    /// When they said so.
    #[schema(value_type = String)]
    since: Rfc3339,
}

/// People who have said STOP to a number of the account and not START since: sending to them from it is refused with 21610.
#[utoipa::path(
    get, path = "/v1/OptOuts", tag = "Messages",
    params(
        ("From" = Option<String>, Query, description = "A number of the account"),
        ("To" = Option<String>, Query, description = "Somebody's number"),
        ("PageSize" = Option<usize>, Query, description = "50 by default, 1000 at most"),
        ("PageToken" = Option<String>, Query),
    ),
    responses((status = 200, body = OptOutList), (status = "4XX", body = crate::error::ErrorBody)),
    security(("account" = []))
)]
pub(crate) async fn opt_outs(
    State(app): State<App>,
    caller: Caller,
    uri: Uri,
) -> Result<Response, ApiError> {
    let params = Params::parse(uri.query().unwrap_or("").as_bytes())?;
    params.only(&["From", "To", "PageSize", "PageToken"])?;
    let size = params.whole(Code::InvalidParameter, "PageSize", 0..=u64::from(u32::MAX))?;
    let size = size.map_or(PAGE, |size| size as usize).clamp(1, PAGE_MAX);
    let Ends { from, to } = Ends::read(&params)?;
    let wanted = WantedOptOuts { from, to, after: after(&params)? };
    let mut found = app.platform.messages.opt_outs_of(caller.account, &wanted, size + 1);
    let more = found.len() > size;
    found.truncate(size);
    let last = found.last().filter(|_| more);
    let body = OptOutList {
        next_page_url: last.map(|last| link(size, &wanted, (&last.from, &last.to))),
        opt_outs: found
            .into_iter()
            .map(|found| OptOutRow { from: found.from, to: found.to, since: Rfc3339(found.since) })
            .collect(),
    };
    Ok(json(StatusCode::OK, &body))
}

/// The page behind this one.
fn link(size: usize, wanted: &WantedOptOuts, (from, to): (&str, &str)) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("PageSize", &size.to_string());
    for (name, end) in [("From", &wanted.from), ("To", &wanted.to)] {
        if let Some(end) = end {
            query.append_pair(name, end);
        }
    }
    query.append_pair("PageToken", &format!("{from},{to}"));
    format!("/v1/OptOuts?{}", query.finish())
}

fn after(params: &Params<'_>) -> Result<Option<Pair>, ApiError> {
    let Some(text) = params.one("PageToken")? else { return Ok(None) };
    let numbers = text.split_once(',').filter(|(_, to)| busyhour_base::is_e164(to));
    let refused = || {
        let allowed = "a token out of next_page_url";
        ApiError::parameter(Code::InvalidParameter, "PageToken", text, allowed)
    };
    let (from, to) = numbers.ok_or_else(refused)?;
    Ok(Some((Arc::from(from), Arc::from(to))))
}
