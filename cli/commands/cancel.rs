//! `busyhour cancel`: ends at once what a tenant has waiting.

use anyhow::{Result, bail};
use clap::{Args, Subcommand, ValueEnum};
use reqwest::Method;
use serde::Deserialize;

use crate::{
    client::{Client, ConnectionArgs, TenantArgs},
    words::count,
};

/// `busyhour cancel`
#[derive(Args, Debug)]
pub struct CancelArgs {
    /// Where the API is.
    #[command(flatten)]
    pub connection: ConnectionArgs,
    /// Who asks.
    #[command(flatten)]
    pub tenant: TenantArgs,
    /// Print the API's JSON.
    #[arg(long, global = true)]
    pub json: bool,
    /// What is canceled.
    #[command(subcommand)]
    pub what: What,
}

/// What is canceled.
#[derive(Subcommand, Debug)]
pub enum What {
    /// Calls that wait, scheduled or queued, lines of batches included: those to which all flags apply.
    Calls(CallFilters),
    /// Messages that wait, scheduled or queued: those to which all flags apply.
    Messages(MessageFilters),
}

/// Which calls.
#[derive(Args, Debug, Default)]
pub struct CallFilters {
    /// Calls from this number of the account.
    #[arg(long)]
    pub from: Option<String>,
    /// Calls to this number or SIP address.
    #[arg(long)]
    pub to: Option<String>,
    /// Calls that this application asked for.
    #[arg(long, value_name = "AP...")]
    pub application: Option<String>,
    /// Calls of this urgency.
    #[arg(long)]
    pub urgency: Option<UrgencyArg>,
    /// Calls scheduled for this instant (RFC 3339) or a later one.
    #[arg(long, value_name = "INSTANT")]
    pub scheduled_from: Option<String>,
    /// Calls scheduled for an instant before this one.
    #[arg(long, value_name = "INSTANT")]
    pub scheduled_before: Option<String>,
    /// Every call that waits; needed where no other flag is given.
    #[arg(long)]
    pub all: bool,
}

/// Which messages.
#[derive(Args, Debug, Default)]
pub struct MessageFilters {
    /// Messages from this number of the account.
    #[arg(long)]
    pub from: Option<String>,
    /// Messages to this number.
    #[arg(long)]
    pub to: Option<String>,
    /// Every message that waits; needed where no other flag is given.
    #[arg(long)]
    pub all: bool,
}

/// An urgency.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum UrgencyArg {
    /// Nobody waits on it.
    Ordinary,
    /// Someone waits on it.
    Synchronous,
}

impl UrgencyArg {
    const fn word(self) -> &'static str {
        match self {
            Self::Ordinary => "ordinary",
            Self::Synchronous => "synchronous",
        }
    }
}

type Form<'a> = Vec<(&'static str, &'a str)>;

impl What {
    /// Where the request goes, its form, and what is canceled.
    fn request(&self) -> Result<(&'static str, Form<'_>, &'static str)> {
        let (path, form, all, things) = match self {
            Self::Calls(which) => {
                let CallFilters { from, to, application, scheduled_from, scheduled_before, .. } =
                    which;
                let form = given([
                    ("From", from.as_deref()),
                    ("To", to.as_deref()),
                    ("ApplicationSid", application.as_deref()),
                    ("Urgency", which.urgency.map(UrgencyArg::word)),
                    ("ScheduledFrom", scheduled_from.as_deref()),
                    ("ScheduledBefore", scheduled_before.as_deref()),
                ]);
                ("/v1/Calls/cancel", form, which.all, "calls")
            }
            Self::Messages(MessageFilters { from, to, all }) => {
                let form = given([("From", from.as_deref()), ("To", to.as_deref())]);
                ("/v1/Messages/cancel", form, *all, "messages")
            }
        };
        if form.is_empty() != all {
            bail!(
                "say which {things}, or --all for every one that waits, and not both; `busyhour cancel {things} --help` shows how"
            );
        }
        Ok((path, form, things))
    }
}

fn given<'a, const N: usize>(all: [(&'static str, Option<&'a str>); N]) -> Form<'a> {
    all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

#[derive(Deserialize)]
struct Canceled {
    canceled: u64,
}

/// Cancels, and says how many.
///
/// # Errors
/// Nothing says which, the API refused or does not answer.
pub async fn run(args: &CancelArgs) -> Result<()> {
    let (path, form, things) = args.what.request()?;
    let client = Client::tenant(&args.connection, &args.tenant)?;
    let text = client.text(client.request(Method::POST, path).form(&form)).await?;
    if args.json {
        super::print_line(text.trim_end())
    } else {
        let Canceled { canceled } = serde_json::from_str(&text)?;
        super::print_line(&format!("{} {things} canceled", count(canceled)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_canceled_only_if_that_is_said() {
        let none = What::Calls(CallFilters::default());
        assert!(none.request().unwrap_err().to_string().contains("--all"));
        let all = What::Messages(MessageFilters { all: true, ..MessageFilters::default() });
        assert_eq!(all.request().unwrap(), ("/v1/Messages/cancel", vec![], "messages"));
        let to = Some("+15551000001".to_owned());
        let some = What::Calls(CallFilters {
            to: to.clone(),
            urgency: Some(UrgencyArg::Synchronous),
            ..CallFilters::default()
        });
        let (path, form, _) = some.request().unwrap();
        assert_eq!(path, "/v1/Calls/cancel");
        assert_eq!(form, [("To", "+15551000001"), ("Urgency", "synchronous")]);
        let both = What::Messages(MessageFilters { to, all: true, ..MessageFilters::default() });
        assert!(both.request().is_err());
    }
}
