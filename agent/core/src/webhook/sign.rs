//! The signatures of a webhook (SP-3, `WIRE.md`).
//!
//! What is signed is one text: the full URL without its fragment, then every POST parameter's name followed by
//! its value, ordered by name and value, each pair once. The field's signature is HMAC-SHA1 over that text, and
//! the official validators check it. It can be replayed for ever, so a dated one stands beside it: HMAC-SHA256
//! over the time and the same text.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use busyhour_base::Timestamp;
use hmac::{Hmac, Mac};
use sha1::Sha1;
use sha2::{Digest, Sha256};

/// Header of the field's signature.
pub const SIGNATURE: &str = "X-Twilio-Signature";
/// Header of the dated signature: `t=<seconds since 1970>,v1=<64 hex digits>`.
pub const DATED_SIGNATURE: &str = "X-Busyhour-Signature";

/// The key that webhooks are signed with: the tenant's auth token. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Key(String);

impl Key {
    /// Takes a token.
    pub const fn new(token: String) -> Self {
        Self(token)
    }

    /// The field's signature of a text from [`text`].
    pub fn signature(&self, text: &str) -> String {
        let mac = Hmac::<Sha1>::new_from_slice(self.0.as_bytes());
        let digest = mac.map(|mac| mac.chain_update(text).finalize().into_bytes());
        digest.map(|digest| STANDARD.encode(digest)).unwrap_or_default()
    }

    /// The dated signature of a text from [`text`]: HMAC-SHA256 over the seconds, a full stop and the text.
    pub fn dated_signature(&self, text: &str, now: Timestamp) -> String {
        let seconds = now.as_secs();
        let mac = Hmac::<Sha256>::new_from_slice(self.0.as_bytes());
        let digest =
            mac.map(|mac| mac.chain_update(format!("{seconds}.{text}")).finalize().into_bytes());
        format!("t={seconds},v1={}", digest.map(hex::encode).unwrap_or_default())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// The text that is signed for a URL without a fragment and the parameters of a POST form (none for GET and JSON).
pub fn text(url: &str, form: &[(String, String)]) -> String {
    let mut pairs: Vec<_> = form.iter().collect();
    pairs.sort_unstable();
    pairs.dedup();
    let mut text = url.to_owned();
    for (name, value) in pairs {
        text.push_str(name);
        text.push_str(value);
    }
    text
}

/// What `bodySHA256` in the query says of a JSON body.
pub fn body_hash(body: &[u8]) -> String {
    hex::encode(Sha256::digest(body))
}
