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
        self.endpoints.insert(endpoint, timeline);
    }

    fn remove(&mut self, endpoint: &Endpoint) {
        self.endpoints.remove(endpoint);
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
}
