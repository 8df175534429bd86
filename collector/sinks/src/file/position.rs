//! Up to where a file is whole, and which frame that is.

use std::ffi::OsString;
use std::fs::{self, Metadata, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use super::{MODE, NO_LINK};
use crate::rows::Place;

/// What stands in `FILE.position`: one line, `SINK STORE DEVICE INODE BIRTH LENGTH`, and behind
/// it `HEAD FRAME` once there is a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// Whose frames they are: a sink, and a store.
    pub of: (String, String),
    /// Which file it is: of another one nothing is known.
    pub id: FileId,
    /// Bytes of the file that are whole.
    pub length: u64,
    /// The last frame that is in the file, or in those before it.
    pub place: Option<Place>,
}

/// Device, inode, and when it was made (nanoseconds since the epoch UTC; 0 where the file system
/// does not say), since the inode of a file that is removed is soon another's.
pub type FileId = (u64, u64, u64);

/// Which file it is.
pub fn id(file: &Metadata) -> FileId {
    let made = file
        .created()
        .ok()
        .and_then(|made| made.duration_since(UNIX_EPOCH).ok());
    // 64 bits of nanoseconds end in 2554.
    (
        file.dev(),
        file.ino(),
        made.map_or(0, |made| made.as_nanos() as u64),
    )
}

impl Position {
    /// What was written beside that file. What cannot be made out is nothing.
    pub fn read(path: &Path) -> io::Result<Option<Self>> {
        match fs::read_to_string(beside(path, ".position")) {
            Ok(text) => Ok(Self::parse(&text)),
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidData) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Writes it beside that file, whole or not at all.
    pub fn write(&self, path: &Path, sync: bool) -> io::Result<()> {
        let unfinished = beside(path, ".position.unfinished");
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(MODE)
            .custom_flags(NO_LINK)
            .open(&unfinished)?;
        let ((sink, store), (device, inode, made)) = (&self.of, self.id);
        write!(file, "{sink} {store} {device} {inode} {made} {}", self.length)?;
        if let Some(Place { head, frame }) = self.place {
            write!(file, " {head} {frame}")?;
        }
        writeln!(file)?;
        if sync {
            file.sync_data()?;
        }
        fs::rename(unfinished, beside(path, ".position"))
    }

    fn parse(text: &str) -> Option<Self> {
        let words: Vec<&str> = text.strip_suffix('\n')?.split(' ').collect();
        let (known, place) = words.split_at_checked(6)?;
        let [sink, store, numbers @ ..] = known else {
            return None;
        };
        let numbers = numbers.iter().map(|word| word.parse().ok());
        let numbers: Option<Vec<u64>> = numbers.collect();
        let [device, inode, made, length] = numbers?[..] else {
            return None;
        };
        let place = match place {
            [] => None,
            [head, frame] => Some(Place {
                head: head.parse().ok()?,
                frame: frame.parse().ok()?,
            }),
            _ => return None,
        };
        Some(Self {
            of: ((*sink).to_owned(), (*store).to_owned()),
            id: (device, inode, made),
            length,
            place,
        })
    }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name: OsString = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_what_is_damaged_is_nothing() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("flows.json");
        assert_eq!(Position::read(&path).unwrap(), None);
        for place in [None, Some(Place { head: 3, frame: 14 })] {
            let position = Position {
                of: ("archive".to_owned(), "d41d".to_owned()),
                id: (1, 2, 3),
                length: 159,
                place,
            };
            position.write(&path, true).unwrap();
            assert_eq!(Position::read(&path).unwrap(), Some(position));
        }
        for damaged in [
            "",
            "\n",
            "a d41d 1 2 0 3",
            "a d41d 1 2 0\n",
            "a d41d 1 2 0 x\n",
            "a d41d 1 2 0 3 4\n",
            "a d41d 1 2 0 3 4 5 6\n",
            "a d41d -1 2 0 3 4 5\n",
        ] {
            assert_eq!(Position::parse(damaged), None, "{damaged:?}");
        }
    }

    #[test]
    fn a_link_that_somebody_laid_is_not_followed() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("flows.json");
        let precious = folder.path().join("precious");
        fs::write(&precious, "kept").unwrap();
        std::os::unix::fs::symlink(&precious, beside(&path, ".position.unfinished")).unwrap();
        let position = Position {
            of: ("a".to_owned(), "s".to_owned()),
            id: (0, 0, 0),
            length: 0,
            place: None,
        };
        assert!(position.write(&path, false).is_err());
        assert_eq!(fs::read_to_string(precious).unwrap(), "kept");
    }
}
