//! The write queue: writes that wait and writes that are under way. At most one
//! is under way for an object, and at most [`LIMIT`] altogether. No I/O.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use kube::core::ObjectMeta;
use weir_api::condition::Time;
use weir_api::{Condition, ExportProfileStatus, ExportRolloutStatus, RevisionData, revision};

use crate::decide::{Decision, DesiredExport};
use crate::notice::Notice;
use crate::write_pace::WritePace;

/// Writes under way at a time; the API server answers each in a few
/// milliseconds and is not to be flooded.
pub const LIMIT: usize = 16;

/// One write.
#[derive(Debug, Clone, PartialEq)]
pub enum Write {
    /// Makes a node's `NodeFlowExport` what it has to be.
    Apply(String, DesiredExport),
    /// Removes the `NodeFlowExport` of that name and uid.
    Delete(String, String),
    /// Puts the conditions in the status of the source, and tells of them in events.
    Report {
        /// The source's uid.
        uid: Option<String>,
        /// As they are to stand.
        conditions: Vec<Condition>,
        /// Which of them turned.
        notices: Vec<Notice>,
    },
    /// Makes these our conditions in the status of the source that does not count; none
    /// takes them out of it.
    ReportOther(Vec<Condition>),
    /// Tells of something in an event about the source, which need not exist.
    Tell(Notice),
    /// Puts the status of the `ExportProfile` of that name in place.
    Assess(String, ExportProfileStatus),
    /// Puts the status of the `ExportRollout` in place, where that is still as it was seen.
    Rollout(Box<(ObjectMeta, ExportRolloutStatus)>),
    /// Keeps a revision.
    Keep {
        /// Its hash.
        hash: String,
        /// Its number.
        number: i64,
        /// What it is made of.
        data: Box<RevisionData>,
    },
    /// Says of the `ControllerRevision` of that name since when all nodes have it.
    Complete(String, Time),
    /// Deletes the `ControllerRevision` of that name.
    Forget(String),
}

/// The object that a write is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// The `NodeFlowExport` of that name.
    Export(String),
    /// The `Network` or `FlowExport`, whichever counts.
    Source,
    /// The other of the two.
    OtherSource,
    /// An event.
    Event,
    /// The `ExportProfile` of that name.
    Profile(String),
    /// The `ExportRollout`.
    Rollout,
    /// The `ControllerRevision` of that name.
    Revision(String),
}

impl Write {
    /// The object that it is about.
    pub fn subject(&self) -> Subject {
        match self {
            Self::Apply(name, _) | Self::Delete(name, _) => Subject::Export(name.clone()),
            Self::Report { .. } => Subject::Source,
            Self::ReportOther(_) => Subject::OtherSource,
            Self::Tell(_) => Subject::Event,
            Self::Assess(name, _) => Subject::Profile(name.clone()),
            Self::Rollout(_) => Subject::Rollout,
            Self::Keep { hash, .. } => Subject::Revision(revision::object_name(hash)),
            Self::Complete(name, _) | Self::Forget(name) => Subject::Revision(name.clone()),
        }
    }

    fn is_spec(&self) -> bool {
        matches!(self, Self::Apply(..) | Self::Delete(..))
    }
}

/// Writes that wait and writes that are under way.
#[derive(Debug, Default)]
pub struct WriteQueue {
    waiting: VecDeque<(Subject, Write)>,
    under_way: BTreeMap<Subject, Write>,
    pace: WritePace,
}

impl WriteQueue {
    /// Puts the writes of a decision in the place of those that wait. What is
    /// under way already is not written twice. Writes of status stay.
    pub fn replace(&mut self, decision: &Decision) {
        let apply = |node: &String| Some(Write::Apply(node.clone(), decision.wanted.get(node)?.clone()));
        let deletes = decision.deletes.iter().cloned();
        let writes = decision.applies.iter().filter_map(apply);
        let writes = writes.chain(deletes.map(|(name, uid)| Write::Delete(name, uid)));
        let waiting = std::mem::take(&mut self.waiting).into_iter();
        let status = waiting.filter(|(_, write)| !write.is_spec());
        self.waiting = writes
            .map(|write| (write.subject(), write))
            .filter(|(subject, write)| self.under_way.get(subject) != Some(write))
            .chain(status)
            .collect();
        self.pace.retain(|subject| match subject {
            Subject::Export(node) => {
                decision.wanted.contains_key(node) || decision.deletes.iter().any(|(name, _)| name == node)
            }
            _ => true,
        });
    }

    /// Adds a write of status behind all that waits, in place of an older one to the
    /// same object.
    pub fn add(&mut self, write: Write) {
        let subject = write.subject();
        self.drop_waiting(&subject);
        self.waiting.push_back((subject, write));
    }

    /// Nothing needs to be written to that object any longer.
    pub fn drop_waiting(&mut self, subject: &Subject) {
        self.waiting.retain(|(waiting, _)| waiting != subject);
    }

    /// The next write to carry out; it is under way until it [`Self::succeeded`] or
    /// [`Self::failed`].
    pub fn take(&mut self, now: Instant) -> Option<Write> {
        if self.is_full() {
            return None;
        }
        let may = |(subject, write): &(Subject, Write)| {
            self.is_free(subject) && self.pace.due(subject, write).is_none_or(|due| due <= now)
        };
        let (subject, write) = self.waiting.remove(self.waiting.iter().position(may)?)?;
        self.pace.begin(&write, now);
        self.under_way.insert(subject, write.clone());
        Some(write)
    }

    fn is_full(&self) -> bool {
        self.under_way.len() >= self.pace.limit(LIMIT)
    }

    fn is_free(&self, subject: &Subject) -> bool {
        !self.under_way.contains_key(subject)
    }

    /// When a write that waits may begin; `None` where all wait for an answer.
    pub fn next_due(&self, now: Instant) -> Option<Instant> {
        if self.is_full() {
            return None;
        }
        let free = self.waiting.iter().filter(|(subject, _)| self.is_free(subject));
        free.map(|(subject, write)| self.pace.due(subject, write).unwrap_or(now))
            .min()
    }

    /// A write has succeeded.
    pub fn succeeded(&mut self, write: &Write, now: Instant) {
        self.under_way.remove(&write.subject());
        self.pace.succeeded(write, now);
    }

    /// A write has failed. It waits for its next attempt, unless a newer one waits.
    pub fn failed(&mut self, write: &Write, error: String, now: Instant) {
        let subject = write.subject();
        self.under_way.remove(&subject);
        self.pace.failed(write, error, now);
        if !self.waiting.iter().any(|(waiting, _)| *waiting == subject) {
            self.waiting.push_back((subject, write.clone()));
        }
    }

    /// Why a node's `NodeFlowExport` could not be written, if that lasts.
    pub fn export_error(&self, node: &str) -> Option<&str> {
        self.pace.error(&Subject::Export(node.to_owned()))
    }

    /// Why a revision could not be kept, once that was tried.
    pub fn keep_error(&self, hash: &str) -> Option<&str> {
        let subject = Subject::Revision(revision::object_name(hash));
        self.pace.last_error(&subject)
    }

    /// Objects whose last write failed.
    pub fn failing(&self) -> usize {
        self.pace.failing()
    }

    /// Forgets everything that waits.
    pub fn clear(&mut self) {
        self.waiting.clear();
    }

    /// Whether any `NodeFlowExport` is under way or waits for its first attempt.
    pub fn has_specs(&self) -> bool {
        let untried = |(subject, write): &(Subject, Write)| write.is_spec() && !self.pace.has_failed(subject);
        self.waiting.iter().any(untried) || self.under_way.values().any(Write::is_spec)
    }

    /// Whether that object is being written.
    pub fn is_under_way(&self, subject: &Subject) -> bool {
        self.under_way.contains_key(subject)
    }

    /// Whether anything is under way.
    pub fn is_busy(&self) -> bool {
        !self.under_way.is_empty()
    }
}

#[cfg(test)]
mod tests;
