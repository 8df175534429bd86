//! On what rules rest: how it adds up.

use std::collections::BTreeSet;

use super::Evidence;
use crate::edges::{Edge, Strength, Tally};

impl Default for Evidence {
    fn default() -> Evidence {
        Evidence {
            tally: Tally::default(),
            first: 0,
            last: 0,
            strength: Strength::Proven,
            notes: BTreeSet::new(),
        }
    }
}

impl Evidence {
    pub(super) fn add_edge(&mut self, edge: &Edge) {
        let is_first = self.tally.edges == 0;
        self.first = if is_first {
            edge.first
        } else {
            self.first.min(edge.first)
        };
        self.last = self.last.max(edge.last);
        self.strength = self.strength.min(edge.strength);
        self.tally.add(edge);
    }

    pub(super) fn add(&mut self, other: &Evidence) {
        let first = [self, other].map(|evidence| (evidence.tally.edges > 0).then_some(evidence.first));
        let first = first.into_iter().flatten().min().unwrap_or_default();
        self.first = first;
        self.last = self.last.max(other.last);
        self.strength = self.strength.min(other.strength);
        self.tally.edges += other.tally.edges;
        self.tally.flows = self.tally.flows.saturating_add(other.tally.flows);
        self.tally.bytes = self.tally.bytes.saturating_add(other.tally.bytes);
        self.notes.extend(other.notes.iter().cloned());
    }
}
