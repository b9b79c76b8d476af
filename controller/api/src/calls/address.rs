//! Who calls and who is called: E.164 numbers and SIP addresses.

use std::{borrow::Cow, sync::Arc};

use busyhour_base::is_e164;

use crate::{
    error::{ApiError, Code},
    form::Params,
};

/// Why a text is no address.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum AddressError {
    /// Meant as a number, but none of E.164.
    NotANumber,
    /// Neither.
    Malformed,
}

/// What an address may be, for a person.
pub(super) const ADDRESS: &str =
    "an E.164 number such as +14155550123, or a SIP address such as sip:desk@example.com";
/// The same for a number that came with a space in place of its plus sign.
const LOST_PLUS: &str = "an E.164 number such as +14155550123, its + sent as %2B: in a form or a URL a bare + is a space";

impl AddressError {
    /// The answer to a `To` that is no address.
    pub(super) fn of_to(self, text: &str) -> ApiError {
        let (code, is_number) = match self {
            Self::NotANumber => (Code::NotANumber, true),
            Self::Malformed => (Code::InvalidTo, false),
        };
        let allowed = if is_number && text.starts_with(' ') { LOST_PLUS } else { ADDRESS };
        ApiError::parameter(code, "To", text, allowed)
    }

    /// The answer to a `From` that is no address.
    fn of_from(text: &str) -> ApiError {
        ApiError::parameter(Code::InvalidFrom, "From", text, ADDRESS)
    }
}

/// `From` and `To` of a filter on what waits.
pub(crate) struct Ends {
    /// It need not be a number of the account: one that it has no more may still have something waiting.
    pub(crate) from: Option<Arc<str>>,
    pub(crate) to: Option<Arc<str>>,
}

impl Ends {
    /// Reads them.
    pub(crate) fn read(params: &Params<'_>) -> Result<Self, ApiError> {
        let shared = |address: Cow<'_, str>| Arc::from(&*address);
        let from = params.one("From")?;
        let from = from.map(|text| canonical(text).map_err(|_| AddressError::of_from(text)));
        let to = params.one("To")?;
        let to = to.map(|text| canonical(text).map_err(|error| error.of_to(text)));
        Ok(Self { from: from.transpose()?.map(shared), to: to.transpose()?.map(shared) })
    }
}

/// Longest SIP address.
const SIP_MAX: usize = 255;

/// The canonical form of an address. A number may be written with spaces, dots, dashes and parentheses. Nothing
/// that could end a SIP header gets through: every character is on a list.
pub(crate) fn canonical(text: &str) -> Result<Cow<'_, str>, AddressError> {
    if is_e164(text) {
        return Ok(Cow::Borrowed(text));
    }
    if text.starts_with("sip:") || text.starts_with("sips:") {
        return if is_sip(text) { Ok(Cow::Borrowed(text)) } else { Err(AddressError::Malformed) };
    }
    let visual = |c: char| matches!(c, ' ' | '-' | '.' | '(' | ')');
    let number = if text.contains(visual) {
        Cow::Owned(text.replace(visual, ""))
    } else {
        Cow::Borrowed(text)
    };
    let digits = number.strip_prefix('+').unwrap_or(&number);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(AddressError::Malformed);
    }
    if is_e164(&number) { Ok(number) } else { Err(AddressError::NotANumber) }
}

/// `sip:user@host`, with an optional port. Parameters and headers are not taken: they could change the route.
fn is_sip(text: &str) -> bool {
    let Some((_, rest)) = text.split_once(':') else {
        return false;
    };
    let Some((user, host)) = rest.split_once('@') else {
        return false;
    };
    let (host, port) = match host.rsplit_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (host, None),
    };
    text.len() <= SIP_MAX
        && !user.is_empty()
        && user.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.!~*'()&=+$,%".contains(&b))
        && !host.is_empty()
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || b"-.".contains(&b))
        && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|port| port > 0))
}

/// As it is shown in `to_formatted`: North American numbers in their national form, all else unchanged.
pub(crate) fn formatted(address: &str) -> Cow<'_, str> {
    match address.strip_prefix("+1") {
        Some(n) if n.len() == 10 && n.is_ascii() => {
            Cow::Owned(format!("({}) {}-{}", &n[..3], &n[3..6], &n[6..]))
        }
        _ => Cow::Borrowed(address),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_have_one_canonical_form() {
        for text in ["+14155550123", "+1 (415) 555-0123", "+1.415.555.0123"] {
            assert_eq!(canonical(text).unwrap(), "+14155550123");
        }
        for text in ["4155550123", "+0123456789", "+123456", "+1234567890123456", " 4155550123"] {
            assert_eq!(canonical(text), Err(AddressError::NotANumber), "{text}");
        }
        for text in
            ["", "+", "alice", "+1415555O123", "client:alice", "+1415\r\n5550123", "+١٢٣٤٥٦٧٨"]
        {
            assert_eq!(canonical(text), Err(AddressError::Malformed), "{text}");
        }
    }

    #[test]
    fn sip_addresses_hold_nothing_that_could_end_a_header() {
        for text in ["sip:desk@example.com", "sips:a.b+c@10.0.0.1:5061"] {
            assert_eq!(canonical(text).unwrap(), text);
        }
        for text in [
            "sip:@example.com",
            "sip:a@",
            "sip:a@b:0",
            "sip:a@b:99999",
            "sip:a@b;transport=tcp",
            "sip:a@b?Route=x",
            "sip:a\r\nX: y@b",
            "sip:a@b>",
            "sip:a b@c",
            "sip:example.com",
        ] {
            assert_eq!(canonical(text), Err(AddressError::Malformed), "{text}");
        }
    }

    #[test]
    fn american_numbers_are_shown_in_national_form() {
        assert_eq!(formatted("+14155550123"), "(415) 555-0123");
        assert_eq!(formatted("+4930123456"), "+4930123456");
        assert_eq!(formatted("+1ééééé"), "+1ééééé");
    }

    proptest! {
        #[test]
        fn what_is_canonical_is_plain_ascii_and_stays_so(text in "\\PC*|[+0-9 ().-]{0,20}|sip:[a-z@.:]{0,20}") {
            if let Ok(address) = canonical(&text) {
                prop_assert!(address.bytes().all(|b| (0x21..0x7f).contains(&b)));
                prop_assert_eq!(canonical(&address).unwrap(), address.clone());
            }
        }
    }
}
