//! Ids for identities: equal ones that are named again and again have the same, no
//! id is given twice in a store. Knows those alone whom rows in memory name and
//! whom rows named lately; all others are in the files. Knows no file.

use std::collections::HashMap;

use arrow::array::RecordBatch;
use foldhash::quality::RandomState;
use weir_flow::Identity;

use crate::identities::{self, Content};

/// Identities that are known at most, those whom rows in memory name aside; each
/// takes some 500 bytes.
const KEPT: usize = 1 << 17;

/// Who has which id.
#[derive(Debug)]
pub(crate) struct IdentityIds {
    entries: HashMap<u32, IdentityEntry, RandomState>,
    ids: HashMap<Content, u32, RandomState>,
    /// The id that nobody in the store has or had yet.
    next: u32,
}

/// Before the first head.
const NO_HEAD: u64 = 0;

#[derive(Debug)]
struct IdentityEntry {
    content: Content,
    /// The last head that names it.
    head: u64,
}

impl Default for IdentityIds {
    fn default() -> Self {
        let mut ids = Self {
            entries: HashMap::default(),
            ids: HashMap::default(),
            next: 0,
        };
        ids.admit(0, Content::of(&Identity::default()), u64::MAX);
        ids
    }
}

impl IdentityIds {
    /// The id of an identity.
    pub fn find(&mut self, content: &Content) -> u32 {
        if let Some(id) = self.ids.get(content) {
            return *id;
        }
        let id = self.next;
        self.admit(id, content.clone(), NO_HEAD);
        id
    }

    /// A head names an identity by the id that it was found with, which may have been
    /// forgotten since. What it stands for, if it does so for the first time.
    pub fn name(&mut self, id: u32, content: impl FnOnce() -> Content, head: u64) -> Option<Content> {
        if id == 0 {
            return None;
        }
        if !self.entries.contains_key(&id) {
            self.admit(id, content(), NO_HEAD);
        }
        let entry = self.entries.get_mut(&id)?;
        let is_first = entry.head < head;
        entry.head = entry.head.max(head);
        is_first.then(|| entry.content.clone())
    }

    fn admit(&mut self, id: u32, content: Content, head: u64) {
        // One that was forgotten and came back may have another meanwhile, which stays.
        self.ids.entry(content.clone()).or_insert(id);
        self.entries.insert(id, IdentityEntry { content, head });
        self.reserve(id.saturating_add(1));
    }

    /// Ids before this one were given.
    pub fn reserve(&mut self, next: u32) {
        self.next = self.next.max(next);
    }

    /// The id that is given next: all before it were, or may have been.
    pub fn next(&self) -> u32 {
        self.next
    }

    /// Takes in a table out of a file of heads up to `head`; what is known by
    /// its id already is only marked.
    pub fn learn(&mut self, table: &RecordBatch, head: u64) {
        for (row, &id) in identities::ids(table).iter().enumerate() {
            match self.entries.get_mut(&id) {
                Some(entry) => entry.head = entry.head.max(head),
                None => self.admit(id, Content::of_row(table, row), head),
            }
        }
    }

    /// What an id stands for.
    #[cfg(test)]
    pub fn content(&self, id: u32) -> Option<&Content> {
        Some(&self.entries.get(&id)?.content)
    }

    /// How many are known.
    pub fn len(&self) -> u64 {
        self.entries.len() as u64
    }

    /// Makes room when too many are known: those whom heads named longest ago go,
    /// but nobody whom `oldest`, the first head that is in memory, or a later one names.
    pub fn trim(&mut self, oldest: u64) {
        self.trim_to(KEPT, oldest);
    }

    fn trim_to(&mut self, most: usize, oldest: u64) {
        if self.entries.len() > most {
            self.forget_to(most / 2, oldest);
        }
    }

    fn forget_to(&mut self, kept: usize, oldest: u64) {
        let mut heads: Vec<u64> = self.entries.values().map(|entry| entry.head).collect();
        let place = heads.len().saturating_sub(kept).min(heads.len() - 1);
        let (_, last, _) = heads.select_nth_unstable(place);
        let before = last.saturating_add(1).min(oldest);
        let ids = &mut self.ids;
        self.entries.retain(|id, entry| {
            let stays = entry.head >= before;
            if !stays && ids.get(&entry.content) == Some(id) {
                ids.remove(&entry.content);
            }
            stays
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn named(name: &str) -> Arc<Identity> {
        Arc::new(Identity {
            name: name.into(),
            ..Identity::default()
        })
    }

    /// The id of an identity that a head names, and whether it does so for the first time.
    fn id(ids: &mut IdentityIds, identity: &Identity, head: u64) -> (u32, bool) {
        let id = ids.find(&Content::of(identity));
        (id, ids.name(id, || Content::of(identity), head).is_some())
    }

    #[test]
    fn equal_identities_have_one_id_wherever_they_lie() {
        let mut ids = IdentityIds::default();
        let web = named("web");
        assert_eq!(id(&mut ids, &web, 1), (1, true));
        assert_eq!(id(&mut ids, &web, 1), (1, false));
        assert_eq!(id(&mut ids, &named("web"), 1), (1, false));
        assert_eq!(id(&mut ids, &named("db"), 1), (2, true));
        assert_eq!(
            id(&mut ids, &web, 2),
            (1, true),
            "the next head has to name it again"
        );
        assert_eq!(id(&mut ids, &Identity::nobody(), 2), (0, false));
        assert_eq!(ids.len(), 3);
    }

    #[test]
    fn whom_no_head_named_for_long_is_forgotten_and_has_a_new_id_later() {
        let mut ids = IdentityIds::default();
        let (old, new) = (named("old"), named("new"));
        id(&mut ids, &old, 1);
        id(&mut ids, &new, 1);
        id(&mut ids, &new, 2);
        ids.forget_to(2, 1);
        assert_eq!(ids.len(), 3, "a head in memory names it");
        ids.forget_to(2, 2);
        let known = |id| ids.content(id).is_some();
        assert_eq!((known(0), known(1), known(2)), (true, false, true));
        assert_eq!(id(&mut ids, &new, 2), (2, false));
        assert_eq!(id(&mut ids, &old, 2), (3, true));
    }

    #[test]
    fn who_was_forgotten_between_being_found_and_being_named_keeps_the_id() {
        let mut ids = IdentityIds::default();
        let (slow, other) = (named("slow"), named("other"));
        let found = ids.find(&Content::of(&slow));
        id(&mut ids, &other, 5);
        ids.forget_to(1, 5);
        assert!(ids.content(found).is_none());
        assert_eq!(
            ids.name(found, || Content::of(&slow), 5),
            Some(Content::of(&slow))
        );
        assert_eq!(ids.content(found), Some(&Content::of(&slow)));
        assert_eq!(ids.name(found, || Content::of(&slow), 5), None);
    }

    #[test]
    fn who_was_forgotten_and_has_two_ids_since_loses_neither_with_the_other() {
        let mut ids = IdentityIds::default();
        let (back, other) = (named("back"), named("other"));
        let first = ids.find(&Content::of(&back));
        id(&mut ids, &other, 5);
        ids.forget_to(1, 5);
        let second = ids.find(&Content::of(&back));
        assert_ne!(first, second);
        ids.name(first, || Content::of(&back), 6);
        ids.name(second, || Content::of(&back), 7);
        assert_eq!(ids.find(&Content::of(&back)), second);
        ids.forget_to(1, 7);
        assert!(ids.content(first).is_none());
        assert_eq!(ids.find(&Content::of(&back)), second);
    }

    #[test]
    fn what_is_known_stays_bounded_however_many_come() {
        let mut ids = IdentityIds::default();
        for head in 1..=30 {
            for n in 0..10 {
                id(&mut ids, &named(&format!("{head} {n}")), head);
            }
            ids.trim_to(100, head);
            assert!(ids.len() <= 100);
        }
        assert!(ids.len() >= 50 && ids.content(0).is_some());
        assert_eq!(
            id(&mut ids, &named("new"), 31),
            (301, true),
            "no id is given again"
        );
    }

    #[test]
    fn ids_that_were_learnt_from_a_table_are_given_again() {
        let mut ids = IdentityIds::default();
        for name in ["a", "b", "c"] {
            id(&mut ids, &named(name), 1);
        }
        let rows = [1, 3].map(|id| (id, ids.content(id).unwrap()));
        let mut again = IdentityIds::default();
        again.learn(&identities::table(rows.into_iter()), 1);
        assert_eq!(id(&mut again, &named("c"), 1), (3, false));
        assert_eq!(
            id(&mut again, &named("new"), 1),
            (4, true),
            "no id that stood is given again"
        );
        again.reserve(90);
        assert_eq!(id(&mut again, &named("newer"), 1), (90, true));
    }
}
