//! What became of each line, as it becomes known; and what was wrong with those that were not accepted.

use std::{
    io::Write as _,
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

/// The columns of CSV.
const COLUMNS: [&str; 13] = [
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
/// How long an API that is away is tried again, and how often.
const PATIENCE: Duration = Duration::from_secs(300);
const PAUSE: Duration = Duration::from_secs(1);
/// How long nothing may come; the API sends something every 15 s.
const STILL_MAX: Duration = Duration::from_secs(60);
/// The longest line that is waited for.
const LINE_MAX: usize = 1 << 20;

/// Prints results as they come. Across an interruption it goes on behind the last line that was printed.
pub(super) async fn run(client: &Client, args: &ResultsArgs) -> Result<()> {
    let mut reading =
        Reading { args, after: args.after, left: args.limit, header: args.after.is_none() };
    let mut away_since: Option<Instant> = None;
    loop {
        let before = reading.after;
        match reading.read(client).await {
            Ok(()) => return Ok(()),
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
                _ => return Err(problem),
            },
        }
    }
}

struct Reading<'a> {
    args: &'a ResultsArgs,
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
        match self.args.format {
            FileFormat::Ndjson => output.write_all(line)?,
            FileFormat::Csv => {
                if std::mem::take(&mut self.header) {
                    writeln!(output, "{}", COLUMNS.join(","))?;
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
        format!("go on with `busyhour batch results {} --follow{after}`", self.args.sid)
    }
}

async fn next(response: &mut Response) -> Result<Option<Vec<u8>>, Problem> {
    let broke = |why: String| Problem::Away(format!("the results broke off: {why}"));
    let piece = tokio::time::timeout(STILL_MAX, response.chunk()).await;
    let piece = piece.map_err(|_| broke(format!("nothing within {} s", STILL_MAX.as_secs())))?;
    piece.map(|piece| piece.map(|piece| piece.to_vec())).map_err(|error| broke(error.to_string()))
}

fn row(result: &Value) -> String {
    let cells = COLUMNS.map(|column| match &result[column] {
        Value::Null => String::new(),
        Value::String(text) => cell(text),
        other => other.to_string(),
    });
    cells.join(",")
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
}
