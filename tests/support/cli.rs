//! The command line against an installation.

use std::time::Duration;

use tokio::process::Command;

use super::{Running, binary};

/// How long a command may take.
const WITHIN: Duration = Duration::from_secs(60);

/// Runs the binary with the installation's connection file: standard output, or standard error and why it failed.
pub async fn busyhour(running: &Running, args: &[&str]) -> Result<String, String> {
    let folder = running.stage.folder();
    running.connection().write(folder).expect("the folder can be written");
    let mut command = Command::new(binary());
    command.args(args).arg("--connection").arg(folder.join("connection.json")).kill_on_drop(true);
    let output = tokio::time::timeout(WITHIN, command.output()).await.expect("it ends in time");
    let output = output.expect("it runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("text");
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}
