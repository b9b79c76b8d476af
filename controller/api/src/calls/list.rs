//! `calls.list`: what lives and what is recorded as one list, newest first.

use axum::{extract::State, response::Response};
use busyhour_controller_core::{
    spec::CallId,
    view::{CallView, Record},
};
use http::{StatusCode, Uri};

use super::{CallList, CallResource, Facts, filter::Filter};
use crate::{
    App,
    edge::{Caller, Ids, json},
    error::ApiError,
    form::Params,
    paging::{Listed, Page, Source},
};

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
    let calls = Calls { app: &app, caller: &caller, filter: Filter::read(&params)? };
    let page = Page::read(&params, &calls)?;
    let (found, next) = page.rows(&calls).await?;
    let shown = page.shown(&calls, caller.account, &params, (found.len(), next));
    let body = CallList {
        calls: found
            .iter()
            .map(|row| CallResource::new(facts(row), app.platform.sid_key, &caller.directory))
            .collect(),
        shown,
    };
    Ok(json(StatusCode::OK, &body))
}

fn facts<'r>(row: &'r Listed<Calls<'_>>) -> Facts<'r> {
    match row {
        Listed::Live(view) => view.into(),
        Listed::Stored(record) => record.into(),
    }
}

/// The wanted calls of an account.
struct Calls<'a> {
    app: &'a App,
    caller: &'a Caller,
    filter: Filter,
}

impl Source for Calls<'_> {
    type Live = CallView;
    type Stored = Record;

    const NAME: &'static str = "Calls";

    fn sid(&self, number: u64) -> String {
        self.app.platform.sid_key.call(number).to_string()
    }

    fn number(&self, sid: &str) -> Option<u64> {
        self.app.platform.sid_key.call_number(sid.parse().ok()?)
    }

    fn live_number(live: &CallView) -> u64 {
        live.call.0
    }

    fn stored_number(stored: &Record) -> u64 {
        stored.call.0
    }

    fn look(&self, before: Option<u64>, most: usize) -> Vec<CallView> {
        if self.filter.is_empty() {
            return Vec::new();
        }
        self.app.platform.views.calls_of(self.caller.account, before.map(CallId), most)
    }

    fn admits(&self, live: &CallView) -> bool {
        self.filter.admits(&live.into())
    }

    async fn stored(&self, before: Option<u64>, most: u32) -> Result<Vec<Record>, ApiError> {
        let Some(wanted) = self.filter.of_records(self.caller.account) else {
            return Ok(Vec::new());
        };
        Ok(self.app.platform.records.calls(&wanted, before.map(CallId), most).await?)
    }
}
