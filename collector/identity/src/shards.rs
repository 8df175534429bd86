//! A map that one writer changes and many read as it was: in parts, of which a
//! copy shares all and a change copies one. What is published costs what has
//! changed since, not what is known.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

use foldhash::fast::RandomState;

/// Parts: with 60,000 entries a change copies about 60.
const PARTS: usize = 1_024;

type Part<K, V> = HashMap<K, V, RandomState>;

/// The map. A clone costs [`PARTS`] pointers.
#[derive(Debug, Clone)]
pub struct Shards<K, V> {
    parts: Box<[Arc<Part<K, V>>]>,
    hasher: RandomState,
}

impl<K, V> Default for Shards<K, V> {
    fn default() -> Self {
        let hasher = RandomState::default();
        let empty = Arc::new(Part::with_hasher(hasher.clone()));
        Self {
            parts: vec![empty; PARTS].into(),
            hasher,
        }
    }
}

impl<K: Hash + Eq + Clone, V: Clone> Shards<K, V> {
    /// What stands there.
    pub fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.parts[self.place(key)].get(key)
    }

    /// Puts something there.
    pub fn insert(&mut self, key: K, value: V) {
        let place = self.place(&key);
        Arc::make_mut(&mut self.parts[place]).insert(key, value);
    }

    /// Empties the place.
    pub fn remove<Q: Hash + Eq + ?Sized>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
    {
        let place = self.place(key);
        if self.parts[place].contains_key(key) {
            Arc::make_mut(&mut self.parts[place]).remove(key);
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.parts.iter().map(|part| part.len()).sum()
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.parts.iter().all(|part| part.is_empty())
    }

    /// A part's own table uses the lowest and highest bits of the same hash.
    fn place<Q: Hash + ?Sized>(&self, key: &Q) -> usize {
        (self.hasher.hash_one(key) >> 24) as usize % PARTS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_stays_as_it_was_and_shares_what_did_not_change() {
        let mut map = Shards::default();
        (0..5_000).for_each(|n| map.insert(n, n));
        let before = map.clone();
        map.insert(7, 0);
        map.remove(&8);
        map.remove(&9_999);
        assert_eq!((before.get(&7), before.get(&8)), (Some(&7), Some(&8)));
        assert_eq!((map.get(&7), map.get(&8), map.len()), (Some(&0), None, 4_999));
        let same = map.parts.iter().zip(&before.parts);
        let copied = same.filter(|(new, old)| !Arc::ptr_eq(new, old)).count();
        assert!((1..=2).contains(&copied), "{copied} parts were copied");
        assert!(!map.is_empty() && Shards::<u8, u8>::default().is_empty());
    }
}
