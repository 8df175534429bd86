//! Ids for identities: equal ones that are named again and again have the same, no
//! id is given twice in a store. Knows those alone whom rows in memory name and
//! whom rows named lately; all others are in the files. Knows no file.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use weir_flow::Identity;

use crate::identities::{self, Content};

/// Places for identities that are known by where they lie in memory. The
/// collector hands out the same few thousand again and again.
const REFS: usize = 1 << 16;

/// Identities that are known at most, those whom rows in memory name aside; each
/// takes some 500 bytes.
const KEPT: usize = 1 << 17;

/// Who has which id.
#[derive(Debug)]
pub(crate) struct IdentityIds {
    entries: HashMap<u32, IdentityEntry>,
    ids: HashMap<Content, u32>,
    refs: Box<[Option<IdentityRef>]>,
    /// The id that nobody in the store has or had yet.
    next: u32,
}

/// Before the first head.
const NO_HEAD: u64 = 0;

#[derive(Debug)]
struct IdentityRef {
    identity: Arc<Identity>,
    id: u32,
    /// The last bytes of the last head that named it by this reference.
    head: u32,
}

#[derive(Debug)]
struct IdentityEntry {
    content: Content,
    /// The last head that names it.
    head: u64,
}

impl Default for IdentityIds {
    fn default() -> Self {
        let mut ids = Self {
            entries: HashMap::new(),
            ids: HashMap::new(),
            refs: std::iter::repeat_with(|| None).take(REFS).collect(),
            next: 0,
        };
        ids.admit(0, Content::of(&Identity::default()), u64::MAX);
        ids
    }
}

impl IdentityIds {
    /// The id of an identity, and whether `head` names it for the first time.
    #[inline]
    pub fn id(&mut self, identity: &Arc<Identity>, head: u64) -> (u32, bool) {
        let place = place(identity);
        let id = match (self.at(place, identity), self.at(place ^ 1, identity)) {
            (Some((id, last)), _) | (None, Some((id, last))) if last == head as u32 => {
                return (id, false);
            }
            (Some((id, _)), _) | (None, Some((id, _))) => id,
            (None, None) => self.find(&Content::of(identity)),
        };
        self.refer(place, identity, id, head);
        (id, self.name(id, head))
    }

    /// The same of one whose content is at hand.
    pub fn id_of(&mut self, content: &Content, head: u64) -> (u32, bool) {
        let id = self.find(content);
        (id, self.name(id, head))
    }

    /// `head` names it: whether for the first time.
    fn name(&mut self, id: u32, head: u64) -> bool {
        let Some(entry) = self.entries.get_mut(&id) else {
            return false;
        };
        let first = entry.head != head && id != 0;
        if first {
            entry.head = entry.head.max(head);
        }
        first
    }

    /// The id, and the head that named it last.
    #[inline]
    fn at(&self, place: usize, identity: &Arc<Identity>) -> Option<(u32, u32)> {
        let found = self.refs[place].as_ref()?;
        Arc::ptr_eq(&found.identity, identity).then_some((found.id, found.head))
    }

    fn find(&mut self, content: &Content) -> u32 {
        if let Some(id) = self.ids.get(content) {
            return *id;
        }
        let id = self.next;
        // No head has named it yet: the caller is to hear that this one does.
        self.admit(id, content.clone(), NO_HEAD);
        id
    }

    /// Keeps the id where it is found first.
    fn refer(&mut self, place: usize, identity: &Arc<Identity>, id: u32, head: u64) {
        let found = IdentityRef {
            identity: Arc::clone(identity),
            id,
            head: head as u32,
        };
        // The one that was found longer ago makes room.
        if self.at(place, identity).is_none() {
            self.refs.swap(place, place ^ 1);
        }
        self.refs[place] = Some(found);
    }

    fn admit(&mut self, id: u32, content: Content, head: u64) {
        self.ids.insert(content.clone(), id);
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
        self.entries.retain(|_, entry| {
            let stays = entry.head >= before;
            if !stays {
                ids.remove(&entry.content);
            }
            stays
        });
        self.refs.fill_with(|| None);
    }
}

/// Where a reference is looked for. Arcs are 16 bytes apart at least.
fn place(identity: &Arc<Identity>) -> usize {
    let address = Arc::as_ptr(identity).addr() as u64 >> 4;
    (address.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as usize % REFS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> Arc<Identity> {
        Arc::new(Identity {
            name: name.into(),
            ..Identity::default()
        })
    }

    #[test]
    fn equal_identities_have_one_id_wherever_they_lie() {
        let mut ids = IdentityIds::default();
        let web = named("web");
        assert_eq!(ids.id(&web, 1), (1, true));
        assert_eq!(ids.id(&web, 1), (1, false));
        assert_eq!(ids.id(&named("web"), 1), (1, false));
        assert_eq!(ids.id(&named("db"), 1), (2, true));
        assert_eq!(ids.id(&web, 2), (1, true), "the next head has to name it again");
        assert_eq!(ids.id(&Identity::nobody(), 2), (0, false));
        assert_eq!(ids.len(), 3);
    }

    #[test]
    fn whom_no_head_named_for_long_is_forgotten_and_has_a_new_id_later() {
        let mut ids = IdentityIds::default();
        let (old, new) = (named("old"), named("new"));
        ids.id(&old, 1);
        ids.id(&new, 1);
        ids.id(&new, 2);
        ids.forget_to(2, 1);
        assert_eq!(ids.len(), 3, "a head in memory names it");
        ids.forget_to(2, 2);
        let known = |id| ids.content(id).is_some();
        assert_eq!((known(0), known(1), known(2)), (true, false, true));
        assert_eq!(ids.id(&new, 2), (2, false));
        assert_eq!(ids.id(&old, 2), (3, true));
    }

    #[test]
    fn what_is_known_stays_bounded_however_many_come() {
        let mut ids = IdentityIds::default();
        for head in 1..=30 {
            for n in 0..10 {
                ids.id(&named(&format!("{head} {n}")), head);
            }
            ids.trim_to(100, head);
            assert!(ids.len() <= 100);
        }
        assert!(ids.len() >= 50 && ids.content(0).is_some());
        assert_eq!(ids.id(&named("new"), 31), (301, true), "no id is given again");
    }

    #[test]
    fn ids_that_were_learnt_from_a_table_are_given_again() {
        let mut ids = IdentityIds::default();
        for name in ["a", "b", "c"] {
            ids.id(&named(name), 1);
        }
        let rows = [1, 3].map(|id| (id, ids.content(id).unwrap()));
        let mut again = IdentityIds::default();
        again.learn(&identities::table(rows.into_iter()), 1);
        assert_eq!(again.id(&named("c"), 1), (3, false));
        assert_eq!(
            again.id(&named("new"), 1),
            (4, true),
            "no id that stood is given again"
        );
        again.reserve(90);
        assert_eq!(again.id(&named("newer"), 1), (90, true));
    }
}
