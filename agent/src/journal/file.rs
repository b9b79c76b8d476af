//! The journal's file: frames of the core, appended and synced, and the whole replaced when it has grown.

use std::{
    fs, io,
    io::{Read, Write},
    path::{Path, PathBuf},
};

use busyhour_agent_core::journal::{Entry, Journal as Rules, frame};

/// Why the file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The operating system says no.
    #[error("{0}")]
    Io(#[from] io::Error),
    /// It is damaged where no crash damages it. Cutting it there would forget calls that were sent.
    #[error("{path}: {problem}; set the file aside, and the calls that it knew end in doubt")]
    Rotten {
        /// Which file.
        path: PathBuf,
        /// Where.
        problem: frame::Rotten,
    },
    /// Entries that no frame holds.
    #[error(transparent)]
    TooLarge(#[from] frame::TooLarge),
}

/// The file, open for appending.
pub struct File {
    path: PathBuf,
    file: fs::File,
    bytes: u64,
}

impl File {
    /// Opens or creates the file, adds up its entries and cuts a torn tail off.
    pub fn open(path: &Path) -> Result<(Self, Rules), FileError> {
        // A copy that was never put in place.
        let _ = fs::remove_file(copy_of(path));
        let mut file = fs::File::options().read(true).append(true).create(true).open(path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let contents = frame::read(&bytes)
            .map_err(|problem| FileError::Rotten { path: path.to_owned(), problem })?;
        file.set_len(contents.sound as u64)?;
        if contents.sound == 0 {
            file.write_all(frame::HEADER)?;
        }
        file.sync_all()?;
        sync_folder(path)?;
        let mut rules = Rules::default();
        rules.extend(&contents.entries);
        let file = Self {
            path: path.to_owned(),
            file,
            bytes: contents.sound.max(frame::HEADER.len()) as u64,
        };
        Ok((file, rules))
    }

    /// Appends entries as one frame. They are on disk on return.
    pub fn append(&mut self, entries: &[Entry]) -> Result<(), FileError> {
        let frame = frame::write(entries)?;
        self.file.write_all(&frame)?;
        self.file.sync_data()?;
        self.bytes += frame.len() as u64;
        Ok(())
    }

    /// Bytes in it.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Puts a new file in its place that holds what `rules` know and no more.
    pub fn rewrite(&mut self, rules: &Rules) -> Result<(), FileError> {
        let bytes = frame::write_file(rules.compacted())?;
        let copy = copy_of(&self.path);
        let mut file = fs::File::options().append(true).create_new(true).open(&copy)?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::rename(&copy, &self.path)?;
        sync_folder(&self.path)?;
        self.file = file;
        self.bytes = bytes.len() as u64;
        Ok(())
    }
}

fn copy_of(path: &Path) -> PathBuf {
    path.with_extension("new")
}

/// A file's name is durable once its folder is.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty());
    fs::File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}
