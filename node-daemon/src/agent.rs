//! The loop: waits for the view, the spec or a timer, lets [`crate::reconcile`]
//! decide, sends its transaction, publishes its status. Decides nothing itself.
//!
//! Cancel-safe at every wait: what is half done is a transaction, which OVSDB
//! commits as a whole or not at all, and which the next view shows.

use std::future::Future;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ovsdb::{Client, Endpoint, Link, Options, View};
use run_folder::Absence;
use thiserror::Error;
use tokio::sync::watch;
use weir_api::NodeFlowExportStatus;
use weir_api::condition::{self, Time};
use weir_api::export::APPLIED;

use crate::access::Access;
use crate::announce;
use crate::cost::{self, CostInputs, Measurement};
use crate::desired::Desired;
use crate::metrics::{HealthFacts, Metrics};
use crate::reconcile::{Plan, ReconcileStep, Reconciler};
use crate::switch_state::{self, Probe, Prober, SwitchState};
use crate::tables::{DATABASE, monitor};

/// How often everything is compared though nothing has happened.
pub const FULL_CHECK: Duration = Duration::from_secs(30);

/// How long removing our rows on exit may take.
const FAREWELL_LIMIT: Duration = Duration::from_secs(3);

/// What becomes of the rows when the daemon ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum OnExit {
    /// They stay, and the switch goes on exporting.
    #[default]
    Keep,
    /// They are removed.
    Clear,
}

/// What an agent needs to know.
#[derive(Debug, Clone)]
pub struct AgentConfig {
    /// Name of the node; marks the rows as ours.
    pub node_name: String,
    /// Where OVSDB is.
    pub endpoint: Endpoint,
    /// Where it is told what the database does not tell of the switch.
    pub switch: SwitchState,
    /// Times of the OVSDB client.
    pub ovsdb: Options,
    /// What becomes of the rows.
    pub on_exit: OnExit,
    /// Whether all IPFIX collectors are told which pods stand behind interfaces, not only
    /// those that the spec names for it.
    pub interface_names: bool,
    /// How often OVS is asked what the export costs.
    pub cost_interval: Duration,
    /// Where to count.
    pub metrics: Arc<Metrics>,
}

impl AgentConfig {
    /// Rows are kept on exit, nobody is told names but by the spec; counts nowhere else.
    pub fn new(node_name: impl Into<String>, endpoint: Endpoint) -> Self {
        Self {
            node_name: node_name.into(),
            switch: SwitchState::beside(&endpoint),
            endpoint,
            ovsdb: Options::default(),
            on_exit: OnExit::default(),
            interface_names: false,
            cost_interval: cost::INTERVAL,
            metrics: Arc::default(),
        }
    }

    /// The same, by the gate at this socket: it alone sees OVS.
    pub fn through_gate(node_name: impl Into<String>, gate: PathBuf) -> Self {
        Self {
            switch: SwitchState::Gate(gate.clone()),
            ..Self::new(node_name, Endpoint::Unix(gate))
        }
    }
}

/// Why the loop ended though nobody asked.
#[derive(Debug, Error)]
pub enum AgentError {
    /// Whoever tells the spec has ended.
    #[error("the source of the spec has ended")]
    SourceEnded,
    /// The OVSDB client has ended.
    #[error("the OVSDB client has ended")]
    ClientEnded,
}

/// Runs until `shutdown` completes. While the spec is `None` nothing is written;
/// an empty spec removes every row of ours. `status` receives each change.
///
/// # Errors
/// A task that the loop depends on has ended.
pub async fn run(
    config: AgentConfig,
    desired: watch::Receiver<Option<Desired>>,
    status: watch::Sender<NodeFlowExportStatus>,
    shutdown: impl Future<Output = ()>,
) -> Result<(), AgentError> {
    let client = connect(&config);
    let for_names = desired.clone();
    let (measured, cost) = watch::channel(Measurement::default());
    let (throttled, is_throttled) = watch::channel(false);
    let (looked, seen) = watch::channel(Probe::default());
    let inputs = CostInputs {
        throttled: is_throttled,
        desired: desired.clone(),
    };
    let mut agent = Agent {
        reconciler: reconciler(&config),
        view: client.watch(),
        metrics: Arc::clone(&config.metrics),
        client,
        desired,
        status,
        cost,
        throttled,
        seen,
        is_told: config.switch.is_told(),
        absence: Absence::default(),
    };
    let announced = agent.client.watch();
    let announce = async {
        let metrics = Arc::clone(&config.metrics);
        announce::run(announced, for_names, config.interface_names, metrics).await;
        // The loop notices itself when its client has ended.
        std::future::pending().await
    };
    let counted = cost::run(
        config.switch.clone(),
        agent.client.watch(),
        inputs,
        config.cost_interval,
        measured,
    );
    let count = async {
        counted.await;
        std::future::pending().await
    };
    let ended = tokio::select! {
        ended = agent.turn_forever() => ended,
        () = shutdown => Ok(()),
        () = announce => Ok(()),
        () = count => Ok(()),
        () = switch_state::look(config.switch.clone(), looked) => Ok(()),
    };
    if config.on_exit == OnExit::Clear {
        agent.clear().await;
    }
    agent.client.close().await;
    ended
}

fn connect(config: &AgentConfig) -> Client {
    Client::spawn(config.endpoint.clone(), DATABASE, monitor(), config.ovsdb.clone())
}

fn reconciler(config: &AgentConfig) -> Reconciler {
    let access = Access {
        uid: rustix::process::geteuid().as_raw(),
        through_gate: matches!(config.switch, SwitchState::Gate(_)),
    };
    Reconciler::new(&config.node_name, config.endpoint.to_string()).with_access(access)
}

struct Agent {
    reconciler: Reconciler,
    client: Client,
    view: watch::Receiver<View>,
    desired: watch::Receiver<Option<Desired>>,
    status: watch::Sender<NodeFlowExportStatus>,
    metrics: Arc<Metrics>,
    cost: watch::Receiver<Measurement>,
    throttled: watch::Sender<bool>,
    seen: watch::Receiver<Probe>,
    is_told: bool,
    absence: Absence,
}

impl Agent {
    async fn turn_forever(&mut self) -> Result<(), AgentError> {
        // What the first look shows belongs into the first status.
        let _ = self.seen.changed().await;
        self.saw();
        loop {
            let wake = self.turn().await;
            let pause = tokio::time::sleep_until(wake.into());
            tokio::select! {
                changed = self.view.changed() => changed.map_err(|_| AgentError::ClientEnded)?,
                Ok(()) = self.cost.changed() => {
                    let measurement = *self.cost.borrow_and_update();
                    let desired = self.desired.borrow().clone().unwrap_or_default();
                    self.reconciler.measured(measurement, &desired.spec, Instant::now());
                    self.throttled.send_replace(self.reconciler.is_throttled());
                }
                Ok(()) = self.seen.changed() => self.saw(),
                changed = self.desired.changed() => changed.map_err(|_| AgentError::SourceEnded)?,
                () = pause => {}
            }
        }
    }

    fn saw(&mut self) {
        let probe = *self.seen.borrow_and_update();
        self.absence.saw(probe.socket, Instant::now());
        if self.is_told {
            self.reconciler.saw_switch(probe.switch);
        }
        if let Some(counts) = probe.refused {
            self.metrics.show_gate_refusals(&counts);
            self.reconciler.saw_refusals(counts, Instant::now());
        }
    }

    /// Turns until there is nothing to send. Returns when to turn again.
    async fn turn(&mut self) -> Instant {
        loop {
            let view = self.view.borrow_and_update().clone();
            let desired = self.desired.borrow_and_update().clone();
            let now = Instant::now();
            let Some(desired) = desired else {
                self.record(&view, None);
                return now + FULL_CHECK;
            };
            let ReconcileStep { plan, status, wake } =
                self.reconciler.step(&view, &desired, now, &wall_clock());
            match plan {
                Some(plan) => self.send(plan).await,
                None => {
                    self.publish(&view, status);
                    return wake.unwrap_or(now + FULL_CHECK).min(now + FULL_CHECK);
                }
            }
        }
    }

    async fn send(&mut self, plan: Plan) {
        for change in &plan.changes {
            let differences = change.differences.join("; ");
            if plan.drift.contains(&change.slot) {
                tracing::warn!(slot = %change.slot, verb = change.verb(), %differences, "drift: healing");
            } else {
                tracing::info!(slot = %change.slot, verb = change.verb(), %differences, "changing");
            }
        }
        let outcome = self.client.transact(plan.operations.clone()).await;
        let now = Instant::now();
        match outcome {
            Ok(results) => {
                self.metrics.count_transaction("committed");
                self.metrics.drift_healed.inc_by(plan.drift.len() as u64);
                self.reconciler.committed(&plan, &results, now);
            }
            Err(error) => {
                self.metrics.count_transaction(error.kind());
                tracing::warn!(%error, "transaction failed");
                self.reconciler.failed(plan, &error, now);
            }
        }
    }

    /// Says nothing before the first attempt to connect has ended: "unknown" for a
    /// moment after each start would only move the transition times.
    fn publish(&mut self, view: &View, status: NodeFlowExportStatus) {
        self.record(view, Some(&status));
        if view.link == Link::Connecting {
            return;
        }
        self.reconciler.published(&status);
        self.status.send_if_modified(|told| {
            if *told == status {
                return false;
            }
            log_conditions(&told.conditions, &status.conditions);
            *told = status;
            true
        });
    }

    fn record(&self, view: &View, status: Option<&NodeFlowExportStatus>) {
        let conditions = status.map(|s| s.conditions.as_slice()).unwrap_or_default();
        self.metrics.conflicts.set(self.reconciler.conflicts() as i64);
        self.metrics.record(HealthFacts {
            ovsdb_synced: view.link.is_synced(),
            unreachable: self.reconciler.unreachable(&view.link),
            spec_seen: status.is_some(),
            applied: condition::holds(conditions, APPLIED),
            turned: Instant::now(),
            socket: self.absence,
        });
    }

    /// Removes our rows. A guard that fails means that somebody was faster: then
    /// look and try again, until the time is up.
    async fn clear(&mut self) {
        let cleared = tokio::time::timeout(FAREWELL_LIMIT, async {
            loop {
                let view = self.view.borrow_and_update().clone();
                match self.reconciler.farewell(&view) {
                    Some(plan) => self.send(plan).await,
                    None if view.link.is_synced() => return true,
                    None => {}
                }
                if self.view.changed().await.is_err() {
                    return false;
                }
            }
        });
        match cleared.await {
            Ok(true) => tracing::info!("removed all rows of this node"),
            Ok(false) | Err(_) => tracing::warn!("could not remove the rows of this node"),
        }
    }
}

fn log_conditions(before: &[condition::Condition], after: &[condition::Condition]) {
    for now in after {
        let was = condition::find(before, &now.type_);
        if was.is_none_or(|was| {
            (&was.status, &was.reason, &was.message) != (&now.status, &now.reason, &now.message)
        }) {
            tracing::info!(
                condition = now.type_,
                status = now.status,
                reason = now.reason,
                message = now.message
            );
        }
    }
}

fn wall_clock() -> Time {
    Time(k8s_openapi::jiff::Timestamp::now())
}

/// Connects, reads, compares and tells how things stand; writes nothing. Waits
/// for the database at most `limit`, then tells why there is no answer.
pub async fn inspect(config: &AgentConfig, desired: &Desired, limit: Duration) -> NodeFlowExportStatus {
    let client = connect(config);
    let mut watch = client.watch();
    let answered = |view: &View| !matches!(view.link, Link::Connecting);
    // Whether it timed out or not, the view tells how far it came.
    let _ = tokio::time::timeout(limit, watch.wait_for(answered)).await;
    let view = watch.borrow().clone();
    client.close().await;
    let mut reconciler = reconciler(config);
    let mut prober = Prober::new(config.switch.clone());
    if prober.is_told() {
        reconciler.saw_switch(prober.probe().await.switch);
    }
    reconciler
        .step(&view, desired, Instant::now(), &wall_clock())
        .status
}
