//! Snapshots: the whole state, byte for byte, so that a replica that was restored from one goes on exactly like those
//! that were not; and its hash, by which replicas compare themselves.

use postcard::ser_flavors::Flavor;

use super::State;

/// Changes whenever the layout of the state does.
const FORMAT: u32 = 2;

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
    /// Something follows the snapshot.
    #[error("{0} bytes follow the snapshot")]
    Trailing(usize),
}

impl State {
    /// The state as it is now, to be written while this one goes on. What grows with the requests is not copied now but,
    /// piece by piece, when this state changes it.
    pub fn freeze(&mut self) -> Self {
        self.requests.share();
        self.clone()
    }

    /// The whole state.
    pub fn snapshot(&self) -> Vec<u8> {
        postcard::to_stdvec(&(FORMAT, self)).expect("the state has no type that postcard refuses")
    }

    /// The state that [`State::snapshot`] wrote.
    ///
    /// # Errors
    /// If the bytes were written by another version, or are damaged. Integrity in storage is the log's business: a
    /// flipped bit is found here only if it makes the bytes unreadable.
    pub fn restore(bytes: &[u8]) -> Result<Self, RestoreError> {
        let (found, rest) = postcard::take_from_bytes::<u32>(bytes)?;
        if found != FORMAT {
            return Err(RestoreError::Format { found });
        }
        let (state, rest) = postcard::take_from_bytes(rest)?;
        if rest.is_empty() { Ok(state) } else { Err(RestoreError::Trailing(rest.len())) }
    }

    /// A hash of the whole state: equal on replicas that have applied the same entries.
    pub fn hash(&self) -> u64 {
        let hasher = Fnv(0xcbf2_9ce4_8422_2325);
        postcard::serialize_with_flavor(self, hasher).expect("the state can be serialised")
    }
}

/// FNV-1a over what is serialised.
struct Fnv(u64);

impl Flavor for Fnv {
    type Output = u64;

    fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
        self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<u64> {
        Ok(self.0)
    }
}
