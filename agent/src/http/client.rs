//! One request with its redirects, under one deadline.

use std::{error::Error as _, time::Duration};

use busyhour_agent_core::{
    leg::{Document, FetchError, Request},
    webhook::{
        Outgoing,
        sign::{DATED_SIGNATURE, Key, SIGNATURE},
    },
};
use busyhour_base::Method;
use reqwest::{
    Client, Response, StatusCode,
    header::{CONTENT_TYPE, HeaderMap, LOCATION},
    redirect::Policy,
};
use url::Url;

use super::{Guard, NotAllowed};
use crate::{clock::Clock, metric_definitions as metric};

/// Largest document (`RELIABILITY.md`).
pub const DOCUMENT_MAX: usize = 64 << 10;

/// Bounds on a request.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// For the TCP and TLS handshakes.
    pub connect: Duration,
    /// For everything: redirects, headers and body.
    pub total: Duration,
    /// Redirects that are followed.
    pub redirects_max: usize,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), total: Duration::from_secs(15), redirects_max: 5 }
    }
}

/// A client that asks only where the guard lets it. Clones share its connections.
#[derive(Clone)]
pub struct Http {
    client: Client,
    guard: Guard,
    config: HttpConfig,
    clock: Clock,
}

/// An answer whose body has been read.
pub struct Fetched {
    /// Address that it came from in the end.
    pub url: Url,
    /// Headers.
    pub headers: HeaderMap,
    /// Body, within the bound that was asked for.
    pub body: Vec<u8>,
}

impl Http {
    /// A client with the bounds of `config`.
    ///
    /// # Errors
    /// If TLS cannot be set up.
    pub fn new(guard: Guard, config: HttpConfig) -> Result<Self, reqwest::Error> {
        // Another part of the process may have installed the same provider first.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder()
            .user_agent(concat!("Busyhour/", env!("CARGO_PKG_VERSION")))
            .redirect(Policy::none())
            .no_proxy()
            .dns_resolver(guard.clone())
            .connect_timeout(config.connect)
            .pool_max_idle_per_host(32)
            .pool_idle_timeout(Duration::from_secs(60))
            .build()?;
        Ok(Self { client, guard, config, clock: Clock::start() })
    }

    /// Asks a webhook for its document, signed with the tenant's key.
    ///
    /// # Errors
    /// [`FetchError`]: not allowed, not reachable in time, not 2xx, or too large.
    pub async fn document(&self, request: &Request, key: &Key) -> Result<Document, FetchError> {
        let fetched = self.ask(request, key, DOCUMENT_MAX).await?;
        Ok(Document {
            content_type: content_type(&fetched.headers),
            url: fetched.url.into(),
            body: fetched.body,
        })
    }

    /// Asks and reads the body, at most `body_max` bytes of it.
    ///
    /// # Errors
    /// [`FetchError`], as [`Http::document`].
    pub async fn ask(
        &self,
        request: &Request,
        key: &Key,
        body_max: usize,
    ) -> Result<Fetched, FetchError> {
        let begun = std::time::Instant::now();
        let asked = self.follow(request, key, body_max);
        let result = match tokio::time::timeout(self.config.total, asked).await {
            Ok(result) => result,
            Err(_) => Err(FetchError::Transport(format!(
                "no answer within {} s",
                self.config.total.as_secs_f32()
            ))),
        };
        metric::webhook(begun.elapsed(), &result.as_ref().map(|_| ()));
        result
    }

    async fn follow(
        &self,
        request: &Request,
        key: &Key,
        body_max: usize,
    ) -> Result<Fetched, FetchError> {
        let mut request = request.clone();
        for _ in 0..=self.config.redirects_max {
            let outgoing = Outgoing::new(&request, key, self.clock.now())
                .map_err(|e| FetchError::Forbidden(e.to_string()))?;
            let url =
                Url::parse(&outgoing.url).map_err(|e| FetchError::Forbidden(e.to_string()))?;
            self.guard.check_url(&url).map_err(forbidden)?;
            let response = self.send(&url, outgoing).await?;
            let status = response.status();
            match redirect(&response, &url) {
                Some(next) => request = redirected(request, status, next),
                None if status.is_success() => return read(response, url, body_max).await,
                None => return Err(FetchError::Status(status.as_u16())),
            }
        }
        Err(FetchError::Transport(format!("more than {} redirects", self.config.redirects_max)))
    }

    async fn send(&self, url: &Url, outgoing: Outgoing) -> Result<Response, FetchError> {
        let method = match outgoing.method {
            Method::Post => reqwest::Method::POST,
            Method::Get => reqwest::Method::GET,
        };
        let mut request = self
            .client
            .request(method, url.clone())
            .header(SIGNATURE, outgoing.signature)
            .header(DATED_SIGNATURE, outgoing.dated_signature);
        if let Some(kind) = outgoing.content_type {
            request = request.header(CONTENT_TYPE, kind).body(outgoing.body);
        }
        request.send().await.map_err(transport)
    }
}

/// The request that a redirect asks for: 307 and 308 keep the method, the others are followed by GET (RFC 9110,
/// 15.4). A new address comes with its own query.
fn redirected(request: Request, status: StatusCode, next: Url) -> Request {
    let kept = matches!(status.as_u16(), 307 | 308) && request.method == Method::Post;
    Request {
        url: next.into(),
        method: if kept { Method::Post } else { Method::Get },
        params: if kept { request.params } else { Vec::new() },
    }
}

/// Where a redirect leads, if the response is one.
fn redirect(response: &Response, from: &Url) -> Option<Url> {
    let redirects = [
        StatusCode::MOVED_PERMANENTLY,
        StatusCode::FOUND,
        StatusCode::SEE_OTHER,
        StatusCode::TEMPORARY_REDIRECT,
        StatusCode::PERMANENT_REDIRECT,
    ];
    if !redirects.contains(&response.status()) {
        return None;
    }
    let location = response.headers().get(LOCATION)?.to_str().ok()?;
    let mut next = from.join(location).ok()?;
    next.set_fragment(None);
    Some(next)
}

async fn read(mut response: Response, url: Url, body_max: usize) -> Result<Fetched, FetchError> {
    let over = |length: u64| length > body_max as u64;
    if response.content_length().is_some_and(over) {
        return Err(FetchError::TooLarge);
    }
    let headers = std::mem::take(response.headers_mut());
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(transport)? {
        if body.len() + chunk.len() > body_max {
            return Err(FetchError::TooLarge);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Fetched { url, headers, body })
}

/// `Content-Type` without its parameters, in lower case; empty if there is none.
pub fn content_type(headers: &HeaderMap) -> String {
    let value = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok());
    let kind = value.unwrap_or_default().split(';').next().unwrap_or_default();
    kind.trim().to_ascii_lowercase()
}

fn forbidden(error: NotAllowed) -> FetchError {
    FetchError::Forbidden(error.to_string())
}

/// The innermost cause, because the outer ones repeat the URL, whose query may hold what is not ours to log.
fn transport(error: reqwest::Error) -> FetchError {
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    match cause.downcast_ref::<NotAllowed>() {
        Some(refused) => FetchError::Forbidden(refused.to_string()),
        None if error.source().is_none() => FetchError::Transport(error.to_string()),
        None => FetchError::Transport(cause.to_string()),
    }
}

#[cfg(test)]
mod tests;
