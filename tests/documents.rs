//! The documents' links lead somewhere, and the files, flags and metrics that they name are there.

mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Component, Path, PathBuf},
};

use busyhour::args::Args;
use clap::{Command, CommandFactory as _};
use support::root;

/// Folders that hold nothing of ours.
const NOT_OURS: [&str; 4] = ["target", ".git", "node_modules", ".venv"];

/// Every file below the root, as a path from there.
fn files() -> BTreeSet<PathBuf> {
    let (root, mut todo, mut found) = (root(), vec![root().to_path_buf()], BTreeSet::new());
    while let Some(folder) = todo.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            if path.is_dir() && !NOT_OURS.contains(&name.as_str()) {
                todo.push(path);
            } else if path.is_file() {
                found.insert(path.strip_prefix(root).expect("below it").to_path_buf());
            }
        }
    }
    found
}

/// The documents with what stands outside of blocks of code.
fn documents(files: &BTreeSet<PathBuf>) -> BTreeMap<PathBuf, String> {
    let read = |path: &PathBuf| {
        let text = fs::read_to_string(root().join(path)).expect("text");
        let (mut code, mut prose) = (false, String::new());
        for line in text.lines() {
            if line.trim_start().starts_with("```") {
                code = !code;
            } else if !code {
                prose += line;
                prose.push('\n');
            }
        }
        assert!(!code, "{}: a block of code has no end", path.display());
        (path.clone(), prose)
    };
    let documents = files.iter().filter(|path| path.extension().is_some_and(|e| e == "md"));
    documents.map(read).collect()
}

/// The anchors of a document's headings, as GitHub makes them.
fn anchors(prose: &str) -> BTreeSet<String> {
    let headings = prose.lines().filter(|line| line.starts_with('#'));
    let anchor = |line: &str| {
        let kept = line.trim_start_matches('#').trim().to_lowercase();
        let kept = kept.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.map(|c| if c == ' ' { '-' } else { c }).collect()
    };
    headings.map(anchor).collect()
}

/// A path without its `.` and `..`.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    plain
}

#[test]
fn links_lead_somewhere() {
    let files = files();
    let documents = documents(&files);
    let (mut followed, mut dead) = (0, Vec::new());
    for (path, prose) in &documents {
        for target in prose.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if target.contains("://") || target.starts_with("mailto:") {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let to = match file {
                "" => path.clone(),
                file => plain(&path.parent().expect("a folder").join(file)),
            };
            let known = |document: &String| anchor.is_empty() || anchors(document).contains(anchor);
            let leads = match documents.get(&to) {
                Some(document) => known(document),
                None => anchor.is_empty() && root().join(&to).exists(),
            };
            followed += 1;
            if !leads {
                dead.push(format!("{}: {target}", path.display()));
            }
        }
    }
    assert!(dead.is_empty(), "links that lead nowhere:\n  {}", dead.join("\n  "));
    assert!(followed > 50, "{followed} links were followed");
}

#[test]
fn files_that_documents_name_are_there() {
    let files = files();
    let names: Vec<_> = files.iter().map(|path| format!("/{}", path.display())).collect();
    let (mut seen, mut gone) = (0, Vec::new());
    for (path, prose) in documents(&files) {
        for named in prose.split('`').skip(1).step_by(2) {
            let is_source = [".rs", ".proto", ".py", ".mjs"].iter().any(|end| named.ends_with(end));
            if !is_source || named.contains([' ', '*', '{', '<']) {
                continue;
            }
            seen += 1;
            // Within a section that speaks of one folder a name may leave that out.
            if !names.iter().any(|file| file.ends_with(&format!("/{named}"))) {
                gone.push(format!("{}: {named}", path.display()));
            }
        }
    }
    assert!(gone.is_empty(), "named and not there:\n  {}", gone.join("\n  "));
    assert!(seen > 20, "{seen} names were looked up");
}

/// The flags of a command and of all beneath it.
fn flags(command: &Command) -> BTreeSet<String> {
    let own = command.get_arguments().filter_map(|arg| arg.get_long()).map(str::to_owned);
    own.chain(command.get_subcommands().flat_map(flags)).collect()
}

#[test]
fn flags_that_documents_name_are_there() {
    let mut flags = flags(&Args::command());
    // Those of curl and of our scripts.
    flags.extend(["help", "data-urlencode", "markdown"].map(str::to_owned));
    let (mut seen, mut gone) = (0, Vec::new());
    for (path, prose) in documents(&files()) {
        for named in prose.split('`').skip(1).step_by(2).flat_map(|code| code.split([' ', '['])) {
            let Some(flag) = named.strip_prefix("--").filter(|flag| !flag.is_empty()) else {
                continue;
            };
            let name = flag.split(['=', ']', ',']).next().unwrap_or_default();
            seen += 1;
            if !flags.contains(name) {
                gone.push(format!("{}: {named}", path.display()));
            }
        }
    }
    assert!(gone.is_empty(), "named and not there:\n  {}", gone.join("\n  "));
    assert!(seen > 20, "{seen} flags were looked up");
}

#[test]
fn metrics_that_documents_name_are_there() {
    let files = files();
    let sources = files.iter().filter(|path| path.ends_with("metric_definitions.rs"));
    let sources: String =
        sources.map(|path| fs::read_to_string(root().join(path)).expect("text")).collect();
    let (mut seen, mut gone) = (0, Vec::new());
    for (path, prose) in documents(&files) {
        for named in prose.split('`').skip(1).step_by(2) {
            let name = named.split(['{', ' ']).next().unwrap_or_default();
            if !name.starts_with("busyhour_") || name.contains(['.', '*']) {
                continue;
            }
            seen += 1;
            // Histograms are read by their parts.
            let parts = ["_bucket", "_sum", "_count"];
            let base = parts.iter().find_map(|part| name.strip_suffix(part)).unwrap_or(name);
            if ![name, base].iter().any(|name| sources.contains(&format!("\"{name}\""))) {
                gone.push(format!("{}: {name}", path.display()));
            }
        }
    }
    assert!(gone.is_empty(), "named and not there:\n  {}", gone.join("\n  "));
    assert!(seen > 20, "{seen} metrics were looked up");
}
