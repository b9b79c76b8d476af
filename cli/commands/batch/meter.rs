//! How far an upload is: a bar on a terminal, a line every few seconds elsewhere.

use std::{
    io::IsTerminal as _,
    time::{Duration, Instant},
};

use anyhow::Result;
use indicatif::{BinaryBytes, HumanCount, ProgressBar, ProgressStyle};

use crate::words::many;

/// How often a line is printed where no bar can be drawn.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Shows how far an upload is, on standard error.
pub(super) struct Meter {
    shown: Shown,
    length: u64,
    refused: u64,
    /// Where and when the upload began or went on.
    began: (u64, Instant),
}

enum Shown {
    Bar(ProgressBar),
    /// When the last line was printed.
    Lines(Instant),
}

impl Meter {
    pub(super) fn new(length: u64) -> Result<Self> {
        let shown = if std::io::stderr().is_terminal() {
            let bar = ProgressBar::new(length);
            let style = "{prefix}\n[{bar:32}] {percent:>3}% of {binary_total_bytes}  {wide_msg}";
            bar.set_style(ProgressStyle::with_template(style)?.progress_chars("=> "));
            Shown::Bar(bar)
        } else {
            Shown::Lines(Instant::now())
        };
        let began = (0, Instant::now());
        Ok(Self { shown, length, refused: 0, began })
    }

    /// Something else goes on from here.
    pub(super) fn doing(&mut self, what: String) {
        match &self.shown {
            Shown::Bar(bar) => {
                bar.set_position(0);
                bar.set_prefix(what);
                bar.set_message("");
            }
            Shown::Lines(_) => eprintln!("{what}"),
        }
        self.began = (0, Instant::now());
    }

    /// The bytes up to here were read.
    pub(super) fn passes(&self, byte: u64) {
        if let Shown::Bar(bar) = &self.shown {
            bar.set_position(byte);
        }
    }

    /// The upload begins, or goes on after an interruption.
    pub(super) fn begin(&mut self, at: u64) {
        self.began = (at, Instant::now());
        if at > 0 && matches!(self.shown, Shown::Lines(_)) {
            eprintln!("going on at {} of {}", BinaryBytes(at), BinaryBytes(self.length));
        }
    }

    /// The bytes up to here are through. `refused` lines more were refused.
    pub(super) fn at(&mut self, byte: u64, line: Option<u64>, refused: u64) {
        self.refused += refused;
        let text = self.text(byte, line);
        match &mut self.shown {
            Shown::Bar(bar) => {
                bar.set_position(byte);
                bar.set_message(text);
            }
            Shown::Lines(last) if last.elapsed() >= LINE_EVERY || byte == self.length => {
                let percent = byte * 100 / self.length.max(1);
                eprintln!("{percent}% of {}  {text}", BinaryBytes(self.length));
                *last = Instant::now();
            }
            Shown::Lines(_) => {}
        }
    }

    fn text(&self, byte: u64, line: Option<u64>) -> String {
        let mut parts = Vec::new();
        let (from, since) = self.began;
        let rate = byte.saturating_sub(from) as f64 / since.elapsed().as_secs_f64().max(1e-3);
        if rate > 0.0 {
            parts.push(format!("{}/s", BinaryBytes(rate as u64)));
            let left = self.length.saturating_sub(byte) as f64 / rate;
            if left >= 1.0 {
                parts.push(format!("{} left", super::time_left(left as u64)));
            }
        }
        if let Some(line) = line {
            parts.push(format!("line {}", HumanCount(line)));
        }
        if self.refused > 0 {
            parts.push(format!("{} refused", many(self.refused, "line")));
        }
        parts.join(", ")
    }

    /// The API is away.
    pub(super) fn waits(&mut self, why: &str) {
        match &mut self.shown {
            Shown::Bar(bar) => bar.set_message(format!("waiting: {why}")),
            Shown::Lines(last) if last.elapsed() >= LINE_EVERY => {
                eprintln!("waiting: {why}");
                *last = Instant::now();
            }
            Shown::Lines(_) => {}
        }
    }

    /// Takes the bar off the screen.
    pub(super) fn end(&self) {
        if let Shown::Bar(bar) = &self.shown {
            bar.finish_and_clear();
        }
    }
}
