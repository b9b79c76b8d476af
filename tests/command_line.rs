//! The command line without an installation: what is wrong is told with a way on, and nothing is said to nobody.

mod support;

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

use support::{binary, folder, root};

fn busyhour(args: &[&str]) -> Output {
    Command::new(binary()).args(args).current_dir(root()).output().expect("it runs")
}

/// What it says when it fails.
fn refusal(args: &[&str]) -> String {
    let output = busyhour(args);
    assert!(!output.status.success(), "{args:?}: {output:?}");
    String::from_utf8(output.stderr).expect("UTF-8")
}

#[test]
fn output_that_nobody_reads_is_no_error() {
    // The other end of the pipe is closed before the first byte.
    for args in [["simulate", "examples/demo", "--json"], ["check", "examples/demo", "--json"]] {
        let mut child = Command::new(binary())
            .args(args)
            .current_dir(root())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it runs");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("it ends");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !said.contains("pipe"), "{args:?}: {said}");
    }
}

#[test]
fn a_folder_without_declarations_is_not_what_was_meant() {
    let empty = folder("command-line-empty");
    fs::create_dir_all(&empty).expect("a folder");
    let shown = empty.to_string_lossy();
    for command in ["check", "simulate", "demo"] {
        let said = refusal(&[command, &shown]);
        assert!(said.contains(&format!("{shown} declares nothing")), "{command}: {said}");
        assert!(said.contains("examples/demo"), "{command}: {said}");
    }
}

#[test]
fn values_out_of_bounds_are_refused_by_name() {
    let cases: [(&[&str], &str); 3] = [
        (&["top", "--tenants", "0"], "'--tenants <N>': 0 is not in 1..=10000"),
        (&["top", "--every-ms", "5"], "'--every-ms <MS>': 5 is not in 100..=60000"),
        (&["batch", "pace", "BT1", "--max-concurrent", "-3"], "neither a number nor none"),
    ];
    for (args, expected) in cases {
        let said = refusal(args);
        assert!(said.contains(expected), "{args:?}: {said}");
    }
}

#[test]
fn definitions_are_written_to_a_folder_that_need_not_be_there() {
    let target = folder("command-line-crds").join("deep/er");
    let output = busyhour(&["crds", &target.to_string_lossy()]);
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(said.lines().count() >= 5, "{said}");
    assert!(said.lines().all(|line| Path::new(line).is_file()), "{said}");
}
