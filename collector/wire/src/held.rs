//! Data sets that came before their template, kept for a bounded while
//! (RFC 7011 §8 and §9.3 allow it; OVS repeats templates only every 60 to 600 s).

use std::collections::HashMap;

use crate::clock::Clock;

/// The data sets one scope waits with, by template.
#[derive(Debug, Default)]
pub(crate) struct Held {
    sets: HashMap<u16, Vec<HeldSet>>,
    count: usize,
}

/// One data set without its template.
#[derive(Debug)]
pub(crate) struct HeldSet {
    pub octets: Box<[u8]>,
    /// From the header of the message it came in.
    pub clock: Clock,
    pub at_ms: u64,
}

/// Octets that the keeping of a set is counted with, beside its own: a flood of
/// small sets would take many times what they bring.
pub(crate) const KEEPING: usize = 64;

impl HeldSet {
    fn size(&self) -> usize {
        KEEPING + self.octets.len()
    }
}

/// How many octets may still be held, over all scopes.
#[derive(Debug)]
pub(crate) struct Budget {
    left: usize,
    sets_per_scope: usize,
}

impl Budget {
    pub(crate) const fn new(octets: usize, sets_per_scope: usize) -> Self {
        Self {
            left: octets,
            sets_per_scope,
        }
    }

    fn give_back(&mut self, sets: &[HeldSet]) {
        self.left += sets.iter().map(HeldSet::size).sum::<usize>();
    }
}

impl Held {
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Keeps a data set; `false` when there is no room, and it is lost.
    pub(crate) fn keep(&mut self, id: u16, set: HeldSet, budget: &mut Budget) -> bool {
        let size = set.size();
        if self.count >= budget.sets_per_scope || size > budget.left {
            return false;
        }
        budget.left -= size;
        self.count += 1;
        self.sets.entry(id).or_default().push(set);
        true
    }

    /// Hands out what waits for template `id`, in order of arrival.
    pub(crate) fn release(&mut self, id: u16, budget: &mut Budget) -> Vec<HeldSet> {
        if self.count == 0 {
            return Vec::new();
        }
        let sets = self.sets.remove(&id).unwrap_or_default();
        self.count -= sets.len();
        budget.give_back(&sets);
        sets
    }

    /// Drops what was held before `oldest_ms` and says how many sets.
    pub(crate) fn forget(&mut self, oldest_ms: u64, budget: &mut Budget) -> usize {
        let before = self.count;
        self.sets.retain(|_, sets| {
            let old = sets.iter().take_while(|set| set.at_ms < oldest_ms).count();
            let gone: Vec<HeldSet> = sets.drain(..old).collect();
            budget.give_back(&gone);
            !sets.is_empty()
        });
        self.count = self.sets.values().map(Vec::len).sum();
        before - self.count
    }
}
