//! Answering challenges.

use super::{
    Algorithm, Credentials, DigestError, Proof,
    fields::{Fields, quote},
};

/// What a server asks for. Realm, nonce and opaque are kept as they were written, since they are written back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Challenge {
    realm: String,
    nonce: String,
    opaque: Option<String>,
    algorithm: Option<Algorithm>,
    with_qop: bool,
    stale: bool,
}

impl Challenge {
    /// Reads a `WWW-Authenticate` or `Proxy-Authenticate`.
    pub fn parse(header: &str) -> Result<Self, DigestError> {
        let fields = Fields::parse(header)?;
        let algorithm = fields.get("algorithm").map(|name| {
            let cut = || DigestError::Algorithm(name.chars().take(32).collect());
            Algorithm::from_name(name).ok_or_else(cut)
        });
        let qop = fields.get("qop").filter(|list| !list.is_empty());
        if let Some(list) = qop
            && !list.split(',').any(|one| one.trim().eq_ignore_ascii_case("auth"))
        {
            return Err(DigestError::Qop(list.chars().take(32).collect()));
        }
        Ok(Self {
            realm: fields.need("realm")?.to_owned(),
            nonce: fields.need("nonce")?.to_owned(),
            opaque: fields.get("opaque").map(str::to_owned),
            algorithm: algorithm.transpose()?,
            with_qop: qop.is_some(),
            stale: fields.get("stale").is_some_and(|text| text.eq_ignore_ascii_case("true")),
        })
    }

    /// The first of several challenges that can be answered, since a server puts its preferred one on top
    /// (RFC 8760 section 2.4); or why none can.
    pub fn choose<'a>(headers: impl IntoIterator<Item = &'a str>) -> Result<Self, DigestError> {
        let mut failed = DigestError::NoChallenge;
        for header in headers {
            match Self::parse(header) {
                Ok(challenge) => return Ok(challenge),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    /// The realm that credentials are asked for.
    pub fn realm(&self) -> &str {
        &self.realm
    }

    /// Whether only the nonce was too old: the same credentials are worth another try. If it is not stale, a
    /// second challenge means that the credentials are wrong.
    pub const fn is_stale(&self) -> bool {
        self.stale
    }
}

/// Answers one challenge, for as many requests as its nonce lasts.
#[derive(Clone, Debug)]
pub struct Client {
    challenge: Challenge,
    count: u32,
}

impl Client {
    /// Takes the latest challenge.
    pub const fn new(challenge: Challenge) -> Self {
        Self { challenge, count: 0 }
    }

    /// The value of `Authorization` or `Proxy-Authorization` for the next request. `client_nonce` is fresh and
    /// random, at least 64 bits; `uri` stands as in the request line.
    pub fn authorize(
        &mut self,
        credentials: &Credentials,
        method: &str,
        uri: &str,
        client_nonce: &str,
    ) -> String {
        let Challenge { realm, nonce, opaque, algorithm, with_qop, .. } = &self.challenge;
        self.count = self.count.saturating_add(1);
        let count = format!("{:08x}", self.count);
        let auth = with_qop.then_some((count.as_str(), client_nonce));
        let proof = Proof { realm, nonce, method, uri, auth };
        let used = algorithm.unwrap_or(Algorithm::Md5);
        let response = proof.response(used, &credentials.username, &credentials.password);
        let mut header = format!(
            "Digest username={}, realm=\"{realm}\", nonce=\"{nonce}\", uri={}, response=\"{response}\"",
            quote(&credentials.username),
            quote(uri)
        );
        if let Some(algorithm) = algorithm {
            header.push_str(&format!(", algorithm={}", algorithm.as_str()));
        }
        if auth.is_some() {
            header.push_str(&format!(", cnonce={}, qop=auth, nc={count}", quote(client_nonce)));
        }
        if let Some(opaque) = opaque {
            header.push_str(&format!(", opaque=\"{opaque}\""));
        }
        header
    }
}
