//! A disk in memory that forgets what was not synced, tears writes, runs full and fails on demand.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use busyhour_log::disk::{Disk, DiskFile};
use parking_lot::Mutex;
use rand::{Rng, SeedableRng, rngs::StdRng};

const SECTOR: usize = 512;

/// The disk. Clones are the same disk.
#[derive(Clone, Default)]
pub struct SimDisk(Arc<Mutex<State>>);

/// What to fail, and when.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The process dies at this operation: half of it may happen, and nothing after it.
    Kill,
    /// This operation fails once, with this error.
    Error(io::ErrorKind),
}

#[derive(Default)]
struct State {
    files: Vec<Content>,
    /// Names as a process sees them.
    names: BTreeMap<PathBuf, usize>,
    /// Changes of names since the last sync of the folder.
    unsynced: Vec<Change>,
    /// Names that survive a power cut.
    durable_names: BTreeMap<PathBuf, usize>,
    locked: bool,
    /// Changing operations so far.
    operations: u64,
    /// At which of them what happens.
    fault: Option<(u64, Fault)>,
    dead: bool,
    /// Bytes that fit.
    capacity: Option<u64>,
}

#[derive(Clone, Default)]
struct Content {
    seen: Vec<u8>,
    durable: Vec<u8>,
    dirty: BTreeSet<usize>,
}

#[derive(Clone)]
enum Change {
    Create(PathBuf, usize),
    Rename(PathBuf, PathBuf),
    Remove(PathBuf),
}

impl SimDisk {
    /// A disk with these files, all durable.
    pub fn with(files: &BTreeMap<PathBuf, Vec<u8>>) -> Self {
        let disk = Self::default();
        let mut state = disk.0.lock();
        for (path, bytes) in files {
            let file = state.files.len();
            state.files.push(Content {
                seen: bytes.clone(),
                durable: bytes.clone(),
                dirty: BTreeSet::new(),
            });
            state.names.insert(path.clone(), file);
        }
        state.durable_names = state.names.clone();
        drop(state);
        disk
    }

    /// What a process sees.
    pub fn files(&self) -> BTreeMap<PathBuf, Vec<u8>> {
        let state = self.0.lock();
        state
            .names
            .iter()
            .map(|(path, &file)| (path.clone(), state.files[file].seen.clone()))
            .collect()
    }

    /// Changing operations so far.
    pub fn operations(&self) -> u64 {
        self.0.lock().operations
    }

    /// Lets the operation with this number fail.
    pub fn fail_at(&self, operation: u64, fault: Fault) {
        self.0.lock().fault = Some((operation, fault));
    }

    /// Lets only this many bytes fit, or any number.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.0.lock().capacity = bytes;
    }

    /// What the disk holds after the power went: everything synced, and any part of what was not.
    pub fn after_power_cut(&self, seed: u64) -> Self {
        let mut random = StdRng::seed_from_u64(seed);
        let state = self.0.lock();
        let mut names = state.durable_names.clone();
        for change in &state.unsynced {
            if random.random() {
                change.apply(&mut names);
            }
        }
        let files = names
            .into_iter()
            .map(|(path, file)| (path, state.files[file].survivor(&mut random)))
            .collect();
        Self::with(&files)
    }

    /// What the disk holds after the process alone died: everything written.
    pub fn after_kill(&self) -> Self {
        Self::with(&self.files())
    }

    fn change<T>(
        &self,
        change: impl FnOnce(&mut State) -> io::Result<T>,
        half: impl FnOnce(&mut State, &mut StdRng),
    ) -> io::Result<T> {
        let mut state = self.0.lock();
        if state.dead {
            return Err(io::Error::other("the process is dead"));
        }
        state.operations += 1;
        match state.fault {
            Some((at, Fault::Kill)) if at == state.operations => {
                state.dead = true;
                let mut random = StdRng::seed_from_u64(at);
                half(&mut state, &mut random);
                Err(io::Error::other("the process dies"))
            }
            Some((at, Fault::Error(kind))) if at == state.operations => {
                Err(io::Error::new(kind, "as the test wants it"))
            }
            _ => change(&mut state),
        }
    }
}

impl State {
    fn alter(&mut self, change: Change) {
        change.apply(&mut self.names);
        self.unsynced.push(change);
    }

    fn file(&self, path: &Path) -> io::Result<usize> {
        let missing = || io::Error::new(io::ErrorKind::NotFound, path.display().to_string());
        self.names.get(path).copied().ok_or_else(missing)
    }

    fn used(&self) -> u64 {
        self.names.values().map(|&file| self.files[file].seen.len() as u64).sum()
    }

    fn write(&mut self, file: usize, offset: usize, bytes: &[u8]) -> io::Result<()> {
        let end = offset + bytes.len();
        let grows = end.saturating_sub(self.files[file].seen.len()) as u64;
        if grows > 0 && self.capacity.is_some_and(|capacity| self.used() + grows > capacity) {
            return Err(io::Error::new(io::ErrorKind::StorageFull, "disk full"));
        }
        let content = &mut self.files[file];
        if content.seen.len() < end {
            content.seen.resize(end, 0);
        }
        content.seen[offset..end].copy_from_slice(bytes);
        content.dirty.extend(offset / SECTOR..end.div_ceil(SECTOR));
        Ok(())
    }
}

impl Change {
    fn apply(&self, names: &mut BTreeMap<PathBuf, usize>) {
        match self {
            Self::Create(path, file) => {
                names.insert(path.clone(), *file);
            }
            Self::Rename(from, to) => {
                if let Some(file) = names.remove(from) {
                    names.insert(to.clone(), file);
                }
            }
            Self::Remove(path) => {
                names.remove(path);
            }
        }
    }
}

impl Content {
    fn survivor(&self, random: &mut StdRng) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        if self.seen.len() > bytes.len() && random.random() {
            bytes.resize(self.seen.len(), 0);
        }
        // Sometimes all or nothing, which chance alone would hardly give for many sectors.
        let chance = [0.0, 0.5, 1.0][random.random_range(0..3)];
        for &sector in &self.dirty {
            let from = sector * SECTOR;
            let to = (from + SECTOR).min(self.seen.len()).min(bytes.len());
            if from < to && random.random_bool(chance) {
                bytes[from..to].copy_from_slice(&self.seen[from..to]);
            }
        }
        bytes
    }
}

impl Disk for SimDisk {
    fn create_folder(&self, _folder: &Path) -> io::Result<()> {
        Ok(())
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let state = self.0.lock();
        let names = state.names.keys().filter_map(|path| {
            let name = path.strip_prefix(folder).ok()?;
            Some(name.to_string_lossy().into_owned())
        });
        Ok(names.collect())
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let create = |state: &mut State| {
            let file = state.files.len();
            state.files.push(Content::default());
            state.alter(Change::Create(path.to_owned(), file));
            Ok(file)
        };
        let file = self.change(create, |_, _| {})?;
        Ok(Box::new(SimFile { disk: self.clone(), file }))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = self.0.lock().file(path)?;
        Ok(Box::new(SimFile { disk: self.clone(), file }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let rename = |state: &mut State| {
            state.file(from)?;
            state.alter(Change::Rename(from.to_owned(), to.to_owned()));
            Ok(())
        };
        self.change(rename, |state, random| {
            if random.random() && state.file(from).is_ok() {
                state.alter(Change::Rename(from.to_owned(), to.to_owned()));
            }
        })
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let remove = |state: &mut State| {
            state.file(path)?;
            state.alter(Change::Remove(path.to_owned()));
            Ok(())
        };
        self.change(remove, |_, _| {})
    }

    fn sync_folder(&self, _folder: &Path) -> io::Result<()> {
        let sync = |state: &mut State| {
            state.unsynced.clear();
            state.durable_names = state.names.clone();
            Ok(())
        };
        self.change(sync, |_, _| {})
    }

    fn lock(&self, _path: &Path) -> io::Result<Option<Box<dyn Send>>> {
        let mut state = self.0.lock();
        if state.locked {
            return Ok(None);
        }
        state.locked = true;
        Ok(Some(Box::new(Unlock(self.clone()))))
    }
}

struct Unlock(SimDisk);

impl Drop for Unlock {
    fn drop(&mut self) {
        self.0.0.lock().locked = false;
    }
}

struct SimFile {
    disk: SimDisk,
    file: usize,
}

impl DiskFile for SimFile {
    fn length(&self) -> io::Result<u64> {
        Ok(self.disk.0.lock().files[self.file].seen.len() as u64)
    }

    fn read(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let state = self.disk.0.lock();
        let from = offset as usize;
        let bytes = state.files[self.file].seen.get(from..from + buffer.len());
        buffer.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let offset = offset as usize;
        let write = |state: &mut State| state.write(self.file, offset, bytes);
        self.disk.change(write, |state, random| {
            let sectors = random.random_range(0..=bytes.len().div_ceil(SECTOR));
            let part = &bytes[..bytes.len().min(sectors * SECTOR)];
            // There may be no room either; the process is gone anyway.
            let _ = state.write(self.file, offset, part);
        })
    }

    fn sync(&self) -> io::Result<()> {
        let sync = |state: &mut State| {
            let content = &mut state.files[self.file];
            content.durable = content.seen.clone();
            content.dirty.clear();
            Ok(())
        };
        self.disk.change(sync, |_, _| {})
    }

    fn forget_cached(&self) -> io::Result<()> {
        self.sync()
    }
}
