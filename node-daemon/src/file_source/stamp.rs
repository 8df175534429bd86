//! Whether a file may have changed, from its metadata alone.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// File systems count time in steps, some of whole seconds: within that long
/// after a change, another one need not show in the metadata.
const COARSEST_STEP: Duration = Duration::from_secs(2);

/// Metadata that differs after nearly every change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileStamp {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl FileStamp {
    /// Of the file that the path leads to, through symbolic links.
    pub fn of(path: &Path) -> io::Result<Self> {
        let data = std::fs::metadata(path)?;
        Ok(Self {
            device: data.dev(),
            inode: data.ino(),
            length: data.len(),
            modified: (data.mtime(), data.mtime_nsec()),
            changed: (data.ctime(), data.ctime_nsec()),
        })
    }

    /// Whether an equal stamp proves equal content: the last change is long ago.
    pub fn is_settled(&self) -> bool {
        let seconds = u64::try_from(self.changed.0).unwrap_or(0);
        let changed = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        changed.elapsed().is_ok_and(|age| age > COARSEST_STEP)
    }
}
