//! The API as the commands ask it: whom to act for, and errors that say how to go on.

mod args;

use std::{fmt, time::Duration};

use anyhow::Result;
use reqwest::{Client as Http, Method, RequestBuilder, Response, StatusCode};
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::form_urlencoded::byte_serialize;

pub use args::{ConnectionArgs, OperatorArgs, TenantArgs};

/// How long an answer may take to begin. An upload's part is taken by then, or tried again.
const ANSWER_WAIT: Duration = Duration::from_secs(60);

/// Whom to act for. It has no Debug: it holds secrets.
#[derive(Clone)]
enum Who {
    Operator { token: String },
    Tenant { account: String, token: String },
}

/// One API, and who asks it.
#[derive(Clone)]
pub struct Client {
    base: String,
    who: Who,
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
    fn new(base: &str, who: Who) -> Result<Self> {
        let http = Http::builder().connect_timeout(Duration::from_secs(10)).build()?;
        Ok(Self { base: base.trim_end_matches('/').to_owned(), who, http })
    }

    /// The API's URL.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The account that asks; nothing for the operator.
    pub fn account(&self) -> &str {
        match &self.who {
            Who::Operator { .. } => "",
            Who::Tenant { account, .. } => account,
        }
    }

    /// A request to a path of the API.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match &self.who {
            Who::Operator { token } => request.bearer_auth(token),
            Who::Tenant { account, token } => request.basic_auth(account, Some(token)),
        }
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
        Err(self.refusal(response).await)
    }

    /// Sends a request and reads its answer as text.
    ///
    /// # Errors
    /// [`Problem`]
    pub async fn text(&self, request: RequestBuilder) -> Result<String, Problem> {
        let response = self.send(request).await?;
        let text = tokio::time::timeout(ANSWER_WAIT, response.text()).await;
        let text = text.map_err(|_| Problem::Away("the answer does not end".to_owned()))?;
        text.map_err(|error| Problem::Away(innermost(&error)))
    }

    /// Sends a request and reads its answer as JSON.
    ///
    /// # Errors
    /// [`Problem`]
    pub async fn json<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, Problem> {
        let text = self.text(request).await?;
        serde_json::from_str(&text).map_err(|error| {
            Problem::Away(format!("the answer is not JSON as expected ({error}): {text}"))
        })
    }

    async fn refusal(&self, response: Response) -> Problem {
        let (status, url) = (response.status(), response.url().path().to_owned());
        let offset = header(&response, "upload-offset");
        let text = response.text().await.unwrap_or_default();
        let body: Value = serde_json::from_str(&text).unwrap_or_default();
        let said = body["message"].as_str().unwrap_or(&text);
        let hint = self.hint(status, &url);
        let code = body["code"].as_u64().map_or(String::new(), |code| format!(", code {code}"));
        let message = format!("{url} was refused ({}{code}): {said}{hint}", status.as_u16());
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            return Problem::Away(message);
        }
        Problem::Refused { status, message, offset }
    }
}

impl Client {
    /// How to go on after a refusal, where that is known.
    fn hint(&self, status: StatusCode, path: &str) -> String {
        let mut parts = path.strip_prefix("/v1/").unwrap_or_default().split('/');
        let kind = parts.next().unwrap_or_default();
        let batch = parts.next().filter(|_| kind == "Batches");
        if status == StatusCode::NOT_FOUND && batch.is_none() {
            return match (kind, &self.who) {
                ("Tenants" | "Carriers", Who::Operator { .. }) => {
                    format!("; `busyhour top --once` shows all {}", kind.to_lowercase())
                }
                ("Tenants" | "Calls" | "Messages", Who::Tenant { account, .. }) => {
                    format!(
                        "; {account} was asked: --account or --tenant names another, and the operator sees all"
                    )
                }
                _ => String::new(),
            };
        }
        match (status, &self.who, batch) {
            (StatusCode::UNAUTHORIZED, Who::Operator { .. }, _) => {
                "; check --operator-token-file".to_owned()
            }
            (StatusCode::UNAUTHORIZED, Who::Tenant { .. }, _) => {
                "; check --account and --token-file".to_owned()
            }
            (StatusCode::NOT_FOUND, Who::Tenant { .. }, Some(_)) => {
                "; `busyhour batch list` shows the account's batches".to_owned()
            }
            (StatusCode::CONFLICT, Who::Tenant { .. }, Some(sid)) => {
                format!("; `busyhour batch show {sid}` tells where it stands")
            }
            _ => String::new(),
        }
    }
}

/// A name as one segment of a path.
pub fn segment(name: &str) -> String {
    byte_serialize(name.as_bytes()).collect::<String>().replace('+', "%20")
}

/// A number out of a header.
pub fn header(response: &Response, name: &str) -> Option<u64> {
    response.headers().get(name)?.to_str().ok()?.parse().ok()
}

fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

/// A file with a token for a test of what clients are made of, and its folder, which goes with the test.
#[cfg(test)]
pub(crate) fn token_file() -> (tempfile::TempDir, std::path::PathBuf) {
    crate::process::prepare_tls();
    let folder = tempfile::tempdir().expect("a folder");
    let token = folder.path().join("token");
    std::fs::write(&token, "secret-of-a-test\n").expect("it can be written");
    (folder, token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_one_segment_of_a_path() {
        assert_eq!(segment("clinic-1.north"), "clinic-1.north");
        assert_eq!(segment("a/b?c d+%é"), "a%2Fb%3Fc%20d%2B%25%C3%A9");
    }

    #[test]
    fn what_is_not_found_tells_where_to_look() {
        crate::process::prepare_tls();
        let token = "t".to_owned();
        let operator = Client::new("http://a", Who::Operator { token: token.clone() }).unwrap();
        let account = "AC1".to_owned();
        let tenant = Client::new("http://a", Who::Tenant { account, token }).unwrap();
        let hint = |who: &Client, path| who.hint(StatusCode::NOT_FOUND, path);
        assert!(hint(&operator, "/v1/Tenants/nobody/explain").contains("shows all tenants"));
        assert!(hint(&operator, "/v1/Carriers/bay/explain").contains("shows all carriers"));
        assert!(hint(&tenant, "/v1/Calls/CA1/explain").contains("AC1 was asked"));
        assert!(hint(&tenant, "/v1/Batches/BT1").contains("`busyhour batch list`"));
        assert_eq!(hint(&operator, "/v1/Calls/CA1/explain"), "");
    }
}
