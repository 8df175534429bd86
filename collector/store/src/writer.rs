//! A store that is written: opening it, appending, closing.

use std::fs;
use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use weir_flow::FlowRecord;

use crate::appender::Appender;
use crate::lock::{Lock, Refused};
use crate::logging::{self, Logs, Unsynced};
use crate::maintenance;
use crate::orphans;
use crate::reader::Reader;
use crate::recovery::{self, Recovery};
use crate::sealing;
use crate::selection;
use crate::settings::Settings;
use crate::state::{Shared, Stage};
use crate::status::{Refusal, Trouble};

/// The file that is locked.
pub(crate) const LOCK: &str = "lock";

/// The nice value (nice(1)) of threads that make segments and sums.
const NICE: i32 = 10;

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory cannot be read.
    #[error("the store {path} cannot be read: {error}")]
    Read {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// The directory cannot be written.
    #[error(
        "the store {path} cannot be written: {error}; give it a directory on a writable volume \
         that belongs to the user this runs as"
    )]
    Write {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// Another process writes it.
    #[error("the store {path} is in use by process {holder}; stop it, or choose another directory")]
    InUse {
        /// The directory.
        path: PathBuf,
        /// The process's number, as it wrote it down.
        holder: String,
    },
    /// It is a selection that nobody has finished writing.
    #[error("{path} holds a part of a selection: writing it was broken off; write it again")]
    Partial {
        /// The directory.
        path: PathBuf,
    },
    /// The system has no thread to give.
    #[error("the store cannot start a thread: {0}")]
    Thread(io::Error),
}

/// What became of the rows that were in no segment when a store was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CloseSummary {
    /// They are in segments now.
    pub sealed_rows: u64,
    /// They are in the log alone; the next start reads them.
    pub logged_rows: u64,
    /// They are in neither, or in a log that could not be synced.
    pub lost_rows: u64,
    /// Why not all were sealed, where that is so.
    pub reason: Option<Refusal>,
}

/// Writes a store. There is one for a directory.
#[derive(Debug)]
pub struct Writer {
    shared: Arc<Shared>,
    appender: Appender,
    threads: Vec<JoinHandle<()>>,
    _lock: Arc<Lock>,
}

/// Opens a store, made if it is not there, and takes up what its log has.
///
/// # Errors
/// The directory cannot be read or written, or another process has it.
pub fn open(mut settings: Settings) -> Result<(Writer, Reader, Recovery), OpenError> {
    let path = settings.directory.clone();
    fs::create_dir_all(&path).map_err(|error| unwritable(&path, error))?;
    // Whoever is told of a file finds it, wherever the process goes.
    settings.directory = fs::canonicalize(&path).map_err(|error| unwritable(&path, error))?;
    let path = settings.directory.clone();
    selection::refuse_partial(&path)?;
    let lock = Lock::take(&path, LOCK).map_err(|refused| match refused {
        Refused::Held(holder) => OpenError::InUse {
            path: path.clone(),
            holder,
        },
        Refused::Io(error) => unwritable(&path, error),
    })?;
    let read = |error| OpenError::Read {
        path: path.clone(),
        error,
    };
    recovery::clear(&path).map_err(|error| unwritable(&path, error))?;
    let recovered = recovery::recover(&path, true).map_err(read)?;
    // What cannot be removed takes room, and nothing else.
    match orphans::remove(&path, u64::MAX) {
        Ok(0) => {}
        Ok(removed) => tracing::info!(removed, "identities without rows are removed"),
        Err(error) => tracing::warn!(%error, "identities without rows cannot be removed"),
    }
    let lock = Arc::new(lock);
    let held = Arc::downgrade(&lock);
    let shared = Arc::new(Shared::new(settings, recovered.store, recovered.state, held));
    let reader = Reader::running(Arc::clone(&shared));
    let mut writer = Writer {
        appender: Appender::new(Arc::clone(&shared)),
        shared,
        threads: Vec::new(),
        _lock: lock,
    };
    writer.start(recovered.logs).map_err(OpenError::Thread)?;
    Ok((writer, reader, recovered.recovery))
}

fn unwritable(path: &Path, error: io::Error) -> OpenError {
    OpenError::Write {
        path: path.to_owned(),
        error,
    }
}

impl Writer {
    fn start(&mut self, logs: Vec<u64>) -> io::Result<()> {
        let unsynced = Arc::new(Unsynced::default());
        let synced = Arc::clone(&unsynced);
        let logs = Logs::found(&logs);
        self.spawn("log", move |shared| logging::run(shared, &unsynced, &logs))?;
        self.spawn("sync", move |shared| logging::sync(shared, &synced))?;
        self.spawn("seal", yielding(sealing::run))?;
        let newest = self.shared.lock().newest;
        self.spawn(
            "rollup",
            yielding(move |shared: &Shared| maintenance::run(shared, newest)),
        )
    }

    /// Starts a thread that does a part of the work. A fault of the program in it
    /// is a trouble like one of the disk: it is told, and the part begins anew.
    fn spawn(&mut self, part: &'static str, run: impl Fn(&Shared) + Send + 'static) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let run = move || {
            while panic::catch_unwind(AssertUnwindSafe(|| run(&shared))).is_err() {
                let mut state = shared.lock();
                state.note(part, Err(Trouble::fault(part)));
                if state.stage == Stage::Sealing {
                    state.stage = Stage::Ending;
                }
                drop(shared.wait(&shared.seal, state, Duration::from_secs(1)));
            }
        };
        let thread = thread::Builder::new().name(format!("store-{part}")).spawn(run)?;
        self.threads.push(thread);
        Ok(())
    }

    /// For threads that append.
    pub fn appender(&self) -> &Appender {
        &self.appender
    }

    /// See [`Appender::append`].
    ///
    /// # Errors
    /// Likewise.
    pub fn append(&mut self, records: &[FlowRecord]) -> Result<(), Refusal> {
        self.appender.append(records)
    }

    /// Lets all that was appended be seen by readers now.
    pub fn flush(&mut self) {
        self.shared.hand_on();
    }

    /// Makes segments of all that was appended, and waits for them.
    ///
    /// # Errors
    /// The disk does not take them; they stay where they are and are tried again.
    pub fn seal(&mut self) -> Result<(), Refusal> {
        self.shared.hand_on();
        let mut state = self.shared.lock();
        state.fill();
        let (last, attempts) = (state.open.number, state.counts.seal_attempts);
        self.shared.call_all();
        while state.full.iter().any(|head| head.number < last) {
            if state.counts.seal_attempts > attempts + 1 && state.troubles.iter().any(|t| t.part == "seal") {
                return Err(state.why_behind());
            }
            state = self
                .shared
                .wait(&self.shared.seal, state, self.shared.settings.write_age);
        }
        Ok(())
    }

    /// Seals what is in memory and ends. What cannot be sealed stays in the log
    /// for the next start, and what the disk takes neither way is lost: the summary
    /// has each row once.
    pub fn close(mut self) -> CloseSummary {
        let sealed_before = self.shared.lock().counts.sealed_rows;
        self.end(Stage::Sealing);
        let state = self.shared.lock();
        let unlogged = state.unlogged_rows();
        let in_memory: u64 = state.in_memory().map(|(batch, _)| batch.num_rows() as u64).sum();
        let lost = if state.log_sync_failed {
            in_memory
        } else {
            unlogged
        };
        // All that was taken in is in batches by now, but for what a thread had that panicked.
        let faulty = self
            .shared
            .stored
            .load(Ordering::Relaxed)
            .saturating_sub(state.pushed);
        CloseSummary {
            sealed_rows: state.counts.sealed_rows - sealed_before,
            logged_rows: in_memory - lost,
            lost_rows: lost + faulty,
            reason: (in_memory + faulty > 0).then(|| {
                match state.troubles.iter().any(|trouble| trouble.full_disk) {
                    true => Refusal::DiskFull,
                    false => Refusal::DiskFailed,
                }
            }),
        }
    }

    fn end(&mut self, stage: Stage) {
        let mut state = self.shared.lock();
        if state.stage == Stage::Running {
            drop(state);
            self.shared.is_closing.store(true, Ordering::Relaxed);
            // All that was admitted, and nothing that was not, is in batches after this.
            self.shared.hand_on();
            state = self.shared.lock();
            if stage == Stage::Sealing {
                state.fill();
            }
            state.stage = stage;
        }
        drop(state);
        self.shared.call_all();
        for thread in self.threads.drain(..) {
            // A panic inside was caught and told.
            let _ = thread.join();
        }
        // Who ends before this is saved here, and who ends after it saves itself.
        self.shared.readers.close();
        logging::save_cursors(&self.shared);
    }
}

/// Work that may wait: those who receive come first when the processor is short.
fn yielding(run: impl Fn(&Shared) + Send + 'static) -> impl Fn(&Shared) + Send + 'static {
    move |shared| {
        // On Linux a thread's own; one that cannot be had changes nothing else.
        if let Err(error) = rustix::process::setpriority_process(None, NICE) {
            tracing::debug!(%error, "the store's threads have the priority of all others");
        }
        run(shared);
    }
}

/// Without [`Writer::close`], what is in memory goes to the log and is left there.
impl Drop for Writer {
    fn drop(&mut self) {
        self.end(Stage::Ending);
    }
}
