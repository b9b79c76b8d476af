//! What the log asks of a disk. The real one is [`RealDisk`]; tests put one underneath that loses,
//! tears and refuses.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    os::unix::fs::FileExt,
    path::Path,
};

/// A folder's worth of file system.
pub trait Disk: Send + Sync + 'static {
    /// Creates the folder unless it exists. Its parent must exist.
    fn create_folder(&self, folder: &Path) -> io::Result<()>;
    /// The names of the files in the folder, in no order.
    fn list(&self, folder: &Path) -> io::Result<Vec<String>>;
    /// A new, empty file; one of that name is emptied.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// An existing file, to be read and written.
    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;
    /// Gives a file another name, replacing what has it.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Makes the folder's names durable.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
    /// Locks a file, creating it if need be, until the returned guard is dropped; `None` if another
    /// has it.
    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Send>>>;
}

/// One open file.
pub trait DiskFile: Send {
    /// Its length in bytes.
    fn length(&self) -> io::Result<u64>;
    /// Fills the whole buffer from `offset`.
    fn read(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;
    /// Writes all of `bytes` at `offset`. Durable only after [`DiskFile::sync`].
    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Makes everything written so far durable, the length included.
    fn sync(&self) -> io::Result<()>;
    /// Makes the next reads come from the disk itself and not from memory, as far as the system
    /// can. After an fsync that failed, memory may hold what the disk never got.
    fn forget_cached(&self) -> io::Result<()>;
}

/// The machine's own file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct RealDisk;

impl Disk for RealDisk {
    fn create_folder(&self, folder: &Path) -> io::Result<()> {
        match std::fs::create_dir(folder) {
            Ok(()) => folder
                .parent()
                .filter(|parent| !parent.as_os_str().is_empty())
                .map_or(Ok(()), |parent| self.sync_folder(parent)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && folder.is_dir() => Ok(()),
            Err(error) => Err(error),
        }
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        std::fs::read_dir(folder)?
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect()
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(true);
        Ok(Box::new(options.open(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(OpenOptions::new().read(true).write(true).open(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        std::fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        std::fs::remove_file(path)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn Send>>> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Box::new(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }
}

impl DiskFile for File {
    fn length(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn read(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.read_exact_at(buffer, offset)
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn forget_cached(&self) -> io::Result<()> {
        // Only clean pages are dropped, so what a killed process left in memory is written first.
        self.sync_data()?;
        rustix::fs::fadvise(self, 0, None, rustix::fs::Advice::DontNeed)?;
        Ok(())
    }
}
