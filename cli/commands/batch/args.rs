//! What `busyhour batch` takes.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};

use crate::client::{ConnectionArgs, TenantArgs};

/// `busyhour batch`
#[derive(Args, Debug)]
pub struct BatchArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: BatchCommand,
    /// Where the API is.
    #[command(flatten)]
    pub connection: ConnectionArgs,
    /// Whom to act for; the first tenant of the connection file if left out.
    #[command(flatten)]
    pub tenant: TenantArgs,
    /// Print JSON on standard output, one value per line.
    #[arg(long, global = true)]
    pub json: bool,
}

/// What can be done with batches.
#[derive(Subcommand, Debug)]
pub enum BatchCommand {
    /// Upload a file of lines and start it. Run again after an interruption, it goes on where it was.
    Submit(Box<SubmitArgs>),
    /// Follow a batch until it is over.
    Watch {
        /// The batch.
        sid: String,
    },
    /// Print what became of each line.
    Results(ResultsArgs),
    /// Print what was wrong with lines that were not accepted.
    Errors {
        /// The batch.
        sid: String,
    },
    /// List batches, newest first.
    List {
        /// Most batches.
        #[arg(long, default_value_t = 20)]
        limit: usize,
    },
    /// Show one batch.
    Show {
        /// The batch.
        sid: String,
    },
    /// Start a batch whose lines are there.
    Start {
        /// The batch.
        sid: String,
    },
    /// Start no more calls, send no more messages; those in progress go on.
    Pause {
        /// The batch.
        sid: String,
    },
    /// Go on after a pause.
    Resume {
        /// The batch.
        sid: String,
    },
    /// Cancel what waits.
    Cancel {
        /// The batch.
        sid: String,
        /// Also end the calls in progress. Messages that carriers have cannot be called back.
        #[arg(long)]
        hang_up: bool,
    },
    /// Dial the lines once more that ended busy, unanswered or failed, or send those that failed or were not delivered. A
    /// batch that has ended runs again.
    Retry {
        /// The batch.
        sid: String,
        /// Only those that ended so: busy, no-answer, failed; of messages failed, undelivered.
        #[arg(long, value_delimiter = ',', value_name = "OUTCOMES")]
        on: Vec<String>,
    },
    /// Change how fast a batch runs, from now on. What is left out stays as it is.
    Pace(PaceArgs),
}

/// `busyhour batch pace`
#[derive(Args, Debug)]
pub struct PaceArgs {
    /// The batch.
    pub sid: String,
    /// Calls per second, or segments of messages, fractions allowed; or none.
    #[arg(long, value_name = "RATE", allow_negative_numbers = true, value_parser = bound::<Rate>, required_unless_present = "max_concurrent")]
    pub cps: Option<Bound<Rate>>,
    /// Most calls in progress at once; or none.
    #[arg(long, value_name = "N", allow_negative_numbers = true, value_parser = bound::<u32>)]
    pub max_concurrent: Option<Bound<u32>>,
}

/// A rate per second. Words that Rust reads as numbers, such as `inf` and `nan`, are none: JSON has no such numbers, and would
/// make no bound of them.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Rate(pub f64);

impl std::str::FromStr for Rate {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let rate = text.parse().ok().filter(|rate: &f64| rate.is_finite());
        rate.map(Self).ok_or_else(|| format!("{text:?} is no number"))
    }
}

/// A bound of the batch's own, or that there is none.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Bound<T>(pub Option<T>);

/// `busyhour batch submit`
#[derive(Args, Debug)]
pub struct SubmitArgs {
    /// Lines as CSV or NDJSON.
    pub file: PathBuf,
    /// How the file is written; told by its ending (.csv, .ndjson, .jsonl) if left out.
    #[arg(long)]
    pub format: Option<FileFormat>,
    /// What the batch is to do.
    #[command(flatten)]
    pub plan: PlanArgs,
    /// Upload only; start it later.
    #[arg(long)]
    pub no_start: bool,
    /// Start it though some lines were refused.
    #[arg(long)]
    pub start_anyway: bool,
    /// A new batch, though the same file was submitted with the same plan in the last 24 hours.
    #[arg(long)]
    pub again: bool,
    /// Go on with the upload of this batch, rather than find it by the file and the plan.
    #[arg(long, value_name = "BT...", conflicts_with = "again")]
    pub into: Option<String>,
    /// Follow it until it is over.
    #[arg(long)]
    pub watch: bool,
    /// How long an API that does not answer is tried again, in seconds.
    #[arg(long, default_value_t = 300)]
    pub patience_s: u64,
}

/// A batch's plan. Flags go before what the file says.
#[derive(Args, Debug, Default)]
pub struct PlanArgs {
    /// File with the plan as YAML or JSON, as `POST /v1/Batches` takes it.
    #[arg(long, value_name = "FILE")]
    pub plan: Option<PathBuf>,
    /// What the lines are; told by the defaults and the columns if left out, of which Body is of messages.
    #[arg(long)]
    pub kind: Option<LineKind>,
    /// The batch's name; the file's if left out.
    #[arg(long)]
    pub name: Option<String>,
    /// A parameter that lines may leave out, such as From=+15550000100. May be repeated.
    #[arg(long = "default", value_name = "NAME=VALUE", value_parser = pair)]
    pub defaults: Vec<(String, String)>,
    /// Calls per second, or segments of messages per second; fractions are allowed.
    #[arg(long, allow_negative_numbers = true)]
    pub cps: Option<Rate>,
    /// Most calls in progress at once, or messages that carriers have not answered.
    #[arg(long)]
    pub max_concurrent: Option<u32>,
    /// Nothing starts before this instant, such as 2026-03-10T08:00:00Z.
    #[arg(long, value_name = "INSTANT")]
    pub not_before: Option<String>,
    /// What has not started by this instant expires.
    #[arg(long, value_name = "INSTANT")]
    pub not_after: Option<String>,
    /// Zone of the windows, such as Europe/Berlin.
    #[arg(long, value_name = "ZONE")]
    pub timezone: Option<String>,
    /// Calls start and messages are sent within this window only, such as mon-fri,09:00-18:00 or 10:00-12:30. May be repeated.
    #[arg(long = "window", value_name = "WINDOW", value_parser = super::plan::window)]
    pub windows: Vec<serde_json::Value>,
    /// Outcomes after which a line is dialled again: busy, no-answer, failed; or a message sent again: failed, undelivered.
    #[arg(long, value_delimiter = ',', value_name = "OUTCOMES")]
    pub retry: Vec<String>,
    /// Attempts of a line in all.
    #[arg(long, default_value_t = 3, requires = "retry")]
    pub attempts: u16,
    /// Seconds before each further attempt; the last number goes on.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "300",
        requires = "retry",
        value_name = "SECONDS"
    )]
    pub retry_delay: Vec<u64>,
    /// Of lines with the same value take the first only: custom_id (always so), To, or a variable such as var.customer.
    #[arg(long, value_name = "COLUMN")]
    pub dedupe_by: Option<String>,
    /// What becomes of lines that wait when a window closes: pause until the next one (default), or expire.
    #[arg(long, value_name = "pause|expire")]
    pub on_window_end: Option<String>,
    /// Who is told, signed, when the batch has ended.
    #[arg(long, value_name = "URL")]
    pub callback: Option<String>,
}

/// `busyhour batch results`
#[derive(Args, Debug)]
pub struct ResultsArgs {
    /// The batch.
    pub sid: String,
    /// NDJSON has everything, CSV a row per line for spreadsheets. Without it a terminal shows a table, and all else gets
    /// NDJSON.
    #[arg(long)]
    pub format: Option<FileFormat>,
    /// Go on behind the line with this cursor.
    #[arg(long)]
    pub after: Option<u64>,
    /// Most lines.
    #[arg(long)]
    pub limit: Option<u64>,
    /// Go on until the batch is over, also across interruptions.
    #[arg(long)]
    pub follow: bool,
}

/// What lines are.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum LineKind {
    /// Calls.
    Calls,
    /// Messages.
    Messages,
}

/// How lines are written.
#[derive(ValueEnum, Clone, Copy, PartialEq, Eq, Debug)]
pub enum FileFormat {
    /// With a line of names first.
    Csv,
    /// One JSON object per line.
    Ndjson,
}

/// A number, or `none`.
fn bound<T: std::str::FromStr>(text: &str) -> Result<Bound<T>, String> {
    if text == "none" {
        return Ok(Bound(None));
    }
    let bad = || format!("{text:?} is neither a number nor none");
    text.parse().map(|number| Bound(Some(number))).map_err(|_| bad())
}

fn pair(text: &str) -> Result<(String, String), String> {
    let bad = || format!("{text:?} is not a name and a value such as From=+15550000100");
    let (name, value) =
        text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or_else(bad)?;
    Ok((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_a_number_or_none() {
        assert_eq!(bound::<Rate>("1.5"), Ok(Bound(Some(Rate(1.5)))));
        assert_eq!(bound::<Rate>("none"), Ok(Bound(None)));
        for bad in ["nan", "inf", "-infinity", "1e999", "fast", ""] {
            assert!(bad.parse::<Rate>().is_err(), "{bad}");
            assert!(bound::<Rate>(bad).unwrap_err().contains("neither a number nor none"), "{bad}");
        }
    }
}
