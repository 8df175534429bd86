//! The different templates there are, shared: a thousand nodes with the same OVS
//! define the same templates, and each repeats them every minute. Owns the bound on
//! their size.

use std::collections::HashSet;
use std::sync::Arc;

use crate::layout::{Layout, Shared, write_key};
use crate::template::Definition;

/// Layouts by the octets that define them.
#[derive(Debug)]
pub(crate) struct Layouts {
    known: HashSet<Shared>,
    octets: usize,
    max_octets: usize,
    key: Vec<u8>,
    swept_ms: u64,
}

/// Least time between two searches for layouts that nobody uses any more.
const SWEEP_MS: u64 = 1_000;

impl Layouts {
    pub(crate) fn new(max_octets: usize) -> Self {
        Self {
            known: HashSet::new(),
            octets: 0,
            max_octets,
            key: Vec::new(),
            swept_ms: 0,
        }
    }

    /// The layout of a template. `None` when its records would have no octets, so
    /// that there would be no end to them, or when there is no room for it.
    pub(crate) fn of(&mut self, definition: &Definition<'_>, now_ms: u64) -> Option<Arc<Layout>> {
        if definition.min_len == 0 {
            return None;
        }
        write_key(definition, &mut self.key);
        if let Some(shared) = self.known.get(self.key.as_slice()) {
            return Some(Arc::clone(&shared.0));
        }
        if !self.has_room(now_ms) {
            return None;
        }
        let layout = Arc::new(Layout::new(definition));
        self.octets += self.key.len();
        self.known.insert(Shared(Arc::clone(&layout)));
        Some(layout)
    }

    fn has_room(&mut self, now_ms: u64) -> bool {
        let full = self.octets + self.key.len() > self.max_octets;
        if full && now_ms.abs_diff(self.swept_ms) >= SWEEP_MS {
            self.swept_ms = now_ms;
            self.known.retain(|shared| Arc::strong_count(&shared.0) > 1);
            self.octets = self.known.iter().map(Shared::len).sum();
        }
        self.octets + self.key.len() <= self.max_octets
    }
}
