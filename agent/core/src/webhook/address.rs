//! Addresses in documents: resolved against the document's own, and fit to be shown.

use url::Url;

use crate::twiml::bounds::URL_MAX;

/// The base of relative addresses in a document that came from `url`.
pub(crate) fn base(url: &str) -> Option<Url> {
    Url::parse(url).ok()
}

/// Makes an address absolute, or says why not. Its fragment is dropped, since no server ever sees it.
pub(crate) fn resolve(base: Option<&Url>, address: &str) -> Result<String, String> {
    if address.len() > 2 * URL_MAX {
        return Err(format!("the address is longer than {} characters", 2 * URL_MAX));
    }
    let mut url = match base {
        Some(base) => base.join(address),
        None => Url::parse(address),
    }
    .map_err(|error| match (base, error) {
        (None, url::ParseError::RelativeUrlWithoutBase) => {
            "a relative address, and the document has none of its own".to_owned()
        }
        (_, error) => format!("not an address: {error}"),
    })?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("the scheme is {:?}, allowed are http and https", url.scheme()));
    }
    url.set_fragment(None);
    Ok(url.into())
}

/// An address without its credentials and cut to 200 characters, for messages.
pub(crate) fn shown(address: &str) -> String {
    let clean = Url::parse(address).ok().and_then(|mut url| {
        url.set_password(None).ok()?;
        url.set_username("").ok()?;
        Some(String::from(url))
    });
    let text = clean.unwrap_or_else(|| address.to_owned());
    if text.is_empty() {
        return "the call's own document".to_owned();
    }
    text.chars().filter(|char| !char.is_control()).take(200).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_resolved_against_the_documents_own() {
        let base = base("https://a.example/app/first.xml?x=1");
        let to = |address| resolve(base.as_ref(), address);
        assert_eq!(to("next.xml").as_deref(), Ok("https://a.example/app/next.xml"));
        assert_eq!(to("/n#top").as_deref(), Ok("https://a.example/n"));
        assert_eq!(to("//b/").as_deref(), Ok("https://b/"));
        assert!(to("file:///etc/passwd").unwrap_err().contains("http and https"));
        assert!(to("javascript:alert(1)").is_err());
        assert!(resolve(None, "next.xml").unwrap_err().contains("relative"));
        assert!(to(&"a".repeat(9_000)).is_err());
    }

    #[test]
    fn what_is_shown_holds_no_password() {
        assert_eq!(shown("http://me:secret@a/x"), "http://a/x");
        assert_eq!(shown(""), "the call's own document");
        assert_eq!(shown(&"a".repeat(500)).len(), 200);
    }
}
