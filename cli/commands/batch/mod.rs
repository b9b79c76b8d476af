//! `busyhour batch`: a tenant's batches over the API, from the upload to the results.

pub mod args;
mod client;
mod control;
mod meter;
mod plan;
mod results;
mod submit;
mod upload;
mod watch;

use anyhow::Result;
use args::{BatchArgs, BatchCommand};
use serde_json::{Value, json};

use super::print_line as say;
use crate::client::{Client, Problem};

/// States in which a batch has no call or message left to start or in progress.
const OVER: [&str; 3] = ["completed", "expired", "cancelled"];

/// Carries out one command.
///
/// # Errors
/// The API refused or does not answer, a file cannot be read, or lines were refused; the error says how to go on.
pub async fn run(args: BatchArgs) -> Result<()> {
    match act(args).await {
        // Whoever reads has had enough, as `head` does.
        Err(error) if is_broken_pipe(&error) => Ok(()),
        done => done,
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let io = error.downcast_ref::<std::io::Error>();
    io.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

async fn act(args: BatchArgs) -> Result<()> {
    let client = Client::tenant(&args.connection, &args.tenant)?;
    let json = args.json;
    match args.command {
        BatchCommand::Submit(args) => submit::run(&client, &args, json).await,
        BatchCommand::Watch { sid } => watch::run(&client, &sid, json).await,
        BatchCommand::Results(args) => results::run(&client, &args, json).await,
        BatchCommand::Errors { sid } => results::errors(&client, &sid, json).await,
        BatchCommand::List { limit } => control::list(&client, limit, json).await,
        BatchCommand::Show { sid } => control::show(&client, &sid, json).await,
        BatchCommand::Start { sid } => control::post(&client, &sid, "start", json!({}), json).await,
        BatchCommand::Pause { sid } => control::post(&client, &sid, "pause", json!({}), json).await,
        BatchCommand::Resume { sid } => {
            control::post(&client, &sid, "resume", json!({}), json).await
        }
        BatchCommand::Cancel { sid, hang_up } => {
            control::post(&client, &sid, "cancel", json!({"hang_up": hang_up}), json).await
        }
        BatchCommand::Retry { sid, on } => control::retry(&client, &sid, &on, json).await,
        BatchCommand::Pace(args) => control::pace(&client, &args, json).await,
    }
}

fn number(value: &Value, field: &str) -> u64 {
    value[field].as_u64().unwrap_or_default()
}

fn text<'v>(value: &'v Value, field: &str) -> &'v str {
    value[field].as_str().unwrap_or_default()
}

/// How calls of a batch end, and messages: the field of its counts, and the words for it.
const CALLS_END: [(&str, &str); 5] = [
    ("completed", "completed"),
    ("busy", "busy"),
    ("no_answer", "no answer"),
    ("failed", "failed"),
    ("canceled", "canceled"),
];
const MESSAGES_END: [(&str, &str); 5] = [
    ("delivered", "delivered"),
    ("sent", "sent without a report"),
    ("undelivered", "undelivered"),
    ("failed", "failed"),
    ("canceled", "canceled"),
];

/// Whether a batch is one of messages.
fn is_of_messages(batch: &Value) -> bool {
    text(batch, "kind") == "messages"
}

/// How its requests end.
fn ends(batch: &Value) -> [(&'static str, &'static str); 5] {
    if is_of_messages(batch) { MESSAGES_END } else { CALLS_END }
}

/// How many requests of a batch have ended.
fn ended(batch: &Value) -> u64 {
    ends(batch).iter().map(|(field, _)| number(&batch["counts"], field)).sum()
}

/// Seconds as a person says them.
fn time_left(seconds: u64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{minutes} min {} s", seconds % 60),
        3_600..86_400 => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

fn is_over(batch: &Value) -> bool {
    OVER.contains(&text(batch, "status"))
}
