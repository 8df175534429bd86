//! Which label sets of a metric have a series. Registries that count a metric apart share it: so
//! together they admit what one of them alone would, in the order in which label sets come, and
//! none of them refuses a series that another one has.
//!
//! It is asked where a registry has no series of a label set, which is seldom: of a known one
//! once between two times that a registry is absorbed, of an unknown one each time.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashbrown::HashTable;

/// The label sets of one metric that are admitted, and how many there may be.
#[derive(Debug, Clone)]
pub(crate) struct Admission(Arc<Mutex<Admitted>>);

#[derive(Debug)]
struct Admitted {
    /// Hashes of their values. Should two have the same, they need one place and stay two series.
    hashes: HashTable<u64>,
    max_series: usize,
    all: Places,
}

/// Places for the series of all metrics of a registry.
#[derive(Debug, Clone)]
pub(crate) struct Places {
    taken: Arc<AtomicUsize>,
    max: usize,
}

impl Places {
    pub fn new(max: usize) -> Self {
        Self {
            taken: Arc::default(),
            max,
        }
    }

    fn take(&self) -> bool {
        let more = |taken: usize| (taken < self.max).then(|| taken + 1);
        let taken = self
            .taken
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        taken.is_ok()
    }

    fn give_back(&self, places: usize) {
        self.taken.fetch_sub(places, Ordering::Relaxed);
    }
}

impl Admitted {
    fn insert(&mut self, hash: u64) {
        self.hashes.insert_unique(hash, hash, |hash| *hash);
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        self.all.give_back(self.hashes.len());
    }
}

impl Admission {
    /// None yet; so many at most, and as long as there are places.
    pub fn new(max_series: usize, all: Places) -> Self {
        Self(Arc::new(Mutex::new(Admitted {
            hashes: HashTable::new(),
            max_series,
            all,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Admitted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a label set of this hash may have a series: it is known, or there is room.
    pub fn admits(&self, hash: u64) -> bool {
        let mut admitted = self.lock();
        let known = admitted.hashes.find(hash, |known| *known == hash).is_some();
        if known {
            return true;
        }
        let room = admitted.hashes.len() < admitted.max_series && admitted.all.take();
        if room {
            admitted.insert(hash);
        }
        room
    }

    /// Its series ended.
    pub fn end(&self, hash: u64) {
        let mut admitted = self.lock();
        if let Ok(known) = admitted.hashes.find_entry(hash, |known| *known == hash) {
            known.remove();
            admitted.all.give_back(1);
        }
    }

    /// Of those that are admitted these alone are known from now on.
    pub fn reset(&self, known: impl Iterator<Item = u64>) {
        let mut hashes = HashTable::new();
        for hash in known {
            if hashes.find(hash, |other| *other == hash).is_none() {
                hashes.insert_unique(hash, hash, |hash| *hash);
            }
        }
        let mut admitted = self.lock();
        hashes.retain(|hash| admitted.hashes.find(*hash, |other| other == hash).is_some());
        admitted.all.give_back(admitted.hashes.len() - hashes.len());
        admitted.hashes = hashes;
    }

    /// How many are admitted.
    pub fn len(&self) -> usize {
        self.lock().hashes.len()
    }

    /// Bytes that those that are admitted take.
    pub fn bytes(&self) -> usize {
        self.lock().hashes.allocation_size()
    }

    /// As many as the metric may have.
    pub fn is_full(&self) -> bool {
        let admitted = self.lock();
        admitted.hashes.len() >= admitted.max_series
    }

    pub fn max_series(&self) -> usize {
        self.lock().max_series
    }

    pub fn set_max_series(&self, max_series: usize) {
        self.lock().max_series = max_series;
    }

    /// Whether both are the same one.
    pub fn is_shared_with(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}
