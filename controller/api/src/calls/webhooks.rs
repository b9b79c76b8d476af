//! The parameters that say where documents come from and where progress is told.

use busyhour_base::{Instructions, Method, StatusEvents, Webhook};
use url::Url;

use crate::{
    error::{ApiError, Code},
    form::Params,
};

/// Longest document given in place, in characters (`WIRE.md`).
const TWIML_MAX: usize = 4_000;
/// Longest URL, as in the declaration.
const URL_MAX: usize = 2_048;

/// `Url` or `Twiml`, as `calls.create` and `calls.update` have them; `Url` wins if both are given.
pub(super) fn document(params: &Params<'_>) -> Result<Option<Instructions>, ApiError> {
    if let Some(hook) = webhook(params, "Url", "Method")? {
        return Ok(Some(Instructions::Url(hook)));
    }
    let Some(twiml) = params.one("Twiml")? else {
        return Ok(None);
    };
    if twiml.chars().count() > TWIML_MAX {
        let allowed = format!("at most {TWIML_MAX} characters");
        return Err(ApiError::parameter(Code::InvalidParameter, "Twiml", twiml, &allowed));
    }
    Ok(Some(Instructions::Document(twiml.to_owned())))
}

/// An address and how it is asked, if it is given.
pub(crate) fn webhook(
    params: &Params<'_>,
    url: &str,
    method: &str,
) -> Result<Option<Webhook>, ApiError> {
    let verb = match params.one(method)? {
        None => Method::Post,
        Some(verb) if verb.eq_ignore_ascii_case("POST") => Method::Post,
        Some(verb) if verb.eq_ignore_ascii_case("GET") => Method::Get,
        Some(verb) => {
            return Err(ApiError::parameter(Code::InvalidMethod, method, verb, "GET or POST"));
        }
    };
    let Some(text) = params.one(url)? else {
        return Ok(None);
    };
    if !is_url(text) {
        let allowed = "an absolute http or https URL of at most 2048 characters";
        return Err(ApiError::parameter(Code::InvalidUrl, url, text, allowed));
    }
    Ok(Some(Webhook { url: text.to_owned(), method: verb }))
}

/// Absolute http or https with a host. The parser passes over line breaks, which must not reach a request
/// line, so that they are looked for first. Templates such as `{To}` may stand in path and query.
fn is_url(text: &str) -> bool {
    text.len() <= URL_MAX
        && !text.chars().any(|c| c.is_control() || c == ' ')
        && Url::parse(text)
            .is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

/// Repeated, or separated by spaces in one value, as older SDKs send them.
pub(super) fn events(params: &Params<'_>) -> Result<StatusEvents, ApiError> {
    let mut events =
        StatusEvents { initiated: false, ringing: false, answered: false, completed: false };
    let mut any = false;
    for name in params.all("StatusCallbackEvent").flat_map(str::split_whitespace) {
        any = true;
        match name {
            "initiated" => events.initiated = true,
            "ringing" => events.ringing = true,
            "answered" => events.answered = true,
            "completed" => events.completed = true,
            other => {
                let allowed = "initiated, ringing, answered or completed";
                return Err(ApiError::parameter(
                    Code::InvalidParameter,
                    "StatusCallbackEvent",
                    other,
                    allowed,
                ));
            }
        }
    }
    Ok(if any { events } else { StatusEvents::default() })
}
