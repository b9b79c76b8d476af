//! Who asks: basic authentication of tenants, a bearer token for the operator.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use busyhour_base::{AccountSid, KeySid};
use http::{header, request::Parts};

use super::Permit;
use crate::{
    App,
    directory::{Account, Directory, Secret},
    error::{ApiError, Code},
};

/// Longest `Authorization` that is decoded; a sid and a token of 256 characters fit.
const CREDENTIALS_MAX: usize = 512;

/// A tenant that has proved who it is and is within its bounds of requests.
pub(crate) struct Caller {
    /// Its account.
    pub(crate) account: AccountSid,
    /// The declaration as it was when the request came, for the whole request.
    pub(crate) directory: Arc<Directory>,
    /// Counts the request as in progress until it is dropped.
    pub(crate) permit: Permit,
}

impl Caller {
    /// Its entry in the directory.
    pub(crate) fn entry(&self) -> Result<&Account, ApiError> {
        self.directory.accounts.get(&self.account).ok_or_else(unauthorized)
    }

    /// Another tenant's account is as unknown as one that does not exist.
    pub(crate) fn owns(&self, account: &str) -> Result<(), ApiError> {
        match account.parse::<AccountSid>() {
            Ok(account) if account == self.account => Ok(()),
            _ => Err(ApiError::not_found()),
        }
    }

    /// A suspended account may read only.
    pub(crate) fn may_submit(&self) -> Result<(), ApiError> {
        if self.entry()?.suspended {
            return Err(ApiError::new(
                Code::NotActive,
                "The account is suspended: nothing is accepted from it",
            ));
        }
        Ok(())
    }
}

impl FromRequestParts<App> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let directory = Arc::clone(&app.platform.directory.borrow());
        let account = authenticate(parts, &directory)?;
        super::whose::is(account);
        tracing::Span::current().record("account", tracing::field::display(account));
        let permit = app.gate.admit(account)?;
        Ok(Self { account, directory, permit })
    }
}

fn authenticate(parts: &Parts, directory: &Directory) -> Result<AccountSid, ApiError> {
    let given = parts.headers.get(header::AUTHORIZATION);
    let given = given.ok_or_else(unauthorized)?.as_bytes();
    let encoded = scheme(given, b"basic").ok_or_else(unauthorized)?;
    let mut buffer = [0; CREDENTIALS_MAX];
    let length = BASE64_STANDARD.decode_slice(encoded, &mut buffer).map_err(|_| unauthorized())?;
    let given = &buffer[..length];
    let colon = given.iter().position(|byte| *byte == b':');
    let (user, password) = given.split_at(colon.ok_or_else(unauthorized)?);
    let user = std::str::from_utf8(user).map_err(|_| unauthorized())?;
    let (account, secret) = known(user, directory).ok_or_else(unauthorized)?;
    if !secret.matches(&password[1..]) {
        return Err(unauthorized());
    }
    Ok(account)
}

/// The account that a sid stands for, and its secret. Sids are no secrets, so that how long it takes to
/// find one tells nothing.
fn known<'d>(user: &str, directory: &'d Directory) -> Option<(AccountSid, &'d Secret)> {
    if let Ok(account) = user.parse::<AccountSid>() {
        return Some((account, &directory.accounts.get(&account)?.token));
    }
    let key = directory.keys.get(&user.parse::<KeySid>().ok()?)?;
    directory.accounts.contains_key(&key.account).then_some((key.account, &key.secret))
}

/// What follows the name of the scheme, which is read without regard to case (RFC 9110, 11.1).
fn scheme<'v>(value: &'v [u8], name: &[u8]) -> Option<&'v [u8]> {
    let (scheme, rest) = value.split_at_checked(name.len())?;
    let rest = rest.strip_prefix(b" ")?;
    scheme.eq_ignore_ascii_case(name).then(|| rest.trim_ascii())
}

/// One answer for every way to be wrong: whether the account, the key or the secret was is not told.
fn unauthorized() -> ApiError {
    ApiError::new(
        Code::Unauthorized,
        "Authentication failed: use HTTP basic authentication with AccountSid:AuthToken",
    )
}

/// A tenant, who sees what is its own, or the operator, who sees everything.
pub(crate) enum Viewer {
    /// A tenant.
    Tenant(Caller),
    /// The operator.
    Operator,
}

impl Viewer {
    /// Whether this is for its eyes.
    pub(crate) fn may_see(&self, account: AccountSid) -> bool {
        match self {
            Self::Tenant(caller) => caller.account == account,
            Self::Operator => true,
        }
    }
}

impl FromRequestParts<App> for Viewer {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let given = parts.headers.get(header::AUTHORIZATION);
        if given.is_some_and(|value| scheme(value.as_bytes(), b"bearer").is_some()) {
            Operator::from_request_parts(parts, app).await.map(|_| Self::Operator)
        } else {
            Caller::from_request_parts(parts, app).await.map(Self::Tenant)
        }
    }
}

/// The operator, by `Authorization: Bearer` and the token that the controller was started with.
pub(crate) struct Operator;

impl FromRequestParts<App> for Operator {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, ApiError> {
        let refused = || {
            ApiError::new(
                Code::Unauthorized,
                "Authentication failed: send the operator's token as Authorization: Bearer",
            )
        };
        let expected = app.platform.operator_token.as_ref().ok_or_else(refused)?;
        let given = parts.headers.get(header::AUTHORIZATION);
        let given = given.and_then(|value| scheme(value.as_bytes(), b"bearer"));
        match given {
            Some(token) if expected.matches(token) => Ok(Self),
            _ => Err(refused()),
        }
    }
}
