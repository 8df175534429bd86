//! The loop: sees what the watches show, decides, hands writes out, and rolls
//! the nodes' status up. Only the leader decides and writes; a standby sees.
//!
//! One task owns all state. Writes run as futures inside that task, so events
//! are seen while writes are under way. Changes of the plan are acted on at
//! once; reports wait a little for each other, and for the specs.

use std::time::Duration;

use futures::future::{BoxFuture, FutureExt};
use futures::stream::{BoxStream, FuturesUnordered, StreamExt};
use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::Event;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout_at};
use weir_api::NodeFlowExport;
use weir_api::condition::Time;

use crate::backoff::Delays;
use crate::decide::{Decision, decide};
use crate::metrics::Metrics;
use crate::outbox::{Outbox, Write};
use crate::rollup::roll_up;
use crate::table::Change;
use crate::world::{Sight, World};
use crate::write::{Desk, WriteError};

/// How long a report waits for more to say: 100 nodes report within one.
const REPORT_DELAY: Duration = Duration::from_millis(250);
/// How long a report lets specs go first.
const REPORT_PATIENCE: Duration = Duration::from_secs(2);
/// Events seen in one go before they are acted on.
const SIGHTS_AT_ONCE: usize = 4096;
/// How long writes under way may take when the process stops.
const DRAIN: Duration = Duration::from_secs(2);

type Answer = Result<Option<NodeFlowExport>, WriteError>;

/// All state of the loop.
pub struct Reconciler {
    desk: Desk,
    metrics: Metrics,
    /// Told which kinds were not listed yet.
    missing: watch::Sender<Vec<&'static str>>,
    world: World,
    decision: Decision,
    outbox: Outbox,
    answers: FuturesUnordered<BoxFuture<'static, (Write, Answer)>>,
    leads: bool,
    /// The world has changed since the decision.
    stale: bool,
    /// When a failed write is tried again.
    retry: Option<Instant>,
    /// When the conditions are to be compared and written.
    report: Option<Instant>,
    delays: Delays,
    /// Writes that failed since all went well.
    failures: u64,
}

impl Reconciler {
    /// A loop that has seen nothing yet.
    pub fn new(desk: Desk, metrics: Metrics, missing: watch::Sender<Vec<&'static str>>) -> Self {
        Self {
            desk,
            metrics,
            missing,
            world: World::default(),
            decision: Decision::default(),
            outbox: Outbox::default(),
            answers: FuturesUnordered::new(),
            leads: false,
            stale: true,
            retry: None,
            report: None,
            delays: Delays::default(),
            failures: 0,
        }
    }

    /// Runs until `stop` changes, then waits for the writes under way. It also
    /// ends when a watch ends, which none does.
    pub async fn run(
        mut self,
        mut sights: BoxStream<'static, Sight>,
        mut leads: watch::Receiver<bool>,
        mut stop: watch::Receiver<bool>,
    ) {
        leads.mark_changed();
        loop {
            let wake = self.wake();
            tokio::select! {
                biased;
                _ = stop.changed() => break,
                Ok(()) = leads.changed() => self.lead(*leads.borrow_and_update()),
                Some((write, answer)) = self.answers.next() => self.conclude(&write, answer),
                sight = sights.next() => match sight {
                    Some(sight) => self.see_all(sight, &mut sights),
                    None => break,
                },
                () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => self.wake_up(),
            }
            self.act();
        }
        self.drain().await;
    }

    /// Sees an event and all others that are there already.
    fn see_all(&mut self, first: Sight, sights: &mut BoxStream<'static, Sight>) {
        self.see(first);
        for _ in 0..SIGHTS_AT_ONCE {
            let Some(Some(sight)) = sights.next().now_or_never() else {
                break;
            };
            self.see(sight);
        }
        let missing = self.world.missing();
        self.missing.send_if_modified(|known| {
            let changed = *known != missing;
            *known = missing;
            changed
        });
    }

    fn see(&mut self, sight: Sight) {
        let expected = self.is_expected(&sight);
        match self.world.see(sight) {
            Change::Nothing => {}
            Change::Report => self.report_soon(),
            Change::Plan if expected => self.report_soon(),
            Change::Plan => self.stale = true,
        }
    }

    /// Whether an event only shows that a node's object is as decided.
    fn is_expected(&self, sight: &Sight) -> bool {
        let Sight::Export(Event::Apply(object)) = sight else {
            return false;
        };
        let wanted = self.decision.wanted.get(&object.name_any());
        let export = object.0.as_ref().ok();
        wanted.is_some_and(|wanted| export.is_some_and(|export| wanted.is_met_by(export)))
    }

    fn lead(&mut self, leads: bool) {
        self.leads = leads;
        self.metrics.leads(leads);
        self.stale = true;
        if !leads {
            self.outbox = Outbox::default();
            self.answers.clear();
            self.decision = Decision::default();
            (self.retry, self.report) = (None, None);
        }
    }

    /// The next moment at which something is due without an event.
    fn wake(&self) -> Option<Instant> {
        let report = self.report.map(|due| match self.may_report() {
            true => due,
            false => due + REPORT_PATIENCE,
        });
        // A report that is under way wakes the loop by its answer.
        let report = report.filter(|_| !self.outbox.has_report());
        [report, self.retry].into_iter().flatten().min()
    }

    fn may_report(&self) -> bool {
        !self.outbox.has_specs() && !self.stale
    }

    fn wake_up(&mut self) {
        if self.retry.is_some_and(|at| at <= Instant::now()) {
            self.retry = None;
            self.stale = true;
        }
    }

    fn act(&mut self) {
        if !self.leads || !self.world.missing().is_empty() {
            return;
        }
        if std::mem::take(&mut self.stale) {
            self.reconcile();
        }
        self.report_if_due();
        while let Some(write) = self.outbox.take() {
            let desk = self.desk.clone();
            let answer = async move {
                let answer = desk.carry_out(&write).await;
                (write, answer)
            };
            self.answers.push(answer.boxed());
        }
    }

    fn reconcile(&mut self) {
        let decision = decide(&self.world);
        let changed = !decision.applies.is_empty() || !decision.deletes.is_empty();
        self.metrics
            .reconciled(changed, decision.wanted.len(), decision.problems.len());
        if changed {
            let (applies, deletes) = (decision.applies.len(), decision.deletes.len());
            tracing::info!(
                applies,
                deletes,
                nodes = decision.wanted.len(),
                "the plan changed"
            );
        }
        for problem in &decision.problems {
            if !self.decision.problems.contains(problem) {
                tracing::warn!("skipped: {problem}");
            }
        }
        self.outbox.replace(&decision);
        self.decision = decision;
        self.report_soon();
    }

    fn report_soon(&mut self) {
        self.report.get_or_insert_with(|| Instant::now() + REPORT_DELAY);
    }

    fn report_if_due(&mut self) {
        let now = Instant::now();
        let Some(due) = self.report else { return };
        let overdue = now >= due + REPORT_PATIENCE;
        if now < due || self.outbox.has_report() || !(self.may_report() || overdue) {
            return;
        }
        self.report = None;
        if let Some(conditions) = roll_up(&self.world, &self.decision, &Time(Timestamp::now())) {
            self.outbox.report(conditions);
        }
    }

    fn conclude(&mut self, write: &Write, answer: Answer) {
        self.outbox.done(write);
        let result = answer.as_ref().map_or_else(WriteError::kind, |_| "ok");
        match write {
            Write::Apply(..) => self.metrics.applied(result),
            Write::Delete(..) => self.metrics.deleted(result),
            Write::Report(_) => self.metrics.reported(result),
        }
        match answer {
            Ok(export) => self.wrote(write, export),
            Err(error) => self.try_again(write, &error),
        }
        if self.retry.is_none() && !self.outbox.is_busy() {
            self.delays.reset();
            let failures = std::mem::take(&mut self.failures);
            if failures > 0 {
                tracing::info!(failures, "writes succeed again");
            }
        }
    }

    fn wrote(&mut self, write: &Write, export: Option<NodeFlowExport>) {
        if let Some(export) = export {
            self.world.wrote(export);
        }
        // The decision may have changed while the write was under way.
        let Write::Apply(node, written) = write else {
            return;
        };
        self.stale |= self.decision.wanted.get(node) != Some(written);
    }

    fn try_again(&mut self, write: &Write, error: &WriteError) {
        self.failures += 1;
        if self.failures == 1 {
            tracing::warn!(subject = ?write.subject(), %error, "a write failed and will be tried again");
        } else {
            tracing::debug!(subject = ?write.subject(), %error, "another write failed");
        }
        if self.retry.is_none() {
            self.retry = self.delays.next().map(|delay| Instant::now() + delay);
        }
    }

    async fn drain(mut self) {
        self.outbox.clear();
        let deadline = Instant::now() + DRAIN;
        while let Ok(Some((write, _))) = timeout_at(deadline, self.answers.next()).await {
            self.outbox.done(&write);
        }
        if self.outbox.is_busy() {
            tracing::warn!("some writes had no answer before the process stopped");
        }
    }
}
