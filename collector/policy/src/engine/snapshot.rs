//! What the readers hold: everything that evaluation needs, as of one moment.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use foldhash::quality::RandomState;

use super::networks::Networks;
use super::ports::PortClasses;
use super::sets::OUTSIDE;
use super::tables::{PolicyMeta, Tables};
use crate::facts::{NamedPort, Protocol};
use crate::policy::{Direction, PolicyKey};
use crate::profile::{Profile, is_group_address};

/// No pod, no node.
pub(crate) const NONE: u32 = u32::MAX;

/// What an end of a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EndpointKind {
    /// A pod with an address of its own.
    Pod,
    /// A node, or a pod on its network.
    Node,
    /// Outside of the cluster.
    Outside,
    /// The address of a Service, before translation.
    Service,
    /// Many: a multicast or broadcast address.
    Many,
}

/// One end of a connection. Good for the snapshots of one epoch
/// ([`Snapshot::epoch`]); another answers `unknown` with the reason `identity`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Endpoint {
    pub(crate) kind: EndpointKind,
    pub(crate) epoch: u32,
    /// The row of the peers' bits.
    pub(crate) class: u32,
    /// The group as a subject.
    pub(crate) group: u32,
    pub(crate) network: u32,
    pub(crate) pod: u32,
    /// The node itself, or that of the pod.
    pub(crate) node: u32,
    /// For a node: its own pods let it in.
    pub(crate) reaches_own_pods: bool,
}

impl Endpoint {
    /// The same in all that policies may tell apart, but for what pods and nodes are to
    /// each other.
    pub(crate) fn class_key(&self) -> (EndpointKind, u32, u32) {
        (self.kind, self.group, self.class)
    }

    /// The node as any pod sees it that does not run there.
    pub(crate) fn seen_from_elsewhere(self) -> Endpoint {
        Endpoint {
            node: NONE - 1,
            reaches_own_pods: false,
            ..self
        }
    }

    /// The number of a pod, the same at each of its addresses.
    pub(crate) fn pod_number(&self) -> u32 {
        self.pod
    }

    /// Another pod of the same class.
    pub(crate) fn as_another_pod(self) -> Endpoint {
        Endpoint { pod: NONE, ..self }
    }

    /// What it is.
    pub fn kind(&self) -> EndpointKind {
        self.kind
    }
}

/// By namespace, name and protocol of a port: its numbers, and how many pods have each.
pub(crate) type NamespacePorts = HashMap<(String, String, Protocol), BTreeMap<u16, usize>, RandomState>;

/// A rule by name: what a person can find in the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RuleRef {
    /// The policy.
    pub policy: PolicyKey,
    /// The side on which it is.
    pub direction: Direction,
    /// `ingress[index]` or `egress[index]`; none: the policy isolates.
    pub index: Option<u16>,
    /// The rule's own name, or empty.
    pub name: String,
}

/// All that evaluation needs. Cheap to clone where it is shared as an `Arc`.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub(crate) profile: Profile,
    pub(crate) generation: u64,
    pub(crate) epoch: u32,
    pub(crate) tables: [Tables; 2],
    pub(crate) ports: Arc<PortClasses>,
    pub(crate) networks: Arc<Networks>,
    /// By network class: the class of an endpoint outside.
    pub(crate) outside: Arc<Vec<u32>>,
    /// By group: the named ports of its pods.
    pub(crate) named: Arc<Vec<Arc<[NamedPort]>>>,
    pub(crate) namespace_ports: Arc<NamespacePorts>,
    pub(crate) policies: Arc<Vec<Option<Arc<PolicyMeta>>>>,
}

impl Snapshot {
    /// Counts the changes.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Counts the changes after which endpoints must be asked for anew.
    pub fn epoch(&self) -> u32 {
        self.epoch
    }

    /// The CNI that is assumed.
    pub fn profile(&self) -> &Profile {
        &self.profile
    }

    /// An address that nobody in the cluster has.
    pub fn outside(&self, address: IpAddr) -> Endpoint {
        let network = self.networks.class(address);
        let class = self.outside.get(network as usize).copied().unwrap_or_default();
        let kind = if is_group_address(address) {
            EndpointKind::Many
        } else {
            EndpointKind::Outside
        };
        Endpoint {
            kind,
            epoch: self.epoch,
            class,
            group: OUTSIDE,
            network,
            pod: NONE,
            node: NONE,
            reaches_own_pods: false,
        }
    }

    /// A node by another address than the one that it was asked for by, which no fact tells of.
    pub fn node_at(&self, node: &Endpoint, address: IpAddr) -> Endpoint {
        Endpoint {
            kind: EndpointKind::Node,
            node: node.node,
            reaches_own_pods: node.reaches_own_pods,
            ..self.outside(address)
        }
    }

    /// The address of a Service, which no policy ever sees: what counts is the pod behind.
    pub fn service(&self, address: IpAddr) -> Endpoint {
        Endpoint {
            kind: EndpointKind::Service,
            ..self.outside(address)
        }
    }

    /// The policy of a [`crate::Decider`].
    pub fn policy(&self, policy: u32) -> Option<&PolicyKey> {
        self.policies
            .get(policy as usize)?
            .as_deref()
            .map(|meta| &meta.key)
    }

    /// The rule of a [`crate::Decider`], by name.
    pub fn rule(&self, decider: crate::Decider, direction: Direction) -> Option<RuleRef> {
        let meta = self.policies.get(decider.policy as usize)?.as_deref()?;
        let tables = &self.tables[direction as usize];
        let name = decider
            .rule
            .and_then(|index| meta.rules[direction as usize].get(usize::from(index)))
            .and_then(|rule| tables.rule(*rule))
            .map(|rule| rule.detail.name.clone())
            .unwrap_or_default();
        Some(RuleRef {
            policy: meta.key.clone(),
            direction,
            index: decider.rule,
            name,
        })
    }
}
