//! One call, wherever it is: in the state machine while it lives, in the records afterwards.

use busyhour_base::{AccountSid, CallSid};
use busyhour_controller_core::{
    spec::CallId,
    view::{CallView, Record},
};

use super::Facts;
use crate::{App, error::ApiError};

/// A call that was found.
pub(crate) enum Found {
    /// Alive, or on its way to the records.
    Live(CallView),
    /// In the records.
    Recorded(Record),
}

impl Found {
    pub(crate) fn facts(&self) -> Facts<'_> {
        match self {
            Self::Live(view) => view.into(),
            Self::Recorded(record) => record.into(),
        }
    }
}

/// Finds an account's call.
///
/// The state is asked first: a call leaves it only when it is in the records. Whatever is not a live
/// call of this account costs one query, be it unknown, another account's or finished long ago, so that
/// the time taken does not tell one from another (`RELIABILITY.md`, REST).
pub(crate) async fn find(app: &App, account: AccountSid, sid: CallSid) -> Result<Found, ApiError> {
    let call = app.platform.sid_key.call_number(sid).map(CallId);
    let live = call.and_then(|call| app.platform.views.call(call));
    if let Some(view) = live.filter(|view| view.account == account) {
        return Ok(Found::Live(view));
    }
    let never_given = CallId(0x7fff_ffff_ffff_ffff);
    let stored = app
        .platform
        .records
        .call(account, call.filter(|call| *call < never_given).unwrap_or(never_given))
        .await?;
    stored.map(Found::Recorded).ok_or_else(ApiError::not_found)
}

/// Finds any account's call, for the operator.
pub(crate) async fn find_any(app: &App, sid: CallSid) -> Result<Found, ApiError> {
    let call = app.platform.sid_key.call_number(sid).map(CallId).ok_or_else(ApiError::not_found)?;
    if let Some(view) = app.platform.views.call(call) {
        return Ok(Found::Live(view));
    }
    let stored = app.platform.records.call_of_any(call).await?;
    stored.map(Found::Recorded).ok_or_else(ApiError::not_found)
}
