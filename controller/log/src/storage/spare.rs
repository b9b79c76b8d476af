//! The next file of the log, written full of zeros ahead of its use, so that appending allocates
//! nothing: fdatasync has only data to write, and a full disk shows before anything was promised.

use std::{
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{sector::SECTOR, worker::Worker};
use crate::{
    disk::{Disk, DiskFile},
    error::Fatal,
};

pub(crate) const NAME: &str = "spare.tmp";
/// Written at once: large enough for a disk to be quick, small enough to keep in memory.
const CHUNK: usize = 1 << 20;

/// The file, or why there is none.
pub(crate) type Made = io::Result<Box<dyn DiskFile>>;

enum State {
    Making,
    Ready(Box<dyn DiskFile>),
    /// There was no room.
    Failed,
}

/// The next file, or the making of it.
pub(crate) struct Spare {
    path: PathBuf,
    worker: Worker<(), Made>,
    state: State,
}

impl Spare {
    /// Begins to make the first.
    pub(crate) fn start(disk: Arc<dyn Disk>, folder: &Path, sectors: u64) -> Result<Self, Fatal> {
        let path = folder.join(NAME);
        let target = path.clone();
        let worker = Worker::start("busyhour-log-spare", move |()| make(&*disk, &target, sectors))
            .map_err(Fatal::io("starting the thread that prepares", &path))?;
        worker.start_job(());
        Ok(Self { path, worker, state: State::Making })
    }

    /// Waits until there is a spare file. If there is no room for one, says so; the next call tries
    /// again.
    pub(crate) fn ready(&mut self) -> Result<Result<(), String>, Fatal> {
        loop {
            match &self.state {
                State::Ready(_) => return Ok(Ok(())),
                State::Making => {}
                State::Failed => self.worker.start_job(()),
            }
            let doing = "preparing";
            match self.worker.wait().map_err(Fatal::io(doing, &self.path))? {
                Ok(file) => self.state = State::Ready(file),
                Err(error) if is_full(&error) => {
                    self.state = State::Failed;
                    return Ok(Err(format!("preparing {}: {error}", self.path.display())));
                }
                Err(error) => return Err(Fatal::io(doing, &self.path)(error)),
            }
        }
    }

    /// Takes the spare file. It has the given path until the caller renames it; when that is done,
    /// [`Spare::renew`] is to be called.
    pub(crate) fn take(&mut self) -> Result<(Box<dyn DiskFile>, PathBuf), Fatal> {
        self.ready()?.map_err(|message| {
            let full = io::Error::new(io::ErrorKind::StorageFull, message);
            Fatal::io("going on in", &self.path)(full)
        })?;
        match std::mem::replace(&mut self.state, State::Failed) {
            State::Ready(file) => Ok((file, self.path.clone())),
            State::Making | State::Failed => unreachable!("ready() has just said that it is there"),
        }
    }

    /// Begins to make the next, now that its name is free.
    pub(crate) fn renew(&mut self) {
        self.worker.start_job(());
        self.state = State::Making;
    }
}

/// Whether room is all that is missing.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Writes a file of zeros.
pub(crate) fn make(disk: &dyn Disk, path: &Path, sectors: u64) -> Made {
    let fill = || {
        let file = disk.create(path)?;
        let zeros = vec![0; CHUNK];
        let bytes = sectors * SECTOR as u64;
        let mut at = 0;
        while at < bytes {
            let length = (bytes - at).min(CHUNK as u64);
            file.write(at, &zeros[..length as usize])?;
            at += length;
            if at < bytes {
                // Behind the sync of all of it at once, a group of the log would wait for a hundred times its own.
                file.sync()?;
            }
        }
        file.sync()?;
        Ok(file)
    };
    fill().inspect_err(|error| {
        // What was written of it takes the very room that is missing.
        if is_full(error) {
            let _ = disk.remove(path);
        }
    })
}
