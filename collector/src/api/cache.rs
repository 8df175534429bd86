//! What was asked lately: a bounded map whose entries grow old. It reads no clock.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

/// Answers that hold until a moment. When it is full, the one that ends first
/// makes room.
#[derive(Debug)]
pub struct Cache<K, V> {
    entries: Mutex<HashMap<K, (Instant, V)>>,
    capacity: usize,
}

impl<K: Hash + Eq + Clone, V: Clone> Cache<K, V> {
    /// An empty one for so many entries.
    pub fn new(capacity: usize) -> Self {
        Self {
            entries: Mutex::default(),
            capacity,
        }
    }

    /// The answer, if it still holds.
    pub fn find(&self, key: &K, now: Instant) -> Option<V> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        let (until, value) = entries.get(key)?;
        (now < *until).then(|| value.clone())
    }

    /// Keeps an answer until then.
    pub fn keep(&self, key: K, value: V, now: Instant, until: Instant) {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= self.capacity && !entries.contains_key(&key) {
            make_room(&mut entries, now);
        }
        entries.insert(key, (until, value));
    }
}

fn make_room<K: Hash + Eq + Clone, V>(entries: &mut HashMap<K, (Instant, V)>, now: Instant) {
    let before = entries.len();
    entries.retain(|_, (until, _)| now < *until);
    if entries.len() < before {
        return;
    }
    let first = entries.iter().min_by_key(|(_, (until, _))| *until);
    if let Some(key) = first.map(|(key, _)| key.clone()) {
        entries.remove(&key);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_answer_holds_until_its_time_is_over() {
        let (cache, now) = (Cache::new(2), Instant::now());
        cache.keep("a", 1, now, now + Duration::from_secs(1));
        assert_eq!(cache.find(&"a", now), Some(1));
        assert_eq!(cache.find(&"a", now + Duration::from_secs(1)), None);
        assert_eq!(cache.find(&"b", now), None);
    }

    #[test]
    fn any_number_of_askers_takes_bounded_room() {
        let (cache, now) = (Cache::new(8), Instant::now());
        for n in 0..100_u64 {
            cache.keep(n, n, now, now + Duration::from_secs(1 + n));
            assert!(cache.entries.lock().unwrap().len() <= 8);
        }
        assert_eq!(cache.find(&99, now), Some(99));
        // Those that are over go first, all at once.
        cache.keep(
            100,
            100,
            now + Duration::from_secs(200),
            now + Duration::from_secs(201),
        );
        assert_eq!(cache.entries.lock().unwrap().len(), 1);
    }
}
