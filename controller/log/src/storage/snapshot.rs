//! One snapshot, one file.
//!
//! ```text
//! checksum u32 | magic 16 bytes | index u64 | term u64 | commands u64 | at u64 | bytes u64
//! then pieces of up to 1 MiB:  checksum u32 | bytes
//! ```
//!
//! All numbers are little-endian. A piece's checksum begins with its number, so that no two pieces
//! can change places unseen. The file is written under another name, synced, renamed, and its
//! folder synced: under its own name it is whole, or it was damaged afterwards. Neither writing nor reading holds it in
//! memory as a whole: the machine writes and reads a stream, whose pieces are checked before it gets them.
//!
//! Unlike a file of the log, a snapshot may be read from the system's memory of it: it has its name only because its own
//! sync had not failed, so that memory holds nothing that the disk never got.

use std::{
    io::{self, Read, Write},
    path::{Path, PathBuf},
    sync::mpsc::{self, Receiver, SyncSender},
    thread,
};

use busyhour_base::Timestamp;
use bytes::{Buf, BufMut};

use crate::{
    disk::{Disk, DiskFile},
    error::{Damage, OpenError},
    machine::{Frozen, RestoreError},
};

const MAGIC: &[u8; 16] = b"busyhour snap 1\n";
const HEAD: usize = 4 + 16 + 5 * 8;
const PIECE: usize = 1 << 20;
/// Pieces that are read and checked ahead of the machine.
const AHEAD: usize = 4;

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

/// Writes a snapshot for good and tells the size of the state. On failure nothing of it is left, as far as the disk
/// allows.
pub(crate) fn write(
    disk: &dyn Disk,
    folder: &Path,
    position: &Position,
    state: &dyn Frozen,
) -> io::Result<u64> {
    let path = path(folder, position.index);
    let temporary = path.with_extension("tmp");
    let result = (|| {
        let file = disk.create(&temporary)?;
        let mut pieces = PieceWriter { file: &*file, at: HEAD as u64, number: 0, piece: start() };
        state.write(&mut pieces)?;
        let bytes = pieces.end()?;
        file.write(0, &head(position, bytes))?;
        file.sync()?;
        disk.rename(&temporary, &path)?;
        disk.sync_folder(folder)?;
        Ok(bytes)
    })();
    if result.is_err() {
        let _ = disk.remove(&temporary);
    }
    result
}

fn head(position: &Position, bytes: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(HEAD);
    out.put_u32_le(0);
    out.put_slice(MAGIC);
    out.put_u64_le(position.index);
    out.put_u64_le(position.term);
    out.put_u64_le(position.commands);
    out.put_u64_le(position.at.as_micros());
    out.put_u64_le(bytes);
    let checksum = crc32fast::hash(&out[4..]);
    out[..4].copy_from_slice(&checksum.to_le_bytes());
    out
}

/// Room for a piece behind its checksum.
fn start() -> Vec<u8> {
    let mut piece = Vec::with_capacity(4 + PIECE);
    piece.put_u32_le(0);
    piece
}

/// Cuts a stream into pieces with checksums.
struct PieceWriter<'a> {
    file: &'a dyn DiskFile,
    at: u64,
    number: usize,
    piece: Vec<u8>,
}

impl PieceWriter<'_> {
    fn put_piece(&mut self) -> io::Result<()> {
        let checksum = piece_checksum(self.number, &self.piece[4..]);
        self.piece[..4].copy_from_slice(&checksum.to_le_bytes());
        self.file.write(self.at, &self.piece)?;
        self.at += self.piece.len() as u64;
        self.number += 1;
        self.piece.truncate(4);
        Ok(())
    }

    /// Writes the last piece; tells how long the stream was.
    fn end(mut self) -> io::Result<u64> {
        if self.piece.len() > 4 {
            self.put_piece()?;
        }
        Ok(self.at - HEAD as u64 - 4 * self.number as u64)
    }
}

impl Write for PieceWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = 4 + PIECE - self.piece.len();
        let taken = bytes.len().min(room);
        self.piece.extend_from_slice(&bytes[..taken]);
        if self.piece.len() == 4 + PIECE {
            self.put_piece()?;
            // Behind the sync of a whole snapshot at once, a group of the log would wait for as long as that takes.
            self.file.sync()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads a snapshot, or says where it is damaged; gives the machine what it wrote, and tells what the snapshot stands for
/// and how large the state is.
pub(crate) fn read(
    disk: &dyn Disk,
    folder: &Path,
    index: u64,
    restore: &mut dyn FnMut(&mut dyn Read) -> Result<(), RestoreError>,
) -> Result<(Position, u64), OpenError> {
    let path = path(folder, index);
    let failed = |fault| match fault {
        Fault::Io(source) => OpenError::Io { doing: "reading", path: path.clone(), source },
        Fault::Damaged(offset, what) => damage(&path, offset, what).into(),
    };
    let file = disk.open(&path).map_err(|error| failed(Fault::Io(error)))?;
    let (position, bytes) = open(&*file, index).map_err(failed)?;
    let (pieces, checked) = mpsc::sync_channel(AHEAD);
    let (given_back, empty) = mpsc::channel();
    thread::scope(|scope| {
        // One thread reads and checks while this one makes tables of it.
        scope.spawn(move || check_ahead(&*file, bytes, &pieces, &empty));
        let mut stream = PieceReader { checked, given_back, piece: Vec::new(), at: 0, fault: None };
        let restored = restore(&mut stream);
        // What the machine did not want is checked all the same.
        let drained = io::copy(&mut stream, &mut io::sink());
        if let Some(fault) = stream.fault.take() {
            return Err(failed(fault));
        }
        drained.map_err(|error| failed(Fault::Io(error)))?;
        restored.map_err(|source| OpenError::Restore { path: path.clone(), source })?;
        Ok((position, bytes))
    })
}

fn damage(path: &Path, offset: u64, what: &str) -> Damage {
    Damage {
        file: path.to_owned(),
        offset,
        what: what.to_owned(),
        remedy: "Nothing was changed. Move this file away and start again: if the snapshot before it and the log since \
                 then are still there, as they usually are, nothing is lost, and if not, the start is refused \
                 again. Then restore the whole folder from a backup"
            .to_owned(),
    }
}

/// Why a snapshot cannot be read.
enum Fault {
    Io(io::Error),
    /// Where, and what is wrong there.
    Damaged(u64, &'static str),
}

impl From<io::Error> for Fault {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// Checks the header and the length of the file.
fn open(file: &dyn DiskFile, index: u64) -> Result<(Position, u64), Fault> {
    let length = file.length()?;
    let mut bytes = [0; HEAD];
    if length < HEAD as u64 {
        return Err(Fault::Damaged(length, "the file is too short"));
    }
    file.read(0, &mut bytes)?;
    let mut head = &bytes[..];
    let checksum = head.get_u32_le();
    if checksum != crc32fast::hash(head) || !head.starts_with(MAGIC) {
        return Err(Fault::Damaged(0, "the header is not the one that was written"));
    }
    head.advance(MAGIC.len());
    let position = Position {
        index: head.get_u64_le(),
        term: head.get_u64_le(),
        commands: head.get_u64_le(),
        at: Timestamp(head.get_u64_le()),
    };
    let bytes = head.get_u64_le();
    let pieces = bytes.div_ceil(PIECE as u64);
    if length != HEAD as u64 + bytes + 4 * pieces {
        return Err(Fault::Damaged(length, "the file does not have the length that it was given"));
    }
    if position.index != index {
        return Err(Fault::Damaged(0, "the file holds a snapshot of another name"));
    }
    Ok((position, bytes))
}

/// Reads and checks piece after piece, until the end, a fault, or nobody wants more.
fn check_ahead(
    file: &dyn DiskFile,
    bytes: u64,
    checked: &SyncSender<Result<Vec<u8>, Fault>>,
    empty: &Receiver<Vec<u8>>,
) {
    let (mut left, mut at) = (bytes, HEAD as u64);
    for number in 0.. {
        if left == 0 {
            return;
        }
        let length = left.min(PIECE as u64) as usize;
        let mut piece = empty.try_recv().unwrap_or_else(|_| Vec::with_capacity(4 + PIECE));
        piece.resize(4 + length, 0);
        let read = file.read(at, &mut piece).map_err(Fault::Io).and_then(|()| {
            let (mut told, bytes) = piece.split_at(4);
            if told.get_u32_le() == piece_checksum(number, bytes) {
                return Ok(piece);
            }
            let what = "the bytes are not those that were written (the checksum of the MiB that begins here is wrong)";
            Err(Fault::Damaged(at, what))
        });
        let failed = read.is_err();
        if checked.send(read).is_err() || failed {
            return;
        }
        left -= length as u64;
        at += 4 + length as u64;
    }
}

/// The checked pieces as a stream.
struct PieceReader {
    checked: Receiver<Result<Vec<u8>, Fault>>,
    given_back: mpsc::Sender<Vec<u8>>,
    piece: Vec<u8>,
    at: usize,
    fault: Option<Fault>,
}

impl Read for PieceReader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.at == self.piece.len() {
            match self.checked.recv() {
                Ok(Ok(piece)) => {
                    // Gone once everything is read.
                    let _ = self.given_back.send(std::mem::replace(&mut self.piece, piece));
                    self.at = 4;
                }
                Ok(Err(fault)) => {
                    self.fault = Some(fault);
                    return Err(io::Error::other("the snapshot cannot be read"));
                }
                Err(_) => return Ok(0),
            }
        }
        let taken = out.len().min(self.piece.len() - self.at);
        out[..taken].copy_from_slice(&self.piece[self.at..self.at + taken]);
        self.at += taken;
        Ok(taken)
    }
}

fn piece_checksum(number: usize, piece: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&(number as u64).to_le_bytes());
    hasher.update(piece);
    hasher.finalize()
}
