//! Rules of policies in words: what they want of peers and ports.

use crate::edges::short;
use crate::facts::Protocol;
use crate::policy::{ClusterPeer, ClusterPods, Direction, IpBlock, NetworkPeer, Policy, PortMatch};
use crate::selector::{Operator, Selector};

/// `8443/tcp`; other protocols by number, without a port.
pub fn port(protocol: u8, port: u16) -> String {
    match Protocol::of(protocol) {
        Some(known) => format!("{port}/{}", known.name().to_lowercase()),
        None => format!("protocol {protocol}"),
    }
}

/// `ingress` or `egress`.
pub fn direction(direction: Direction) -> &'static str {
    match direction {
        Direction::Ingress => "ingress",
        Direction::Egress => "egress",
    }
}

/// What a selector wants: `app=frontend, tier in (a, b), !canary`; `all` where it wants nothing.
pub fn selector(selector: &Selector) -> String {
    let Selector::Requirements(all) = selector else {
        return "nothing (unreadable selector)".to_owned();
    };
    if all.is_empty() {
        return "all".to_owned();
    }
    let words = all.iter().map(|requirement| {
        let key = &requirement.key;
        match &requirement.operator {
            Operator::In(values) if values.len() == 1 => format!("{key}={}", values[0]),
            Operator::In(values) => format!("{key} in ({})", values.join(", ")),
            Operator::NotIn(values) => format!("{key} notin ({})", values.join(", ")),
            Operator::Exists => key.clone(),
            Operator::DoesNotExist => format!("!{key}"),
        }
    });
    words.collect::<Vec<_>>().join(", ")
}

fn block(block: &IpBlock) -> String {
    let cidr = short(&block.cidr);
    match block.except.is_empty() {
        true => cidr,
        false => {
            let except: Vec<String> = block.except.iter().map(short).collect();
            format!("{cidr} except {}", except.join(", "))
        }
    }
}

fn pods(namespaces: Option<&Selector>, wanted: Option<&Selector>) -> String {
    let pods = wanted.map_or_else(|| "all".to_owned(), selector);
    match namespaces {
        None => pods,
        Some(namespaces) => format!("{pods} in namespaces {}", selector(namespaces)),
    }
}

fn network_peer(peer: &NetworkPeer) -> String {
    match peer {
        NetworkPeer::Pods {
            namespaces,
            pods: wanted,
        } => pods(namespaces.as_ref(), wanted.as_ref()),
        NetworkPeer::Block(cidr) => block(cidr),
        NetworkPeer::Unknown => "nobody (unknown peer)".to_owned(),
    }
}

fn cluster_peer(peer: &ClusterPeer) -> String {
    match peer {
        ClusterPeer::Pods(ClusterPods {
            namespaces,
            pods: wanted,
        }) => pods(Some(namespaces), wanted.as_ref()),
        ClusterPeer::Nodes(wanted) => format!("nodes {}", selector(wanted)),
        ClusterPeer::Networks(networks) => networks.iter().map(short).collect::<Vec<_>>().join(", "),
        ClusterPeer::DomainNames(names) => names.join(", "),
        ClusterPeer::Unknown => "nobody (unknown peer)".to_owned(),
    }
}

/// The peers that a rule wants; `everyone` where it wants none. Empty if there is no such rule.
pub fn peers(policy: &Policy, direction: Direction, index: u16) -> String {
    let index = usize::from(index);
    let peers: Vec<String> = match policy {
        Policy::Network(policy) => match policy.rules(direction).get(index) {
            Some(rule) if rule.peers.is_empty() => vec!["everyone".to_owned()],
            Some(rule) => rule.peers.iter().map(network_peer).collect(),
            None => Vec::new(),
        },
        Policy::Cluster(policy) => {
            let rule = policy.rules(direction).get(index);
            rule.map_or_else(Vec::new, |rule| rule.peers.iter().map(cluster_peer).collect())
        }
        Policy::Foreign(_) => Vec::new(),
    };
    peers.join(" or ")
}

fn port_match(protocol: Option<Protocol>, port: &PortMatch) -> String {
    let protocol = protocol.map_or_else(String::new, |protocol| protocol.name().to_lowercase());
    match port {
        PortMatch::All => protocol,
        PortMatch::Range(first, last) if first == last => format!("{first}/{protocol}"),
        PortMatch::Range(first, last) => format!("{first}-{last}/{protocol}"),
        PortMatch::Named(name) if protocol.is_empty() => name.clone(),
        PortMatch::Named(name) => format!("{name}/{protocol}"),
    }
}

/// The ports that a rule has; `all ports` where it names none. Empty if there is no such rule.
pub fn ports(policy: &Policy, direction: Direction, index: u16) -> String {
    let index = usize::from(index);
    let ports: Option<Vec<String>> = match policy {
        Policy::Network(policy) => policy.rules(direction).get(index).map(|rule| {
            let ports = rule.ports.iter();
            ports
                .map(|port| port_match(Some(port.protocol), &port.port))
                .collect()
        }),
        Policy::Cluster(policy) => policy.rules(direction).get(index).map(|rule| {
            let ports = rule.ports.iter();
            ports.map(|port| port_match(port.protocol, &port.port)).collect()
        }),
        Policy::Foreign(_) => None,
    };
    match ports {
        None => String::new(),
        Some(ports) if ports.is_empty() => "all ports".to_owned(),
        Some(ports) => ports.join(", "),
    }
}
