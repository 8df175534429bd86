//! One kind of object as a watch shows it: rows by namespace and name, replaced
//! as a whole when the watch lists anew. No I/O.
//!
//! An object that cannot be read keeps its last readable row, so that one
//! malformed object neither stops the watch nor takes away what works.

use std::collections::BTreeMap;

use crate::guarded::{Guarded, Invalid};
use kube::Resource;
use kube::runtime::watcher::Event;

/// How much a change matters, from nothing to most.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ObjectChange {
    /// Nothing that anybody reads is different.
    Nothing,
    /// What is reported may be different.
    Report,
    /// What the nodes must program may be different.
    Plan,
}

/// Namespace (empty for cluster-scoped kinds) and name.
pub type Key = (String, String);

/// The key of an object.
pub fn key_of(object: &impl Resource) -> Key {
    let meta = object.meta();
    (
        meta.namespace.clone().unwrap_or_default(),
        meta.name.clone().unwrap_or_default(),
    )
}

/// What a change of one row means; `None` stands for no row.
pub type Weigh<V> = fn(Option<&V>, Option<&V>) -> ObjectChange;

/// Rows of one kind.
#[derive(Debug)]
pub struct Table<V> {
    rows: BTreeMap<Key, V>,
    /// Rows of a listing that is under way.
    listing: BTreeMap<Key, V>,
    /// Objects that cannot be read.
    unreadable: BTreeMap<Key, Invalid>,
    /// The same of the listing that is under way. What stands counts until it is done.
    listing_unreadable: BTreeMap<Key, Invalid>,
    synced: bool,
}

impl<V> Default for Table<V> {
    fn default() -> Self {
        Self {
            rows: BTreeMap::new(),
            listing: BTreeMap::new(),
            unreadable: BTreeMap::new(),
            listing_unreadable: BTreeMap::new(),
            synced: false,
        }
    }
}

impl<V> Table<V> {
    /// Whether the kind was listed to the end at least once.
    pub fn synced(&self) -> bool {
        self.synced
    }

    /// Objects whose present form cannot be read. They may have a row, of an earlier form.
    pub fn unreadable(&self) -> impl Iterator<Item = (&Key, &Invalid)> {
        self.unreadable.iter()
    }

    /// A cluster-scoped object whose present form cannot be read.
    pub fn invalid(&self, name: &str) -> Option<&Invalid> {
        self.unreadable.get(&(String::new(), name.to_owned()))
    }

    /// The same, to be changed.
    pub fn invalid_mut(&mut self, name: &str) -> Option<&mut Invalid> {
        self.unreadable.get_mut(&(String::new(), name.to_owned()))
    }

    /// All rows in order of namespace and name.
    pub fn rows(&self) -> impl Iterator<Item = &V> {
        self.rows.values()
    }

    /// All rows, to be changed.
    pub fn rows_mut(&mut self) -> impl Iterator<Item = &mut V> {
        self.rows.values_mut()
    }

    /// The row of a cluster-scoped object.
    pub fn named(&self, name: &str) -> Option<&V> {
        self.within("", name)
    }

    /// The row of a cluster-scoped object, to be changed.
    pub fn named_mut(&mut self, name: &str) -> Option<&mut V> {
        self.rows.get_mut(&(String::new(), name.to_owned()))
    }

    /// The row of a namespaced object.
    pub fn within(&self, namespace: &str, name: &str) -> Option<&V> {
        self.rows.get(&(namespace.to_owned(), name.to_owned()))
    }

    /// Puts a row in place without a watch having shown it.
    pub fn insert(&mut self, key: Key, row: V) {
        self.rows.insert(key, row);
    }

    /// Takes one watch event in.
    pub fn apply<K: Resource>(
        &mut self,
        event: Event<Guarded<K>>,
        read: fn(K) -> V,
        weigh: Weigh<V>,
    ) -> ObjectChange
    where
        V: Clone,
    {
        match event {
            Event::Init => {
                self.listing.clear();
                self.listing_unreadable.clear();
            }
            Event::InitApply(object) => self.list(object, read),
            Event::InitDone => return self.replace(weigh),
            Event::Apply(object) => return self.put(object, read, weigh),
            Event::Delete(object) => {
                let key = key_of(&object);
                let unreadable = self.unreadable.remove(&key).is_some();
                let before = self.rows.remove(&key);
                let change = weigh(before.as_ref(), None);
                return if unreadable { ObjectChange::Plan } else { change };
            }
        }
        ObjectChange::Nothing
    }

    fn put<K: Resource>(&mut self, object: Guarded<K>, read: fn(K) -> V, weigh: Weigh<V>) -> ObjectChange {
        let key = key_of(&object);
        match object.0 {
            Ok(object) => {
                let row = read(object);
                let change = weigh(self.rows.get(&key), Some(&row));
                let again = self.unreadable.remove(&key).is_some();
                self.rows.insert(key, row);
                if again { ObjectChange::Plan } else { change }
            }
            Err(invalid) => {
                warn(&key, &invalid);
                self.unreadable.insert(key, invalid);
                // What is not known may not be undone, and is to be told.
                ObjectChange::Plan
            }
        }
    }

    fn list<K: Resource>(&mut self, object: Guarded<K>, read: fn(K) -> V)
    where
        V: Clone,
    {
        let key = key_of(&object);
        let row = match object.0 {
            Ok(object) => Some(read(object)),
            Err(invalid) => {
                warn(&key, &invalid);
                self.listing_unreadable.insert(key.clone(), invalid);
                self.rows.get(&key).cloned()
            }
        };
        if let Some(row) = row {
            self.listing.insert(key, row);
        }
    }

    fn replace(&mut self, weigh: Weigh<V>) -> ObjectChange {
        let before = std::mem::replace(&mut self.rows, std::mem::take(&mut self.listing));
        let unreadable = std::mem::take(&mut self.listing_unreadable);
        let unreadable = std::mem::replace(&mut self.unreadable, unreadable);
        if !std::mem::replace(&mut self.synced, true) || unreadable != self.unreadable {
            return ObjectChange::Plan;
        }
        let keys = before.keys().chain(self.rows.keys());
        keys.map(|key| weigh(before.get(key), self.rows.get(key)))
            .max()
            .unwrap_or(ObjectChange::Nothing)
    }
}

fn warn((_, name): &Key, invalid: &Invalid) {
    let why = &invalid.why;
    tracing::warn!(
        name,
        why,
        "an object cannot be read; its last readable form counts"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::ConfigMap;
    use serde_json::json;

    fn map(name: &str, value: &str) -> Guarded<ConfigMap> {
        serde_json::from_value(json!({"metadata": {"name": name}, "data": {"value": value}})).unwrap()
    }

    fn malformed(name: &str) -> Guarded<ConfigMap> {
        serde_json::from_value(json!({"metadata": {"name": name}, "data": 1})).unwrap()
    }

    fn apply(table: &mut Table<String>, event: Event<Guarded<ConfigMap>>) -> ObjectChange {
        let read = |map: ConfigMap| map.data.unwrap_or_default()["value"].clone();
        table.apply(event, read, |before, after| match before == after {
            true => ObjectChange::Nothing,
            false => ObjectChange::Plan,
        })
    }

    fn list(table: &mut Table<String>, objects: Vec<Guarded<ConfigMap>>) -> ObjectChange {
        apply(table, Event::Init);
        for object in objects {
            assert_eq!(apply(table, Event::InitApply(object)), ObjectChange::Nothing);
        }
        apply(table, Event::InitDone)
    }

    #[test]
    fn the_first_listing_counts_even_when_it_is_empty() {
        let mut table = Table::default();
        assert!(!table.synced());
        assert_eq!(list(&mut table, vec![]), ObjectChange::Plan);
        assert!(table.synced());
        assert_eq!(list(&mut table, vec![]), ObjectChange::Nothing);
    }

    #[test]
    fn a_new_listing_drops_what_is_gone_and_only_at_its_end() {
        let mut table = Table::default();
        list(&mut table, vec![map("a", "1"), map("b", "1")]);
        apply(&mut table, Event::Init);
        apply(&mut table, Event::InitApply(map("b", "1")));
        assert!(table.named("a").is_some());
        assert_eq!(apply(&mut table, Event::InitDone), ObjectChange::Plan);
        assert!(table.named("a").is_none());
    }

    #[test]
    fn an_object_that_cannot_be_read_keeps_its_last_form() {
        let mut table = Table::default();
        list(&mut table, vec![map("a", "1")]);
        assert_eq!(
            apply(&mut table, Event::Apply(malformed("a"))),
            ObjectChange::Plan
        );
        assert_eq!(list(&mut table, vec![malformed("a")]), ObjectChange::Nothing);
        assert_eq!(table.named("a").map(String::as_str), Some("1"));
        assert_eq!(table.unreadable().count(), 1);
        apply(&mut table, Event::Apply(map("a", "1")));
        assert_eq!(table.unreadable().count(), 0);
    }

    #[test]
    fn what_cannot_be_read_is_known_throughout_a_listing() {
        let mut table = Table::default();
        list(&mut table, vec![malformed("a")]);
        apply(&mut table, Event::Init);
        assert!(table.invalid("a").is_some());
        apply(&mut table, Event::InitApply(malformed("a")));
        assert_eq!(apply(&mut table, Event::InitDone), ObjectChange::Nothing);
        assert!(table.invalid("a").is_some());
        assert_eq!(list(&mut table, vec![]), ObjectChange::Plan);
        assert!(table.invalid("a").is_none());
    }

    #[test]
    fn events_say_whether_they_matter() {
        let mut table = Table::default();
        list(&mut table, vec![]);
        assert_eq!(apply(&mut table, Event::Apply(map("a", "1"))), ObjectChange::Plan);
        assert_eq!(
            apply(&mut table, Event::Apply(map("a", "1"))),
            ObjectChange::Nothing
        );
        assert_eq!(
            apply(&mut table, Event::Delete(map("a", "1"))),
            ObjectChange::Plan
        );
        assert_eq!(
            apply(&mut table, Event::Delete(map("a", "1"))),
            ObjectChange::Nothing
        );
    }
}
