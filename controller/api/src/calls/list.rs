//! `calls.list`: what lives and what is recorded as one list, newest first.

use axum::{extract::State, response::Response};
use busyhour_controller_core::{
    spec::CallId,
    view::{CallView, Record},
};
use busyhour_records::PAGE_MAX;
use http::{StatusCode, Uri};
use url::form_urlencoded;

use super::{CallList, CallResource, Found, filter::Filter};
use crate::{
    App,
    edge::{Caller, Ids, json},
    error::{ApiError, Code},
    form::Params,
};

/// Calls on a page if nothing is said. At most as many as the records give (`WIRE.md`: clamped, never refused).
const PAGE: usize = 50;
/// Live calls looked at per lock of the state.
const LOOK_MIN: usize = 100;
const LOOK_MAX: usize = 1_000;
/// Locks of the state per request. A filter that few of many match then yields a short page with a next one.
const LOOKS_MAX: usize = 100;

/// Calls of the account, newest first.
#[utoipa::path(
    get, path = "/2010-04-01/Accounts/{AccountSid}/Calls.json", tag = "Calls",
    params(
        ("AccountSid" = String, Path),
        ("To" = Option<String>, Query), ("From" = Option<String>, Query), ("Status" = Option<String>, Query),
        ("ParentCallSid" = Option<String>, Query),
        ("StartTime" = Option<String>, Query, description = "A day (UTC) or a second"),
        ("StartTime>" = Option<String>, Query, description = "From its beginning on"),
        ("StartTime<" = Option<String>, Query, description = "Up to its beginning"),
        ("EndTime" = Option<String>, Query), ("EndTime>" = Option<String>, Query), ("EndTime<" = Option<String>, Query),
        ("PageSize" = Option<usize>, Query, description = "50 by default, 1000 at most"),
        ("Page" = Option<usize>, Query), ("PageToken" = Option<String>, Query),
    ),
    responses((status = 200, body = CallList), (status = "4XX", body = crate::error::ErrorBody)),
    security(("account" = []))
)]
pub(crate) async fn list(
    State(app): State<App>,
    caller: Caller,
    Ids(account): Ids<String>,
    uri: Uri,
) -> Result<Response, ApiError> {
    caller.owns(&account)?;
    let params = Params::parse(uri.query().unwrap_or("").as_bytes())?;
    let filter = Filter::read(&params)?;
    let page = Page::read(&params, &app)?;
    let (found, next) = read(&app, &caller, &filter, &page).await?;
    let link = |number, trail: &[CallId]| link(&app, &caller, &params, &page, number, trail);
    let key = app.platform.sid_key;
    let start = page.number * page.size;
    let body = CallList {
        calls: found
            .iter()
            .map(|found| CallResource::new(found.facts(), key, &caller.directory))
            .collect(),
        end: start + found.len().saturating_sub(1),
        first_page_uri: link(0, &[]),
        next_page_uri: next.map(|before| link(page.number + 1, &page.trail_to(before))),
        page: page.number,
        page_size: page.size,
        previous_page_uri: page.back().map(|trail| link(page.number - 1, trail)),
        start,
        uri: link(page.number, &page.trail),
    };
    Ok(json(StatusCode::OK, &body))
}

/// Which page.
struct Page {
    number: usize,
    size: usize,
    /// The ways to the pages before it and, as the last, to itself: that page has calls with lower numbers only. Empty for
    /// the first page.
    trail: Vec<CallId>,
}

/// Pages that a page leads back to, one by one. A path stays below a kilobyte with so many.
const TRAIL_MAX: usize = 16;

impl Page {
    fn read(params: &Params<'_>, app: &App) -> Result<Self, ApiError> {
        let whole = |name| params.whole(Code::InvalidParameter, name, 0..=u64::from(u32::MAX));
        let size =
            whole("PageSize")?.map_or(PAGE, |size| size as usize).clamp(1, PAGE_MAX as usize);
        let number = whole("Page")?.unwrap_or(0) as usize;
        let trail = match params.one("PageToken")? {
            None => Vec::new(),
            Some(text) => trail(app, text).ok_or_else(|| {
                let allowed = "a token out of next_page_uri";
                ApiError::parameter(Code::InvalidParameter, "PageToken", text, allowed)
            })?,
        };
        if number > 0 && trail.is_empty() {
            return Err(ApiError::new(
                Code::InvalidParameter,
                format!(
                    "Page = {number} needs the PageToken of next_page_uri: pages after the first are reached by it"
                ),
            ));
        }
        Ok(Self { number, size, trail })
    }

    /// Calls with lower numbers only.
    fn before(&self) -> Option<CallId> {
        self.trail.last().copied()
    }

    /// The way to the next page.
    fn trail_to(&self, before: CallId) -> Vec<CallId> {
        let oldest = (self.trail.len() + 1).saturating_sub(TRAIL_MAX);
        self.trail[oldest..].iter().copied().chain([before]).collect()
    }

    /// The way to the page before this one, unless it was too long ago.
    fn back(&self) -> Option<&[CallId]> {
        let (_, earlier) = self.trail.split_last()?;
        (self.number > 0 && (self.number == 1 || !earlier.is_empty())).then_some(earlier)
    }
}

/// `PA` and the sids of calls, the oldest page's first.
fn trail(app: &App, token: &str) -> Option<Vec<CallId>> {
    let sids = token.strip_prefix("PA")?.split('.');
    let call = |sid: &str| app.platform.sid_key.call_number(sid.parse().ok()?).map(CallId);
    let trail: Option<Vec<_>> = sids.take(TRAIL_MAX + 1).map(call).collect();
    trail.filter(|trail| trail.len() <= TRAIL_MAX)
}

/// One page, and the number below which the next one begins.
///
/// The state is read before the records, and a call leaves the state only when it is in the records. So a call that
/// ends in between is in at least one of them; if it is in both, the record counts. Each of the two is
/// complete down to its floor, so that the list is complete down to the higher floor and ends there at the latest.
async fn read(
    app: &App,
    caller: &Caller,
    filter: &Filter,
    page: &Page,
) -> Result<(Vec<Found>, Option<CallId>), ApiError> {
    let (live, live_floor) = live(app, caller, filter, page).await;
    let (stored, stored_floor) = stored(app, caller, filter, page).await?;
    let floor = live_floor.max(stored_floor);
    let is_stored = |call: CallId| {
        let falling = |record: &Record| call.cmp(&record.call);
        stored.binary_search_by(falling).is_ok()
    };
    let live = live.into_iter().filter(|view| !is_stored(view.call));
    let mut found: Vec<Found> = live.map(Found::Live).collect();
    found.extend(stored.into_iter().map(Found::Recorded));
    found.retain(|found| floor.is_none_or(|floor| found.call() >= floor));
    found.sort_unstable_by_key(|found| std::cmp::Reverse(found.call()));
    if found.len() <= page.size {
        return Ok((found, floor));
    }
    found.truncate(page.size);
    let last = found.last().map(Found::call);
    Ok((found, last))
}

/// Wanted calls in the state, newest first, and the lowest number looked at if there are lower ones.
async fn live(
    app: &App,
    caller: &Caller,
    filter: &Filter,
    page: &Page,
) -> (Vec<CallView>, Option<CallId>) {
    let mut found = Vec::new();
    let mut before = page.before();
    if filter.is_empty() {
        return (found, None);
    }
    let most = (page.size + 1).clamp(LOOK_MIN, LOOK_MAX);
    for _ in 0..LOOKS_MAX {
        let look = app.platform.views.calls_of(caller.account, before, most);
        let exhausted = look.len() < most;
        before = look.last().map(|view| view.call).or(before);
        found.extend(look.into_iter().filter(|view| filter.admits(&view.into())));
        if exhausted {
            return (found, None);
        }
        if found.len() > page.size {
            break;
        }
        tokio::task::yield_now().await;
    }
    (found, before)
}

/// Wanted calls in the records, newest first, and the lowest number read if there may be lower ones.
async fn stored(
    app: &App,
    caller: &Caller,
    filter: &Filter,
    page: &Page,
) -> Result<(Vec<Record>, Option<CallId>), ApiError> {
    let Some(wanted) = filter.of_records(caller.account) else {
        return Ok((Vec::new(), None));
    };
    let most = u32::try_from(page.size + 1).unwrap_or(PAGE_MAX).min(PAGE_MAX);
    let stored = app.platform.records.calls(&wanted, page.before(), most).await?;
    let full = stored.len() >= most as usize;
    let floor = stored.last().filter(|_| full).map(|record| record.call);
    Ok((stored, floor))
}

/// The path of a page: the same question with another place in it.
fn link(
    app: &App,
    caller: &Caller,
    params: &Params<'_>,
    page: &Page,
    number: usize,
    trail: &[CallId],
) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    for (name, value) in params.iter() {
        if !matches!(name, "Page" | "PageSize" | "PageToken") {
            query.append_pair(name, value);
        }
    }
    query.append_pair("PageSize", &page.size.to_string());
    query.append_pair("Page", &number.to_string());
    if !trail.is_empty() {
        let sids: Vec<_> =
            trail.iter().map(|call| app.platform.sid_key.call(call.0).to_string()).collect();
        query.append_pair("PageToken", &format!("PA{}", sids.join(".")));
    }
    format!("/2010-04-01/Accounts/{}/Calls.json?{}", caller.account, query.finish())
}
