//! The parameters of `calls.create`: checked, and made a request of. Lines of batches have the same ones.
//!
//! What this version cannot do is refused and not ignored, where ignoring it would change what the call does:
//! recording, answering-machine detection, SIP credentials, bring-your-own-carrier, passports, call tokens, client
//! notification. Their settings (`RecordingChannels`, `MachineDetectionTimeout` and so on) have no effect
//! without them and are not looked at; nor is `CallReason`, which is only shown. Names that
//! the field does not know are passed over, as the field does.

use std::{borrow::Cow, sync::Arc};

use busyhour_base::{
    AccountSid, ApplicationSid, CallSpec, Direction, Instructions, Span, Timestamp,
};
use busyhour_controller_core::spec::{NewCall, Urgency};

use super::{
    address::{ADDRESS, canonical},
    webhooks::{document, events, webhook},
};
use crate::{
    dates::instant,
    directory::{Account, Application, Directory},
    error::{ApiError, Code},
    form::Params,
    known::Known,
    validity::{AHEAD_MAX, expires},
};

/// Longest `SendDigits`.
const DIGITS_MAX: usize = 32;
/// How long a call rings if nothing is said, and at most (`WIRE.md`).
const RING_S: u64 = 60;
const RING_MAX_S: u64 = 600;
/// How long a call lasts if nothing is said, and at most: four hours, the field's default, and a day.
const TALK_S: u64 = 4 * 3_600;
const TALK_MAX_S: u64 = 86_400;

/// The parameters of `calls.create`.
pub(crate) const KNOWN: Known = Known { names: NAMES, unsupported: UNSUPPORTED };

const NAMES: &[&str] = &[
    "To",
    "From",
    "CallerId",
    "Url",
    "Method",
    "Twiml",
    "ApplicationSid",
    "FallbackUrl",
    "FallbackMethod",
    "StatusCallback",
    "StatusCallbackEvent",
    "StatusCallbackMethod",
    "SendDigits",
    "Timeout",
    "TimeLimit",
    "SendAt",
    "ValidityPeriod",
    "Urgency",
];

const UNSUPPORTED: &[(&str, &[&str])] = &[
    ("Record", &["false"]),
    ("MachineDetection", &["None", "none"]),
    ("AsyncAmd", &["false"]),
    ("SipAuthUsername", &[]),
    ("SipAuthPassword", &[]),
    ("Byoc", &[]),
    ("Passports", &[]),
    ("CallToken", &[]),
    ("ClientNotificationUrl", &[]),
    ("RecordingConfigurationId", &[]),
];

/// A checked request.
pub(crate) fn new_call(
    params: &Params<'_>,
    account: AccountSid,
    directory: &Directory,
    now: Timestamp,
) -> Result<NewCall, ApiError> {
    let entry = directory.accounts.get(&account).ok_or_else(ApiError::not_found)?;
    KNOWN.refuse_unsupported(params)?;
    let to = called(params, entry)?.ok_or_else(|| {
        ApiError::new(Code::ToMissing, "To is missing: a number or SIP address is required")
    })?;
    let mut call = but_for_to(params, account, directory, now)?;
    Arc::make_mut(&mut call.spec).to = to;
    Ok(call)
}

/// What requests have in common that differ in nothing but `To`, checked once for all of them.
pub(crate) struct Template(NewCall);

impl Template {
    /// Of parameters of which `To` is not looked at.
    pub(crate) fn new(
        params: &Params<'_>,
        account: AccountSid,
        directory: &Directory,
        now: Timestamp,
    ) -> Result<Self, ApiError> {
        KNOWN.refuse_unsupported(params)?;
        but_for_to(params, account, directory, now).map(Self)
    }

    /// What [`new_call`] makes of the same parameters and any `To`, but for that: [`callable`] makes it of that.
    pub(crate) const fn rest(&self) -> &NewCall {
        &self.0
    }
}

fn but_for_to(
    params: &Params<'_>,
    account: AccountSid,
    directory: &Directory,
    now: Timestamp,
) -> Result<NewCall, ApiError> {
    let from = calling(params, account, directory)?.ok_or_else(|| {
        ApiError::new(Code::FromMissing, "From is missing: a number of this account is required")
    })?;
    let mut spec = settings(params)?;
    spec.from = from;
    if !instruct(&mut spec, params, account, directory)? {
        let message = "Url, Twiml or ApplicationSid is required, and none is given";
        return Err(ApiError::new(Code::InvalidUrl, message));
    }
    let (not_before, expires) = times(params, now)?;
    let application = params.one("ApplicationSid")?.and_then(|sid| sid.parse().ok());
    let urgency = urgency(params)?.unwrap_or_default();
    Ok(NewCall { application, not_before, expires, urgency, ..NewCall::of(Arc::new(spec)) })
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
    called(params, entry)?;
    calling(params, account, directory)?;
    instruct(&mut settings(params)?, params, account, directory)?;
    urgency(params)?;
    times(params, now).map(drop)
}

/// What needs no look into the directory. Who calls whom and the document are still empty.
fn settings(params: &Params<'_>) -> Result<CallSpec, ApiError> {
    let ring = params.whole(Code::InvalidTimeout, "Timeout", 1..=RING_MAX_S)?;
    let talk = params.whole(Code::InvalidParameter, "TimeLimit", 1..=TALK_MAX_S)?;
    Ok(CallSpec {
        to: String::new(),
        from: String::new(),
        instructions: Instructions::Document(String::new()),
        fallback: webhook(params, "FallbackUrl", "FallbackMethod")?,
        status_callback: webhook(params, "StatusCallback", "StatusCallbackMethod")?,
        status_events: events(params)?,
        send_digits: digits(params)?,
        ring_timeout: Span::from_secs(ring.unwrap_or(RING_S)),
        time_limit: Span::from_secs(talk.unwrap_or(TALK_S)),
        direction: Direction::OutboundApi,
    })
}

fn called(params: &Params<'_>, account: &Account) -> Result<Option<String>, ApiError> {
    let to = params.one("To")?.map(|text| callable(text, account)).transpose()?;
    Ok(to.map(Cow::into_owned))
}

/// The canonical form of a number or address that the account may call.
pub(crate) fn callable<'a>(text: &'a str, account: &Account) -> Result<Cow<'a, str>, ApiError> {
    let to = canonical(text).map_err(|error| error.of_to(text))?;
    if !account.may_call(&to) {
        let allowed = "the account's plan does not allow this destination";
        return Err(ApiError::parameter(Code::Forbidden, "To", text, allowed));
    }
    Ok(to)
}

/// `CallerId` is shown to the called party in place of `From`; both have to be numbers of the account.
fn calling(
    params: &Params<'_>,
    account: AccountSid,
    directory: &Directory,
) -> Result<Option<String>, ApiError> {
    let Some(from) = params.one("From")? else {
        return Ok(None);
    };
    let from = own_number("From", from, account, directory)?;
    match params.one("CallerId")? {
        Some(shown) => own_number("CallerId", shown, account, directory).map(Some),
        None => Ok(Some(from)),
    }
}

fn own_number(
    name: &str,
    text: &str,
    account: AccountSid,
    directory: &Directory,
) -> Result<String, ApiError> {
    let number =
        canonical(text).map_err(|_| ApiError::parameter(Code::InvalidFrom, name, text, ADDRESS))?;
    match directory.numbers.get(number.as_ref()) {
        Some(known) if known.account == account => Ok(number.into_owned()),
        _ => Err(ApiError::parameter(Code::FromNotOwned, name, text, "a number of this account")),
    }
}

/// Puts the first document in, if there is one. An application brings its own documents and callbacks; a status
/// callback of the request goes before its.
fn instruct(
    spec: &mut CallSpec,
    params: &Params<'_>,
    account: AccountSid,
    directory: &Directory,
) -> Result<bool, ApiError> {
    let Some(sid) = params.one("ApplicationSid")? else {
        let document = document(params)?;
        let any = document.is_some();
        spec.instructions = document.unwrap_or_else(|| Instructions::Document(String::new()));
        return Ok(any);
    };
    let (_, application) = own_application(sid, account, directory)?;
    spec.instructions = Instructions::Url(application.voice.clone());
    spec.fallback = application.fallback.clone();
    if let (None, Some((hook, events))) = (&spec.status_callback, &application.status_callback) {
        spec.status_callback = Some(hook.clone());
        spec.status_events = *events;
    }
    Ok(true)
}

/// An application of the account.
pub(super) fn own_application<'d>(
    text: &str,
    account: AccountSid,
    directory: &'d Directory,
) -> Result<(ApplicationSid, &'d Application), ApiError> {
    let sid = text.parse::<ApplicationSid>().ok();
    let known = sid.and_then(|sid| Some((sid, directory.applications.get(&sid)?)));
    known.filter(|(_, found)| found.account == account).ok_or_else(|| {
        let allowed = "the sid of an application of this account";
        ApiError::parameter(Code::InvalidApplication, "ApplicationSid", text, allowed)
    })
}

/// `Urgency`: whether someone waits on it (MT-6).
pub(crate) fn urgency(params: &Params<'_>) -> Result<Option<Urgency>, ApiError> {
    match params.one("Urgency")? {
        None => Ok(None),
        Some("ordinary") => Ok(Some(Urgency::Ordinary)),
        Some("synchronous") => Ok(Some(Urgency::Synchronous)),
        Some(other) => {
            let allowed = "ordinary or synchronous";
            Err(ApiError::parameter(Code::InvalidParameter, "Urgency", other, allowed))
        }
    }
}

fn digits(params: &Params<'_>) -> Result<Option<String>, ApiError> {
    let Some(text) = params.one("SendDigits")? else {
        return Ok(None);
    };
    let legal = text.bytes().all(|b| b.is_ascii_digit() || b"ABCD*#wW".contains(&b));
    if !legal || text.len() > DIGITS_MAX {
        let allowed = "at most 32 of 0-9, A-D, *, #, w and W";
        return Err(ApiError::parameter(Code::InvalidSendDigits, "SendDigits", text, allowed));
    }
    Ok(Some(text.to_owned()))
}

/// `SendAt` and `ValidityPeriod`, named as those of messages (MT-5): when the call is to start at the earliest, and for
/// how many seconds from then, or from now, it may be tried.
fn times(
    params: &Params<'_>,
    now: Timestamp,
) -> Result<(Option<Timestamp>, Option<Timestamp>), ApiError> {
    let not_before = match params.one("SendAt")? {
        None => None,
        Some(text) => {
            let allowed = "an instant such as 2026-03-10T12:00:00Z, at most 35 days ahead";
            let at = instant(text).filter(|at| *at <= now + AHEAD_MAX);
            Some(at.ok_or_else(|| {
                ApiError::parameter(Code::InvalidParameter, "SendAt", text, allowed)
            })?)
        }
    };
    Ok((not_before, expires(params, not_before.unwrap_or(now).max(now))?))
}
