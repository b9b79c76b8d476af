//! Digest authentication for SIP and HTTP (RFC 3261 section 22, RFC 7616, RFC 8760), both sides.
//!
//! MD5 and SHA-256, with quality of protection `auth` or none. A client nonce is drawn by the caller; a server's
//! nonces are a function of its secret and the time, so that it keeps no list of them.

mod client;
mod fields;
mod server;

use std::fmt;

use md5::{Digest, Md5};
use sha2::Sha256;

pub use client::{Challenge, Client};
pub use server::{Denied, Server, Verified};

/// How hashes are made.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Algorithm {
    /// What every old peer knows.
    Md5,
    /// RFC 8760.
    Sha256,
}

impl Algorithm {
    /// Its name on the wire.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Md5 => "MD5",
            Self::Sha256 => "SHA-256",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        [Self::Md5, Self::Sha256]
            .into_iter()
            .find(|known| known.as_str().eq_ignore_ascii_case(name))
    }

    fn hash(self, text: &str) -> String {
        match self {
            Self::Md5 => hex::encode(Md5::digest(text)),
            Self::Sha256 => hex::encode(Sha256::digest(text)),
        }
    }
}

/// A user and a password. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The name; no control characters.
    pub username: String,
    /// The secret.
    pub password: String,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(..)")
    }
}

/// Why a header is of no use.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum DigestError {
    /// Over the bound.
    #[error("the header has {0} bytes, at most {max} are allowed", max = fields::BYTES_MAX)]
    TooLarge(usize),
    /// Another scheme, such as `Basic`.
    #[error("the scheme is not Digest")]
    Scheme,
    /// Not a list of parameters.
    #[error("malformed at byte {0}: expected a list of name=value or name=\"value\"")]
    Malformed(usize),
    /// A parameter that stands there twice.
    #[error("{0} stands there twice")]
    Twice(&'static str),
    /// A parameter that is not there.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// An algorithm that is not known.
    #[error("the algorithm is {0:?}, allowed are MD5 and SHA-256")]
    Algorithm(String),
    /// A quality of protection that is not known.
    #[error("the qop is {0:?}, allowed is auth")]
    Qop(String),
    /// No challenge at all.
    #[error("there is no challenge")]
    NoChallenge,
}

/// What goes into the hash of a request beside the credentials.
struct Proof<'a> {
    realm: &'a str,
    nonce: &'a str,
    method: &'a str,
    uri: &'a str,
    /// Count and client nonce, if the quality of protection is `auth`; else the scheme is that of RFC 2069.
    auth: Option<(&'a str, &'a str)>,
}

impl Proof<'_> {
    /// RFC 7616 section 3.4.1.
    fn response(&self, algorithm: Algorithm, username: &str, password: &str) -> String {
        let Self { realm, nonce, method, uri, auth } = self;
        let who = algorithm.hash(&format!("{username}:{realm}:{password}"));
        let what = algorithm.hash(&format!("{method}:{uri}"));
        algorithm.hash(&match auth {
            Some((count, client_nonce)) => {
                format!("{who}:{nonce}:{count}:{client_nonce}:auth:{what}")
            }
            None => format!("{who}:{nonce}:{what}"),
        })
    }
}
