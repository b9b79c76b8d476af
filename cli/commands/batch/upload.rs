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

/// Bytes of the first part, of the smallest, which is larger than any line may be, and of the largest. A part that is lost costs
/// as much again, and the bar moves with each.
const PART_BYTES: u64 = 256 << 10;
const PART_BYTES_MIN: u64 = 128 << 10;
const PART_BYTES_MAX: u64 = 4 << 20;
/// How long a part should take: one that takes less is followed by a larger one, one that takes much more by a smaller one.
const PART_TAKES: Duration = Duration::from_millis(400);
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
    /// How large the next part is to be.
    pub part_bytes: PartBytes,
}

/// The size of the next part, by how long the last one took.
pub(super) struct PartBytes(u64);

impl Default for PartBytes {
    fn default() -> Self {
        Self(PART_BYTES)
    }
}

impl PartBytes {
    fn took(&mut self, time: Duration) {
        if time < PART_TAKES {
            self.0 = (self.0 * 2).min(PART_BYTES_MAX);
        } else if time > PART_TAKES * 4 {
            self.0 = (self.0 / 2).max(PART_BYTES_MIN);
        }
    }
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
                        "{sid} has taken {offset} bytes, and {} has {}: it is another file; `busyhour batch show {sid}` \
                         tells what it is, and without --into the file becomes a batch of its own",
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
                        "line {line}, at byte {offset}, is longer than a line may be"
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
        let began = Instant::now();
        let response = self.client.send(request).await?;
        let now = step(&response, 0);
        self.part_bytes.took(began.elapsed());
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
        let most = self.part_bytes.0;
        (&self.file).take(most).read_to_end(&mut part).with_context(gone)?;
        let expected = most.min(self.length - offset);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_grow_while_they_are_quick_and_shrink_when_they_are_slow_within_bounds() {
        let mut bytes = PartBytes::default();
        (0..20).for_each(|_| bytes.took(Duration::from_millis(10)));
        assert_eq!(bytes.0, PART_BYTES_MAX);
        bytes.took(PART_TAKES * 2);
        assert_eq!(bytes.0, PART_BYTES_MAX, "it is as it should be");
        (0..20).for_each(|_| bytes.took(Duration::from_secs(9)));
        assert_eq!(bytes.0, PART_BYTES_MIN);
    }
}
