//! Answers to a carrier's challenges (RFC 3261, 22). `rsipstack`'s own digest miscounts, knows no SHA-256 and takes
//! any realm, so the core's is used.

use busyhour_agent_core::digest::{Challenge, Client, Credentials};
use rsipstack::sip::{Header, Method, Request, Response, Uri, prelude::HasHeaders};

use super::message;

/// Challenges that one request answers at most: the first, and one whose nonce was stale.
const ANSWERS_MAX: u32 = 2;

/// The header that answers the challenge to `request`, or `None` if it cannot be answered or was answered before.
pub fn answer(
    request: &Request,
    response: &Response,
    credentials: &Credentials,
    answered: u32,
) -> Option<Header> {
    answer_for(request.method, &request.uri, response, credentials, answered)
}

/// The same, from a request's method and address.
pub fn answer_for(
    method: Method,
    uri: &Uri,
    response: &Response,
    credentials: &Credentials,
    answered: u32,
) -> Option<Header> {
    let proxy = response.status_code.code() == 407;
    let challenges = response.headers().iter().filter_map(|header| match header {
        Header::WwwAuthenticate(value) if !proxy => Some(value.value()),
        Header::ProxyAuthenticate(value) if proxy => Some(value.value()),
        _ => None,
    });
    let challenge = Challenge::choose(challenges).ok()?;
    // The same credentials refused again are wrong, unless only the nonce was too old.
    if answered >= ANSWERS_MAX || (answered > 0 && !challenge.is_stale()) {
        return None;
    }
    let nonce = message::random_token();
    let mut client = Client::new(challenge);
    let value = client.authorize(credentials, &method.to_string(), &uri.to_string(), &nonce);
    Some(if proxy {
        Header::ProxyAuthorization(value.into())
    } else {
        Header::Authorization(value.into())
    })
}
