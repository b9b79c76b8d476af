//! `busyhour crds FOLDER`

use std::path::Path;

use anyhow::{Context, Result};

/// Writes the custom resource definitions.
///
/// # Errors
/// A file cannot be written.
pub fn run(folder: &Path) -> Result<()> {
    busyhour_crds::write_all(folder).with_context(|| format!("writing to {}", folder.display()))
}
