//! The cache on disk: one file per piece of speech, named by its key, with a checksum.

use std::{
    fs, io,
    io::Write,
    path::{Path, PathBuf},
    time::SystemTime,
};

use parking_lot::Mutex;

use crate::audio::{Clip, Lru};

/// `BHSP`, version 1, checksum of the samples (CRC-32), then the samples.
const MAGIC: [u8; 4] = *b"BHSP";
const HEADER: usize = 8;

/// Bounded: the least recently used files go. What cannot be read back is removed and made anew.
pub struct Cache {
    folder: PathBuf,
    index: Mutex<Lru<String, ()>>,
}

impl Cache {
    /// Opens the folder and counts what is in it, oldest use first.
    pub fn open(folder: PathBuf, bytes_max: usize) -> io::Result<Self> {
        fs::create_dir_all(&folder)?;
        let mut found = Vec::new();
        for entry in fs::read_dir(&folder)? {
            let entry = entry?;
            let meta = entry.metadata()?;
            match key_of(&entry.path()) {
                Some(key) => found.push((meta.modified()?, key, meta.len() as usize)),
                // Half-written: the process was killed before the rename.
                None => fs::remove_file(entry.path())?,
            }
        }
        found.sort_by_key(|(used, ..)| *used);
        let cache = Self { folder, index: Mutex::new(Lru::new(bytes_max)) };
        for (_, key, bytes) in found {
            cache.admit(key, bytes);
        }
        Ok(cache)
    }

    /// Reads a piece of speech, if it is there and whole.
    pub fn load(&self, key: &String) -> Option<Clip> {
        self.index.lock().get(key)?;
        let path = self.path(key);
        let clip = fs::read(&path).ok().and_then(|bytes| decode(&bytes));
        if clip.is_none() {
            tracing::warn!(file = %path.display(), "speech cache entry is damaged; it will be made anew");
            self.index.lock().remove(key);
            let _ = fs::remove_file(&path);
            return None;
        }
        // The order of use survives a restart in the files' times; losing one costs nothing.
        if let Ok(file) = fs::File::options().append(true).open(&path) {
            let _ = file.set_modified(SystemTime::now());
        }
        clip
    }

    /// Writes a piece of speech, and removes the least recently used ones for it.
    pub fn store(&self, key: &str, clip: &Clip) -> io::Result<()> {
        let bytes = encode(clip);
        let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
        file.write_all(&bytes)?;
        file.persist(self.path(key)).map_err(|e| e.error)?;
        self.admit(key.to_owned(), bytes.len());
        Ok(())
    }

    fn admit(&self, key: String, bytes: usize) {
        let gone = self.index.lock().insert(key.clone(), (), bytes);
        for (old, ()) in gone {
            // The same key is a predecessor that the new file has replaced, unless it was too large to stay.
            let replaced = old == key && self.index.lock().get(&key).is_some();
            if !replaced {
                let _ = fs::remove_file(self.path(&old));
            }
        }
    }

    fn path(&self, key: &str) -> PathBuf {
        self.folder.join(key)
    }
}

fn key_of(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    let hash = name.len() == 64 && name.bytes().all(|b| b.is_ascii_hexdigit());
    hash.then(|| name.to_owned())
}

fn encode(clip: &Clip) -> Vec<u8> {
    let mut samples = Vec::with_capacity(clip.samples().len() * 2);
    for sample in clip.samples() {
        samples.extend_from_slice(&sample.to_le_bytes());
    }
    let mut bytes = Vec::with_capacity(HEADER + samples.len());
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&crc32fast::hash(&samples).to_le_bytes());
    bytes.extend_from_slice(&samples);
    bytes
}

fn decode(bytes: &[u8]) -> Option<Clip> {
    let (header, samples) = bytes.split_at_checked(HEADER)?;
    let checksum = u32::from_le_bytes(header[4..].try_into().ok()?);
    if header[..4] != MAGIC || checksum != crc32fast::hash(samples) || samples.len() % 2 != 0 {
        return None;
    }
    let sample = |pair: &[u8]| i16::from_le_bytes([pair[0], pair[1]]);
    Some(Clip::new(samples.chunks_exact(2).map(sample).collect()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_stays_within_its_bound_over_restarts() {
        let folder = tempfile::tempdir().unwrap();
        let clip = Clip::new((0..500).collect());
        let keys: Vec<String> = (0..5).map(|n| format!("{n:064x}")).collect();
        let cache = Cache::open(folder.path().to_owned(), 3_100).unwrap();
        keys[..3].iter().for_each(|key| cache.store(key, &clip).unwrap());
        assert!(cache.load(&keys[0]).is_some());
        cache.store(&keys[3], &clip).unwrap();
        assert!(cache.load(&keys[1]).is_none(), "least recently used");
        assert_eq!(cache.load(&keys[0]).unwrap().samples(), clip.samples());
        fs::write(folder.path().join(".tmpHalf"), "x").unwrap();
        drop(cache);

        let smaller = Cache::open(folder.path().to_owned(), 2_100).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
        assert_eq!(smaller.index.lock().weight(), 2_016);
    }

    #[test]
    fn damage_anywhere_is_noticed() {
        let bytes = encode(&Clip::new((0..100).collect()));
        assert!(decode(&bytes).is_some());
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            assert!(decode(&damaged).is_none(), "byte {at}");
        }
        assert!((0..bytes.len()).all(|cut| decode(&bytes[..cut]).is_none()));
    }
}
