//! Up to where a file is whole, and which frame that is.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::rows::Place;

/// What stands in `FILE.position`: one line, `STORE LENGTH`, and behind it `HEAD FRAME` once there
/// is a frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The store.
    pub store: String,
    /// Octets of the file then.
    pub length: u64,
    /// The last frame that is in the file, or in those before it.
    pub place: Option<Place>,
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
        let mut file = File::create(&unfinished)?;
        write!(file, "{} {}", self.store, self.length)?;
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
        let (store, length, place) = match words[..] {
            [store, length] => (store, length, None),
            [store, length, head, frame] => {
                let (head, frame) = (head.parse().ok()?, frame.parse().ok()?);
                (store, length, Some(Place { head, frame }))
            }
            _ => return None,
        };
        Some(Self {
            store: store.to_owned(),
            length: length.parse().ok()?,
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
                store: "d41d".to_owned(),
                length: 159,
                place,
            };
            position.write(&path, true).unwrap();
            assert_eq!(Position::read(&path).unwrap(), Some(position));
        }
        for damaged in [
            "",
            "\n",
            "d41d 1",
            "d41d x\n",
            "d41d 1 2\n",
            "d41d 1 2 3 4\n",
            "d41d -1 2 3\n",
        ] {
            assert_eq!(Position::parse(damaged), None, "{damaged:?}");
        }
    }
}
