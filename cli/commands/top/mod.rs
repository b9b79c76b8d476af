//! `busyhour top`: tenants, their queues, carriers and agents live, and why no more calls are up.

mod app;
mod bar;
mod columns;
mod draw;
mod keys;
mod plain;
mod screen;
mod tables;

use std::{
    io::{IsTerminal as _, stdout},
    time::Duration,
};

use anyhow::Result;
use reqwest::{Method, RequestBuilder};

use super::{print, print_line};
use crate::{
    client::{Client, ConnectionArgs, OperatorArgs, Problem},
    model::Overview,
    process,
};

/// `busyhour top`
#[derive(clap::Args, Debug)]
pub struct TopArgs {
    /// Where the API is.
    #[command(flatten)]
    pub connection: ConnectionArgs,
    /// Who asks.
    #[command(flatten)]
    pub operator: OperatorArgs,
    /// Print the overview as JSON, once.
    #[arg(long, conflicts_with = "once")]
    pub json: bool,
    /// Print the tables, once.
    #[arg(long)]
    pub once: bool,
    /// How often it is read, in milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(100..=60_000))]
    pub every_ms: u64,
    /// Most tenants that are read: those with the most calls waiting and in progress.
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub tenants: u64,
}

/// Shows it on a terminal, and as a line per look elsewhere.
///
/// # Errors
/// Something of the connection is missing, or the API refused or does not answer at the first time.
pub async fn run(args: &TopArgs) -> Result<()> {
    let source = Source {
        client: Client::operator(&args.connection, &args.operator)?,
        tenants: args.tenants,
    };
    if args.json {
        let text = source.client.text(source.request()).await?;
        return print(&text);
    }
    let first = source.read().await?;
    if args.once {
        return print(&plain::tables(&first));
    }
    let every = Duration::from_millis(args.every_ms);
    if stdout().is_terminal() {
        screen::run(source, first, every).await
    } else {
        lines(&source, first, every).await
    }
}

/// What is read again and again.
#[derive(Clone)]
struct Source {
    client: Client,
    tenants: u64,
}

impl Source {
    fn request(&self) -> RequestBuilder {
        let path = format!("/v1/overview.json?Tenants={}", self.tenants);
        self.client.request(Method::GET, &path)
    }

    async fn read(&self) -> Result<Overview, Problem> {
        self.client.json(self.request()).await
    }
}

/// A line per look, until it is interrupted or nobody reads any more.
async fn lines(source: &Source, first: Overview, every: Duration) -> Result<()> {
    let shutdown = process::shutdown()?;
    let mut looked = Ok(first);
    loop {
        let line = match looked {
            Ok(overview) => plain::line(&overview),
            Err(Problem::Away(why)) => why,
            Err(refused @ Problem::Refused { .. }) => return Err(refused.into()),
        };
        print_line(&line)?;
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            () = tokio::time::sleep(every) => looked = source.read().await,
        }
    }
}
