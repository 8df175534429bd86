//! The planner: from what the user asked for to what one node must program.
//! Pure, and the only place that knows the defaults.
//!
//! ```text
//! Network.spec + ovs-flows-config + Services --resolve--> Targets + problems
//! Targets + ExportProfile + node facts       --plan-----> NodeFlowExport.spec + problems
//! ```

use std::collections::BTreeSet;
use std::fmt;
use std::net::{IpAddr, SocketAddr};

use crate::collector::{Collector, ServiceRef};
use crate::export::{BridgeExport, IpfixExport, NetFlowExport, NodeFlowExportSpec, SFlowExport};
use crate::flows_config::FlowsConfig;
use crate::identity::netflow_engine;
use crate::network::{ExportNetworkFlows, MAX_COLLECTORS};
use crate::profile::{ExportProfile, ExportProfileSpec};
use crate::{Protocol, flows_config};

pub mod bounds;
mod facts;
mod keep;
mod safe;

pub use facts::service_address;
pub use keep::retarget;
pub use safe::{enforce, unsafe_settings};

/// Defaults that serve; OVS's own where it has a good one.
pub mod defaults {
    /// Seconds; what ovn-kubernetes sets.
    pub const NETFLOW_ACTIVE_TIMEOUT: i64 = 60;
    /// One packet in so many, sFlow and IPFIX; OVS's own.
    pub const SAMPLING: u32 = 400;
    /// Seconds; OVS's own.
    pub const SFLOW_POLLING: u32 = 30;
    /// Octets; OVS's own.
    pub const SFLOW_HEADER: u32 = 128;
    /// Seconds. OVS's own is no cache: a datagram for each sampled packet.
    pub const IPFIX_CACHE_ACTIVE_TIMEOUT: u32 = 20;
    /// Flows.
    pub const IPFIX_CACHE_MAX_FLOWS: u32 = 5000;
    /// Seconds. OVS's own leaves a restarted collector blind for 600.
    pub const IPFIX_TEMPLATE_INTERVAL: u32 = 60;
}

/// Something that the user asked for and will not get, with its place.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// Such as `spec.exportNetworkFlows.netFlow.collectors[2]`.
    pub place: String,
    /// What stands there.
    pub entry: String,
    /// Why it is skipped.
    pub reason: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?} {}", self.place, self.entry, self.reason)
    }
}

/// Collectors of one protocol with Services resolved; what is left to do is
/// `:port`, which each node resolves differently.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Targets {
    net_flow: Vec<Target>,
    s_flow: Vec<Target>,
    ipfix: Vec<Target>,
    /// IPFIX tuning of the ConfigMap.
    tuning: Option<FlowsConfig>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Target {
    place: String,
    address: TargetAddress,
    /// It is Weir's own collector, by its Service.
    is_weir: bool,
}

/// Namespace and name of the Service of Weir's own collector.
pub const COLLECTOR_SERVICE: (&str, &str) = ("weir-system", "weir-collector");

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TargetAddress {
    Fixed(SocketAddr),
    NodeLocal(u16),
}

/// Looks a Service up: its ClusterIP, or why it has none.
pub type ResolveService<'a> = &'a dyn Fn(&ServiceRef) -> Result<IpAddr, String>;

/// Refuses every Service, for places without a cluster.
pub fn no_services(_: &ServiceRef) -> Result<IpAddr, String> {
    Err("is a Service, and without Kubernetes there is nobody to ask for its address".to_owned())
}

/// The Services that the configuration names, so that they can be watched.
pub fn named_services(flows: &ExportNetworkFlows, config: Option<&FlowsConfig>) -> BTreeSet<ServiceRef> {
    let entries = Protocol::ALL
        .into_iter()
        .flat_map(|p| flows.entries(p))
        .map(|e| e.0.as_str());
    entries
        .chain(config.map(|c| c.target.as_str()))
        .filter_map(|entry| match entry.parse() {
            Ok(Collector::Service(service)) => Some(service),
            _ => None,
        })
        .collect()
}

impl Targets {
    /// Parses and resolves all collectors; what cannot be used is skipped and
    /// named, the others still count.
    pub fn resolve(
        flows: Option<&ExportNetworkFlows>,
        config: Option<&FlowsConfig>,
        services: ResolveService<'_>,
    ) -> (Self, Vec<Problem>) {
        let mut problems = Vec::new();
        let mut of = |protocol| resolve_list(flows, protocol, services, &mut problems);
        let mut targets = Self {
            net_flow: of(Protocol::NetFlow),
            s_flow: of(Protocol::SFlow),
            ipfix: of(Protocol::Ipfix),
            tuning: None,
        };
        if let Some(config) = config {
            targets.merge(config, services, &mut problems);
        }
        (targets, problems)
    }

    /// The ConfigMap's target comes after the `Network`'s own.
    fn merge(&mut self, config: &FlowsConfig, services: ResolveService<'_>, problems: &mut Vec<Problem>) {
        let place = format!(
            "ConfigMap {}/{} {}",
            flows_config::NAMESPACE,
            flows_config::NAME,
            config.target_key
        );
        self.ipfix
            .extend(resolve_entry(place, &config.target, services, problems));
        self.tuning = Some(config.clone());
    }

    /// Whether any collector is asked for.
    pub fn asks(&self, protocol: Protocol) -> bool {
        !self.of(protocol).is_empty()
    }

    fn of(&self, protocol: Protocol) -> &[Target] {
        match protocol {
            Protocol::NetFlow => &self.net_flow,
            Protocol::SFlow => &self.s_flow,
            Protocol::Ipfix => &self.ipfix,
        }
    }
}

fn resolve_list(
    flows: Option<&ExportNetworkFlows>,
    protocol: Protocol,
    services: ResolveService<'_>,
    problems: &mut Vec<Problem>,
) -> Vec<Target> {
    let entries = flows.map(|f| f.entries(protocol)).unwrap_or_default();
    let place = |i: usize| format!("spec.exportNetworkFlows.{}.collectors[{i}]", protocol.field());
    let mut targets = Vec::new();
    for (i, entry) in entries.iter().enumerate() {
        if i >= MAX_COLLECTORS {
            let reason = format!("is beyond the {MAX_COLLECTORS} collectors that a list may have");
            problems.push(Problem {
                place: place(i),
                entry: entry.0.clone(),
                reason,
            });
            continue;
        }
        targets.extend(resolve_entry(place(i), &entry.0, services, problems));
    }
    targets
}

fn resolve_entry(
    place: String,
    entry: &str,
    services: ResolveService<'_>,
    problems: &mut Vec<Problem>,
) -> Option<Target> {
    let collector = entry.parse().map_err(|e: crate::CollectorError| e.to_string());
    let is_weir = matches!(&collector, Ok(Collector::Service(service))
        if (service.namespace.as_str(), service.name.as_str()) == COLLECTOR_SERVICE);
    let resolved = collector.and_then(|c| match c {
        Collector::Address(address) => Ok(TargetAddress::Fixed(address)),
        Collector::NodeLocal(port) => Ok(TargetAddress::NodeLocal(port.get())),
        Collector::Service(service) => {
            services(&service).map(|ip| TargetAddress::Fixed(SocketAddr::new(ip, service.port.get())))
        }
    });
    match resolved {
        Ok(address) => Some(Target {
            place,
            address,
            is_weir,
        }),
        Err(reason) => {
            problems.push(Problem {
                place,
                entry: entry.to_owned(),
                reason,
            });
            None
        }
    }
}

/// What the planner must know of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeFacts {
    /// Name of the node.
    pub name: String,
    /// Its own address: the first InternalIP, else the first ExternalIP.
    pub address: Option<IpAddr>,
}

/// What one node must program. `exporter_id` numbers its bridges (see
/// [`crate::identity`]).
pub fn plan(
    targets: &Targets,
    profile: Option<&ExportProfile>,
    node: &NodeFacts,
    exporter_id: &dyn Fn(&str) -> u32,
) -> (NodeFlowExportSpec, Vec<Problem>) {
    let (tuning, mut problems) = safe::tuning(profile, targets.tuning.as_ref(), targets.s_flow.len());
    let mut addresses = |protocol| match tuning.exports(protocol) {
        true => node_targets(targets.of(protocol), node, &mut problems),
        false => Vec::new(),
    };
    let lists = [
        addresses(Protocol::NetFlow),
        addresses(Protocol::SFlow),
        addresses(Protocol::Ipfix),
    ];
    let mut seen = BTreeSet::new();
    let bridges = tuning
        .bridge_names()
        .into_iter()
        .filter(|name| seen.insert(name.clone()))
        .map(|name| plan_bridge(name, &lists, &tuning, node, exporter_id));
    let bridges = name_interfaces(bridges, &targets.ipfix, tuning.ipfix.interface_names);
    let spec = NodeFlowExportSpec {
        profile: profile.and_then(|p| p.metadata.name.clone()),
        conflict_policy: tuning.conflict_policy,
        budget: tuning.budget,
        bridges,
    };
    (spec, problems)
}

/// Names of pods are for Weir's own collector, and for others only when asked for.
fn name_interfaces(
    bridges: impl Iterator<Item = BridgeExport>,
    targets: &[Target],
    all: Option<bool>,
) -> Vec<BridgeExport> {
    let own = own_addresses(targets);
    let named = |mut bridge: BridgeExport| {
        if let Some(ipfix) = &mut bridge.ipfix {
            let told = |target: &&String| all == Some(true) || own.contains(*target);
            ipfix.interface_names = ipfix.targets.iter().filter(told).cloned().collect();
        }
        bridge
    };
    bridges.map(named).collect()
}

/// Addresses of Weir's own collector.
fn own_addresses(targets: &[Target]) -> BTreeSet<String> {
    let own = targets.iter().filter(|target| target.is_weir);
    own.filter_map(|target| match target.address {
        TargetAddress::Fixed(address) => Some(address.to_string()),
        TargetAddress::NodeLocal(_) => None,
    })
    .collect()
}

/// Targets as OVSDB takes them; duplicates are dropped after normalising.
fn node_targets(targets: &[Target], node: &NodeFacts, problems: &mut Vec<Problem>) -> Vec<String> {
    let mut list: Vec<String> = Vec::new();
    for target in targets {
        let address = match (target.address, node.address) {
            (TargetAddress::Fixed(address), _) => address,
            (TargetAddress::NodeLocal(port), Some(own)) => SocketAddr::new(own, port),
            (TargetAddress::NodeLocal(port), None) => {
                let reason = format!("is the node's own address, and node {} has none", node.name);
                problems.push(Problem {
                    place: target.place.clone(),
                    entry: format!(":{port}"),
                    reason,
                });
                continue;
            }
        };
        let text = address.to_string();
        if !list.contains(&text) {
            list.push(text);
        }
    }
    list
}

fn plan_bridge(
    name: String,
    [net_flow, s_flow, ipfix]: &[Vec<String>; 3],
    tuning: &ExportProfileSpec,
    node: &NodeFacts,
    exporter_id: &dyn Fn(&str) -> u32,
) -> BridgeExport {
    let exporter_id = exporter_id(&name);
    let some = |targets: &Vec<String>| Some(targets.clone()).filter(|t| !t.is_empty());
    BridgeExport {
        net_flow: some(net_flow).map(|targets| plan_net_flow(targets, tuning, exporter_id)),
        s_flow: some(s_flow).map(|targets| plan_s_flow(targets, tuning, node)),
        ipfix: some(ipfix).and_then(|targets| plan_ipfix(targets, tuning, exporter_id)),
        name,
        exporter_id,
    }
}

fn plan_net_flow(targets: Vec<String>, tuning: &ExportProfileSpec, exporter_id: u32) -> NetFlowExport {
    let tuning = &tuning.net_flow;
    let (engine_type, engine_id) = netflow_engine(exporter_id);
    NetFlowExport {
        targets,
        active_timeout: Some(tuning.active_timeout.unwrap_or(defaults::NETFLOW_ACTIVE_TIMEOUT)),
        engine_type: Some(tuning.engine_type.unwrap_or(engine_type)),
        engine_id: Some(tuning.engine_id.unwrap_or(engine_id)),
        add_id_to_interface: Some(tuning.add_id_to_interface.unwrap_or(false)),
    }
}

fn plan_s_flow(targets: Vec<String>, tuning: &ExportProfileSpec, node: &NodeFacts) -> SFlowExport {
    let tuning = &tuning.s_flow;
    SFlowExport {
        targets,
        agent: tuning
            .agent
            .clone()
            .or_else(|| node.address.map(|a| a.to_string())),
        sampling: Some(tuning.sampling.unwrap_or(defaults::SAMPLING)),
        polling: Some(tuning.polling.unwrap_or(defaults::SFLOW_POLLING)),
        header: Some(tuning.header.unwrap_or(defaults::SFLOW_HEADER)),
    }
}

/// OVSDB takes no sampling of 0; it means that nothing is sampled, so nothing is
/// exported.
fn plan_ipfix(targets: Vec<String>, tuning: &ExportProfileSpec, exporter_id: u32) -> Option<IpfixExport> {
    let tuning = &tuning.ipfix;
    let sampling = tuning.sampling.unwrap_or(defaults::SAMPLING);
    let timeout = tuning.cache_active_timeout;
    let max_flows = tuning.cache_max_flows;
    (sampling != 0).then(|| IpfixExport {
        targets,
        sampling: Some(sampling),
        obs_domain_id: Some(tuning.obs_domain_id.unwrap_or(exporter_id)),
        obs_point_id: tuning.obs_point_id,
        cache_active_timeout: Some(timeout.unwrap_or(defaults::IPFIX_CACHE_ACTIVE_TIMEOUT)),
        cache_max_flows: Some(max_flows.unwrap_or(defaults::IPFIX_CACHE_MAX_FLOWS)),
        stats_interval: tuning.stats_interval,
        template_interval: Some(
            tuning
                .template_interval
                .unwrap_or(defaults::IPFIX_TEMPLATE_INTERVAL),
        ),
        enable_input_sampling: tuning.enable_input_sampling,
        enable_output_sampling: tuning.enable_output_sampling,
        enable_tunnel_sampling: tuning.enable_tunnel_sampling,
        virtual_obs_id: tuning.virtual_obs_id.clone(),
        interface_names: Vec::new(),
    })
}

#[cfg(test)]
mod tests;
