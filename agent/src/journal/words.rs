//! Between the words of the journal's rules and those of the shell.

use busyhour_agent_core::journal::{Attempt, Dialog, Journal as Rules, Standing};
use busyhour_base::Ending;

use super::Name;
use crate::sip::StoredDialog;

/// A call in the words of the rules.
pub fn named(call: u64, attempt: u16) -> Attempt {
    Attempt { call, attempt: attempt.into() }
}

/// And back; `None` for attempts beyond any that a controller gives.
pub fn name_of(attempt: Attempt) -> Option<Name> {
    Some((attempt.call, u16::try_from(attempt.attempt).ok()?))
}

/// Calls that were answered and not ended.
pub fn answered(rules: &Rules) -> Vec<(Name, StoredDialog)> {
    let answered = rules.known().filter_map(|known| match known.standing {
        Standing::Answered(dialog) => Some((name_of(known.attempt)?, stored(dialog)?)),
        Standing::Sending | Standing::Ended(_) => None,
    });
    answered.collect()
}

/// Calls that ended and are not settled.
pub fn ended(rules: &Rules) -> Vec<(Name, Ending)> {
    let ended = rules.known().filter_map(|known| match known.standing {
        Standing::Ended(ending) => Some((name_of(known.attempt)?, (**ending).clone())),
        Standing::Sending | Standing::Answered(_) => None,
    });
    ended.collect()
}

/// A dialog in the words of the rules.
pub fn dialog_of(carrier: &str, dialog: &StoredDialog) -> Dialog {
    Dialog {
        call_id: dialog.call_id.clone(),
        from: dialog.local.clone(),
        to: dialog.remote.clone(),
        target: dialog.target.clone(),
        routes: dialog.routes.clone(),
        sequence: dialog.cseq,
        carrier: carrier.to_owned(),
        address: dialog.destination.to_string(),
    }
}

fn stored(dialog: &Dialog) -> Option<StoredDialog> {
    Some(StoredDialog {
        call_id: dialog.call_id.clone(),
        local: dialog.from.clone(),
        remote: dialog.to.clone(),
        target: dialog.target.clone(),
        routes: dialog.routes.clone(),
        cseq: dialog.sequence,
        destination: dialog.address.parse().ok()?,
    })
}
