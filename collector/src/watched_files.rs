//! A file, or the files of a folder, that are read and read again when they changed.
//!
//! A file is read when it has stayed the same from one look to the next, so that one that is
//! being written is not read by half; at the start at once. A file of a folder that is gone is
//! told as gone; a file that was named itself is not, and stays as it was.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::names::subnet_labels::FileStamp;

/// Time between two looks.
pub const LOOK_INTERVAL: Duration = Duration::from_secs(1);
/// So many files of a folder are read at most.
const MAX_FILES: usize = 1_000;
/// How files end that are read out of a folder.
const ENDINGS: [&str; 3] = ["yaml", "yml", "json"];

/// A file or folder, and how its files were.
#[derive(Debug)]
pub struct WatchedFiles {
    path: PathBuf,
    /// What is in the files, for the log.
    what: &'static str,
    /// The longest file that is read, in bytes.
    max_bytes: u64,
    files: BTreeMap<PathBuf, FileState>,
    /// Why the folder could not be listed, when it was tried last.
    unlisted: Option<String>,
}

#[derive(Debug, Default)]
struct FileState {
    /// When it was looked at last.
    seen: Option<FileStamp>,
    /// When it was read last.
    read: Option<FileStamp>,
    /// Why it could not be read, when it was tried last.
    unread: Option<String>,
}

/// What one look found to do.
#[derive(Debug, PartialEq, Eq)]
pub enum FileChange {
    /// It is new, or another one: to be read.
    Changed(PathBuf),
    /// It is gone.
    Gone(PathBuf),
}

/// Which changed files a look tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// All of them: at the start.
    All,
    /// Those that stayed the same since the look before.
    Settled,
}

impl WatchedFiles {
    /// Nothing is read yet. `what` is said in the log of the files' contents.
    pub fn new(path: PathBuf, what: &'static str, max_bytes: u64) -> Self {
        Self {
            path,
            what,
            max_bytes,
            files: BTreeMap::new(),
            unlisted: None,
        }
    }

    /// What has changed. A folder that cannot be listed is as it was.
    pub fn changes(&mut self, look: Look) -> Vec<FileChange> {
        let present = match self.list() {
            Ok(present) => present,
            Err(error) => {
                let error = error.to_string();
                if self.unlisted.as_ref() != Some(&error) {
                    tracing::warn!(path = %self.path.display(), error, "{} cannot be read and stay as they were", self.what);
                }
                self.unlisted = Some(error);
                return Vec::new();
            }
        };
        self.unlisted = None;
        let is_folder = !present.contains_key(&self.path);
        for path in present.keys() {
            self.files.entry(path.clone()).or_default();
        }
        let mut found = Vec::new();
        for (path, state) in &mut self.files {
            let now = present.get(path).cloned();
            let settled = now == state.seen;
            state.seen.clone_from(&now);
            if now == state.read || look == Look::Settled && !settled {
                continue;
            }
            if now.is_some() {
                found.push(FileChange::Changed(path.clone()));
            } else if is_folder {
                found.push(FileChange::Gone(path.clone()));
            }
        }
        for change in &found {
            if let FileChange::Gone(path) = change {
                self.files.remove(path);
                tracing::info!(file = %path.display(), "a file of {} is gone, and they with it", self.what);
            }
        }
        found
    }

    /// The text of a file that changed. `None`: it cannot be read now, which is logged, and it
    /// is tried again.
    pub fn read(&mut self, path: &Path) -> Option<String> {
        let state = self.files.get_mut(path)?;
        match text_of(path, self.max_bytes) {
            Ok(text) => {
                state.unread = None;
                // What it was before it was read.
                state.read.clone_from(&state.seen);
                Some(text)
            }
            Err(error) => {
                // It is tried again, also where nobody writes it: its owner may change.
                let error = error.to_string();
                if state.unread.as_ref() != Some(&error) {
                    tracing::warn!(file = %path.display(), error, "a file of {} cannot be read, will be tried again; they stay as they were", self.what);
                }
                state.unread = Some(error);
                None
            }
        }
    }

    /// The files that there are.
    fn list(&self) -> io::Result<BTreeMap<PathBuf, FileStamp>> {
        let stamped = |path: PathBuf| FileStamp::of(&path).map(|stamp| (path, stamp));
        Ok(paths(&self.path)?.into_iter().filter_map(stamped).collect())
    }
}

/// The file, or those of the folder that are read, in order.
///
/// # Errors
/// It cannot be listed, or there are too many.
pub fn paths(path: &Path) -> io::Result<Vec<PathBuf>> {
    if !fs::metadata(path)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut paths = Vec::new();
    for entry in fs::read_dir(path)? {
        let path = entry?.path();
        let hidden = path
            .file_name()
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
        let ending = path
            .extension()
            .and_then(|ending| ending.to_str())
            .unwrap_or_default();
        // A ConfigMap's files are links into a hidden folder.
        if !hidden && ENDINGS.contains(&ending) && path.is_file() {
            paths.push(path);
        }
    }
    paths.sort();
    if paths.len() > MAX_FILES {
        let message = format!("{} files, more than {MAX_FILES}", paths.len());
        return Err(io::Error::other(message));
    }
    Ok(paths)
}

/// What a file says, if it is not longer than so many bytes.
///
/// # Errors
/// It is, or it cannot be read, or is no text.
pub fn text_of(path: &Path, max_bytes: u64) -> io::Result<String> {
    let length = fs::metadata(path)?.len();
    if length > max_bytes {
        return Err(io::Error::other(format!("{length} bytes, more than {max_bytes}")));
    }
    fs::read_to_string(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(files: &mut WatchedFiles) -> Vec<FileChange> {
        files.changes(Look::Settled);
        files.changes(Look::Settled)
    }

    #[test]
    fn a_file_that_could_not_be_read_is_tried_again_though_nobody_wrote_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.yaml");
        // No text. Root, who runs tests, may read any file.
        fs::write(&path, [0xff]).unwrap();
        let mut files = WatchedFiles::new(path.clone(), "tests", 1_000);
        files.changes(Look::All);
        for _ in 0..2 {
            let changed = FileChange::Changed(path.clone());
            assert_eq!(files.changes(Look::Settled), [changed]);
            assert_eq!(files.read(&path), None);
        }
        fs::write(&path, "good").unwrap();
        assert_eq!(settled(&mut files), [FileChange::Changed(path.clone())]);
        assert_eq!(files.read(&path).as_deref(), Some("good"));
        assert!(files.changes(Look::All).is_empty());
        fs::write(&path, [b'x'; 1_001]).unwrap();
        settled(&mut files);
        assert_eq!(files.read(&path), None, "longer than is read");
    }

    #[test]
    fn a_file_that_was_named_stays_as_it_was_when_it_is_gone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.yaml");
        fs::write(&path, "good").unwrap();
        let mut files = WatchedFiles::new(path.clone(), "tests", 1_000);
        files.changes(Look::All);
        files.read(&path);
        fs::remove_file(&path).unwrap();
        assert_eq!(settled(&mut files), []);
        assert!(files.unlisted.is_some());
    }
}
