//! The loop's part that takes in what became of writes.

use super::{Answer, Reconciler};
use crate::write::{WriteError, Written};
use crate::write_queue::{Subject, Write};

impl Reconciler {
    pub(super) fn conclude(&mut self, write: &Write, answer: Answer) {
        let result = answer.as_ref().map_or_else(WriteError::kind, |_| "ok");
        match write {
            Write::Apply(..) => self.metrics.applied(result),
            Write::Delete(..) => self.metrics.deleted(result),
            Write::Report { .. } | Write::ReportOther(_) => self.metrics.reported(result),
            Write::Tell(_) => {}
            Write::Assess(..) => self.metrics.assessed(result),
            Write::Rollout(_) | Write::Keep { .. } | Write::Complete(..) | Write::Forget(_) => {
                self.metrics.rolled(result);
            }
        }
        match answer {
            Ok(written) => self.wrote(write, written),
            Err(error) => self.failed(write, &error),
        }
    }

    fn wrote(&mut self, write: &Write, written: Option<Written>) {
        self.queue.succeeded(write, std::time::Instant::now());
        match written {
            Some(Written::Export(export)) => self.cluster.wrote(export),
            Some(Written::Rollout(rollout)) => self.cluster.rolled(rollout),
            Some(Written::Revision(revision)) => self.cluster.kept(revision),
            None => {}
        }
        let source = self.cluster.settings().source;
        match write {
            // The decision may have changed while the write was under way.
            Write::Apply(node, written) => self.stale |= self.decision.wanted.get(node) != Some(written),
            Write::Delete(..) | Write::Tell(_) | Write::Complete(..) | Write::Forget(_) => {}
            // What was stored counts from now on.
            Write::Rollout(_) | Write::Keep { .. } => self.stale = true,
            Write::Report { conditions, .. } => self.cluster.reported(source, conditions),
            Write::ReportOther(conditions) => self.cluster.reported(source.other(), conditions),
            Write::Assess(profile, status) => self.cluster.assessed(profile, status),
        }
        if self.failures > 0 {
            self.report_soon();
            if self.queue.failing() == 0 {
                tracing::info!(
                    failures = std::mem::take(&mut self.failures),
                    "writes succeed again"
                );
            }
        }
    }

    /// The queue tries again; what lasts is told.
    fn failed(&mut self, write: &Write, error: &WriteError) {
        self.failures += 1;
        if self.failures == 1 {
            tracing::warn!(subject = ?write.subject(), %error, "a write failed and will be tried again");
        } else {
            tracing::debug!(subject = ?write.subject(), %error, "another write failed");
        }
        self.queue
            .failed(write, error.to_string(), std::time::Instant::now());
        // That a revision cannot be kept is told.
        self.stale |= matches!(write, Write::Keep { .. });
        if write.subject() != Subject::Source {
            self.report_soon();
        }
    }
}
