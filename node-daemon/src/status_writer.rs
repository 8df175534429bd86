//! What to write of the status, and when: the latest status against what stands in the
//! object, at the pace of [`crate::status_pace`]. No I/O and no clock; [`crate::kube_source`]
//! carries out what it says.

use std::time::Instant;

use weir_api::NodeFlowExportStatus;

use crate::status_pace::{Difference, StatusPace, WriteOutcome, difference};

/// The object that the status belongs to, as the watch shows it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StatusObject {
    /// Its `metadata.uid`.
    pub uid: String,
    /// Its status, if it has one that can be read.
    pub status: Option<NodeFlowExportStatus>,
    /// Its `metadata.resourceVersion`. Later ones are greater numbers in every API server
    /// there is, and by promise from Kubernetes 1.35 on.
    pub version: Option<u64>,
}

/// What to do now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteStep {
    /// Write the latest status.
    Write,
    /// Nothing before that time, or before something changes.
    Wait(Option<Instant>),
}

/// What was written where.
#[derive(Debug)]
struct Written {
    uid: String,
    sent: NodeFlowExportStatus,
    /// What the server made of it: a definition that is older leaves fields out.
    stored: Option<NodeFlowExportStatus>,
    version: Option<u64>,
}

/// The memory of the one who writes.
#[derive(Debug)]
pub struct StatusWriter {
    written: Option<Written>,
    pace: StatusPace,
}

impl StatusWriter {
    /// Nothing is written yet.
    pub fn new(now: Instant) -> Self {
        Self {
            written: None,
            pace: StatusPace::new(now),
        }
    }

    /// Decides. Without an object there is nowhere to write to.
    pub fn step(
        &mut self,
        object: Option<&StatusObject>,
        latest: &NodeFlowExportStatus,
        now: Instant,
    ) -> WriteStep {
        let difference = self.difference(object, latest);
        match self.pace.due(difference, now) {
            Some(at) if at <= now => WriteStep::Write,
            later => WriteStep::Wait(later),
        }
    }

    /// The status was stored, as the answer shows.
    pub fn written(
        &mut self,
        object: Option<&StatusObject>,
        sent: NodeFlowExportStatus,
        answer: StatusObject,
        now: Instant,
    ) {
        let difference = self.difference(object, &sent);
        self.pace.tried(difference, WriteOutcome::Written, now);
        self.written = Some(Written {
            uid: answer.uid,
            sent,
            stored: answer.status,
            version: answer.version,
        });
    }

    /// It was not.
    pub fn failed(&mut self, outcome: WriteOutcome, now: Instant) {
        self.pace.tried(Difference::Transition, outcome, now);
    }

    /// The watch got something from the server.
    pub fn server_answered(&mut self) {
        self.pace.server_answered();
    }

    fn difference(&self, object: Option<&StatusObject>, latest: &NodeFlowExportStatus) -> Difference {
        let Some(object) = object.filter(|_| *latest != NodeFlowExportStatus::default()) else {
            return Difference::None;
        };
        match self.written.as_ref().filter(|written| written.uid == object.uid) {
            // What an earlier daemon of this node said may still be true.
            None => difference(object.status.as_ref(), latest),
            Some(written) if is_foreign(written, object) => {
                difference(Some(&written.sent), latest).max(Difference::Transition)
            }
            Some(written) => difference(Some(&written.sent), latest),
        }
    }
}

/// Whether somebody else has written the status since.
fn is_foreign(written: &Written, object: &StatusObject) -> bool {
    let later = written
        .version
        .zip(object.version)
        .is_some_and(|(ours, seen)| seen > ours);
    later && object.status != written.stored
}

#[cfg(test)]
mod tests;
