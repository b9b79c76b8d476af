//! The official SDKs, from their registries, against a running installation (SP-9, `WIRE.md`): create, fetch,
//! list, update, the documented refusals; and both official validators over the signatures that the tenant's
//! application server really received (SP-3).

mod support;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde_json::{Value, json};
use support::{Running, root, until};

/// Signatures that are judged.
const SAMPLES: usize = 5;

/// Runs a command to its end and shows what it said if it failed.
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?} failed\n{said}\n{errors}");
    said
}

/// Runs a command that asks a package registry; those do not answer every time.
fn install(command: &mut Command) {
    for _ in 0..2 {
        if command.output().is_ok_and(|output| output.status.success()) {
            return;
        }
    }
    run(command);
}

fn packages(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// Python with the SDK installed; kept from run to run.
fn python() -> PathBuf {
    let folder = packages("sdk-python");
    let python = folder.join("bin/python");
    if !python.exists() {
        run(Command::new("python3").args(["-m", "venv"]).arg(&folder));
    }
    let requirements = root().join("tests/sdk/python/requirements.txt");
    install(
        Command::new(&python)
            .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"])
            .arg(requirements),
    );
    python
}

/// A folder with the SDK and the script beside it, since Node looks for packages next to a script.
fn node() -> PathBuf {
    let folder = packages("sdk-node");
    for file in [
        "tests/sdk/node/package.json",
        "tests/sdk/node/package-lock.json",
        "tests/sdk/node/check.mjs",
        "tests/sdk/node/limits.mjs",
        "examples/sdk/busyhour-client.mjs",
    ] {
        let from = root().join(file);
        fs::copy(&from, folder.join(from.file_name().unwrap())).unwrap();
    }
    install(
        Command::new("npm")
            .args(["ci", "--prefer-offline", "--silent", "--no-audit", "--no-fund"])
            .current_dir(&folder),
    );
    folder
}

/// Calls whose documents come from the application server, so that there are real signatures to judge.
async fn signature_samples(running: &mut Running) -> Value {
    running.submit_all().await;
    let url = format!("http://{}/account", running.stage.address("application.http").unwrap());
    let account = running.account("north").sid;
    until("signed webhooks", Duration::from_secs(60), async || {
        let said = running.api.get(&url).await.ok()?;
        let ours = said["calls"].as_array()?.iter().filter(|call| call["account_sid"] == *account);
        let samples: Vec<_> = ours
            .flat_map(|call| call["exchanges"].as_array().into_iter().flatten())
            .map(|exchange| sample(running, exchange))
            .take(SAMPLES)
            .collect();
        (samples.len() == SAMPLES).then(|| json!(samples))
    })
    .await
}

/// One request as a validator wants it: whole URL, form as an object, signature.
fn sample(running: &Running, exchange: &Value) -> Value {
    let host = running.stage.address("application.http").unwrap();
    let pairs = exchange["parameters"].as_array().into_iter().flatten();
    let params: serde_json::Map<_, _> = pairs
        .map(|pair| (pair[0].as_str().unwrap_or_default().to_owned(), pair[1].clone()))
        .collect();
    json!({
        "url": format!("http://{host}{}", exchange["path"].as_str().unwrap_or_default()),
        "params": params,
        "signature": exchange["signature"],
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn the_official_python_and_node_sdks_work_unchanged() {
    let (python, node) = (python(), node());
    let mut running = Running::start("sdks", "quick").await;
    let mut connection = serde_json::to_value(running.connection()).unwrap();
    connection["signature_samples"] = signature_samples(&mut running).await;
    running.drained().await;
    let message =
        json!({"reference": "1", "from": "+15550107777", "to": "+15550100001", "body": "Hello?"});
    let brought = running.api.bring_message("quay", &message).await;
    connection["inbound_message"] = brought.unwrap_or_else(|error| panic!("{error:#}")).into();
    let file = running.stage.folder().join("connection.json");
    fs::write(&file, connection.to_string()).unwrap();
    both_succeed("check", (&python, &node), &file);
    running.end().await;

    let running = Running::start("sdks-limits", "limits").await;
    running.connection().write(running.stage.folder()).unwrap();
    let file = running.stage.folder().join("connection.json");
    both_succeed("limits", (&python, &node), &file);
    running.end().await;
}

/// The scripts of this name, Python's first.
fn both_succeed(name: &str, (python, node): (&Path, &Path), connection: &Path) {
    let script = root().join("tests/sdk/python").join(name).with_extension("py");
    let said = run(Command::new(python).arg(script).arg(connection));
    assert!(said.contains(r#""python": "ok""#), "{said}");
    let script = node.join(name).with_extension("mjs");
    let said = run(Command::new("node").arg(script).arg(connection));
    assert!(said.contains(r#""node":"ok""#), "{said}");
}
