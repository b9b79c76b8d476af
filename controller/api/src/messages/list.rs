//! `messages.list`: what is in the state and what is recorded as one list, newest first.

use std::ops::Range;

use axum::{extract::State, response::Response};
use busyhour_base::Timestamp;
use busyhour_controller_core::message::{MessageId, MessageRecord, MessageView};
use busyhour_records::MessageFilter;
use http::{StatusCode, Uri};

use super::resource::{Facts, MessageList, MessageResource};
use crate::{
    App,
    calls::{canonical, range},
    edge::{Caller, Ids, json},
    error::ApiError,
    form::Params,
    paging::{Listed, Page, Source},
};

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
    let messages = Messages { app: &app, caller: &caller, filter: filter(&params)? };
    let page = Page::read(&params, &messages)?;
    let (found, next) = page.rows(&messages).await?;
    let shown = page.shown(&messages, caller.account, &params, (found.len(), next));
    let body = MessageList {
        messages: found
            .iter()
            .map(|row| MessageResource::new(facts(row), app.platform.sid_key))
            .collect(),
        shown,
    };
    Ok(json(StatusCode::OK, &body))
}

fn filter(params: &Params<'_>) -> Result<MessageFilter, ApiError> {
    let number = |name| -> Result<Option<String>, ApiError> {
        let text = params.one(name)?;
        // What cannot be a number is the number of no message.
        Ok(text.map(|text| canonical(text).map_or_else(|_| text.to_owned(), Into::into)))
    };
    Ok(MessageFilter {
        to: number("To")?,
        from: number("From")?,
        sent: range(params, ["DateSent", "DateSent>", "DateSent<"])?,
    })
}

fn facts<'r>(row: &'r Listed<Messages<'_>>) -> Facts<'r> {
    match row {
        Listed::Live(view) => view.into(),
        Listed::Stored(record) => record.into(),
    }
}

/// The wanted messages of an account.
struct Messages<'a> {
    app: &'a App,
    caller: &'a Caller,
    filter: MessageFilter,
}

impl Source for Messages<'_> {
    type Live = MessageView;
    type Stored = MessageRecord;

    const NAME: &'static str = "Messages";

    fn sid(&self, number: u64) -> String {
        self.app.platform.sid_key.message(number).to_string()
    }

    fn number(&self, sid: &str) -> Option<u64> {
        self.app.platform.sid_key.message_number(sid.parse().ok()?)
    }

    fn live_number(live: &MessageView) -> u64 {
        live.message.0
    }

    fn stored_number(stored: &MessageRecord) -> u64 {
        stored.message.0
    }

    fn look(&self, before: Option<u64>, most: usize) -> Vec<MessageView> {
        self.app.platform.messages.messages_of(self.caller.account, before.map(MessageId), most)
    }

    fn admits(&self, live: &MessageView) -> bool {
        let within = |range: &Option<Range<Timestamp>>, at: Option<Timestamp>| {
            range.as_ref().is_none_or(|range| at.is_some_and(|at| range.contains(&at)))
        };
        self.filter.to.as_ref().is_none_or(|to| *to == live.spec.to)
            && self.filter.from.as_ref().is_none_or(|from| *from == live.spec.from)
            && within(&self.filter.sent, live.sent_at)
    }

    async fn stored(&self, before: Option<u64>, most: u32) -> Result<Vec<MessageRecord>, ApiError> {
        let records = &self.app.platform.records;
        let before = before.map(MessageId);
        Ok(records.messages(self.caller.account, &self.filter, before, most).await?)
    }
}
