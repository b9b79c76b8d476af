//! `var.*` columns: what stands for `{var.name}` in URLs, documents and texts of messages.
//!
//! A variable that the first document's URL does not name is added to its query, so that an application gets it
//! without a template. In a document given in place, one that is not named has no effect.

use std::{borrow::Cow, fmt::Write as _, sync::Arc};

use busyhour_base::{Body, CallSpec, Instructions};
use busyhour_controller_core::spec::NewText;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::{
    error::{ApiError, Code},
    messages,
};

/// A line's variables by name, without `var.`.
pub(super) type Variables<'a> = [(Cow<'a, str>, Cow<'a, str>)];

/// What a template begins with.
const OPENS: &str = "{var.";

/// Longest URL and document with variables filled in: as long as without any.
const URL_MAX: usize = 2_048;
const DOCUMENT_MAX: usize = 4_000;

/// Fills them in wherever the request has an address or a document.
pub(super) fn fill(spec: &mut CallSpec, variables: &Variables<'_>) -> Result<(), ApiError> {
    if variables.is_empty() && !are_named(spec) {
        return Ok(());
    }
    let mut named = Vec::new();
    match &mut spec.instructions {
        Instructions::Url(hook) => {
            let mut url = expand("Url", &hook.url, variables, percent, &mut named)?;
            let rest = variables.iter().filter(|(name, _)| !named.contains(&name.as_ref()));
            add_to_query(&mut url, rest);
            hook.url = fits("Url", url, URL_MAX)?;
        }
        Instructions::Document(text) => {
            let filled = expand("Twiml", text, variables, xml, &mut named)?;
            *text = fits("Twiml", filled, DOCUMENT_MAX)?;
        }
    }
    let hooks =
        [("FallbackUrl", &mut spec.fallback), ("StatusCallback", &mut spec.status_callback)];
    for (name, hook) in hooks {
        if let Some(hook) = hook {
            let url = expand(name, &hook.url, variables, percent, &mut named)?;
            hook.url = fits(name, url, URL_MAX)?;
        }
    }
    Ok(())
}

/// The same in the text of a message, where values stand as they are, and in its address. One that neither names has no effect.
pub(super) fn fill_text(text: &mut NewText, variables: &Variables<'_>) -> Result<(), ApiError> {
    let mut named = Vec::new();
    if text.body.text().contains(OPENS) {
        let plain = |value: &str, into: &mut String| into.push_str(value);
        let filled = expand("Body", text.body.text(), variables, plain, &mut named)?;
        messages::fits(&filled)?;
        text.body = Body::from(filled.as_str());
    }
    if text.spec.status_callback.as_ref().is_some_and(|hook| hook.url.contains(OPENS)) {
        let spec = Arc::make_mut(&mut text.spec);
        if let Some(hook) = &mut spec.status_callback {
            let url = expand("StatusCallback", &hook.url, variables, percent, &mut named)?;
            hook.url = fits("StatusCallback", url, URL_MAX)?;
        }
    }
    Ok(())
}

/// Whether the text of a message or its address names a variable.
pub(super) fn are_named_by_text(text: &NewText) -> bool {
    let url = text.spec.status_callback.as_ref().map_or("", |hook| &hook.url);
    [text.body.text(), url].into_iter().any(|text| text.contains(OPENS))
}

/// Whether an address or the document names a variable.
pub(super) fn are_named(spec: &CallSpec) -> bool {
    let first = match &spec.instructions {
        Instructions::Url(hook) => &hook.url,
        Instructions::Document(text) => text,
    };
    let hooks = [&spec.fallback, &spec.status_callback].into_iter().flatten();
    hooks.map(|hook| &hook.url).chain([first]).any(|text| text.contains(OPENS))
}

/// Puts values in the place of `{var.name}`, and notes which were named. Other templates stay as they are: they are
/// filled in when the call is up.
fn expand<'v>(
    place: &str,
    text: &str,
    variables: &'v Variables<'_>,
    escape: fn(&str, &mut String),
    named: &mut Vec<&'v str>,
) -> Result<String, ApiError> {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find(OPENS) {
        let (before, template) = rest.split_at(start);
        let after = &template[OPENS.len()..];
        let Some((name, behind)) = after.split_once('}') else {
            break;
        };
        let found = variables.iter().find(|(known, _)| known.as_ref() == name);
        let (known, value) = found.ok_or_else(|| {
            let shown: String = name.chars().take(64).collect();
            let message = format!("{place} names {{var.{shown}}}, which the line does not have");
            ApiError::new(Code::InvalidParameter, message)
        })?;
        filled.push_str(before);
        escape(value, &mut filled);
        named.push(known);
        rest = behind;
    }
    filled.push_str(rest);
    Ok(filled)
}

fn add_to_query<'v>(
    url: &mut String,
    variables: impl Iterator<Item = &'v (Cow<'v, str>, Cow<'v, str>)>,
) {
    let fragment = url.find('#').map(|at| url.split_off(at));
    for (name, value) in variables {
        url.push(if url.contains('?') { '&' } else { '?' });
        percent(name, url);
        url.push('=');
        percent(value, url);
    }
    url.push_str(fragment.as_deref().unwrap_or(""));
}

fn percent(value: &str, into: &mut String) {
    // Writing to a String does not fail.
    let _ = write!(into, "{}", utf8_percent_encode(value, NON_ALPHANUMERIC));
}

fn xml(value: &str, into: &mut String) {
    for c in value.chars() {
        match c {
            '&' => into.push_str("&amp;"),
            '<' => into.push_str("&lt;"),
            '>' => into.push_str("&gt;"),
            '"' => into.push_str("&quot;"),
            '\'' => into.push_str("&apos;"),
            other => into.push(other),
        }
    }
}

fn fits(name: &str, text: String, most: usize) -> Result<String, ApiError> {
    if text.chars().count() <= most {
        return Ok(text);
    }
    let message = format!("{name} with its variables filled in has more than {most} characters");
    Err(ApiError::new(Code::InvalidParameter, message))
}

#[cfg(test)]
mod tests {
    use busyhour_base::{Direction, Method, Span, StatusEvents, Webhook};

    use super::*;

    fn spec(instructions: Instructions) -> CallSpec {
        CallSpec {
            to: "+4930123456".to_owned(),
            from: "+4930999999".to_owned(),
            instructions,
            fallback: None,
            status_callback: None,
            status_events: StatusEvents::default(),
            send_digits: None,
            ring_timeout: Span::from_secs(60),
            time_limit: Span::from_secs(60),
            direction: Direction::OutboundApi,
        }
    }

    fn url(text: &str) -> Instructions {
        Instructions::Url(Webhook { url: text.to_owned(), method: Method::Post })
    }

    fn variables() -> Vec<(Cow<'static, str>, Cow<'static, str>)> {
        vec![("name".into(), "Zoë & Co".into()), ("n".into(), "7".into())]
    }

    #[test]
    fn a_url_is_filled_in_and_gets_the_rest_as_its_query() {
        let mut filled = spec(url("https://app.example/{var.n}/{To}?a=1#top"));
        fill(&mut filled, &variables()).unwrap();
        let expected = "https://app.example/7/{To}?a=1&name=Zo%C3%AB%20%26%20Co#top";
        assert_eq!(filled.instructions, url(expected));
    }

    #[test]
    fn a_document_is_filled_in_as_xml() {
        let say = Instructions::Document("<Say>Hello {var.name}</Say>".to_owned());
        let mut filled = spec(say);
        fill(&mut filled, &variables()).unwrap();
        let expected = "<Say>Hello Zoë &amp; Co</Say>".to_owned();
        assert_eq!(filled.instructions, Instructions::Document(expected));
    }

    #[test]
    fn a_variable_that_is_not_there_is_named() {
        let error = fill(&mut spec(url("https://a.example/{var.x}")), &variables()).unwrap_err();
        assert!(error.message.contains("{var.x}"), "{}", error.message);
        let long = vec![("name".into(), "a".repeat(3_000).into())];
        assert!(fill(&mut spec(url("https://a.example/")), &long).is_err());
    }
}
