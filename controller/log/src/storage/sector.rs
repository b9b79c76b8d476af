//! The smallest piece of a log file: 512 bytes that tell by themselves whether they are what was
//! written.
//!
//! ```text
//! byte   0  checksum   u32  CRC-32 of the rest, begun with the file's seed
//!        4  group      u64  number of the group that the sector belongs to
//!       12  place      u32  its place in the group, from 0
//!       16  of         u32  how many sectors the group has
//!       20  payload         492 bytes
//! ```
//!
//! All numbers are little-endian. A disk writes a sector whole or not at all, so in a file that was
//! written full of zeros before its first use, a sector is either blank or what was written last.
//! Anything else is rot.

use std::ops::Range;

/// Size of a sector in bytes.
pub(crate) const SECTOR: usize = 512;
const HEADER: usize = 20;
/// Bytes of a group that one sector carries.
pub(crate) const PAYLOAD: usize = SECTOR - HEADER;

/// What a sector turns out to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Sector<'a> {
    /// Never written.
    Blank,
    /// As it was written.
    Sound(Frame<'a>),
    /// Neither: the disk has changed what it was given.
    Rotten,
}

/// A sector's part of its group.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Frame<'a> {
    pub(crate) group: u64,
    pub(crate) place: u32,
    pub(crate) of: u32,
    pub(crate) payload: &'a [u8],
}

/// How many sectors this many bytes fill.
pub(crate) const fn sectors(bytes: usize) -> u64 {
    bytes.div_ceil(PAYLOAD) as u64
}

/// Where the checksums of a file begin, so that a sector of another file is not taken for one of
/// this.
pub(crate) fn seed(first_group: u64) -> u32 {
    crc32fast::hash(&first_group.to_le_bytes())
}

/// Lays `payload` out in sectors, replacing what is in `out`.
pub(crate) fn frame(payload: &[u8], group: u64, seed: u32, out: &mut Vec<u8>) {
    let of = sectors(payload.len()) as u32;
    out.clear();
    out.reserve(of as usize * SECTOR);
    for (place, piece) in payload.chunks(PAYLOAD).enumerate() {
        let start = out.len();
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&group.to_le_bytes());
        out.extend_from_slice(&(place as u32).to_le_bytes());
        out.extend_from_slice(&of.to_le_bytes());
        out.extend_from_slice(piece);
        out.resize(start + SECTOR, 0);
        let checksum = checksum(&out[start + 4..], seed);
        out[start..start + 4].copy_from_slice(&checksum.to_le_bytes());
    }
}

/// Reads one sector.
pub(crate) fn read(sector: &[u8; SECTOR], seed: u32) -> Sector<'_> {
    if sector == &[0; SECTOR] {
        return Sector::Blank;
    }
    let u32_at = |range: Range<usize>| {
        let mut bytes = [0; 4];
        bytes.copy_from_slice(&sector[range]);
        u32::from_le_bytes(bytes)
    };
    let (place, of) = (u32_at(12..16), u32_at(16..20));
    if u32_at(0..4) != checksum(&sector[4..], seed) || place >= of {
        return Sector::Rotten;
    }
    let mut group = [0; 8];
    group.copy_from_slice(&sector[4..12]);
    Sector::Sound(Frame { group: u64::from_le_bytes(group), place, of, payload: &sector[HEADER..] })
}

fn checksum(bytes: &[u8], seed: u32) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(seed);
    hasher.update(bytes);
    hasher.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_flipped_bit_of_a_sector_is_rot() {
        let mut out = Vec::new();
        frame(b"acknowledged", 7, seed(1), &mut out);
        let good: [u8; SECTOR] = out.try_into().unwrap();
        assert!(matches!(read(&good, seed(1)), Sector::Sound(f) if f.group == 7));
        for bit in 0..SECTOR * 8 {
            let mut bad = good;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(read(&bad, seed(1)), Sector::Rotten, "bit {bit}");
        }
    }

    #[test]
    fn a_sector_of_another_file_is_rot() {
        let mut out = Vec::new();
        frame(b"acknowledged", 7, seed(1), &mut out);
        let good: [u8; SECTOR] = out.try_into().unwrap();
        assert_eq!(read(&good, seed(2)), Sector::Rotten);
    }

    #[test]
    fn any_single_flipped_bit_of_a_blank_sector_is_rot() {
        for bit in 0..SECTOR * 8 {
            let mut bad = [0; SECTOR];
            bad[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(read(&bad, seed(1)), Sector::Rotten, "bit {bit}");
        }
    }

    #[test]
    fn a_payload_comes_back_in_order() {
        let payload: Vec<u8> = (0..5 * PAYLOAD + 3).map(|n| n as u8).collect();
        let mut out = Vec::new();
        frame(&payload, 9, seed(4), &mut out);
        assert_eq!(out.len() as u64, sectors(payload.len()) * SECTOR as u64);
        let mut back = Vec::new();
        for (place, sector) in out.as_chunks::<SECTOR>().0.iter().enumerate() {
            let Sector::Sound(found) = read(sector, seed(4)) else { panic!("not sound") };
            assert_eq!((found.place as usize, found.of), (place, 6));
            back.extend_from_slice(found.payload);
        }
        assert_eq!(&back[..payload.len()], payload);
    }
}
