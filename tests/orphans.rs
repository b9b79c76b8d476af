//! Whatever becomes of the process that runs an installation, nothing of it stays behind.

mod support;

use std::{collections::BTreeSet, fs, process::Stdio, time::Duration};

use support::{binary, folder, root, until};

/// Processes that `parent` has started and that have not ended.
fn children(parent: u32) -> BTreeSet<u32> {
    let all = fs::read_dir("/proc").unwrap().flatten();
    let all = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    all.filter(|process| fields(*process).is_some_and(|(_, its)| its == parent)).collect()
}

fn runs(process: u32) -> bool {
    fields(process).is_some_and(|(state, _)| state != "Z")
}

/// A process's state and parent (proc(5)).
fn fields(process: u32) -> Option<(String, u32)> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut rest = rest.split(' ');
    Some((rest.next()?.to_owned(), rest.next()?.parse().ok()?))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_demo_leaves_nothing_running() {
    const PARTS: usize = 5;
    let mut demo = tokio::process::Command::new(binary())
        .args(["demo", "--keep", "--folder"])
        .arg(folder("orphans"))
        .arg(root().join("tests/scenarios/quick"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let id = demo.id().unwrap();
    let parts = until("every part to run", Duration::from_secs(60), async || {
        Some(children(id)).filter(|parts| parts.len() == PARTS)
    })
    .await;
    demo.kill().await.unwrap();
    until("every part to end", Duration::from_secs(60), async || {
        parts.iter().all(|part| !runs(*part)).then_some(())
    })
    .await;
}
