//! The decision: from the gathered world to the spec of every node, the writes
//! that bring it about, and what the user asked for and will not get. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use kube::ResourceExt;
use weir_api::collector::ServiceRef;
use weir_api::identity::{self, Exporter};
use weir_api::plan::{Problem, Targets, plan};
use weir_api::{ExportProfile, FlowsConfig, NodeFlowExport, NodeFlowExportSpec, flows_config, profile};

use crate::object::{is_ours, is_owned_by};
use crate::world::{NodeRecord, World};

/// What is to be, and what is to be done for it.
#[derive(Debug, Default, PartialEq)]
pub struct Decision {
    /// Every node's spec.
    pub wanted: BTreeMap<String, Wanted>,
    /// Nodes whose `NodeFlowExport` is absent or different.
    pub applies: Vec<String>,
    /// `NodeFlowExport`s of ours whose node is gone: name and uid.
    pub deletes: Vec<(String, String)>,
    /// Sentences that name what is skipped, for people.
    pub problems: Vec<String>,
}

/// What a node's `NodeFlowExport` has to be.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    /// Uid of the node, which owns the object.
    pub node_uid: String,
    /// What the node must program.
    pub spec: NodeFlowExportSpec,
}

impl Wanted {
    /// Whether an object is already as it has to be.
    pub fn is_met_by(&self, export: &NodeFlowExport) -> bool {
        export.spec == self.spec && is_ours(export) && is_owned_by(export, &self.node_uid)
    }
}

/// Decides for the world as it is. Every kind must have been listed: without
/// the existing `NodeFlowExport`s, exporter ids would be given out twice.
pub fn decide(world: &World) -> Decision {
    let (config, mut problems) = read_flows_config(world);
    let service = |service: &ServiceRef| resolve(world, service);
    let (targets, skipped) = Targets::resolve(world.flows(), config.as_ref(), &service);
    problems.extend(skipped.iter().map(Problem::to_string));
    problems.extend(malformed_selectors(world));
    let wanted = plan_nodes(world, &targets, &mut problems);
    Decision {
        applies: unmet(world, &wanted),
        deletes: orphans(world),
        problems: without_repetitions(problems),
        wanted,
    }
}

fn read_flows_config(world: &World) -> (Option<FlowsConfig>, Vec<String>) {
    let Some(data) = world.flows_config() else {
        return (None, Vec::new());
    };
    let (config, warnings) = flows_config::parse(data);
    let place = format!("ConfigMap {}/{}", flows_config::NAMESPACE, flows_config::NAME);
    (config, warnings.iter().map(|w| format!("{place} {w}")).collect())
}

fn resolve(world: &World, service: &ServiceRef) -> Result<IpAddr, String> {
    world
        .service(&service.namespace, &service.name)
        .map_err(str::to_owned)
}

fn malformed_selectors(world: &World) -> Vec<String> {
    let nothing = BTreeMap::new();
    world
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
fn plan_nodes(world: &World, targets: &Targets, problems: &mut Vec<String>) -> BTreeMap<String, Wanted> {
    let chosen: Vec<(&NodeRecord, Option<&ExportProfile>)> = world
        .nodes()
        .map(|node| (node, profile::choose(world.profiles(), &node.labels)))
        .collect();
    let ids = identity::allocate(&held(world), &exporters(&chosen));
    let mut wanted = BTreeMap::new();
    for (node, profile) in chosen {
        let name = &node.facts.name;
        let (spec, skipped) = plan(targets, profile, &node.facts, &|bridge| id_of(&ids, name, bridge));
        problems.extend(skipped.iter().map(Problem::to_string));
        let node_uid = node.uid.clone();
        wanted.insert(name.clone(), Wanted { node_uid, spec });
    }
    wanted
}

/// The numbers that existing `NodeFlowExport`s carry.
fn held(world: &World) -> BTreeMap<Exporter, u32> {
    let bridges = world.exports().flat_map(|export| {
        let node = export.name_any();
        let bridges = export.spec.bridges.iter();
        bridges.map(move |b| (exporter(&node, &b.name), b.exporter_id))
    });
    bridges.collect()
}

fn exporters(chosen: &[(&NodeRecord, Option<&ExportProfile>)]) -> BTreeSet<Exporter> {
    let standard = weir_api::ExportProfileSpec::default();
    let of_node = |(node, profile): &(&NodeRecord, Option<&ExportProfile>)| {
        let bridges = profile.map_or(&standard, |p| &p.spec).bridge_names();
        let node = node.facts.name.clone();
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

fn unmet(world: &World, wanted: &BTreeMap<String, Wanted>) -> Vec<String> {
    let met = |node: &str, wanted: &Wanted| world.export(node).is_some_and(|export| wanted.is_met_by(export));
    wanted
        .iter()
        .filter(|(node, wanted)| !met(node, wanted))
        .map(|(node, _)| node.clone())
        .collect()
}

/// Where a garbage collector runs, the ownerReference does the same.
fn orphans(world: &World) -> Vec<(String, String)> {
    world
        .exports()
        .filter(|export| world.node(&export.name_any()).is_none())
        .filter(|export| is_ours(export) && export.metadata.deletion_timestamp.is_none())
        .filter_map(|export| Some((export.name_any(), export.uid()?)))
        .collect()
}

fn without_repetitions(mut problems: Vec<String>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    problems.retain(|problem| seen.insert(problem.clone()));
    problems
}

#[cfg(test)]
mod tests;
