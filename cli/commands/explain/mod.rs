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
    let client = asks(args, &about)?;
    let text = if args.json {
        client.text(client.request(Method::GET, &about.path())).await?
    } else {
        explained(&client, &about).await?
    };
    super::print_line(text.trim_end())
}

/// Who asks. Carriers are the operator's alone, whichever account the environment names.
fn asks(args: &ExplainArgs, about: &About) -> Result<Client> {
    match about {
        About::Carrier(_) if args.tenant.tenant.is_none() => {
            Client::operator(&args.connection, &args.operator)
        }
        _ => Client::anyone(&args.connection, &args.tenant, &args.operator),
    }
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

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: ExplainArgs,
    }

    #[test]
    fn the_operator_asks_about_a_carrier_whichever_account_is_known() {
        let (_folder, token) = crate::client::token_file();
        let file = token.to_str().unwrap();
        for (what, begins) in [("carrier", "Bearer "), ("tenant", "Basic ")] {
            let words = ["explain", what, "north", "--api-url", "http://127.0.0.1:9"];
            let who = ["--account", "AC1", "--token-file", file, "--operator-token-file", file];
            let line = Line::parse_from(words.into_iter().chain(who));
            let about = About::parse(&line.args.what).unwrap();
            let client = asks(&line.args, &about).unwrap();
            let request = client.request(Method::GET, &about.path()).build().unwrap();
            let authorization = request.headers()["authorization"].to_str().unwrap();
            assert!(authorization.starts_with(begins), "{what}: {authorization}");
        }
    }
}
