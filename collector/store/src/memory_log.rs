//! The flow log without a store: rows go to those who read it, from memory alone, and
//! nowhere else.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::thread::{self, JoinHandle};

use crate::appender::Appender;
use crate::catalog::Catalog;
use crate::identity_ids::IdentityIds;
use crate::log_readers::{Bounds, LogReader, LogStatus};
use crate::memtable;
use crate::settings::Settings;
use crate::state::{Shared, Stage, State};

/// Rows after which those are named anew whom rows name, so that who is gone is forgotten.
const ROWS_OF_A_HEAD: usize = 1 << 18;

/// A log that no disk has. Rows that wait for a reader are bounded by what it allows.
#[derive(Debug)]
pub struct MemoryLog {
    shared: Arc<Shared>,
    appender: Appender,
    thread: Option<JoinHandle<()>>,
}

impl MemoryLog {
    /// One that nobody reads yet.
    ///
    /// # Errors
    /// The system refuses a thread.
    pub fn new() -> io::Result<Self> {
        let settings = Settings {
            seal_rows: ROWS_OF_A_HEAD,
            ..Settings::new("")
        };
        let state = State {
            keeps_rows: false,
            ..State::new(IdentityIds::default(), Catalog::default(), memtable::FIRST)
        };
        let shared = Arc::new(Shared::new(settings, String::new(), state, Weak::new()));
        let of_thread = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("log".to_owned())
            .spawn(move || run(&of_thread))?;
        Ok(Self {
            appender: Appender::new(Arc::clone(&shared)),
            shared,
            thread: Some(thread),
        })
    }

    /// For threads that append.
    pub fn appender(&self) -> &Appender {
        &self.appender
    }

    /// Every frame from now on.
    pub fn follow(&self, name: &str, bounds: Bounds) -> LogReader {
        let state = self.shared.lock();
        state.readers.join(name, bounds, state.end())
    }

    /// Who reads it, and how far each is.
    pub fn log_status(&self) -> LogStatus {
        LogStatus(Arc::clone(&self.shared.readers))
    }
}

/// Lets all that was appended be read, and takes in nothing more.
impl Drop for MemoryLog {
    fn drop(&mut self) {
        self.shared.is_closing.store(true, Ordering::Relaxed);
        self.shared.hand_on();
        self.shared.lock().stage = Stage::Ending;
        self.shared.call_all();
        if let Some(thread) = self.thread.take() {
            // A panic in it was told by the panic's own message.
            let _ = thread.join();
        }
        self.shared.readers.close();
    }
}

/// Lets rows be read that waited long enough, until the log ends.
fn run(shared: &Shared) {
    let nap = shared.settings.write_age / 4;
    loop {
        shared.hand_on_aged();
        let mut state = shared.lock();
        if state.stage != Stage::Running {
            return;
        }
        state.trim();
        drop(shared.wait(&shared.log, state, nap));
    }
}
