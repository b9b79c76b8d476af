//! What `busyhour explain` takes.

use anyhow::{Result, bail};

use crate::client::{ConnectionArgs, OperatorArgs, TenantArgs, segment};

/// `busyhour explain`
#[derive(clap::Args, Debug)]
pub struct ExplainArgs {
    /// The sid of a call (CA...), of a message (SM...) or of a batch (BT...), or `tenant NAME`, or `carrier NAME`.
    #[arg(num_args = 1..=2, required = true, value_name = "WHAT")]
    pub what: Vec<String>,
    /// Where the API is.
    #[command(flatten)]
    pub connection: ConnectionArgs,
    /// A tenant asks, and sees what is its own.
    #[command(flatten)]
    pub tenant: TenantArgs,
    /// The operator asks, if no tenant does, and sees everything.
    #[command(flatten)]
    pub operator: OperatorArgs,
    /// Print the API's JSON.
    #[arg(long)]
    pub json: bool,
}

/// What is asked about.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum About {
    /// A call, by its sid.
    Call(String),
    /// A message, by its sid.
    Message(String),
    /// A batch, by its sid.
    Batch(String),
    /// A tenant, by its name or sid.
    Tenant(String),
    /// A carrier, by its name.
    Carrier(String),
}

impl About {
    /// From one or two words.
    ///
    /// # Errors
    /// They are none of what is allowed, which the error lists.
    pub fn parse(words: &[String]) -> Result<Self> {
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        Ok(match words[..] {
            ["call", sid] => Self::Call(sid.to_owned()),
            ["message", sid] => Self::Message(sid.to_owned()),
            ["batch", sid] => Self::Batch(sid.to_owned()),
            ["tenant", name] => Self::Tenant(name.to_owned()),
            ["carrier", name] => Self::Carrier(name.to_owned()),
            [sid] if sid.starts_with("CA") => Self::Call(sid.to_owned()),
            [sid] if sid.starts_with("SM") => Self::Message(sid.to_owned()),
            [sid] if sid.starts_with("BT") => Self::Batch(sid.to_owned()),
            [sid] if sid.starts_with("AC") => Self::Tenant(sid.to_owned()),
            _ => bail!(
                "{:?} cannot be explained: give CA..., SM..., BT..., AC..., `tenant NAME` or `carrier NAME`",
                words.join(" ")
            ),
        })
    }

    /// Where the API explains it.
    pub fn path(&self) -> String {
        let (kind, name) = match self {
            Self::Call(sid) => ("Calls", sid),
            Self::Message(sid) => ("Messages", sid),
            Self::Batch(sid) => ("Batches", sid),
            Self::Tenant(name) => ("Tenants", name),
            Self::Carrier(name) => ("Carriers", name),
        };
        format!("/v1/{kind}/{}/explain", segment(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_about_is_told_from_its_words() {
        let parse =
            |words: &str| About::parse(&words.split(' ').map(str::to_owned).collect::<Vec<_>>());
        assert_eq!(parse("CA12").unwrap().path(), "/v1/Calls/CA12/explain");
        assert_eq!(parse("message SM12").unwrap().path(), "/v1/Messages/SM12/explain");
        assert_eq!(parse("SM12").unwrap(), parse("message SM12").unwrap());
        assert_eq!(parse("BT12").unwrap(), parse("batch BT12").unwrap());
        assert_eq!(parse("tenant a/b").unwrap().path(), "/v1/Tenants/a%2Fb/explain");
        assert_eq!(parse("carrier CA").unwrap(), About::Carrier("CA".to_owned()));
        for bad in ["clinic", "tenants clinic", ""] {
            let error = parse(bad).unwrap_err().to_string();
            assert!(error.starts_with(&format!("{bad:?} cannot be explained")), "{error}");
        }
    }
}
