//! Who may send. A stranger's datagram is counted and not looked at.

use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;
use thiserror::Error;

use weir_identity::exporters::Exporters;

/// The senders that are let in; without any rule, all are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allow {
    networks: Vec<IpNet>,
    nodes: bool,
    restricts: bool,
}

/// Some senders that are let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AllowRule {
    /// Those with an address in this network.
    Network(IpNet),
    /// The nodes that the source of names knows, by their addresses, and the pods of
    /// their node daemons. Nobody, until it was read.
    ClusterNodes,
}

/// What is no rule.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is neither an address, nor a network such as 10.0.0.0/8, nor cluster-nodes")]
pub struct NoRule(String);

impl FromStr for AllowRule {
    type Err = NoRule;

    fn from_str(text: &str) -> Result<Self, NoRule> {
        if text == "cluster-nodes" {
            return Ok(Self::ClusterNodes);
        }
        let network = parse_network(text).map(Self::Network);
        network.ok_or_else(|| NoRule(text.to_owned()))
    }
}

/// A network, or an address as the network of it alone.
pub fn parse_network(text: &str) -> Option<IpNet> {
    let network = text.parse().or_else(|_| text.parse::<IpAddr>().map(IpNet::from));
    network.ok()
}

/// What is neither a network nor an address.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} is neither an address nor a network such as 10.0.0.0/8")]
pub struct NoNetwork(String);

/// Reads the network of a declared relay.
///
/// # Errors
/// It is none.
pub fn read_relay(text: &str) -> Result<IpNet, NoNetwork> {
    parse_network(text).ok_or_else(|| NoNetwork(text.to_owned()))
}

impl FromIterator<AllowRule> for Allow {
    fn from_iter<I: IntoIterator<Item = AllowRule>>(rules: I) -> Self {
        let mut allow = Self::default();
        for rule in rules {
            allow.restricts = true;
            match rule {
                AllowRule::Network(network) => allow.networks.push(network),
                AllowRule::ClusterNodes => allow.nodes = true,
            }
        }
        allow
    }
}

impl Allow {
    /// Whether the nodes are let in, so that who they are must be known.
    pub fn needs_names(&self) -> bool {
        self.nodes
    }

    /// Whether this address may send.
    pub fn permits(&self, source: IpAddr, exporters: &Exporters) -> bool {
        !self.restricts
            || self.networks.iter().any(|network| network.contains(&source))
            || (self.nodes && exporters.knows(source))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permits(rules: &[&str], source: &str) -> bool {
        let rules: Result<Allow, _> = rules.iter().map(|rule| rule.parse::<AllowRule>()).collect();
        let node = ("192.0.2.7".parse().unwrap(), "node-a".into());
        let exporters = Exporters::new(Vec::new(), [node].into_iter());
        rules.unwrap().permits(source.parse().unwrap(), &exporters)
    }

    #[test]
    fn without_a_rule_everybody_is_let_in() {
        assert!(permits(&[], "203.0.113.1"));
    }

    #[test]
    fn networks_and_addresses_let_in_what_they_contain() {
        let rules = ["10.0.0.0/8", "2001:db8::/32", "192.0.2.1"];
        assert!(permits(&rules, "10.255.0.1"));
        assert!(permits(&rules, "2001:db8::1"));
        assert!(permits(&rules, "192.0.2.1"));
        assert!(!permits(&rules, "192.0.2.7"));
        assert!(!permits(&rules, "::1"));
    }

    #[test]
    fn cluster_nodes_are_those_that_the_names_tell() {
        assert!(permits(&["cluster-nodes"], "192.0.2.7"));
        assert!(!permits(&["cluster-nodes"], "192.0.2.8"));
        assert!(permits(&["cluster-nodes", "192.0.2.8"], "192.0.2.8"));
    }

    #[test]
    fn what_is_no_rule_is_refused_by_its_name() {
        let error = "cluster".parse::<AllowRule>().unwrap_err();
        assert!(error.to_string().contains("\"cluster\""), "{error}");
    }
}
