//! A map that one writer changes and many read as it was: in parts, of which a
//! copy shares all and a change copies one. What is published costs what has
//! changed since, not what is known.

use std::borrow::Borrow;
use std::hash::{BuildHasher, Hash};
use std::sync::Arc;

use foldhash::quality::RandomState;
use hashbrown::HashTable;

/// Parts: with 60,000 entries a change copies about 60.
const PARTS: usize = 1_024;

type Part<K, V> = HashTable<(K, V)>;

/// The map. A clone costs [`PARTS`] pointers.
#[derive(Debug, Clone)]
pub struct Shards<K, V> {
    parts: Box<[Arc<Part<K, V>>]>,
    hasher: RandomState,
}

impl<K, V> Default for Shards<K, V> {
    fn default() -> Self {
        let empty = Arc::new(Part::new());
        Self {
            parts: vec![empty; PARTS].into(),
            hasher: RandomState::default(),
        }
    }
}

impl<K: Hash + Eq + Clone, V: Clone> Shards<K, V> {
    /// What stands there.
    pub fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        let hash = self.hasher.hash_one(key);
        let found = self.parts[place(hash)].find(hash, |(other, _)| other.borrow() == key);
        found.map(|(_, value)| value)
    }

    /// Puts something there.
    pub fn insert(&mut self, key: K, value: V) {
        let hash = self.hasher.hash_one(&key);
        let part = Arc::make_mut(&mut self.parts[place(hash)]);
        match part.find_mut(hash, |(other, _)| *other == key) {
            Some(known) => known.1 = value,
            None => {
                part.insert_unique(hash, (key, value), |(key, _)| self.hasher.hash_one(key));
            }
        }
    }

    /// Empties the place.
    pub fn remove<Q: Hash + Eq + ?Sized>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
    {
        let hash = self.hasher.hash_one(key);
        let part = &mut self.parts[place(hash)];
        let is_it = |(other, _): &(K, V)| other.borrow() == key;
        if part.find(hash, is_it).is_some()
            && let Ok(known) = Arc::make_mut(part).find_entry(hash, is_it)
        {
            known.remove();
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
}

/// A part's own table uses the lowest and highest bits of the same hash.
fn place(hash: u64) -> usize {
    (hash >> 24) as usize % PARTS
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
