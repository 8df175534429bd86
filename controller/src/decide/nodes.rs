//! Each node's spec, with the exporter ids that its bridges hold or get. Pure.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use weir_api::identity::{self, Exporter};
use weir_api::plan::{Problem, Targets, plan, retarget};
use weir_api::{ExportProfile, NodeFlowExportSpec, RevisionData};

use super::DesiredExport;
use super::choice::{Chosen, UnknownProfile, choose, not_begun, not_exporting};
use crate::cluster_state::ClusterState;

/// What nodes are planned from.
pub struct Asked<'a> {
    /// The collectors.
    pub targets: &'a Targets,
    /// The profiles.
    pub profiles: Vec<&'a ExportProfile>,
    /// Profiles of which nobody knows the settings.
    pub unknown: &'a [UnknownProfile],
    /// Every node keeps what it has.
    pub holds: bool,
}

impl<'a> Asked<'a> {
    fn choose(&self, cluster: &'a ClusterState) -> Vec<Chosen<'a>> {
        let profiles = self.profiles.iter().copied();
        cluster
            .nodes()
            .map(|node| choose(cluster, profiles.clone(), self.unknown, node, self.holds))
            .collect()
    }
}

type Plan = BTreeMap<String, DesiredExport>;

/// What nodes are told by what is asked for now and, where there is one, by an earlier
/// revision with the addresses of now. Both take their numbers from one table. A node whose
/// settings nobody knows is not told by the earlier one either.
pub fn plan_nodes(
    cluster: &ClusterState,
    asked: &Asked<'_>,
    earlier: Option<&(&RevisionData, Targets)>,
    now: Timestamp,
    problems: &mut Vec<String>,
) -> (Plan, Option<Plan>) {
    let chosen = asked.choose(cluster);
    let profiles = earlier.map(|(data, _)| data.profiles()).unwrap_or_default();
    let nodes = cluster.nodes();
    let chosen_before: Vec<Chosen<'_>> = match earlier {
        Some(_) => nodes
            .map(|node| choose(cluster, profiles.iter(), &[], node, false))
            .collect(),
        None => Vec::new(),
    };
    let mut held = held(cluster);
    let mut exporters = exporters(chosen.iter().chain(&chosen_before));
    // What is kept keeps its numbers, too; with a rollout, any node may keep what it has.
    let keeps: BTreeSet<&str> = chosen.iter().filter_map(Chosen::keeps).collect();
    let gated = cluster.rollout().is_some();
    let kept = held.keys().filter(|e| gated || keeps.contains(e.node.as_str()));
    exporters.extend(kept.cloned());
    rest(cluster, now, &mut held, &mut exporters);
    let ids = identity::allocate(&held, &exporters);
    let is_known = |chosen: &&Chosen<'_>| !chosen.unknown;
    let known: BTreeSet<&str> = chosen.iter().filter(is_known).map(Chosen::node_name).collect();
    let baseline = earlier.map(|(data, targets)| {
        let of_node = |chosen: &Chosen<'_>| told_before(data, targets, chosen, &ids);
        let chosen = chosen_before.iter();
        let chosen = chosen.filter(|chosen| known.contains(chosen.node_name()));
        chosen.map(of_node).collect()
    });
    (specs(asked, chosen, &ids, problems), baseline)
}

fn told_before(
    data: &RevisionData,
    targets: &Targets,
    chosen: &Chosen<'_>,
    ids: &BTreeMap<Exporter, u32>,
) -> (String, DesiredExport) {
    let facts = &chosen.node.facts;
    let id = |bridge: &str| id_of(ids, &facts.name, bridge);
    let desired = DesiredExport {
        node_uid: chosen.node.uid.clone(),
        spec: data.spec(targets, chosen.profile, facts, &id),
        mark: None,
    };
    (facts.name.clone(), desired)
}

fn specs(
    asked: &Asked<'_>,
    chosen: Vec<Chosen<'_>>,
    ids: &BTreeMap<Exporter, u32>,
    problems: &mut Vec<String>,
) -> Plan {
    let mut wanted = BTreeMap::new();
    for chosen in chosen {
        let node_uid = chosen.node.uid.clone();
        let spec = spec(asked, &chosen, ids, problems);
        let mark = None;
        wanted.insert(
            chosen.node.facts.name.clone(),
            DesiredExport { node_uid, spec, mark },
        );
    }
    wanted
}

fn spec(
    asked: &Asked<'_>,
    chosen: &Chosen<'_>,
    ids: &BTreeMap<Exporter, u32>,
    problems: &mut Vec<String>,
) -> NodeFlowExportSpec {
    let (facts, targets) = (&chosen.node.facts, asked.targets);
    let (spec, skipped) = match chosen.kept {
        Some(spec) if asked.holds => (spec.clone(), Vec::new()),
        Some(spec) => {
            problems.extend(not_begun(chosen, spec, targets));
            retarget(spec, targets, facts)
        }
        None => {
            problems.extend(not_exporting(chosen));
            let id = |bridge: &str| id_of(ids, &facts.name, bridge);
            plan(targets, chosen.profile, facts, &id)
        }
    };
    problems.extend(skipped.iter().map(Problem::to_string));
    spec
}

/// The numbers that existing `NodeFlowExport`s carry.
fn held(cluster: &ClusterState) -> BTreeMap<Exporter, u32> {
    let bridges = cluster.exports().flat_map(|export| {
        let node = export.name_any();
        let bridges = export.spec.bridges.iter();
        bridges.map(move |b| (exporter(&node, &b.name), b.exporter_id))
    });
    bridges.collect()
}

/// Holds the numbers of exporters that are gone, for them alone.
fn rest(
    cluster: &ClusterState,
    now: Timestamp,
    held: &mut BTreeMap<Exporter, u32>,
    exporters: &mut BTreeSet<Exporter>,
) {
    let taken: BTreeSet<u32> = held.values().copied().collect();
    for (exporter, id) in cluster.resting_ids(now).filter(|(_, id)| !taken.contains(id)) {
        held.entry(exporter.clone()).or_insert(id);
        exporters.insert(exporter.clone());
    }
}

fn exporters<'a>(chosen: impl Iterator<Item = &'a Chosen<'a>>) -> BTreeSet<Exporter> {
    let standard = weir_api::ExportProfileSpec::default();
    let of_node = |chosen: &Chosen<'_>| {
        let bridges = chosen.profile.map_or(&standard, |p| &p.spec).bridge_names();
        let node = chosen.node.facts.name.clone();
        bridges.into_iter().map(move |bridge| exporter(&node, &bridge))
    };
    chosen.flat_map(of_node).collect()
}

fn exporter(node: &str, bridge: &str) -> Exporter {
    Exporter {
        node: node.to_owned(),
        bridge: bridge.to_owned(),
    }
}

/// Beyond 65535 exporters there are no free numbers; one that derives from the
/// names may collide in NetFlow, which beats having none.
fn id_of(ids: &BTreeMap<Exporter, u32>, node: &str, bridge: &str) -> u32 {
    let allocated = ids.get(&exporter(node, bridge)).copied();
    allocated.unwrap_or_else(|| identity::from_names(node, bridge))
}
