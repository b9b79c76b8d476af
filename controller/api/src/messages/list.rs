//! `messages.list`: what is in the state and what is recorded as one list, newest first. It is put together as the list of calls is:
//! the state is read before the records, each is complete down to its floor, and the list ends at the higher floor at the latest.

use std::ops::Range;

use axum::{extract::State, response::Response};
use busyhour_base::Timestamp;
use busyhour_controller_core::message::{MessageId, MessageRecord, MessageView};
use busyhour_records::{MessageFilter, PAGE_MAX};
use http::{StatusCode, Uri};
use url::form_urlencoded;

use super::{
    find::Found,
    resource::{MessageList, MessageResource},
};
use crate::{
    App,
    calls::{canonical, range},
    edge::{Caller, Ids, json},
    error::{ApiError, Code},
    form::Params,
};

/// Messages on a page if nothing is said.
const PAGE: usize = 50;
/// Messages looked at per lock of the state.
const LOOK_MIN: usize = 100;
const LOOK_MAX: usize = 1_000;
/// Locks of the state per request. A filter that few of many match then yields a short page with a next one.
const LOOKS_MAX: usize = 100;

/// Messages of the account, newest first.
#[utoipa::path(
    get, path = "/2010-04-01/Accounts/{AccountSid}/Messages.json", tag = "Messages",
    params(
        ("AccountSid" = String, Path),
        ("To" = Option<String>, Query), ("From" = Option<String>, Query),
        ("DateSent" = Option<String>, Query, description = "A day (UTC) or a second"),
        ("DateSent>" = Option<String>, Query, description = "From its beginning on"),
        ("DateSent<" = Option<String>, Query, description = "Up to its beginning"),
        ("PageSize" = Option<usize>, Query, description = "50 by default, 1000 at most"),
        ("Page" = Option<usize>, Query), ("PageToken" = Option<String>, Query),
    ),
    responses((status = 200, body = MessageList), (status = "4XX", body = crate::error::ErrorBody)),
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
    let query = Query::read(&params, &app)?;
    let (found, next) = query.read_page(&app, &caller).await?;
    let link = |number, before| query.link(&app, &caller, &params, number, before);
    let start = query.number * query.size;
    let body = MessageList {
        messages: found
            .iter()
            .map(|found| MessageResource::new(found.facts(), app.platform.sid_key))
            .collect(),
        end: start + found.len().saturating_sub(1),
        first_page_uri: link(0, None),
        next_page_uri: next.map(|before| link(query.number + 1, Some(before))),
        page: query.number,
        page_size: query.size,
        previous_page_uri: None,
        start,
        uri: link(query.number, query.before),
    };
    Ok(json(StatusCode::OK, &body))
}

/// Which messages, and which page of them.
struct Query {
    filter: MessageFilter,
    number: usize,
    size: usize,
    /// Messages with lower numbers only.
    before: Option<MessageId>,
}

impl Query {
    fn read(params: &Params<'_>, app: &App) -> Result<Self, ApiError> {
        let number = |name| -> Result<Option<String>, ApiError> {
            let text = params.one(name)?;
            // What cannot be a number is the number of no message.
            Ok(text.map(|text| canonical(text).map_or_else(|_| text.to_owned(), Into::into)))
        };
        let filter = MessageFilter {
            to: number("To")?,
            from: number("From")?,
            sent: range(params, ["DateSent", "DateSent>", "DateSent<"])?,
        };
        let whole = |name| params.whole(Code::InvalidParameter, name, 0..=u64::from(u32::MAX));
        let size =
            whole("PageSize")?.map_or(PAGE, |size| size as usize).clamp(1, PAGE_MAX as usize);
        let page = whole("Page")?.unwrap_or(0) as usize;
        let before = params.one("PageToken")?.map(|text| token(text, app)).transpose()?;
        if page > 0 && before.is_none() {
            let message = format!(
                "Page = {page} needs the PageToken of next_page_uri: pages after the first are reached by it"
            );
            return Err(ApiError::new(Code::InvalidParameter, message));
        }
        Ok(Self { filter, number: page, size, before })
    }

    fn admits(&self, view: &MessageView) -> bool {
        let within = |range: &Option<Range<Timestamp>>, at: Option<Timestamp>| {
            range.as_ref().is_none_or(|range| at.is_some_and(|at| range.contains(&at)))
        };
        self.filter.to.as_ref().is_none_or(|to| *to == view.spec.to)
            && self.filter.from.as_ref().is_none_or(|from| *from == view.spec.from)
            && within(&self.filter.sent, view.sent_at)
    }

    /// One page, and the number below which the next one begins.
    async fn read_page(
        &self,
        app: &App,
        caller: &Caller,
    ) -> Result<(Vec<Found>, Option<MessageId>), ApiError> {
        let (live, live_floor) = self.live(app, caller).await;
        let (stored, stored_floor) = self.stored(app, caller).await?;
        let floor = live_floor.max(stored_floor);
        let is_stored = |message: MessageId| {
            stored.binary_search_by(|record| message.cmp(&record.message)).is_ok()
        };
        let live = live.into_iter().filter(|view| !is_stored(view.message));
        let mut found: Vec<Found> = live.map(Found::Live).collect();
        found.extend(stored.into_iter().map(Found::Recorded));
        found.retain(|found| floor.is_none_or(|floor| found.message() >= floor));
        found.sort_unstable_by_key(|found| std::cmp::Reverse(found.message()));
        if found.len() <= self.size {
            return Ok((found, floor));
        }
        found.truncate(self.size);
        let last = found.last().map(Found::message);
        Ok((found, last))
    }

    /// Wanted messages in the state, newest first, and the lowest number looked at if there are lower ones.
    async fn live(&self, app: &App, caller: &Caller) -> (Vec<MessageView>, Option<MessageId>) {
        let (mut found, mut before) = (Vec::new(), self.before);
        let most = (self.size + 1).clamp(LOOK_MIN, LOOK_MAX);
        for _ in 0..LOOKS_MAX {
            let look = app.platform.messages.messages_of(caller.account, before, most);
            let exhausted = look.len() < most;
            before = look.last().map(|view| view.message).or(before);
            found.extend(look.into_iter().filter(|view| self.admits(view)));
            if exhausted {
                return (found, None);
            }
            if found.len() > self.size {
                break;
            }
            tokio::task::yield_now().await;
        }
        (found, before)
    }

    /// Wanted messages in the records, newest first, and the lowest number read if there may be lower ones.
    async fn stored(
        &self,
        app: &App,
        caller: &Caller,
    ) -> Result<(Vec<MessageRecord>, Option<MessageId>), ApiError> {
        let most = u32::try_from(self.size + 1).unwrap_or(PAGE_MAX).min(PAGE_MAX);
        let records = &app.platform.records;
        let stored = records.messages(caller.account, &self.filter, self.before, most).await?;
        let full = stored.len() >= most as usize;
        let floor = stored.last().filter(|_| full).map(|record| record.message);
        Ok((stored, floor))
    }

    /// The path of a page: the same question with another place in it.
    fn link(
        &self,
        app: &App,
        caller: &Caller,
        params: &Params<'_>,
        number: usize,
        before: Option<MessageId>,
    ) -> String {
        let mut query = form_urlencoded::Serializer::new(String::new());
        for (name, value) in params.iter() {
            if !matches!(name, "Page" | "PageSize" | "PageToken") {
                query.append_pair(name, value);
            }
        }
        query.append_pair("PageSize", &self.size.to_string());
        query.append_pair("Page", &number.to_string());
        if let Some(before) = before {
            let sid = app.platform.sid_key.message(before.0);
            query.append_pair("PageToken", &format!("PA{sid}"));
        }
        format!("/2010-04-01/Accounts/{}/Messages.json?{}", caller.account, query.finish())
    }
}

fn token(text: &str, app: &App) -> Result<MessageId, ApiError> {
    let sid = text.strip_prefix("PA").and_then(|sid| sid.parse().ok());
    let message = sid.and_then(|sid| app.platform.sid_key.message_number(sid));
    let allowed = "a token out of next_page_uri";
    message
        .map(MessageId)
        .ok_or_else(|| ApiError::parameter(Code::InvalidParameter, "PageToken", text, allowed))
}
