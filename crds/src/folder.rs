//! Reading a folder of documents, with bounds.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
};

use crate::{LoadError, LoadErrors};

/// Most files of a folder.
const FILES_MAX: usize = 4_096;
/// Most bytes of one file.
const FILE_BYTES_MAX: u64 = 4 << 20;
/// Most bytes of all files together.
const FOLDER_BYTES_MAX: u64 = 64 << 20;

/// One file as it was read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SourceFile {
    /// Where it is.
    pub path: PathBuf,
    /// What it holds.
    pub text: String,
}

/// Reads every `*.yaml` and `*.yml` directly in `folder`, in order of name. Hidden files are passed over.
///
/// # Errors
/// If the folder or a file cannot be read, is not UTF-8, or exceeds the bounds: 4,096 files, 4 MiB each,
/// 64 MiB together.
pub fn read_folder(folder: &Path) -> Result<Vec<SourceFile>, LoadErrors> {
    let paths = list(folder)?;
    if paths.len() > FILES_MAX {
        let problem = format!("{} files are too many", paths.len());
        return Err(whole(folder, problem, Some(format!("at most {FILES_MAX}"))).into());
    }
    let (mut files, mut errors, mut bytes) = (Vec::with_capacity(paths.len()), Vec::new(), 0);
    for path in paths {
        match read_file(&path, FILE_BYTES_MAX) {
            Ok(text) => {
                bytes += text.len() as u64;
                files.push(SourceFile { path, text });
            }
            Err(error) => errors.push(error),
        }
        if bytes > FOLDER_BYTES_MAX {
            let allowed = Some(format!("at most {FOLDER_BYTES_MAX} bytes"));
            errors.push(whole(folder, "the files are too large together".to_owned(), allowed));
            break;
        }
    }
    LoadErrors::unless_none(errors).map(|()| files)
}

/// Reads a file of at most `bytes_max` bytes of UTF-8.
pub(crate) fn read_file(path: &Path, bytes_max: u64) -> Result<String, LoadError> {
    let unreadable = |e: std::io::Error| whole(path, format!("cannot be read: {e}"), None);
    let mut bytes = Vec::new();
    let file = fs::File::open(path).map_err(unreadable)?;
    file.take(bytes_max + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > bytes_max {
        let allowed = Some(format!("at most {bytes_max} bytes"));
        return Err(whole(path, "the file is too large".to_owned(), allowed));
    }
    String::from_utf8(bytes).map_err(|e| {
        let good = e.utf8_error().valid_up_to();
        let line = e.as_bytes()[..good].iter().filter(|b| **b == b'\n').count() + 1;
        LoadError { line: Some(line), ..whole(path, "the file is not UTF-8".to_owned(), None) }
    })
}

fn list(folder: &Path) -> Result<Vec<PathBuf>, LoadError> {
    let unreadable = |e: std::io::Error| whole(folder, format!("cannot be read: {e}"), None);
    let mut paths = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_yaml = name.ends_with(".yaml") || name.ends_with(".yml");
        if is_yaml && !name.starts_with('.') && path.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

fn whole(path: &Path, problem: String, allowed: Option<String>) -> LoadError {
    LoadError { file: path.to_owned(), line: None, field: String::new(), problem, allowed }
}
