//! How records come into a store, from any number of threads.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use weir_flow::FlowRecord;

use crate::gathering::Gathering;
use crate::state::Shared;
use crate::status::Refusal;

/// Takes records in. A clone gathers its rows with this one, and so takes no more memory,
/// but one waits for the other; see [`Self::apart`].
#[derive(Debug, Clone)]
pub struct Appender {
    shared: Arc<Shared>,
    gathering: Arc<Mutex<Gathering>>,
}

impl Appender {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        let gathering = shared.gatherings.add();
        Self { shared, gathering }
    }

    /// One that gathers rows of its own, for another thread: neither waits for the other.
    #[must_use]
    pub fn apart(&self) -> Self {
        Self::new(Arc::clone(&self.shared))
    }

    /// Takes records, all or none. Waits for no disk. They can be seen, and are
    /// in the log, within [`crate::Settings::write_age`] and what writing them takes.
    ///
    /// # Errors
    /// Too much waits for the disk already, or the store is closed; the records are
    /// counted as refused.
    pub fn append(&self, records: &[FlowRecord]) -> Result<(), Refusal> {
        // Held from the question to the answer: who closes the store waits for what was
        // admitted before.
        let mut gathering = lock(&self.gathering);
        self.shared.lock().admit(records.len(), &self.shared.settings)?;
        gathering.append(records, &self.shared);
        Ok(())
    }
}

/// The rows of all threads that are in no batch yet.
#[derive(Debug, Default)]
pub(crate) struct Gatherings(Mutex<Vec<Arc<Mutex<Gathering>>>>);

impl Gatherings {
    fn add(&self) -> Arc<Mutex<Gathering>> {
        let gathering = Arc::<Mutex<Gathering>>::default();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(Arc::clone(&gathering));
        gathering
    }

    /// Rows that are in no batch yet.
    pub fn rows(&self) -> u64 {
        self.all()
            .iter()
            .map(|gathering| lock(gathering).len() as u64)
            .sum()
    }

    /// All of them, but for those that have no rows and nobody who adds any.
    fn all(&self) -> Vec<Arc<Mutex<Gathering>>> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|gathering| Arc::strong_count(gathering) > 1 || lock(gathering).len() > 0);
        all.clone()
    }
}

impl Shared {
    /// Lets all rows be seen that were appended.
    pub fn hand_on(&self) {
        for gathering in self.gatherings.all() {
            lock(&gathering).hand_on(self);
        }
    }

    /// Lets those be seen that waited long enough.
    pub fn hand_on_aged(&self) {
        for gathering in self.gatherings.all() {
            let mut gathering = lock(&gathering);
            if gathering.is_older_than(self.settings.write_age) {
                gathering.hand_on(self);
            }
        }
    }
}

/// What a thread gathered that panicked within is not whole, and is let go with it.
fn lock(gathering: &Mutex<Gathering>) -> MutexGuard<'_, Gathering> {
    gathering.lock().unwrap_or_else(|poisoned| {
        gathering.clear_poison();
        let mut gathering = poisoned.into_inner();
        *gathering = Gathering::default();
        gathering
    })
}
