//! Digest authentication as a server does it (RFC 3261 22, RFC 7616 with MD5 and `qop=auth`).

use busyhour_base::{Span, Timestamp};
use md5::{Digest, Md5};
use subtle::ConstantTimeEq;

use crate::Credentials;

/// Checks callers against one account. Nonces carry their own proof, so none is kept.
#[derive(Debug)]
pub(crate) struct Guard {
    credentials: Credentials,
    secret: [u8; 16],
}

/// What a caller showed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verdict {
    Welcome,
    /// Nothing, or wrong.
    Unknown,
    /// Right, but over a nonce that is too old.
    Stale,
}

const REALM: &str = "carrier";

/// How long a nonce may be used.
const NONCE_LIFE: Span = Span::from_secs(300);

impl Guard {
    pub(crate) fn new(credentials: Credentials, secret: [u8; 16]) -> Self {
        Self { credentials, secret }
    }

    /// The `WWW-Authenticate` line.
    pub(crate) fn challenge(&self, now: Timestamp, stale: bool) -> String {
        let stale = if stale { ", stale=true" } else { "" };
        format!(
            "WWW-Authenticate: Digest realm=\"{REALM}\", nonce=\"{}\", algorithm=MD5, qop=\"auth\"{stale}\r\n",
            self.nonce(now)
        )
    }

    fn nonce(&self, at: Timestamp) -> String {
        let mut hash = Md5::new();
        hash.update(at.as_micros().to_be_bytes());
        hash.update(self.secret);
        format!("{:016x}{}", at.as_micros(), hex::encode(hash.finalize()))
    }

    /// Judges an `Authorization` value for a request of `method`.
    pub(crate) fn judge(&self, now: Timestamp, method: &str, value: Option<&str>) -> Verdict {
        let Some(fields) = value.and_then(Fields::read) else {
            return Verdict::Unknown;
        };
        let Some(issued) = self.issued_at(fields.nonce) else {
            return Verdict::Unknown;
        };
        let expected = self.response(method, &fields);
        let is_right = fields.realm == REALM
            && fields.user == self.credentials.user
            && bool::from(expected.as_bytes().ct_eq(fields.response.as_bytes()));
        match is_right {
            false => Verdict::Unknown,
            true if now.since(issued) > NONCE_LIFE => Verdict::Stale,
            true => Verdict::Welcome,
        }
    }

    fn issued_at(&self, nonce: &str) -> Option<Timestamp> {
        let at = Timestamp(u64::from_str_radix(nonce.get(..16)?, 16).ok()?);
        bool::from(self.nonce(at).as_bytes().ct_eq(nonce.as_bytes())).then_some(at)
    }

    fn response(&self, method: &str, fields: &Fields<'_>) -> String {
        let Credentials { user, password } = &self.credentials;
        let secret = md5_hex(&format!("{user}:{REALM}:{password}"));
        let request = md5_hex(&format!("{method}:{}", fields.uri));
        let middle = match fields.quality {
            Some((qop, nc, cnonce)) => format!("{}:{nc}:{cnonce}:{qop}", fields.nonce),
            None => fields.nonce.to_owned(),
        };
        md5_hex(&format!("{secret}:{middle}:{request}"))
    }
}

fn md5_hex(text: &str) -> String {
    hex::encode(Md5::digest(text.as_bytes()))
}

struct Fields<'a> {
    user: &'a str,
    realm: &'a str,
    nonce: &'a str,
    uri: &'a str,
    response: &'a str,
    /// `qop`, `nc`, `cnonce`, which come together or not at all.
    quality: Option<(&'a str, &'a str, &'a str)>,
}

impl<'a> Fields<'a> {
    fn read(value: &'a str) -> Option<Self> {
        let (scheme, rest) = value.split_once(' ')?;
        if !scheme.eq_ignore_ascii_case("Digest") {
            return None;
        }
        let pairs = pairs(rest);
        let find = |name: &str| {
            pairs.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
        };
        if find("algorithm").is_some_and(|name| !name.eq_ignore_ascii_case("MD5")) {
            return None;
        }
        let quality = match find("qop") {
            Some("auth") => Some(("auth", find("nc")?, find("cnonce")?)),
            Some(_) => return None,
            None => None,
        };
        Some(Self {
            user: find("username")?,
            realm: find("realm")?,
            nonce: find("nonce")?,
            uri: find("uri")?,
            response: find("response")?,
            quality,
        })
    }
}

/// `name=value` and `name="value"`, separated by commas.
fn pairs(text: &str) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    let mut rest = text;
    while !rest.trim().is_empty() {
        let (pair, tail) = crate::sip::value::first_of_list(rest);
        if let Some((name, value)) = pair.split_once('=') {
            found.push((name.trim(), value.trim().trim_matches('"')));
        }
        rest = tail.strip_prefix(',').unwrap_or_default();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard() -> Guard {
        let credentials = Credentials { user: "trunk".into(), password: "s3cret".into() };
        Guard::new(credentials, [7; 16])
    }

    fn authorization(guard: &Guard, at: Timestamp, password: &str) -> String {
        let nonce = guard.nonce(at);
        let secret = md5_hex(&format!("trunk:{REALM}:{password}"));
        let request = md5_hex("INVITE:sip:a@b");
        let response = md5_hex(&format!("{secret}:{nonce}:00000001:c,1:auth:{request}"));
        format!(
            "Digest username=\"trunk\", realm=\"{REALM}\", nonce=\"{nonce}\", uri=\"sip:a@b\", qop=auth, nc=00000001, cnonce=\"c,1\", response=\"{response}\""
        )
    }

    #[test]
    fn only_the_right_password_over_a_fresh_nonce_of_ours_is_welcome() {
        let guard = guard();
        let now = Timestamp(1_000_000);
        let right = authorization(&guard, now, "s3cret");
        assert_eq!(guard.judge(now, "INVITE", Some(&right)), Verdict::Welcome);
        assert_eq!(guard.judge(now, "BYE", Some(&right)), Verdict::Unknown);
        assert_eq!(guard.judge(now + Span::from_secs(301), "INVITE", Some(&right)), Verdict::Stale);
        let wrong = authorization(&guard, now, "guess");
        assert_eq!(guard.judge(now, "INVITE", Some(&wrong)), Verdict::Unknown);
        assert_eq!(guard.judge(now, "INVITE", None), Verdict::Unknown);
        let other = Guard::new(guard.credentials.clone(), [8; 16]);
        assert_eq!(other.judge(now, "INVITE", Some(&right)), Verdict::Unknown);
    }

    /// The example of RFC 2617 3.5 pins the arithmetic to something that is not ours.
    #[test]
    fn the_arithmetic_is_that_of_the_rfc() {
        let secret = md5_hex("Mufasa:testrealm@host.com:Circle Of Life");
        let request = md5_hex("GET:/dir/index.html");
        let response = md5_hex(&format!(
            "{secret}:dcd98b7102dd2f0e8b11d0f600bfb0c093:00000001:0a4f113b:auth:{request}"
        ));
        assert_eq!(response, "6629fae49393a05397450978507c4ef1");
    }
}
