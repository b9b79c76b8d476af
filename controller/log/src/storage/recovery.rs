//! Opening a folder: what is there, whether it is whole, and where the log goes on.

use std::{
    collections::VecDeque,
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    files::{Extent, LogFiles, Position, publish},
    group, identity,
    memory::Memory,
    sector::SECTOR,
    segment::{self, End, Segment, TornGroup},
    snapshot,
    snapshots::Snapshots,
    spare,
};
use crate::{
    config::Config,
    disk::{Disk, DiskFile},
    error::{Damage, OpenError},
    machine::RestoreError,
    status::Torn,
};

/// A folder that was found whole.
pub(crate) struct Recovered {
    pub(crate) files: LogFiles,
    pub(crate) memory: Memory,
    pub(crate) snapshots: Snapshots,
    /// What the newest snapshot, which the machine has taken back, stands for.
    pub(crate) snapshot: Option<snapshot::Position>,
    /// Bytes of log that hold entries after the snapshot.
    pub(crate) log_bytes: u64,
    pub(crate) torn: Option<Torn>,
}

/// Reads everything, checks it, blanks a torn end, and leaves the log ready for appending. Hands the newest snapshot to
/// `restore` before anything is changed.
pub(crate) fn recover(
    disk: Arc<dyn Disk>,
    config: &Config,
    restore: &mut dyn FnMut(&mut dyn io::Read) -> Result<(), RestoreError>,
) -> Result<Recovered, OpenError> {
    let folder = config.folder.as_path();
    let names = Names::list(&*disk, folder)?;
    if names.identity {
        identity::check(&*disk, folder, config.node)?;
    }
    let snapshot = match names.snapshots.last() {
        Some(&index) => Some(snapshot::read(&*disk, folder, index, restore)?),
        None => None,
    };
    let before = snapshot.as_ref().map_or((0, 0), |(at, _)| (at.index, at.term));
    let mut scan = Scan::new(config, before, names.unfinished.clone());
    for &first_group in &names.segments {
        scan.file(&*disk, first_group)?;
    }
    if !names.identity {
        scan.set_up(&*disk, &names)?;
    }
    let (position, torn) = scan.end(&*disk)?;
    let sectors = config.segment_bytes / SECTOR as u64;
    let mut snapshots = Snapshots::new(
        disk.clone(),
        folder,
        names.snapshots.into(),
        snapshot.as_ref().map_or(0, |(_, bytes)| *bytes),
    )?;
    snapshots.prune()?;
    Ok(Recovered {
        files: LogFiles::new(disk, folder, config.node, position, sectors)?,
        memory: scan.memory,
        snapshots,
        snapshot: snapshot.map(|(position, _)| position),
        log_bytes: scan.log_bytes,
        torn,
    })
}

/// The files of a folder, by kind.
struct Names {
    identity: bool,
    /// By first group, ascending.
    segments: Vec<u64>,
    /// By index, ascending.
    snapshots: Vec<u64>,
    /// What never got its name.
    unfinished: Vec<PathBuf>,
}

impl Names {
    /// Looks through the folder.
    fn list(disk: &dyn Disk, folder: &Path) -> Result<Self, OpenError> {
        let mut names = Self {
            identity: false,
            segments: Vec::new(),
            snapshots: Vec::new(),
            unfinished: Vec::new(),
        };
        let listed = disk.list(folder).map_err(OpenError::io("reading", folder))?;
        for name in listed {
            if name == identity::NAME {
                names.identity = true;
            } else if let Some(first_group) = segment::first_group(&name) {
                names.segments.push(first_group);
            } else if let Some(index) = snapshot::index(&name) {
                names.snapshots.push(index);
            } else if name.ends_with(".tmp") {
                names.unfinished.push(folder.join(name));
            }
        }
        names.segments.sort_unstable();
        names.snapshots.sort_unstable();
        Ok(names)
    }
}

/// The file that the log goes on in, as far as it is known yet.
struct Last {
    path: PathBuf,
    file: Box<dyn DiskFile>,
    first_group: u64,
    sectors: u64,
    end: End,
    next_group: u64,
}

/// Goes through the files of the log in order.
struct Scan<'a> {
    config: &'a Config,
    memory: Memory,
    snapshot_index: u64,
    extents: VecDeque<Extent>,
    last: Option<Last>,
    /// Files that hold nothing, to be deleted once everything else was found whole.
    leftovers: Vec<PathBuf>,
    log_bytes: u64,
    buffer: Vec<u8>,
}

impl<'a> Scan<'a> {
    fn new(config: &'a Config, before: (u64, u64), leftovers: Vec<PathBuf>) -> Self {
        Self {
            config,
            memory: Memory::new(before, vec![config.node]),
            snapshot_index: before.0,
            extents: VecDeque::new(),
            last: None,
            leftovers,
            log_bytes: 0,
            buffer: Vec::new(),
        }
    }

    /// Goes through the next file.
    fn file(&mut self, disk: &dyn Disk, first_group: u64) -> Result<(), OpenError> {
        let path = segment::path(&self.config.folder, first_group);
        let file = disk.open(&path).map_err(OpenError::io("opening", &path))?;
        self.read(&*file).map_err(OpenError::io("reading", &path))?;
        let segment = Segment::new(&path, &self.buffer, first_group, self.config.node)?;
        let mut last_index = self.last_index();
        let (memory, log_bytes) = (&mut self.memory, &mut self.log_bytes);
        let (end, next_group) = segment.scan(|offset, payload| {
            let damage = |what| Damage::of_log(&path, offset, what);
            let length = payload.len() as u64;
            let group = group::decode(payload).map_err(damage)?;
            memory.append(&group.entries).map_err(damage)?;
            memory.set_hard(group.hard);
            if let Some(entry) = group.entries.last() {
                last_index = last_index.max(entry.index);
                if entry.index > self.snapshot_index {
                    *log_bytes += length;
                }
            }
            Ok(group.kind)
        })?;
        let found = Last {
            path,
            file,
            first_group,
            sectors: (self.buffer.len() / SECTOR) as u64,
            end,
            next_group,
        };
        self.add(found, last_index)
    }

    fn read(&mut self, file: &dyn DiskFile) -> io::Result<()> {
        file.forget_cached()?;
        let length = usize::try_from(file.length()?).map_err(io::Error::other)?;
        self.buffer.resize(length, 0);
        file.read(0, &mut self.buffer)
    }

    /// Puts a file behind those before it, if it is the one that follows.
    fn add(&mut self, found: Last, last_index: u64) -> Result<(), OpenError> {
        if let Some(last) = &self.last {
            let unused = found.end == End::UNUSED;
            if last.end != End::Closed && unused && found.first_group == last.next_group + 1 {
                // It was prepared, and then the group that was to close the file before it was not
                // written.
                self.leftovers.push(found.path);
                return Ok(());
            }
            if last.end != End::Closed || found.first_group != last.next_group {
                let what = format!(
                    "the file begins with group {}, but the one before it ends before group {}: what lies between is missing",
                    found.first_group, last.next_group
                );
                return Err(Damage::of_log(found.path, 0, what).into());
            }
        }
        self.extents.push_back(Extent { path: found.path.clone(), last_index });
        self.last = Some(found);
        Ok(())
    }

    /// Sets up a new log in a folder that has no identity, after making sure that there never was
    /// one.
    fn set_up(&mut self, disk: &dyn Disk, names: &Names) -> Result<(), OpenError> {
        let folder = self.config.folder.as_path();
        let began = self.last.as_ref().is_some_and(|last| last.end != End::UNUSED);
        if began || self.extents.len() > 1 || !names.snapshots.is_empty() {
            let what = "the file is missing, but its log is there";
            return Err(Damage::of_log(folder.join(identity::NAME), 0, what).into());
        }
        // A set-up that was interrupted before its last step.
        if let Some(Extent { path, .. }) = self.extents.pop_front() {
            self.leftovers.push(path);
        }
        self.last = None;
        self.delete_leftovers(disk)?;
        let sectors = self.config.segment_bytes / SECTOR as u64;
        let from = folder.join(spare::NAME);
        let file = spare::make(disk, &from, sectors).map_err(OpenError::io("writing", &from))?;
        let node = self.config.node;
        let path = publish(disk, folder, &*file, &from, (1, node, sectors))
            .map_err(OpenError::io("writing", &from))?;
        identity::write(disk, folder, node)?;
        self.extents.push_back(Extent { path: path.clone(), last_index: 0 });
        self.last =
            Some(Last { path, file, first_group: 1, sectors, end: End::UNUSED, next_group: 1 });
        Ok(())
    }

    /// Checks the log as a whole, blanks a torn end, and tells where to go on.
    fn end(&mut self, disk: &dyn Disk) -> Result<(Position, Option<Torn>), OpenError> {
        let folder = self.config.folder.as_path();
        let Some(last) = self.last.take() else {
            return Err(Damage::of_log(folder, 0, "the files of the log are missing").into());
        };
        let End::Open { at, torn } = last.end else {
            let path = segment::path(folder, last.next_group);
            let what =
                "the file is missing, though the one before it says that the log goes on in it";
            return Err(Damage::of_log(path, 0, what).into());
        };
        self.check_against_snapshot(&last)?;
        self.delete_leftovers(disk)?;
        let torn = match torn {
            Some(torn) => Some(blank(&last, at, torn)?),
            None => None,
        };
        disk.sync_folder(folder).map_err(OpenError::io("syncing", folder))?;
        let position = Position {
            extents: std::mem::take(&mut self.extents),
            file: last.file,
            first_group: last.first_group,
            sectors: last.sectors,
            at,
            next_group: last.next_group,
            hard: self.memory.hard().clone(),
        };
        Ok((position, torn))
    }

    /// What a snapshot holds was in the log before, and what is committed still is.
    fn check_against_snapshot(&mut self, last: &Last) -> Result<(), OpenError> {
        let mut hard = self.memory.hard().clone();
        let least = self.snapshot_index.max(hard.commit);
        if self.last_index() < least {
            let what = format!(
                "the log ends with entry {}, though entry {least} was committed: files of the log are missing",
                self.last_index()
            );
            return Err(Damage::of_log(&last.path, 0, what).into());
        }
        hard.commit = least;
        self.memory.set_hard(hard);
        Ok(())
    }

    fn last_index(&self) -> u64 {
        self.extents.back().map_or(0, |extent| extent.last_index)
    }

    fn delete_leftovers(&mut self, disk: &dyn Disk) -> Result<(), OpenError> {
        for path in self.leftovers.drain(..) {
            disk.remove(&path).map_err(OpenError::io("deleting", path))?;
        }
        let folder = self.config.folder.as_path();
        disk.sync_folder(folder).map_err(OpenError::io("syncing", folder))
    }
}

/// Blanks a write that was interrupted, so that nothing of it can be taken for the next.
fn blank(last: &Last, at: u64, torn: TornGroup) -> Result<Torn, OpenError> {
    let offset = at * SECTOR as u64;
    let zeros = vec![0; torn.of as usize * SECTOR];
    last.file
        .write(offset, &zeros)
        .and_then(|()| last.file.sync())
        .map_err(OpenError::io("blanking a torn write in", &last.path))?;
    tracing::warn!(
        file = %last.path.display(),
        offset,
        found = torn.found,
        of = torn.of,
        "the last write of the log was interrupted before it was acknowledged; what had arrived of it was blanked"
    );
    Ok(Torn { file: last.path.clone(), offset, sectors: torn.found })
}
