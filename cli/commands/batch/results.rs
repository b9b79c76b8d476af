//! What became of each line, as it becomes known; and what was wrong with those that were not accepted.

use std::{
    io::{IsTerminal as _, Write as _},
    time::{Duration, Instant},
};

use anyhow::Result;
use reqwest::{Method, Response};
use serde_json::Value;

use super::{
    Client, Problem,
    args::{FileFormat, ResultsArgs},
    number, say, text,
};

/// The columns of CSV, of calls.
const CALLS: [&str; 13] = [
    "custom_id",
    "call_sid",
    "to",
    "from",
    "status",
    "reason",
    "sip_code",
    "attempts",
    "held_by",
    "digits",
    "dialled_at",
    "ended_at",
    "talk_ms",
];
/// The same of messages.
const MESSAGES: [&str; 12] = [
    "custom_id",
    "message_sid",
    "to",
    "from",
    "status",
    "reason",
    "error_code",
    "segments",
    "attempts",
    "held_by",
    "sent_at",
    "ended_at",
];
/// How long an API that is away is tried again, and how often.
const PATIENCE: Duration = Duration::from_secs(300);
const PAUSE: Duration = Duration::from_secs(1);
/// How long nothing may come; the API sends something every 15 s.
const STILL_MAX: Duration = Duration::from_secs(60);
/// The longest line that is waited for.
const LINE_MAX: usize = 1 << 20;

/// Prints results as they come. Across an interruption it goes on behind the last line that was printed.
pub(super) async fn run(client: &Client, args: &ResultsArgs, as_json: bool) -> Result<()> {
    let shape = match args.format {
        Some(FileFormat::Csv) => Shape::Csv,
        None if !as_json && std::io::stdout().is_terminal() => Shape::Table,
        _ => Shape::Ndjson,
    };
    let mut reading =
        Reading { args, shape, after: args.after, left: args.limit, header: args.after.is_none() };
    let mut away_since: Option<Instant> = None;
    loop {
        let before = reading.after;
        match reading.read(client).await {
            Ok(()) => return reading.end(client).await,
            Err(problem) => match problem.downcast_ref::<Problem>() {
                Some(Problem::Away(_)) if args.follow => {
                    if reading.after != before {
                        away_since = None;
                    }
                    let since = *away_since.get_or_insert_with(Instant::now);
                    if since.elapsed() >= PATIENCE {
                        return Err(problem.context(reading.how_to_go_on()));
                    }
                    tokio::time::sleep(PAUSE).await;
                }
                // What was printed need not be printed again.
                Some(Problem::Away(_)) => return Err(problem.context(reading.how_to_go_on())),
                _ => return Err(problem),
            },
        }
    }
}

/// How results are written.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Shape {
    Csv,
    Ndjson,
    /// For a person at a terminal.
    Table,
}

struct Reading<'a> {
    args: &'a ResultsArgs,
    shape: Shape,
    after: Option<u64>,
    left: Option<u64>,
    /// The line of names is still to be printed.
    header: bool,
}

impl Reading<'_> {
    async fn read(&mut self, client: &Client) -> Result<()> {
        let mut path = format!("/v1/Batches/{}/results?follow={}", self.args.sid, self.args.follow);
        if let Some(after) = self.after {
            path += &format!("&after={after}");
        }
        if let Some(left) = self.left {
            if left == 0 {
                return Ok(());
            }
            path += &format!("&limit={left}");
        }
        let mut response = client.send(client.request(Method::GET, &path)).await?;
        let mut rest = Vec::new();
        while let Some(piece) = next(&mut response).await? {
            rest.extend_from_slice(&piece);
            while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = rest.drain(..=end).collect();
                self.print(line.trim_ascii())?;
            }
            anyhow::ensure!(rest.len() <= LINE_MAX, "a result is longer than {LINE_MAX} bytes");
        }
        Ok(())
    }

    fn print(&mut self, line: &[u8]) -> Result<()> {
        if line.is_empty() {
            return Ok(()); // The API keeps the connection alive.
        }
        let result: Value = serde_json::from_slice(line)?;
        let mut output = std::io::stdout().lock();
        match self.shape {
            Shape::Ndjson => output.write_all(line)?,
            Shape::Table => {
                if std::mem::take(&mut self.header) {
                    writeln!(output, "{}", table_row(TABLE.map(|(name, _)| name.to_owned())))?;
                }
                output.write_all(table_row(shown(&result)).as_bytes())?;
            }
            Shape::Csv => {
                if std::mem::take(&mut self.header) {
                    writeln!(output, "{}", columns(&result).join(","))?;
                }
                output.write_all(row(&result).as_bytes())?;
            }
        }
        output.write_all(b"\n")?;
        output.flush()?;
        self.after = result["cursor"].as_u64().or(self.after);
        self.left = self.left.map(|left| left.saturating_sub(1));
        Ok(())
    }

    fn how_to_go_on(&self) -> String {
        let after = self.after.map_or(String::new(), |after| format!(" --after {after}"));
        let follow = if self.args.follow { " --follow" } else { "" };
        format!("go on with `busyhour batch results {}{follow}{after}`", self.args.sid)
    }

    /// Tells a person, beside the results, how to see what is yet to come.
    async fn end(&self, client: &Client) -> Result<()> {
        if !std::io::stderr().is_terminal() || self.left == Some(0) {
            return Ok(());
        }
        let batch = client.batch(&self.args.sid).await?;
        if !super::is_over(&batch) {
            let after = self.after.map_or(String::new(), |after| format!(" --after {after}"));
            let sid = &self.args.sid;
            eprintln!(
                "{sid} is {}: for what comes next, `busyhour batch results {sid} --follow{after}`",
                text(&batch, "status")
            );
        } else if self.after.is_none() {
            eprintln!("{} is {} and has no results", self.args.sid, text(&batch, "status"));
        }
        Ok(())
    }
}

async fn next(response: &mut Response) -> Result<Option<Vec<u8>>, Problem> {
    let broke = |why: String| Problem::Away(format!("the results broke off: {why}"));
    let piece = tokio::time::timeout(STILL_MAX, response.chunk()).await;
    let piece = piece.map_err(|_| broke(format!("nothing within {} s", STILL_MAX.as_secs())))?;
    piece.map(|piece| piece.map(|piece| piece.to_vec())).map_err(|error| broke(error.to_string()))
}

/// The columns of CSV for results of this kind.
fn columns(result: &Value) -> &'static [&'static str] {
    if result["message_sid"].is_string() { &MESSAGES } else { &CALLS }
}

fn row(result: &Value) -> String {
    let cells = columns(result).iter().map(|column| match &result[*column] {
        Value::Null => String::new(),
        Value::String(text) => cell(text),
        other => other.to_string(),
    });
    cells.collect::<Vec<_>>().join(",")
}

/// The columns of the table, and how wide they are.
const TABLE: [(&str, usize); 6] =
    [("custom_id", 20), ("to", 15), ("status", 11), ("tries", 5), ("talk", 6), ("why", 0)];

fn shown(result: &Value) -> [String; 6] {
    let talk = number(result, "talk_ms");
    let talk = if talk == 0 { String::new() } else { format!("{} s", talk.div_ceil(1_000)) };
    let code = result["sip_code"].as_u64().map(|code| format!("SIP {code}"));
    let code = code.or(result["error_code"].as_u64().map(|code| format!("code {code}")));
    let why = match (text(result, "reason"), code) {
        ("completed" | "delivered", _) => String::new(),
        (reason, Some(code)) => format!("{reason} ({code})"),
        (reason, None) => reason.to_owned(),
    };
    let [id, to, status] =
        ["custom_id", "to", "status"].map(|field| text(result, field).to_owned());
    [id, to, status, number(result, "attempts").to_string(), talk, why]
}

fn table_row(cells: [String; 6]) -> String {
    let cells = cells.iter().zip(TABLE).map(|(cell, (name, width))| match name {
        "tries" | "talk" => format!("{cell:>width$}"),
        _ => format!("{cell:<width$}"),
    });
    cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
}

/// RFC 4180.
fn cell(text: &str) -> String {
    if text.contains(['"', ',', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

/// What was wrong with lines.
pub(super) async fn errors(client: &Client, sid: &str, as_json: bool) -> Result<()> {
    let response = client.send(client.request(Method::GET, &format!("/v1/Batches/{sid}/errors")));
    let lines = response.await?.text().await?;
    for line in lines.lines().filter(|line| !line.is_empty()) {
        say(&if as_json { line.to_owned() } else { fault(&serde_json::from_str(line)?) })?;
    }
    let refused = number(&client.batch(sid).await?["upload"], "refused");
    let told = lines.lines().count() as u64;
    if refused == 0 {
        eprintln!("no line of {sid} was refused");
    }
    if refused > told {
        eprintln!(
            "{} more lines were refused; what was wrong with them is not kept",
            refused - told
        );
    }
    Ok(())
}

pub(super) fn fault(error: &Value) -> String {
    let id = error["custom_id"].as_str().map_or(String::new(), |id| format!(" ({id})"));
    format!(
        "line {}{id}: {} (code {})",
        number(error, "line"),
        text(error, "message"),
        number(error, "code")
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_result_is_a_row_whatever_it_holds() {
        let result = json!({"custom_id": "a,\"b\"", "to": "+1", "attempts": 2, "sip_code": null});
        assert_eq!(row(&result), "\"a,\"\"b\"\"\",,+1,,,,,2,,,,,");
    }

    #[test]
    fn a_person_sees_what_became_of_each_line_and_why() {
        let busy = json!({"custom_id": "ann", "to": "+15550100001", "status": "busy", "reason": "busy",
            "sip_code": 486, "attempts": 3, "talk_ms": 0});
        let row = table_row(shown(&busy));
        assert_eq!(
            row,
            "ann                   +15550100001     busy             3          busy (SIP 486)"
        );
        let done = json!({"custom_id": "bob", "to": "+15550100002", "status": "completed",
            "reason": "completed", "sip_code": 200, "attempts": 1, "talk_ms": 2_100});
        let row = table_row(shown(&done));
        assert_eq!(row, "bob                   +15550100002     completed        1     3 s");
        let text = json!({"custom_id": "cyd", "to": "+15550100003", "status": "undelivered",
            "reason": "unknown_handset", "error_code": 30_005, "attempts": 1, "message_sid": "SM1"});
        let row = table_row(shown(&text));
        assert!(row.ends_with("undelivered      1          unknown_handset (code 30005)"), "{row}");
        assert!(table_row(TABLE.map(|(name, _)| name.to_owned())).starts_with("custom_id "));
    }
}
