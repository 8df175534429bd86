//! A map with room for so many, in which a flood of strangers cannot push out those
//! that are met again and again. Keys come from the network: anybody can invent them.
//!
//! Each of strangers and regulars is kept in two halves. When the younger half is full
//! it becomes the older one, and that is forgotten: who was silent longest goes, nobody
//! has to be searched for, and never are all forgotten at once.

use std::collections::HashMap;
use std::hash::Hash;

use foldhash::quality::RandomState;

/// Who was met so often is no stranger.
pub const REGULAR: u8 = 8;

/// A map with room for so many strangers, and as many regulars.
#[derive(Debug)]
pub struct BoundedMap<K, V> {
    strangers: Halves<K, V>,
    regulars: Halves<K, V>,
}

#[derive(Debug)]
struct Halves<K, V> {
    room: usize,
    young: HashMap<K, Slot<V>, RandomState>,
    old: HashMap<K, Slot<V>, RandomState>,
    forgotten: u64,
}

#[derive(Debug, Default)]
struct Slot<V> {
    value: V,
    /// How often it was met, up to [`REGULAR`].
    visits: u8,
}

impl<K: Hash + Eq, V: Default> BoundedMap<K, V> {
    /// An empty one with room for so many of each.
    pub fn new(room: usize) -> Self {
        Self {
            strangers: Halves::new(room),
            regulars: Halves::new(room),
        }
    }

    /// What is kept for this key.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.regulars.get(key).or_else(|| self.strangers.get(key))
    }

    /// What is kept for this key, if it is no stranger.
    pub fn get_regular(&self, key: &K) -> Option<&V> {
        self.regulars.get(key)
    }

    /// What is kept for this key, which is met once more; at first, its default.
    /// `known`: it is no stranger however seldom it was met.
    pub fn meet(&mut self, key: K, known: bool) -> &mut V {
        if self.regulars.young.contains_key(&key) {
            return &mut self.regulars.young.entry(key).or_default().value;
        }
        let slot = self.regulars.take(&key).or_else(|| self.strangers.take(&key));
        let mut slot = slot.unwrap_or_default();
        slot.visits = if known {
            REGULAR
        } else {
            REGULAR.min(slot.visits + 1)
        };
        let halves = if slot.visits < REGULAR {
            &mut self.strangers
        } else {
            &mut self.regulars
        };
        halves.put(key, slot)
    }

    /// Forgets those that can be missed best: the older half of the strangers, then all
    /// of them, then the older half of the regulars. Returns whether there were any.
    pub fn evict(&mut self) -> bool {
        let halves = [
            &mut self.strangers.old,
            &mut self.strangers.young,
            &mut self.regulars.old,
        ];
        match halves.into_iter().find(|half| !half.is_empty()) {
            Some(half) => {
                *half = HashMap::default();
                true
            }
            None => false,
        }
    }

    /// All that is kept.
    pub fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        let halves = [&self.regulars, &self.strangers].into_iter();
        halves
            .flat_map(|halves| halves.young.iter().chain(&halves.old))
            .map(|(key, slot)| (key, &slot.value))
    }

    /// All that is kept, to be changed.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (&K, &mut V)> {
        let halves = [&mut self.regulars, &mut self.strangers].into_iter();
        halves
            .flat_map(|halves| halves.young.iter_mut().chain(&mut halves.old))
            .map(|(key, slot)| (key, &mut slot.value))
    }

    /// How many were forgotten because there were more than fit.
    pub fn forgotten(&self) -> u64 {
        self.strangers.forgotten + self.regulars.forgotten
    }

    /// How many are kept.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.iter().count()
    }
}

impl<K: Hash + Eq, V: Default> Halves<K, V> {
    fn new(room: usize) -> Self {
        Self {
            room,
            young: HashMap::default(),
            old: HashMap::default(),
            forgotten: 0,
        }
    }

    fn get(&self, key: &K) -> Option<&V> {
        let slot = self.young.get(key).or_else(|| self.old.get(key))?;
        Some(&slot.value)
    }

    fn take(&mut self, key: &K) -> Option<Slot<V>> {
        self.young.remove(key).or_else(|| self.old.remove(key))
    }

    fn put(&mut self, key: K, slot: Slot<V>) -> &mut V {
        if self.young.len() >= self.room / 2 {
            self.forgotten += self.old.len() as u64;
            self.old = std::mem::take(&mut self.young);
        }
        &mut self.young.entry(key).insert_entry(slot).into_mut().value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: usize = 64;

    #[test]
    fn a_flood_of_strangers_takes_bounded_room_and_leaves_the_regulars() {
        let mut map = BoundedMap::<u32, u32>::new(ROOM);
        for _ in 0..REGULAR {
            *map.meet(7, false) += 1;
        }
        *map.meet(8, true) = 80;
        for n in 100..10_000 {
            map.meet(n, false);
            assert!(map.len() <= ROOM + 2);
        }
        assert_eq!(map.get(&7), Some(&u32::from(REGULAR)));
        assert_eq!(map.get(&8), Some(&80), "it is known, and needs no second visit");
        assert_eq!(map.get(&100), None);
        assert!(map.get(&9_999).is_some());
    }

    #[test]
    fn of_regulars_those_silent_longest_go() {
        let mut map = BoundedMap::<u32, u32>::new(ROOM);
        for n in 0..1_000 {
            *map.meet(n, true) = n;
            map.meet(3, true);
        }
        assert!(map.len() <= ROOM);
        assert_eq!(map.get(&3), Some(&3), "it never was silent for long");
        assert_eq!((map.get(&4), map.get(&999)), (None, Some(&999)));
    }

    #[test]
    fn strangers_are_evicted_before_regulars_and_some_of_those_stay() {
        let mut map = BoundedMap::<u32, u32>::new(ROOM);
        for n in 0..40 {
            map.meet(n, true);
            map.meet(100 + n, false);
        }
        let mut left = Vec::new();
        while map.evict() {
            left.push(map.len());
        }
        assert_eq!(left, [48, 40, 8]);
        assert!(map.get(&39).is_some());
    }
}
