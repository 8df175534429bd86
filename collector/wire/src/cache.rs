//! Compiled templates, shared: a thousand nodes with the same OVS define the same
//! templates, and each repeats them every minute. Owns the bound on their size.

use std::collections::HashMap;
use std::sync::Arc;

use crate::plan::Plan;
use crate::template::Definition;

/// Plans by the octets that define them.
#[derive(Debug)]
pub(crate) struct Plans {
    known: HashMap<Box<[u8]>, Arc<Plan>>,
    octets: usize,
    max_octets: usize,
    key: Vec<u8>,
    swept_ms: u64,
}

/// Least time between two searches for plans that nobody uses any more.
const SWEEP_MS: u64 = 1_000;

impl Plans {
    pub(crate) fn new(max_octets: usize) -> Self {
        Self {
            known: HashMap::new(),
            octets: 0,
            max_octets,
            key: Vec::new(),
            swept_ms: 0,
        }
    }

    /// The plan of a template, compiled if it is new. `None` when it cannot have
    /// one ([`Plan::compile`]) or there is no room for it.
    pub(crate) fn of(&mut self, definition: &Definition<'_>, now_ms: u64) -> Option<Arc<Plan>> {
        self.key.clear();
        self.key
            .extend([definition.protocol as u8, u8::from(definition.options)]);
        self.key.extend_from_slice(definition.octets());
        if let Some(plan) = self.known.get(self.key.as_slice()) {
            return Some(Arc::clone(plan));
        }
        let plan = Arc::new(Plan::compile(definition)?);
        if !self.has_room(now_ms) {
            return None;
        }
        self.octets += self.key.len();
        self.known.insert(self.key.as_slice().into(), Arc::clone(&plan));
        Some(plan)
    }

    fn has_room(&mut self, now_ms: u64) -> bool {
        let full = self.octets + self.key.len() > self.max_octets;
        if full && now_ms.abs_diff(self.swept_ms) >= SWEEP_MS {
            self.swept_ms = now_ms;
            self.known.retain(|_, plan| Arc::strong_count(plan) > 1);
            self.octets = self.known.keys().map(|key| key.len()).sum();
        }
        self.octets + self.key.len() <= self.max_octets
    }
}
