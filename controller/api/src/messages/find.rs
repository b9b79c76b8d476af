//! One message, wherever it is: in the state machine until it is recorded, in the records afterwards.

use std::time::Duration;

use busyhour_base::{AccountSid, MessageSid};
use busyhour_controller_core::message::{MessageId, MessageRecord, MessageView};

use super::resource::Facts;
use crate::{App, error::ApiError};

/// How long a message that has ended may take to get into the records, if they are not behind.
const RECORDING_MAX: Duration = Duration::from_secs(5);

/// A number that no message ever has.
const NEVER_GIVEN: MessageId = MessageId(0x7fff_ffff_ffff_ffff);

/// A message that was found.
pub(super) enum Found {
    /// In the state machine.
    Live(MessageView),
    /// In the records.
    Recorded(MessageRecord),
}

impl Found {
    pub(super) fn message(&self) -> MessageId {
        match self {
            Self::Live(view) => view.message,
            Self::Recorded(record) => record.message,
        }
    }

    pub(super) fn facts(&self) -> Facts<'_> {
        match self {
            Self::Live(view) => view.into(),
            Self::Recorded(record) => record.into(),
        }
    }
}

/// Finds an account's message. As with calls, whatever is not a live message of this account costs one query.
pub(super) async fn find(
    app: &App,
    account: AccountSid,
    sid: MessageSid,
) -> Result<Found, ApiError> {
    let message = app.platform.sid_key.message_number(sid).map(MessageId);
    let live = message.and_then(|message| app.platform.messages.message(message));
    if let Some(view) = live.filter(|view| view.account == account) {
        return Ok(Found::Live(view));
    }
    let message = message.filter(|message| *message < NEVER_GIVEN).unwrap_or(NEVER_GIVEN);
    let stored = app.platform.records.message(account, message).await?;
    stored.map(Found::Recorded).ok_or_else(ApiError::not_found)
}

/// Finds any account's message, for the operator.
pub(super) async fn find_any(app: &App, sid: MessageSid) -> Result<Found, ApiError> {
    let message = app.platform.sid_key.message_number(sid).map(MessageId);
    let message = message.ok_or_else(ApiError::not_found)?;
    if let Some(view) = app.platform.messages.message(message) {
        return Ok(Found::Live(view));
    }
    let stored = app.platform.records.message_of_any(message).await?;
    stored.map(Found::Recorded).ok_or_else(ApiError::not_found)
}

/// Waits until a message that has ended is in the records, where alone it can be changed. Answers whether it is.
pub(super) async fn recorded(app: &App, message: MessageId) -> bool {
    let mut recorded = app.platform.messages_recorded.clone();
    let gone = async {
        loop {
            recorded.mark_unchanged();
            if app.platform.messages.message(message).is_none() {
                return true;
            }
            if recorded.changed().await.is_err() {
                return false;
            }
        }
    };
    tokio::time::timeout(RECORDING_MAX, gone).await.unwrap_or(false)
}
