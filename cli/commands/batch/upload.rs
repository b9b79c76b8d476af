//! A file's way to the API, part by part: from where the API says that it is, as often as it breaks off.

use std::{
    fs::File,
    io::{Read as _, Seek as _, SeekFrom},
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, ensure};
use reqwest::{Method, StatusCode};
use serde_json::Value;

use super::{Client, Problem, args::FileFormat, meter::Meter, number};
use crate::client::header;

/// Bytes of one part. A part that is lost costs as much again; each is acknowledged.
const PART_BYTES: u64 = 4 << 20;
/// Between tries of an API that does not answer.
const PAUSE: Duration = Duration::from_millis(500);

/// A file, and how it is written.
pub(super) struct Upload<'a> {
    pub client: &'a Client,
    pub file: File,
    pub path: PathBuf,
    pub length: u64,
    pub format: FileFormat,
    /// How long an API that is away is waited for.
    pub patience: Duration,
}

/// What the API says of an upload.
enum Step {
    At { offset: u64, line: u64, refused: u64 },
    Complete { refused: u64 },
}

impl Upload<'_> {
    /// Sends part after part from where the API says that the upload is.
    pub(super) async fn run(mut self, sid: &str, meter: &mut Meter) -> Result<()> {
        let path = format!("/v1/Batches/{sid}/lines");
        let mut at = None;
        let mut away: Option<Instant> = None;
        loop {
            let step = match at {
                None => self.ask(&path).await,
                Some(offset) => self.send(&path, offset).await,
            };
            match step {
                Ok(Step::Complete { refused }) => {
                    meter.at(self.length, None, refused);
                    return Ok(());
                }
                Ok(Step::At { offset, line, refused }) => {
                    ensure!(
                        offset <= self.length,
                        "{sid} has taken {offset} bytes, and {} has {}: it is another file",
                        self.path.display(),
                        self.length
                    );
                    if at.is_none() {
                        meter.begin(offset);
                    }
                    away = None;
                    meter.at(offset, Some(line), refused);
                    ensure!(
                        at != Some(offset),
                        "line {line}, at byte {offset}, is longer than a part of {PART_BYTES} bytes"
                    );
                    at = Some(offset);
                }
                Err(Problem::Away(why)) => {
                    let since = *away.get_or_insert_with(Instant::now);
                    ensure!(since.elapsed() < self.patience, "{why}");
                    meter.waits(&why);
                    tokio::time::sleep(PAUSE).await;
                    at = None;
                }
                // Another upload goes on with it, or a part of ours whose answer was lost: it is where it is.
                Err(Problem::Refused { status, offset: Some(_), message })
                    if status == StatusCode::CONFLICT =>
                {
                    let since = *away.get_or_insert_with(Instant::now);
                    ensure!(since.elapsed() < self.patience, "{message}");
                    tokio::time::sleep(PAUSE).await;
                    at = None;
                }
                Err(refused) => return Err(refused.into()),
            }
        }
    }

    async fn ask(&self, path: &str) -> Result<Step, Problem> {
        let response = self.client.send(self.client.request(Method::HEAD, path)).await?;
        Ok(step(&response, 0))
    }

    async fn send(&mut self, path: &str, offset: u64) -> Result<Step, Problem> {
        let part = self.part(offset).map_err(|error| Problem::Refused {
            status: StatusCode::BAD_REQUEST,
            message: format!("{error:#}"),
            offset: None,
        })?;
        let last = offset + part.len() as u64 >= self.length;
        let request = self.client.request(Method::PATCH, path);
        let request = request
            .header(
                "Content-Type",
                match self.format {
                    FileFormat::Csv => "text/csv",
                    FileFormat::Ndjson => "application/x-ndjson",
                },
            )
            .header("Upload-Offset", offset)
            .header("Upload-Complete", if last { "?1" } else { "?0" })
            .body(part);
        let response = self.client.send(request).await?;
        let now = step(&response, 0);
        let report: Value =
            response.json().await.map_err(|error| Problem::Away(error.to_string()))?;
        let refused = number(&report, "refused");
        Ok(match now {
            Step::At { offset, line, .. } => Step::At { offset, line, refused },
            Step::Complete { .. } => Step::Complete { refused },
        })
    }

    fn part(&mut self, offset: u64) -> Result<Vec<u8>> {
        let gone = || format!("{} cannot be read any more", self.path.display());
        self.file.seek(SeekFrom::Start(offset)).with_context(gone)?;
        let mut part = Vec::new();
        (&self.file).take(PART_BYTES).read_to_end(&mut part).with_context(gone)?;
        let expected = PART_BYTES.min(self.length - offset);
        ensure!(part.len() as u64 >= expected, "{} became shorter meanwhile", self.path.display());
        part.truncate(expected as usize);
        Ok(part)
    }
}

fn step(response: &reqwest::Response, refused: u64) -> Step {
    let complete = response.headers().get("upload-complete").is_some_and(|value| value == "?1");
    if complete {
        return Step::Complete { refused };
    }
    let read = |name| header(response, name).unwrap_or(0);
    Step::At { offset: read("upload-offset"), line: read("upload-line"), refused }
}
