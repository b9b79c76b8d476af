//! A webhook as it goes over the wire, ready to be sent.

use busyhour_base::{Method, Timestamp};
use url::{Url, form_urlencoded::Serializer};

use super::sign::{self, Key};
use crate::errands::Request;

/// The type of a POST's parameters.
const FORM: &str = "application/x-www-form-urlencoded";
/// The type of a JSON body.
const JSON: &str = "application/json";

/// A request that cannot be sent, since its URL is none.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("not an absolute URL: {0}")]
pub struct BadAddress(#[from] url::ParseError);

/// A signed request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Outgoing {
    /// How.
    pub method: Method,
    /// Where to, with the parameters of a GET. Credentials that the tenant wrote into it are still there, for
    /// the HTTP client to turn into a header; they are not signed, since the server does not see them in its URL.
    pub url: String,
    /// `Content-Type` of `body`, if there is one.
    pub content_type: Option<&'static str>,
    /// The form of a POST.
    pub body: Vec<u8>,
    /// [`sign::SIGNATURE`].
    pub signature: String,
    /// [`sign::DATED_SIGNATURE`].
    pub dated_signature: String,
}

impl Outgoing {
    /// Encodes and signs a leg's request: a form for POST, the query for GET.
    pub fn new(request: &Request, key: &Key, now: Timestamp) -> Result<Self, BadAddress> {
        let mut url = address(&request.url)?;
        Ok(match request.method {
            Method::Post => {
                let body = Serializer::new(String::new()).extend_pairs(&request.params).finish();
                let text = sign::text(&signed(&url), &request.params);
                Self::sign(request.method, url, Some(FORM), body.into_bytes(), &text, key, now)
            }
            Method::Get => {
                if !request.params.is_empty() {
                    url.query_pairs_mut().extend_pairs(&request.params);
                }
                let text = sign::text(&signed(&url), &[]);
                Self::sign(request.method, url, None, Vec::new(), &text, key, now)
            }
        })
    }

    /// Signs a JSON body: its hash goes into the query, and the URL alone is signed.
    pub fn json(url: &str, body: Vec<u8>, key: &Key, now: Timestamp) -> Result<Self, BadAddress> {
        let mut url = address(url)?;
        url.query_pairs_mut().append_pair("bodySHA256", &sign::body_hash(&body));
        let text = sign::text(&signed(&url), &[]);
        Ok(Self::sign(Method::Post, url, Some(JSON), body, &text, key, now))
    }

    fn sign(
        method: Method,
        url: Url,
        content_type: Option<&'static str>,
        body: Vec<u8>,
        text: &str,
        key: &Key,
        now: Timestamp,
    ) -> Self {
        Self {
            method,
            url: url.into(),
            content_type,
            body,
            signature: key.signature(text),
            dated_signature: key.dated_signature(text, now),
        }
    }
}

fn address(url: &str) -> Result<Url, BadAddress> {
    let mut url = Url::parse(url)?;
    url.set_fragment(None);
    Ok(url)
}

/// The URL as the server sees it.
fn signed(url: &Url) -> String {
    let mut url = url.clone();
    // Refused only for URLs that cannot have credentials at all.
    let _ = url.set_username("").and_then(|()| url.set_password(None));
    url.into()
}
