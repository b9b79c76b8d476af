//! One snapshot, one file.
//!
//! ```text
//! checksum u32 | magic 16 bytes | index u64 | term u64 | commands u64 | at u64 | bytes u64
//! then pieces of up to 1 MiB:  checksum u32 | bytes
//! ```
//!
//! All numbers are little-endian. A piece's checksum begins with its number, so that no two pieces
//! can change places unseen. The file is written under another name, synced, renamed, and its
//! folder synced: under its own name it is whole, or it was damaged afterwards.

use std::{
    io,
    path::{Path, PathBuf},
};

use busyhour_base::Timestamp;
use bytes::{Buf, BufMut};

use crate::{
    disk::{Disk, DiskFile},
    error::{Damage, OpenError},
};

const MAGIC: &[u8; 16] = b"busyhour snap 1\n";
const HEAD: usize = 4 + 16 + 5 * 8;
const PIECE: usize = 1 << 20;

/// What a snapshot stands for.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Position {
    /// The last raft entry in it.
    pub(crate) index: u64,
    /// That entry's term.
    pub(crate) term: u64,
    /// The number of the last command in it.
    pub(crate) commands: u64,
    /// The instant of that command.
    pub(crate) at: Timestamp,
}

/// Where a snapshot lies.
pub(crate) fn path(folder: &Path, index: u64) -> PathBuf {
    folder.join(format!("{index:020}.snapshot"))
}

/// The index of a snapshot, from its name.
pub(crate) fn index(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".snapshot")?;
    (digits.len() == 20).then(|| digits.parse().ok())?
}

/// Writes a snapshot for good. On failure nothing of it is left, as far as the disk allows.
pub(crate) fn write(
    disk: &dyn Disk,
    folder: &Path,
    position: &Position,
    state: &[u8],
) -> io::Result<()> {
    let path = path(folder, position.index);
    let temporary = path.with_extension("tmp");
    let result = (|| {
        let file = disk.create(&temporary)?;
        fill(&*file, position, state)?;
        file.sync()?;
        disk.rename(&temporary, &path)?;
        disk.sync_folder(folder)
    })();
    if result.is_err() {
        let _ = disk.remove(&temporary);
    }
    result
}

fn fill(file: &dyn DiskFile, position: &Position, state: &[u8]) -> io::Result<()> {
    let mut out = Vec::with_capacity(4 + PIECE);
    out.put_u32_le(0);
    out.put_slice(MAGIC);
    out.put_u64_le(position.index);
    out.put_u64_le(position.term);
    out.put_u64_le(position.commands);
    out.put_u64_le(position.at.as_micros());
    out.put_u64_le(state.len() as u64);
    let checksum = crc32fast::hash(&out[4..]);
    out[..4].copy_from_slice(&checksum.to_le_bytes());
    file.write(0, &out)?;
    let mut at = HEAD as u64;
    for (number, piece) in state.chunks(PIECE).enumerate() {
        out.clear();
        out.put_u32_le(piece_checksum(number, piece));
        out.put_slice(piece);
        file.write(at, &out)?;
        at += out.len() as u64;
    }
    Ok(())
}

/// Reads a snapshot, or says where it is damaged.
pub(crate) fn read(
    disk: &dyn Disk,
    folder: &Path,
    index: u64,
) -> Result<(Position, Vec<u8>), OpenError> {
    let path = path(folder, index);
    let bytes = (|| {
        let file = disk.open(&path)?;
        file.forget_cached()?;
        let mut bytes = vec![0; file.length()? as usize];
        file.read(0, &mut bytes)?;
        io::Result::Ok(bytes)
    })()
    .map_err(OpenError::io("reading", &path))?;
    let damaged = |offset: usize, what: &str| {
        Damage {
        file: path.clone(),
        offset: offset as u64,
        what: what.to_owned(),
        remedy: "Nothing was changed. Move this file away and start again: if the snapshot before it and the log since \
                 then are still there, as they usually are, nothing is lost, and if not, the start is refused \
                 again. Then restore the whole folder from a backup"
            .to_owned(),
    }
    };
    let (position, state) = parse(&bytes).map_err(|(offset, what)| damaged(offset, what))?;
    if position.index != index {
        return Err(damaged(0, "the file holds a snapshot of another name").into());
    }
    Ok((position, state))
}

fn parse(bytes: &[u8]) -> Result<(Position, Vec<u8>), (usize, &'static str)> {
    let Some((mut head, mut body)) = bytes.split_at_checked(HEAD) else {
        return Err((bytes.len(), "the file is too short"));
    };
    let checksum = head.get_u32_le();
    if checksum != crc32fast::hash(head) || !head.starts_with(MAGIC) {
        return Err((0, "the header is not the one that was written"));
    }
    head.advance(MAGIC.len());
    let position = Position {
        index: head.get_u64_le(),
        term: head.get_u64_le(),
        commands: head.get_u64_le(),
        at: Timestamp(head.get_u64_le()),
    };
    let length = head.get_u64_le() as usize;
    let pieces = length.div_ceil(PIECE);
    if body.len() != length + 4 * pieces {
        return Err((bytes.len(), "the file does not have the length that it was given"));
    }
    let mut state = Vec::with_capacity(length);
    for number in 0..pieces {
        let offset = bytes.len() - body.len();
        let checksum = body.get_u32_le();
        let piece = &body[..body.len().min(PIECE)];
        if checksum != piece_checksum(number, piece) {
            return Err((
                offset,
                "the bytes are not those that were written (the checksum of the MiB that begins here is wrong)",
            ));
        }
        state.extend_from_slice(piece);
        body.advance(piece.len());
    }
    Ok((position, state))
}

fn piece_checksum(number: usize, piece: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&(number as u64).to_le_bytes());
    hasher.update(piece);
    hasher.finalize()
}
