//! A change before it is made: what it would do to each node, by the planner that the
//! controller plans with, and how it is asked for. Nothing is written.
//!
//! What is asked for now is planned, too, and the two plans are compared: what neither of them
//! knows, such as a ConfigMap of others, makes no difference between them.

mod asked;
mod documents;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use serde::{Deserialize, Serialize};
use serde_json::json;
use thiserror::Error;
use utoipa::ToSchema;
use weir_api::collector::ServiceRef;
use weir_api::identity::{self, Exporter};
use weir_api::plan::{NodeFacts, Targets, plan};
use weir_api::{
    ExportNetworkFlows, ExportProfile, ExportProfileSpec, ExportRolloutSpec, NodeFlowExport,
    NodeFlowExportSpec, profile,
};

pub use asked::{Asked, SETTINGS};
pub use documents::Document;

use crate::difference::differences;
use crate::rollout;
use crate::source::SourceKind;

/// So many nodes are told one by one.
const MOST_NODES: usize = 500;
/// So many problems are told.
const MOST_PROBLEMS: usize = 50;

/// What the cluster has now.
#[derive(Debug)]
pub struct Present<'a> {
    /// Which resource says where flows go; none: neither is there yet.
    pub source: Option<SourceKind>,
    /// Its `spec.exportNetworkFlows`.
    pub flows: Option<&'a ExportNetworkFlows>,
    /// All `ExportProfile`s.
    pub profiles: &'a [ExportProfile],
    /// All nodes, with their labels.
    pub nodes: &'a [(NodeFacts, BTreeMap<String, String>)],
    /// What nodes are told, for the numbers of their exporters.
    pub exports: &'a [NodeFlowExport],
    /// How changes go from node to node; none: at once.
    pub rollout: Option<&'a ExportRolloutSpec>,
}

/// Why a change cannot be prepared.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NotPrepared {
    /// Nothing is asked for.
    #[error("say what is to change: net_flow, s_flow, ipfix, or set")]
    Nothing,
    /// A setting of a profile is not one of those that there are.
    #[error("set: {0:?} is none of {names}", names = SETTINGS.join(", "))]
    UnknownSetting(String),
    /// A setting has no value that it takes.
    #[error("set: {0}: {1}")]
    WrongSetting(String, String),
    /// The profile is not named, and it is not clear which is meant.
    #[error("profile: there are {0} without a nodeSelector; name the one that is to change")]
    WhichProfile(usize),
    /// The profile is not named, none is for all nodes, and the one of the name that a new one
    /// would get is for some of them.
    #[error(
        "profile: none is without a nodeSelector, and {0:?} is for some nodes alone; name the one that is to change, or \
         a new one"
    )]
    NoneOfAll(String),
    /// Its name is none that Kubernetes takes.
    #[error("profile: {0:?} is no name of an object: lower-case letters, digits, - and .")]
    ProfileName(String),
}

/// What a change would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Prepared {
    /// Nodes that would be told something else, by name; 500 at most.
    pub nodes: Vec<NodeChange>,
    /// How many would be told something else.
    pub changed: usize,
    /// How many nodes there are.
    pub total: usize,
    /// What would be skipped, and why.
    pub problems: Vec<String>,
    /// What one should know.
    pub warnings: Vec<String>,
    /// How it would go through the nodes.
    pub steps: Vec<String>,
    /// What is to be written for it.
    pub documents: Vec<Document>,
}

/// What a change would do to a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NodeChange {
    /// Name of the node.
    pub node: String,
    /// The profile that its settings would come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub profile: Option<String>,
    /// What would be different: `br-int.ipfix.sampling 400 → 100`.
    pub differences: Vec<String>,
}

/// What is asked for.
struct Intent {
    flows: Option<ExportNetworkFlows>,
    profiles: Vec<ExportProfile>,
}

type Services<'a> = &'a dyn Fn(&ServiceRef) -> Result<IpAddr, String>;

/// Prepares a change. `services` knows their addresses.
///
/// # Errors
/// It is not clear what is asked for.
pub fn prepare(
    present: &Present<'_>,
    asked: &Asked,
    services: Services<'_>,
) -> Result<Prepared, NotPrepared> {
    if asked.is_empty() {
        return Err(NotPrepared::Nothing);
    }
    let now = Intent {
        flows: present.flows.cloned(),
        profiles: present.profiles.to_vec(),
    };
    let changed_profile = asked.profile(present.profiles)?;
    let then = Intent {
        flows: asked.flows(present.flows),
        profiles: with(present.profiles, changed_profile.as_ref()),
    };
    let ids = numbers(present, &[&now, &then]);
    let before = plans(present, &now, &ids, services).0;
    let (after, mut problems) = plans(present, &then, &ids, services);
    if let Some(profile) = &changed_profile {
        problems.extend(profile.spec.violations());
    }
    problems.truncate(MOST_PROBLEMS);
    let mut nodes: Vec<NodeChange> = after
        .iter()
        .filter_map(|(node, spec)| change(node, before.get(node), spec))
        .collect();
    let changed = nodes.len();
    nodes.truncate(MOST_NODES);
    Ok(Prepared {
        warnings: warnings(present, &before, &after),
        nodes,
        changed,
        total: after.len(),
        problems,
        steps: rollout::steps(present.rollout, changed),
        documents: documents::of(present, asked, changed_profile.as_ref()),
    })
}

/// The profiles with one in the place of that of its name.
fn with(profiles: &[ExportProfile], changed: Option<&ExportProfile>) -> Vec<ExportProfile> {
    let name = changed.and_then(|changed| changed.metadata.name.as_ref());
    let others = profiles
        .iter()
        .filter(|one| name.is_none() || one.metadata.name.as_ref() != name);
    others.chain(changed).cloned().collect()
}

/// Numbers of exporters: those that are held, and free ones for bridges that are new.
fn numbers(present: &Present<'_>, intents: &[&Intent]) -> BTreeMap<Exporter, u32> {
    let exporter = |node: &str, bridge: &str| Exporter {
        node: node.to_owned(),
        bridge: bridge.to_owned(),
    };
    let mut held = BTreeMap::new();
    for export in present.exports {
        let node = export.metadata.name.as_deref().unwrap_or_default();
        let bridges = export.spec.bridges.iter();
        held.extend(bridges.map(|bridge| (exporter(node, &bridge.name), bridge.exporter_id)));
    }
    let mut wanted: BTreeSet<Exporter> = held.keys().cloned().collect();
    let standard = ExportProfileSpec::default();
    for intent in intents {
        for (facts, labels) in present.nodes {
            let profile = profile::choose(&intent.profiles, labels);
            let bridges = profile.map_or(&standard, |profile| &profile.spec).bridge_names();
            wanted.extend(bridges.iter().map(|bridge| exporter(&facts.name, bridge)));
        }
    }
    identity::allocate(&held, &wanted)
}

/// What each node would be told, and what would be skipped.
fn plans(
    present: &Present<'_>,
    intent: &Intent,
    ids: &BTreeMap<Exporter, u32>,
    services: Services<'_>,
) -> (BTreeMap<String, NodeFlowExportSpec>, Vec<String>) {
    let (targets, skipped) = Targets::resolve(intent.flows.as_ref(), None, services);
    let mut problems: Vec<String> = skipped.iter().map(ToString::to_string).collect();
    let mut all = BTreeMap::new();
    for (facts, labels) in present.nodes {
        let profile = profile::choose(&intent.profiles, labels);
        let id = |bridge: &str| {
            let exporter = Exporter {
                node: facts.name.clone(),
                bridge: bridge.to_owned(),
            };
            let allocated = ids.get(&exporter).copied();
            allocated.unwrap_or_else(|| identity::from_names(&facts.name, bridge))
        };
        let (spec, skipped) = plan(&targets, profile, facts, &id);
        for problem in skipped.iter().map(ToString::to_string) {
            if problems.len() <= MOST_PROBLEMS && !problems.contains(&problem) {
                problems.push(problem);
            }
        }
        all.insert(facts.name.clone(), spec);
    }
    (all, problems)
}

fn change(node: &str, before: Option<&NodeFlowExportSpec>, after: &NodeFlowExportSpec) -> Option<NodeChange> {
    let standard = NodeFlowExportSpec::default();
    let differences = differences(&by_bridge(before.unwrap_or(&standard)), &by_bridge(after));
    (!differences.is_empty()).then(|| NodeChange {
        node: node.to_owned(),
        profile: after.profile.clone(),
        differences,
    })
}

/// A spec with its bridges by name, so that they can be compared.
fn by_bridge(spec: &NodeFlowExportSpec) -> serde_json::Value {
    let mut all = serde_json::Map::new();
    for bridge in &spec.bridges {
        let mut fields = json!(bridge);
        if let Some(fields) = fields.as_object_mut() {
            fields.remove("name");
        }
        all.insert(bridge.name.clone(), fields);
    }
    all.insert("profile".to_owned(), json!(spec.profile));
    all.insert("conflictPolicy".to_owned(), json!(spec.conflict_policy));
    all.insert("budget".to_owned(), json!(spec.budget));
    serde_json::Value::Object(all)
}

type Plans = BTreeMap<String, NodeFlowExportSpec>;

fn warnings(present: &Present<'_>, before: &Plans, after: &Plans) -> Vec<String> {
    let mut warnings = Vec::new();
    let exporting = |plans: &Plans| plans.values().filter(|spec| spec.exports_anything()).count();
    match (exporting(before), exporting(after)) {
        (1.., 0) => {
            warnings.push("nothing is exported any more: the rows in Open vSwitch are removed".to_owned())
        }
        (was, is) if is < was => warnings.push(format!("{} nodes export nothing any more", was - is)),
        _ => {}
    }
    let finer = before
        .iter()
        .filter_map(|(node, before)| finer(before, after.get(node)?))
        .max();
    if let Some(times) = finer {
        warnings.push(format!(
            "up to {times} times as many packets are looked at as now: weir cost shows what nodes take, and a budget in \
             the profile holds it back"
        ));
    }
    let otherwise = present.exports.iter().filter(|export| {
        let node = export.metadata.name.as_deref().unwrap_or_default();
        before.get(node).is_some_and(|planned| *planned != export.spec)
    });
    match otherwise.count() {
        0 => {}
        many => warnings.push(format!(
            "{many} nodes are told otherwise now than what is asked for: a change is on its way, or the ConfigMap \
             ovs-flows-config counts, too, which is not read here"
        )),
    }
    warnings
}

/// How many times as many packets are looked at.
fn finer(before: &NodeFlowExportSpec, after: &NodeFlowExportSpec) -> Option<u32> {
    let samplings = |spec: &NodeFlowExportSpec| {
        let bridges = spec.bridges.iter();
        let all = bridges.flat_map(|bridge| {
            let ipfix = bridge.ipfix.as_ref().and_then(|ipfix| ipfix.sampling);
            let s_flow = bridge.s_flow.as_ref().and_then(|s_flow| s_flow.sampling);
            [
                (bridge.name.clone(), "ipfix", ipfix),
                (bridge.name.clone(), "sFlow", s_flow),
            ]
        });
        let known = all.filter_map(|(bridge, protocol, sampling)| Some(((bridge, protocol), sampling?)));
        known.collect::<BTreeMap<_, u32>>()
    };
    let after = samplings(after);
    let times = samplings(before).into_iter().filter_map(|(of, was)| {
        let is = *after.get(&of)?;
        (is > 0 && is < was).then(|| was.div_ceil(is))
    });
    times.max()
}

#[cfg(test)]
mod tests;
