//! The decision: from the gathered cluster to the spec of every node, the writes
//! that bring it about, and what the user asked for and will not get. Pure.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use weir_api::collector::ServiceRef;
use weir_api::plan::{Problem, Targets};
use weir_api::{FlowsConfig, NodeFlowExport, NodeFlowExportSpec, RevisionData, flows_config};

use self::choice::{UnknownProfile, unknown_profiles};
use self::nodes::{Asked, plan_nodes};
use crate::cluster_state::ClusterState;
use crate::object::{is_ours, is_owned_by};
use crate::rollout::{Mark, RevisionPlan, Summary};
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
    /// What is wanted as a revision, where an `ExportRollout` says who gets it.
    pub revision: Option<RevisionPlan>,
    /// What is to be said of its rollout.
    pub rollout: Option<Summary>,
}

/// What a node's `NodeFlowExport` has to be.
#[derive(Debug, Clone, PartialEq)]
pub struct DesiredExport {
    /// Uid of the node, which owns the object.
    pub node_uid: String,
    /// What the node must program.
    pub spec: NodeFlowExportSpec,
    /// By which rollout, where there is one.
    pub mark: Option<Mark>,
}

impl Decision {
    /// Nodes are told this, whatever is wanted.
    pub fn tell(&mut self, cluster: &ClusterState, told: BTreeMap<String, DesiredExport>) {
        self.applies = unmet(cluster, &told);
        self.wanted = told;
    }
}

impl DesiredExport {
    /// Whether an object is already as it has to be.
    pub fn is_met_by(&self, export: &NodeFlowExport) -> bool {
        let has_mark = self.mark.is_none() || self.mark == Mark::of(export);
        has_mark && export.spec == self.spec && is_ours(export) && is_owned_by(export, &self.node_uid)
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
    let unknown = unknown_profiles(cluster);
    let asked = Asked {
        targets: &targets,
        profiles: cluster.profiles().collect(),
        unknown: &unknown,
        holds,
    };
    let gated = cluster.rollout().is_some() && !holds;
    let baseline = cluster.completed_revision().filter(|_| gated);
    let baseline = baseline.map(|data| (data, data.targets(&service)));
    let (wanted, baseline) = plan_nodes(cluster, &asked, baseline.as_ref(), now, &mut problems);
    let revision = gated.then(|| {
        let data = revision_data(cluster);
        RevisionPlan {
            revision: data.hash(),
            data,
            baseline,
            unknown: unknown.iter().map(UnknownProfile::name).collect(),
        }
    });
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
        revision,
        rollout: None,
    }
}

/// All that the plan is made of, beside the nodes and the addresses of Services.
fn revision_data(cluster: &ClusterState) -> RevisionData {
    let profiles = cluster.profiles();
    RevisionData::new(
        cluster.flows().cloned(),
        cluster.flows_config().cloned(),
        profiles.map(|p| (p.name_any(), p.spec.clone())).collect(),
    )
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
mod nodes;

#[cfg(test)]
mod tests;
