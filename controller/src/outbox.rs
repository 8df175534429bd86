//! The outbox: writes that wait and writes that are under way. At most one is
//! under way for an object, and at most [`LIMIT`] altogether. No I/O.

use std::collections::{BTreeMap, VecDeque};

use weir_api::Condition;

use crate::decide::{Decision, Wanted};

/// Writes under way at a time; the API server answers each in a few
/// milliseconds and is not to be flooded.
pub const LIMIT: usize = 16;

/// One write.
#[derive(Debug, Clone, PartialEq)]
pub enum Write {
    /// Makes a node's `NodeFlowExport` what it has to be.
    Apply(String, Wanted),
    /// Removes the `NodeFlowExport` of that name and uid.
    Delete(String, String),
    /// Puts the conditions in the status of the `Network`.
    Report(Vec<Condition>),
}

/// The object that a write is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// The `NodeFlowExport` of that name.
    Export(String),
    /// The `Network`.
    Network,
}

impl Write {
    /// The object that it is about.
    pub fn subject(&self) -> Subject {
        match self {
            Self::Apply(name, _) | Self::Delete(name, _) => Subject::Export(name.clone()),
            Self::Report(_) => Subject::Network,
        }
    }
}

/// Writes that wait and writes that are under way.
#[derive(Debug, Default)]
pub struct Outbox {
    waiting: VecDeque<Write>,
    under_way: BTreeMap<Subject, Write>,
}

impl Outbox {
    /// Puts the writes of a decision in the place of those that wait. What is
    /// under way already is not written twice.
    pub fn replace(&mut self, decision: &Decision) {
        let apply = |node: &String| Some(Write::Apply(node.clone(), decision.wanted.get(node)?.clone()));
        let deletes = decision.deletes.iter().cloned();
        let writes = decision.applies.iter().filter_map(apply);
        let writes = writes.chain(deletes.map(|(name, uid)| Write::Delete(name, uid)));
        self.waiting = writes
            .filter(|write| self.under_way.get(&write.subject()) != Some(write))
            .collect();
    }

    /// Adds a report behind all that waits.
    pub fn report(&mut self, conditions: Vec<Condition>) {
        self.waiting.push_back(Write::Report(conditions));
    }

    /// The next write to carry out; it is under way until [`Self::done`].
    pub fn take(&mut self) -> Option<Write> {
        if self.under_way.len() >= LIMIT {
            return None;
        }
        let free = |write: &Write| !self.under_way.contains_key(&write.subject());
        let write = self.waiting.remove(self.waiting.iter().position(free)?)?;
        self.under_way.insert(write.subject(), write.clone());
        Some(write)
    }

    /// A write has ended, one way or the other.
    pub fn done(&mut self, write: &Write) {
        self.under_way.remove(&write.subject());
    }

    /// Forgets everything that waits.
    pub fn clear(&mut self) {
        self.waiting.clear();
    }

    /// Whether any `NodeFlowExport` waits or is under way.
    pub fn has_specs(&self) -> bool {
        let waiting = self.waiting.iter();
        let mut writes = waiting.chain(self.under_way.values());
        writes.any(|write| write.subject() != Subject::Network)
    }

    /// Whether a report waits or is under way.
    pub fn has_report(&self) -> bool {
        let waiting = self.waiting.iter();
        let mut writes = waiting.chain(self.under_way.values());
        writes.any(|write| write.subject() == Subject::Network)
    }

    /// Whether anything is under way.
    pub fn is_busy(&self) -> bool {
        !self.under_way.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(uid: &str) -> Wanted {
        Wanted {
            node_uid: uid.to_owned(),
            spec: Default::default(),
        }
    }

    fn decision(nodes: &[String], uid: &str) -> Decision {
        Decision {
            wanted: nodes.iter().map(|n| (n.clone(), wanted(uid))).collect(),
            applies: nodes.to_vec(),
            ..Default::default()
        }
    }

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|i| format!("node-{i:03}")).collect()
    }

    #[test]
    fn no_more_than_the_limit_is_under_way() {
        let mut outbox = Outbox::default();
        outbox.replace(&decision(&names(LIMIT + 1), "u"));
        let first: Vec<Write> = std::iter::from_fn(|| outbox.take()).collect();
        assert_eq!(first.len(), LIMIT);
        outbox.done(&first[0]);
        assert_eq!(
            outbox.take().map(|w| w.subject()),
            Some(Subject::Export("node-016".into()))
        );
    }

    #[test]
    fn what_is_under_way_is_not_written_twice() {
        let mut outbox = Outbox::default();
        outbox.replace(&decision(&names(1), "u"));
        let first = outbox.take().unwrap();
        outbox.replace(&decision(&names(1), "u"));
        outbox.done(&first);
        assert_eq!(outbox.take(), None);
    }

    #[test]
    fn a_newer_write_waits_for_the_older_one_to_the_same_object() {
        let mut outbox = Outbox::default();
        outbox.replace(&decision(&names(1), "old"));
        let old = outbox.take().unwrap();
        outbox.replace(&decision(&names(2), "new"));
        assert_eq!(
            outbox.take().map(|w| w.subject()),
            Some(Subject::Export("node-001".into()))
        );
        assert_eq!(outbox.take(), None);
        outbox.done(&old);
        assert_eq!(
            outbox.take(),
            Some(Write::Apply("node-000".into(), wanted("new")))
        );
    }

    #[test]
    fn a_report_goes_behind_the_specs() {
        let mut outbox = Outbox::default();
        outbox.replace(&decision(&names(1), "u"));
        outbox.report(vec![]);
        assert!(outbox.has_specs() && outbox.has_report());
        outbox.take();
        assert_eq!(outbox.take(), Some(Write::Report(vec![])));
    }
}
