//! Writes parties as SIP addresses, so that nothing which a tenant typed can end a header or start another.

use std::fmt::Write;

/// Why a party cannot be called.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} {value:?} is not a number or a sip: address: {why}")]
pub struct UriError {
    /// `To` or `From`.
    pub field: &'static str,
    /// The refused text, cut to 64 characters.
    pub value: String,
    /// What is wrong.
    pub why: &'static str,
}

const USER_MAX: usize = 128;
const HOST_MAX: usize = 253;

/// The address of `party`: a number becomes `sip:<number>@<domain>`, a `sip:` address keeps its own domain.
/// Parameters and headers of an address are refused: they would reach the carrier as the tenant's orders to it.
///
/// # Errors
/// [`UriError`] for an empty or over-long user part, a character that no address has, a bad host or port.
pub fn address(field: &'static str, party: &str, domain: &str) -> Result<String, UriError> {
    let refuse = |why| UriError { field, value: party.chars().take(64).collect(), why };
    let trimmed = party.trim();
    if trimmed.chars().any(char::is_control) {
        return Err(refuse("it holds a control character"));
    }
    let (user, host) = match trimmed.strip_prefix("sip:") {
        Some(rest) => rest
            .split_once('@')
            .ok_or_else(|| refuse("a sip: address needs a user part before @"))?,
        None => (trimmed, domain),
    };
    if user.is_empty() || user.len() > USER_MAX {
        return Err(refuse("the user part must have 1 to 128 bytes"));
    }
    check_host(host).map_err(refuse)?;
    let mut address = String::with_capacity(8 + user.len() + host.len());
    address.push_str("sip:");
    escape_user(&mut address, user);
    address.push('@');
    address.push_str(host);
    Ok(address)
}

/// RFC 3261, 25.1: unreserved and the user-unreserved characters that no parser stumbles over; all else is
/// written in hex. `%` is escaped too, so that a tenant cannot smuggle in an escaped character.
fn escape_user(out: &mut String, user: &str) {
    for byte in user.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => out.push(byte.into()),
            b'-' | b'_' | b'.' | b'!' | b'~' | b'*' | b'\'' | b'(' | b')' => out.push(byte.into()),
            b'+' | b'&' | b'=' | b'$' => out.push(byte.into()),
            _ => {
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
}

fn check_host(host: &str) -> Result<(), &'static str> {
    if host.is_empty() || host.len() > HOST_MAX {
        return Err("the host must have 1 to 253 bytes");
    }
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => {
            let (v6, after) = rest.split_once(']').ok_or("the [ has no ]")?;
            v6.parse::<std::net::Ipv6Addr>().map_err(|_| "not an IPv6 address between [ and ]")?;
            (None, after.strip_prefix(':').or((!after.is_empty()).then_some("")))
        }
        None => match host.split_once(':') {
            Some((name, port)) => (Some(name), Some(port)),
            None => (Some(host), None),
        },
    };
    let allowed = |c: u8| c.is_ascii_alphanumeric() || c == b'-' || c == b'.';
    if name.is_some_and(|name| name.is_empty() || !name.bytes().all(allowed)) {
        return Err("the host may hold letters, digits, - and . only");
    }
    if port.is_some_and(|port| port.parse::<u16>().map_or(true, |port| port == 0)) {
        return Err("the port must be 1 to 65535");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_and_addresses_become_sip_addresses() {
        let number = |party| address("To", party, "192.0.2.1:5060");
        assert_eq!(number("+4930123").unwrap(), "sip:+4930123@192.0.2.1:5060");
        assert_eq!(number("sip:bob@example.com").unwrap(), "sip:bob@example.com");
        assert_eq!(number("sip:b@[2001:db8::1]:5070").unwrap(), "sip:b@[2001:db8::1]:5070");
        assert_eq!(
            number("a b;x=1").unwrap(),
            "sip:a%20b%3Bx%3D1@192.0.2.1:5060".replace("%3D", "=")
        );
    }

    #[test]
    fn injection_and_nonsense_are_refused_by_name() {
        for party in [
            "",
            "sip:bob",
            "sip:@example.com",
            "sip:bob@exa mple.com",
            "sip:bob@example.com;lr",
            "sip:bob@example.com?X-H=1",
            "sip:bob@example.com:0",
            "sip:bob@example.com:70000",
            "sip:bob@[::1",
            "1\r\nRoute: <sip:evil>",
            "1\u{7f}",
        ] {
            let error = address("To", party, "192.0.2.1").unwrap_err();
            assert_eq!(error.field, "To", "{party:?}");
        }
        assert!(address("From", &"1".repeat(129), "h").is_err());
    }

    proptest! {
        #[test]
        fn no_party_can_leave_its_header(party in "\\PC*|[\\x00-\\xff]{0,40}") {
            if let Ok(address) = address("To", &party, "192.0.2.1:5060") {
                let bad = |c: char| c.is_control() || "<>\";,? ".contains(c) || !c.is_ascii();
                prop_assert!(!address.contains(bad), "{address}");
                prop_assert!(rsipstack::sip::Uri::try_from(address.as_str()).is_ok());
            }
        }
    }
}
