//! What a directory has for readers when a store is opened: their cursors, and the logs that
//! these need.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::Path;
use std::time::Instant;

use super::registry::Registry;
use super::{cursor_file, kept};
use crate::log_frame::Cursor;
use crate::wal::{self, ReadError};

/// Takes up cursors and logs. Returns the heads whose kept files are to stay: they are no logs
/// of this store, or nobody knows who needs them.
///
/// # Errors
/// The directory cannot be listed.
pub(super) fn take_up(
    registry: &mut Registry,
    directory: &Path,
    store: &str,
    rows_from: impl FnOnce(u64) -> BTreeMap<u64, u64>,
) -> io::Result<BTreeSet<u64>> {
    let saved = match cursor_file::list(directory, store) {
        Ok(saved) => saved,
        Err(error) => {
            tracing::warn!(directory = %directory.display(), %error,
                "the cursors of readers of the log cannot be listed: the logs that are there stay");
            let kept = wal::list_as(directory, kept::KEPT_PREFIX)?;
            return Ok(kept.into_iter().map(|(head, _)| head).collect());
        }
    };
    let mut foreign = BTreeSet::new();
    if saved.is_empty() {
        return Ok(foreign);
    }
    let cursors: Vec<Cursor> = saved.iter().filter_map(|saved| saved.cursor).collect();
    let oldest = cursors.iter().map(|cursor| cursor.head).min();
    let mut missing = Missing {
        rows: oldest.map(rows_from).unwrap_or_default(),
        cursors,
    };
    for (head, path) in kept::list_all(directory)? {
        match wal::scan(&path, store) {
            Ok(scanned) => {
                registry.found(head, &scanned, kept::age_of(&path));
                missing.rows.remove(&head);
            }
            Err(ReadError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                tracing::warn!(path = %path.display(), %error,
                    "a log that readers may need cannot be read: it is left where it is");
                if is_foreign(&path, &error) {
                    foreign.insert(head);
                } else {
                    missing.note_unread(registry, head, &path);
                }
            }
        }
    }
    missing.note_rest(registry);
    saved.into_iter().for_each(|saved| registry.restore(saved));
    Ok(foreign)
}

/// It has a header of something else, and is a kept log by its name alone.
fn is_foreign(path: &Path, error: &ReadError) -> bool {
    let is_kept = path
        .file_name()
        .and_then(|name| name.to_str())
        .is_some_and(|name| name.starts_with(kept::KEPT_PREFIX));
    let has_header = || fs::metadata(path).is_ok_and(|metadata| metadata.len() >= wal::HEADER as u64);
    is_kept && !matches!(error, ReadError::Io(_)) && has_header()
}

/// Heads whose logs were not read.
struct Missing {
    cursors: Vec<Cursor>,
    /// Rows of heads in segments, but for those whose logs were read.
    rows: BTreeMap<u64, u64>,
}

impl Missing {
    /// The log is there: what cursors have of its head they have.
    fn note_unread(&mut self, registry: &mut Registry, head: u64, path: &Path) {
        if let Some(rows) = self.rows.remove(&head) {
            let within = self.cursors.iter().filter(|cursor| cursor.head == head);
            let frame = within.map(|cursor| cursor.frame).max().unwrap_or(0);
            let bytes = fs::metadata(path).map_or(0, |metadata| metadata.len());
            registry.missing(Cursor { head, frame }, rows, bytes, kept::age_of(path));
        }
    }

    /// Others are not there. Where a cursor stands in the midst of one, its reader may have
    /// had all of it, and the log have gone for that.
    fn note_rest(self, registry: &mut Registry) {
        for (head, rows) in self.rows {
            let first = Cursor { head, frame: 0 };
            if self.cursors.iter().any(|cursor| *cursor <= first) {
                tracing::warn!(head, rows, "the log of a head is not there that a reader needs");
                registry.missing(first, rows, 0, Instant::now());
            }
        }
    }
}
