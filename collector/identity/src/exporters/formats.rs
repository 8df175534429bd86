//! Which formats a bridge exports and how exact each is; what all bridges of a
//! node export together. Where it is known from is the identity sources'
//! business, what follows for a record is `normalise::primary`'s.

use weir_api::profile::DEFAULT_BRIDGE;
use wire::Protocol;

/// The formats that are in force on one bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Formats {
    /// NetFlow, which OVS never samples.
    pub net_flow: Option<NetFlow>,
    /// sFlow: one packet in so many.
    pub s_flow: Option<u32>,
    /// IPFIX.
    pub ipfix: Option<Ipfix>,
}

/// NetFlow of one bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NetFlow {
    /// Seven bits of the engine id stand above nine of the port number
    /// (`NetFlow.add_id_to_interface`).
    pub id_in_interfaces: bool,
    /// Seconds after which OVS reports a flow that goes on.
    pub active_timeout: u32,
}

impl NetFlow {
    /// Seconds that OVS takes when `active_timeout` is not above 0
    /// (`NF_ACTIVE_TIMEOUT_DEFAULT`).
    const DEFAULT_TIMEOUT: u32 = 600;

    /// The setting of these two columns.
    pub fn new(id_in_interfaces: bool, active_timeout: Option<i64>) -> Self {
        let seconds = active_timeout
            .and_then(|n| u32::try_from(n).ok())
            .filter(|n| *n != 0);
        Self {
            id_in_interfaces,
            active_timeout: seconds.unwrap_or(Self::DEFAULT_TIMEOUT),
        }
    }
}

/// IPFIX of one bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ipfix {
    /// One packet in so many.
    pub sampling: u32,
    /// Whether packets are sampled where they enter.
    pub ingress: bool,
    /// Whether packets are sampled where they leave.
    pub egress: bool,
}

impl Formats {
    /// Whether any format has a record of packets of this IP version (or of none).
    pub fn see(&self, ipv4: bool) -> bool {
        self.ipfix.is_some() || self.see_without_ipfix(ipv4)
    }

    /// Whether packets have a record where they enter.
    pub fn see_entries(&self, ipv4: bool) -> bool {
        self.ipfix.is_some_and(|ipfix| ipfix.ingress) || self.see_without_ipfix(ipv4)
    }

    /// Whether packets have a record where they leave, and none is more exact.
    pub fn show_exits(&self, ipv4: bool) -> bool {
        self.ipfix.is_some_and(|ipfix| {
            let exits = (ipfix.sampling, Protocol::Ipfix);
            ipfix.egress && !self.see_more_exactly(exits, ipv4, true)
        })
    }

    /// Whether another format sees these packets more exactly than one that has one packet
    /// in `sampling`: the lowest sampling, then IPFIX, NetFlow, sFlow. `ipfix`: IPFIX sees
    /// them.
    pub fn see_more_exactly(&self, (sampling, format): (u32, Protocol), ipv4: bool, ipfix: bool) -> bool {
        let than = (sampling, rank(format));
        let is_more = |sampling: Option<u32>, format| sampling.is_some_and(|n| (n, rank(format)) < than);
        let all = [Protocol::Ipfix, Protocol::NetFlow5, Protocol::Sflow5];
        all.into_iter()
            .any(|format| is_more(self.sampling(format, ipv4, ipfix), format))
    }

    /// One packet in how many a format has; `None`: it does not see these packets.
    #[inline]
    pub fn sampling(&self, format: Protocol, ipv4: bool, ipfix: bool) -> Option<u32> {
        match format {
            Protocol::Ipfix => self.ipfix.filter(|_| ipfix).map(|ipfix| ipfix.sampling),
            // OVS makes no NetFlow of anything but IPv4.
            Protocol::NetFlow5 => self.net_flow.filter(|_| ipv4).map(|_| 1),
            Protocol::Sflow5 => self.s_flow,
            Protocol::NetFlow9 => None,
        }
    }

    fn see_without_ipfix(&self, ipv4: bool) -> bool {
        self.s_flow.is_some() || (ipv4 && self.net_flow.is_some())
    }

    /// Takes in what another bridge exports: the most exact of each format.
    fn merge(&mut self, bridge: Self) {
        self.net_flow = self.net_flow.or(bridge.net_flow);
        self.s_flow = self.s_flow.into_iter().chain(bridge.s_flow).min();
        self.ipfix = match (self.ipfix, bridge.ipfix) {
            (Some(one), Some(other)) => Some(Ipfix {
                sampling: one.sampling.min(other.sampling),
                ingress: one.ingress || other.ingress,
                egress: one.egress || other.egress,
            }),
            (one, other) => one.or(other),
        };
    }
}

/// Which of two formats with the same sampling is more exact: the lower.
const fn rank(format: Protocol) -> u8 {
    match format {
        Protocol::Ipfix => 0,
        Protocol::NetFlow5 | Protocol::NetFlow9 => 1,
        Protocol::Sflow5 => 2,
    }
}

/// What the bridges of one node export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NodeExports {
    /// How many bridges export something.
    pub bridges: usize,
    /// The most exact of each format, on any bridge.
    pub formats: Formats,
    /// What the integration bridge exports ([`DEFAULT_BRIDGE`]), where pods and tunnels are.
    pub inner: Formats,
    /// What the others export together, where the network outside and the node's own
    /// addresses are.
    pub outer: Formats,
}

impl NodeExports {
    /// What is exported where pods' packets enter: on the integration bridge, or on the
    /// others where that does not see them.
    pub fn at_pods(&self, ipv4: bool) -> &Formats {
        if self.inner.see(ipv4) {
            &self.inner
        } else {
            &self.outer
        }
    }

    /// Whether packets are seen wherever they leave the node, in the format to count.
    pub fn show_exits(&self, ipv4: bool) -> bool {
        self.inner.show_exits(ipv4) && (!self.outer.see(ipv4) || self.outer.show_exits(ipv4))
    }

    /// Takes one bridge in.
    pub fn add(&mut self, name: &str, bridge: Formats) {
        self.bridges += usize::from(bridge != Formats::default());
        self.formats.merge(bridge);
        if name == DEFAULT_BRIDGE {
            self.inner.merge(bridge);
        } else {
            self.outer.merge(bridge);
        }
    }
}

/// What all nodes see, of packets of one IP version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Coverage {
    /// All known nodes see pods' packets where they enter.
    pub entries: bool,
    /// All known nodes see what comes from outside where it enters.
    pub outer_entries: bool,
    /// Those that see anything see it wherever it leaves, in the format to count.
    pub exits: bool,
}

impl Coverage {
    /// Of these nodes.
    pub fn of<'a>(nodes: impl Iterator<Item = &'a NodeExports> + Clone, ipv4: bool) -> Self {
        let mut exporting = nodes.clone().filter(|node| node.formats.see(ipv4)).peekable();
        Self {
            entries: nodes.clone().all(|node| node.at_pods(ipv4).see_entries(ipv4)),
            outer_entries: nodes.clone().all(|node| node.outer.see_entries(ipv4)),
            exits: exporting.peek().is_some() && exporting.all(|node| node.show_exits(ipv4)),
        }
    }
}
