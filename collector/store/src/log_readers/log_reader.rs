//! The end of the log that a reader holds.

use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use super::kept::{LogFiles, ReadFrame};
use super::registry::Delivery;
use super::{LogReaderStatus, LogReaders, NoFrame, ReadLogError, cursor_file};
use crate::lock::Lock;
use crate::log_frame::{Cursor, LogFrame};

/// How long is waited where somebody would wait for ever.
const LONGEST: Duration = Duration::from_hours(24);

/// Somebody whose cursor is not on disk yet.
#[derive(Debug)]
pub(crate) struct Attached(pub(super) LogReader);

impl Attached {
    /// Writes the cursor: until then nobody would know after a crash that it was there.
    pub fn begin(self, directory: &Path, store: &str, lock: Arc<Lock>) -> Result<LogReader, ReadLogError> {
        let Self(mut reader) = self;
        let readers = Arc::clone(&reader.readers);
        let _saving = readers.saving.lock().unwrap_or_else(PoisonError::into_inner);
        let unsaved = reader.readers.lock().saved_form(reader.id);
        let written = cursor_file::write(directory, store, &unsaved);
        written.map_err(|error| ReadLogError::Write(cursor_file::path(directory, &unsaved.name), error))?;
        reader.readers.lock().saved(&unsaved);
        reader.files = Some(LogFiles::new(directory, store, lock));
        Ok(reader)
    }
}

/// Somebody who reads the log.
///
/// One in memory has what it was shown: there is nothing to acknowledge. One with a cursor
/// acknowledges frames, in any order; what it has not acknowledged when it is dropped, or
/// the process ends, comes again. What it has acknowledged by then is on disk also where the
/// store was closed before; until then the directory is in use.
#[derive(Debug)]
pub struct LogReader {
    pub(super) readers: Arc<LogReaders>,
    pub(super) id: u64,
    /// Where frames are that are no longer in memory; none: it is a reader in memory.
    pub(super) files: Option<LogFiles>,
}

impl LogReader {
    /// The next frame; `None`: none came in that time.
    ///
    /// # Errors
    /// See [`NoFrame`].
    pub fn next_frame(&mut self, within: Duration) -> Result<Option<LogFrame>, NoFrame> {
        let now = Instant::now();
        let until = now.checked_add(within).unwrap_or(now + LONGEST);
        loop {
            match self.await_delivery(until)? {
                Delivery::Frame(frame) => return Ok(Some(frame)),
                Delivery::Nothing | Delivery::Closed => return Ok(None),
                Delivery::InFile(cursor) => {
                    if let Some(frame) = self.read(cursor)? {
                        return Ok(Some(frame));
                    }
                }
                Delivery::Gap(cursor) => self.look_again(cursor)?,
            }
        }
    }

    fn await_delivery(&self, until: Instant) -> Result<Delivery, NoFrame> {
        let mut registry = self.readers.lock();
        loop {
            match registry.deliver(self.id) {
                Delivery::Nothing => {}
                Delivery::Closed => return Err(NoFrame::Closed),
                delivery => return Ok(delivery),
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(Delivery::Nothing);
            }
            let waited = self.readers.arrived.wait_timeout(registry, left);
            registry = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Reads a frame from its file; none: no file has it.
    fn read(&mut self, cursor: Cursor) -> Result<Option<LogFrame>, NoFrame> {
        let Some(files) = &mut self.files else {
            return Ok(None);
        };
        match files.read(cursor) {
            Ok(ReadFrame::Whole(frame)) => return Ok(Some(frame)),
            Ok(ReadFrame::Lost) => self.readers.lock().lose(self.id, cursor),
            Err(error) => {
                self.readers.lock().take_back(self.id, cursor);
                return Err(NoFrame::Io(error));
            }
        }
        Ok(None)
    }

    /// Looks at a log that could not be read when the store was opened.
    fn look_again(&self, cursor: Cursor) -> Result<(), NoFrame> {
        let Some(files) = &self.files else {
            return Ok(());
        };
        match files.scan(cursor.head).map_err(NoFrame::Io)? {
            Some(frames) => self.readers.lock().fill_gap(cursor.head, &frames),
            None => self.readers.lock().lose_gap(self.id, cursor),
        }
        Ok(())
    }

    /// The reader has this frame for certain. False: it was not owed any more, since more
    /// waited than its bounds allow, and is counted as dropped.
    pub fn acknowledge(&self, cursor: Cursor) -> bool {
        self.readers.lock().acknowledge(self.id, cursor)
    }

    /// The reader has all before this place, shown or not: it kept its own account. A place
    /// beyond the end of the log is its end.
    pub fn acknowledge_before(&self, cursor: Cursor) {
        self.readers.lock().acknowledge_before(self.id, cursor);
    }

    /// How far it is.
    pub fn status(&self) -> LogReaderStatus {
        self.readers.lock().status_of(self.id, Instant::now())
    }
}

impl Drop for LogReader {
    fn drop(&mut self) {
        let mut registry = self.readers.lock();
        registry.leave(self.id);
        self.readers.note_who_reads(&registry);
        let is_closed = registry.is_closed();
        drop(registry);
        if let Some(files) = self.files.as_ref().filter(|_| is_closed) {
            // Nobody else does any more.
            files.save(&self.readers);
        }
    }
}
