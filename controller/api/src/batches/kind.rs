//! What the lines of a batch are, calls or messages, and which parameters each kind has.

use busyhour_controller_core::spec::Kind;
use serde_json::{Map, Value};

use super::plan::refused;
use crate::{
    calls,
    error::{ApiError, Code},
    messages,
};

/// The word for it in a batch.
pub(super) const fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Call => "calls",
        Kind::Message => "messages",
    }
}

/// The name of a parameter that has an effect on requests of this kind, or is refused.
pub(super) fn is_known(kind: Kind, name: &str) -> Option<&'static str> {
    match kind {
        Kind::Call => calls::is_known(name),
        Kind::Message => messages::is_known(name),
    }
}

/// What a parameter may be called, for a person. One of the other kind is named as such.
pub(super) fn allowed(kind: Kind, name: &str) -> String {
    let (names, other) = match kind {
        Kind::Call => (calls::NAMES, Kind::Message),
        Kind::Message => (messages::NAMES, Kind::Call),
    };
    let names = format!("one of {}", names.join(", "));
    if is_known(other, name).is_none() {
        return names;
    }
    let (this, other) = (word(kind), word(other));
    format!("{names} ({name} is a parameter of {other}, and kind = {this})")
}

/// The kind of a batch: as it is said, or as its defaults tell; of calls, if they do not either.
pub(super) fn of(said: Option<&str>, defaults: &Map<String, Value>) -> Result<Kind, ApiError> {
    match said {
        Some("calls") => return Ok(Kind::Call),
        Some("messages") => return Ok(Kind::Message),
        Some(other) => return Err(refused("kind", other, "calls or messages")),
        None => {}
    }
    let only = |kind, other| {
        let mut names = defaults.keys();
        names.find(|name| is_known(kind, name).is_some() && is_known(other, name).is_none())
    };
    match (only(Kind::Call, Kind::Message), only(Kind::Message, Kind::Call)) {
        (Some(call), Some(message)) => {
            let text = format!(
                "defaults.{call} is a parameter of calls and defaults.{message} one of messages: a batch is of one kind"
            );
            Err(ApiError::new(Code::InvalidParameter, text))
        }
        (None, Some(_)) => Ok(Kind::Message),
        _ => Ok(Kind::Call),
    }
}
