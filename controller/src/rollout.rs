//! Rollout: between plan and write, who is told what. [`gate`] decides, and knows neither
//! specs nor objects; this brings the cluster before it and puts its answer into the
//! decision. Without an `ExportRollout` nothing here is asked. Pure.

pub mod gate;
pub mod held;
pub mod verdict;
pub mod window;

use std::collections::BTreeMap;

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use kube::core::{Selector, SelectorExt};
use weir_api::revision::KEPT_REVISIONS;
use weir_api::rollout::{Canary, REVISION_LABEL, TOLD_ANNOTATION, Told};
use weir_api::{ExportRollout, ExportRolloutStatus, NodeFlowExport, RevisionData, RolloutPhase};

use self::gate::{Gate, Health, History, NodeView, Position, Release, Request, gate};
use self::held::held;
use self::verdict::{Verdict, conditions};
use crate::cluster_state::{ClusterState, KeptRevision};
use crate::decide::{Decision, DesiredExport};
use crate::moment::past;
use crate::node_state::{NodeJudge, NodeState};
use crate::object::is_ours;

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
    /// That is what they were told then: this version plans it as the one did that kept it.
    pub is_baseline_exact: bool,
}

/// What a process remembers between two decisions. Another one does without.
#[derive(Debug, Default)]
pub struct Memory {
    /// The revision that is wanted, and since when.
    wanted: Option<(String, Timestamp)>,
    /// Nodes that were let through, whose objects may not show it yet, and their marks.
    released: BTreeMap<String, Option<Mark>>,
}

impl Memory {
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
/// not be kept. `None`: there is no `ExportRollout`, and all nodes get what is wanted.
pub fn apply_gate(
    decision: &mut Decision,
    cluster: &ClusterState,
    judge: &NodeJudge<'_>,
    memory: &mut Memory,
    keep_error: Option<String>,
    now: Timestamp,
) -> Option<Outcome> {
    let plan = decision.revision.take()?;
    let rollout = cluster.rollout()?;
    let state = rollout.status.clone().unwrap_or_default();
    let wanted_since = memory.wanted_since(&plan.revision, now);
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
        state: &state,
        revision: &plan.revision,
        wanted_since,
        history: history(kept.as_deref(), &plan, &state, keep_error),
        has_baseline: plan.baseline.is_some(),
        nodes: &nodes,
        canary_exists,
        now,
    };
    let gate = gate(&request);
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
    Outcome {
        keep,
        forget: too_old(kept, plan, &status),
        next_check: gate.next_check,
        status: (rollout.status.as_ref() != Some(&status)).then_some(status),
    }
}

/// The oldest beyond those that are kept; none that is in use.
fn too_old(mut kept: Vec<&KeptRevision>, plan: &RevisionPlan, status: &ExportRolloutStatus) -> Vec<String> {
    kept.sort_by_key(|revision| std::cmp::Reverse(revision.number));
    let in_use = [
        Some(&plan.revision),
        status.revision.as_ref(),
        status.completed_revision.as_ref(),
    ];
    let old = kept.into_iter().skip(KEPT_REVISIONS);
    old.filter(|revision| !in_use.contains(&Some(&revision.hash)))
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

/// Sees the nodes as the gate does.
struct Viewer<'a> {
    decision: &'a Decision,
    plan: &'a RevisionPlan,
    state: &'a ExportRolloutStatus,
    cluster: &'a ClusterState,
    judge: &'a NodeJudge<'a>,
    released: &'a BTreeMap<String, Option<Mark>>,
}

impl Viewer<'_> {
    fn export(&self, node: &str) -> Option<&NodeFlowExport> {
        self.cluster.export(node).filter(|export| is_ours(export))
    }

    fn nodes(&self, canary: Option<&Selector>) -> Vec<NodeView> {
        let wanted = self.decision.wanted.iter();
        wanted
            .map(|(name, wanted)| self.node(name, wanted, canary))
            .collect()
    }

    fn node(&self, name: &str, wanted: &DesiredExport, canary: Option<&Selector>) -> NodeView {
        let position = self.position(name, wanted);
        let judged = match (position, self.export(name)) {
            (Position::Waiting, Some(export)) => &DesiredExport {
                spec: export.spec.clone(),
                ..wanted.clone()
            },
            _ => wanted,
        };
        let health = match self.judge.state(name, judged).0 {
            NodeState::Settled => Health::Well,
            NodeState::Behind => Health::Behind,
            NodeState::Failing(reason, text) => Health::Failing(reason, text),
            NodeState::LeftOut(_) => Health::Absent,
        };
        let told = self.export(name).and_then(Mark::of).map(|mark| mark.told);
        let told = told
            .filter(|_| position == Position::Released)
            .unwrap_or_default();
        let cost = self.export(name).and_then(|export| export.status.as_ref()?.cost);
        let rise = |before: u32, after: u32| i64::from(after) - i64::from(before);
        let labels = self.cluster.node(name).map(|node| &node.labels);
        NodeView {
            name: name.to_owned(),
            position,
            canary: canary
                .zip(labels)
                .is_some_and(|(selector, labels)| selector.matches(labels)),
            health,
            failed_before: told.failing,
            millicores_rise: told
                .vswitchd_millicores
                .zip(cost.and_then(|cost| cost.vswitchd_millicores))
                .map(|(before, after)| rise(before, after)),
            // Without an export nobody counts, and a switch loses nothing by it.
            lost_rise: cost
                .and_then(|cost| cost.lost_per_second)
                .map(|after| rise(told.lost_per_second.unwrap_or(0), after)),
        }
    }

    fn position(&self, name: &str, wanted: &DesiredExport) -> Position {
        let goes_on = self.state.revision.as_ref() == Some(&self.plan.revision);
        let export = self.export(name);
        let mark = export.and_then(Mark::of);
        let marked = mark.is_some_and(|mark| {
            mark.revision == self.plan.revision
                && mark.told.rollout.is_some()
                && mark.told.rollout == self.state.rollout
        });
        if goes_on && (marked || self.released.contains_key(name)) {
            return Position::Released;
        }
        match self.keeps(name, wanted) {
            kept if kept.spec == wanted.spec => Position::Same,
            _ => Position::Waiting,
        }
    }

    /// What a node is told whose turn has not come.
    fn keeps(&self, name: &str, wanted: &DesiredExport) -> DesiredExport {
        let baseline = self
            .plan
            .baseline
            .as_ref()
            .and_then(|baseline| baseline.get(name));
        let Some(export) = self.export(name) else {
            // A new node gets what all others have.
            let nothing = DesiredExport {
                spec: weir_api::NodeFlowExportSpec::default(),
                ..wanted.clone()
            };
            return baseline.map_or(nothing, |baseline| DesiredExport {
                spec: held(&baseline.spec, &wanted.spec),
                ..baseline.clone()
            });
        };
        let mark = Mark::of(export);
        let has = |revision: Option<&String>| mark.as_ref().map(|mark| &mark.revision) == revision;
        let aborted = self.state.abort.as_ref().filter(|abort| abort.rolled_back);
        let has_aborted = aborted.is_some_and(|abort| has(Some(&abort.revision)));
        // What it was told is known, whatever somebody else made of it.
        let has_completed = mark.is_none() || has(self.state.completed_revision.as_ref());
        let returns = has_aborted || (has_completed && self.plan.is_baseline_exact);
        match baseline.filter(|_| returns) {
            Some(baseline) => DesiredExport {
                spec: held(&baseline.spec, &wanted.spec),
                mark,
                ..baseline.clone()
            },
            None => DesiredExport {
                node_uid: wanted.node_uid.clone(),
                spec: held(&export.spec, &wanted.spec),
                mark,
            },
        }
    }

    /// What each node is told.
    fn told(&self, gate: &Gate, nodes: &[NodeView]) -> BTreeMap<String, DesiredExport> {
        let completed = self.state.completed_revision.as_ref();
        let mut told = BTreeMap::new();
        for (node, (name, wanted)) in nodes.iter().zip(&self.decision.wanted) {
            let baseline = self
                .plan
                .baseline
                .as_ref()
                .and_then(|baseline| baseline.get(name));
            let (desired, revision) = match &gate.release {
                Release::All => (wanted.clone(), Some(&self.plan.revision)),
                Release::These(names) if names.contains(name) => (wanted.clone(), Some(&self.plan.revision)),
                Release::Baseline if baseline.is_some() => (baseline.unwrap_or(wanted).clone(), completed),
                Release::These(_) | Release::Baseline => {
                    let keeps = self.keeps(name, wanted);
                    let is_baseline = baseline.is_some_and(|baseline| baseline.spec == keeps.spec);
                    (keeps, completed.filter(|_| is_baseline))
                }
            };
            let mark = self.mark(node, &desired, revision);
            told.insert(name.clone(), DesiredExport { mark, ..desired });
        }
        told
    }

    /// An object that is not to be changed keeps its mark; another says by what it is.
    fn mark(&self, node: &NodeView, desired: &DesiredExport, revision: Option<&String>) -> Option<Mark> {
        let export = self.export(&node.name);
        let present = export.and_then(Mark::of);
        if export.is_some_and(|export| export.spec == desired.spec) {
            return present;
        }
        let Some(revision) = revision else {
            return present;
        };
        let in_rollout = Some(revision) == self.state.revision.as_ref()
            && self.state.phase != RolloutPhase::Completed
            && node.position != Position::Same;
        if !in_rollout {
            return Some(Mark {
                revision: revision.clone(),
                told: Told::default(),
            });
        }
        // Told already: how it was before is known.
        let known = [present, self.released.get(&node.name).cloned().flatten()];
        let of_this = |mark: &Mark| mark.told.rollout == self.state.rollout;
        if let Some(mark) = known.into_iter().flatten().find(of_this) {
            return Some(mark);
        }
        let cost = export.and_then(|export| export.status.as_ref()?.cost);
        let told = Told {
            rollout: self.state.rollout.clone(),
            vswitchd_millicores: cost.and_then(|cost| cost.vswitchd_millicores),
            lost_per_second: cost.and_then(|cost| cost.lost_per_second),
            failing: matches!(node.health, Health::Failing(..)) && node.position == Position::Waiting,
        };
        Some(Mark {
            revision: revision.clone(),
            told,
        })
    }
}

#[cfg(test)]
mod tests;
