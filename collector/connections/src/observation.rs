//! What goes in: one record of the log, as the caller found it.

use std::net::IpAddr;
use std::sync::Arc;

use crate::counts::Counts;
use crate::tcp::TcpState;

/// Microseconds since the epoch UTC.
pub type Micros = u64;

/// One observation of a flow by one node, or a line of its connection tracking. Times
/// before the year 2000 are none; an end before its start is not believed
/// (`docs/connections.md` says what stands in for them).
#[derive(Debug, Clone)]
pub struct Observation {
    /// Network that the addresses are of; empty where all are of one.
    pub network: Arc<str>,
    /// IANA protocol number.
    pub proto: u8,
    /// Where the packets come from; of [`Amount::Totals`] who sent the first of them.
    pub src: End,
    /// Where they go.
    pub dst: End,
    /// Type and identifier, of ICMP and ICMPv6.
    pub icmp: Option<Icmp>,
    /// First packet.
    pub start: Micros,
    /// Last packet.
    pub end: Micros,
    /// How much was seen.
    pub amount: Amount,
    /// The one observation of several that sums count.
    pub primary: bool,
    /// One packet in so many was seen; 0 and 1: each.
    pub sampling: u32,
    /// What counted.
    pub method: Method,
    /// Which way through the switch, where the format says it.
    pub direction: Option<Direction>,
    /// Which of the node's exporters: its observation domain, engine or agent.
    pub domain: u32,
    /// Node that counted, or the exporter's address where no node is known.
    pub node: Arc<str>,
    /// Control bits, of TCP where the format has them.
    pub tcp_flags: Option<TcpFlags>,
    /// State by the node's connection tracking.
    pub tcp_state: Option<TcpState>,
    /// Who began, where something tells it.
    pub client: Option<(Client, Evidence)>,
    /// What connection tracking says beside it.
    pub conntrack: Option<Conntrack>,
}

/// One end of a flow.
#[derive(Debug, Clone, Default)]
pub struct End {
    /// Address.
    pub addr: Option<IpAddr>,
    /// Transport port; 0 where the protocol has none.
    pub port: u16,
    /// Who it is, where somebody is known.
    pub who: Option<Arc<Identity>>,
}

/// How much a record counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    /// What passed from source to destination within the record's time.
    Delta(Counts),
    /// What passed since the connection began, in both directions.
    Totals {
        /// From source to destination.
        sent: Counts,
        /// From destination to source.
        answered: Counts,
    },
}

/// ICMP's type, and the identifier of an echo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Icmp {
    /// Type (IANA; of ICMPv6 by the protocol number).
    pub kind: u8,
    /// Identifier, where the exporter tells it.
    pub identifier: Option<u16>,
}

/// What counted, the most exact first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Method {
    /// The kernel's connection tracking.
    Conntrack,
    /// IPFIX.
    Ipfix,
    /// NetFlow v5 or v9.
    NetFlow,
    /// sFlow.
    SFlow,
}

/// Which way through the interface of the observation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// Into the switch.
    Ingress,
    /// Out of it.
    Egress,
}

/// TCP control bits as the exporter saw them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpFlags {
    /// The bits, FIN lowest (RFC 9293 §3.1).
    pub bits: u8,
    /// They are those of one packet, not of all of the record's together.
    pub of_one_packet: bool,
}

/// Which end of an observation began the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Client {
    /// The source.
    Src,
    /// The destination.
    Dst,
}

/// What it rests on who began, the weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Evidence {
    /// Nothing but that its packets were seen first.
    #[default]
    FirstSeen,
    /// The port numbers.
    Port,
    /// Something was seen to listen at the other end.
    Listener,
    /// The other end is a Service's, or its endpoint.
    Service,
    /// A packet that asks for a connection.
    Syn,
    /// The original direction by connection tracking.
    Conntrack,
}

/// What connection tracking says of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Conntrack {
    /// Its id on that node; 0 where it has none.
    pub id: u32,
    /// The zone that it is tracked in: a node may track one connection in several.
    pub zone: u16,
    /// When that node began to track it.
    pub start: Micros,
    /// When it was asked: of two lines the later one is right.
    pub polled: Micros,
    /// The server's address and port before translation, where they were translated.
    pub service: Option<(IpAddr, u16)>,
    /// It is gone there.
    pub ended: bool,
}

/// Who has an address, as far as connections need it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Identity {
    /// What it is.
    pub kind: IdentityKind,
    /// Node that it runs on, or is.
    pub node: Arc<str>,
    /// Namespace.
    pub ns: Arc<str>,
    /// Name of the pod, Service or node.
    pub name: Arc<str>,
    /// Kind of the top owner.
    pub workload_kind: Arc<str>,
    /// Top owner.
    pub workload_name: Arc<str>,
    /// Namespace of the Service.
    pub service_ns: Arc<str>,
    /// The Service whose address it is, or whose endpoint.
    pub service_name: Arc<str>,
}

/// What kind of thing has an address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum IdentityKind {
    /// Nobody of the cluster.
    #[default]
    Unknown,
    /// A pod with an address of its own.
    Pod,
    /// A Service's own address.
    Service,
    /// A node, or a pod in its network.
    Node,
}

impl Identity {
    /// Whether both are of one Service.
    pub(crate) fn shares_service(&self, other: &Self) -> bool {
        !self.service_name.is_empty()
            && self.service_name == other.service_name
            && self.service_ns == other.service_ns
    }
}

impl Observation {
    /// Whether each packet was counted.
    pub(crate) fn is_exact(&self) -> bool {
        self.sampling <= 1 && self.method != Method::SFlow
    }
}
