//! Holds the direction of dependencies that `docs/ARCHITECTURE.md` draws: a crate may use what its row
//! names and nothing else of ours, and a pure crate may use no library that does I/O.

use std::{collections::BTreeMap, process::Command};

use serde_json::Value;

/// Each crate of ours and the crates of ours that it may use (not counting its tests).
const MAY_USE: &[(&str, &[&str])] = &[
    ("busyhour-base", &[]),
    ("busyhour-protocol", &["busyhour-base"]),
    ("busyhour-controller-core", &["busyhour-base"]),
    // Documents are an adapter of the core: the one place that turns them into its `spec` types.
    ("busyhour-crds", &["busyhour-base", "busyhour-controller-core"]),
    ("busyhour-log", &["busyhour-base"]),
    ("busyhour-records", &["busyhour-base", "busyhour-controller-core"]),
    ("busyhour-api", &["busyhour-base", "busyhour-controller-core", "busyhour-records"]),
    (
        "busyhour-controller",
        &[
            "busyhour-base",
            "busyhour-protocol",
            "busyhour-crds",
            "busyhour-controller-core",
            "busyhour-log",
            "busyhour-records",
            "busyhour-api",
        ],
    ),
    ("busyhour-agent-core", &["busyhour-base"]),
    ("busyhour-agent", &["busyhour-base", "busyhour-protocol", "busyhour-agent-core"]),
    (
        "busyhour-simulations",
        &["busyhour-base", "busyhour-crds", "busyhour-controller-core", "busyhour-agent-core"],
    ),
    // No agent code: it is the independent witness.
    ("busyhour-carrier", &["busyhour-base", "busyhour-simulations"]),
    // For tests.
    ("busyhour-peer", &[]),
];

/// The pure crates: time, randomness and I/O are arguments.
const PURE: &[&str] =
    &["busyhour-base", "busyhour-controller-core", "busyhour-agent-core", "busyhour-simulations"];

/// Libraries that a pure crate must not reach, directly or through another.
const SHELL_LIBRARIES: &[&str] = &[
    "tokio",
    "mio",
    "axum",
    "hyper",
    "reqwest",
    "tonic",
    "sqlx",
    "raft",
    "kube-client",
    "rsipstack",
    "socket2",
    "rustix",
    "async-std",
    "smol",
];

fn metadata() -> Value {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--offline", "--manifest-path"])
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"))
        .output()
        .expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("cargo prints JSON")
}

/// Package name to the names of the packages that it uses outside of tests and build scripts.
fn normal_dependencies(metadata: &Value) -> BTreeMap<&str, Vec<&str>> {
    let name_of: BTreeMap<_, _> = metadata["packages"]
        .as_array()
        .expect("packages")
        .iter()
        .map(|p| (p["id"].as_str().expect("id"), p["name"].as_str().expect("name")))
        .collect();
    let is_normal = |dependency: &&Value| {
        dependency["dep_kinds"].as_array().expect("kinds").iter().any(|k| k["kind"].is_null())
    };
    metadata["resolve"]["nodes"]
        .as_array()
        .expect("nodes")
        .iter()
        .map(|node| {
            let used = node["deps"].as_array().expect("deps").iter().filter(is_normal);
            let used = used.map(|d| name_of[d["pkg"].as_str().expect("pkg")]).collect();
            (name_of[node["id"].as_str().expect("id")], used)
        })
        .collect()
}

#[test]
fn dependencies_point_one_way() {
    let metadata = metadata();
    let dependencies = normal_dependencies(&metadata);
    let ours: Vec<_> = dependencies.keys().filter(|n| n.starts_with("busyhour-")).collect();
    assert_eq!(ours.len(), MAY_USE.len(), "a crate is missing from the table: {ours:?}");
    for (name, allowed) in MAY_USE {
        for used in dependencies[name].iter().filter(|n| n.starts_with("busyhour")) {
            assert!(allowed.contains(used), "{name} must not use {used}; it may use {allowed:?}");
        }
    }
}

#[test]
fn the_pure_crates_reach_no_library_that_does_io() {
    let metadata = metadata();
    let dependencies = normal_dependencies(&metadata);
    for pure in PURE {
        let (mut reached, mut todo) = (vec![*pure], vec![*pure]);
        while let Some(next) = todo.pop() {
            for used in &dependencies[next] {
                if !reached.contains(used) {
                    reached.push(used);
                    todo.push(used);
                }
            }
        }
        for library in SHELL_LIBRARIES {
            assert!(!reached.contains(library), "{pure} reaches {library}");
        }
    }
}

#[test]
fn the_pure_crates_are_under_the_lints_that_ban_clocks_and_io() {
    for folder in ["base", "controller/core", "agent/core", "simulations"] {
        let path = format!("{}/{folder}/clippy.toml", env!("CARGO_MANIFEST_DIR"));
        let lints = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
        for banned in ["Instant::now", "SystemTime::now", "std::env::var", "std::fs::File"] {
            assert!(lints.contains(banned), "{path} does not ban {banned}");
        }
    }
}
