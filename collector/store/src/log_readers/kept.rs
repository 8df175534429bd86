//! Logs of sealed heads that are kept for readers, `kept-<head>`, and reading frames out of
//! them and out of the logs that are being written.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use super::LogReaders;
use crate::identities;
use crate::lock::Lock;
use crate::log_frame::{Cursor, LogFrame};
use crate::memory_identities::{MemoryIdentities, NamedIdentities};
use crate::recovery;
use crate::wal::{self, ReadError, ScannedFrame};

pub(crate) const KEPT_PREFIX: &str = "kept-";

/// The log of a sealed head that a reader still needs.
pub(crate) fn kept_path(directory: &Path, head: u64) -> PathBuf {
    directory.join(format!("{KEPT_PREFIX}{head}"))
}

/// All logs, those of sealed heads and others, the oldest first.
pub(super) fn list_all(directory: &Path) -> io::Result<Vec<(u64, PathBuf)>> {
    let mut logs = wal::list_as(directory, KEPT_PREFIX)?;
    logs.extend(wal::list(directory)?);
    logs.sort_unstable();
    Ok(logs)
}

/// The last head of which a log is kept, whoever it is of.
pub(crate) fn last_kept(directory: &Path) -> io::Result<u64> {
    let kept = wal::list_as(directory, KEPT_PREFIX)?;
    Ok(kept.last().map_or(0, |(head, _)| *head))
}

/// Since when the rows of a log wait, as far as its file tells.
pub(super) fn age_of(path: &Path) -> Instant {
    let written = fs::metadata(path).and_then(|metadata| metadata.modified());
    let age = written.ok().and_then(|written| written.elapsed().ok());
    let now = Instant::now();
    age.and_then(|age| now.checked_sub(age)).unwrap_or(now)
}

/// What a file has in a place.
pub(super) enum ReadFrame {
    Whole(LogFrame),
    /// It is not there, or was changed.
    Lost,
}

/// Reads frames one after the other, each head from its start: what a frame names, frames
/// before it may have told.
#[derive(Debug)]
pub(super) struct LogFiles {
    directory: PathBuf,
    store: String,
    open: Option<OpenLog>,
    /// Nobody else writes the directory, or removes what is read.
    _lock: Arc<Lock>,
}

#[derive(Debug)]
struct OpenLog {
    file: File,
    /// Where the frame `next` begins in the file.
    at: u64,
    next: Cursor,
    identities: Arc<MemoryIdentities>,
    known: HashSet<u32>,
}

impl LogFiles {
    pub fn new(directory: &Path, store: &str, lock: Arc<Lock>) -> Self {
        Self {
            directory: directory.to_owned(),
            store: store.to_owned(),
            open: None,
            _lock: lock,
        }
    }

    /// The frames of a head; none: there is no log of it.
    pub fn scan(&self, head: u64) -> io::Result<Option<Vec<ScannedFrame>>> {
        match wal::scan(&kept_path(&self.directory, head), &self.store) {
            Ok(frames) => Ok(Some(frames)),
            Err(ReadError::Io(error)) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Err(_) => Ok(None),
        }
    }

    /// Writes down how far readers are, when the store is closed.
    pub fn save(&self, readers: &LogReaders) {
        if let Err(error) = readers.save(&self.directory, &self.store) {
            tracing::warn!(%error, directory = %self.directory.display(),
                "the cursor of a reader of the log cannot be written: it is shown again what it has");
        }
    }

    /// The frame of a place.
    pub fn read(&mut self, cursor: Cursor) -> io::Result<ReadFrame> {
        let is_ahead = |open: &OpenLog| open.next.head == cursor.head && open.next <= cursor;
        let open = match self.open.take().filter(is_ahead) {
            Some(open) => open,
            None => match self.open(cursor.head) {
                Ok(open) => open,
                Err(ReadError::Io(error)) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                Err(_) => return Ok(ReadFrame::Lost),
            },
        };
        let open = self.open.insert(open);
        while open.next < cursor {
            if !open.step()?.is_there {
                return Ok(ReadFrame::Lost);
            }
        }
        Ok(open.step()?.frame.map_or(ReadFrame::Lost, ReadFrame::Whole))
    }

    /// A log gets its other name while nobody looks: it is looked for under the first, then
    /// under that.
    fn open(&self, head: u64) -> Result<OpenLog, ReadError> {
        let file = match wal::open(&wal::path(&self.directory, head), &self.store) {
            Err(ReadError::Io(error)) if error.kind() == io::ErrorKind::NotFound => {
                wal::open(&kept_path(&self.directory, head), &self.store)?
            }
            opened => opened?,
        };
        Ok(OpenLog {
            file,
            at: wal::HEADER as u64,
            next: Cursor { head, frame: 0 },
            identities: Arc::default(),
            known: HashSet::from([0]),
        })
    }
}

/// What a step came upon.
struct Step {
    /// There is a frame, whole or not.
    is_there: bool,
    frame: Option<LogFrame>,
}

impl OpenLog {
    fn step(&mut self) -> io::Result<Step> {
        let Some((logged, end)) = wal::read_frame(&self.file, self.at)? else {
            return Ok(Step {
                is_there: false,
                frame: None,
            });
        };
        let cursor = self.next;
        self.next = cursor.next();
        self.at = end;
        let frame = logged.and_then(|logged| {
            if let Some(table) = &logged.identities {
                let named = NamedIdentities::of_table(table);
                self.known.extend(identities::ids(named.table()));
                self.identities.push(Arc::new(named));
            }
            let is_named = recovery::named(&self.known, logged.batch.rows());
            is_named.then(|| LogFrame::new(cursor, logged.batch, Arc::clone(&self.identities)))
        });
        Ok(Step {
            is_there: true,
            frame,
        })
    }
}
