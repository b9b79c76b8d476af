//! Status callbacks of messages, in the field's parameters. Agents make them, since agents are what may reach tenants' servers.

use busyhour_base::{AccountSid, MessageSpec, MessageStatus, Reason, SidKey, message::error_code};
use busyhour_controller_core::message::{MessageId, told};
use busyhour_protocol::v1::{self, to_agent::Message};

use crate::declared::DialBook;

/// What a tenant is told of a message's new status. `None` if it does not want to know, or is not declared any more: nobody
/// could sign it.
pub(crate) fn notice(
    message: MessageId,
    account: AccountSid,
    spec: &MessageSpec,
    (status, reason): (MessageStatus, Reason),
    key: SidKey,
    book: &DialBook,
) -> Option<Message> {
    let hook = told(spec, status)?;
    let token = book.tokens.get(&account)?;
    let sid = key.message(message.0).to_string();
    let word = status.as_str().to_owned();
    let mut parameters = vec![
        ("MessageSid", sid.clone()),
        ("SmsSid", sid.clone()),
        ("AccountSid", account.to_string()),
        ("From", spec.from.clone()),
        ("To", spec.to.clone()),
        ("MessageStatus", word.clone()),
        ("SmsStatus", word),
        ("ApiVersion", "2010-04-01".to_owned()),
    ];
    let went_wrong = matches!(status, MessageStatus::Failed | MessageStatus::Undelivered);
    if let Some(code) = error_code(reason).filter(|_| went_wrong) {
        parameters.push(("ErrorCode", code.to_string()));
    }
    Some(Message::MessageNotice(v1::MessageNotice {
        message_sid: sid,
        account: Some(v1::Account {
            sid: account.to_string(),
            auth_token: token.expose().to_owned(),
        }),
        hook: Some(hook.into()),
        parameters: parameters
            .into_iter()
            .map(|(name, value)| v1::Parameter { name: name.to_owned(), value })
            .collect(),
    }))
}
