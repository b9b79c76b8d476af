//! `busyhour opt-outs import`: a file of any length, in parts that the API takes as a whole each.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, Read as _},
};

use anyhow::{Context as _, Result, bail};
use reqwest::Method;
use serde::Deserialize;
use url::form_urlencoded;

use super::{super::print_line, ImportArgs};
use crate::{
    client::Client,
    words::{count, many},
};

/// Lines of one part, as many as the API takes.
const PART_LINES: u64 = 50_000;
/// Longest line that is read, in bytes; the API takes less, and names the line that is longer.
const LINE_MAX: u64 = 4_096;

/// What the API says of a part. One that is only checked adds nobody.
#[derive(Deserialize)]
struct Imported {
    lines: u64,
    added: Option<u64>,
    known: Option<u64>,
}

/// What all parts together have come to.
#[derive(Default)]
struct Sum {
    lines: u64,
    added: u64,
    known: u64,
}

/// A file that is read part by part.
struct Parts {
    file: BufReader<File>,
    /// The line of names of a CSV file.
    names: Vec<u8>,
    /// The number of the line that is read next.
    line: u64,
}

impl Parts {
    fn open(args: &ImportArgs, csv: bool) -> Result<Self> {
        let file =
            File::open(&args.file).with_context(|| format!("open {}", args.file.display()))?;
        let (mut file, mut names, mut line) = (BufReader::new(file), Vec::new(), 1);
        while csv && names.trim_ascii().is_empty() {
            names.clear();
            if read_line(&mut file, &mut names)? == 0 {
                bail!("{} is empty: a line of names is wanted first", args.file.display());
            }
            line += 1;
        }
        Ok(Self { file, names, line })
    }

    /// The next part with the number of its first line; nothing at the end.
    fn next(&mut self) -> Result<Option<(Vec<u8>, u64)>> {
        let (mut text, first) = (self.names.clone(), self.line);
        while self.line - first < PART_LINES && read_line(&mut self.file, &mut text)? > 0 {
            self.line += 1;
        }
        // The line of names stands where the line before the first one was.
        let named = u64::from(!self.names.is_empty());
        Ok((self.line > first).then_some((text, first - named)))
    }

    /// Whether one part is all.
    fn is_over(&mut self) -> Result<bool> {
        Ok(self.file.fill_buf()?.is_empty())
    }
}

/// Appends a line, or as much of it as is needed to see that it is too long.
fn read_line(file: &mut BufReader<File>, text: &mut Vec<u8>) -> io::Result<usize> {
    file.by_ref().take(LINE_MAX).read_until(b'\n', text)
}

/// A file of several parts is checked to its end before the first of them is sent, so that a wrong line changes nothing.
pub(super) async fn run(args: &ImportArgs) -> Result<()> {
    let client = Client::tenant(&args.connection, &args.tenant)?;
    let extension = args.file.extension().and_then(|extension| extension.to_str());
    let (kind, csv) = match extension {
        Some("csv") => ("text/csv", true),
        Some("ndjson" | "jsonl") => ("application/x-ndjson", false),
        _ => bail!("{}: a .csv, .ndjson or .jsonl file is wanted", args.file.display()),
    };
    let mut parts = Parts::open(args, csv)?;
    if parts.next()?.is_none() {
        let lines = if csv {
            "a line of names, such as To,From,Since, is followed by a line per person"
        } else {
            "an object per line, such as {\"To\": \"+15550001234\"}"
        };
        bail!("{} names nobody; allowed: {lines}", args.file.display());
    }
    let is_one_part = parts.is_over()?;
    if args.check || !is_one_part {
        let checked = send_all(&client, args, (kind, csv), true).await?;
        if args.check {
            let lines = many(checked.lines, "line");
            return print_line(&format!("{lines} checked, none is wrong; nothing was changed"));
        }
    }
    let Sum { lines, added, known } = send_all(&client, args, (kind, csv), false).await?;
    let (lines, added, known) = (many(lines, "line"), count(added), count(known));
    print_line(&format!("{lines}: {added} added, {known} known before"))
}

/// Sends the file from its first part to its last.
async fn send_all(
    client: &Client,
    args: &ImportArgs,
    (kind, csv): (&str, bool),
    checks: bool,
) -> Result<Sum> {
    let (mut parts, mut sum) = (Parts::open(args, csv)?, Sum::default());
    while let Some(part) = parts.next()? {
        let said = send(client, args, kind, checks, part).await?;
        sum.lines += said.lines;
        sum.added += said.added.unwrap_or(0);
        sum.known += said.known.unwrap_or(0);
    }
    Ok(sum)
}

async fn send(
    client: &Client,
    args: &ImportArgs,
    kind: &str,
    checks: bool,
    (text, first_line): (Vec<u8>, u64),
) -> Result<Imported> {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("FirstLine", &first_line.to_string());
    query.append_pair("Check", if checks { "true" } else { "false" });
    if let Some(from) = &args.from {
        query.append_pair("From", from);
    }
    let request = client.request(Method::POST, &format!("/v1/OptOuts?{}", query.finish()));
    Ok(client.json(request.header("content-type", kind).body(text)).await?)
}
