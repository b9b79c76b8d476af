//! One `flite` process: started, limited and waiting for its text on standard input.

use std::{
    io,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use tokio::{
    io::AsyncWriteExt,
    process::{Child, Command},
    time::timeout,
};

/// CPU time of one process: it speaks 92 times faster than it is heard, so this is half an hour of speech.
const CPU_MAX_S: u64 = 20;
/// Address space; `flite` with its voices maps about 60 MiB.
const MEMORY_MAX_BYTES: u64 = 512 << 20;
/// The sound file: ten minutes at 16 kHz and 16 bits are 19 MB.
const FILE_MAX_BYTES: u64 = 40 << 20;
/// Open files.
const FILES_MAX: u64 = 32;

/// Voices of Debian's `flite`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Voice {
    /// Female, 16 kHz; the default.
    Slt,
    /// Male, 16 kHz.
    Rms,
    /// Male, Scottish, 16 kHz.
    Awb,
    /// Male, 8 kHz, the quickest.
    Kal,
    /// Male, 16 kHz, from diphones.
    Kal16,
}

impl Voice {
    /// The voice for a name that a document gives; names of other engines get the default.
    pub fn named(name: &str) -> Self {
        match name.to_ascii_lowercase().as_str() {
            "rms" | "man" => Self::Rms,
            "awb" => Self::Awb,
            "kal" => Self::Kal,
            "kal16" => Self::Kal16,
            _ => Self::Slt,
        }
    }

    /// `flite`'s name for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Slt => "slt",
            Self::Rms => "rms",
            Self::Awb => "awb",
            Self::Kal => "kal",
            Self::Kal16 => "kal16",
        }
    }
}

/// Why a process gave no sound.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The deadline passed.
    #[error("no sound in time ({} ms)", .0.as_millis())]
    Late(Duration),
    /// It ended otherwise than well.
    #[error("the engine ended with {0}")]
    Failed(std::process::ExitStatus),
    /// Reading or writing failed.
    #[error("the engine could not be reached: {0}")]
    Io(#[from] io::Error),
}

/// A process that waits for its text. Dropping it kills it.
pub struct Worker {
    child: Child,
    output: PathBuf,
}

impl Worker {
    /// Starts a process. The text is not on its command line, which every user of the machine can read.
    pub fn start(flite: &Path, voice: Voice, output: PathBuf) -> io::Result<Self> {
        let mut command = Command::new(flite);
        command
            .args(["-voice", voice.name(), "-f", "/dev/stdin", "-o"])
            .arg(&output)
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        let child = command.spawn()?;
        if let Some(pid) = child.id().and_then(|id| Pid::from_raw(id.cast_signed())) {
            limit(pid);
        }
        Ok(Self { child, output })
    }

    /// Gives it its text and returns the WAV file that it writes.
    pub async fn speak(mut self, text: &str, deadline: Duration) -> Result<Vec<u8>, WorkerError> {
        match timeout(deadline, self.exchange(text)).await {
            Ok(result) => result,
            Err(_) => Err(WorkerError::Late(deadline)),
        }
    }

    async fn exchange(&mut self, text: &str) -> Result<Vec<u8>, WorkerError> {
        if let Some(mut stdin) = self.child.stdin.take() {
            stdin.write_all(text.as_bytes()).await?;
            stdin.write_all(b"\n").await?;
        }
        let status = self.child.wait().await?;
        if !status.success() {
            return Err(WorkerError::Failed(status));
        }
        Ok(tokio::fs::read(&self.output).await?)
    }

    /// Whether it still waits, and has not died of itself.
    pub fn is_waiting(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Its own file, which it may not have written.
        let _ = std::fs::remove_file(&self.output);
    }
}

/// Limits apply from the outside, so that nothing runs between fork and exec. A process that has ended already
/// needs none.
fn limit(pid: Pid) {
    let limits = [
        (Resource::Cpu, CPU_MAX_S),
        (Resource::As, MEMORY_MAX_BYTES),
        (Resource::Fsize, FILE_MAX_BYTES),
        (Resource::Nofile, FILES_MAX),
        (Resource::Core, 0),
    ];
    for (resource, most) in limits {
        let limit = Rlimit { current: Some(most), maximum: Some(most) };
        if let Err(error) = prlimit(Some(pid), resource, limit) {
            tracing::debug!(%error, ?resource, "limit not set on a speech process");
        }
    }
}
