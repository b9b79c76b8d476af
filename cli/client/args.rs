//! Where the API is and who asks, from flags, the environment, or a connection file; what stands first goes before.

use std::path::PathBuf;

use anyhow::{Context, Result, anyhow, bail};

use super::{Client, Who};
use crate::{demo::connection::Connection, process::read_secret};

/// Where the API is.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct ConnectionArgs {
    /// URL of the API.
    #[arg(
        long,
        global = true,
        help_heading = "Connection",
        env = "BUSYHOUR_API_URL",
        value_name = "URL"
    )]
    pub api_url: Option<String>,
    /// File with the API's URL and everyone's credentials, as the demo writes it (connection.json).
    #[arg(
        long,
        global = true,
        help_heading = "Connection",
        env = "BUSYHOUR_CONNECTION",
        value_name = "FILE"
    )]
    pub connection: Option<PathBuf>,
}

/// The operator asks.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct OperatorArgs {
    /// File that holds the operator's token. Without it BUSYHOUR_OPERATOR_TOKEN is the token.
    #[arg(
        long,
        global = true,
        help_heading = "Connection",
        env = "BUSYHOUR_OPERATOR_TOKEN_FILE",
        value_name = "FILE"
    )]
    pub operator_token_file: Option<PathBuf>,
}

/// A tenant asks.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct TenantArgs {
    /// The account's sid.
    #[arg(
        long,
        global = true,
        help_heading = "Connection",
        env = "BUSYHOUR_ACCOUNT",
        value_name = "AC..."
    )]
    pub account: Option<String>,
    /// File that holds the account's token. Without it BUSYHOUR_TOKEN is the token.
    #[arg(
        long,
        global = true,
        help_heading = "Connection",
        env = "BUSYHOUR_TOKEN_FILE",
        value_name = "FILE"
    )]
    pub token_file: Option<PathBuf>,
    /// Which tenant of the connection file.
    #[arg(long, global = true, help_heading = "Connection", value_name = "NAME")]
    pub tenant: Option<String>,
}

impl Client {
    /// As the operator.
    ///
    /// # Errors
    /// Something is missing or cannot be read; the error says what and how to give it.
    pub fn operator(at: &ConnectionArgs, who: &OperatorArgs) -> Result<Self> {
        let file = read_connection(at)?;
        let token = operator_token(who, file.as_ref())?.ok_or_else(|| {
            missing("the operator's token", "--operator-token-file", "BUSYHOUR_OPERATOR_TOKEN")
        })?;
        Self::new(&url(at, file.as_ref())?, Who::Operator { token })
    }

    /// As a tenant: the one that is named, or else the first of the connection file.
    ///
    /// # Errors
    /// Something is missing or cannot be read; the error says what and how to give it.
    pub fn tenant(at: &ConnectionArgs, who: &TenantArgs) -> Result<Self> {
        let file = read_connection(at)?;
        let first = file.as_ref().and_then(|file| file.tenants.first());
        let first = first.map(|tenant| (tenant.account_sid.clone(), tenant.auth_token.clone()));
        let (account, token) = tenant(who, file.as_ref(), first)?
            .ok_or_else(|| missing("the account", "--account", "BUSYHOUR_ACCOUNT"))?;
        Self::new(&url(at, file.as_ref())?, Who::Tenant { account, token })
    }

    /// As a tenant if one is named, and else as the operator.
    ///
    /// # Errors
    /// Something is missing or cannot be read; the error says what and how to give it.
    pub fn anyone(at: &ConnectionArgs, named: &TenantArgs, who: &OperatorArgs) -> Result<Self> {
        let file = read_connection(at)?;
        let who = match tenant(named, file.as_ref(), None)? {
            Some((account, token)) => Who::Tenant { account, token },
            None => {
                let token = operator_token(who, file.as_ref())?.ok_or_else(|| {
                    anyhow!("who asks is missing: a tenant (--account and --token-file, or --tenant with --connection), or the operator (--operator-token-file)")
                })?;
                Who::Operator { token }
            }
        };
        Self::new(&url(at, file.as_ref())?, who)
    }
}

/// An account and its token: of the tenant that is named in whichever way, or else the one given.
fn tenant(
    args: &TenantArgs,
    file: Option<&Connection>,
    or: Option<(String, String)>,
) -> Result<Option<(String, String)>> {
    let known = match (&args.tenant, file) {
        (Some(name), Some(file)) => Some(named(file, name)?),
        (Some(_), None) => bail!("--tenant needs a connection file: give --connection"),
        (None, _) => or,
    };
    let Some(account) = args.account.clone().or(known.clone().map(|(account, _)| account)) else {
        return Ok(None);
    };
    let token = match (&args.token_file, secret_of("BUSYHOUR_TOKEN"), known) {
        (Some(path), ..) => read_secret(path)?,
        (None, Some(token), _) => token,
        (None, None, Some((_, token))) => token,
        _ => return Err(missing("the account's token", "--token-file", "BUSYHOUR_TOKEN")),
    };
    Ok(Some((account, token)))
}

fn url(args: &ConnectionArgs, file: Option<&Connection>) -> Result<String> {
    let url = args.api_url.clone().or(file.map(|file| file.api.clone()));
    let url = url.ok_or_else(|| missing("the API's URL", "--api-url", "BUSYHOUR_API_URL"))?;
    if url.starts_with("http://") || url.starts_with("https://") {
        return Ok(url);
    }
    bail!("--api-url = {url:?} is not allowed: a URL such as http://127.0.0.1:8080");
}

fn missing(what: &str, flag: &str, variable: &str) -> anyhow::Error {
    anyhow!(
        "{what} is missing: give {flag}, set {variable}, or name the demo's connection.json with --connection"
    )
}

fn secret_of(variable: &str) -> Option<String> {
    std::env::var(variable).ok().filter(|secret| !secret.is_empty())
}

fn operator_token(args: &OperatorArgs, file: Option<&Connection>) -> Result<Option<String>> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(at: &ConnectionArgs, tenant: &TenantArgs, operator: &OperatorArgs) -> String {
        Client::anyone(at, tenant, operator).map(|_| ()).unwrap_err().to_string()
    }

    #[test]
    fn what_is_missing_is_named_with_how_to_give_it() {
        let (folder, token) = crate::client::token_file();
        let (mut at, mut tenant) = (ConnectionArgs::default(), TenantArgs::default());
        let mut operator = OperatorArgs::default();
        assert!(refused(&at, &tenant, &operator).contains("--operator-token-file"));
        operator.operator_token_file = Some(token);
        assert!(refused(&at, &tenant, &operator).contains("--api-url"));
        at.api_url = Some("ftp://x".to_owned());
        assert!(refused(&at, &tenant, &operator).contains("\"ftp://x\" is not allowed"));
        at.api_url = Some("http://127.0.0.1:1".to_owned());
        assert!(Client::anyone(&at, &tenant, &operator).is_ok());
        let none = Client::tenant(&at, &tenant).map(|_| ()).unwrap_err().to_string();
        assert!(none.contains("--account"), "{none}");
        tenant.tenant = Some("clinic".to_owned());
        assert!(refused(&at, &tenant, &operator).contains("--connection"));
        tenant = TenantArgs { account: Some("AC1".to_owned()), ..TenantArgs::default() };
        assert!(refused(&at, &tenant, &operator).contains("--token-file"));
        at.connection = Some(folder.path().join("none.json"));
        assert!(refused(&at, &tenant, &operator).contains("none.json"));
    }
}
