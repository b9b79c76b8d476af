//! Snapshots: the whole state, byte for byte, so that a replica that was restored from one goes on exactly like those
//! that were not; and its hash, by which replicas compare themselves.
//!
//! ```text
//! format u32 | digest u64 | length u64 | the state but for its tables | the tables: requests, queues
//! ```
//!
//! What grows with the requests lies in tables of plain items, which are written and read a page at a time; the rest is
//! serialised item by item.

use std::io::{self, Read, Write};

use super::State;

/// Changes whenever the layout of the state does.
const FORMAT: u32 = 19;

/// Why a snapshot cannot be restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// Written by another version.
    #[error("the snapshot has format {found}, this version reads {FORMAT}")]
    Format {
        /// Its format.
        found: u32,
    },
    /// Not a snapshot, or damaged.
    #[error("the snapshot is damaged: {0}")]
    Damaged(#[from] postcard::Error),
    /// It ends early, or cannot be read.
    #[error("the snapshot cannot be read: {0}")]
    Read(#[from] io::Error),
    /// Something follows the snapshot.
    #[error("something follows the snapshot")]
    Trailing,
}

impl State {
    /// The state as it is now, to be written while this one goes on. What grows with the requests is not copied now but,
    /// page by page, when this state changes it.
    pub fn freeze(&mut self) -> Self {
        self.requests.share();
        self.engine.share();
        self.messages.share();
        self.tenants.share();
        self.live.share();
        self.lanes.share();
        self.batches.share();
        self.clone()
    }

    /// Writes the whole state.
    ///
    /// # Errors
    /// As `to`.
    pub fn write(&self, to: &mut dyn Write) -> io::Result<()> {
        to.write_all(&FORMAT.to_le_bytes())?;
        to.write_all(&self.digest.0.to_le_bytes())?;
        self.write_state(to)
    }

    fn write_state(&self, to: &mut dyn Write) -> io::Result<()> {
        let rest = postcard::to_stdvec(self).expect("the state has no type that postcard refuses");
        to.write_all(&(rest.len() as u64).to_le_bytes())?;
        to.write_all(&rest)?;
        self.requests.write_tables(to)?;
        self.engine.write_tables(to)?;
        self.messages.write_tables(to)
    }

    /// Reads the state that [`State::write`] wrote.
    ///
    /// # Errors
    /// If the bytes were written by another version, or are damaged. Integrity in storage is the log's business: a
    /// flipped bit is found here only if it makes the bytes unreadable.
    pub fn read(from: &mut dyn Read) -> Result<Self, RestoreError> {
        let (mut found, mut digest, mut length) = ([0; 4], [0; 8], [0; 8]);
        from.read_exact(&mut found)?;
        let found = u32::from_le_bytes(found);
        if found != FORMAT {
            return Err(RestoreError::Format { found });
        }
        from.read_exact(&mut digest)?;
        from.read_exact(&mut length)?;
        let (length, mut rest) = (u64::from_le_bytes(length), Vec::new());
        from.take(length).read_to_end(&mut rest)?;
        let mut state: Self = postcard::from_bytes(&rest)?;
        state.digest = Digest(u64::from_le_bytes(digest));
        state.requests.read_tables(from)?;
        state.engine.read_tables(from)?;
        state.messages.read_tables(from)?;
        match from.read(&mut [0])? {
            0 => Ok(state),
            _ => Err(RestoreError::Trailing),
        }
    }

    /// The whole state as bytes.
    pub fn snapshot(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.write(&mut bytes).expect("memory takes every byte");
        bytes
    }

    /// The state that [`State::snapshot`] gave.
    ///
    /// # Errors
    /// As [`State::read`].
    pub fn restore(mut bytes: &[u8]) -> Result<Self, RestoreError> {
        Self::read(&mut bytes)
    }

    /// A hash of the whole state: equal on replicas that have applied the same entries. It costs as much as there is;
    /// [`State::digest`] compares replicas at every entry.
    pub fn hash(&self) -> u64 {
        let mut hasher = Mixer(0xcbf2_9ce4_8422_2325);
        self.write_state(&mut hasher).expect("a hash takes every byte");
        hasher.0
    }

    /// A hash of everything that was applied and of all that came of it, up to [`State::applied`]: equal on replicas that have
    /// applied the same entries to the same effect, whether they were restored from a snapshot in between or not.
    /// Kept up with every entry, so that replicas can be compared at any index for nothing.
    pub const fn digest(&self) -> u64 {
        self.digest.0
    }
}

/// A running hash of entries and what came of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Digest(u64);

impl Digest {
    /// Folds a value in.
    pub fn fold(&mut self, value: &impl std::hash::Hash) {
        use std::hash::Hasher as _;
        let mut mixer = Mixer(self.0);
        value.hash(&mut mixer);
        self.0 = mixer.finish();
    }
}

/// Eight bytes a step, the same on every replica. It finds replicas that differ, not forgers.
struct Mixer(u64);

impl Mixer {
    #[inline]
    fn word(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(23) ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 ^= self.0 >> 29;
    }

    fn mix(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        words.iter().for_each(|word| self.word(u64::from_le_bytes(*word)));
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        self.word(u64::from_le_bytes(last) ^ (rest.len() as u64) << 56);
    }
}

impl Write for Mixer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.mix(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl std::hash::Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        self.mix(bytes);
    }

    fn write_u64(&mut self, word: u64) {
        self.word(word);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}
