//! The decision: from the gathered cluster to the spec of every node, the writes
//! that bring it about, and what the user asked for and will not get. Pure.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use weir_api::collector::ServiceRef;
use weir_api::identity::{self, Exporter};
use weir_api::plan::{Problem, Targets, plan, retarget};
use weir_api::{FlowsConfig, NodeFlowExport, NodeFlowExportSpec, flows_config};

use self::choice::{Chosen, choose, not_begun, not_exporting, unknown_profiles};
use crate::cluster_state::ClusterState;
use crate::object::{is_ours, is_owned_by};
use crate::source::OnSourceDeleted;

/// What is to be, and what is to be done for it.
#[derive(Debug, Default, PartialEq)]
pub struct Decision {
    /// Every node's spec.
    pub wanted: BTreeMap<String, DesiredExport>,
    /// Nodes whose `NodeFlowExport` is absent or different.
    pub applies: Vec<String>,
    /// `NodeFlowExport`s of ours whose node is gone: name and uid.
    pub deletes: Vec<(String, String)>,
    /// Sentences that name what is skipped, for people.
    pub problems: Vec<String>,
    /// Sentences that name what cannot be read, and what counts in its place.
    pub unreadable: Vec<String>,
    /// The other source asks for export too, and what to do.
    pub second_source: Option<String>,
    /// The source that counts is absent, another one asks for export, and what to do.
    pub ignored_source: Option<String>,
    /// The source is gone, and the nodes keep what they export.
    pub holds: bool,
    /// When something runs out that the decision rests on.
    pub next_check: Option<Timestamp>,
}

/// What a node's `NodeFlowExport` has to be.
#[derive(Debug, Clone, PartialEq)]
pub struct DesiredExport {
    /// Uid of the node, which owns the object.
    pub node_uid: String,
    /// What the node must program.
    pub spec: NodeFlowExportSpec,
}

impl DesiredExport {
    /// Whether an object is already as it has to be.
    pub fn is_met_by(&self, export: &NodeFlowExport) -> bool {
        export.spec == self.spec && is_ours(export) && is_owned_by(export, &self.node_uid)
    }
}

/// Decides for the cluster as it is. Every kind must have been listed: without
/// the existing `NodeFlowExport`s, exporter ids would be given out twice.
pub fn decide(cluster: &ClusterState, now: Timestamp) -> Decision {
    // One that cannot be read is there, whatever its absence would mean.
    let may_hold =
        cluster.settings().on_deleted == OnSourceDeleted::Hold || cluster.unreadable_source().is_some();
    let holds = cluster.source().is_none() && may_hold;
    let (config, mut problems) = read_flows_config(cluster);
    let config = config.filter(|_| !holds);
    let held = RefCell::new(BTreeMap::new());
    let service = |service: &ServiceRef| resolve(cluster, service, now, &held);
    let (targets, skipped) = Targets::resolve(cluster.flows(), config.as_ref(), &service);
    problems.extend(skipped.iter().map(Problem::to_string));
    problems.extend(malformed_selectors(cluster));
    let wanted = plan_nodes(cluster, &targets, holds, now, &mut problems);
    let held = held.into_inner();
    problems.extend(held.keys().map(|service| {
        format!("Service {service} is gone; its last address counts for a minute, until it is made again")
    }));
    Decision {
        applies: unmet(cluster, &wanted),
        deletes: orphans(cluster),
        problems: without_repetitions(problems),
        unreadable: unreadable(cluster),
        second_source: second_source(cluster),
        ignored_source: ignored_source(cluster),
        holds,
        next_check: held.into_values().min(),
        wanted,
    }
}

/// What cannot be read as it is now, and what counts instead.
fn unreadable(cluster: &ClusterState) -> Vec<String> {
    let source = cluster.unreadable_source().map(|why| {
        let source = cluster.settings().source;
        format!("the {source} cannot be read, its last readable form counts: {why}")
    });
    let profiles = cluster.unreadable_profiles().map(|(name, invalid)| {
        let counts = match cluster.profile(name) {
            Some(_) => "its last readable form counts",
            None => "its nodes keep the settings they have",
        };
        format!("ExportProfile {name} cannot be read, {counts}: {}", invalid.why)
    });
    source.into_iter().chain(profiles).collect()
}

/// Two who ask for export: on OpenShift the Cluster Network Operator follows the
/// Network, so that two programs would work on one bridge.
fn second_source(cluster: &ClusterState) -> Option<String> {
    cluster.shown_source()?;
    cluster.other_source().filter(|other| other.asks())?;
    let read = cluster.settings().source;
    let ignored = read.other();
    let option = ignored.option();
    Some(format!(
        "the {ignored} asks for flow export too and is not read: take exportNetworkFlows out of it, or out of \
         the {read} and run weir-controller with --source={option}"
    ))
}

/// What the one who reads the other source is told: the wrong one counts.
fn ignored_source(cluster: &ClusterState) -> Option<String> {
    let other = cluster.other_source().filter(|other| other.asks());
    let absent = cluster.shown_source().is_none();
    other.filter(|_| absent)?;
    let read = cluster.settings().source;
    let ignored = read.other();
    let (option, other) = (read.option(), ignored.option());
    Some(format!(
        "the {ignored} is not read: weir-controller runs with --source={option}, and there is no {read}; run it \
         with --source={other}, or make the {read}"
    ))
}

fn read_flows_config(cluster: &ClusterState) -> (Option<FlowsConfig>, Vec<String>) {
    let Some(data) = cluster.flows_config() else {
        return (None, Vec::new());
    };
    let (config, warnings) = flows_config::parse(data);
    let place = format!("ConfigMap {}/{}", flows_config::NAMESPACE, flows_config::NAME);
    (config, warnings.iter().map(|w| format!("{place} {w}")).collect())
}

/// A Service's address. One that is gone keeps its last for a while, and `held` is
/// told until when.
fn resolve(
    cluster: &ClusterState,
    service: &ServiceRef,
    now: Timestamp,
    held: &RefCell<BTreeMap<String, Timestamp>>,
) -> Result<IpAddr, String> {
    let (namespace, name) = (&service.namespace, &service.name);
    let reason = match cluster.service(namespace, name) {
        Ok(address) => return Ok(address),
        Err(reason) => reason,
    };
    let (address, until) = cluster
        .held_address(namespace, name, now)
        .ok_or_else(|| reason.to_owned())?;
    held.borrow_mut().insert(format!("{namespace}/{name}"), until);
    Ok(address)
}

fn malformed_selectors(cluster: &ClusterState) -> Vec<String> {
    let nothing = BTreeMap::new();
    cluster
        .profiles()
        .filter_map(|profile| {
            let reason = profile.spec.selects(&nothing).err()?;
            let name = profile.name_any();
            Some(format!(
                "ExportProfile {name} selects no node, its nodeSelector is malformed: {reason}"
            ))
        })
        .collect()
}

/// Each node's spec, with the exporter ids that its bridges hold or get.
fn plan_nodes(
    cluster: &ClusterState,
    targets: &Targets,
    holds: bool,
    now: Timestamp,
    problems: &mut Vec<String>,
) -> BTreeMap<String, DesiredExport> {
    let unknown = unknown_profiles(cluster);
    let chosen: Vec<Chosen<'_>> = cluster
        .nodes()
        .map(|node| choose(cluster, &unknown, node, holds))
        .collect();
    let mut held = held(cluster);
    let mut exporters = exporters(&chosen);
    // What is kept keeps its numbers, too.
    let keeps: BTreeSet<&str> = chosen.iter().filter_map(Chosen::keeps).collect();
    exporters.extend(held.keys().filter(|e| keeps.contains(e.node.as_str())).cloned());
    rest(cluster, now, &mut held, &mut exporters);
    let ids = identity::allocate(&held, &exporters);
    let mut wanted = BTreeMap::new();
    for chosen in chosen {
        let facts = &chosen.node.facts;
        let name = &facts.name;
        let (spec, skipped) = match chosen.kept {
            Some(spec) if holds => (spec.clone(), Vec::new()),
            Some(spec) => {
                problems.extend(not_begun(&chosen, spec, targets));
                retarget(spec, targets, facts)
            }
            None => {
                problems.extend(not_exporting(&chosen));
                plan(targets, chosen.profile, facts, &|bridge| {
                    id_of(&ids, name, bridge)
                })
            }
        };
        problems.extend(skipped.iter().map(Problem::to_string));
        let node_uid = chosen.node.uid.clone();
        wanted.insert(name.clone(), DesiredExport { node_uid, spec });
    }
    wanted
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

fn exporters(chosen: &[Chosen<'_>]) -> BTreeSet<Exporter> {
    let standard = weir_api::ExportProfileSpec::default();
    let of_node = |chosen: &Chosen<'_>| {
        let bridges = chosen.profile.map_or(&standard, |p| &p.spec).bridge_names();
        let node = chosen.node.facts.name.clone();
        bridges.into_iter().map(move |bridge| exporter(&node, &bridge))
    };
    chosen.iter().flat_map(of_node).collect()
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

fn unmet(cluster: &ClusterState, wanted: &BTreeMap<String, DesiredExport>) -> Vec<String> {
    let met = |node: &str, wanted: &DesiredExport| {
        cluster
            .export(node)
            .is_some_and(|export| wanted.is_met_by(export))
    };
    wanted
        .iter()
        .filter(|(node, wanted)| !met(node, wanted))
        .map(|(node, _)| node.clone())
        .collect()
}

/// Where a garbage collector runs, the ownerReference does the same.
fn orphans(cluster: &ClusterState) -> Vec<(String, String)> {
    cluster
        .exports()
        .filter(|export| cluster.node(&export.name_any()).is_none())
        .filter(|export| is_ours(export) && export.metadata.deletion_timestamp.is_none())
        .filter_map(|export| Some((export.name_any(), export.uid()?)))
        .collect()
}

fn without_repetitions(mut problems: Vec<String>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    problems.retain(|problem| seen.insert(problem.clone()));
    problems
}

mod choice;

#[cfg(test)]
mod tests;
