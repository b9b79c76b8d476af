//! Appending to the log: one group, one write, one sync.

use std::{
    collections::VecDeque,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use raft::prelude::{Entry, HardState};

use super::{
    group::{self, Kind, sectors_of},
    sector::{self, SECTOR},
    segment,
    spare::Spare,
};
use crate::{
    disk::{Disk, DiskFile},
    error::Fatal,
};

/// One file of the log, as far as deleting it needs to know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Extent {
    pub(crate) path: PathBuf,
    /// The highest raft index in it or before it.
    pub(crate) last_index: u64,
}

/// Where the log goes on after it was scanned.
pub(crate) struct Position {
    /// Its files, the one to go on in last.
    pub(crate) extents: VecDeque<Extent>,
    pub(crate) file: Box<dyn DiskFile>,
    pub(crate) first_group: u64,
    pub(crate) sectors: u64,
    /// The first blank sector.
    pub(crate) at: u64,
    pub(crate) next_group: u64,
    /// Raft's state in the last group.
    pub(crate) hard: HardState,
}

/// The files of the log, open for appending.
pub(crate) struct LogFiles {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    node: u64,
    position: Position,
    spare: Spare,
    /// Bytes appended since the log was opened.
    written: u64,
    /// Whether it is written down that the last group is durable.
    marked: bool,
    payload: Vec<u8>,
    framed: Vec<u8>,
}

impl LogFiles {
    /// Goes on where a scan ended. New files get `sectors` sectors.
    pub(crate) fn new(
        disk: Arc<dyn Disk>,
        folder: &Path,
        node: u64,
        position: Position,
        sectors: u64,
    ) -> Result<Self, Fatal> {
        Ok(Self {
            spare: Spare::start(disk.clone(), folder, sectors)?,
            disk,
            folder: folder.to_owned(),
            node,
            position,
            written: 0,
            marked: false,
            payload: Vec::new(),
            framed: Vec::new(),
        })
    }

    /// Bytes appended since the log was opened.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    /// Whether it is written down that the last group is durable.
    pub(crate) fn marked(&self) -> bool {
        self.marked
    }

    /// Makes sure that a group of this size can be appended. If there is no room on the disk, says
    /// so.
    pub(crate) fn room(&mut self, sectors: u64) -> Result<Result<(), String>, Fatal> {
        if self.fits(sectors) {
            return Ok(Ok(()));
        }
        self.spare.ready()
    }

    /// Writes one group and returns when it is durable.
    pub(crate) fn append(&mut self, hard: &HardState, entries: &[Entry]) -> Result<(), Fatal> {
        if !self.fits(sectors_of(entries)) {
            self.roll()?;
        }
        if let (Some(entry), Some(extent)) = (entries.last(), self.position.extents.back_mut()) {
            extent.last_index = extent.last_index.max(entry.index);
        }
        self.position.hard = hard.clone();
        self.write(Kind::Entries, entries)?;
        self.marked = false;
        Ok(())
    }

    /// Writes down that the last group is durable, in the mark of the file.
    pub(crate) fn mark(&mut self) -> Result<(), Fatal> {
        let position = &self.position;
        let (offset, mark) = segment::mark(position.first_group, position.next_group - 1);
        self.put(offset, &mark)?;
        self.marked = true;
        Ok(())
    }

    /// Deletes files that hold nothing after `index`. Oldest first, each for good before the next,
    /// so that a crash leaves no hole.
    pub(crate) fn release(&mut self, index: u64) -> Result<(), Fatal> {
        while self.position.extents.len() > 1
            && let Some(oldest) = self.position.extents.front()
            && oldest.last_index <= index
        {
            let doing = "deleting";
            self.disk
                .remove(&oldest.path)
                .and_then(|()| self.disk.sync_folder(&self.folder))
                .map_err(Fatal::io(doing, &oldest.path))?;
            self.position.extents.pop_front();
        }
        Ok(())
    }

    /// Whether a group of this size fits into the file, with the group that closes it after it.
    fn fits(&self, sectors: u64) -> bool {
        self.position.at + sectors + sectors_of(&[]) <= self.position.sectors
    }

    fn write(&mut self, kind: Kind, entries: &[Entry]) -> Result<(), Fatal> {
        let position = &mut self.position;
        group::encode(kind, &position.hard, entries, &mut self.payload);
        let seed = sector::seed(position.first_group);
        sector::frame(&self.payload, position.next_group, seed, &mut self.framed);
        let offset = position.at * SECTOR as u64;
        self.put(offset, &self.framed)?;
        self.position.at += (self.framed.len() / SECTOR) as u64;
        self.position.next_group += 1;
        self.written += self.framed.len() as u64;
        Ok(())
    }

    /// Writes for good.
    fn put(&self, offset: u64, bytes: &[u8]) -> Result<(), Fatal> {
        let path = || segment::path(&self.folder, self.position.first_group);
        let file = &self.position.file;
        file.write(offset, bytes).map_err(|error| Fatal::io("writing", path())(error))?;
        file.sync().map_err(|error| Fatal::io("syncing", path())(error))
    }

    /// Goes on in the spare file: it gets its name for good, then the old file says that it
    /// follows, with raft's state as it was: that of the group to come must not be there before its
    /// entries.
    fn roll(&mut self) -> Result<(), Fatal> {
        let (file, from) = self.spare.take()?;
        let first_group = self.position.next_group + 1;
        let sectors = file.length().map_err(Fatal::io("measuring", &from))? / SECTOR as u64;
        let path =
            publish(&*self.disk, &self.folder, &*file, &from, (first_group, self.node, sectors))
                .map_err(Fatal::io("going on in", &from))?;
        self.spare.renew();
        self.write(Kind::Close, &[])?;
        let last_index = self.position.extents.back().map_or(0, |e| e.last_index);
        self.position.extents.push_back(Extent { path, last_index });
        self.position.file = file;
        self.position.first_group = first_group;
        self.position.sectors = sectors;
        self.position.at = segment::FIRST;
        Ok(())
    }
}

/// Gives a blank file its header and its name, for good.
pub(crate) fn publish(
    disk: &dyn Disk,
    folder: &Path,
    file: &dyn DiskFile,
    from: &Path,
    (first_group, node, sectors): (u64, u64, u64),
) -> io::Result<PathBuf> {
    file.write(0, &segment::header(first_group, node, sectors))?;
    file.sync()?;
    let path = segment::path(folder, first_group);
    disk.rename(from, &path)?;
    disk.sync_folder(folder)?;
    Ok(path)
}
