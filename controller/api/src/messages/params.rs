//! The parameters of `messages.create`: checked, and made a request of.
//!
//! What this version cannot do is refused by name, where ignoring it would change what is sent: media, messaging services, content
//! templates, shortened links. Settings of those have no effect without them and are passed over.

use std::sync::Arc;

use busyhour_base::{Body, Direction, MessageSpec, Span, Timestamp};
use busyhour_controller_core::message::NewMessage;

use crate::{
    calls::{canonical, urgency, webhook},
    dates::instant,
    edge::Caller,
    error::{ApiError, Code},
    form::Params,
};

/// Longest `ValidityPeriod` and what holds if nothing is said (`WIRE.md`): ten hours.
const VALIDITY_MAX_S: u64 = 36_000;
/// How far ahead a message may be scheduled: 35 days, as the field does.
const AHEAD_MAX: Span = Span::from_secs(35 * 86_400);

/// What this version cannot do, and the values that ask for nothing.
const UNSUPPORTED: &[(&str, &[&str])] = &[
    ("MediaUrl", &[]),
    ("MessagingServiceSid", &[]),
    ("ContentSid", &[]),
    ("ShortenUrls", &["false"]),
    ("SendAsMms", &["false"]),
    ("MaxPrice", &[]),
];

const NUMBER: &str = "an E.164 number such as +14155550123";

/// A checked request and its text.
pub(super) fn new_message(
    params: &Params<'_>,
    caller: &Caller,
    now: Timestamp,
) -> Result<(NewMessage, Body), ApiError> {
    refuse_unsupported(params)?;
    let (to, from) = (recipient(params, caller)?, sender(params, caller)?);
    if to == from {
        let allowed = "a number other than From";
        return Err(ApiError::parameter(Code::ToIsFrom, "To", &to, allowed));
    }
    let body = body(params)?;
    let spec = MessageSpec {
        to,
        from,
        direction: Direction::OutboundApi,
        status_callback: webhook(params, "StatusCallback", "StatusCallbackMethod")?,
    };
    let not_before = send_at(params, now)?;
    let validity = params.whole(Code::InvalidParameter, "ValidityPeriod", 1..=VALIDITY_MAX_S)?;
    let validity = Span::from_secs(validity.unwrap_or(VALIDITY_MAX_S));
    let new = NewMessage {
        spec: Arc::new(spec),
        body: 0,
        not_before,
        expires: Some(not_before.unwrap_or(now).max(now) + validity),
        urgency: urgency(params)?.unwrap_or_default(),
    };
    Ok((new, body))
}

fn refuse_unsupported(params: &Params<'_>) -> Result<(), ApiError> {
    for (name, harmless) in UNSUPPORTED {
        if let Some(value) = params.all(name).find(|value| !harmless.contains(value)) {
            let allowed = "this version does not do this; leave it out";
            return Err(ApiError::parameter(Code::InvalidParameter, name, value, allowed));
        }
    }
    Ok(())
}

fn recipient(params: &Params<'_>, caller: &Caller) -> Result<String, ApiError> {
    let Some(text) = params.one("To")? else {
        let message = "To is missing: the number that the message is for is required";
        return Err(ApiError::new(Code::MessageToMissing, message));
    };
    let to = canonical(text)
        .ok()
        .filter(|to| to.starts_with('+'))
        .ok_or_else(|| ApiError::parameter(Code::InvalidTo, "To", text, NUMBER))?;
    if !caller.entry()?.may_call(&to) {
        let allowed = "the account's plan does not allow this destination";
        return Err(ApiError::parameter(Code::MessageForbidden, "To", text, allowed));
    }
    Ok(to.into_owned())
}

fn sender(params: &Params<'_>, caller: &Caller) -> Result<String, ApiError> {
    let Some(text) = params.one("From")? else {
        let message = "From is missing: a number of this account is required";
        return Err(ApiError::new(Code::MessageFromMissing, message));
    };
    let from = canonical(text)
        .ok()
        .filter(|from| from.starts_with('+'))
        .ok_or_else(|| ApiError::parameter(Code::InvalidFrom, "From", text, NUMBER))?;
    match caller.directory.numbers.get(from.as_ref()) {
        Some(known) if known.account == caller.account => Ok(from.into_owned()),
        _ => {
            let allowed = "a number of this account";
            Err(ApiError::parameter(Code::MessageFromNotOwned, "From", text, allowed))
        }
    }
}

/// The text is personal, so that no error shows it.
fn body(params: &Params<'_>) -> Result<Body, ApiError> {
    let Some(text) = params.one("Body")? else {
        let message = "Body is missing: the text of the message is required";
        return Err(ApiError::new(Code::BodyMissing, message));
    };
    let characters = text.chars().count();
    if characters > Body::CHARS_MAX {
        let most = Body::CHARS_MAX;
        let message = format!("Body has {characters} characters; at most {most} are allowed");
        return Err(ApiError::new(Code::BodyTooLong, message));
    }
    Ok(Body::from(text))
}

/// `ScheduleType=fixed` with `SendAt`.
fn send_at(params: &Params<'_>, now: Timestamp) -> Result<Option<Timestamp>, ApiError> {
    match params.one("ScheduleType")? {
        None | Some("fixed") => {}
        Some(other) => {
            return Err(ApiError::parameter(Code::ScheduleType, "ScheduleType", other, "fixed"));
        }
    }
    let fixed = params.one("ScheduleType")?.is_some();
    match (params.one("SendAt")?, fixed) {
        (None, false) => Ok(None),
        (None, true) => {
            let message = "SendAt is missing: ScheduleType = fixed needs the instant to send at";
            Err(ApiError::new(Code::SendAt, message))
        }
        (Some(_), false) => {
            let message = "ScheduleType is missing: SendAt needs ScheduleType = fixed";
            Err(ApiError::new(Code::ScheduleType, message))
        }
        (Some(text), true) => {
            let allowed =
                "an instant such as 2026-03-10T12:00:00Z, in the future and at most 35 days ahead";
            let at = instant(text).filter(|at| *at > now && *at <= now + AHEAD_MAX);
            at.map(Some).ok_or_else(|| ApiError::parameter(Code::SendAt, "SendAt", text, allowed))
        }
    }
}
