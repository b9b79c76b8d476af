//! `busyhour explain`: where a call, a message, a batch, a tenant or a carrier stands, what holds it, and what would change that.

mod args;
pub mod text;

use anyhow::Result;
use reqwest::Method;
use serde::de::DeserializeOwned;

pub use args::{About, ExplainArgs};

use crate::client::{Client, Problem};

/// Prints the explanation.
///
/// # Errors
/// What is asked about is none of these, the API refused or does not answer; the error says how to go on.
pub async fn run(args: &ExplainArgs) -> Result<()> {
    let about = About::parse(&args.what)?;
    let client = Client::anyone(&args.connection, &args.tenant, &args.operator)?;
    let text = if args.json {
        client.text(client.request(Method::GET, &about.path())).await?
    } else {
        explained(&client, &about).await?
    };
    super::print_line(text.trim_end())
}

/// The explanation as lines for people.
///
/// # Errors
/// [`Problem`]
pub async fn explained(client: &Client, about: &About) -> Result<String, Problem> {
    async fn get<T: DeserializeOwned>(client: &Client, about: &About) -> Result<T, Problem> {
        client.json(client.request(Method::GET, &about.path())).await
    }
    Ok(match about {
        About::Call(_) => text::call(&get(client, about).await?),
        About::Message(_) => text::message(&get(client, about).await?),
        About::Batch(_) => text::batch(&get(client, about).await?),
        About::Tenant(_) => text::tenant(&get(client, about).await?),
        About::Carrier(_) => text::carrier(&get(client, about).await?),
    })
}
