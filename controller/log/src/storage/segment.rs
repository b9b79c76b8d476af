//! One file of the log: a header sector, a mark, then groups one after the other, then blank
//! sectors.
//!
//! Two rules tell a torn write from lost data:
//!
//! * **Nothing of group n + 1 is written before group n is synced.** So a sound sector of group n +
//!   1 proves that group n was durable, and only the last group that left any trace may be
//!   incomplete.
//! * **When the log has been idle for a moment, the mark says which group was durable**, in a
//!   sector far from the end. It is the one sector that is ever written over.

use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::{
    group::Kind,
    sector::{self, PAYLOAD, SECTOR, Sector},
};
use crate::error::Damage;

const MAGIC: &[u8; 16] = b"busyhour log 1\r\n";
/// Where the mark is.
const MARK: u64 = 1;
/// What a mark carries beside the number of the group.
const MARK_PAYLOAD: &[u8] = b"mark";
/// Where the first group is.
pub(crate) const FIRST: u64 = 2;

/// Where the file of this name lies; named by its first group, so that names sort by age.
pub(crate) fn path(folder: &Path, first_group: u64) -> PathBuf {
    folder.join(format!("{first_group:020}.log"))
}

/// The first group of a file, from its name.
pub(crate) fn first_group(name: &str) -> Option<u64> {
    let digits = name.strip_suffix(".log")?;
    (digits.len() == 20).then(|| digits.parse().ok())?
}

/// The header sector: checksum, magic, first group, node, sectors in the file, blank.
pub(crate) fn header(first_group: u64, node: u64, sectors: u64) -> [u8; SECTOR] {
    let mut out = [0; SECTOR];
    out[4..20].copy_from_slice(MAGIC);
    out[20..28].copy_from_slice(&first_group.to_le_bytes());
    out[28..36].copy_from_slice(&node.to_le_bytes());
    out[36..44].copy_from_slice(&sectors.to_le_bytes());
    let checksum = crc32fast::hash(&out[4..]);
    out[..4].copy_from_slice(&checksum.to_le_bytes());
    out
}

/// Where the mark goes, and a mark that says that `group` is durable.
pub(crate) fn mark(first_group: u64, group: u64) -> (u64, Vec<u8>) {
    let mut out = Vec::new();
    sector::frame(MARK_PAYLOAD, group, sector::seed(first_group), &mut out);
    (MARK * SECTOR as u64, out)
}

/// How a file ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum End {
    /// By a group that says that another file follows.
    Closed,
    /// After its last complete group.
    Open {
        /// First sector after that group.
        at: u64,
        /// If a torn write follows: over how many sectors it was to go, and how many are there.
        torn: Option<TornGroup>,
    },
}

impl End {
    /// As the end of a file without any group.
    pub(crate) const UNUSED: Self = Self::Open { at: FIRST, torn: None };
}

/// A group of which not every sector reached the disk.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TornGroup {
    pub(crate) of: u64,
    pub(crate) found: u64,
}

/// A file's worth of sectors, to be gone through.
pub(crate) struct Segment<'a> {
    path: &'a Path,
    sectors: &'a [[u8; SECTOR]],
    first_group: u64,
    seed: u32,
}

impl<'a> Segment<'a> {
    /// Checks the header and the length of a file that was read in whole.
    pub(crate) fn new(
        path: &'a Path,
        bytes: &'a [u8],
        first_group: u64,
        node: u64,
    ) -> Result<Self, Damage> {
        let (sectors, rest) = bytes.as_chunks::<SECTOR>();
        let Some(head) = sectors.first() else {
            let what = format!("the file has only {} bytes", bytes.len());
            return Err(Damage::of_log(path, 0, what));
        };
        let mut told = [0; 8];
        told.copy_from_slice(&head[36..44]);
        let told = u64::from_le_bytes(told);
        if *head != header(first_group, node, told) {
            let what = "the header is not the one that was written";
            return Err(Damage::of_log(path, 0, what));
        }
        if !rest.is_empty() || sectors.len() as u64 != told {
            let what = format!(
                "the file has {} bytes and should have {}",
                bytes.len(),
                told * SECTOR as u64
            );
            return Err(Damage::of_log(path, bytes.len() as u64, what));
        }
        Ok(Self { path, sectors, first_group, seed: sector::seed(first_group) })
    }

    /// Hands the offset and the payload of every complete group to `each`, in order, and tells how
    /// the file ends and which group is next.
    pub(crate) fn scan(
        &self,
        mut each: impl FnMut(u64, Bytes) -> Result<Kind, Damage>,
    ) -> Result<(End, u64), Damage> {
        let durable = self.marked()?;
        let mut group = self.first_group;
        let mut at = FIRST;
        let mut closed = false;
        while !closed && let Some((payload, of)) = self.group(at, group) {
            closed = each(at * SECTOR as u64, payload)? == Kind::Close;
            group += 1;
            at += of;
        }
        let torn = self.tail(at, group)?;
        if durable.is_some_and(|durable| durable >= group) {
            let what = format!(
                "group {group} is not whole, though the mark of the file says that it was durable"
            );
            return Err(self.damage(at, what));
        }
        match (closed, torn) {
            (false, torn) => Ok((End::Open { at, torn }, group)),
            (true, None) => Ok((End::Closed, group)),
            // Nothing was ever written after the closing group.
            (true, Some(_)) => Err(self.damage(at, "something follows the end of the file's log")),
        }
    }

    /// The group that the mark says was durable; none before the first idle moment of the file.
    fn marked(&self) -> Result<Option<u64>, Damage> {
        match self.sector(MARK) {
            None | Some(Sector::Blank) => Ok(None),
            Some(Sector::Sound(found))
                if (found.place, found.of) == (0, 1) && found.payload.starts_with(MARK_PAYLOAD) =>
            {
                Ok(Some(found.group))
            }
            Some(_) => Err(self.damage(MARK, "the mark is not the one that was written")),
        }
    }

    /// The group that begins at sector `at`, if it is complete.
    fn group(&self, at: u64, group: u64) -> Option<(Bytes, u64)> {
        let Some(Sector::Sound(head)) = self.sector(at) else {
            return None;
        };
        if (head.group, head.place) != (group, 0) {
            return None;
        }
        let of = u64::from(head.of);
        let mut payload = Vec::with_capacity(head.of as usize * PAYLOAD);
        for place in 0..of {
            match self.sector(at + place) {
                Some(Sector::Sound(found))
                    if (found.group, u64::from(found.place), found.of)
                        == (group, place, head.of) =>
                {
                    payload.extend_from_slice(found.payload);
                }
                _ => return None,
            }
        }
        Some((payload.into(), of))
    }

    /// Checks what lies after the last complete group: it may be blank, or sectors of the one group
    /// that was being written. Anything else was acknowledged, or is not what was written.
    fn tail(&self, from: u64, group: u64) -> Result<Option<TornGroup>, Damage> {
        let mut torn: Option<TornGroup> = None;
        for at in from..self.sectors.len() as u64 {
            match self.sector(at) {
                None | Some(Sector::Blank) => {}
                Some(Sector::Rotten) => {
                    return Err(self.damage(
                        at,
                        "the bytes are not those that were written (the checksum is wrong)",
                    ));
                }
                Some(Sector::Sound(found)) if found.group > group => {
                    let what = format!(
                        "group {group} is not whole, though it was durable before group {} was written",
                        found.group
                    );
                    return Err(self.damage(from, what));
                }
                Some(Sector::Sound(found)) => {
                    let of = torn.map_or(u64::from(found.of), |torn| torn.of);
                    let fits = found.group == group
                        && at == from + u64::from(found.place)
                        && u64::from(found.of) == of;
                    if !fits {
                        let what = format!("a sector of group {} is out of its place", found.group);
                        return Err(self.damage(at, what));
                    }
                    let found = torn.map_or(0, |torn| torn.found) + 1;
                    torn = Some(TornGroup { of, found });
                }
            }
        }
        Ok(torn)
    }

    fn sector(&self, at: u64) -> Option<Sector<'_>> {
        self.sectors.get(usize::try_from(at).ok()?).map(|bytes| sector::read(bytes, self.seed))
    }

    fn damage(&self, at: u64, what: impl std::fmt::Display) -> Damage {
        Damage::of_log(self.path, at * SECTOR as u64, what)
    }
}
