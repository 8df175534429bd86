//! The objects as they are now, cut down and packed, and which of them changed since they
//! were looked at last. No I/O: watches and files put objects in.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::BuildHasher;
use std::sync::Arc;

use serde_json::Value;

use super::kinds::{KIND_COUNT, KindNumber, Need, kept_of};
use super::watches::{Lost, Watches};

/// Names one object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Its kind.
    pub kind: KindNumber,
    /// Its namespace; empty where it has none.
    pub namespace: Box<str>,
    /// Its name.
    pub name: Box<str>,
}

/// How far the list of a kind is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
enum Listed {
    /// Not yet, and why not.
    #[default]
    Not,
    Failed(String),
    /// Read once; later failures leave it so.
    Once,
    /// The cluster has no such kind.
    Absent,
}

/// All objects.
#[derive(Debug, Default)]
pub struct Known {
    /// Each as JSON, which takes a quarter of the memory of a [`Value`].
    objects: BTreeMap<Key, Arc<str>>,
    changed: BTreeSet<Key>,
    changes: u64,
    listed: [Listed; KIND_COUNT],
    /// By kind: those that were seen since a list began, while it is read.
    listing: [Option<BTreeSet<Key>>; KIND_COUNT],
    /// By kind: why it could not be read, when it was tried last.
    failing: [Option<String>; KIND_COUNT],
    watches: Watches,
}

impl Key {
    /// That of an object which says what it is; `None` for kinds that nobody needs, and what
    /// has no name. In a file a namespace may be left out, where it is `default`.
    pub fn of(object: &Value) -> Option<Self> {
        let text = |place: &str| object.pointer(place).and_then(Value::as_str).unwrap_or_default();
        let kind = KindNumber::of(text("/apiVersion"), text("/kind"))?;
        let namespace = match text("/metadata/namespace") {
            "" if kind.kind().is_namespaced => "default",
            namespace => namespace,
        };
        let name = text("/metadata/name");
        (!name.is_empty()).then(|| Self {
            kind,
            namespace: namespace.into(),
            name: name.into(),
        })
    }
}

impl Known {
    /// There is this object, or it is another now.
    pub fn put(&mut self, key: Key, object: &Value) {
        self.failing[key.kind.index()] = None;
        let kind = key.kind.kind();
        let api_version = object
            .get("apiVersion")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let mut kept = kept_of(object, kind, api_version);
        if kind.is_namespaced && kept["metadata"].is_object() {
            kept["metadata"]["namespace"] = (&*key.namespace).into();
        }
        if let Some(listing) = &mut self.listing[key.kind.index()] {
            listing.insert(key.clone());
        }
        let text = kept.to_string();
        if self.objects.get(&key).is_none_or(|known| **known != *text) {
            self.objects.insert(key.clone(), text.into());
            self.change(key);
        }
    }

    /// It is gone.
    pub fn remove(&mut self, key: &Key) {
        if self.objects.remove(key).is_some() {
            self.change(key.clone());
        }
    }

    fn change(&mut self, key: Key) {
        self.changed.insert(key);
        self.changes += 1;
    }

    /// The watch of the kind has brought something, now (ns since 1970).
    pub fn hear(&mut self, kind: KindNumber, now: u64) {
        self.watches.hear(kind, now);
    }

    /// A list of the kind begins, now.
    pub fn begin(&mut self, kind: KindNumber, now: u64) {
        self.watches.begin(kind, now);
        self.listing[kind.index()] = Some(BTreeSet::new());
    }

    /// The list has ended: what was not in it is gone.
    pub fn end(&mut self, kind: KindNumber) {
        if let Some(present) = self.listing[kind.index()].take() {
            self.retain(kind, &present);
        }
        self.changes += u64::from(self.watches.list(kind));
        self.set_listed(kind, Listed::Once);
    }

    /// All objects of the kind are known that there are, now.
    pub fn settle(&mut self, kind: KindNumber, now: u64) {
        self.changes += u64::from(self.watches.settle(kind, now));
        self.set_listed(kind, Listed::Once);
    }

    /// The cluster has no such kind, and so no objects of it, now.
    pub fn absent(&mut self, kind: KindNumber, now: u64) {
        self.retain(kind, &BTreeSet::new());
        self.changes += u64::from(self.watches.settle(kind, now));
        self.set_listed(kind, Listed::Absent);
    }

    /// The kind's watch brings nothing, now; what was known stays, and changes may be missed.
    pub fn lose(&mut self, kind: KindNumber, now: u64) {
        self.changes += u64::from(self.watches.fail(kind, now));
    }

    /// The kind cannot be read, now, as [`Known::lose`]. Whether that is new.
    pub fn fail(&mut self, kind: KindNumber, why: &str, now: u64) -> bool {
        self.lose(kind, now);
        let listed = &mut self.listed[kind.index()];
        if !matches!(listed, Listed::Once | Listed::Absent) {
            *listed = Listed::Failed(why.to_owned());
        }
        let before = self.failing[kind.index()].replace(why.to_owned());
        before.as_deref() != Some(why)
    }

    fn set_listed(&mut self, kind: KindNumber, listed: Listed) {
        self.failing[kind.index()] = None;
        let before = std::mem::replace(&mut self.listed[kind.index()], listed);
        if !matches!(before, Listed::Once | Listed::Absent) {
            // Though no object came: what waited for it waits no longer.
            self.changes += 1;
        }
    }

    fn retain(&mut self, kind: KindNumber, present: &BTreeSet<Key>) {
        let of_kind = self.objects.keys().filter(|key| key.kind == kind);
        let gone: Vec<Key> = of_kind.filter(|key| !present.contains(key)).cloned().collect();
        gone.iter().for_each(|key| self.remove(key));
    }

    /// Whether all that verdicts need was read once; what was not, and why.
    pub fn is_complete(&self) -> Result<(), String> {
        let needed = KindNumber::all().filter(|number| number.kind().need == Need::Verdicts);
        let missing: Vec<String> = needed
            .filter_map(|number| match &self.listed[number.index()] {
                Listed::Not => Some(format!("{}: not listed yet", number.kind().name)),
                Listed::Failed(why) => Some(format!("{}: {why}", number.kind().name)),
                Listed::Once | Listed::Absent => None,
            })
            .collect();
        match missing.is_empty() {
            true => Ok(()),
            false => Err(missing.join("; ")),
        }
    }

    /// The kinds that verdicts need and whose watch is broken, and why, as far as is known.
    pub fn broken(&self) -> impl Iterator<Item = (KindNumber, &str)> {
        let why = |kind: KindNumber| self.failing[kind.index()].as_deref().unwrap_or("not found");
        self.watches.broken().map(move |kind| (kind, why(kind)))
    }

    /// The time in which changes may have been missed, if there is any that was not told.
    pub fn take_lost(&mut self) -> Option<Lost> {
        self.watches.take_lost()
    }

    /// Counts the changes.
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// All objects as JSON.
    pub fn texts(&self) -> Vec<Arc<str>> {
        self.objects.values().cloned().collect()
    }

    /// One number for all policies and namespaces; what is the same gives the same.
    pub fn in_force(&self, seed: u64) -> u64 {
        let hasher = foldhash::quality::FixedState::with_seed(seed);
        let counts = |key: &Key| key.kind.kind().decides() || key.kind.kind().name == "Namespace";
        let texts = self.objects.iter().filter(|(key, _)| counts(key));
        texts.fold(seed, |all, (_, text)| hasher.hash_one((all, text)))
    }

    /// All objects, which count as looked at.
    pub fn take_all(&mut self) -> Vec<(Key, Option<Arc<str>>)> {
        self.changed.clear();
        let all = self.objects.iter();
        all.map(|(key, text)| (key.clone(), Some(Arc::clone(text))))
            .collect()
    }

    /// What changed since this was asked last, with what each object is now.
    pub fn take_changed(&mut self) -> Vec<(Key, Option<Arc<str>>)> {
        let changed = std::mem::take(&mut self.changed).into_iter();
        let now = |key: &Key| self.objects.get(key).cloned();
        changed.map(|key| (key.clone(), now(&key))).collect()
    }

    /// The keys that begin like this.
    #[cfg(test)]
    pub fn names(&self) -> Vec<&str> {
        self.objects.keys().map(|key| &*key.name).collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn namespace(name: &str, team: &str) -> Value {
        json!({"apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": name, "labels": {"team": team}, "resourceVersion": "1"}})
    }

    fn put(known: &mut Known, object: &Value) {
        known.put(Key::of(object).unwrap(), object);
    }

    #[test]
    fn a_kind_that_cannot_be_read_any_more_is_told_once_until_it_can() {
        let mut known = Known::default();
        let kind = KindNumber::of("v1", "Namespace").unwrap();
        assert!(known.fail(kind, "refused", 1));
        assert!(!known.fail(kind, "refused", 1));
        for _ in 0..2 {
            known.begin(kind, 1);
            known.end(kind);
            assert!(known.fail(kind, "refused", 1), "though it was listed once");
            assert!(!known.fail(kind, "refused", 1));
            assert!(known.fail(kind, "no answer", 1));
        }
        let missing = known.is_complete().unwrap_err();
        assert!(!missing.contains("Namespace"), "what was read stays: {missing}");
    }

    #[test]
    fn what_a_list_has_not_got_is_gone_and_what_is_the_same_did_not_change() {
        let mut known = Known::default();
        let kind = KindNumber::of("v1", "Namespace").unwrap();
        known.begin(kind, 1);
        put(&mut known, &namespace("a", "x"));
        put(&mut known, &namespace("b", "x"));
        known.end(kind);
        assert_eq!(known.take_changed().len(), 2);
        known.begin(kind, 1);
        put(&mut known, &namespace("b", "x"));
        put(&mut known, &namespace("c", "y"));
        known.end(kind);
        let changed = known.take_changed();
        let changed: Vec<_> = changed
            .iter()
            .map(|(key, now)| (&*key.name, now.is_some()))
            .collect();
        assert_eq!(changed, [("a", false), ("c", true)]);
        assert_eq!(known.names(), ["b", "c"]);
        known.absent(kind, 1);
        assert!(known.names().is_empty());
    }

    #[test]
    fn it_is_complete_when_all_that_verdicts_need_was_read_or_is_not_there() {
        let mut known = Known::default();
        let waiting = known.is_complete().unwrap_err();
        assert!(waiting.contains("NetworkPolicy: not listed yet"), "{waiting}");
        for kind in KindNumber::all().filter(|kind| kind.kind().need == Need::Verdicts) {
            known.absent(kind, 1);
        }
        assert_eq!(known.is_complete(), Ok(()));
        let pods = KindNumber::of("v1", "Pod").unwrap();
        assert!(known.fail(pods, "gone away", 1), "it is told");
        assert_eq!(known.is_complete(), Ok(()), "what was read stays read");
        let mut known = Known::default();
        assert!(known.fail(pods, "forbidden", 1));
        assert!(!known.fail(pods, "forbidden", 1), "told once");
        assert!(known.is_complete().unwrap_err().contains("Pod: forbidden"));
    }
}
