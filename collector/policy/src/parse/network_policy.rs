//! NetworkPolicy `networking.k8s.io/v1` (validation as of Kubernetes 1.34).

use serde_json::Value;

use super::Reader;
use super::object::Object;
use crate::policy::{
    Direction, IpBlock, NetworkPeer, NetworkPolicy, NetworkPort, NetworkRule, Policy, PortMatch,
};
use crate::selector::Selector;

/// A port entry that could not be understood: matches nothing, and keeps its list from
/// being an empty one, which would match everything.
const NO_PORT: PortMatch = PortMatch::Range(1, 0);

impl Reader {
    pub(super) fn network_policy(&mut self, object: &mut Object<'_>, namespace: &str) -> Option<Policy> {
        let (own, name) = self.metadata(object)?;
        let namespace = if own.is_empty() { namespace.to_owned() } else { own };
        let empty = Value::Object(serde_json::Map::new());
        let mut spec = Object::new(object.field("spec").unwrap_or(&empty), "spec".into(), self);
        let pods = self
            .selector_field(&mut spec, "podSelector")
            .unwrap_or_else(Selector::everything);
        let types = self.policy_types(&mut spec);
        let ingress = self.network_rules(&mut spec, "ingress", "from");
        let egress = self.network_rules(&mut spec, "egress", "to");
        spec.close(self);
        Some(Policy::Network(NetworkPolicy {
            namespace,
            name,
            pods,
            types,
            ingress,
            egress,
        }))
    }

    fn policy_types(&mut self, spec: &mut Object<'_>) -> Vec<Direction> {
        let mut types = Vec::new();
        for (place, value) in spec.list("policyTypes", 2, self) {
            match value.as_str() {
                Some("Ingress") => types.push(Direction::Ingress),
                Some("Egress") => types.push(Direction::Egress),
                _ => self.problem(place, format!("{value} is neither Ingress nor Egress")),
            }
        }
        types
    }

    fn network_rules(
        &mut self,
        spec: &mut Object<'_>,
        name: &'static str,
        peers: &'static str,
    ) -> Vec<NetworkRule> {
        let items = spec.list(name, usize::MAX, self);
        items
            .into_iter()
            .map(|(place, value)| self.network_rule(value, place, peers))
            .collect()
    }

    fn network_rule(&mut self, value: &Value, place: String, peers: &'static str) -> NetworkRule {
        let mut rule = Object::new(value, place, self);
        let listed = rule.list(peers, usize::MAX, self);
        let peers = listed
            .into_iter()
            .map(|(place, peer)| self.network_peer(peer, place))
            .collect();
        let listed = rule.list("ports", usize::MAX, self);
        let ports = listed
            .into_iter()
            .map(|(place, port)| self.network_port(port, place))
            .collect();
        rule.close(self);
        NetworkRule { peers, ports }
    }

    fn network_peer(&mut self, value: &Value, place: String) -> NetworkPeer {
        let mut peer = Object::new(value, place, self);
        let namespaces = self.selector_field(&mut peer, "namespaceSelector");
        let pods = self.selector_field(&mut peer, "podSelector");
        let block = peer.object("ipBlock", self);
        let place = peer.place().to_owned();
        peer.close(self);
        match (namespaces, pods, block) {
            (None, None, None) => {
                self.problem(place, "must have a selector or an ipBlock");
                NetworkPeer::Unknown
            }
            (None, None, Some(block)) => self
                .ip_block(block)
                .map_or(NetworkPeer::Unknown, NetworkPeer::Block),
            (namespaces, pods, None) => NetworkPeer::Pods { namespaces, pods },
            (_, _, Some(_)) => {
                self.problem(place, "may have no selector beside ipBlock");
                NetworkPeer::Unknown
            }
        }
    }

    fn ip_block(&mut self, mut block: Object<'_>) -> Option<IpBlock> {
        let place = block.at("cidr");
        let cidr = self.network(block.field("cidr").unwrap_or(&Value::Null), &place, false);
        let mut except = Some(Vec::new());
        for (place, value) in block.list("except", usize::MAX, self) {
            let network = self.network(value, &place, false);
            if let (Some(cidr), Some(network)) = (cidr, network)
                && (!cidr.contains(&network) || cidr == network)
            {
                self.problem(place, format!("{network} must be within {cidr} and smaller"));
            }
            except = except.zip(network).map(|(mut all, network)| {
                all.push(network);
                all
            });
        }
        block.close(self);
        Some(IpBlock {
            cidr: cidr?,
            except: except?,
        })
    }

    fn network_port(&mut self, value: &Value, place: String) -> NetworkPort {
        let mut port = Object::new(value, place, self);
        let protocol = self.protocol(&mut port);
        let at = port.at("port");
        let first = match port.field("port") {
            None => Some(PortMatch::All),
            Some(Value::String(name)) => self.port_name(name, &at).map(PortMatch::Named),
            Some(_) => port
                .number("port", 1..=u16::MAX, self)
                .map(|n| PortMatch::Range(n, n)),
        };
        let end = port.number("endPort", 1..=u16::MAX, self);
        let place = port.at("endPort");
        port.close(self);
        let matched = match (first, end) {
            (first, None) => first,
            (Some(PortMatch::Range(start, _)), Some(end)) if start <= end => {
                Some(PortMatch::Range(start, end))
            }
            (_, Some(_)) => {
                self.problem(place, "needs a number as port that is not greater");
                None
            }
        };
        match (protocol, matched) {
            (Some(protocol), Some(port)) => NetworkPort { protocol, port },
            _ => NetworkPort {
                protocol: crate::facts::Protocol::Tcp,
                port: NO_PORT,
            },
        }
    }
}
