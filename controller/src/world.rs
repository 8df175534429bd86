//! The world as the watches show it, reduced to what decisions read. It owns
//! no I/O: a watch event goes in, how much it matters comes out.

use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;

use k8s_openapi::api::core::v1::{ConfigMap, Node, Service};
use kube::core::DeserializeGuard;
use kube::runtime::watcher::Event;
use kube::{Resource, ResourceExt};
use weir_api::network::CLUSTER;
use weir_api::plan::{NodeFacts, named_services};
use weir_api::{Condition, ExportNetworkFlows, ExportProfile, Network, NodeFlowExport, flows_config};

use crate::rollup;
use crate::table::{Change, Table, key_of};

/// One event of one watch.
#[allow(
    clippy::large_enum_variant,
    reason = "each is passed on once; a box for each event would cost more"
)]
pub enum Sight {
    /// A `Network`.
    Network(Event<DeserializeGuard<Network>>),
    /// An `ExportProfile`.
    Profile(Event<DeserializeGuard<ExportProfile>>),
    /// The ConfigMap with IPFIX tuning.
    FlowsConfig(Event<DeserializeGuard<ConfigMap>>),
    /// A `Node`.
    Node(Event<DeserializeGuard<Node>>),
    /// A `NodeFlowExport`.
    Export(Event<DeserializeGuard<NodeFlowExport>>),
    /// A `Service`.
    Service(Event<DeserializeGuard<Service>>),
}

/// What counts of the `Network`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NetworkFacts {
    /// `metadata.generation`.
    pub generation: Option<i64>,
    /// `spec.exportNetworkFlows`.
    pub flows: Option<ExportNetworkFlows>,
    /// Conditions of ours in its status.
    pub conditions: Vec<Condition>,
}

/// What counts of a `Node`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NodeRecord {
    /// `metadata.uid`, for the ownerReference.
    pub uid: String,
    /// Labels, which profiles select by.
    pub labels: BTreeMap<String, String>,
    /// Name and address, which the planner takes.
    pub facts: NodeFacts,
}

/// The address of a Service, or in words why it has none.
pub type ServiceAddress = Result<IpAddr, &'static str>;

/// How many uids of deleted `NodeFlowExport`s are remembered.
const REMEMBERED_DELETIONS: usize = 1024;

/// Everything that was gathered.
#[derive(Debug, Default)]
pub struct World {
    networks: Table<NetworkFacts>,
    profiles: Table<ExportProfile>,
    flows_configs: Table<BTreeMap<String, String>>,
    nodes: Table<NodeRecord>,
    exports: Table<NodeFlowExport>,
    services: Table<ServiceAddress>,
    /// Uids of `NodeFlowExport`s that are gone, so that the late answer to a
    /// write does not bring one back.
    deleted: VecDeque<String>,
}

impl World {
    /// Takes an event in and says what it may have changed.
    pub fn see(&mut self, sight: Sight) -> Change {
        match sight {
            Sight::Network(event) => self.networks.apply(event, read_network, weigh_network),
            Sight::Profile(event) => self.profiles.apply(event, strip_profile, weigh_profile),
            Sight::FlowsConfig(event) => {
                self.flows_configs
                    .apply(event, |map| map.data.unwrap_or_default(), weigh_plan)
            }
            Sight::Node(event) => self.nodes.apply(event, read_node, weigh_plan),
            Sight::Export(event) => self.see_export(event),
            Sight::Service(event) => self.see_service(event),
        }
    }

    fn see_export(&mut self, event: Event<DeserializeGuard<NodeFlowExport>>) -> Change {
        match &event {
            Event::Apply(object) if self.is_outdated(object) => return Change::Nothing,
            Event::Delete(object) => self.remember_deletion(object),
            _ => {}
        }
        self.exports.apply(event, strip_export, weigh_export)
    }

    /// A watch lags behind the answers to our own writes; what it shows of
    /// older generations is no news.
    fn is_outdated(&self, object: &DeserializeGuard<NodeFlowExport>) -> bool {
        let Some(known) = self.exports.named(&object.name_any()) else {
            return false;
        };
        known.uid() == object.uid() && known.metadata.generation > object.meta().generation
    }

    fn remember_deletion(&mut self, object: &DeserializeGuard<NodeFlowExport>) {
        if self.deleted.len() == REMEMBERED_DELETIONS {
            self.deleted.pop_front();
        }
        self.deleted.extend(object.uid());
    }

    fn see_service(&mut self, event: Event<DeserializeGuard<Service>>) -> Change {
        let unnamed = match &event {
            Event::Apply(service) | Event::Delete(service) => !self.names(&key_of(service)),
            _ => false,
        };
        let change = self.services.apply(event, read_service, weigh_plan);
        if unnamed { Change::Nothing } else { change }
    }

    /// Whether the configuration names that Service.
    fn names(&self, (namespace, name): &(String, String)) -> bool {
        let config = self.flows_config().and_then(|data| flows_config::parse(data).0);
        let nothing = ExportNetworkFlows::default();
        named_services(self.flows().unwrap_or(&nothing), config.as_ref())
            .iter()
            .any(|service| service.namespace == *namespace && service.name == *name)
    }

    /// Takes in the answer to a write, which the watch will show later. Where
    /// the watch was faster, its view stays: its status may be newer.
    pub fn wrote(&mut self, answer: NodeFlowExport) {
        let known = self.exports.named(&answer.name_any());
        let newer = known.is_none_or(|known| {
            known.uid() != answer.uid() || known.metadata.generation < answer.metadata.generation
        });
        let deleted = answer.uid().is_some_and(|uid| self.deleted.contains(&uid));
        if newer && !deleted {
            self.exports.insert(key_of(&answer), strip_export(answer));
        }
    }

    /// Kinds that were not listed to the end yet.
    pub fn missing(&self) -> Vec<&'static str> {
        let kinds = [
            ("networks", self.networks.synced()),
            ("exportprofiles", self.profiles.synced()),
            ("configmaps", self.flows_configs.synced()),
            ("nodes", self.nodes.synced()),
            ("nodeflowexports", self.exports.synced()),
            ("services", self.services.synced()),
        ];
        kinds
            .into_iter()
            .filter(|(_, synced)| !synced)
            .map(|(kind, _)| kind)
            .collect()
    }

    /// The `Network` that counts.
    pub fn network(&self) -> Option<&NetworkFacts> {
        self.networks.named(CLUSTER)
    }

    /// What that `Network` asks for.
    pub fn flows(&self) -> Option<&ExportNetworkFlows> {
        self.network().and_then(|network| network.flows.as_ref())
    }

    /// All profiles.
    pub fn profiles(&self) -> impl Iterator<Item = &ExportProfile> + Clone {
        let rows: Vec<_> = self.profiles.rows().collect();
        rows.into_iter()
    }

    /// The data of the ConfigMap, if it exists.
    pub fn flows_config(&self) -> Option<&BTreeMap<String, String>> {
        self.flows_configs
            .within(flows_config::NAMESPACE, flows_config::NAME)
    }

    /// All nodes by name.
    pub fn nodes(&self) -> impl Iterator<Item = &NodeRecord> {
        self.nodes.rows()
    }

    /// A node.
    pub fn node(&self, name: &str) -> Option<&NodeRecord> {
        self.nodes.named(name)
    }

    /// All `NodeFlowExport`s by name.
    pub fn exports(&self) -> impl Iterator<Item = &NodeFlowExport> {
        self.exports.rows()
    }

    /// The `NodeFlowExport` of a node.
    pub fn export(&self, node: &str) -> Option<&NodeFlowExport> {
        self.exports.named(node)
    }

    /// The address of a Service, or why it has none.
    pub fn service(&self, namespace: &str, name: &str) -> ServiceAddress {
        self.services
            .within(namespace, name)
            .copied()
            .unwrap_or(Err("names a Service that does not exist"))
    }
}

fn read_network(network: Network) -> NetworkFacts {
    let mut conditions = network.status.unwrap_or_default().conditions;
    conditions.retain(|condition| rollup::KINDS.contains(&condition.type_.as_str()));
    NetworkFacts {
        generation: network.metadata.generation,
        flows: network.spec.export_network_flows,
        conditions,
    }
}

fn read_node(node: Node) -> NodeRecord {
    let name = node.name_any();
    let addresses = node.status.and_then(|s| s.addresses).unwrap_or_default();
    let first = |kind: &str| {
        let of_kind = addresses.iter().filter(|a| a.type_ == kind);
        of_kind.filter_map(|a| a.address.parse().ok()).next()
    };
    let address = first("InternalIP").or_else(|| first("ExternalIP"));
    NodeRecord {
        uid: node.metadata.uid.unwrap_or_default(),
        labels: node.metadata.labels.unwrap_or_default(),
        facts: NodeFacts { name, address },
    }
}

fn read_service(service: Service) -> ServiceAddress {
    let spec = service.spec.unwrap_or_default();
    if spec.type_.as_deref() == Some("ExternalName") {
        return Err("names an ExternalName Service, which has no address");
    }
    match spec.cluster_ip.as_deref() {
        Some("None") => Err("names a headless Service, which has no address of its own"),
        Some(address) => address
            .parse()
            .map_err(|_| "names a Service that has no ClusterIP yet"),
        None => Err("names a Service that has no ClusterIP yet"),
    }
}

fn strip_profile(mut profile: ExportProfile) -> ExportProfile {
    profile.metadata = kube::core::ObjectMeta {
        name: profile.metadata.name.take(),
        ..Default::default()
    };
    profile
}

fn strip_export(mut export: NodeFlowExport) -> NodeFlowExport {
    export.metadata.managed_fields = None;
    // Differs with each status, and nobody reads it.
    export.metadata.resource_version = None;
    export
}

fn weigh_plan<V: PartialEq>(before: Option<&V>, after: Option<&V>) -> Change {
    if before == after {
        Change::Nothing
    } else {
        Change::Plan
    }
}

fn weigh_profile(before: Option<&ExportProfile>, after: Option<&ExportProfile>) -> Change {
    weigh_plan(before.map(|p| &p.spec), after.map(|p| &p.spec))
}

fn weigh_network(before: Option<&NetworkFacts>, after: Option<&NetworkFacts>) -> Change {
    if before == after {
        return Change::Nothing;
    }
    let flows = |facts: Option<&NetworkFacts>| facts.and_then(|f| f.flows.clone());
    if flows(before) == flows(after) {
        Change::Report
    } else {
        Change::Plan
    }
}

fn weigh_export(before: Option<&NodeFlowExport>, after: Option<&NodeFlowExport>) -> Change {
    match (before, after) {
        (Some(before), Some(after)) if before.metadata == after.metadata && before.spec == after.spec => {
            if before.status == after.status {
                Change::Nothing
            } else {
                Change::Report
            }
        }
        (None, None) => Change::Nothing,
        _ => Change::Plan,
    }
}

#[cfg(test)]
mod tests;
