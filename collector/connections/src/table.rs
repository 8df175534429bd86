//! Which connection a key is of. A connection has its own key and, where it was joined,
//! that of the address before translation.

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::key::{self, Key, Tuple};
use std::sync::Arc;

/// A slot, and under which of its keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place(u32);

impl Place {
    pub fn new(slot: u32, by_service: bool) -> Self {
        Self(slot << 1 | u32::from(by_service))
    }

    pub fn slot(self) -> u32 {
        self.0 >> 1
    }

    /// Under the address before translation.
    pub fn by_service(self) -> bool {
        self.0 & 1 != 0
    }
}

/// What stands in a slot and has keys.
pub(crate) trait Keyed {
    /// The network that its keys are of.
    fn network(&self) -> &Arc<str>;
    /// Its tuple; of the address before translation `None` where it has none.
    fn tuple(&self, by_service: bool) -> Option<Tuple>;
}

/// Places by key. What stands there is looked up by the caller's `at`.
#[derive(Debug, Default)]
pub(crate) struct Table {
    places: HashTable<Place>,
    state: RandomState,
}

impl Table {
    pub fn hash(&self, network: &str, tuple: &Tuple) -> u64 {
        key::hash(&self.state, network, tuple)
    }

    pub fn find<'p, T: Keyed + 'p>(
        &self,
        hash: u64,
        (network, tuple): (&Arc<str>, &Tuple),
        at: impl Fn(u32) -> Option<&'p T>,
    ) -> Option<Place> {
        let is = |place: &Place| {
            at(place.slot()).is_some_and(|item| {
                item.tuple(place.by_service()) == Some(*tuple) && key::same_text(item.network(), network)
            })
        };
        self.places.find(hash, is).copied()
    }

    /// A key that is not in it yet.
    pub fn insert<'p, T: Keyed + 'p>(&mut self, hash: u64, place: Place, at: impl Fn(u32) -> Option<&'p T>) {
        let state = &self.state;
        self.places.insert_unique(hash, place, |place| {
            let item = at(place.slot());
            let tuple = item.and_then(|item| item.tuple(place.by_service()));
            let network = item.map_or("", |item| item.network());
            tuple.map_or(0, |tuple| key::hash(state, network, &tuple))
        });
    }

    /// Whether it was there.
    pub fn remove(&mut self, key: &Key, place: Place) -> bool {
        let hash = self.hash(&key.network, &key.tuple);
        let found = self.places.find_entry(hash, |other| *other == place);
        found.map(|entry| entry.remove()).is_ok()
    }

    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.places.len()
    }
}
