//! `accounts.v1.bulk_consents` of the field's SDKs: a few people at once, each with a verdict of its own.

use std::{borrow::Cow, sync::Arc};

use axum::{extract::State, response::Response};
use busyhour_controller_core::message::{AddOptOut, ChangeOptOuts, RemoveOptOut};
use chrono::DateTime;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{change, own, person};
use crate::{
    App,
    edge::{Caller, FormBody, json, parse},
    error::{ApiError, Code},
    form::Params,
    openapi,
};

/// Items of one request, as the field has it.
const ITEMS_MAX: usize = 25;

/// The verdicts, in the order of the items.
#[derive(Serialize, ToSchema)]
pub(crate) struct Consents {
    items: Vec<Verdict>,
}

/// What has become of an item.
#[derive(Serialize, ToSchema)]
pub(crate) struct Verdict {
    /// The caller's name for it.
    correlation_id: String,
    /// 0 if it was taken.
    error_code: u32,
    /// Why it was not.
    #[schema(value_type = Vec<String>)]
    error_messages: Vec<Cow<'static, str>>,
}

#[derive(Deserialize)]
struct Item {
    contact_id: String,
    correlation_id: String,
    sender_id: String,
    status: Status,
    source: Source,
    date_of_consent: Option<String>,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Status {
    OptIn,
    OptOut,
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "kebab-case")]
enum Source {
    Website,
    Offline,
    OptInMessage,
    OptOutMessage,
    Others,
}

impl Source {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Website => "website",
            Self::Offline => "offline",
            Self::OptInMessage => "opt-in-message",
            Self::OptOutMessage => "opt-out-message",
            Self::Others => "others",
        }
    }
}

/// Up to 25 people who take no messages from a number of the account (`opt-out`), or take them again (`opt-in`), as the field's SDKs
/// say it. `sender_id` is the number; `source` and `date_of_consent` become the reason that is kept of an `opt-in`.
#[utoipa::path(
    post, path = "/v1/Consents/Bulk", tag = "Messages",
    request_body(content = openapi::BulkConsents, content_type = "application/x-www-form-urlencoded"),
    responses((status = 201, body = Consents), (status = "4XX", body = crate::error::ErrorBody)),
    security(("account" = []))
)]
pub(crate) async fn consents(
    State(app): State<App>,
    caller: Caller,
    FormBody(form): FormBody,
) -> Result<Response, ApiError> {
    caller.may_submit()?;
    let params = Params::parse(&form)?;
    params.only(&["Items"])?;
    let items = params.all("Items").map(|text| {
        let item: Result<Item, _> = parse(text.as_bytes());
        item.map_err(|error| ApiError::parameter(Code::InvalidParameter, "Items", text, &error))
    });
    let items = items.collect::<Result<Vec<_>, _>>()?;
    if items.is_empty() || items.len() > ITEMS_MAX {
        let message = format!("{} Items: 1 to {ITEMS_MAX} are allowed", items.len());
        return Err(ApiError::new(Code::InvalidParameter, message));
    }
    let mut changes = ChangeOptOuts { account: caller.account, ..ChangeOptOuts::default() };
    let mut verdicts = Vec::with_capacity(items.len());
    for item in items {
        let (error_code, error_messages) = match take(&item, &caller, &mut changes) {
            Ok(()) => (0, Vec::new()),
            Err(error) => (error.code.number(), vec![error.message]),
        };
        let correlation_id = item.correlation_id;
        verdicts.push(Verdict { correlation_id, error_code, error_messages });
    }
    change(&app, changes).await?;
    Ok(json(StatusCode::CREATED, &Consents { items: verdicts }))
}

fn take(item: &Item, caller: &Caller, changes: &mut ChangeOptOuts) -> Result<(), ApiError> {
    let from = own("sender_id", &item.sender_id, caller.account, &caller.directory)?;
    let from: Arc<str> = from.into();
    let person = person("contact_id", &item.contact_id)?;
    let date = item.date_of_consent.as_deref().filter(|date| !date.is_empty());
    let at = date.map(|date| {
        DateTime::parse_from_rfc3339(date).map_err(|_| {
            let allowed = "an instant such as 2026-03-10T12:00:00Z";
            ApiError::parameter(Code::InvalidParameter, "date_of_consent", date, allowed)
        })
    });
    let at = at.transpose()?;
    let known = |one: &AddOptOut| one.person == person;
    let twice = changes.add.iter().any(|(of, people)| *of == from && people.iter().any(known))
        || changes.remove.iter().any(|one| one.from == from && one.person == person);
    if twice {
        let message = "This contact_id and sender_id are in the request already";
        return Err(ApiError::new(Code::InvalidParameter, message));
    }
    match item.status {
        Status::OptOut => {
            let since_s = at.and_then(|at| u32::try_from(at.timestamp()).ok());
            changes.add.push((from, vec![AddOptOut { person, since_s }]));
        }
        Status::OptIn => {
            let date = at.map(|at| format!(", consent of {}", at.to_rfc3339()));
            let reason = format!("{}{}", item.source.as_str(), date.unwrap_or_default());
            changes.remove.push(RemoveOptOut { from, person, reason: reason.into() });
        }
    }
    Ok(())
}
