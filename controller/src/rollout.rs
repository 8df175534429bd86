//! Rollout: between plan and write, who is told what. [`gate`] decides, and knows neither
//! specs nor objects; this brings the cluster before it and puts its answer into the
//! decision. Without an `ExportRollout` nothing here is asked. Pure.

pub mod gate;
pub mod held;
pub mod request;
pub mod soak;
pub mod verdict;
mod viewer;
pub mod window;

use std::collections::BTreeMap;
use std::time::Instant;

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::core::SelectorExt;
use weir_api::condition::Time;
use weir_api::revision::KEPT_REVISIONS;
use weir_api::rollout::{Canary, REVISION_LABEL, TOLD_ANNOTATION, Told};
use weir_api::{ExportRollout, ExportRolloutStatus, NodeFlowExport, RevisionData, RolloutPhase};

use self::gate::gate;
use self::request::{Gate, History, Release, Request};
use self::soak::SoakClock;
use self::verdict::{Verdict, conditions};
use self::viewer::Viewer;
use crate::cluster_state::{ClusterState, KeptRevision};
use crate::decide::{Decision, DesiredExport};
use crate::moment::past;
use crate::node_state::NodeJudge;

/// What a `NodeFlowExport` is marked with beside its spec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// [`REVISION_LABEL`].
    pub revision: String,
    /// [`TOLD_ANNOTATION`].
    pub told: Told,
}

impl Mark {
    /// The mark that an object bears.
    pub fn of(export: &NodeFlowExport) -> Option<Self> {
        let revision = export.labels().get(REVISION_LABEL)?.clone();
        let told = export.annotations().get(TOLD_ANNOTATION);
        let told = told.and_then(|text| serde_json::from_str(text).ok());
        Some(Self {
            revision,
            told: told.unwrap_or_default(),
        })
    }
}

/// The plan of a revision, beside that of the one before.
#[derive(Debug, Clone, PartialEq)]
pub struct RevisionPlan {
    /// The hash of what is wanted.
    pub revision: String,
    /// What it is made of.
    pub data: RevisionData,
    /// What nodes are told by the last completed revision, where that is kept.
    pub baseline: Option<BTreeMap<String, DesiredExport>>,
    /// Profiles of which nobody knows the settings: this is not all that is wanted.
    pub unknown: Vec<String>,
}

/// What a process remembers between two decisions. Another one does without.
#[derive(Debug, Default)]
pub struct Memory {
    /// The revision that is wanted, and since when.
    wanted: Option<(String, Timestamp)>,
    /// Nodes that were let through, whose objects may not show it yet, and their marks.
    released: BTreeMap<String, Option<Mark>>,
    /// For how long the nodes of a step are watched.
    soak: SoakClock,
}

impl Memory {
    /// Of a process that leads after another, which renewed its Lease last then by its own
    /// clock.
    pub fn after(led_until: Option<Timestamp>) -> Self {
        Self {
            soak: SoakClock::after(led_until),
            ..Self::default()
        }
    }

    fn wanted_since(&mut self, revision: &str, now: Timestamp) -> Timestamp {
        match &mut self.wanted {
            Some((wanted, since)) if wanted == revision => {
                *since = past(*since, now);
                *since
            }
            _ => {
                self.released.clear();
                self.wanted = Some((revision.to_owned(), now));
                now
            }
        }
    }
}

/// What is to be written beside the nodes' objects, and said.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Outcome {
    /// The status of the `ExportRollout`, where it does not stand there yet.
    pub status: Option<ExportRolloutStatus>,
    /// A revision that is to be kept, by its hash, and its number.
    pub keep: Option<(String, i64, RevisionData)>,
    /// The name of a `ControllerRevision` that all nodes have and that does not say so, and
    /// since when they do.
    pub complete: Option<(String, Time)>,
    /// Names of `ControllerRevision`s that are too old.
    pub forget: Vec<String>,
    /// When the gate may say something else without an event.
    pub next_check: Option<Timestamp>,
}

/// What the source's conditions say of a rollout.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Summary {
    /// A revision is on its way.
    pub progressing: bool,
    /// What holds it up that a person can end.
    pub stopped: Option<(&'static str, String)>,
}

/// Puts into the decision what each node is told now. `keep_error` says why a revision could
/// not be kept; `now` and `instant` are the same moment by two clocks. `None`: there is no
/// `ExportRollout`, and all nodes get what is wanted.
pub fn apply_gate(
    decision: &mut Decision,
    cluster: &ClusterState,
    judge: &NodeJudge<'_>,
    memory: &mut Memory,
    keep_error: Option<String>,
    (now, instant): (Timestamp, Instant),
) -> Option<Outcome> {
    let plan = decision.revision.take()?;
    let rollout = cluster.rollout()?;
    let state = rollout.status.clone().unwrap_or_default();
    let wanted_since = memory.wanted_since(&plan.revision, now);
    let soaked = memory.soak.gone_by(&state, now, instant);
    let kept = cluster.revisions();
    let view = Viewer {
        decision,
        plan: &plan,
        state: &state,
        cluster,
        judge,
        released: &memory.released,
    };
    let selector = rollout.spec.canary.as_ref().map(Canary::selector);
    let nodes = view.nodes(selector.as_ref().and_then(|selector| selector.as_ref().ok()));
    let canary_exists = match &selector {
        Some(Err(why)) => Err(format!("canary.nodeSelector is malformed: {why}")),
        Some(Ok(selector)) => Ok(cluster.nodes().any(|node| selector.matches(&node.labels))),
        None => Ok(false),
    };
    let request = Request {
        policy: &rollout.spec,
        uid: rollout.metadata.uid.as_deref().unwrap_or_default(),
        state: &state,
        soaked,
        revision: &plan.revision,
        wanted_since,
        history: history(kept.as_deref(), &plan, &state, keep_error),
        has_baseline: plan.baseline.is_some(),
        unreadable: unreadable(cluster, &plan),
        nodes: &nodes,
        canary_exists,
        now,
    };
    let gate = gate(&request);
    memory.soak.stores(&gate.state, instant);
    let told = view.told(&gate, &nodes);
    memory.released = match &gate.release {
        Release::These(names) => {
            let mark = |name: &String| told.get(name).and_then(|desired| desired.mark.clone());
            names.iter().map(|name| (name.clone(), mark(name))).collect()
        }
        Release::All | Release::Baseline => BTreeMap::new(),
    };
    decision.tell(cluster, told);
    decision.rollout = Some(summary(&gate));
    Some(outcome(gate, rollout, &plan, kept.unwrap_or_default(), now))
}

/// What cannot be read, without which nothing can be begun, and why.
fn unreadable(cluster: &ClusterState, plan: &RevisionPlan) -> Option<String> {
    if let Some(why) = cluster.unknown_rollout() {
        return Some(format!("the ExportRollout cannot be read: {why}"));
    }
    let name = plan.unknown.first()?;
    Some(format!("ExportProfile {name} cannot be read"))
}

/// A revision that was used before gets the highest number again, so that the order of
/// numbers is that of use.
fn history(
    kept: Option<&[&KeptRevision]>,
    plan: &RevisionPlan,
    state: &ExportRolloutStatus,
    error: Option<String>,
) -> History {
    let Some(kept) = kept else {
        return History::Unknown;
    };
    let newest = kept.iter().map(|revision| revision.number).max();
    match kept.iter().find(|revision| revision.hash == plan.revision) {
        Some(revision) if Some(revision.number) == newest => History::Kept,
        Some(_) if state.revision.as_ref() == Some(&plan.revision) => History::Kept,
        _ => History::Missing(error),
    }
}

fn outcome(
    gate: Gate,
    rollout: &ExportRollout,
    plan: &RevisionPlan,
    kept: Vec<&KeptRevision>,
    now: Timestamp,
) -> Outcome {
    let generation = rollout.metadata.generation;
    let mut status = gate.state;
    status.observed_generation = generation;
    status.conditions = conditions(&gate.verdict, &status, generation, now);
    let newest = kept.iter().map(|revision| revision.number).max().unwrap_or(0);
    let keep = gate
        .keep
        .then(|| (plan.revision.clone(), newest.saturating_add(1), plan.data.clone()));
    // Of an object that nobody has seen, the status is not known either.
    let is_seen = rollout.metadata.uid.is_some();
    Outcome {
        keep,
        complete: unmarked(&kept, rollout.status.as_ref(), now),
        forget: too_old(kept, plan, &status),
        next_check: gate.next_check,
        status: (is_seen && rollout.status.as_ref() != Some(&status)).then_some(status),
    }
}

/// The completed revision, as it is stored, where its object does not say that it is.
fn unmarked(
    kept: &[&KeptRevision],
    stored: Option<&ExportRolloutStatus>,
    now: Timestamp,
) -> Option<(String, Time)> {
    let stored = stored?;
    let is_completed = |revision: &&&KeptRevision| Some(&revision.hash) == stored.completed_revision.as_ref();
    let revision = kept.iter().find(is_completed)?;
    let since = stored
        .since
        .clone()
        .filter(|_| stored.phase == RolloutPhase::Completed);
    (!revision.completed).then(|| (revision.name.clone(), since.unwrap_or(Time(now))))
}

/// The oldest beyond those that are kept, first those that nodes never had all; none that is
/// in use.
fn too_old(mut kept: Vec<&KeptRevision>, plan: &RevisionPlan, status: &ExportRolloutStatus) -> Vec<String> {
    let in_use = [
        Some(&plan.revision),
        status.revision.as_ref(),
        status.completed_revision.as_ref(),
    ];
    let is_used = |revision: &KeptRevision| in_use.contains(&Some(&revision.hash));
    kept.sort_by_key(|revision| std::cmp::Reverse((is_used(revision), revision.completed, revision.number)));
    let old = kept.into_iter().skip(KEPT_REVISIONS);
    old.filter(|revision| !is_used(revision))
        .map(|revision| revision.name.clone())
        .collect()
}

fn summary(gate: &Gate) -> Summary {
    let stopped = match &gate.verdict {
        Verdict::Paused | Verdict::RolledBack => {
            let why = gate.state.abort.as_ref().map(|abort| abort.message.clone());
            Some(("RolloutAborted", why.unwrap_or_default()))
        }
        Verdict::HistoryUnknown
        | Verdict::NotKept(_)
        | Verdict::Unreadable(_)
        | Verdict::WindowUnusable(_)
        | Verdict::CanaryUnusable(_) => {
            let conditions = conditions(&gate.verdict, &gate.state, None, Timestamp::UNIX_EPOCH);
            let paused = conditions
                .into_iter()
                .find(|c| c.type_ == weir_api::rollout::PAUSED);
            Some((
                "RolloutPaused",
                paused.map(|paused| paused.message).unwrap_or_default(),
            ))
        }
        _ => None,
    };
    let progressing = gate.verdict != Verdict::Completed && stopped.is_none();
    Summary { progressing, stopped }
}

#[cfg(test)]
mod tests;
