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
        && (is_plain_url(text) || is_parsed_as_url(text))
}

fn is_parsed_as_url(text: &str) -> bool {
    Url::parse(text).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
}

/// Whether it is one by its looks: a host of plain names, and plain characters after it. Nearly all are, and for a line of
/// a batch the parser would take longer than all other checks; what looks otherwise is for the parser to say.
fn is_plain_url(text: &str) -> bool {
    let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
    let Some(rest) = rest else { return false };
    let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let mut names = rest[..end].split('.');
    // A last name that begins with a digit may make an address of the whole.
    let last = names.next_back().unwrap_or_default();
    last.starts_with(|c: char| c.is_ascii_alphabetic())
        && is_plain_name(last)
        && names.all(is_plain_name)
        && rest[end..].is_ascii()
}

/// Letters, digits and single hyphens within: nothing that stands for other characters.
fn is_plain_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .split('-')
            .all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric()))
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// What is taken by its looks is taken by the parser.
        #[test]
        fn a_plain_url_is_one(text in "https?://[a-zA-Z0-9.:-]{0,12}[.][a-z0-9x-]{0,4}[/?#]?[!-~]{0,12}") {
            prop_assert!(!is_plain_url(&text) || is_parsed_as_url(&text), "{text}");
        }
    }

    #[test]
    fn most_urls_are_plain_and_doubtful_ones_are_not() {
        for plain in
            ["https://app.example.com/answer.xml?to={To}#x", "http://localhost/", "http://a-b.c"]
        {
            assert!(is_plain_url(plain), "{plain}");
        }
        let doubtful = [
            "https://app.example.com:80/",
            "https://1.2.3.4/",
            "https://xn--a.com",
            "ftp://a.b/",
            "https:///a",
        ];
        for doubtful in doubtful.into_iter().chain([
            "https://user@a.b/",
            "https://a..b/",
            "https://a.b/\u{e9}",
            "https://",
        ]) {
            assert!(!is_plain_url(doubtful), "{doubtful}");
        }
    }
}
