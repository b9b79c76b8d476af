//! The parameters of `messages.create`: checked, and made a request of. Lines of batches have the same ones.
//!
//! What this version cannot do is refused by name, where ignoring it would change what is sent or who is told: media, messaging
//! services, applications, content templates, shortened links. Settings of those have no effect without them and are passed over.

use std::{borrow::Cow, sync::Arc};

use busyhour_base::{AccountSid, Body, Direction, MessageSpec, Timestamp};
use busyhour_controller_core::{message::NewMessage, spec::NewText};

use crate::{
    calls::{canonical, urgency, webhook},
    dates::instant,
    directory::{Account, Directory},
    edge::Caller,
    error::{ApiError, Code},
    form::Params,
    known::Known,
    validity::{AHEAD_MAX, VALIDITY_MAX, expires},
};

/// The parameters of `messages.create`.
pub(crate) const KNOWN: Known = Known { names: NAMES, unsupported: UNSUPPORTED };

const NAMES: &[&str] = &[
    "To",
    "From",
    "Body",
    "StatusCallback",
    "StatusCallbackMethod",
    "ValidityPeriod",
    "ScheduleType",
    "SendAt",
    "Urgency",
];

const UNSUPPORTED: &[(&str, &[&str])] = &[
    ("MediaUrl", &[]),
    ("MessagingServiceSid", &[]),
    // It would have the reports go elsewhere.
    ("ApplicationSid", &[]),
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
    let text = new_text(params, caller.account, &caller.directory, Instants::of(now))?;
    let begins = text.not_before.unwrap_or(now).max(now);
    let new = NewMessage {
        spec: text.spec,
        body: 0,
        not_before: text.not_before,
        // What waits longer than that is not worth sending.
        expires: text.expires.or(Some(begins + VALIDITY_MAX)),
        urgency: text.urgency,
    };
    Ok((new, text.body))
}

/// What times are counted from.
#[derive(Clone, Copy)]
pub(crate) struct Instants {
    /// Now.
    pub(crate) now: Timestamp,
    /// From when on it may be sent; now, or later for a line of a batch.
    pub(crate) begins: Timestamp,
}

impl Instants {
    const fn of(now: Timestamp) -> Self {
        Self { now, begins: now }
    }
}

/// The same with its text, as lines of batches have it: it expires only if it is said when, counted from when it may be sent or
/// from the time that it is scheduled for.
pub(crate) fn new_text(
    params: &Params<'_>,
    account: AccountSid,
    directory: &Directory,
    instants: Instants,
) -> Result<NewText, ApiError> {
    let entry = directory.accounts.get(&account).ok_or_else(ApiError::not_found)?;
    KNOWN.refuse_unsupported(params)?;
    let Some(to) = params.one("To")? else {
        let message = "To is missing: the number that the message is for is required";
        return Err(ApiError::new(Code::MessageToMissing, message));
    };
    let to = recipient(to, entry)?;
    let mut text = text_but_for_to(params, account, directory, instants)?;
    is_other(&to, &text.spec.from)?;
    Arc::make_mut(&mut text.spec).to = to.into_owned();
    Ok(text)
}

/// What messages have in common that differ in nothing but `To`.
pub(crate) fn text_but_for_to(
    params: &Params<'_>,
    account: AccountSid,
    directory: &Directory,
    instants: Instants,
) -> Result<NewText, ApiError> {
    KNOWN.refuse_unsupported(params)?;
    let from = sender(params, account, directory)?.ok_or_else(|| {
        let message = "From is missing: a number of this account is required";
        ApiError::new(Code::MessageFromMissing, message)
    })?;
    let body = body(params)?.ok_or_else(|| {
        ApiError::new(Code::BodyMissing, "Body is missing: the text of the message is required")
    })?;
    let spec = MessageSpec {
        to: String::new(),
        from,
        direction: Direction::OutboundApi,
        status_callback: webhook(params, "StatusCallback", "StatusCallbackMethod")?,
    };
    let (not_before, expires) = times(params, instants)?;
    let urgency = urgency(params)?.unwrap_or_default();
    Ok(NewText { spec: Arc::new(spec), body, not_before, expires, urgency })
}

/// Checks parameters that others will be added to: what is there has to be right, what is missing may come.
pub(crate) fn check(
    params: &Params<'_>,
    account: AccountSid,
    directory: &Directory,
    now: Timestamp,
) -> Result<(), ApiError> {
    let entry = directory.accounts.get(&account).ok_or_else(ApiError::not_found)?;
    KNOWN.refuse_unsupported(params)?;
    params.one("To")?.map(|to| recipient(to, entry)).transpose()?;
    sender(params, account, directory)?;
    body(params)?;
    webhook(params, "StatusCallback", "StatusCallbackMethod")?;
    urgency(params)?;
    times(params, Instants::of(now)).map(drop)
}

/// The canonical form of a number that the account may write to.
pub(crate) fn recipient<'a>(text: &'a str, account: &Account) -> Result<Cow<'a, str>, ApiError> {
    let to = canonical(text)
        .ok()
        .filter(|to| to.starts_with('+'))
        .ok_or_else(|| ApiError::parameter(Code::InvalidTo, "To", text, NUMBER))?;
    if !account.may_call(&to) {
        let allowed = "the account's plan does not allow this destination";
        return Err(ApiError::parameter(Code::MessageForbidden, "To", text, allowed));
    }
    Ok(to)
}

/// Nobody writes to himself.
pub(crate) fn is_other(to: &str, from: &str) -> Result<(), ApiError> {
    if to != from {
        return Ok(());
    }
    Err(ApiError::parameter(Code::ToIsFrom, "To", to, "a number other than From"))
}

fn sender(
    params: &Params<'_>,
    account: AccountSid,
    directory: &Directory,
) -> Result<Option<String>, ApiError> {
    let Some(text) = params.one("From")? else { return Ok(None) };
    let from = canonical(text)
        .ok()
        .filter(|from| from.starts_with('+'))
        .ok_or_else(|| ApiError::parameter(Code::InvalidFrom, "From", text, NUMBER))?;
    match directory.numbers.get(from.as_ref()) {
        Some(known) if known.account == account => Ok(Some(from.into_owned())),
        _ => {
            let allowed = "a number of this account";
            Err(ApiError::parameter(Code::MessageFromNotOwned, "From", text, allowed))
        }
    }
}

fn body(params: &Params<'_>) -> Result<Option<Body>, ApiError> {
    let Some(text) = params.one("Body")? else { return Ok(None) };
    fits(text)?;
    Ok(Some(Body::from(text)))
}

/// Whether a text is not too long. It is personal, so that no error shows it.
pub(crate) fn fits(text: &str) -> Result<(), ApiError> {
    let characters = text.chars().count();
    if characters <= Body::CHARS_MAX {
        return Ok(());
    }
    let most = Body::CHARS_MAX;
    let message = format!("Body has {characters} characters; at most {most} are allowed");
    Err(ApiError::new(Code::BodyTooLong, message))
}

/// When it is to be sent at the earliest, and until when it may be.
fn times(
    params: &Params<'_>,
    Instants { now, begins }: Instants,
) -> Result<(Option<Timestamp>, Option<Timestamp>), ApiError> {
    let not_before = send_at(params, now)?;
    Ok((not_before, expires(params, not_before.unwrap_or(begins).max(begins))?))
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
