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
use kube::runtime::watcher::Event;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout_at};

use crate::cluster_state::{ClusterState, WatchEvent};
use crate::collector_client::AskError;
use crate::decide::{Decision, decide};
use crate::election::Leadership;
use crate::metrics::Metrics;
use crate::notice::holding;
use crate::reception;
use crate::rollout::Memory;
use crate::table::ObjectChange;
use crate::write::{ApiWriter, WriteError, Written};
use crate::write_queue::{Subject, Write, WriteQueue};

/// How long a report waits for more to say: 100 nodes report within one.
const REPORT_DELAY: Duration = Duration::from_millis(250);
/// How long a report lets specs go first.
const REPORT_PATIENCE: Duration = Duration::from_secs(2);
/// Events seen in one go before they are acted on.
const EVENTS_AT_ONCE: usize = 4096;
/// How long writes under way may take when the process stops.
const DRAIN: Duration = Duration::from_secs(2);

mod answers;
mod receptions;
mod report;

pub use receptions::CollectorWatch;

type Answer = Result<Option<Written>, WriteError>;

/// All state of the loop.
pub struct Reconciler {
    writer: ApiWriter,
    metrics: Metrics,
    /// Told which kinds were not listed yet.
    missing: watch::Sender<Vec<&'static str>>,
    /// How long a node may be behind its spec.
    deadline: Duration,
    cluster: ClusterState,
    decision: Decision,
    rollout: Memory,
    queue: WriteQueue,
    answers: FuturesUnordered<BoxFuture<'static, (Write, Answer)>>,
    collector: CollectorWatch,
    /// The request to the collector that is under way.
    asked: FuturesUnordered<BoxFuture<'static, Result<reception::Answer, AskError>>>,
    leads: bool,
    /// The cluster has changed since the decision.
    stale: bool,
    /// When the conditions are to be compared and written.
    report: Option<Instant>,
    /// When what was decided, and what was rolled up, may change by itself.
    checks: [Option<Instant>; 2],
    /// Writes that failed since all went well.
    failures: u64,
}

impl Reconciler {
    /// A loop that has seen nothing yet.
    pub fn new(
        writer: ApiWriter,
        metrics: Metrics,
        missing: watch::Sender<Vec<&'static str>>,
        cluster: ClusterState,
        collector: CollectorWatch,
        deadline: Duration,
    ) -> Self {
        Self {
            writer,
            metrics,
            missing,
            deadline,
            cluster,
            decision: Decision::default(),
            rollout: Memory::default(),
            queue: WriteQueue::default(),
            answers: FuturesUnordered::new(),
            collector,
            asked: FuturesUnordered::new(),
            leads: false,
            stale: true,
            report: None,
            checks: [None, None],
            failures: 0,
        }
    }

    /// Runs until `stop` changes, then waits for the writes under way. It also
    /// ends when a watch ends, which none does.
    pub async fn run(
        mut self,
        mut events: BoxStream<'static, WatchEvent>,
        mut leads: watch::Receiver<Leadership>,
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
                Some(answer) = self.asked.next() => self.hear(answer),
                event = events.next() => match event {
                    Some(event) => self.apply_all(event, &mut events),
                    None => break,
                },
                () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => self.wake_up(),
            }
            self.act();
        }
        self.drain().await;
    }

    /// Sees an event and all others that are there already.
    fn apply_all(&mut self, first: WatchEvent, events: &mut BoxStream<'static, WatchEvent>) {
        self.apply(first);
        for _ in 0..EVENTS_AT_ONCE {
            let Some(Some(event)) = events.next().now_or_never() else {
                break;
            };
            self.apply(event);
        }
        let missing = self.cluster.missing();
        self.missing.send_if_modified(|known| {
            let changed = *known != missing;
            *known = missing;
            changed
        });
    }

    fn apply(&mut self, event: WatchEvent) {
        let expected = self.is_expected(&event);
        match self.cluster.apply(event, Timestamp::now()) {
            ObjectChange::Nothing => {}
            ObjectChange::Report => self.report_soon(),
            ObjectChange::Plan if expected => self.report_soon(),
            ObjectChange::Plan => self.stale = true,
        }
        self.follow_reports();
    }

    /// Whether an event only shows that a node's object is as decided.
    fn is_expected(&self, event: &WatchEvent) -> bool {
        let WatchEvent::Export(Event::Apply(object)) = event else {
            return false;
        };
        let wanted = self.decision.wanted.get(&object.name_any());
        let export = object.0.as_ref().ok();
        wanted.is_some_and(|wanted| export.is_some_and(|export| wanted.is_met_by(export)))
    }

    fn lead(&mut self, Leadership { leads, led_until }: Leadership) {
        self.leads = leads;
        self.rollout = Memory::after(led_until);
        self.metrics.leads(leads);
        self.stale = true;
        if !leads {
            self.queue = WriteQueue::default();
            self.answers.clear();
            self.stop_asking();
            self.decision = Decision::default();
            (self.report, self.checks) = (None, [None, None]);
        }
    }

    /// Whether anything may be decided and written at all. Where it may not, nothing is
    /// due: a moment that stays due would be waited for without end.
    fn may_act(&self) -> bool {
        self.leads && self.cluster.missing().is_empty()
    }

    /// The next moment at which something is due without an event.
    fn wake(&self) -> Option<Instant> {
        if !self.may_act() {
            return None;
        }
        let report = self.report.map(|due| match self.may_report() {
            true => due,
            false => due + REPORT_PATIENCE,
        });
        // A report that is under way wakes the loop by its answer.
        let report = report.filter(|_| !self.queue.is_under_way(&Subject::Source));
        let write = self
            .queue
            .next_due(std::time::Instant::now())
            .map(Instant::from_std);
        let ask = self.next_ask();
        [report, write, ask]
            .into_iter()
            .chain(self.checks)
            .flatten()
            .min()
    }

    fn may_report(&self) -> bool {
        !self.queue.has_specs() && !self.stale
    }

    fn wake_up(&mut self) {
        let now = Instant::now();
        let [decision, roll_up] = &mut self.checks;
        self.stale |= decision.take_if(|at| *at <= now).is_some();
        if roll_up.take_if(|at| *at <= now).is_some() {
            self.report_soon();
        }
    }

    fn act(&mut self) {
        if !self.may_act() {
            return;
        }
        if std::mem::take(&mut self.stale) {
            self.reconcile();
        }
        self.report_if_due();
        self.ask_if_due();
        while let Some(write) = self.queue.take(std::time::Instant::now()) {
            let writer = self.writer.clone();
            let answer = async move {
                let answer = writer.carry_out(&write).await;
                (write, answer)
            };
            self.answers.push(answer.boxed());
        }
    }

    fn reconcile(&mut self) {
        let now = Timestamp::now();
        let mut decision = decide(&self.cluster, now);
        let rollout = self.gate(&mut decision, now);
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
        let begins = decision.holds && !self.decision.holds;
        if begins && self.cluster.unreadable_source().is_none() {
            self.tell_of_holding(&decision);
        }
        self.metrics.holds(decision.holds);
        self.queue.replace(&decision);
        let checks = [
            decision.next_check,
            rollout.and_then(|rollout| rollout.next_check),
        ];
        let next_check = checks.into_iter().flatten().min();
        self.checks[0] = next_check.map(|at| instant(at, now));
        self.decision = decision;
        self.ask_or_not();
        self.report_soon();
    }

    /// Nobody reads the status of a source that is gone, so an event tells of it too.
    fn tell_of_holding(&mut self, decision: &Decision) {
        let source = self.cluster.settings().source;
        tracing::warn!("there is no {source}: every node keeps what it exports until there is one");
        if let Some(notice) = holding(source, decision) {
            self.queue.add(Write::Tell(notice));
        }
    }

    async fn drain(mut self) {
        self.queue.clear();
        let deadline = Instant::now() + DRAIN;
        while let Ok(Some((write, _))) = timeout_at(deadline, self.answers.next()).await {
            self.queue.succeeded(&write, std::time::Instant::now());
        }
        if self.queue.is_busy() {
            tracing::warn!("some writes had no answer before the process stopped");
        }
    }
}

/// A moment of the calendar on the loop's own clock.
fn instant(at: Timestamp, now: Timestamp) -> Instant {
    let wait = Duration::try_from(at.duration_since(now)).unwrap_or_default();
    // A little later, so that the moment has come for sure.
    Instant::now() + wait + Duration::from_millis(1)
}

mod rollout;

#[cfg(test)]
mod tests;
