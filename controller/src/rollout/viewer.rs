//! The nodes as the gate sees them, and what it lets through as what each is told. Pure.

use std::collections::BTreeMap;

use kube::core::{Selector, SelectorExt};
use weir_api::rollout::Told;
use weir_api::{ExportRolloutStatus, NodeFlowExport, RolloutPhase};

use super::held::held;
use super::request::{Gate, Health, NodeView, Position, Release};
use super::{Mark, RevisionPlan};
use crate::cluster_state::ClusterState;
use crate::decide::{Decision, DesiredExport};
use crate::node_state::{NodeJudge, NodeState};
use crate::object::is_ours;

/// Sees the nodes as the gate does.
pub struct Viewer<'a> {
    /// What is wanted.
    pub decision: &'a Decision,
    /// The same as a revision.
    pub plan: &'a RevisionPlan,
    /// The state as it is stored.
    pub state: &'a ExportRolloutStatus,
    /// What stands there.
    pub cluster: &'a ClusterState,
    /// How nodes do.
    pub judge: &'a NodeJudge<'a>,
    /// Nodes that were let through by this process, and their marks.
    pub released: &'a BTreeMap<String, Option<Mark>>,
}

impl Viewer<'_> {
    fn export(&self, node: &str) -> Option<&NodeFlowExport> {
        self.cluster.export(node).filter(|export| is_ours(export))
    }

    /// All nodes.
    pub fn nodes(&self, canary: Option<&Selector>) -> Vec<NodeView> {
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
    pub fn told(&self, gate: &Gate, nodes: &[NodeView]) -> BTreeMap<String, DesiredExport> {
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
