//! `busyhour crds FOLDER`

use std::{fs, path::Path};

use anyhow::{Context, Result};

/// Writes the custom resource definitions, and says where. The folder is made if it is not there.
///
/// # Errors
/// The folder cannot be made, or a file not written.
pub fn run(folder: &Path) -> Result<()> {
    let shown = folder.display();
    fs::create_dir_all(folder).with_context(|| format!("making the folder {shown}"))?;
    let files = busyhour_crds::write_all(folder).with_context(|| format!("writing to {shown}"))?;
    files.iter().try_for_each(|name| super::print_line(&folder.join(name).display().to_string()))
}
