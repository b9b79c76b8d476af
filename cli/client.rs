//! The API as the commands ask it: where it is, whom to act for, and errors that say how to go on.

use std::{fmt, path::PathBuf, time::Duration};

use anyhow::{Context, Result, anyhow, bail};
use reqwest::{Client as Http, Method, RequestBuilder, Response, StatusCode};
use serde::de::DeserializeOwned;
use url::Url;

use crate::{demo::connection::Connection, process::read_secret};

/// How long an answer may take.
const ANSWER_WAIT: Duration = Duration::from_secs(60);

/// Where the API is, and who asks.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct ConnectionArgs {
    /// URL of the API.
    #[arg(long, global = true, env = "BUSYHOUR_API_URL", value_name = "URL")]
    pub api_url: Option<String>,
    /// File with the API's URL and everyone's credentials, as the demo writes it (connection.json).
    #[arg(long, global = true, env = "BUSYHOUR_CONNECTION", value_name = "FILE")]
    pub connection: Option<PathBuf>,
    /// File that holds the operator's token. Without it BUSYHOUR_OPERATOR_TOKEN is the token.
    #[arg(long, global = true, env = "BUSYHOUR_OPERATOR_TOKEN_FILE", value_name = "FILE")]
    pub operator_token_file: Option<PathBuf>,
}

/// Which tenant asks.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct TenantArgs {
    /// The account's sid, or an API key's.
    #[arg(long, global = true, env = "BUSYHOUR_ACCOUNT", value_name = "AC...")]
    pub account: Option<String>,
    /// File that holds the account's token. Without it BUSYHOUR_TOKEN is the token.
    #[arg(long, global = true, env = "BUSYHOUR_TOKEN_FILE", value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Which tenant of the connection file.
    #[arg(long, global = true, value_name = "NAME")]
    pub tenant: Option<String>,
}

/// Whom to act for. It has no Debug: it holds secrets.
#[derive(Clone)]
enum Who {
    Operator { token: String },
    Tenant { account: String, token: String },
}

/// One API, and who asks it.
#[derive(Clone)]
pub struct Client {
    base: Url,
    who: Who,
    http: Http,
}

/// A refusal, or no answer.
#[derive(Debug)]
pub enum Problem {
    /// The API did not answer, or could not now: it may be asked again.
    Away(String),
    /// The API refused.
    Refused(String),
}

impl std::error::Error for Problem {}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Away(why) | Self::Refused(why) => f.write_str(why),
        }
    }
}

impl Client {
    /// As the operator. Flags go before the environment, and that before the connection file.
    ///
    /// # Errors
    /// Something is missing or cannot be read; the error says what and how to give it.
    pub fn operator(args: &ConnectionArgs) -> Result<Self> {
        let file = read_connection(args)?;
        let token = operator_token(args, file.as_ref())?;
        let token = token.ok_or_else(|| {
            missing("the operator's token", "--operator-token-file", "BUSYHOUR_OPERATOR_TOKEN")
        })?;
        Self::new(args, file.as_ref(), Who::Operator { token })
    }

    /// As a tenant if one is named, and else as the operator.
    ///
    /// # Errors
    /// Something is missing or cannot be read; the error says what and how to give it.
    pub fn anyone(args: &ConnectionArgs, tenant: &TenantArgs) -> Result<Self> {
        let file = read_connection(args)?;
        let named = match (&tenant.tenant, &file) {
            (None, _) => None,
            (Some(name), Some(file)) => Some(named(file, name)?),
            (Some(_), None) => bail!("--tenant needs a connection file: give --connection"),
        };
        let account = tenant.account.clone().or(named.clone().map(|(account, _)| account));
        let Some(account) = account else {
            let token = operator_token(args, file.as_ref())?.ok_or_else(|| {
                anyhow!("who asks is missing: a tenant (--account and --token-file, or --tenant with --connection), or the operator (--operator-token-file)")
            })?;
            return Self::new(args, file.as_ref(), Who::Operator { token });
        };
        let token = match (&tenant.token_file, secret_of("BUSYHOUR_TOKEN"), named) {
            (Some(path), ..) => read_secret(path)?,
            (None, Some(token), _) => token,
            (None, None, Some((_, token))) => token,
            _ => return Err(missing("the account's token", "--token-file", "BUSYHOUR_TOKEN")),
        };
        Self::new(args, file.as_ref(), Who::Tenant { account, token })
    }

    fn new(args: &ConnectionArgs, file: Option<&Connection>, who: Who) -> Result<Self> {
        let url = args.api_url.clone().or(file.map(|file| file.api.clone()));
        let url = url.ok_or_else(|| missing("the API's URL", "--api-url", "BUSYHOUR_API_URL"))?;
        let base = Url::parse(&url).ok().filter(|url| matches!(url.scheme(), "http" | "https"));
        let base = base.with_context(|| {
            format!("--api-url = {url:?} is not allowed: a URL such as http://127.0.0.1:8080")
        })?;
        let http = Http::builder()
            .connect_timeout(Duration::from_secs(10))
            .timeout(ANSWER_WAIT)
            .no_proxy()
            .build()?;
        Ok(Self { base, who, http })
    }

    /// The API's URL.
    pub const fn base(&self) -> &Url {
        &self.base
    }

    /// A request to a path of the API, given segment by segment.
    pub fn request(&self, method: Method, path: &[&str]) -> RequestBuilder {
        self.request_with(method, path, &[])
    }

    /// The same with parameters in the query.
    pub fn request_with(
        &self,
        method: Method,
        path: &[&str],
        query: &[(&str, &str)],
    ) -> RequestBuilder {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let request = self.http.request(method, url);
        match &self.who {
            Who::Operator { token } => request.bearer_auth(token),
            Who::Tenant { account, token } => request.basic_auth(account, Some(token)),
        }
    }

    /// Sends a request and gives the text of its answer, if it is a success.
    ///
    /// # Errors
    /// [`Problem`]
    pub async fn text(&self, request: RequestBuilder) -> Result<String, Problem> {
        let silent = |error: reqwest::Error| {
            let why = innermost(&error);
            Problem::Away(format!("{} does not answer: {why}; is the controller up?", self.base))
        };
        let response = request.send().await.map_err(silent)?;
        if response.status().is_success() {
            return response.text().await.map_err(silent);
        }
        Err(self.refusal(response).await)
    }

    /// Reads a resource.
    ///
    /// # Errors
    /// [`Problem`]
    pub async fn get<T: DeserializeOwned>(&self, path: &[&str]) -> Result<T, Problem> {
        let text = self.text(self.request(Method::GET, path)).await?;
        serde_json::from_str(&text).map_err(|error| {
            Problem::Refused(format!("/{} is not as expected: {error}", path.join("/")))
        })
    }

    async fn refusal(&self, response: Response) -> Problem {
        let (status, path) = (response.status(), response.url().path().to_owned());
        let text = response.text().await.unwrap_or_default();
        let body: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
        let said = body["message"].as_str().unwrap_or(&text);
        let hint = match (status, &self.who) {
            (StatusCode::UNAUTHORIZED, Who::Operator { .. }) => "; check --operator-token-file",
            (StatusCode::UNAUTHORIZED, Who::Tenant { .. }) => "; check --account and --token-file",
            _ => "",
        };
        let code = body["code"].as_u64().map_or(String::new(), |code| format!(", code {code}"));
        let message = format!("{path} was refused ({}{code}): {said}{hint}", status.as_u16());
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            Problem::Away(message)
        } else {
            Problem::Refused(message)
        }
    }
}

fn missing(what: &str, flag: &str, variable: &str) -> anyhow::Error {
    anyhow!(
        "{what} is missing: give {flag}, set {variable}, or name the demo's connection.json with --connection"
    )
}

fn secret_of(variable: &str) -> Option<String> {
    std::env::var(variable).ok().filter(|secret| !secret.is_empty())
}

fn operator_token(args: &ConnectionArgs, file: Option<&Connection>) -> Result<Option<String>> {
    if let Some(path) = &args.operator_token_file {
        return read_secret(path).map(Some);
    }
    let token = secret_of("BUSYHOUR_OPERATOR_TOKEN");
    Ok(token.or(file.map(|file| file.operator_token.clone())))
}

fn read_connection(args: &ConnectionArgs) -> Result<Option<Connection>> {
    let Some(path) = &args.connection else { return Ok(None) };
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("reading the connection file {}", path.display()))?;
    let file = serde_json::from_str(&text)
        .with_context(|| format!("{} is no connection file", path.display()))?;
    Ok(Some(file))
}

fn named(file: &Connection, name: &str) -> Result<(String, String)> {
    let found = file.tenants.iter().find(|tenant| tenant.name == name).with_context(|| {
        let known: Vec<_> = file.tenants.iter().map(|tenant| tenant.name.as_str()).collect();
        format!("--tenant = {name:?} is not in the connection file: one of {}", known.join(", "))
    })?;
    Ok((found.account_sid.clone(), found.auth_token.clone()))
}

fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(args: &ConnectionArgs, tenant: &TenantArgs) -> String {
        Client::anyone(args, tenant).map(|_| ()).unwrap_err().to_string()
    }

    #[test]
    fn what_is_missing_is_named_with_how_to_give_it() {
        crate::process::prepare_tls();
        let folder = tempfile::tempdir().unwrap();
        let token = folder.path().join("token");
        std::fs::write(&token, "secret-of-a-test\n").unwrap();
        let mut args = ConnectionArgs::default();
        let mut tenant = TenantArgs::default();
        assert!(refused(&args, &tenant).contains("--operator-token-file"));
        args.operator_token_file = Some(token.clone());
        assert!(refused(&args, &tenant).contains("--api-url"));
        args.api_url = Some("ftp://x".to_owned());
        assert!(refused(&args, &tenant).contains("\"ftp://x\" is not allowed"));
        args.api_url = Some("http://127.0.0.1:1".to_owned());
        assert!(Client::anyone(&args, &tenant).is_ok());
        tenant.tenant = Some("clinic".to_owned());
        assert!(refused(&args, &tenant).contains("--connection"));
        tenant = TenantArgs { account: Some("AC1".to_owned()), ..TenantArgs::default() };
        assert!(refused(&args, &tenant).contains("--token-file"));
        args.connection = Some(folder.path().join("none.json"));
        assert!(refused(&args, &tenant).contains("none.json"));
    }

    #[test]
    fn a_name_is_one_segment_of_the_path() {
        crate::process::prepare_tls();
        let who = Who::Operator { token: "t".to_owned() };
        let args = ConnectionArgs {
            api_url: Some("http://127.0.0.1:1/behind/".to_owned()),
            ..ConnectionArgs::default()
        };
        let client = Client::new(&args, None, who).unwrap();
        let request = client.request(Method::GET, &["v1", "Tenants", "a/b?c", "explain"]);
        let url = request.build().unwrap().url().to_string();
        assert_eq!(url, "http://127.0.0.1:1/behind/v1/Tenants/a%2Fb%3Fc/explain");
    }
}
