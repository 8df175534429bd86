//! What was asked lately, and what is being asked now: a bounded map whose entries grow
//! old, and questions that whoever asks the same meanwhile waits for, too. They read no
//! clock.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use futures::FutureExt;
use futures::future::{BoxFuture, Shared, WeakShared};

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

/// Questions under way, by what is asked.
pub struct Flights<K, V: Clone> {
    under_way: Mutex<HashMap<K, WeakShared<BoxFuture<'static, V>>>>,
}

impl<K, V: Clone> Default for Flights<K, V> {
    fn default() -> Self {
        Self {
            under_way: Mutex::default(),
        }
    }
}

impl<K, V: Clone> std::fmt::Debug for Flights<K, V> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Flights")
    }
}

/// An answer that several may wait for.
pub type Flight<V> = Shared<BoxFuture<'static, V>>;

impl<K: Hash + Eq, V: Clone> Flights<K, V> {
    /// The question that is under way, or a new one. It goes on as long as anybody waits
    /// for it.
    pub fn join(&self, key: K, ask: impl FnOnce() -> BoxFuture<'static, V>) -> Flight<V> {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = under_way.get(&key).and_then(WeakShared::upgrade) {
            return flight;
        }
        under_way.retain(|_, flight| flight.upgrade().is_some());
        let flight = ask().shared();
        under_way.extend(flight.downgrade().map(|weak| (key, weak)));
        flight
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
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

    #[tokio::test]
    async fn what_many_ask_at_a_time_is_asked_once_and_again_afterwards() {
        let (flights, asked) = (Flights::default(), Arc::new(AtomicUsize::new(0)));
        let ask = |key: u8| {
            let asked = Arc::clone(&asked);
            flights.join(key, move || {
                async move {
                    tokio::task::yield_now().await;
                    asked.fetch_add(1, Ordering::Relaxed) + 1
                }
                .boxed()
            })
        };
        let all = [ask(1), ask(1), ask(2)];
        let mut answers = futures::future::join_all(all).await;
        answers.sort_unstable();
        assert_eq!(answers, [1, 1, 2]);
        assert_eq!(ask(1).await, 3);
        drop(ask(1));
        ask(2).await;
        assert!(
            flights.under_way.lock().unwrap().len() <= 1,
            "nobody waits for the others"
        );
    }
}
