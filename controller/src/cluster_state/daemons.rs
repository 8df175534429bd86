//! The pods of the node daemon.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::jiff::Timestamp;
use kube::runtime::watcher::Event;

use super::ClusterState;
use crate::facts::{DaemonPod, read_pod};
use crate::guarded::Guarded;
use crate::moment::past;
use crate::table::{ObjectChange, Table};
use crate::weigh::weigh_report;

impl ClusterState {
    pub(super) fn apply_daemon(&mut self, event: Event<Guarded<Pod>>, now: Timestamp) -> ObjectChange {
        let nodes = |daemons: &Table<DaemonPod>| -> BTreeSet<String> {
            daemons.rows().map(|pod| pod.node.clone()).collect()
        };
        let before = nodes(&self.daemons);
        let change = self.daemons.apply(event, read_pod, weigh_report);
        // Times in the future would never run out.
        for pod in self.daemons.rows_mut() {
            if let Some((_, since)) = &mut pod.down {
                *since = past(*since, now);
            }
        }
        if change != ObjectChange::Nothing {
            let after = nodes(&self.daemons);
            let left = before.into_iter().filter(|node| !after.contains(node));
            self.left_by_daemon.extend(left.map(|node| (node, now)));
            self.left_by_daemon.retain(|node, _| !after.contains(node));
            self.forget_gone_nodes();
        }
        // The first listing is no reason to plan.
        change.min(ObjectChange::Report)
    }

    pub(super) fn forget_gone_nodes(&mut self) {
        if self.nodes.synced() && !self.left_by_daemon.is_empty() {
            let nodes = &self.nodes;
            self.left_by_daemon.retain(|node, _| nodes.named(node).is_some());
        }
    }

    /// The pods of the daemon by node; `None`: they are not known, or the daemon does
    /// not run in pods.
    pub fn daemons(&self) -> Option<BTreeMap<&str, Vec<&DaemonPod>>> {
        if !self.daemons.synced() {
            return None;
        }
        let mut by_node = BTreeMap::<&str, Vec<&DaemonPod>>::new();
        for pod in self.daemons.rows() {
            by_node.entry(pod.node.as_str()).or_default().push(pod);
        }
        Some(by_node)
    }

    /// When the daemon's last pod left a node, if one did while somebody looked.
    pub fn left_by_daemon(&self, node: &str) -> Option<Timestamp> {
        self.left_by_daemon.get(node).copied()
    }
}
