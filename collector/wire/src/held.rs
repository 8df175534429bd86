//! Data sets that came before their template, kept for a bounded while
//! (RFC 7011 §8 and §9.3 allow it; OVS repeats templates only every 60 to 600 s).

use std::collections::HashMap;

use foldhash::quality::RandomState;

use crate::clock::Clock;
use crate::session::SenderNetwork;

/// The data sets one scope waits with, by template.
#[derive(Debug, Default)]
pub(crate) struct Held {
    sets: HashMap<u16, Vec<HeldSet>>,
    count: usize,
}

/// One data set without its template.
#[derive(Debug)]
pub(crate) struct HeldSet {
    pub bytes: Box<[u8]>,
    /// From the header of the message it came in.
    pub clock: Clock,
    pub at_ms: u64,
}

/// Octets that the keeping of a set is counted with, beside its own: a flood of
/// small sets would take many times what they bring.
pub(crate) const KEEPING: usize = 64;

impl HeldSet {
    fn size(&self) -> usize {
        KEEPING + self.bytes.len()
    }
}

/// How many octets may still be held, over all scopes. Who holds more than is left for
/// all others gets no more, so that no sender can take everything.
#[derive(Debug)]
pub(crate) struct Budget {
    left: usize,
    sets_per_scope: usize,
    by_sender: HashMap<SenderNetwork, usize, RandomState>,
    /// There was no room for one who is no stranger.
    pub wanted: bool,
    /// Sets that wait no longer and are not read yet.
    pub released: usize,
}

impl Budget {
    pub(crate) fn new(octets: usize, sets_per_scope: usize) -> Self {
        Self {
            left: octets,
            sets_per_scope,
            by_sender: HashMap::default(),
            wanted: false,
            released: 0,
        }
    }

    fn spend(&mut self, size: usize, sender: SenderNetwork) -> bool {
        let spent = self.by_sender.get(&sender).copied().unwrap_or(0);
        if size > self.left || spent > self.left {
            return false;
        }
        self.left -= size;
        self.by_sender.insert(sender, spent + size);
        true
    }

    fn give_back(&mut self, sets: &[HeldSet], sender: SenderNetwork) {
        let size: usize = sets.iter().map(HeldSet::size).sum();
        self.left += size;
        if let Some(spent) = self.by_sender.get_mut(&sender) {
            *spent = spent.saturating_sub(size);
            if *spent == 0 {
                self.by_sender.remove(&sender);
            }
        }
    }
}

impl Held {
    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// How many sets wait.
    pub(crate) fn len(&self) -> usize {
        self.count
    }

    /// Keeps a data set; `false` when there is no room, and it is lost.
    pub(crate) fn keep(&mut self, id: u16, set: HeldSet, sender: SenderNetwork, budget: &mut Budget) -> bool {
        if self.count >= budget.sets_per_scope || !budget.spend(set.size(), sender) {
            return false;
        }
        self.count += 1;
        self.sets.entry(id).or_default().push(set);
        true
    }

    /// Hands out what waits for template `id`, in order of arrival.
    pub(crate) fn release(&mut self, id: u16, sender: SenderNetwork, budget: &mut Budget) -> Vec<HeldSet> {
        if self.count == 0 {
            return Vec::new();
        }
        let sets = self.sets.remove(&id).unwrap_or_default();
        self.count -= sets.len();
        budget.give_back(&sets, sender);
        sets
    }

    /// The clock was set.
    pub(crate) fn move_times(&mut self, moved: impl Fn(u64) -> u64) {
        for set in self.sets.values_mut().flatten() {
            set.at_ms = moved(set.at_ms);
        }
    }

    /// Drops what was held before `oldest_ms` and says how many sets.
    pub(crate) fn forget(&mut self, oldest_ms: u64, sender: SenderNetwork, budget: &mut Budget) -> usize {
        let before = self.count;
        self.sets.retain(|_, sets| {
            let old = sets.iter().take_while(|set| set.at_ms < oldest_ms).count();
            let gone: Vec<HeldSet> = sets.drain(..old).collect();
            budget.give_back(&gone, sender);
            !sets.is_empty()
        });
        self.count = self.sets.values().map(Vec::len).sum();
        before - self.count
    }
}
