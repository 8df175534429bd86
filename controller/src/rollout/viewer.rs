//! The nodes as the gate sees them, and what it lets through as what each is told. Pure.

use std::collections::BTreeMap;

use kube::core::{Selector, SelectorExt};
use weir_api::export::NodeFlowExportSpec;
use weir_api::rollout::Told;
use weir_api::{ExportRolloutStatus, NodeFlowExport, RolloutPhase};

use super::held::{held, without_what_went};
use super::request::{Gate, Health, NodeView, Position, Release};
use super::{Mark, RevisionPlan};
use crate::cluster_state::ClusterState;
use crate::decide::{Decision, DesiredExport};
use crate::node_state::{DAEMON_MISSING, DAEMON_NOT_RUNNING, NodeJudge, NodeState};
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
            // That the node or the daemon is away, as when it is restarted, says nothing of
            // the change; the step waits for it.
            NodeState::Failing(reason, _) if self.is_away(name, &reason) => Health::Behind,
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

    fn is_away(&self, name: &str, reason: &str) -> bool {
        let is_ready = self.cluster.node(name).is_none_or(|node| node.ready);
        !is_ready || [DAEMON_NOT_RUNNING, DAEMON_MISSING].contains(&reason)
    }

    fn position(&self, name: &str, wanted: &DesiredExport) -> Position {
        let goes_on = self.state.revision.as_ref() == Some(&self.plan.revision);
        let mark = self.export(name).and_then(Mark::of);
        let is_of_this =
            |mark: &Mark| mark.revision == self.plan.revision && mark.told.rollout == self.state.rollout;
        let marked = self.on_trial(mark.as_ref()).is_some_and(is_of_this);
        if goes_on && (marked || self.released.contains_key(name)) {
            return Position::Released;
        }
        // A node with a revision that was never completed is no proof for what it has.
        let baseline = self.baseline(name);
        if self.on_trial(mark.as_ref()).is_some()
            && baseline.is_some_and(|baseline| baseline.spec != wanted.spec)
            && wanted.spec.exports_anything()
        {
            return Position::Waiting;
        }
        match self.keeps(name, wanted, false).0 {
            kept if kept.spec == wanted.spec => Position::Same,
            _ => Position::Waiting,
        }
    }

    fn baseline(&self, name: &str) -> Option<&DesiredExport> {
        self.plan.baseline.as_ref()?.get(name)
    }

    /// The mark of a node that was let through by a rollout that did not come to its end.
    fn on_trial<'m>(&self, mark: Option<&'m Mark>) -> Option<&'m Mark> {
        let completed = self.state.completed_revision.as_ref();
        mark.filter(|mark| mark.told.rollout.is_some() && Some(&mark.revision) != completed)
    }

    /// What a node is told whose turn has not come, and whether the last completed revision
    /// tells it. With `all_return` no node keeps what it has on trial.
    fn keeps(&self, name: &str, wanted: &DesiredExport, all_return: bool) -> (DesiredExport, bool) {
        let baseline = self.baseline(name);
        let Some(export) = self.export(name) else {
            // A new node gets what all others have.
            let spec = baseline.map(|baseline| held(&baseline.spec, &wanted.spec));
            let desired = DesiredExport {
                spec: spec.unwrap_or_default(),
                ..wanted.clone()
            };
            return (desired, baseline.is_some());
        };
        let mark = Mark::of(export);
        let has = |revision: Option<&String>| mark.as_ref().map(|mark| &mark.revision) == revision;
        let aborted = self.state.abort.as_ref().filter(|abort| abort.rolled_back);
        let has_aborted = aborted.is_some_and(|abort| has(Some(&abort.revision)));
        let on_trial = self.on_trial(mark.as_ref());
        // What it was told is known, whatever somebody else made of it.
        let has_completed = mark.is_none() || has(self.state.completed_revision.as_ref());
        let before = on_trial.and_then(|mark| mark.told.before.as_deref());
        let kept = mark.as_ref().and_then(|mark| mark.told.kept.as_deref());
        let had = before.unwrap_or(&export.spec);
        let (spec, is_baseline) = match baseline {
            Some(baseline) if has_aborted || has_completed || all_return => {
                let completed = has_completed.then_some(&baseline.spec);
                let was_told = before.or(kept).or(completed).unwrap_or(&export.spec);
                let told = without_what_went(&baseline.spec, was_told, &wanted.spec);
                (told, true)
            }
            // Its settings are not known; what it had is.
            None if has_aborted || all_return => (had.clone(), false),
            _ => (export.spec.clone(), false),
        };
        let desired = DesiredExport {
            node_uid: wanted.node_uid.clone(),
            spec: held(&spec, &wanted.spec),
            mark,
        };
        (desired, is_baseline)
    }

    /// What each node is told.
    pub fn told(&self, gate: &Gate, nodes: &[NodeView]) -> BTreeMap<String, DesiredExport> {
        let completed = self.state.completed_revision.as_ref();
        let mut told = BTreeMap::new();
        for (node, (name, wanted)) in nodes.iter().zip(&self.decision.wanted) {
            let is_let_through = match &gate.release {
                Release::All => true,
                Release::These(names) => names.contains(name),
                Release::Baseline => false,
            };
            let (desired, revision) = if is_let_through {
                (wanted.clone(), Some(&self.plan.revision))
            } else {
                let all_return = gate.release == Release::Baseline;
                let (keeps, is_baseline) = self.keeps(name, wanted, all_return);
                (keeps, completed.filter(|_| is_baseline))
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
        let goes_on = self.state.phase != RolloutPhase::Completed
            && self.state.revision.as_ref() == Some(&self.plan.revision);
        let in_rollout = goes_on && revision == Some(&self.plan.revision) && node.position != Position::Same;
        if !in_rollout {
            let changes = export.is_none_or(|export| export.spec != desired.spec);
            // What it had before it was asked for nothing does not come back.
            let revision = match desired.spec.exports_anything() {
                true => revision,
                false => Some(&self.plan.revision),
            };
            return match revision {
                Some(revision) if changes => Some(Mark {
                    revision: revision.clone(),
                    told: Told {
                        kept: self.less_than_completed(&node.name, revision, desired),
                        ..Told::default()
                    },
                }),
                _ => present,
            };
        }
        // Told already: how it was before is known.
        let known = [present.clone(), self.released.get(&node.name).cloned().flatten()];
        let of_this = |mark: &Mark| mark.told.rollout == self.state.rollout;
        if let Some(mark) = known.into_iter().flatten().find(of_this) {
            return Some(mark);
        }
        // What an unfinished change did is not how it was before.
        let told = match self.on_trial(present.as_ref()) {
            Some(mark) => mark.told.clone(),
            None => self.as_it_is(node, export),
        };
        let rollout = self.state.rollout.clone();
        Some(Mark {
            revision: self.plan.revision.clone(),
            told: Told { rollout, ..told },
        })
    }

    /// What a node is told while it waits, where its revision has more.
    fn less_than_completed(
        &self,
        name: &str,
        revision: &String,
        desired: &DesiredExport,
    ) -> Option<Box<NodeFlowExportSpec>> {
        let baseline = self.baseline(name)?;
        let is_less =
            self.state.completed_revision.as_ref() == Some(revision) && baseline.spec != desired.spec;
        is_less.then(|| Box::new(desired.spec.clone()))
    }

    fn as_it_is(&self, node: &NodeView, export: Option<&NodeFlowExport>) -> Told {
        let cost = export.and_then(|export| export.status.as_ref()?.cost);
        Told {
            rollout: None,
            vswitchd_millicores: cost.and_then(|cost| cost.vswitchd_millicores),
            lost_per_second: cost.and_then(|cost| cost.lost_per_second),
            failing: matches!(node.health, Health::Failing(..)) && node.position == Position::Waiting,
            before: export.map(|export| Box::new(export.spec.clone())),
            kept: None,
        }
    }
}
