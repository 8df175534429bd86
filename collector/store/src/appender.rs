//! How records come into a store, from any number of threads.

use std::num::NonZeroUsize;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, TryLockError};
use std::thread;

use weir_flow::FlowRecord;

use crate::gathering::Gathering;
use crate::state::Shared;
use crate::status::Refusal;

/// Takes records in. Every thread may have a clone: none waits for another.
#[derive(Debug, Clone)]
pub struct Appender {
    shared: Arc<Shared>,
}

impl Appender {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Takes records, all or none. Waits for no disk. They can be seen, and are
    /// in the log, within [`crate::Settings::write_age`] and what writing them takes.
    ///
    /// # Errors
    /// Too much waits for the disk already, or the store is closed; the records are
    /// counted as refused.
    pub fn append(&self, records: &[FlowRecord]) -> Result<(), Refusal> {
        let shared = &*self.shared;
        // Held from the question to the answer: who closes the store waits for what was
        // admitted before.
        let gathering = shared.gatherings.free();
        let is_full = shared.memory.load(Ordering::Relaxed) >= shared.settings.max_memory;
        match gathering {
            Some(mut gathering) if !is_full && !shared.is_closing.load(Ordering::Relaxed) => {
                shared.stored.fetch_add(records.len() as u64, Ordering::Relaxed);
                gathering.append(records, shared);
                Ok(())
            }
            _ => Err(shared.lock().refuse(records.len())),
        }
    }
}

/// The rows that are in no batch yet. Who appends adds to the first that nobody else adds
/// to at this moment: at a low rate all threads fill the same, and at a high one as many
/// are in use as work at one time.
///
/// One in which a thread panicked is not whole, and is left alone: its rows count as lost
/// when the store is closed.
#[derive(Debug)]
pub(crate) struct Gatherings(Box<[Mutex<Gathering>]>);

impl Default for Gatherings {
    /// For twice as many threads as there are processors, and the one that looks whether
    /// rows have waited long enough.
    fn default() -> Self {
        let processors = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let all = std::iter::repeat_with(Mutex::default).take(2 * processors + 1);
        Self(all.collect())
    }
}

impl Gatherings {
    fn free(&self) -> Option<MutexGuard<'_, Gathering>> {
        let free = self.0.iter().find_map(|gathering| gathering.try_lock().ok());
        // More threads than there are: one waits, for the first that is whole.
        free.or_else(|| self.0.iter().find_map(|gathering| gathering.lock().ok()))
    }
}

impl Shared {
    /// Lets all rows be seen that were appended.
    pub fn hand_on(&self) {
        for gathering in &self.gatherings.0 {
            if let Ok(mut gathering) = gathering.lock() {
                gathering.hand_on(self);
            }
        }
    }

    /// Lets those be seen that waited long enough. Who is adding looks to it himself.
    pub fn hand_on_aged(&self) {
        let memtable = self.lock().open.number;
        for gathering in &self.gatherings.0 {
            match gathering.try_lock() {
                Ok(mut gathering) => {
                    gathering.hand_on_aged(self);
                    gathering.forget(memtable);
                }
                Err(TryLockError::WouldBlock | TryLockError::Poisoned(_)) => {}
            }
        }
    }
}
