//! Whose word counts: where a datagram came from, and what that proves.

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

use super::Exporter;

/// Whom the configuration trusts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trust {
    /// Networks of Services, NATs and relays that replace the address of nodes on the
    /// way. Whoever can send from there can speak for any node.
    pub relays: Vec<IpNet>,
    /// There is a source of names, which tells the nodes' addresses, whether or not it
    /// was read yet. Without one nobody can prove anything, and there are no names
    /// that a lie could outrank.
    pub has_names: bool,
}

impl Trust {
    /// Whether this address is a relay's.
    pub fn is_relay(&self, source: IpAddr) -> bool {
        self.relays.iter().any(|network| network.contains(&source))
    }
}

/// What a source address proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Standing {
    /// It is a node's, or that of the pod of its node daemon.
    Node,
    /// It is a declared relay's, which passes on what nodes send.
    Relay,
    /// It is nobody's that is known.
    #[default]
    Stranger,
}

/// Whose a datagram is, and what proves it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Attribution<'a> {
    /// Who sent it, if that is proven.
    pub exporter: Option<&'a Exporter>,
    /// What its source address proves.
    pub standing: Standing,
    /// The node whose mark it bears without coming from it.
    pub claims: Option<&'a Arc<str>>,
}

impl Attribution<'_> {
    /// Whether what it says of interfaces counts: it is proven whose they are; or, where
    /// nothing can be proven, they name the records of the same sender alone.
    pub fn may_name_interfaces(&self, trust: &Trust) -> bool {
        self.exporter.is_some() || !trust.has_names
    }
}
