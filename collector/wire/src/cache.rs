//! The different templates there are, shared: a thousand nodes with the same OVS
//! define the same templates, and each repeats them every minute. Owns the bound on
//! their size: each is charged to the sender ([`SenderNetwork`]) that told it first, and one
//! that has more than is left for all others may tell no new ones.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher, RandomState};
use std::sync::Arc;

use crate::layout::Layout;
use crate::session::SenderNetwork;
use crate::template::Definition;

/// Layouts by a keyed hash of what defines them, so that a growing table does not have
/// to read them all again. Two that share a hash, which nobody can bring about, are not
/// shared.
#[derive(Debug)]
pub(crate) struct Layouts {
    known: HashMap<u64, Charged, BuildHasherDefault<Hashed>>,
    by_sender: HashMap<SenderNetwork, usize, foldhash::quality::RandomState>,
    bytes: usize,
    max_bytes: usize,
    /// There was no room left at all.
    pub wanted: bool,
    state: RandomState,
    swept_ms: u64,
}

/// A layout, and who told it first.
#[derive(Debug)]
struct Charged {
    layout: Arc<Layout>,
    sender: SenderNetwork,
}

/// Passes on what is a hash already.
#[derive(Debug, Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, octets: &[u8]) {
        for octet in octets {
            self.0 = self.0.rotate_left(8) ^ u64::from(*octet);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// Least time between two searches for layouts that nobody uses any more.
const SWEEP_MS: u64 = 1_000;

impl Layouts {
    pub(crate) fn new(max_bytes: usize) -> Self {
        Self {
            known: HashMap::default(),
            by_sender: HashMap::default(),
            bytes: 0,
            max_bytes,
            wanted: false,
            state: RandomState::new(),
            swept_ms: 0,
        }
    }

    /// The layout of a template. `None` when its records would have no octets, so
    /// that there would be no end to them, or when there is no room for it.
    pub(crate) fn of(
        &mut self,
        definition: &Definition<'_>,
        sender: SenderNetwork,
        now_ms: u64,
    ) -> Option<Arc<Layout>> {
        if definition.min_len == 0 {
            return None;
        }
        let hash = Layout::hash_of(definition, &self.state);
        let known = self.known.get(&hash).map(|known| &known.layout);
        if let Some(layout) = known.filter(|layout| layout.is(definition)) {
            return Some(Arc::clone(layout));
        }
        let size = Layout::len_of(definition);
        if !self.has_room(size, sender) {
            self.sweep(now_ms);
            if !self.has_room(size, sender) {
                self.wanted |= self.bytes + size > self.max_bytes;
                return None;
            }
        }
        let layout = Arc::new(Layout::new(definition));
        let charged = Charged {
            layout: Arc::clone(&layout),
            sender,
        };
        self.charge(size, sender);
        if let Some(other) = self.known.insert(hash, charged) {
            self.discharge(&other);
        }
        Some(layout)
    }

    fn has_room(&self, size: usize, sender: SenderNetwork) -> bool {
        let own = self.by_sender.get(&sender).copied().unwrap_or(0);
        let left = self.max_bytes.saturating_sub(self.bytes);
        size <= left && own <= left
    }

    /// Forgets the layouts that nobody uses any more.
    fn sweep(&mut self, now_ms: u64) {
        if now_ms.abs_diff(self.swept_ms) < SWEEP_MS {
            return;
        }
        self.swept_ms = now_ms;
        self.known.retain(|_, known| Arc::strong_count(&known.layout) > 1);
        (self.bytes, self.by_sender) = (0, HashMap::default());
        let sizes: Vec<_> = self
            .known
            .values()
            .map(|known| (known.layout.len(), known.sender))
            .collect();
        for (size, sender) in sizes {
            self.charge(size, sender);
        }
    }

    fn charge(&mut self, size: usize, sender: SenderNetwork) {
        self.bytes += size;
        *self.by_sender.entry(sender).or_default() += size;
    }

    fn discharge(&mut self, charged: &Charged) {
        let size = charged.layout.len();
        self.bytes -= size;
        if let Some(own) = self.by_sender.get_mut(&charged.sender) {
            *own = own.saturating_sub(size);
        }
    }
}
