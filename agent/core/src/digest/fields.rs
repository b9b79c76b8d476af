//! The parameters of a `Digest` header.

use super::DigestError;

/// Bytes of a header that are looked at.
pub(super) const BYTES_MAX: usize = 4 * 1024;

/// The names that mean something here; others are passed over, as RFC 7616 demands.
const KNOWN: [&str; 11] = [
    "algorithm",
    "cnonce",
    "nc",
    "nonce",
    "opaque",
    "qop",
    "realm",
    "response",
    "stale",
    "uri",
    "username",
];

/// The parameters of one header, quotes taken off, escapes left as they are.
#[derive(Debug, Default)]
pub(super) struct Fields<'a>([Option<&'a str>; KNOWN.len()]);

impl<'a> Fields<'a> {
    /// Reads `Digest name=value, name="value", ...`.
    pub fn parse(header: &'a str) -> Result<Self, DigestError> {
        if header.len() > BYTES_MAX {
            return Err(DigestError::TooLarge(header.len()));
        }
        let trimmed = header.trim_start();
        let (scheme, mut rest) = trimmed.split_at_checked(6).ok_or(DigestError::Scheme)?;
        if !scheme.eq_ignore_ascii_case("Digest") || !rest.starts_with([' ', '\t']) {
            return Err(DigestError::Scheme);
        }
        let mut fields = Self::default();
        loop {
            rest = rest.trim_start_matches([' ', '\t', ',']);
            if rest.is_empty() {
                return Ok(fields);
            }
            let malformed = || DigestError::Malformed(header.len() - rest.len());
            let (name, after) = rest.split_once('=').ok_or_else(malformed)?;
            let after = after.trim_start_matches([' ', '\t']);
            let (value, after) = match after.strip_prefix('"') {
                Some(quoted) => split_quoted(quoted).ok_or_else(malformed)?,
                None => after.split_at(after.find(',').unwrap_or(after.len())),
            };
            let behind = after.trim_start_matches([' ', '\t']);
            let is_clean = !value.chars().any(char::is_control);
            if !is_token(name.trim())
                || !is_clean
                || !(behind.is_empty() || behind.starts_with(','))
            {
                return Err(malformed());
            }
            fields.set(name.trim(), value.trim())?;
            rest = behind;
        }
    }

    pub fn get(&self, name: &'static str) -> Option<&'a str> {
        let at = KNOWN.iter().position(|known| *known == name)?;
        self.0[at]
    }

    pub fn need(&self, name: &'static str) -> Result<&'a str, DigestError> {
        self.get(name).ok_or(DigestError::Missing(name))
    }

    fn set(&mut self, name: &str, value: &'a str) -> Result<(), DigestError> {
        if let Some(at) = KNOWN.iter().position(|known| known.eq_ignore_ascii_case(name))
            && self.0[at].replace(value).is_some()
        {
            return Err(DigestError::Twice(KNOWN[at]));
        }
        Ok(())
    }
}

/// Splits at the closing quote.
fn split_quoted(text: &str) -> Option<(&str, &str)> {
    let mut escaped = false;
    let end = text.bytes().position(|byte| match byte {
        _ if escaped => {
            escaped = false;
            false
        }
        b'\\' => {
            escaped = true;
            false
        }
        byte => byte == b'"',
    })?;
    Some((&text[..end], &text[end + 1..]))
}

fn is_token(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.!%*+`'~".contains(&byte))
}

/// Puts a text between quotes; control characters are left out, so that no header can be forged.
pub(super) fn quote(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for char in text.chars().filter(|char| !char.is_control()) {
        if matches!(char, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(char);
    }
    quoted.push('"');
    quoted
}

/// Takes escapes off.
pub(super) fn unescape(text: &str) -> String {
    let mut chars = text.chars();
    let mut plain = String::with_capacity(text.len());
    while let Some(char) = chars.next() {
        plain.extend(if char == '\\' { chars.next() } else { Some(char) });
    }
    plain
}
