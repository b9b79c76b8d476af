//! Whose folder this is: a line of text that is written last when a log is first set up.
//!
//! Where it is, the log was complete once. Where it is not, there was no log yet.

use std::{io, path::Path};

use crate::{
    disk::Disk,
    error::{Damage, OpenError},
};

pub(crate) const NAME: &str = "identity";

/// The text for a node, with its own checksum.
fn text(node: u64) -> String {
    let line = format!("busyhour log 1, node {node}");
    format!("{line}, checksum {:08x}\n", crc32fast::hash(line.as_bytes()))
}

/// Writes it for good.
pub(crate) fn write(disk: &dyn Disk, folder: &Path, node: u64) -> Result<(), OpenError> {
    let path = folder.join(NAME);
    let temporary = path.with_extension("tmp");
    (|| {
        let file = disk.create(&temporary)?;
        file.write(0, text(node).as_bytes())?;
        file.sync()?;
        disk.rename(&temporary, &path)?;
        disk.sync_folder(folder)
    })()
    .map_err(OpenError::io("writing", path))
}

/// Checks that the folder is this node's.
pub(crate) fn check(disk: &dyn Disk, folder: &Path, node: u64) -> Result<(), OpenError> {
    let path = folder.join(NAME);
    let found = read(disk, &path).map_err(OpenError::io("reading", &path))?;
    if found == text(node).as_bytes() {
        return Ok(());
    }
    let other = String::from_utf8_lossy(&found)
        .split(|c: char| !c.is_ascii_digit())
        .filter_map(|digits| digits.parse().ok())
        .find(|other| text(*other).as_bytes() == found);
    Err(match other {
        Some(other) => OpenError::OtherNode {
            folder: folder.to_owned(),
            found: other,
            wanted: node,
        },
        None => Damage {
            file: path,
            offset: 0,
            what: "the text is not the one that was written".to_owned(),
            remedy: format!(
                "Nothing was changed. If this is the folder of node {node}, write this line into the file: {}",
                text(node).trim_end()
            ),
        }
        .into(),
    })
}

fn read(disk: &dyn Disk, path: &Path) -> io::Result<Vec<u8>> {
    let file = disk.open(path)?;
    let mut bytes = vec![0; file.length()? as usize];
    file.read(0, &mut bytes)?;
    Ok(bytes)
}
