//! Weir's own collector as the controller knows it: by which addresses nodes reach it, and
//! what a node is to send there. Pure.
//!
//! It is known by its Service: ClusterIPs and external addresses with the Service's ports,
//! and node ports on the addresses of any node. Where nodes reach it by other addresses (host
//! network, a proxy before it), those are named on the command line, with a port where
//! somebody else listens at the same address. A target that is none of these is
//! somebody else's, and nobody is asked about it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{AddrParseError, IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;

use k8s_openapi::api::core::v1::Service;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use weir_api::{BridgeExport, NodeFlowExport, NodeFlowExportSpec, Protocol};

/// The label by which an EndpointSlice names its Service.
pub const SERVICE_LABEL: &str = "kubernetes.io/service-name";

/// Seconds between sFlow's counter samples where nothing else is asked for
/// (`SFL_DEFAULT_POLLING_INTERVAL` of OVS).
const SFLOW_POLLING: u32 = 30;
/// Counter samples in a row that chance may take.
const SFLOW_CHANCES: u32 = 3;
/// sFlow that does not come for less than this is no finding.
const SFLOW_PATIENCE: Duration = Duration::from_secs(120);
/// The same of IPFIX datagrams that OVS counts as sent: the node tells of them as an average
/// of a minute, and no more often than each one to two minutes.
const IPFIX_PATIENCE: Duration = Duration::from_secs(300);

/// Which collector is Weir's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CollectorSettings {
    /// Namespace and name of its Service; `None`: no collector is asked.
    pub service: Option<(String, String)>,
    /// Addresses by which nodes reach it beside those of the Service.
    pub addresses: Vec<DeclaredAddress>,
}

/// An address of the collector that its Service does not have: `ADDR` or `ADDR:PORT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeclaredAddress {
    address: IpAddr,
    /// `None`: whatever is sent there is sent to it.
    port: Option<u16>,
}

impl DeclaredAddress {
    fn is(self, target: SocketAddr) -> bool {
        self.address == target.ip() && self.port.is_none_or(|port| port == target.port())
    }
}

impl FromStr for DeclaredAddress {
    type Err = AddrParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if let Ok(both) = text.parse::<SocketAddr>() {
            return Ok(Self {
                address: both.ip(),
                port: Some(both.port()),
            });
        }
        let address = text.parse()?;
        Ok(Self { address, port: None })
    }
}

/// Where the Service is reached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CollectorAddresses {
    addresses: BTreeSet<IpAddr>,
    /// At these addresses.
    ports: BTreeSet<u16>,
    /// On any node's address.
    node_ports: BTreeSet<u16>,
}

impl CollectorAddresses {
    /// Those of its Service.
    pub fn of(service: &Service) -> Self {
        let spec = service.spec.as_ref();
        let own = spec
            .into_iter()
            .flat_map(|spec| spec.cluster_ip.iter().chain(spec.cluster_ips.iter().flatten()));
        let external = spec
            .into_iter()
            .flat_map(|spec| spec.external_ips.iter().flatten());
        let balancer = service.status.as_ref().and_then(|s| s.load_balancer.as_ref());
        let ingress = balancer.and_then(|b| b.ingress.as_ref()).into_iter().flatten();
        let texts = own.chain(external).chain(ingress.filter_map(|i| i.ip.as_ref()));
        let ports = spec.and_then(|spec| spec.ports.as_ref()).into_iter().flatten();
        let ports: Vec<_> = ports.collect();
        Self {
            addresses: texts.filter_map(|text| text.parse().ok()).collect(),
            ports: ports
                .iter()
                .filter_map(|port| u16::try_from(port.port).ok())
                .collect(),
            node_ports: ports
                .iter()
                .filter_map(|port| u16::try_from(port.node_port?).ok())
                .collect(),
        }
    }

    /// Whether a target `ADDRESS:PORT` is the collector. `declared`: its other addresses;
    /// `is_node`: whether that is a node's address.
    pub fn contain(
        &self,
        target: &str,
        declared: &[DeclaredAddress],
        is_node: impl Fn(IpAddr) -> bool,
    ) -> bool {
        let Ok(target) = target.parse::<SocketAddr>() else {
            return false;
        };
        let address = target.ip();
        (self.addresses.contains(&address) && self.ports.contains(&target.port()))
            || declared.iter().any(|declared| declared.is(target))
            || (self.node_ports.contains(&target.port()) && is_node(address))
    }
}

/// How many replicas an EndpointSlice of the collector's Service names, by address family.
pub fn read_replicas(slice: EndpointSlice) -> (String, usize) {
    let serves = |ready: Option<bool>| ready != Some(false);
    let ready = slice
        .endpoints
        .iter()
        .filter(|e| e.conditions.as_ref().is_none_or(|c| serves(c.ready)));
    (slice.address_type, ready.count())
}

/// The replicas that slices name together: a replica has an address of each family.
pub fn replicas<'a>(slices: impl Iterator<Item = &'a (String, usize)>) -> usize {
    let mut by_family = BTreeMap::<&str, usize>::new();
    for (family, replicas) in slices {
        *by_family.entry(family).or_default() += replicas;
    }
    by_family.into_values().max().unwrap_or(0)
}

/// A format that a node is to send to the collector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExpectedFormat {
    /// The format.
    pub protocol: Protocol,
    /// It is certain that datagrams leave the node; when they have not come for so long,
    /// they are lost on the way. `None`: a node without traffic sends none.
    pub certain_within: Option<Duration>,
}

/// What a node is to send to the collector, whose targets `is_collector` tells.
///
/// | format | datagrams that must come |
/// |---|---|
/// | sFlow | counter samples of each port, whatever the traffic, unless polling is off |
/// | IPFIX | those that OVS counts as sent: without traffic it sends not even templates |
/// | NetFlow | none: it is silent without traffic, and OVS counts nothing |
pub fn expected(export: &NodeFlowExport, is_collector: impl Fn(&str) -> bool) -> Vec<ExpectedFormat> {
    let sends = |bridge: &&BridgeExport, protocol| {
        let targets = bridge.targets(protocol).unwrap_or_default();
        targets.iter().any(|target| is_collector(target))
    };
    let formats = Protocol::ALL.into_iter().filter_map(|protocol| {
        let bridges = export.spec.bridges.iter();
        let bridges: Vec<_> = bridges.filter(|bridge| sends(bridge, protocol)).collect();
        let certain_within = match protocol {
            Protocol::SFlow => counter_samples(&bridges),
            Protocol::Ipfix => datagrams_sent(export, &bridges),
            Protocol::NetFlow => None,
        };
        (!bridges.is_empty()).then_some(ExpectedFormat {
            protocol,
            certain_within,
        })
    });
    formats.collect()
}

/// Whether anything of a spec goes to the collector.
pub fn is_asked_for(spec: &NodeFlowExportSpec, is_collector: impl Fn(&str) -> bool) -> bool {
    let targets = spec
        .bridges
        .iter()
        .flat_map(|bridge| Protocol::ALL.map(|protocol| bridge.targets(protocol).unwrap_or_default()));
    targets.flatten().any(|target| is_collector(target))
}

fn counter_samples(bridges: &[&BridgeExport]) -> Option<Duration> {
    let polling = bridges.iter().filter_map(|bridge| bridge.s_flow.as_ref());
    let polling = polling.map(|row| row.polling.unwrap_or(SFLOW_POLLING));
    let shortest = polling.filter(|seconds| *seconds > 0).min()?;
    let seconds = u64::from(shortest) * u64::from(SFLOW_CHANCES);
    Some(Duration::from_secs(seconds).max(SFLOW_PATIENCE))
}

/// OVS counts for all bridges and targets together.
fn datagrams_sent(export: &NodeFlowExport, bridges: &[&BridgeExport]) -> Option<Duration> {
    let all = export.spec.bridges.iter().filter(|bridge| bridge.ipfix.is_some());
    let cost = export.status.as_ref()?.cost?;
    let sends = cost.datagrams_per_second? > 0;
    (sends && all.count() == bridges.len()).then_some(IPFIX_PATIENCE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::object;
    use serde_json::{Value, json};

    #[test]
    fn the_collector_is_known_by_addresses_with_ports_of_its_service_and_by_node_ports_on_nodes_alone() {
        let service = object(json!({
            "spec": {"clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9", "fd00::9"], "externalIPs": ["192.0.2.4"],
                "ports": [{"port": 4739, "nodePort": 30_739}, {"port": 2055, "protocol": "UDP"}]},
            "status": {"loadBalancer": {"ingress": [{"ip": "198.51.100.7"}, {"hostname": "x"}]}},
        }));
        let known = CollectorAddresses::of(&service);
        let declared =
            ["203.0.113.1", "203.0.113.2:2055", "[fd00::2]:6343"].map(|text| text.parse().unwrap());
        let is = |target: &str| known.contain(target, &declared, |a| a.to_string() == "10.0.0.1");
        for target in [
            "10.96.0.9:4739",
            "[fd00::9]:4739",
            "192.0.2.4:2055",
            "198.51.100.7:2055",
            "203.0.113.1:9",
            "203.0.113.2:2055",
            "[fd00::2]:6343",
            "10.0.0.1:30739",
        ] {
            assert!(is(target), "{target}");
        }
        for target in [
            "10.0.0.1:4739",
            "192.0.2.9:30739",
            "10.96.0.1:4739",
            // Somebody else's at an address of ours.
            "192.0.2.4:6344",
            "203.0.113.2:2056",
            "[fd00::2]:2055",
            "nonsense",
            "",
        ] {
            assert!(!is(target), "{target}");
        }
        let headless = object(json!({"spec": {"clusterIP": "None"}}));
        assert_eq!(CollectorAddresses::of(&headless), CollectorAddresses::default());
    }

    #[test]
    fn a_replica_with_two_addresses_is_one() {
        let slice = |family: &str, ready: &[bool]| {
            let endpoint = |ready| json!({"addresses": ["x"], "conditions": {"ready": ready}});
            let endpoints: Vec<Value> = ready.iter().map(endpoint).collect();
            read_replicas(object(json!({"addressType": family, "endpoints": endpoints})))
        };
        let both = [slice("IPv4", &[true]), slice("IPv6", &[true])];
        assert_eq!(replicas(both.iter()), 1);
        let two = [slice("IPv4", &[true, false]), slice("IPv4", &[true])];
        assert_eq!(replicas(two.iter()), 2);
        assert_eq!(replicas([].iter()), 0);
    }

    #[test]
    fn what_must_come_is_what_the_switch_sends_for_certain() {
        let expect = |bridges: Value, sent: Option<u32>| {
            let export: NodeFlowExport = object(json!({
                "apiVersion": "weir.dev/v1alpha1", "kind": "NodeFlowExport", "metadata": {"name": "a"},
                "spec": {"bridges": bridges}, "status": {"cost": {"datagramsPerSecond": sent}},
            }));
            expected(&export, |target| target == "ours:1")
                .into_iter()
                .map(|format| (format.protocol, format.certain_within.map(|t| t.as_secs())))
                .collect::<Vec<_>>()
        };
        let ours = json!({"targets": ["theirs:1", "ours:1"]});
        let theirs = json!({"targets": ["theirs:1"]});
        let polling = |seconds| json!([{"name": "b", "sFlow": {"targets": ["ours:1"], "polling": seconds}}]);
        for (bridges, sent, formats) in [
            (
                json!([{"name": "b", "netFlow": ours}]),
                Some(9),
                vec![(Protocol::NetFlow, None)],
            ),
            (json!([{"name": "b", "netFlow": theirs}]), None, vec![]),
            (polling(0), None, vec![(Protocol::SFlow, None)]),
            (polling(10), None, vec![(Protocol::SFlow, Some(120))]),
            (polling(600), None, vec![(Protocol::SFlow, Some(1_800))]),
            (
                json!([{"name": "b", "ipfix": ours}]),
                None,
                vec![(Protocol::Ipfix, None)],
            ),
            (
                json!([{"name": "b", "ipfix": ours}]),
                Some(0),
                vec![(Protocol::Ipfix, None)],
            ),
            (
                json!([{"name": "b", "ipfix": ours}]),
                Some(1),
                vec![(Protocol::Ipfix, Some(300))],
            ),
            (
                json!([{"name": "b", "ipfix": ours}, {"name": "c", "ipfix": theirs}]),
                Some(1),
                vec![(Protocol::Ipfix, None)],
            ),
        ] {
            assert_eq!(expect(bridges.clone(), sent), formats, "{bridges}");
        }
    }
}
