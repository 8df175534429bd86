//! Random clusters, policies and connections, the same ones for the same seed.

use std::net::IpAddr;

use weir_policy::facts::{NamedPort, Namespace, Node, PROTOCOLS, Pod};
use weir_policy::policy::{
    Action, BASELINE_ADMIN_PRIORITY, ClusterPeer, ClusterPods, ClusterPolicy, ClusterPort, ClusterRule,
    Direction, ForeignPolicy, IpBlock, NetworkPeer, NetworkPolicy, NetworkPort, NetworkRule, Policy,
    PolicyKind, PortMatch, Tier,
};
use weir_policy::selector::{Labels, Operator, Requirement, Selector};
use weir_policy::{Cluster, Cni, Profile};

use crate::naive::{Call, End};

const NAMESPACES: [&str; 4] = ["x", "y", "z", "ovn-host-network"];
const NODES: [&str; 3] = ["n1", "n2", "n3"];
const KEYS: [&str; 3] = ["app", "tier", "k"];
const VALUES: [&str; 4] = ["a", "b", "c", ""];
const PORT_NAMES: [&str; 3] = ["http", "dns", "db"];
const PORTS: [u16; 7] = [53, 80, 81, 82, 443, 8080, 65_535];
const NETWORKS: [&str; 12] = [
    "0.0.0.0/0",
    "10.0.0.0/8",
    "10.1.0.0/16",
    "10.1.1.0/24",
    "10.1.1.0/30",
    "10.1.2.0/24",
    "203.0.113.0/24",
    "203.0.113.64/26",
    "192.168.0.0/24",
    "::/0",
    "fd00::/16",
    "fd00::1:0/112",
];
const DOMAINS: [&str; 3] = ["*.example.com", "a.example.com", "example.com"];

/// SplitMix64.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    pub fn chance(&mut self, of_100: usize) -> bool {
        self.below(100) < of_100
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    fn some<T>(&mut self, most: usize, mut make: impl FnMut(&mut Random) -> T) -> Vec<T> {
        (0..self.below(most + 1)).map(|_| make(self)).collect()
    }

    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        (1..items.len())
            .rev()
            .for_each(|at| items.swap(at, self.below(at + 1)));
    }

    pub fn profile(&mut self) -> Profile {
        let cni = *self.pick(&[Cni::Spec, Cni::OvnKubernetes, Cni::Antrea, Cni::KubeOvn]);
        Profile {
            cni,
            allow_icmp: self.chance(50),
            lax: self.chance(50),
            ignore_foreign: self.chance(50),
        }
    }

    pub fn labels(&mut self) -> Labels {
        let mut labels = Labels::new();
        for key in KEYS {
            if self.chance(60) {
                labels.insert(key.into(), self.pick(&VALUES).to_string());
            }
        }
        labels
    }

    pub fn namespace(&mut self) -> Namespace {
        Namespace::new(self.pick::<&str>(&NAMESPACES), self.labels())
    }

    pub fn pod(&mut self, cluster: &Cluster) -> Pod {
        let (namespace, number) = (self.below(NAMESPACES.len()), self.below(4));
        let node = self.pick(&NODES).to_string();
        let host_network = self.chance(15);
        let own = [
            format!("10.1.{namespace}.{number}"),
            format!("fd00::{namespace}:{number}"),
        ];
        let of_node = cluster
            .nodes
            .iter()
            .find(|n| n.name == node)
            .map(|n| n.addresses.clone());
        Pod {
            namespace: NAMESPACES[namespace].into(),
            name: format!("p{number}"),
            labels: self.labels(),
            addresses: match (host_network, of_node) {
                (true, Some(addresses)) => addresses,
                _ => own.iter().map(|address| address.parse().unwrap()).collect(),
            },
            ports: self.some(3, |r| NamedPort {
                name: r.pick(&PORT_NAMES).to_string(),
                protocol: *r.pick(&PROTOCOLS),
                number: *r.pick(&PORTS),
            }),
            host_network,
            node,
            finished: self.chance(5),
        }
    }

    pub fn node(&mut self) -> Node {
        let number = self.below(NODES.len());
        let management = format!("10.1.200.{number}").parse().unwrap();
        Node {
            name: NODES[number].into(),
            labels: self.labels(),
            addresses: vec![format!("192.168.0.{number}").parse().unwrap()],
            management: if self.chance(80) {
                vec![management]
            } else {
                Vec::new()
            },
        }
    }

    pub fn selector(&mut self) -> Selector {
        if self.chance(3) {
            return Selector::Unreadable;
        }
        Selector::Requirements(self.some(2, |r| {
            let values = vec![r.pick(&VALUES).to_string(), r.pick(&VALUES).to_string()];
            let operator = match r.below(5) {
                0 | 1 => Operator::In(values),
                2 => Operator::NotIn(values),
                3 => Operator::Exists,
                _ => Operator::DoesNotExist,
            };
            Requirement {
                key: r.pick(&KEYS).to_string(),
                operator,
            }
        }))
    }

    fn port(&mut self) -> PortMatch {
        let (first, last) = (*self.pick(&PORTS), *self.pick(&PORTS));
        match self.below(5) {
            0 => PortMatch::All,
            1 => PortMatch::Range(first, first),
            2 => PortMatch::Range(first.min(last), first.max(last)),
            3 => PortMatch::Range(first, last),
            _ => PortMatch::Named(self.pick(&PORT_NAMES).to_string()),
        }
    }

    pub fn block(&mut self) -> IpBlock {
        let parse = |text: &str| text.parse::<ipnet::IpNet>().unwrap();
        let cidr = parse(self.pick::<&str>(&NETWORKS));
        let except = self.some(2, |r| parse(r.pick::<&str>(&NETWORKS)));
        IpBlock {
            cidr,
            except: except
                .into_iter()
                .filter(|e| cidr.contains(e) && *e != cidr)
                .collect(),
        }
    }

    fn network_peer(&mut self) -> NetworkPeer {
        match self.below(10) {
            0 => NetworkPeer::Unknown,
            1..=3 => NetworkPeer::Block(self.block()),
            4 => NetworkPeer::Pods {
                namespaces: Some(self.selector()),
                pods: None,
            },
            5 => NetworkPeer::Pods {
                namespaces: Some(self.selector()),
                pods: Some(self.selector()),
            },
            _ => NetworkPeer::Pods {
                namespaces: None,
                pods: Some(self.selector()),
            },
        }
    }

    pub fn network_rule(&mut self) -> NetworkRule {
        NetworkRule {
            peers: self.some(3, Random::network_peer),
            ports: self.some(2, |r| NetworkPort {
                protocol: *r.pick(&PROTOCOLS),
                port: r.port(),
            }),
        }
    }

    pub fn network_policy(&mut self) -> Policy {
        let directions = [Direction::Ingress, Direction::Egress];
        Policy::Network(NetworkPolicy {
            namespace: self.pick(&NAMESPACES).to_string(),
            name: format!("np{}", self.below(6)),
            pods: self.selector(),
            types: self.some(2, |r| *r.pick(&directions)),
            ingress: self.some(3, Random::network_rule),
            egress: self.some(3, Random::network_rule),
        })
    }

    fn cluster_pods(&mut self) -> ClusterPods {
        let pods = self.chance(50).then(|| self.selector());
        ClusterPods {
            namespaces: self.selector(),
            pods,
        }
    }

    fn cluster_rule(&mut self, direction: Direction) -> ClusterRule {
        let peers = (0..=self.below(2)).map(|_| match (self.below(10), direction) {
            (0, _) => ClusterPeer::Unknown,
            (1 | 2, Direction::Egress) => ClusterPeer::Nodes(self.selector()),
            (3 | 4, Direction::Egress) => ClusterPeer::Networks(vec![self.block().cidr]),
            (5, Direction::Egress) => ClusterPeer::DomainNames(vec![self.pick(&DOMAINS).to_string()]),
            _ => ClusterPeer::Pods(self.cluster_pods()),
        });
        let peers = peers.collect();
        let port = |r: &mut Random| match r.port() {
            PortMatch::Named(name) => ClusterPort {
                protocol: None,
                port: PortMatch::Named(name),
            },
            port => ClusterPort {
                protocol: Some(*r.pick(&PROTOCOLS)),
                port,
            },
        };
        ClusterRule {
            name: String::new(),
            action: *self.pick(&[Action::Accept, Action::Deny, Action::Pass]),
            peers,
            ports: self.some(2, port),
        }
    }

    pub fn cluster_policy(&mut self) -> Policy {
        let (kind, tier, name) = match self.below(4) {
            0 => (
                PolicyKind::AdminNetworkPolicy,
                Tier::Admin,
                format!("a{}", self.below(3)),
            ),
            1 => (
                PolicyKind::BaselineAdminNetworkPolicy,
                Tier::Baseline,
                "default".into(),
            ),
            2 => (
                PolicyKind::ClusterNetworkPolicy,
                Tier::Baseline,
                format!("b{}", self.below(3)),
            ),
            _ => (
                PolicyKind::ClusterNetworkPolicy,
                Tier::Admin,
                format!("c{}", self.below(3)),
            ),
        };
        let is_baseline = kind == PolicyKind::BaselineAdminNetworkPolicy;
        Policy::Cluster(ClusterPolicy {
            kind,
            name,
            tier,
            priority: if is_baseline {
                BASELINE_ADMIN_PRIORITY
            } else {
                self.below(3) as u16
            },
            subject: self.cluster_pods(),
            ingress: self.some(2, |r| r.cluster_rule(Direction::Ingress)),
            egress: self.some(3, |r| r.cluster_rule(Direction::Egress)),
        })
    }

    pub fn foreign_policy(&mut self) -> Policy {
        Policy::Foreign(ForeignPolicy {
            kind: "EgressFirewall".into(),
            namespace: self.pick(&NAMESPACES).to_string(),
            name: "foreign".into(),
            namespaces: None,
            pods: self.selector(),
        })
    }

    pub fn policy(&mut self) -> Policy {
        match self.below(20) {
            0 => self.foreign_policy(),
            1..=8 => self.cluster_policy(),
            _ => self.network_policy(),
        }
    }

    /// A cluster with that many policies at most.
    pub fn cluster(&mut self, policies: usize) -> Cluster {
        let mut cluster = Cluster::default();
        for _ in 0..self.below(12) {
            put(&mut cluster.nodes, self.node(), |node| node.name.clone());
        }
        for _ in 0..self.below(8) {
            put(&mut cluster.namespaces, self.namespace(), |namespace| {
                namespace.name.clone()
            });
        }
        for _ in 0..self.below(16) + 2 {
            let pod = self.pod(&cluster);
            put(&mut cluster.pods, pod, |pod| {
                (pod.namespace.clone(), pod.name.clone())
            });
        }
        for _ in 0..self.below(policies + 1) {
            put(&mut cluster.policies, self.policy(), Policy::key);
        }
        cluster
    }

    pub fn end(&mut self, cluster: &Cluster) -> End {
        let outside = [
            "203.0.113.1",
            "203.0.113.70",
            "8.8.8.8",
            "2001:db8::1",
            "10.1.1.99",
            "fd00::1:99",
        ];
        let pods: Vec<&Pod> = cluster
            .pods
            .iter()
            .filter(|pod| !pod.finished && !pod.host_network)
            .collect();
        match self.below(10) {
            0 => End::Outside(self.pick(&outside).parse().unwrap()),
            1 if !cluster.nodes.is_empty() => {
                let node = self.pick(&cluster.nodes);
                let addresses: Vec<IpAddr> = node.addresses.iter().chain(&node.management).copied().collect();
                End::Node {
                    name: node.name.clone(),
                    address: *self.pick(&addresses),
                }
            }
            _ if pods.is_empty() => End::Outside(self.pick(&outside).parse().unwrap()),
            _ => {
                let pod = self.pick(&pods);
                let (namespace, name) = (pod.namespace.clone(), pod.name.clone());
                End::Pod {
                    namespace,
                    name,
                    address: *self.pick(&pod.addresses),
                }
            }
        }
    }

    pub fn call(&mut self, cluster: &Cluster) -> Call {
        let protocol = *self.pick(&[6, 6, 6, 17, 17, 132, 1, 58, 47]);
        let port = match protocol {
            1 | 58 => *self.pick(&[0u16, 2048, 769, 32_768]),
            _ => *self.pick(&[1, 53, 80, 81, 82, 83, 443, 8080, 65_535, 68]),
        };
        let names = ["a.example.com", "example.com", "b.a.example.com", "other.net"];
        let domains = self
            .chance(50)
            .then(|| self.some(2, |r| r.pick(&names).to_string()));
        let (client, server) = (self.end(cluster), self.end(cluster));
        Call {
            client,
            server,
            protocol,
            port,
            through_service: self.chance(10),
            domains,
        }
    }
}

/// Adds an object or replaces the one with its key.
pub fn put<T, K: PartialEq>(objects: &mut Vec<T>, object: T, key: impl Fn(&T) -> K) {
    objects.retain(|other| key(other) != key(&object));
    objects.push(object);
}
