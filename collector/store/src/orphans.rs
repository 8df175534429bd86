//! Identities without rows: what a crash, or a disk that failed, left of a segment
//! between its two files. Nobody reads them; they only take room.

use std::fs;
use std::io;
use std::path::Path;

use crate::disk;
use crate::name::{FLOWS, IDENTITIES, SegmentName};

/// Removes identities without rows of heads up to `last`: those of later ones may be
/// on their way. Rows that cannot be read keep theirs.
///
/// # Errors
/// The directory cannot be listed, or a file not be removed.
pub(crate) fn remove(directory: &Path, last: u64) -> io::Result<u64> {
    let mut removed = 0;
    for entry in fs::read_dir(directory)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let Some(stem) = name.and_then(|name| name.strip_suffix(IDENTITIES)) else {
            continue;
        };
        let settled = SegmentName::parse(stem).is_some_and(|name| *name.heads.end() <= last);
        if settled && !directory.join(format!("{stem}{FLOWS}")).try_exists()? {
            disk::remove(&path)?;
            removed += 1;
        }
    }
    Ok(removed)
}
