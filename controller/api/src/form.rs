//! Parameters as `application/x-www-form-urlencoded`, in a body or a query, and as a line of a batch has them.
//!
//! Strict where a lenient parser would guess: a broken escape or a byte sequence that is not UTF-8 is refused
//! with the parameter's name.

use std::borrow::Cow;

use crate::error::{ApiError, Code};

/// Most parameters in one request. `calls.create` has 45, one of which may be repeated four times.
const PARAMS_MAX: usize = 200;

/// Named values in the order in which they came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Params<'a>(Vec<(Cow<'a, str>, Cow<'a, str>)>);

impl<'a> Params<'a> {
    /// Reads a form.
    pub(crate) fn parse(text: &'a [u8]) -> Result<Self, ApiError> {
        let mut pairs = Vec::with_capacity(12);
        for pair in text.split(|byte| *byte == b'&') {
            if pair.is_empty() {
                continue;
            }
            if pairs.len() == PARAMS_MAX {
                return Err(ApiError::new(
                    Code::InvalidParameter,
                    format!("More than {PARAMS_MAX} parameters in one request"),
                ));
            }
            let split = pair.iter().position(|byte| *byte == b'=');
            let (name, value) = match split {
                Some(at) => (&pair[..at], &pair[at + 1..]),
                None => (pair, &[][..]),
            };
            let name = decode(name).ok_or_else(|| bad_encoding(name, "its name"))?;
            let value = decode(value).ok_or_else(|| bad_encoding(name.as_bytes(), "its value"))?;
            pairs.push((name, value));
        }
        Ok(Self(pairs))
    }

    /// Named values that are there already.
    pub(crate) fn of(pairs: Vec<(Cow<'a, str>, Cow<'a, str>)>) -> Self {
        Self(pairs)
    }

    /// The value of a parameter, or `None` if it is left out or empty. Two different values are refused.
    pub(crate) fn one(&self, name: &str) -> Result<Option<&str>, ApiError> {
        let mut found: Option<&str> = None;
        for value in self.all(name) {
            match found {
                Some(first) if first != value => {
                    return Err(ApiError::new(
                        Code::InvalidParameter,
                        format!("{name} is given twice with different values"),
                    ));
                }
                _ => found = Some(value),
            }
        }
        Ok(found)
    }

    /// Every pair, in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), value.as_ref()))
    }

    /// Refuses any parameter but these.
    pub(crate) fn only(&self, names: &[&str]) -> Result<(), ApiError> {
        match self.iter().find(|(name, _)| !names.contains(name)) {
            None => Ok(()),
            Some((name, value)) => {
                let allowed = format!("the parameters of this request are {}", names.join(", "));
                Err(ApiError::parameter(Code::InvalidParameter, name, value, &allowed))
            }
        }
    }

    /// Every value of a parameter that is not empty.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0
            .iter()
            .filter(move |(found, value)| found == name && !value.is_empty())
            .map(|(_, value)| value.as_ref())
    }

    /// A whole number within bounds, both included.
    pub(crate) fn whole(
        &self,
        code: Code,
        name: &str,
        bounds: std::ops::RangeInclusive<u64>,
    ) -> Result<Option<u64>, ApiError> {
        let Some(text) = self.one(name)? else {
            return Ok(None);
        };
        match text.parse() {
            Ok(number) if bounds.contains(&number) && !text.starts_with('+') => Ok(Some(number)),
            _ => {
                let allowed = format!("a whole number from {} to {}", bounds.start(), bounds.end());
                Err(ApiError::parameter(code, name, text, &allowed))
            }
        }
    }

    /// `true` or `false`.
    pub(crate) fn flag(&self, name: &str) -> Result<Option<bool>, ApiError> {
        match self.one(name)? {
            None => Ok(None),
            Some(text) if text.eq_ignore_ascii_case("true") => Ok(Some(true)),
            Some(text) if text.eq_ignore_ascii_case("false") => Ok(Some(false)),
            Some(text) => {
                Err(ApiError::parameter(Code::InvalidParameter, name, text, "true or false"))
            }
        }
    }
}

fn bad_encoding(name: &[u8], part: &str) -> ApiError {
    let name: String = String::from_utf8_lossy(name).chars().take(64).collect();
    ApiError::new(Code::InvalidParameter, format!("{name:?}: {part} is not percent-encoded UTF-8"))
}

/// `+` is a space, `%` and two hex digits are a byte. Nothing is copied if there is neither.
fn decode(text: &[u8]) -> Option<Cow<'_, str>> {
    let Some(first) = text.iter().position(|byte| matches!(byte, b'+' | b'%')) else {
        return std::str::from_utf8(text).ok().map(Cow::Borrowed);
    };
    let mut decoded = Vec::with_capacity(text.len());
    decoded.extend_from_slice(&text[..first]);
    let mut rest = text[first..].iter();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => decoded.push(b' '),
            b'%' => decoded.push(hex(*rest.next()?)? << 4 | hex(*rest.next()?)?),
            other => decoded.push(*other),
        }
    }
    String::from_utf8(decoded).ok().map(Cow::Owned)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_a_standard_encoder_writes_is_read_back(pairs in prop::collection::vec((".{1,20}", ".{0,40}"), 0..20)) {
            let text = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(&pairs).finish();
            let read = Params::parse(text.as_bytes()).unwrap();
            let read: Vec<_> = read.0.iter().map(|(n, v)| (n.to_string(), v.to_string())).collect();
            prop_assert_eq!(read, pairs);
        }

        #[test]
        fn any_bytes_are_read_or_refused_in_the_documented_shape(bytes: Vec<u8>) {
            if let Err(error) = Params::parse(&bytes) {
                prop_assert_eq!(error.code, Code::InvalidParameter);
                prop_assert!(error.message.len() < 600);
            }
        }
    }

    #[test]
    fn broken_encodings_are_refused_with_the_name() {
        for text in ["To=%", "To=%4", "To=%zz", "To=%ff%fe", "To=%+1"] {
            let error = Params::parse(text.as_bytes()).unwrap_err();
            assert!(error.message.contains("\"To\""), "{}", error.message);
        }
        assert!(Params::parse(b"To=\xff").is_err());
        assert!(Params::parse(&b"a=1&".repeat(201)).is_err());
    }

    #[test]
    fn empty_is_absent_and_contradictions_are_refused() {
        let params = Params::parse(b"To=&From=1&From=1&Url=a&Url=b&E=x&E=y").unwrap();
        assert_eq!(params.one("To").unwrap(), None);
        assert_eq!(params.one("From").unwrap(), Some("1"));
        assert!(params.one("Url").is_err());
        assert_eq!(params.all("E").collect::<Vec<_>>(), ["x", "y"]);
    }

    #[test]
    fn numbers_and_flags_name_what_is_allowed() {
        let params = Params::parse(b"a=7&b=-1&c=%2B5&d=601&e=TRUE&f=yes").unwrap();
        let whole = |name| params.whole(Code::InvalidTimeout, name, 1..=600);
        assert_eq!(whole("a").unwrap(), Some(7));
        for name in ["b", "c", "d", "e"] {
            assert!(whole(name).unwrap_err().message.contains("from 1 to 600"));
        }
        assert_eq!(params.flag("e").unwrap(), Some(true));
        assert!(params.flag("f").is_err());
    }
}
