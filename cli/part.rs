//! One part of an installation as a process of its own: this binary with a subcommand, its log in a file,
//! known to be up by its one ready line.

use std::{
    fs::OpenOptions,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    time::timeout,
};

/// How long a part may take from its start to its ready line.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// How long a part may take to end when asked.
const END_WITHIN: Duration = Duration::from_secs(10);

/// One running part.
pub struct Part {
    name: String,
    log: PathBuf,
    child: Child,
    ready: Value,
}

impl Part {
    /// Starts `BINARY ARGS`, with its log appended to `FOLDER/NAME.log`, and waits for its ready line. It ends with
    /// this process, even if that is killed.
    ///
    /// # Errors
    /// It cannot be started, ends before it is ready, or is not ready in time. The error shows its log.
    pub async fn start(binary: &Path, folder: &Path, name: &str, args: &[String]) -> Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let errors = OpenOptions::new().create(true).append(true).open(&log);
        let errors = errors.with_context(|| format!("creating {}", log.display()))?;
        let mut child = Command::new(binary)
            .args(args)
            .arg("--end-with-input")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(errors)
            .kill_on_drop(true)
            .process_group(0)
            .spawn()
            .with_context(|| format!("starting {name}"))?;
        let output = child.stdout.take().context("a piped standard output")?;
        let mut lines = BufReader::new(output).lines();
        let line = match timeout(READY_WITHIN, lines.next_line()).await {
            Ok(line) => line?,
            Err(_) => bail!("{name} was not ready in {READY_WITHIN:?}:\n{}", last_lines(&log)),
        };
        let Some(line) = line else {
            bail!("{name} ended before it was ready:\n{}", last_lines(&log));
        };
        let ready = serde_json::from_str(&line)
            .with_context(|| format!("{name} said {line:?} instead of its ready line"))?;
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(Self { name: name.to_owned(), log, child, ready })
    }

    /// The process, until it has ended.
    pub fn id(&self) -> Option<u32> {
        self.child.id()
    }

    /// An address out of the ready line.
    ///
    /// # Errors
    /// The ready line has no such field.
    pub fn address(&self, field: &str) -> Result<String> {
        match self.ready[field].as_str() {
            Some(address) => Ok(address.to_owned()),
            None => bail!("{} did not say its {field} address: {}", self.name, self.ready),
        }
    }

    /// Where its log is.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Fails if the part has ended by itself.
    ///
    /// # Errors
    /// It has; the error shows the end of its log.
    pub fn check(&mut self) -> Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => bail!("{} ended ({status}):\n{}", self.name, last_lines(&self.log)),
        }
    }

    /// Sends it a signal, as an operator or a fault would.
    pub fn signal(&self, signal: Signal) {
        if let Some(pid) = self.child.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
            // It may have ended in this very moment, which is what the signal was for.
            let _ = kill_process(pid, signal);
        }
    }

    /// Ends it as a power failure would: no warning, no last words.
    ///
    /// # Errors
    /// The process cannot be waited for.
    pub async fn kill(mut self) -> Result<()> {
        self.child.kill().await.with_context(|| format!("killing {}", self.name))
    }

    /// Asks it to end, and kills it if it does not.
    pub async fn end(mut self) {
        self.signal(Signal::TERM);
        if timeout(END_WITHIN, self.child.wait()).await.is_err() {
            let _ = self.child.kill().await;
        }
    }
}

fn last_lines(log: &Path) -> String {
    let text = std::fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    format!("{}\n(from {})", lines[lines.len().saturating_sub(15)..].join("\n"), log.display())
}
