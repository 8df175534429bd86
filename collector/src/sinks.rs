//! Where flows go besides the store, by one file ([`config`]): each sink is a reader of the
//! store's log with a cursor of its own ([`source`]), in a thread of its own ([`weir_sinks`]).
//!
//! ```text
//! --sinks FILE -> config -> supervisor -> one thread a sink: log -> filter, columns -> file, IPFIX
//!                            (looks each second)                `-> cursor, counters
//! ```
//!
//! A file that is wrong changes nothing. One that is right is compared with what runs: sinks
//! that are as they were go on, those that changed go on from their cursors, and the cursors of
//! those that are gone are kept for a day, in case that was a mistake.

pub mod config;
mod source;
mod supervisor;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use weir_sinks::{Counters, Snapshot};

pub use supervisor::run;

/// What the names of cursors of sinks begin with.
const CURSOR: &str = "sink-";

/// How all sinks fare. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Sinks(Arc<Parts>);

#[derive(Debug, Default)]
struct Parts {
    running: Mutex<Vec<Running>>,
    /// Why the file changed nothing when it was read last.
    wrong: Mutex<Option<String>>,
    /// The store is closed: all end.
    over: AtomicBool,
}

#[derive(Debug, Clone)]
struct Running {
    name: String,
    to: String,
    counters: Arc<Counters>,
}

/// How one sink fares.
#[derive(Debug, Clone)]
pub struct SinkStatus {
    /// Its name.
    pub name: String,
    /// Where it writes to.
    pub to: String,
    /// What it did since the process started.
    pub did: Snapshot,
}

impl Sinks {
    /// All that run.
    pub fn status(&self) -> Vec<SinkStatus> {
        let of = |sink: &Running| SinkStatus {
            name: sink.name.clone(),
            to: sink.to.clone(),
            did: sink.counters.snapshot(),
        };
        lock(&self.0.running).iter().map(of).collect()
    }

    /// Why the file changed nothing when it was read last.
    pub fn wrong(&self) -> Option<String> {
        lock(&self.0.wrong).clone()
    }

    /// The store is closed: what waits is sent, within seconds, and all end.
    pub fn end(&self) {
        self.0.over.store(true, Ordering::Relaxed);
    }

    /// What ends them when it is let go.
    pub(crate) fn end_on_drop(&self) -> EndOnDrop {
        EndOnDrop(self.clone())
    }

    fn is_over(&self) -> bool {
        self.0.over.load(Ordering::Relaxed)
    }

    fn set_running(&self, running: Vec<Running>) {
        *lock(&self.0.running) = running;
    }

    fn set_wrong(&self, wrong: Option<String>) {
        *lock(&self.0.wrong) = wrong;
    }
}

/// Ends all sinks when it is let go, however that comes.
#[derive(Debug)]
pub(crate) struct EndOnDrop(Sinks);

impl Drop for EndOnDrop {
    fn drop(&mut self) {
        self.0.end();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
