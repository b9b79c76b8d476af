//! Who takes no messages from the account's numbers: by their own word, or by the tenant's.

mod consents;
mod file;
mod import;
mod list;
mod remove;

pub(crate) use consents::{__path_consents, consents};
pub(crate) use import::{__path_import, import};
pub(crate) use list::{__path_opt_outs, opt_outs};
pub(crate) use remove::{__path_remove, __path_removed, remove, removed};

use busyhour_base::AccountSid;
use busyhour_controller_core::{
    command::Command,
    effect::Reply,
    message::{ChangeOptOuts, MessageCommand, Person},
};

use super::create::refused;
use crate::{
    App,
    calls::canonical,
    directory::Directory,
    error::{ApiError, Code},
};

const NUMBER: &str = "an E.164 number such as +14155550123";

/// How many were added and removed.
struct Changed {
    added: u64,
    removed: u64,
}

/// Puts changes into the log: all of them, or none.
async fn change(app: &App, changes: ChangeOptOuts) -> Result<Changed, ApiError> {
    let command = Command::Message(MessageCommand::OptOuts(changes));
    match app.platform.proposer.propose(command).await?.reply {
        Reply::OptOuts { added, removed } => Ok(Changed { added, removed }),
        Reply::Refused(reason) => Err(refused(reason)),
        _ => Err(ApiError::internal("changing who has opted out got no answer")),
    }
}

/// Somebody's number.
fn person(name: &str, text: &str) -> Result<Person, ApiError> {
    let known = canonical(text).ok().and_then(|number| Person::of(&number));
    known.ok_or_else(|| ApiError::parameter(Code::InvalidTo, name, text, NUMBER))
}

/// A number of the account.
fn own(
    name: &str,
    text: &str,
    account: AccountSid,
    directory: &Directory,
) -> Result<String, ApiError> {
    let number = canonical(text).ok().map(std::borrow::Cow::into_owned);
    let known = number.filter(|number| {
        directory.numbers.get(number.as_str()).is_some_and(|known| known.account == account)
    });
    known.ok_or_else(|| {
        ApiError::parameter(Code::MessageFromNotOwned, name, text, "a number of this account")
    })
}
