//! `busyhour opt-outs`: who takes no messages from a tenant's numbers.

use anyhow::{Context as _, Result};
use clap::Args;
use reqwest::Method;
use serde::Deserialize;

use crate::client::{Client, ConnectionArgs, TenantArgs};

/// `busyhour opt-outs`
#[derive(Args, Debug)]
pub struct OptOutsArgs {
    /// Where the API is.
    #[command(flatten)]
    pub connection: ConnectionArgs,
    /// Who asks.
    #[command(flatten)]
    pub tenant: TenantArgs,
    /// Those who take none from this number of the account.
    #[arg(long)]
    pub from: Option<String>,
    /// This person.
    #[arg(long)]
    pub to: Option<String>,
    /// One JSON object per line.
    #[arg(long)]
    pub json: bool,
}

#[derive(Deserialize)]
struct Page {
    opt_outs: Vec<OptOut>,
    next_page_url: Option<String>,
}

#[derive(Deserialize)]
struct OptOut {
    from: String,
    to: String,
    since: String,
}

/// Prints them all, page by page.
///
/// # Errors
/// The API refused or does not answer.
pub async fn run(args: &OptOutsArgs) -> Result<()> {
    let client = Client::tenant(&args.connection, &args.tenant)?;
    let filter = [("From", &args.from), ("To", &args.to), ("PageSize", &Some("1000".to_owned()))];
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    query.extend_pairs(filter.iter().filter_map(|(name, of)| Some((name, of.as_ref()?))));
    let mut next = Some(format!("/v1/OptOuts?{}", query.finish()));
    while let Some(path) = next {
        let text = client.text(client.request(Method::GET, &path)).await?;
        let page: Page = serde_json::from_str(&text).context("the API's answer is no page")?;
        for OptOut { from, to, since } in &page.opt_outs {
            super::print_line(&if args.json {
                serde_json::json!({"from": from, "to": to, "since": since}).to_string()
            } else {
                format!("{to} takes no messages from {from} since {since}")
            })?;
        }
        next = page.next_page_url;
    }
    Ok(())
}
