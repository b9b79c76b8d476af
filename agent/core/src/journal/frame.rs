//! Entries as bytes: frames with a checksum, so that a torn tail is told from rot.
//!
//! A file begins with [`HEADER`]; then come frames, each a mark, a length, a checksum over length and body, and the
//! body. A frame is written and synced before the next one is begun, so only the last can be torn: a flaw with no
//! sound frame behind it is a torn tail and may be cut off, since what it held was never relied upon. A flaw with a
//! sound frame behind it is rot, and refused: the journal counts as lost, and what it knew is in doubt.
//!
//! What this cannot tell apart is rot in the very last frame. It is taken for a tear.

use super::Entry;

/// First bytes of every file: name and version of the format.
pub const HEADER: &[u8; 8] = b"BHJRNL\x00\x01";
/// First bytes of every frame.
const MARK: &[u8; 4] = b"\xf5JF\xa1";
/// Mark, length and checksum.
const FRAME_HEAD: usize = 12;
/// Bytes of a frame's body at most.
pub const BODY_MAX: usize = 1 << 20;

/// Entries that do not fit into one frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the entries take more than {BODY_MAX} bytes")]
pub struct TooLarge;

/// A file that is no sound journal.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Rotten {
    /// It begins otherwise.
    #[error("this is no journal of this version: it does not begin with its name")]
    Header,
    /// Sound frames follow a flaw.
    #[error("the frame at byte {0} is rotten, but sound ones follow it; it is not cut off")]
    Middle(usize),
}

/// What a file holds.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Contents {
    /// In order.
    pub entries: Vec<Entry>,
    /// How many bytes are sound. What follows is a torn tail, to be cut off before anything is appended; if this is
    /// 0, the header too is to be written.
    pub sound: usize,
}

/// Makes one frame of entries.
pub fn write(entries: &[Entry]) -> Result<Vec<u8>, TooLarge> {
    let body = postcard::to_stdvec(entries).map_err(|_| TooLarge)?;
    if body.len() > BODY_MAX {
        return Err(TooLarge);
    }
    let length = u32::try_from(body.len()).map_err(|_| TooLarge)?.to_le_bytes();
    Ok([&MARK[..], &length, &checksum(length, &body).to_le_bytes(), &body].concat())
}

/// Makes a whole new file of entries, a frame for as many as fit.
pub fn write_file(entries: impl IntoIterator<Item = Entry>) -> Result<Vec<u8>, TooLarge> {
    /// With a dialog's longest texts still far below the bound of a frame.
    const ENTRIES: usize = 64;
    let mut file = HEADER.to_vec();
    let mut batch = Vec::with_capacity(ENTRIES);
    for entry in entries {
        batch.push(entry);
        if batch.len() == ENTRIES {
            file.extend(write(&batch)?);
            batch.clear();
        }
    }
    if !batch.is_empty() {
        file.extend(write(&batch)?);
    }
    Ok(file)
}

/// Reads a file.
pub fn read(file: &[u8]) -> Result<Contents, Rotten> {
    let mut contents = Contents { entries: Vec::new(), sound: 0 };
    let Some(mut rest) = file.strip_prefix(HEADER) else {
        let is_torn = HEADER.starts_with(file);
        return if is_torn { Ok(contents) } else { Err(Rotten::Header) };
    };
    contents.sound = HEADER.len();
    while let Some((entries, length)) = first(rest) {
        contents.entries.extend(entries);
        contents.sound += length;
        rest = &rest[length..];
    }
    let a_sound_one_follows = (1..rest.len()).any(|at| first(&rest[at..]).is_some());
    if a_sound_one_follows { Err(Rotten::Middle(contents.sound)) } else { Ok(contents) }
}

/// The frame at the front, with its length.
fn first(bytes: &[u8]) -> Option<(Vec<Entry>, usize)> {
    let head = bytes.get(..FRAME_HEAD)?;
    let (mark, numbers) = head.split_at(MARK.len());
    let (length, sum) = numbers.split_at(4);
    let length: [u8; 4] = length.try_into().ok()?;
    let size = u32::from_le_bytes(length) as usize;
    if mark != MARK || size > BODY_MAX {
        return None;
    }
    let body = bytes.get(FRAME_HEAD..FRAME_HEAD + size)?;
    if checksum(length, body).to_le_bytes() != sum {
        return None;
    }
    Some((postcard::from_bytes(body).ok()?, FRAME_HEAD + size))
}

fn checksum(length: [u8; 4], body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&length);
    hasher.update(body);
    hasher.finalize()
}
