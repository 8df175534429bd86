//! What was in force when the collector ended, as one number in a small file: who starts with
//! the same has missed no change.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The file's name, in the data directory.
const NAME: &str = "policies-in-force";

/// The file, if there is a place for it.
#[derive(Debug, Clone, Default)]
pub struct StateFile(Option<PathBuf>);

impl StateFile {
    /// In this directory.
    pub fn within(directory: Option<&Path>) -> Self {
        Self(directory.map(|directory| directory.join(NAME)))
    }

    /// What was in force; `None`: nobody knows.
    pub fn read(&self) -> Option<u64> {
        let text = fs::read_to_string(self.0.as_ref()?).ok()?;
        u64::from_str_radix(text.trim(), 16).ok()
    }

    /// This is in force. Readers see the file before or after, never half of it.
    pub fn write(&self, hash: u64) {
        let Some(path) = &self.0 else { return };
        let written = || -> io::Result<()> {
            let partial = path.with_extension("partial");
            fs::write(&partial, format!("{hash:016x}\n"))?;
            fs::rename(&partial, path)
        };
        if let Err(error) = written() {
            tracing::warn!(file = %path.display(), %error, "what policies are in force cannot be written: after a restart it is not known whether they changed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_written_is_read_and_anything_else_is_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = StateFile::within(Some(folder.path()));
        assert_eq!(file.read(), None);
        file.write(0xabc);
        assert_eq!(file.read(), Some(0xabc));
        fs::write(folder.path().join(NAME), "half").unwrap();
        assert_eq!(file.read(), None);
        StateFile::default().write(1);
        assert_eq!(StateFile::default().read(), None);
    }
}
