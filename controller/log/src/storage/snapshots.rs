//! Taking snapshots, and keeping the last two.
//!
//! The log is kept from the older of the two on, so that one damaged snapshot loses nothing.

use std::{
    collections::VecDeque,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    snapshot::{self, Position},
    spare::is_full,
    worker::Worker,
};
use crate::{applying::Take, disk::Disk, error::Fatal, machine::Frozen};

/// Kept at once.
const KEEP: usize = 2;

struct Job {
    position: Position,
    state: Box<dyn Frozen>,
}

struct Done {
    index: u64,
    /// The size of the state.
    result: io::Result<u64>,
}

/// The snapshots of a folder.
pub(crate) struct Snapshots {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    worker: Worker<Job, Done>,
    /// Their raft indexes, oldest first.
    kept: VecDeque<u64>,
    newest_bytes: u64,
    writing: bool,
    error: Option<String>,
}

impl Snapshots {
    /// Takes over those that are there, oldest first.
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        folder: &Path,
        kept: VecDeque<u64>,
        newest_bytes: u64,
    ) -> Result<Self, Fatal> {
        let (writer, target) = (disk.clone(), folder.to_owned());
        let worker = Worker::start("busyhour-log-snapshot", move |job: Job| Done {
            index: job.position.index,
            result: snapshot::write(&*writer, &target, &job.position, &*job.state),
        })
        .map_err(Fatal::io("starting the thread for snapshots of", folder))?;
        Ok(Self {
            disk,
            folder: folder.to_owned(),
            worker,
            kept,
            newest_bytes,
            writing: false,
            error: None,
        })
    }

    /// Whether one is being written.
    pub(crate) fn writing(&self) -> bool {
        self.writing
    }

    /// Raft index of the newest; 0 if there is none.
    pub(crate) fn newest(&self) -> u64 {
        self.kept.back().copied().unwrap_or(0)
    }

    /// Size of the newest.
    pub(crate) fn newest_bytes(&self) -> u64 {
        self.newest_bytes
    }

    /// Up to which index the log may be deleted: the older snapshot, if there are two.
    pub(crate) fn covered(&self) -> u64 {
        match self.kept.len() {
            0 | 1 => 0,
            _ => self.kept.front().copied().unwrap_or(0),
        }
    }

    /// Why the last one could not be written.
    pub(crate) fn error(&self) -> Option<&String> {
        self.error.as_ref()
    }

    /// One is to be written, beside the log's own work, of the state that the returned function is given.
    pub(crate) fn start(&mut self, position: Position) -> Take {
        self.writing = true;
        let start = self.worker.starter();
        Box::new(move |state| start(Job { position, state }))
    }

    /// Looks whether the one that was begun is done, and if so deletes what is kept no longer.
    /// Tells the index of the new one.
    pub(crate) fn poll(&mut self) -> Result<Option<u64>, Fatal> {
        match self.worker.poll() {
            Some(done) => self.finish(done),
            None => Ok(None),
        }
    }

    /// Waits for the one that was begun, if any.
    pub(crate) fn wait(&mut self) -> Result<Option<u64>, Fatal> {
        if !self.writing {
            return Ok(None);
        }
        let done =
            self.worker.wait().map_err(Fatal::io("writing a snapshot into", &self.folder))?;
        self.finish(done)
    }

    fn finish(&mut self, done: Done) -> Result<Option<u64>, Fatal> {
        self.writing = false;
        match done.result {
            Ok(bytes) => {
                self.error = None;
                self.kept.push_back(done.index);
                self.newest_bytes = bytes;
                self.prune()?;
                Ok(Some(done.index))
            }
            Err(error) if is_full(&error) => {
                let path = snapshot::path(&self.folder, done.index);
                tracing::warn!(path = %path.display(), %error, "no room for a snapshot; the log goes on without it");
                self.error = Some(format!("{}: {error}", path.display()));
                Ok(None)
            }
            Err(error) => {
                let path = snapshot::path(&self.folder, done.index);
                Err(Fatal::io("writing", path)(error))
            }
        }
    }

    /// Deletes the oldest beyond those that are kept.
    pub(crate) fn prune(&mut self) -> Result<(), Fatal> {
        while self.kept.len() > KEEP
            && let Some(oldest) = self.kept.pop_front()
        {
            let path = snapshot::path(&self.folder, oldest);
            self.disk
                .remove(&path)
                .and_then(|()| self.disk.sync_folder(&self.folder))
                .map_err(Fatal::io("deleting", &path))?;
        }
        Ok(())
    }
}
