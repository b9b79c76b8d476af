//! `busyhour opt-outs`: who takes no messages from a tenant's numbers.

mod import;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Args, Subcommand};
use reqwest::Method;
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::client::{Client, ConnectionArgs, TenantArgs};

/// `busyhour opt-outs`
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct OptOutsArgs {
    /// What is done; without it they are listed.
    #[command(subcommand)]
    pub what: Option<What>,
    /// Where the API is.
    #[command(flatten)]
    pub connection: ConnectionArgs,
    /// Who asks.
    #[command(flatten)]
    pub tenant: TenantArgs,
    /// Those who take none from this number of the account.
    #[arg(long, value_name = "NUMBER")]
    pub from: Option<String>,
    /// This person.
    #[arg(long, value_name = "NUMBER")]
    pub to: Option<String>,
    /// One JSON object per line.
    #[arg(long)]
    pub json: bool,
}

/// What is done.
#[derive(Subcommand, Debug)]
pub enum What {
    /// Have people take no more messages who have opted out elsewhere: all that the file names, or, if a line is wrong, none.
    Import(ImportArgs),
    /// Let somebody have messages again, who has agreed to it. The reason is kept.
    Remove(RemoveArgs),
    /// Show who was removed, when and why.
    Removed(RemovedArgs),
}

/// `busyhour opt-outs import`
#[derive(Args, Debug)]
pub struct ImportArgs {
    /// Where the API is.
    #[command(flatten)]
    pub connection: ConnectionArgs,
    /// Who asks.
    #[command(flatten)]
    pub tenant: TenantArgs,
    /// CSV with the columns To, From and Since, or NDJSON with these names (.csv, .ndjson or .jsonl).
    pub file: PathBuf,
    /// The account's number, for lines that name none.
    #[arg(long, value_name = "NUMBER")]
    pub from: Option<String>,
    /// Check the file, and change nothing.
    #[arg(long)]
    pub check: bool,
}

/// `busyhour opt-outs remove`
#[derive(Args, Debug)]
pub struct RemoveArgs {
    /// Where the API is.
    #[command(flatten)]
    pub connection: ConnectionArgs,
    /// Who asks.
    #[command(flatten)]
    pub tenant: TenantArgs,
    /// The account's number.
    #[arg(long, value_name = "NUMBER")]
    pub from: String,
    /// Who takes messages from it again.
    #[arg(long, value_name = "NUMBER")]
    pub to: String,
    /// Why, at most 200 characters.
    #[arg(long)]
    pub reason: String,
}

/// `busyhour opt-outs removed`
#[derive(Args, Debug)]
pub struct RemovedArgs {
    /// Where the API is.
    #[command(flatten)]
    pub connection: ConnectionArgs,
    /// Who asks.
    #[command(flatten)]
    pub tenant: TenantArgs,
    /// One JSON object per line.
    #[arg(long)]
    pub json: bool,
}

/// One page of what is listed.
#[derive(Deserialize)]
struct Page<T> {
    #[serde(alias = "opt_outs", alias = "removed")]
    rows: Vec<T>,
    next_page_url: Option<String>,
}

#[derive(Deserialize, Serialize)]
struct OptOut {
    from: String,
    since: String,
    to: String,
}

#[derive(Deserialize, Serialize)]
struct Removed {
    from: String,
    to: String,
    since: String,
    removed_at: String,
    reason: String,
}

/// Does it.
///
/// # Errors
/// The API refused or does not answer, or the file cannot be read.
pub async fn run(args: &OptOutsArgs) -> Result<()> {
    match &args.what {
        None => list(args).await,
        Some(What::Import(args)) => import::run(args).await,
        Some(What::Remove(args)) => remove(args).await,
        Some(What::Removed(args)) => removed(args).await,
    }
}

async fn remove(args: &RemoveArgs) -> Result<()> {
    let client = Client::tenant(&args.connection, &args.tenant)?;
    let RemoveArgs { from, to, reason, .. } = args;
    let form = [("From", from), ("To", to), ("Reason", reason)];
    client.send(client.request(Method::POST, "/v1/OptOuts/remove").form(&form)).await?;
    super::print_line(&format!("{to} takes messages from {from} again"))
}

async fn removed(args: &RemovedArgs) -> Result<()> {
    let client = Client::tenant(&args.connection, &args.tenant)?;
    let line = |one: &Removed| {
        let Removed { from, to, since, removed_at, reason } = one;
        format!("{removed_at}  {to} takes messages from {from} again, not since {since}: {reason}")
    };
    let first = "/v1/OptOuts/removed?PageSize=1000".to_owned();
    print_all(&client, first, (args.json, "nobody was removed"), line).await
}

async fn list(args: &OptOutsArgs) -> Result<()> {
    let client = Client::tenant(&args.connection, &args.tenant)?;
    let filter = [("From", &args.from), ("To", &args.to), ("PageSize", &Some("1000".to_owned()))];
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(filter.iter().filter_map(|(name, of)| Some((name, of.as_ref()?))));
    let line = |OptOut { from, since, to }: &OptOut| {
        format!("{to} takes no messages from {from} since {since}")
    };
    let nobody = "nobody who fits has opted out";
    print_all(&client, format!("/v1/OptOuts?{}", query.finish()), (args.json, nobody), line).await
}

/// Prints all that is listed, page by page, in lines of their own or as JSON; of nothing, what that means.
async fn print_all<T: DeserializeOwned + Serialize>(
    client: &Client,
    first: String,
    (json, nobody): (bool, &str),
    line: impl Fn(&T) -> String,
) -> Result<()> {
    let (mut next, mut none) = (Some(first), true);
    while let Some(path) = next {
        let page: Page<T> = client.json(client.request(Method::GET, &path)).await?;
        none &= page.rows.is_empty();
        for row in &page.rows {
            super::print_line(&if json { serde_json::to_string(row)? } else { line(row) })?;
        }
        next = page.next_page_url;
    }
    if none && !json {
        eprintln!("{nobody}");
    }
    Ok(())
}
