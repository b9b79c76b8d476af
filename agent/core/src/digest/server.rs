//! Challenging, and judging what comes back.

use std::fmt;

use busyhour_base::{Span, Timestamp};
use hmac::{Hmac, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

use super::{
    Algorithm, DigestError, Proof,
    fields::{Fields, quote, unescape},
};

/// Hex digits of a nonce: its time in seconds, and a code over it.
const NONCE: (usize, usize) = (16, 32);

/// The side that asks for credentials.
#[derive(Clone)]
pub struct Server {
    realm: String,
    secret: [u8; 32],
    lifetime: Span,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("realm", &self.realm).finish_non_exhaustive()
    }
}

/// Who it was.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Verified {
    /// The user.
    pub username: String,
    /// The nonce that was used, and how often: a caller who wants no replay within the nonce's lifetime refuses a
    /// count that is not above the last one (RFC 7616 section 3.4). 0 if the client does not count.
    pub count: (String, u32),
}

/// Why not. Unknown users and wrong passwords are the same, so that nobody can try out names.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Denied {
    /// Cannot be read.
    #[error(transparent)]
    Header(#[from] DigestError),
    /// Made for somebody else, or not by us.
    #[error("the realm or the nonce is not ours")]
    Foreign,
    /// The nonce is too old: challenge again, with `stale`.
    #[error("the nonce is too old")]
    Stale,
    /// Wrong user or password.
    #[error("wrong user or password")]
    Wrong,
}

impl Server {
    /// A server for a realm. Whoever knows `secret` can make nonces; it is drawn at random at each start. A nonce is
    /// good for `lifetime`.
    pub fn new(realm: &str, secret: [u8; 32], lifetime: Span) -> Self {
        let realm = realm
            .chars()
            .filter(|char| !char.is_control() && !matches!(char, '"' | '\\'))
            .collect();
        Self { realm, secret, lifetime }
    }

    /// The challenges to send, one header each, the preferred first (RFC 8760 section 2.3).
    pub fn challenges(&self, now: Timestamp, stale: bool) -> [String; 2] {
        let nonce = self.nonce(now.as_secs());
        [Algorithm::Sha256, Algorithm::Md5].map(|algorithm| {
            let (realm, name) = (quote(&self.realm), algorithm.as_str());
            let stale = if stale { ", stale=true" } else { "" };
            format!(
                "Digest realm={realm}, nonce=\"{nonce}\", algorithm={name}, qop=\"auth\"{stale}"
            )
        })
    }

    /// Judges an `Authorization` for a request. `password_of` gives a user's password.
    pub fn verify(
        &self,
        now: Timestamp,
        header: &str,
        method: &str,
        uri: &str,
        password_of: impl FnOnce(&str) -> Option<String>,
    ) -> Result<Verified, Denied> {
        let fields = Fields::parse(header)?;
        let algorithm = fields.get("algorithm").unwrap_or(Algorithm::Md5.as_str());
        let algorithm = Algorithm::from_name(algorithm)
            .ok_or_else(|| DigestError::Algorithm(algorithm.chars().take(32).collect()))?;
        let (realm, nonce, response) =
            (fields.need("realm")?, fields.need("nonce")?, fields.need("response")?);
        let auth = match fields.get("qop") {
            None => None,
            Some(qop) if qop.eq_ignore_ascii_case("auth") => {
                Some((fields.need("nc")?, fields.need("cnonce")?))
            }
            Some(qop) => return Err(DigestError::Qop(qop.chars().take(32).collect()).into()),
        };
        let count = match auth {
            None => 0,
            Some((count, _)) => parse_count(count).ok_or(DigestError::Missing("nc"))?,
        };
        if realm != self.realm || unescape(fields.need("uri")?) != uri {
            return Err(Denied::Foreign);
        }
        let username = unescape(fields.need("username")?);
        let stale = self.is_stale(now, nonce)?;
        let password = password_of(&username);
        let proof = Proof { realm, nonce, method, uri, auth };
        let expected =
            proof.response(algorithm, &username, password.as_deref().unwrap_or_default());
        let is_equal =
            bool::from(expected.as_bytes().ct_eq(response.to_ascii_lowercase().as_bytes()));
        match (is_equal && password.is_some(), stale) {
            (false, _) => Err(Denied::Wrong),
            (true, true) => Err(Denied::Stale),
            (true, false) => Ok(Verified { username, count: (nonce.to_owned(), count) }),
        }
    }

    fn nonce(&self, second: u64) -> String {
        let mac = Hmac::<Sha256>::new_from_slice(&self.secret);
        let code = mac.map(|mac| mac.chain_update(second.to_be_bytes()).finalize().into_bytes());
        let code = code.map(hex::encode).unwrap_or_default();
        format!("{second:0width$x}{}", &code[..NONCE.1], width = NONCE.0)
    }

    /// Whether a nonce of ours is too old; one from the future is not ours.
    fn is_stale(&self, now: Timestamp, nonce: &str) -> Result<bool, Denied> {
        let second = nonce.get(..NONCE.0).and_then(|text| u64::from_str_radix(text, 16).ok());
        let second = second.ok_or(Denied::Foreign)?;
        let is_ours = bool::from(self.nonce(second).as_bytes().ct_eq(nonce.as_bytes()));
        if !is_ours || second > now.as_secs() {
            return Err(Denied::Foreign);
        }
        Ok(Span::from_secs(now.as_secs() - second) > self.lifetime)
    }
}

/// Eight hex digits.
fn parse_count(text: &str) -> Option<u32> {
    let is_count = text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_count.then(|| u32::from_str_radix(text, 16).ok()).flatten()
}
