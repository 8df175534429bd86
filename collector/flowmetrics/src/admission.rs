//! Which label sets of a metric have a series. Registries that count a metric apart share it: so
//! together they admit what one of them alone would, in the order in which label sets come, and
//! none of them refuses a series that another one has.
//!
//! It is asked where a registry has no series of a label set, which is seldom: of a known one
//! once between two times that a registry is absorbed, of an unknown one each time.

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
}

impl Admitted {
    fn insert(&mut self, hash: u64) {
        self.hashes.insert_unique(hash, hash, |hash| *hash);
    }
}

impl Admission {
    /// None yet.
    pub fn new(max_series: usize) -> Self {
        Self(Arc::new(Mutex::new(Admitted {
            hashes: HashTable::new(),
            max_series,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, Admitted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a label set of this hash may have a series: it is known, or there is room.
    pub fn admits(&self, hash: u64) -> bool {
        let mut admitted = self.lock();
        let known = admitted.hashes.find(hash, |known| *known == hash).is_some();
        let room = admitted.hashes.len() < admitted.max_series;
        if !known && room {
            admitted.insert(hash);
        }
        known || room
    }

    /// Its series ended.
    pub fn end(&self, hash: u64) {
        if let Ok(known) = self.lock().hashes.find_entry(hash, |known| *known == hash) {
            known.remove();
        }
    }

    /// These alone are known from now on.
    pub fn reset(&self, known: impl Iterator<Item = u64>) {
        let mut fresh = Admitted {
            hashes: HashTable::new(),
            max_series: 0,
        };
        known.for_each(|hash| fresh.insert(hash));
        self.lock().hashes = fresh.hashes;
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
