//! Replacing a small file so that a crash leaves either the old one or the new one, whole.

use std::{fs, io::Write as _, os::unix::fs::OpenOptionsExt as _, path::Path};

use crate::options::RunError;

/// Puts `text` durably in the place of the file `name` of `folder`, for its owner's eyes only.
///
/// # Errors
/// With what could not be done; the old file is then as it was, or already replaced.
pub(crate) fn replace(folder: &Path, name: &str, text: &str) -> Result<(), RunError> {
    let (path, fresh) = (folder.join(name), folder.join(format!("{name}.new")));
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options.open(&fresh).map_err(io("create", &fresh))?;
    writeln!(file, "{text}").map_err(io("write", &fresh))?;
    file.sync_all().map_err(io("sync", &fresh))?;
    fs::rename(&fresh, &path).map_err(io("name", &path))?;
    let folder_file = fs::File::open(folder).map_err(io("open", folder))?;
    folder_file.sync_all().map_err(io("sync", folder))
}

/// Says what was done to which path when the system refused.
pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> RunError {
    let path = path.to_owned();
    move |source| RunError::Io { doing, path, source }
}
