//! Readers of the flow log: whoever is told of every frame as it comes, each at its own
//! pace. Owns who reads and how far; what the log's files look like is [`crate::wal`].
//!
//! One way, and nobody upstream waits for anybody downstream:
//!
//! ```text
//! push (under the store's lock) -> frames in memory -> readers in memory   (stdout, live tail)
//!   `-> log thread: wal-<head> -> logged            -> readers with a cursor (sinks, connections)
//!        the head is sealed: wal-<head> -> kept-<head>, while one with a cursor needs it
//!        the cursors that are on disk have passed: the file goes
//! ```
//!
//! - Memory comes first: frames are handed on as they lie in memory. A file is read by a
//!   reader with a cursor that lags behind the last sealing, and on its own thread.
//! - A reader with a cursor is told of a frame when it is in the log, not before: what a
//!   death of the process takes back was never shown to it. That of the machine may take
//!   what was shown and not synced, a second.
//! - The cursor is the first frame that the reader does not have for certain. It comes to
//!   disk before a file goes that it has passed, so that what is counted as given up, and
//!   that alone, is never shown again.
//! - What a reader has waiting is bounded, in bytes and in age. Beyond, the oldest whole
//!   frames are given up and their rows counted. So are those that no file has.
//!
//! Each row that came is in one of three counts of each reader, at any moment and across
//! restarts: acknowledged, dropped, or lag. Where nobody reads, nothing is kept and
//! nothing copied. No I/O is done under the lock of this module or of the store.

mod cursor_file;
mod entry;
mod kept;
mod log_reader;
mod registry;
mod take_up;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub(crate) use self::cursor_file::store_of;
pub(crate) use self::kept::{KEPT_PREFIX, kept_path, last_kept};
use self::log_reader::Attached;
pub use self::log_reader::LogReader;
use self::registry::{GivenUp, Registry};
use crate::log_frame::{Cursor, LogFrame};

/// How much may wait for a reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Bytes: of memory for a reader in memory, of the log for one with a cursor.
    pub bytes: u64,
    /// How old what waits may be; `None`: as old as it likes.
    pub age: Option<Duration>,
}

/// Rows that a reader will not be shown, since it was first there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct DroppedRows {
    /// More waited than its bounds allow.
    pub behind: u64,
    /// The disk was short, and the log was given up before new rows were refused.
    pub disk_short: u64,
    /// No file has them: the disk did not take them, or changed them.
    pub lost: u64,
}

impl DroppedRows {
    /// All of them.
    pub const fn sum(&self) -> u64 {
        self.behind + self.disk_short + self.lost
    }

    /// The same by the words for metrics.
    pub const fn by_reason(&self) -> [(&'static str, u64); 3] {
        [
            ("behind", self.behind),
            ("disk_short", self.disk_short),
            ("lost", self.lost),
        ]
    }
}

/// How far a reader is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogReaderStatus {
    /// What it is called.
    pub name: String,
    /// It has a cursor that outlives the process.
    pub durable: bool,
    /// Somebody reads under this name now.
    pub attached: bool,
    /// The first frame that it does not have for certain.
    pub cursor: Cursor,
    /// Rows that wait for it, those that it was shown and has not acknowledged included.
    pub lag_rows: u64,
    /// Bytes of them, see [`Bounds::bytes`].
    pub lag_bytes: u64,
    /// How long the oldest of them waits.
    pub lag_age: Option<Duration>,
    /// What may wait.
    pub bounds: Bounds,
    /// Rows that it has.
    pub acknowledged_rows: u64,
    /// Rows that it will not be shown.
    pub dropped: DroppedRows,
}

/// Tells how far those are who read a log. Cheap to clone.
#[derive(Debug, Clone)]
pub struct LogStatus(pub(crate) Arc<LogReaders>);

impl LogStatus {
    /// All of them, by name.
    pub fn readers(&self) -> Vec<LogReaderStatus> {
        self.0.status()
    }
}

/// Why nobody can read under a name.
#[derive(Debug, thiserror::Error)]
pub enum ReadLogError {
    /// It would not be a file's name.
    #[error("a reader of the log cannot be called {0:?}: use 1 to 64 of a-z, 0-9, '-' and '_'")]
    Name(String),
    /// There is one already.
    #[error("the log is being read as {0:?} already")]
    Attached(String),
    /// Nothing comes to a directory that is only read, and its cursors are another's.
    #[error("the store is not written by this process: its log cannot be read from a cursor")]
    NotWritten,
    /// The cursor cannot be written.
    #[error("the cursor {0} cannot be written: {1}")]
    Write(std::path::PathBuf, io::Error),
}

/// Why there is no frame.
#[derive(Debug, thiserror::Error)]
pub enum NoFrame {
    /// The store was closed, and all was shown.
    #[error("the store was closed")]
    Closed,
    /// The log cannot be read now. The same frame comes again.
    #[error("the log cannot be read: {0}")]
    Io(io::Error),
}

/// All who read one log.
#[derive(Debug)]
pub(crate) struct LogReaders {
    registry: Mutex<Registry>,
    /// Something came, or it was closed.
    arrived: Condvar,
    /// Held while cursors are written: none goes back.
    saving: Mutex<()>,
    /// Anybody reads: without, frames are not kept.
    is_read: AtomicBool,
    /// Anybody has a cursor: without, logs go with their heads.
    has_cursors: AtomicBool,
    /// Heads whose kept files this process does not remove: it does not know what they are, or
    /// who needs them.
    left: BTreeSet<u64>,
}

impl Default for LogReaders {
    fn default() -> Self {
        Self::of(Registry::default())
    }
}

impl LogReaders {
    fn of(registry: Registry) -> Self {
        let readers = Self {
            registry: Mutex::new(registry),
            arrived: Condvar::new(),
            saving: Mutex::default(),
            is_read: AtomicBool::new(false),
            has_cursors: AtomicBool::new(false),
            left: BTreeSet::new(),
        };
        readers.note_who_reads(&readers.lock());
        readers
    }

    /// Takes up the cursors of a directory, and what its logs have for them. `sealed`: the
    /// last head that is in a segment; `rows_from`: how many rows each head from one on has in
    /// segments, as far as those are there.
    ///
    /// # Errors
    /// The directory cannot be listed. A cursor that cannot be read is none: its reader
    /// begins with the oldest frame that is there.
    pub fn take_up(
        directory: &Path,
        store: &str,
        sealed: u64,
        rows_from: impl FnOnce(u64) -> BTreeMap<u64, u64>,
    ) -> io::Result<Self> {
        let mut registry = Registry::default();
        registry.sealed(sealed);
        let left = take_up::take_up(&mut registry, directory, store, rows_from)?;
        Ok(Self {
            left,
            ..Self::of(registry)
        })
    }

    /// Whether the kept log of a head is left where it is: it is not known what it is.
    pub fn leaves(&self, head: u64) -> bool {
        self.left.contains(&head)
    }

    fn lock(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note_who_reads(&self, registry: &Registry) {
        self.is_read.store(registry.is_read(), Ordering::Release);
        self.has_cursors.store(registry.has_cursors(), Ordering::Release);
    }

    /// Whether a frame has to be shown at all. Asked under the store's lock, as who joins
    /// holds it.
    pub fn is_read(&self) -> bool {
        self.is_read.load(Ordering::Acquire)
    }

    /// Whether anybody needs frames of sealed heads in the log.
    pub fn has_cursors(&self) -> bool {
        self.has_cursors.load(Ordering::Acquire)
    }

    /// The last head that a cursor names.
    pub fn last_head(&self) -> u64 {
        self.lock().last_head()
    }

    /// A frame came.
    pub fn push(&self, frame: LogFrame) {
        self.lock().push(frame, Instant::now());
        self.arrived.notify_all();
    }

    /// A frame is in the log, as so many bytes.
    pub fn logged(&self, cursor: Cursor, rows: usize, bytes: u64) {
        self.lock().logged(cursor, rows as u64, bytes, Instant::now());
        if self.has_cursors() {
            self.arrived.notify_all();
        }
    }

    /// A frame will never be in the log: its rows are in a segment.
    pub fn skipped(&self, cursor: Cursor, rows: usize) {
        self.lock().skipped(cursor, rows as u64);
    }

    /// All heads up to this one are in segments.
    pub fn sealed(&self, head: u64) {
        if self.is_read() {
            self.lock().sealed(head);
        }
    }

    /// The oldest head whose log somebody needs.
    pub fn pinned_from(&self) -> u64 {
        if self.has_cursors() {
            self.lock().pinned_from()
        } else {
            u64::MAX
        }
    }

    /// Whoever needs the oldest logs does without: as many as have that many bytes. They may
    /// go once the cursors are saved.
    pub fn give_up_logs(&self, bytes: u64) -> GivenUp {
        match self.has_cursors() {
            true => self.lock().give_up_logs(bytes),
            false => GivenUp::default(),
        }
    }

    /// Logs that were given up may go though cursors cannot be saved.
    pub fn let_go(&self, through: u64) {
        self.lock().let_go(through);
    }

    /// Looks whether anybody waits for too long, and writes the cursors that changed.
    ///
    /// # Errors
    /// One of them cannot be written; it is tried again at the next call.
    pub fn save(&self, directory: &Path, store: &str) -> io::Result<()> {
        if !self.is_read() {
            return Ok(());
        }
        let _saving = self.saving.lock().unwrap_or_else(PoisonError::into_inner);
        let unsaved = {
            let mut registry = self.lock();
            registry.look_at_ages(Instant::now());
            registry.unsaved()
        };
        let mut outcome = Ok(());
        for saved in unsaved {
            match cursor_file::write(directory, store, &saved) {
                Ok(()) => self.lock().saved(&saved),
                Err(error) => {
                    self.lock().not_saved(&saved);
                    outcome = Err(error);
                }
            }
        }
        outcome
    }

    /// Nothing more comes.
    pub fn close(&self) {
        self.lock().close();
        self.arrived.notify_all();
    }

    /// How far each of them is, by name.
    pub fn status(&self) -> Vec<LogReaderStatus> {
        self.lock().status(Instant::now())
    }

    /// Somebody reads from memory what comes from this place on.
    pub fn join(self: &Arc<Self>, name: &str, bounds: Bounds, from: Cursor) -> LogReader {
        let mut registry = self.lock();
        let id = registry.join(name, bounds, from);
        self.note_who_reads(&registry);
        drop(registry);
        LogReader {
            readers: Arc::clone(self),
            id,
            files: None,
        }
    }

    /// Somebody reads from where the cursor of that name is; one that is new, from this
    /// place on.
    pub fn attach(
        self: &Arc<Self>,
        name: &str,
        bounds: Bounds,
        from: Cursor,
    ) -> Result<Attached, ReadLogError> {
        cursor_file::check_name(name)?;
        let mut registry = self.lock();
        let attached = registry.attach(name, bounds, from);
        let id = attached.ok_or_else(|| ReadLogError::Attached(name.to_owned()))?;
        self.note_who_reads(&registry);
        Ok(Attached(LogReader {
            readers: Arc::clone(self),
            id,
            files: None,
        }))
    }

    /// Forgets a cursor that nobody reads from.
    pub fn forget(&self, name: &str, directory: &Path) -> io::Result<bool> {
        let mut registry = self.lock();
        let is_forgotten = registry.forget(name);
        self.note_who_reads(&registry);
        drop(registry);
        if is_forgotten {
            let _saving = self.saving.lock().unwrap_or_else(PoisonError::into_inner);
            cursor_file::remove(directory, name)?;
        }
        Ok(is_forgotten)
    }
}
