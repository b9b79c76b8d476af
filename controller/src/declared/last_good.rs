//! A copy of the last documents that were right, in the data folder: a controller that starts anew while
//! somebody is at work on the folder goes on with what was in force, instead of staying away.
//!
//! It holds what the folder holds, secrets written in documents included, for the owner's eyes only. Secrets that
//! documents name by file are read from there again.

use std::{
    fs,
    path::{Path, PathBuf},
};

use busyhour_crds::{Declared, SourceFile, load};
use serde::{Deserialize, Serialize};

use crate::{durable, options::RunError};

/// Its file in the data folder.
const FILE: &str = "declared.json";

#[derive(Serialize, Deserialize)]
struct Copied {
    path: PathBuf,
    text: String,
}

/// Keeps `files`, which were found right, in the place of those kept before.
pub(super) fn keep(data: &Path, files: Vec<SourceFile>) -> Result<(), RunError> {
    // Another form of path could not be found again anyway: JSON is text.
    let copied: Vec<_> = files
        .into_iter()
        .map(|SourceFile { path, text }| Copied {
            path: path.to_string_lossy().into_owned().into(),
            text,
        })
        .collect();
    durable::replace(data, FILE, &serde_json::json!(copied).to_string())
}

/// What the kept documents declare; nothing if none are kept or they are not right any more.
pub(super) fn recall(data: &Path) -> Option<Declared> {
    let text = fs::read_to_string(data.join(FILE)).ok()?;
    let copied: Vec<Copied> = serde_json::from_str(&text).ok()?;
    let files: Vec<_> =
        copied.into_iter().map(|Copied { path, text }| SourceFile { path, text }).collect();
    load(&files).ok()
}
