//! Present collectors with the settings that a node has, for one whose profile cannot be
//! read.

use std::collections::BTreeSet;

use crate::Protocol;
use crate::export::{BridgeExport, NodeFlowExportSpec};
use crate::plan::{NodeFacts, Problem, Targets, node_targets, own_addresses};

/// The spec that a node has, with the collectors as they are asked for now. A protocol that
/// it does not export stays so: nobody knows with what settings it would. Names of pods go
/// to Weir's own collector and to those that were told them before.
pub fn retarget(
    kept: &NodeFlowExportSpec,
    targets: &Targets,
    node: &NodeFacts,
) -> (NodeFlowExportSpec, Vec<Problem>) {
    let mut problems = Vec::new();
    let mut addresses = |protocol| {
        let exported = kept.bridges.iter().any(|bridge| bridge.exports(protocol));
        let targets = if exported { targets.of(protocol) } else { &[] };
        node_targets(targets, node, &mut problems)
    };
    let lists = [
        addresses(Protocol::NetFlow),
        addresses(Protocol::SFlow),
        addresses(Protocol::Ipfix),
    ];
    let own = own_addresses(&targets.ipfix);
    let mut spec = kept.clone();
    for bridge in &mut spec.bridges {
        aim(bridge, &lists, &own);
    }
    (spec, problems)
}

fn aim(bridge: &mut BridgeExport, [net_flow, s_flow, ipfix]: &[Vec<String>; 3], own: &BTreeSet<String>) {
    bridge.net_flow = bridge.net_flow.take().filter(|_| !net_flow.is_empty());
    if let Some(export) = &mut bridge.net_flow {
        export.targets.clone_from(net_flow);
    }
    bridge.s_flow = bridge.s_flow.take().filter(|_| !s_flow.is_empty());
    if let Some(export) = &mut bridge.s_flow {
        export.targets.clone_from(s_flow);
    }
    bridge.ipfix = bridge.ipfix.take().filter(|_| !ipfix.is_empty());
    if let Some(export) = &mut bridge.ipfix {
        let told = std::mem::take(&mut export.interface_names);
        let tells = |target: &&String| own.contains(*target) || told.contains(target);
        export.interface_names = ipfix.iter().filter(tells).cloned().collect();
        export.targets.clone_from(ipfix);
    }
}
