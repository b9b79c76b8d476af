//! What lies on the disk, and how it is read back.

mod files;
mod group;
mod identity;
mod memory;
mod recovery;
mod sector;
mod segment;
mod snapshot;
mod snapshots;
mod spare;
mod worker;

pub(crate) use files::LogFiles;
pub(crate) use group::group_sectors;
pub(crate) use memory::Memory;
pub(crate) use recovery::{Recovered, recover};
pub(crate) use sector::SECTOR;
pub(crate) use snapshot::Position as SnapshotPosition;
pub(crate) use snapshots::Snapshots;
