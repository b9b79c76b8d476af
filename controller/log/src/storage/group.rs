//! What is written and synced together: raft's hard state and some entries.
//!
//! ```text
//! kind u8 | term u64 | vote u64 | commit u64 | entries u32 | entry*
//! entry:  index u64 | term u64 | type u8 | context length u32 | data length u32 | context | data
//! ```
//!
//! All numbers are little-endian. Every group carries the hard state, so the last complete one has
//! the current one, and deleting old files can never delete a vote.

use bytes::{Buf, BufMut, Bytes, TryGetError};
use protobuf::ProtobufEnum;
use raft::prelude::{Entry, EntryType, HardState};

use super::sector::sectors;

const HEAD: usize = 1 + 3 * 8 + 4;
const ENTRY_HEAD: usize = 2 * 8 + 1 + 2 * 4;

/// What a group is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// State and entries.
    Entries,
    /// The last of its file: the log goes on in another, which exists.
    Close,
}

/// A group as it is read back.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) kind: Kind,
    pub(crate) hard: HardState,
    pub(crate) entries: Vec<Entry>,
}

/// How many sectors a group with `entries` entries and `bytes` bytes of data in all of them takes.
pub(crate) const fn group_sectors(bytes: usize, entries: usize) -> u64 {
    sectors(HEAD + entries * ENTRY_HEAD + bytes)
}

/// The same for entries that are there.
pub(crate) fn sectors_of(entries: &[Entry]) -> u64 {
    let bytes = entries.iter().map(|e| e.data.len() + e.context.len()).sum();
    group_sectors(bytes, entries.len())
}

/// Writes a group, replacing what is in `out`.
pub(crate) fn encode(kind: Kind, hard: &HardState, entries: &[Entry], out: &mut Vec<u8>) {
    out.clear();
    out.put_u8(match kind {
        Kind::Entries => 0,
        Kind::Close => 1,
    });
    out.put_u64_le(hard.term);
    out.put_u64_le(hard.vote);
    out.put_u64_le(hard.commit);
    out.put_u32_le(entries.len() as u32);
    for entry in entries {
        out.put_u64_le(entry.index);
        out.put_u64_le(entry.term);
        out.put_u8(entry.entry_type.value() as u8);
        out.put_u32_le(entry.context.len() as u32);
        out.put_u32_le(entry.data.len() as u32);
        out.put_slice(&entry.context);
        out.put_slice(&entry.data);
    }
}

/// Reads a group whose checksums were right. An error means that another program version wrote it.
pub(crate) fn decode(mut bytes: Bytes) -> Result<Group, String> {
    let short = |error: TryGetError| format!("a group that is not understood: {error}");
    let kind = match bytes.try_get_u8().map_err(short)? {
        0 => Kind::Entries,
        1 => Kind::Close,
        other => return Err(format!("a group of the unknown kind {other}")),
    };
    let hard = HardState {
        term: bytes.try_get_u64_le().map_err(short)?,
        vote: bytes.try_get_u64_le().map_err(short)?,
        commit: bytes.try_get_u64_le().map_err(short)?,
        ..HardState::default()
    };
    let count = bytes.try_get_u32_le().map_err(short)?;
    let mut entries = Vec::with_capacity((count as usize).min(bytes.len() / ENTRY_HEAD));
    for _ in 0..count {
        let (index, term) =
            (bytes.try_get_u64_le().map_err(short)?, bytes.try_get_u64_le().map_err(short)?);
        let kind = bytes.try_get_u8().map_err(short)?;
        let context = bytes.try_get_u32_le().map_err(short)? as usize;
        let data = bytes.try_get_u32_le().map_err(short)? as usize;
        if context.saturating_add(data) > bytes.len() {
            return Err("an entry that is longer than its group".to_owned());
        }
        let entry = Entry {
            index,
            term,
            entry_type: EntryType::from_i32(kind.into())
                .ok_or_else(|| format!("an entry of the unknown type {kind}"))?,
            context: bytes.split_to(context),
            data: bytes.split_to(data),
            ..Entry::default()
        };
        entries.push(entry);
    }
    Ok(Group { kind, hard, entries })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_comes_back_as_it_was() {
        let hard = HardState { term: 3, vote: 1, commit: 41, ..HardState::default() };
        let entry = Entry {
            index: 42,
            term: 3,
            entry_type: EntryType::EntryConfChangeV2,
            data: Bytes::from_static(b"data"),
            context: Bytes::from_static(b"context"),
            ..Entry::default()
        };
        let mut out = Vec::new();
        encode(Kind::Entries, &hard, &[entry.clone(), entry.clone()], &mut out);
        assert_eq!(sectors(out.len()), sectors_of(&[entry.clone(), entry.clone()]));
        let back = decode(out.into()).unwrap();
        assert_eq!(back.kind, Kind::Entries);
        assert_eq!(back.hard, hard);
        assert_eq!(back.entries, [entry.clone(), entry]);
    }

    #[test]
    fn a_short_group_is_refused_at_every_length() {
        let entry = Entry { data: Bytes::from_static(b"data"), ..Entry::default() };
        let mut out = Vec::new();
        encode(Kind::Close, &HardState::default(), &[entry], &mut out);
        for length in 0..out.len() {
            assert!(decode(Bytes::copy_from_slice(&out[..length])).is_err(), "{length}");
        }
    }
}
