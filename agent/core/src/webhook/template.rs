//! URI templates (SP-1): `{To}`, `{From}`, `{Digits}` and every other parameter of the request, filled in
//! percent-encoded, as simple expansion of RFC 6570 does it.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// All but the unreserved characters of RFC 3986 section 2.3.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Fills `{Name}` from the first parameter of that name; an unknown name gives nothing (RFC 6570 section 2.3).
/// Braces around anything else than a name of letters, digits and `_` stay as they are.
pub fn fill(template: &str, params: &[(String, String)]) -> String {
    let mut filled = String::with_capacity(template.len());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        match split_name(after) {
            Some((name, behind)) => {
                if let Some((_, value)) = params.iter().find(|(key, _)| key == name) {
                    filled.extend(utf8_percent_encode(value, RESERVED));
                }
                rest = behind;
            }
            None => {
                filled.push('{');
                rest = after;
            }
        }
    }
    filled.push_str(rest);
    filled
}

/// Splits `Name}rest`. Looks no further than the name goes, so that filling takes linear time.
fn split_name(text: &str) -> Option<(&str, &str)> {
    let end = text.bytes().position(|b| !b.is_ascii_alphanumeric() && b != b'_')?;
    let (name, rest) = text.split_at(end);
    Some((name, rest.strip_prefix('}')?)).filter(|_| end > 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(template: &str) -> String {
        let params = [("To", "+1555"), ("Digits", "1#"), ("Name", "a b/ü{To}")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()));
        fill(template, &params)
    }

    /// SP-1.
    #[test]
    fn values_are_encoded_so_that_they_cannot_change_the_address() {
        assert_eq!(filled("http://a/{To}.xml"), "http://a/%2B1555.xml");
        assert_eq!(filled("answer-{Digits}.xml"), "answer-1%23.xml");
        assert_eq!(filled("{Name}"), "a%20b%2F%C3%BC%7BTo%7D");
    }

    #[test]
    fn unknown_names_vanish_and_other_braces_stay() {
        assert_eq!(filled("a{Unknown}b"), "ab");
        assert_eq!(filled("{}{ To }{{To}{To"), "{}{ To }{%2B1555{To");
    }
}
