//! The API as `busyhour batch` asks it: whom to act for, and errors that say how to go on.

use std::{
    fmt,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, anyhow, bail};
use reqwest::{Client as Http, Method, RequestBuilder, Response, StatusCode};
use serde_json::Value;

use super::args::ConnectionArgs;
use crate::{demo::connection::Connection, process::read_secret};

/// How long an answer may take to begin. An upload's part is taken by then, or tried again.
const ANSWER_WAIT: Duration = Duration::from_secs(60);
/// Between tries of an API that does not answer.
const PAUSE: Duration = Duration::from_millis(500);

/// One account at one API.
pub struct Client {
    base: String,
    account: String,
    token: String,
    http: Http,
}

/// A refusal, or no answer.
#[derive(Debug)]
pub enum Problem {
    /// The API did not answer, or could not now: it may be asked again.
    Away(String),
    /// The API refused.
    Refused {
        /// HTTP status.
        status: StatusCode,
        /// What it said.
        message: String,
        /// What it said beside, of an upload: the offset to go on from.
        offset: Option<u64>,
    },
}

impl std::error::Error for Problem {}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Away(why) => f.write_str(why),
            Self::Refused { message, .. } => f.write_str(message),
        }
    }
}

impl Client {
    /// From flags, the environment, or a connection file; what stands first goes before.
    ///
    /// # Errors
    /// Something is missing or cannot be read; the error says what and how to give it.
    pub fn new(args: &ConnectionArgs) -> Result<Self> {
        let file = args.connection.as_deref().map(|path| {
            let text = std::fs::read_to_string(path)
                .with_context(|| format!("reading the connection file {}", path.display()))?;
            serde_json::from_str::<Connection>(&text)
                .with_context(|| format!("{} is no connection file", path.display()))
        });
        let file = file.transpose()?;
        let tenant = file.as_ref().map(|file| tenant(file, args.tenant.as_deref())).transpose()?;
        let url = args.api_url.clone().or(file.as_ref().map(|file| file.api.clone()));
        let missing = |what: &str, flag: &str, variable: &str| {
            anyhow!(
                "{what} is missing: give {flag}, set {variable}, or name the demo's connection.json with --connection"
            )
        };
        let url = url.ok_or_else(|| missing("the API's URL", "--api-url", "BUSYHOUR_API_URL"))?;
        let account = args.account.clone().or(tenant.map(|tenant| tenant.0.to_owned()));
        let account =
            account.ok_or_else(|| missing("the account", "--account", "BUSYHOUR_ACCOUNT"))?;
        let token = match (&args.token_file, std::env::var("BUSYHOUR_TOKEN"), tenant) {
            (Some(path), ..) => read_secret(path)?,
            (None, Ok(token), _) if !token.is_empty() => token,
            (None, _, Some((_, token))) => token.to_owned(),
            _ => return Err(missing("the account's token", "--token-file", "BUSYHOUR_TOKEN")),
        };
        if !url.starts_with("http://") && !url.starts_with("https://") {
            bail!("--api-url = {url:?} is not allowed: a URL such as http://127.0.0.1:8080");
        }
        let http = Http::builder().connect_timeout(Duration::from_secs(10)).build()?;
        Ok(Self { base: url.trim_end_matches('/').to_owned(), account, token, http })
    }

    /// The account that asks.
    pub fn account(&self) -> &str {
        &self.account
    }

    /// A request to a path of the API.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        request.basic_auth(&self.account, Some(&self.token))
    }

    /// Sends a request and gives its answer, if it is a success.
    ///
    /// # Errors
    /// [`Problem`]
    pub async fn send(&self, request: RequestBuilder) -> Result<Response, Problem> {
        let sent = tokio::time::timeout(ANSWER_WAIT, request.send()).await;
        let silent = |why: String| {
            Problem::Away(format!("{} does not answer: {why}; is the controller up?", self.base))
        };
        let response = match sent {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(silent(innermost(&error))),
            Err(_) => return Err(silent(format!("nothing within {} s", ANSWER_WAIT.as_secs()))),
        };
        if response.status().is_success() {
            return Ok(response);
        }
        Err(refusal(response).await)
    }

    /// Sends a request and reads its answer as JSON.
    ///
    /// # Errors
    /// [`Problem`]
    pub async fn json(&self, request: RequestBuilder) -> Result<Value, Problem> {
        let response = self.send(request).await?;
        let text = response.text().await.map_err(|error| Problem::Away(innermost(&error)))?;
        serde_json::from_str(&text)
            .map_err(|error| Problem::Away(format!("the answer is not JSON ({error}): {text}")))
    }

    /// Asks for one batch.
    pub fn get(&self, sid: &str) -> RequestBuilder {
        self.request(Method::GET, &format!("/v1/Batches/{sid}"))
    }

    /// Sends a request that does the same however often it is sent, until the API answers.
    ///
    /// # Errors
    /// [`Problem`]: the API refuses, or has been away for longer than `patience`.
    pub async fn insist(
        &self,
        patience: Duration,
        request: impl Fn() -> RequestBuilder,
    ) -> Result<Value, Problem> {
        let since = Instant::now();
        loop {
            match self.json(request()).await {
                Err(Problem::Away(_)) if since.elapsed() < patience => {
                    tokio::time::sleep(PAUSE).await;
                }
                done => return done,
            }
        }
    }

    /// One batch.
    ///
    /// # Errors
    /// [`Problem`]
    pub async fn batch(&self, sid: &str) -> Result<Value, Problem> {
        self.json(self.get(sid)).await
    }
}

/// A number out of a header.
pub fn header(response: &Response, name: &str) -> Option<u64> {
    response.headers().get(name)?.to_str().ok()?.parse().ok()
}

fn tenant<'c>(file: &'c Connection, name: Option<&str>) -> Result<(&'c str, &'c str)> {
    let found = match name {
        None => file.tenants.first(),
        Some(name) => file.tenants.iter().find(|tenant| tenant.name == name),
    };
    let found = found.with_context(|| {
        let known: Vec<_> = file.tenants.iter().map(|tenant| tenant.name.as_str()).collect();
        let name = name.unwrap_or_default();
        format!("--tenant = {name:?} is not in the connection file: one of {}", known.join(", "))
    })?;
    Ok((&found.account_sid, &found.auth_token))
}

async fn refusal(response: Response) -> Problem {
    let (status, url) = (response.status(), response.url().path().to_owned());
    let offset = header(&response, "upload-offset");
    let text = response.text().await.unwrap_or_default();
    let body: Value = serde_json::from_str(&text).unwrap_or_default();
    let said = body["message"].as_str().unwrap_or(&text);
    let hint = match status {
        StatusCode::UNAUTHORIZED => "; check --account and --token-file",
        StatusCode::NOT_FOUND => "; `busyhour batch list` shows the account's batches",
        _ => "",
    };
    let code = body["code"].as_u64().map_or(String::new(), |code| format!(", code {code}"));
    let message = format!("{url} was refused ({}{code}): {said}{hint}", status.as_u16());
    if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
        return Problem::Away(message);
    }
    Problem::Refused { status, message, offset }
}

fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}
