//! Parts of header values, by RFC 3261's grammar as far as a server needs it.

/// Splits a name-addr or addr-spec header value into its URI and its header parameters (RFC 3261 20.10).
pub(crate) fn address(value: &str) -> (&str, &str) {
    let unquoted = after_display_name(value);
    match unquoted.split_once('<') {
        Some((_, rest)) => match rest.split_once('>') {
            Some((uri, params)) => (uri.trim(), params),
            None => (rest.trim(), ""),
        },
        // Without angle brackets every parameter belongs to the header.
        None => match unquoted.split_once(';') {
            Some((uri, params)) => (uri.trim(), params),
            None => (unquoted.trim(), ""),
        },
    }
}

fn after_display_name(value: &str) -> &str {
    let value = value.trim_start();
    let Some(rest) = value.strip_prefix('"') else {
        return value;
    };
    let mut escaped = false;
    for (at, character) in rest.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return &rest[at + 1..],
            _ => {}
        }
    }
    ""
}

/// A parameter among `;name=value` pairs.
pub(crate) fn parameter<'a>(params: &'a str, name: &str) -> Option<&'a str> {
    params.split(';').find_map(|param| {
        let (key, value) = param.split_once('=').unwrap_or((param, ""));
        key.trim().eq_ignore_ascii_case(name).then(|| value.trim().trim_matches('"'))
    })
}

/// The `tag` of a From or To value.
pub(crate) fn tag(value: &str) -> Option<&str> {
    parameter(address(value).1, "tag").filter(|tag| !tag.is_empty())
}

/// The user part of a SIP URI, or the number of a tel URI (RFC 3966), without parameters.
pub(crate) fn user(uri: &str) -> &str {
    let (scheme, rest) = uri.split_once(':').unwrap_or(("", uri));
    let user = if scheme.eq_ignore_ascii_case("tel") {
        rest
    } else {
        rest.split_once('@').map_or("", |(user, _)| user)
    };
    let end = user.find([';', ':', '?']).unwrap_or(user.len());
    &user[..end]
}

/// The first of the values that a comma-separated header holds, and the rest with its comma.
pub(crate) fn first_of_list(value: &str) -> (&str, &str) {
    let (mut quoted, mut bracketed, mut escaped) = (false, false, false);
    for (at, character) in value.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '<' if !quoted => bracketed = true,
            '>' if !quoted => bracketed = false,
            ',' if !quoted && !bracketed => return (&value[..at], &value[at..]),
            _ => {}
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_apart_with_and_without_brackets() {
        assert_eq!(address(r#""A <b> \"c\"" <sip:a@b;lr>;tag=x"#), ("sip:a@b;lr", ";tag=x"));
        assert_eq!(address("sip:a@b;tag=y"), ("sip:a@b", "tag=y"));
        assert_eq!(tag("<sip:a@b;tag=no>;TAG=yes"), Some("yes"));
        assert_eq!(tag("<sip:a@b>"), None);
        assert_eq!(tag("\"never closed <sip:a@b>;tag=z"), None);
    }

    #[test]
    fn users_are_found_in_sip_and_tel_uris() {
        assert_eq!(user("sip:+15551000@127.0.0.1:5060;user=phone"), "+15551000");
        assert_eq!(user("tel:+1555;phone-context=x"), "+1555");
        assert_eq!(user("sip:127.0.0.1"), "");
        assert_eq!(user("sip:1;npdi@h"), "1");
    }

    #[test]
    fn lists_are_split_outside_quotes_and_brackets() {
        assert_eq!(first_of_list(r#""a,b" <sip:c,d@e>,f"#).1, ",f");
        assert_eq!(first_of_list("one"), ("one", ""));
    }
}
