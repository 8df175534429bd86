//! What the cluster's CNI does where the API leaves it open, and where it deviates.
//! Each method is one row of the table in docs/policy-semantics.md.

use std::net::IpAddr;

/// The CNI whose behaviour is assumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Cni {
    /// What the API says; where it says nothing, the answer is unknown.
    #[default]
    Spec,
    /// ovn-kubernetes (read at 8871cd9).
    OvnKubernetes,
    /// Antrea (read at v2.8-dev).
    Antrea,
    /// Kube-OVN (read at 1533681).
    KubeOvn,
}

/// A CNI and how it is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Profile {
    /// Which CNI.
    pub cni: Cni,
    /// ovn-kubernetes' `allow-icmp-network-policy`: isolation leaves ICMP open.
    pub allow_icmp: bool,
    /// Kube-OVN's `lax` enforcement: isolation blocks TCP, UDP and SCTP only.
    pub lax: bool,
    /// Objects of the CNI's own that select an end do not make the verdict unknown.
    pub ignore_foreign: bool,
}

/// How named ports of a NetworkPolicy are looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NamedPorts {
    /// At the server's pod, as the API says.
    OfEachPod,
    /// Not at all: the rule opens the whole protocol.
    WholeProtocol,
    /// Among the pods of the policy's namespace, one number for each name.
    OfThePolicysNamespace,
}

/// What becomes of a call of a pod to itself through a Service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Hairpin {
    /// Nobody says: allowed if the rules allow it, else unknown.
    Unsaid,
    /// Allowed, both ways.
    Allowed,
    /// Ingress is allowed, egress rules apply.
    EgressRules,
}

/// What isolation by a NetworkPolicy does to other protocols than TCP, UDP and SCTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OtherProtocols {
    /// The API leaves it open.
    Undefined,
    /// Rules without ports allow them; otherwise they are dropped.
    ByRules,
    /// Let through.
    Open,
}

/// What a change of policies does to connections that run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunningConnections {
    /// The API leaves it open.
    Undefined,
    /// They go on as they were judged when they were opened.
    Kept,
    /// They are judged anew.
    Cut,
}

const ICMP: u8 = 1;
const ICMP6: u8 = 58;
const UDP: u8 = 17;
/// DHCP and DHCPv6, client and server.
const DHCP_PORTS: [u16; 4] = [67, 68, 546, 547];

impl Profile {
    /// That CNI as it is installed by default.
    pub fn of(cni: Cni) -> Profile {
        Profile {
            cni,
            ..Profile::default()
        }
    }

    /// How named ports of NetworkPolicies are looked up.
    pub fn named_ports(&self) -> NamedPorts {
        match self.cni {
            Cni::Spec | Cni::Antrea => NamedPorts::OfEachPod,
            Cni::OvnKubernetes => NamedPorts::WholeProtocol,
            Cni::KubeOvn => NamedPorts::OfThePolicysNamespace,
        }
    }

    /// What becomes of a call of a pod to itself through a Service.
    pub fn hairpin(&self) -> Hairpin {
        match self.cni {
            Cni::Spec | Cni::KubeOvn => Hairpin::Unsaid,
            Cni::OvnKubernetes => Hairpin::Allowed,
            Cni::Antrea => Hairpin::EgressRules,
        }
    }

    /// Whether NetworkPolicies leave the way from a pod to its own node open.
    pub fn own_node_egress(&self) -> bool {
        self.cni == Cni::KubeOvn
    }

    /// Whether only the node's management port is exempt on the way to its pods.
    pub fn own_node_by_management_port(&self) -> bool {
        self.cni == Cni::OvnKubernetes
    }

    /// Whether selectors of peers take in pods on the host network, by their node's
    /// address, and the namespace that stands for the host network.
    pub fn host_network_peers(&self) -> bool {
        self.cni == Cni::OvnKubernetes
    }

    /// What isolation does to a packet of this protocol that is none of TCP, UDP, SCTP.
    pub fn other_protocols(&self, protocol: u8) -> OtherProtocols {
        match self.cni {
            Cni::Spec => OtherProtocols::Undefined,
            Cni::OvnKubernetes if self.allow_icmp && matches!(protocol, ICMP | ICMP6) => OtherProtocols::Open,
            Cni::KubeOvn if self.lax || protocol == ICMP6 => OtherProtocols::Open,
            Cni::OvnKubernetes | Cni::Antrea | Cni::KubeOvn => OtherProtocols::ByRules,
        }
    }

    /// Whether isolation leaves this protocol and port open whatever the rules say.
    pub fn always_open(&self, protocol: u8, port: u16) -> bool {
        self.cni == Cni::KubeOvn && self.lax && protocol == UDP && DHCP_PORTS.contains(&port)
    }

    /// What a change does to connections that run.
    pub fn running_connections(&self) -> RunningConnections {
        match self.cni {
            Cni::Spec => RunningConnections::Undefined,
            Cni::Antrea => RunningConnections::Kept,
            Cni::OvnKubernetes | Cni::KubeOvn => RunningConnections::Cut,
        }
    }
}

/// The namespaces that stand for the host network at ovn-kubernetes: its own default's
/// name, and OpenShift's.
pub(crate) const HOST_NETWORK_NAMESPACES: [&str; 2] = ["ovn-host-network", "openshift-host-network"];
/// The label that OpenShift gives such a namespace.
pub(crate) const HOST_NETWORK_LABEL: &str = "policy-group.network.openshift.io/host-network";

/// Whether a packet of this protocol and ICMP type is talk of neighbours (RFC 4861),
/// which no policy judges.
pub(crate) fn is_neighbour_talk(protocol: u8, port: u16) -> bool {
    protocol == ICMP6 && (133..=137).contains(&(port >> 8))
}

/// Whether it is an ICMP error (RFC 792, RFC 4443), which belongs to a connection.
pub(crate) fn is_icmp_error(protocol: u8, port: u16) -> bool {
    match protocol {
        ICMP => matches!(port >> 8, 3 | 4 | 5 | 11 | 12),
        ICMP6 => (1..=4).contains(&(port >> 8)),
        _ => false,
    }
}

/// Whether packets to this address go to many.
pub(crate) fn is_group_address(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => v4.is_multicast() || v4.is_broadcast(),
        IpAddr::V6(v6) => v6.is_multicast(),
    }
}
