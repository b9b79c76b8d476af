//! What every subcommand needs of its process: logs, TLS, a runtime, signals, the ready line, an exit code.

use std::{
    fs,
    future::Future,
    io::{IsTerminal, Write},
    path::Path,
    process::ExitCode,
};

use anyhow::{Context, Result};
use rustix::process::{Signal, getpid, kill_process};
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

/// Logs go to standard error (`RUST_LOG` chooses, `info` without it); TLS is rustls with ring.
pub fn prepare() {
    // The SIP library prints whole messages, with credentials, below warnings.
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new("info,rsipstack=error"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    prepare_tls();
}

/// Chooses the TLS provider, once for the process.
pub fn prepare_tls() {
    // Only the first installation counts, and all install the same.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Runs to the end; an error goes to standard error with all its causes.
pub fn block_on(run: impl Future<Output = Result<()>>) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: no runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(run) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if nobody_reads(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", causes(&error));
            ExitCode::FAILURE
        }
    }
}

/// Standard output goes to something like `head`, which has read all that it wants. Nothing else gives an error of input and
/// output without saying what of.
fn nobody_reads(error: &anyhow::Error) -> bool {
    let error = error.downcast_ref::<std::io::Error>();
    error.is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
}

/// An error with its causes, without those that the text before them tells already.
fn causes(error: &anyhow::Error) -> String {
    error.chain().map(ToString::to_string).fold(String::new(), |told, cause| {
        if told.contains(&cause) {
            told
        } else if told.is_empty() {
            cause
        } else {
            format!("{told}: {cause}")
        }
    })
}

/// Cancelled at the first SIGINT, SIGTERM or SIGHUP (the terminal was closed).
///
/// # Errors
/// The signals cannot be listened to.
pub fn shutdown() -> Result<CancellationToken> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hang_up = signal(SignalKind::hangup())?;
    let token = CancellationToken::new();
    let cancelled = token.clone();
    tokio::spawn(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hang_up.recv() => {}
        }
        cancelled.cancel();
    });
    Ok(token)
}

/// Ends this process as SIGTERM does once standard input has come to its end. Whoever started it with a pipe for
/// its input leaves nothing behind, even when killed.
pub fn end_with_input() {
    std::thread::spawn(|| {
        // An error is an end as well.
        let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        // A process may always signal itself.
        let _ = kill_process(getpid(), Signal::TERM);
    });
}

/// The one line on standard output that says that a part is up, and where.
///
/// # Errors
/// Standard output is closed.
pub fn say_ready(part: &str, addresses: &impl Serialize) -> Result<()> {
    let mut line = serde_json::to_value(addresses)?;
    line["ready"] = part.into();
    let mut output = std::io::stdout().lock();
    writeln!(output, "{line}")?;
    output.flush().context("saying that it is ready")
}

/// A secret out of a file, without the line's end.
///
/// # Errors
/// It cannot be read, or is empty.
pub fn read_secret(path: &Path) -> Result<String> {
    let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
    let secret = text.trim();
    anyhow::ensure!(!secret.is_empty(), "{} is empty; it must hold a secret", path.display());
    Ok(secret.to_owned())
}

#[cfg(test)]
mod tests {
    use anyhow::anyhow;

    use super::*;

    #[test]
    fn a_cause_is_told_once() {
        let error =
            anyhow!("the disk is full").context("writing a: the disk is full").context("log");
        assert_eq!(causes(&error), "log: writing a: the disk is full");
    }
}
