//! The loop's part that says how things stand, in the status of the source and of the profiles.

use k8s_openapi::jiff::Timestamp;
use tokio::time::Instant;

use super::{REPORT_DELAY, REPORT_PATIENCE, Reconciler, instant};
use crate::notice::{loss, notices};
use crate::profile_status::assess;
use crate::rollup::roll_up;
use crate::write_queue::{Subject, Write};

impl Reconciler {
    pub(super) fn report_soon(&mut self) {
        self.report.get_or_insert_with(|| Instant::now() + REPORT_DELAY);
    }

    pub(super) fn report_if_due(&mut self) {
        let now = Instant::now();
        let Some(due) = self.report else { return };
        let overdue = now >= due + REPORT_PATIENCE;
        let under_way = self.queue.is_under_way(&Subject::Source);
        if now < due || under_way || !(self.may_report() || overdue) {
            return;
        }
        self.report = None;
        self.roll_up(Timestamp::now());
    }

    /// Compares what is to be said with what stands in the status of the source and of
    /// the profiles.
    pub(super) fn roll_up(&mut self, now: Timestamp) {
        self.ask_or_not();
        let write_error = |node: &str| self.queue.export_error(node).map(str::to_owned);
        let rolled = roll_up(
            &self.cluster,
            &self.decision,
            &self.collector.receptions,
            &write_error,
            self.deadline,
            now,
        );
        self.metrics.rolled_up(&rolled.counts, self.queue.failing());
        self.checks[1] = rolled.next_check.map(|at| instant(at, now));
        if self.collector.needed {
            self.collector.receptions.settled(rolled.settled, now);
        }
        match (rolled.conditions, self.cluster.shown_source()) {
            (Some(conditions), Some(source)) => {
                let lost = loss(&source.conditions).or(self.collector.lost);
                self.collector.lost = lost;
                self.queue.add(Write::Report {
                    uid: source.uid.clone(),
                    notices: notices(&source.conditions, &conditions, lost),
                    conditions,
                });
            }
            _ => self.queue.drop_waiting(&Subject::Source),
        }
        match rolled.other {
            Some(_) if self.queue.is_under_way(&Subject::OtherSource) => {}
            Some(conditions) => self.queue.add(Write::ReportOther(conditions)),
            None => self.queue.drop_waiting(&Subject::OtherSource),
        }
        for (profile, status) in assess(&self.cluster, &self.decision, now) {
            let write = Write::Assess(profile, status);
            if !self.queue.is_under_way(&write.subject()) {
                self.queue.add(write);
            }
        }
    }
}
