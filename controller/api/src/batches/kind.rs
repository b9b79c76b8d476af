//! What the lines of a batch are, calls or messages, and which parameters they have.

use busyhour_controller_core::spec::Kind;
use serde_json::{Map, Value};

use super::plan::refused;
use crate::{
    calls,
    error::{ApiError, Code},
    known::Known,
    messages,
};

/// The word for it in a batch.
pub(super) const fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Call => "calls",
        Kind::Message => "messages",
    }
}

/// The parameters of requests of this kind.
pub(super) const fn known(kind: Kind) -> &'static Known {
    match kind {
        Kind::Call => &calls::KNOWN,
        Kind::Message => &messages::KNOWN,
    }
}

/// What a parameter may be called, for a person. One of the other kind is named as such.
pub(super) fn allowed(kind: Kind, name: &str) -> String {
    let other = match kind {
        Kind::Call => Kind::Message,
        Kind::Message => Kind::Call,
    };
    let names = format!("one of {}", known(kind).names.join(", "));
    if known(other).name(name).is_none() {
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
        names.find(|name| known(kind).name(name).is_some() && known(other).name(name).is_none())
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
