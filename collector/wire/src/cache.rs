//! The different templates there are, shared: a thousand nodes with the same OVS
//! define the same templates, and each repeats them every minute. Owns the bound on
//! their size.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher, RandomState};
use std::sync::Arc;

use crate::layout::Layout;
use crate::template::Definition;

/// Layouts by a keyed hash of what defines them, so that a growing table does not have
/// to read them all again. Two that share a hash, which nobody can bring about, are not
/// shared.
#[derive(Debug)]
pub(crate) struct Layouts {
    known: HashMap<u64, Arc<Layout>, BuildHasherDefault<Hashed>>,
    octets: usize,
    max_octets: usize,
    state: RandomState,
    swept_ms: u64,
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
    pub(crate) fn new(max_octets: usize) -> Self {
        Self {
            known: HashMap::default(),
            octets: 0,
            max_octets,
            state: RandomState::new(),
            swept_ms: 0,
        }
    }

    /// The layout of a template. `None` when its records would have no octets, so
    /// that there would be no end to them, or when there is no room for it.
    pub(crate) fn of(&mut self, definition: &Definition<'_>, now_ms: u64) -> Option<Arc<Layout>> {
        if definition.min_len == 0 {
            return None;
        }
        let hash = Layout::hash_of(definition, &self.state);
        if let Some(layout) = self.known.get(&hash).filter(|layout| layout.is(definition)) {
            return Some(Arc::clone(layout));
        }
        let size = Layout::len_of(definition);
        if !self.has_room(size, now_ms) {
            return None;
        }
        let layout = Arc::new(Layout::new(definition));
        self.octets += size;
        if let Some(other) = self.known.insert(hash, Arc::clone(&layout)) {
            self.octets -= other.len();
        }
        Some(layout)
    }

    fn has_room(&mut self, size: usize, now_ms: u64) -> bool {
        let full = self.octets + size > self.max_octets;
        if full && now_ms.abs_diff(self.swept_ms) >= SWEEP_MS {
            self.swept_ms = now_ms;
            self.known.retain(|_, layout| Arc::strong_count(layout) > 1);
            self.octets = self.known.values().map(|layout| layout.len()).sum();
        }
        self.octets + size <= self.max_octets
    }
}
