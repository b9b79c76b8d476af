//! What the carrier within the controller counts for itself, from what it was handed alone: a line in a file for each
//! message before it is answered, which outlives a kill of the process, and the segments of the last second.

use std::{
    collections::VecDeque,
    fs::{File, OpenOptions},
    io::Write as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use busyhour_base::{Span, Timestamp};
use serde::Serialize;

use crate::metric_definitions as names;

/// The file is put aside at this size, in place of the one that was put aside before.
const FILE_MAX: u64 = 64 << 20;

/// One message that was handed over.
#[derive(Serialize)]
pub(super) struct Line {
    /// When, in microseconds.
    pub at: Timestamp,
    /// Its sid.
    pub message: String,
    /// Which attempt.
    pub attempt: u16,
    /// How many segments.
    pub segments: u16,
    /// What becomes of it.
    pub fate: &'static str,
}

/// The account.
pub(super) struct Account {
    carrier: Arc<str>,
    path: PathBuf,
    file: Option<File>,
    bytes: u64,
    rate: Rate,
}

impl Account {
    /// Goes on with the file `NAME.ndjson` of the folder, or begins it.
    pub(super) fn open(folder: &Path, carrier: &Arc<str>, rate: u32) -> Self {
        let path = folder.join(format!("{carrier}.ndjson"));
        let mut account = Self {
            carrier: Arc::clone(carrier),
            path,
            file: None,
            bytes: 0,
            rate: Rate::new(rate),
        };
        account.open_file();
        account
    }

    fn open_file(&mut self) {
        match OpenOptions::new().create(true).append(true).open(&self.path) {
            Ok(file) => {
                self.bytes = file.metadata().map_or(0, |meta| meta.len());
                self.file = Some(file);
            }
            Err(error) => {
                tracing::error!(carrier = &*self.carrier, %error, "the carrier within the controller keeps no account");
                self.file = None;
            }
        }
    }

    /// Notes a message whose segments leave so far apart.
    pub(super) fn take(&mut self, line: &Line, spacing: Span) {
        self.write(line);
        let mut breaches = 0;
        for segment in 0..u64::from(line.segments) {
            let at = line.at.as_micros() + segment * spacing.as_micros();
            breaches += u64::from(self.rate.segment(at));
        }
        let carrier = || self.carrier.to_string();
        metrics::counter!(names::IN_PROCESS_SEGMENTS, "carrier" => carrier())
            .increment(line.segments.into());
        metrics::counter!(names::IN_PROCESS_BREACHES, "carrier" => carrier()).increment(breaches);
        metrics::gauge!(names::IN_PROCESS_PEAK, "carrier" => carrier()).set(self.rate.peak as f64);
    }

    fn write(&mut self, line: &Line) {
        if self.bytes >= FILE_MAX {
            let aside = self.path.with_extension("ndjson.1");
            if let Err(error) = std::fs::rename(&self.path, aside) {
                tracing::error!(carrier = &*self.carrier, %error, "the account cannot be put aside");
            }
            self.open_file();
        }
        let Some(file) = &mut self.file else { return };
        let mut text = serde_json::to_string(line).unwrap_or_default();
        text.push('\n');
        match file.write_all(text.as_bytes()) {
            Ok(()) => self.bytes += text.len() as u64,
            Err(error) => {
                tracing::error!(carrier = &*self.carrier, %error, "the account cannot be written");
            }
        }
    }
}

/// Segments in a rolling second.
struct Rate {
    contract: u32,
    last_second: VecDeque<u64>,
    peak: usize,
}

impl Rate {
    fn new(contract: u32) -> Self {
        Self { contract, last_second: VecDeque::new(), peak: 0 }
    }

    /// A segment at an instant in microseconds. Answers whether it is one too many.
    fn segment(&mut self, at: u64) -> bool {
        while self.last_second.front().is_some_and(|first| first + 1_000_000 <= at) {
            self.last_second.pop_front();
        }
        self.last_second.push_back(at);
        self.peak = self.peak.max(self.last_second.len());
        let breach = self.last_second.len() > self.contract as usize;
        // What is over the contract is told of; it need not be remembered as well.
        self.last_second.truncate(2 * self.contract as usize + 1);
        breach
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mt_12_a_segment_over_the_contract_in_any_second_is_a_breach() {
        let mut rate = Rate::new(2);
        let told: Vec<_> = [0, 500_000, 999_999, 1_000_000, 1_500_000]
            .into_iter()
            .map(|at| rate.segment(at))
            .collect();
        assert_eq!(told, [false, false, true, true, true]);
        assert_eq!(rate.peak, 3);
        assert!(!rate.segment(9_000_000));
    }

    #[test]
    fn every_message_is_a_line_that_the_next_process_goes_on_with() {
        let folder = tempfile::tempdir().unwrap();
        let line = |message: &str| Line {
            at: Timestamp(1),
            message: message.to_owned(),
            attempt: 1,
            segments: 2,
            fate: "delivered",
        };
        for message in ["SM1", "SM2"] {
            let mut account = Account::open(folder.path(), &Arc::from("text"), 10);
            account.take(&line(message), Span::from_millis(100));
        }
        let text = std::fs::read_to_string(folder.path().join("text.ndjson")).unwrap();
        let messages: Vec<serde_json::Value> =
            text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(messages.len(), 2);
        assert_eq!((&messages[1]["message"], &messages[1]["segments"]), (&"SM2".into(), &2.into()));
    }
}
