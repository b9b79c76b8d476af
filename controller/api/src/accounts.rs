//! Accounts: `/2010-04-01/Accounts` (`WIRE.md`).

use axum::response::Response;
use busyhour_base::AccountSid;
use http::StatusCode;
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    dates::Rfc2822,
    edge::{Caller, Ids, json, json_sid},
    error::ApiError,
};

/// The Account resource.
#[derive(Serialize, ToSchema)]
pub(crate) struct AccountResource<'a> {
    /// Always null: a token is shown to nobody.
    auth_token: Option<&'a str>,
    /// When it was declared, if known.
    #[schema(value_type = Option<String>)]
    date_created: Option<Rfc2822>,
    /// The same.
    #[schema(value_type = Option<String>)]
    date_updated: Option<Rfc2822>,
    /// Its name in the declaration.
    friendly_name: &'a str,
    /// Itself: there are no subaccounts.
    #[schema(value_type = String)]
    owner_account_sid: AccountSid,
    /// `AC` and 32 hex digits.
    #[schema(value_type = String)]
    sid: AccountSid,
    /// active or suspended.
    status: &'static str,
    /// Paths of what belongs to it.
    subresource_uris: AccountUris,
    /// `Full`.
    r#type: &'static str,
    /// Path of this resource.
    uri: String,
}

/// What belongs to an account.
#[derive(Serialize, ToSchema)]
pub(crate) struct AccountUris {
    /// Its calls.
    calls: String,
}

/// The accounts that the caller may see: its own.
#[derive(Serialize, ToSchema)]
pub(crate) struct AccountList<'a> {
    /// The list.
    accounts: Vec<AccountResource<'a>>,
    /// Place of the last one.
    end: usize,
    /// Path of the first page.
    first_page_uri: &'static str,
    /// Always null.
    next_page_uri: Option<&'a str>,
    /// Always 0.
    page: usize,
    /// Most accounts on a page.
    page_size: usize,
    /// Always null.
    previous_page_uri: Option<&'a str>,
    /// Place of the first one.
    start: usize,
    /// Path of this page.
    uri: &'static str,
}

fn resource(caller: &Caller) -> Result<AccountResource<'_>, ApiError> {
    let entry = caller.entry()?;
    let sid = caller.account;
    Ok(AccountResource {
        auth_token: None,
        date_created: entry.created.map(Rfc2822),
        date_updated: entry.created.map(Rfc2822),
        friendly_name: &entry.name,
        owner_account_sid: sid,
        sid,
        status: if entry.suspended { "suspended" } else { "active" },
        subresource_uris: AccountUris { calls: format!("/2010-04-01/Accounts/{sid}/Calls.json") },
        r#type: "Full",
        uri: format!("/2010-04-01/Accounts/{sid}.json"),
    })
}

/// The caller's account.
#[utoipa::path(
    get, path = "/2010-04-01/Accounts/{Sid}.json", tag = "Accounts",
    params(("Sid" = String, Path)),
    responses((status = 200, body = AccountResource), (status = "4XX", body = crate::error::ErrorBody)),
    security(("account" = []))
)]
pub(crate) async fn fetch(caller: Caller, Ids(account): Ids<String>) -> Result<Response, ApiError> {
    let sid: AccountSid = json_sid(&account)?;
    if sid != caller.account {
        return Err(ApiError::not_found());
    }
    Ok(json(StatusCode::OK, &resource(&caller)?))
}

/// The caller's account as a list of one.
#[utoipa::path(
    get, path = "/2010-04-01/Accounts.json", tag = "Accounts",
    responses((status = 200, body = AccountList), (status = "4XX", body = crate::error::ErrorBody)),
    security(("account" = []))
)]
pub(crate) async fn list(caller: Caller) -> Result<Response, ApiError> {
    let uri = "/2010-04-01/Accounts.json";
    let body = AccountList {
        accounts: vec![resource(&caller)?],
        end: 0,
        first_page_uri: uri,
        next_page_uri: None,
        page: 0,
        page_size: 50,
        previous_page_uri: None,
        start: 0,
        uri,
    };
    Ok(json(StatusCode::OK, &body))
}
