//! The Services by the addresses and ports that they have or stand before.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use super::shards::Shards;
use super::time::Timeline;

/// An address and port that a Service has or stands before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Endpoint {
    /// The address.
    pub address: IpAddr,
    /// IANA protocol; 0: all, with port 0.
    pub proto: u8,
    /// The port; 0: all.
    pub port: u16,
}

/// A port that a Service has on every node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodePort {
    /// IANA protocol.
    pub proto: u8,
    /// The port.
    pub port: u16,
}

/// Who had which endpoint and node port, and when.
#[derive(Debug, Clone, Default)]
pub struct Services {
    endpoints: Shards<Endpoint, Timeline>,
    /// What there is at each address in `endpoints`.
    by_address: Shards<IpAddr, EndpointPorts>,
    node_ports: Shards<NodePort, Timeline>,
    ports: PortSet,
    /// Some endpoints have no ports: all of theirs count.
    pub portless: bool,
}

impl Services {
    /// The holders of an address and port: what is for all ports of the address counts
    /// where nothing is for this one.
    pub fn of_endpoint(&self, endpoint: Endpoint) -> Option<&Timeline> {
        let find = |endpoint: &Endpoint| self.endpoints.get(endpoint);
        let named = self.has_port(endpoint.port).then(|| find(&endpoint)).flatten();
        named.or_else(|| {
            let all = |proto| Endpoint {
                proto,
                port: 0,
                ..endpoint
            };
            self.portless
                .then(|| find(&all(endpoint.proto)).or_else(|| find(&all(0))))?
        })
    }

    /// The ports of the endpoints of an address; `None`: it has none.
    pub fn ports_of(&self, address: &IpAddr) -> Option<&EndpointPorts> {
        self.by_address.get(address)
    }

    /// The holders of a port on every node.
    pub fn of_node_port(&self, port: NodePort) -> Option<&Timeline> {
        self.node_ports.get(&port)
    }

    /// Whether some Service has or had this port somewhere. Of the ports that none has,
    /// all are alike.
    pub fn has_port(&self, port: u16) -> bool {
        self.ports.has(port)
    }
}

/// The ports of the endpoints of one address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EndpointPorts {
    /// These, with their protocols, in order.
    Few(Arc<[(u8, u16)]>),
    /// So many that they are not told.
    Many(usize),
}

/// Ports that are told of one address.
const MAX_FEW: usize = 16;

impl EndpointPorts {
    fn add(&self, port: (u8, u16)) -> Self {
        match self {
            Self::Few(known) if known.len() < MAX_FEW => {
                let mut all = [&**known, &[port]].concat();
                all.sort_unstable();
                Self::Few(all.into())
            }
            Self::Few(known) => Self::Many(known.len() + 1),
            Self::Many(known) => Self::Many(known + 1),
        }
    }

    /// `None`: nothing is left.
    fn without(&self, port: (u8, u16)) -> Option<Self> {
        match self {
            Self::Few(known) => {
                let left: Arc<[_]> = known.iter().filter(|other| **other != port).copied().collect();
                (!left.is_empty()).then_some(Self::Few(left))
            }
            Self::Many(1) => None,
            Self::Many(known) => Some(Self::Many(known - 1)),
        }
    }
}

/// What readers see of who had what.
pub trait Published<K> {
    /// These had it.
    fn insert(&mut self, key: K, timeline: Timeline);

    /// Nobody had it.
    fn remove(&mut self, key: &K);
}

impl<K: std::hash::Hash + Eq + Clone> Published<K> for Shards<K, Timeline> {
    fn insert(&mut self, key: K, timeline: Timeline) {
        Self::insert(self, key, timeline);
    }

    fn remove(&mut self, key: &K) {
        Self::remove(self, key);
    }
}

impl Published<Endpoint> for Services {
    fn insert(&mut self, endpoint: Endpoint, timeline: Timeline) {
        self.ports.add(endpoint.port);
        if self.endpoints.get(&endpoint).is_none() {
            let port = (endpoint.proto, endpoint.port);
            let others = self.by_address.get(&endpoint.address);
            let all = others.map_or_else(|| EndpointPorts::Few([port].into()), |others| others.add(port));
            self.by_address.insert(endpoint.address, all);
        }
        self.endpoints.insert(endpoint, timeline);
    }

    fn remove(&mut self, endpoint: &Endpoint) {
        if self.endpoints.get(endpoint).is_none() {
            return;
        }
        self.endpoints.remove(endpoint);
        let others = self.by_address.get(&endpoint.address);
        match others.and_then(|others| others.without((endpoint.proto, endpoint.port))) {
            Some(left) => self.by_address.insert(endpoint.address, left),
            None => self.by_address.remove(&endpoint.address),
        }
    }
}

impl Published<NodePort> for Services {
    fn insert(&mut self, port: NodePort, timeline: Timeline) {
        self.ports.add(port.port);
        self.node_ports.insert(port, timeline);
    }

    fn remove(&mut self, port: &NodePort) {
        self.node_ports.remove(port);
    }
}

/// Ports that something has or had, a bit each. It only grows.
#[derive(Clone, Default)]
struct PortSet(Option<Arc<[u64; 1_024]>>);

impl PortSet {
    fn has(&self, port: u16) -> bool {
        let word = self.0.as_ref().map_or(0, |words| words[usize::from(port / 64)]);
        word >> (port % 64) & 1 == 1
    }

    fn add(&mut self, port: u16) {
        if !self.has(port) {
            let words = self.0.get_or_insert_with(|| Arc::new([0; 1_024]));
            Arc::make_mut(words)[usize::from(port / 64)] |= 1 << (port % 64);
        }
    }
}

impl fmt::Debug for PortSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set()
            .entries((0..=u16::MAX).filter(|port| self.has(*port)))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_that_some_service_has_are_told_from_those_that_none_has() {
        let mut services = Services::default();
        let endpoint = |port| Endpoint {
            address: [10, 0, 0, 1].into(),
            proto: 6,
            port,
        };
        assert!(!services.has_port(80));
        let before = services.clone();
        services.insert(endpoint(80), Timeline::default());
        services.insert(
            NodePort {
                proto: 6,
                port: 65_535,
            },
            Timeline::default(),
        );
        let known: Vec<u16> = (0..=u16::MAX).filter(|port| services.has_port(*port)).collect();
        assert_eq!(known, [80, 65_535]);
        assert!(!before.has_port(80));
        assert!(services.of_endpoint(endpoint(80)).is_some());
        assert!(services.of_endpoint(endpoint(81)).is_none());
        services.remove(&endpoint(80));
        assert!(services.of_endpoint(endpoint(80)).is_none());
    }

    #[test]
    fn the_ports_of_an_address_are_told_while_they_are_few() {
        let mut services = Services::default();
        let address = IpAddr::from([10, 0, 0, 1]);
        let endpoint = |port| Endpoint {
            address,
            proto: 6,
            port,
        };
        let few = |ports: &[u16]| Some(EndpointPorts::Few(ports.iter().map(|port| (6, *port)).collect()));
        assert_eq!(services.ports_of(&address), None);
        for port in [443, 80, 443] {
            services.insert(endpoint(port), Timeline::default());
        }
        assert_eq!(services.ports_of(&address).cloned(), few(&[80, 443]));
        services.remove(&endpoint(81));
        services.remove(&endpoint(443));
        assert_eq!(services.ports_of(&address).cloned(), few(&[80]));
        let many = 1_000..1_000 + MAX_FEW as u16;
        many.clone()
            .for_each(|port| services.insert(endpoint(port), Timeline::default()));
        assert_eq!(
            services.ports_of(&address),
            Some(&EndpointPorts::Many(MAX_FEW + 1))
        );
        many.for_each(|port| services.remove(&endpoint(port)));
        services.remove(&endpoint(80));
        assert_eq!(services.ports_of(&address), None);
    }
}
