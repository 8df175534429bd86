//! The threads that write rows to the log and sync it. Appending waits for neither.

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::disk;
use crate::log_readers::{KEPT_PREFIX, kept_path};
use crate::space;
use crate::state::{Shared, Stage};
use crate::status::Trouble;
use crate::wal::{self, Frame, Log};

/// Files with bytes that are not synced.
#[derive(Debug, Default)]
pub(crate) struct Unsynced(Mutex<Vec<Arc<File>>>);

impl Unsynced {
    fn add(&self, file: &Arc<File>) {
        let mut files = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !files.iter().any(|other| Arc::ptr_eq(other, file)) {
            files.push(Arc::clone(file));
        }
    }

    fn take(&self) -> Vec<Arc<File>> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn sync(&self) -> io::Result<()> {
        let files = self.take();
        for file in &files {
            if let Err(error) = file.sync_data() {
                files.iter().for_each(|file| self.add(file));
                return Err(error);
            }
        }
        Ok(())
    }
}

/// The logs on disk; those of an earlier run take no more frames. Outlives the thread's work
/// where that panics and begins anew.
#[derive(Debug, Default)]
pub(crate) struct Logs(Mutex<BTreeMap<u64, Option<Log>>>);

impl Logs {
    /// Those that lay there when the store was opened.
    pub fn found(heads: &[u64]) -> Self {
        Self(Mutex::new(heads.iter().map(|head| (*head, None)).collect()))
    }
}

/// Frames that are being written. Those that are left wait on when it is dropped: they could
/// not be written, or the thread panicked.
struct InFlight<'a> {
    shared: &'a Shared,
    frames: VecDeque<Frame>,
}

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.shared.lock().put_back(std::mem::take(&mut self.frames));
    }
}

/// Writes frames as they come until the store ends.
pub(crate) fn run(shared: &Shared, unsynced: &Unsynced, logs: &Logs) {
    let mut writer = Writer::new(shared, unsynced, logs);
    let nap = shared.settings.write_age / 4;
    loop {
        shared.hand_on_aged();
        let mut state = shared.lock();
        if state.unlogged.is_empty() && state.stage == Stage::Running {
            state = shared.wait(&shared.log, state, nap);
        }
        state.fill_aged(&shared.settings);
        state.trim();
        if !state.full.is_empty() {
            shared.seal.notify_all();
        }
        let frames = state.take_unlogged();
        let mut in_flight = InFlight { shared, frames };
        let (sealed, stage) = (state.sealed, state.stage);
        drop(state);
        writer.write(&mut in_flight.frames);
        writer.forget(sealed);
        let failed = !in_flight.frames.is_empty();
        drop(in_flight);
        let state = shared.lock();
        let finished = match stage {
            Stage::Running => false,
            Stage::Sealing => state.full.is_empty() && state.unlogged.is_empty() && state.sealed == sealed,
            Stage::Ending => state.unlogged.is_empty() || failed,
        };
        if finished {
            drop(state);
            let outcome = unsynced.sync().map_err(|error| Trouble::io("sync", &error));
            let mut state = shared.lock();
            state.log_sync_failed = outcome.is_err();
            state.note("sync", outcome);
            return;
        }
        if failed {
            let pause = if stage == Stage::Running {
                Duration::from_secs(1)
            } else {
                nap
            };
            drop(shared.wait(&shared.log, state, pause));
        } else if stage == Stage::Sealing {
            drop(shared.wait(&shared.log, state, nap));
        }
    }
}

struct Writer<'a> {
    shared: &'a Shared,
    unsynced: &'a Unsynced,
    logs: MutexGuard<'a, BTreeMap<u64, Option<Log>>>,
    /// From which head on readers needed logs when it was looked at those that are kept.
    pinned: Option<u64>,
}

impl<'a> Writer<'a> {
    fn new(shared: &'a Shared, unsynced: &'a Unsynced, logs: &'a Logs) -> Self {
        Self {
            shared,
            unsynced,
            logs: logs.0.lock().unwrap_or_else(PoisonError::into_inner),
            pinned: None,
        }
    }

    /// Writes frames; leaves those that could not be.
    fn write(&mut self, frames: &mut VecDeque<Frame>) {
        let mut written = 0;
        let mut outcome = Ok(());
        let had_frames = !frames.is_empty();
        while let Some(frame) = frames.front() {
            match self.append(frame) {
                Ok(bytes) => {
                    written += bytes;
                    self.shared
                        .readers
                        .logged(frame.cursor, frame.batch.num_rows(), bytes);
                    frames.pop_front();
                }
                Err(error) => {
                    let trouble = Trouble::io("log", &error);
                    // Twice what it takes in memory: texts are spelt out, and more is to come.
                    let wanted = 2 * frame.batch.memory_size() as u64;
                    if trouble.full_disk && space::make(self.shared, wanted) {
                        continue;
                    }
                    outcome = Err(trouble);
                    break;
                }
            }
        }
        if had_frames {
            let mut state = self.shared.lock();
            state.counts.log_bytes += written;
            state.note("log", outcome);
        }
    }

    fn append(&mut self, frame: &Frame) -> io::Result<u64> {
        let directory = &self.shared.settings.directory;
        let log = self.logs.entry(frame.cursor.head).or_default();
        let log = match log {
            Some(log) => log,
            None => {
                let created = Log::open(directory, frame.cursor.head, &self.shared.store)?;
                disk::sync_directory(directory)?;
                log.insert(created)
            }
        };
        let written = log.append(frame)?;
        self.unsynced.add(&log.file);
        Ok(written)
    }

    /// Removes the logs of heads whose segments are durable. Those that somebody reads get
    /// another name first: the next start takes up none of them.
    fn forget(&mut self, sealed: u64) {
        let outcome = self.remove(sealed).map_err(|error| Trouble::io("forget", &error));
        let mut state = self.shared.lock();
        if outcome.is_ok() && state.forgotten < sealed {
            state.forgotten = sealed;
            self.shared.keep.notify_all();
        }
        state.note("forget", outcome);
    }

    fn remove(&mut self, sealed: u64) -> io::Result<()> {
        let directory = &self.shared.settings.directory;
        let pinned = self.shared.readers.pinned_from();
        let mut is_changed = false;
        while let Some(entry) = self.logs.first_entry().filter(|entry| *entry.key() <= sealed) {
            let head = *entry.key();
            if head < pinned {
                disk::remove(&wal::path(directory, head))?;
            } else {
                keep(directory, head)?;
            }
            entry.remove();
            is_changed = true;
        }
        if is_changed {
            disk::sync_directory(directory)?;
        }
        if self.pinned != Some(pinned) {
            remove_kept(self.shared)?;
            self.pinned = Some(pinned);
        }
        Ok(())
    }
}

/// Removes the logs of sealed heads that no reader needs any more. Returns how many bytes
/// they had.
pub(crate) fn remove_kept(shared: &Shared) -> io::Result<u64> {
    let directory = &shared.settings.directory;
    // Between the answer and what follows, nobody comes to need an older one.
    let pinned = shared.readers.pinned_from();
    let mut freed = 0;
    for (head, path) in wal::list_as(directory, KEPT_PREFIX)? {
        if head < pinned && !shared.readers.leaves(head) {
            let bytes = fs::metadata(&path).map_or(0, |metadata| metadata.len());
            disk::remove(&path)?;
            freed += bytes;
        }
    }
    if freed > 0 {
        disk::sync_directory(directory)?;
    }
    Ok(freed)
}

/// The log of a sealed head stays for readers alone.
fn keep(directory: &Path, head: u64) -> io::Result<()> {
    match fs::rename(wal::path(directory, head), kept_path(directory, head)) {
        // A frame that could not be written may have left none.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        renamed => renamed,
    }
}

/// Syncs what was written, as often as the settings say, until the store ends.
pub(crate) fn sync(shared: &Shared, unsynced: &Unsynced) {
    loop {
        let state = shared.lock();
        if state.stage != Stage::Running {
            return;
        }
        drop(shared.wait(&shared.sync, state, shared.settings.sync_age));
        let outcome = unsynced.sync().map_err(|error| Trouble::io("sync", &error));
        shared.lock().note("sync", outcome);
        save_cursors(shared);
    }
}

/// Writes down how far readers are. False: not all could be written.
pub(crate) fn save_cursors(shared: &Shared) -> bool {
    let saved = shared.readers.save(&shared.settings.directory, &shared.store);
    let outcome = saved.map_err(|error| Trouble::io("readers", &error));
    let is_saved = outcome.is_ok();
    shared.lock().note("readers", outcome);
    is_saved
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Weak;

    use arrow::array::{ArrayRef, RecordBatch, UInt32Array};

    use super::*;
    use crate::batch::Batch;
    use crate::catalog::Catalog;
    use crate::identity_ids::IdentityIds;
    use crate::log_frame::Cursor;
    use crate::settings::Settings;
    use crate::state::State;

    fn frame(frame: u64) -> Frame {
        let ids: ArrayRef = Arc::new(UInt32Array::from_iter_values(0..10));
        Frame {
            cursor: Cursor { head: 1, frame },
            named: None,
            batch: Batch::of_rows(RecordBatch::try_from_iter([("src_id", ids)]).unwrap()),
        }
    }

    #[test]
    fn a_panic_takes_no_frame_and_the_log_of_its_head_goes_on_and_is_removed() {
        let directory = tempfile::tempdir().unwrap();
        let state = State::new(IdentityIds::default(), Catalog::default(), 1);
        let settings = Settings::new(directory.path());
        let shared = Shared::new(settings, "a store".to_owned(), state, Weak::new());
        let (unsynced, logs) = (Unsynced::default(), Logs::found(&[]));
        shared.lock().unlogged.extend((0..3).map(frame));
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            let mut writer = Writer::new(&shared, &unsynced, &logs);
            let frames = shared.lock().take_unlogged();
            let mut in_flight = InFlight {
                shared: &shared,
                frames,
            };
            let mut first = VecDeque::from_iter(in_flight.frames.pop_front());
            writer.write(&mut first);
            panic!("a fault");
        }));
        assert!(panicked.is_err());
        let mut rest = shared.lock().take_unlogged();
        let waiting: Vec<u64> = rest.iter().map(|frame| frame.cursor.frame).collect();
        assert_eq!(waiting, [1, 2]);
        let mut writer = Writer::new(&shared, &unsynced, &logs);
        writer.write(&mut rest);
        let log = wal::path(directory.path(), 1);
        assert_eq!(wal::scan(&log, "a store").unwrap().len(), 3);
        writer.forget(1);
        assert!(!log.exists());
    }
}
