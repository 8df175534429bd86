//! Which node and bridge sends which records: known by the identity that the
//! exporter was configured with, then by the source address of its datagrams,
//! which a Service in between may have rewritten.
//!
//! An exporter that is found here with a bridge is Open vSwitch, configured by
//! us or read from its own database: `normalise` undoes OVS's quirks for those
//! and for no others.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use foldhash::fast::RandomState;

use weir_api::export::TunnelPorts;
use wire::{Protocol, Record};

mod formats;

pub use formats::{Coverage, Formats, Ipfix, NetFlow, NodeExports, rank};

/// One bridge of one node, as its exports are configured.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Exporter {
    /// Name of the node.
    pub node: Arc<str>,
    /// Name of the bridge; empty: the node is known by its address only, and what
    /// sends there is not.
    pub bridge: Arc<str>,
    /// IPFIX observation domain.
    pub domain: Option<u32>,
    /// NetFlow engine type and id.
    pub engine: Option<(u8, u8)>,
    /// sFlow agent address.
    pub agent: Option<IpAddr>,
    /// What it exports.
    pub formats: Formats,
    /// Tunnel ports whose header it counts in NetFlow octets.
    pub tunnels: Arc<[TunnelPorts]>,
    /// OpenFlow ports where packets come out of a tunnel.
    pub tunnel_inputs: Arc<[u16]>,
    /// Names of its tunnel ports, where they are known.
    pub tunnel_names: Arc<[Box<str>]>,
    /// UDP ports that tunnels of its node go to, beside the usual ones.
    pub tunnel_udp_ports: Arc<[u16]>,
    /// The owner of its rules vouches that nothing is recirculated
    /// ([`weir_api::export::SINGLE_PASS_KEY`]).
    pub single_pass: bool,
}

impl Exporter {
    /// Whether Open vSwitch sends its records.
    pub fn is_ovs(&self) -> bool {
        !self.bridge.is_empty()
    }

    /// Whether packets that come in at an OpenFlow port come out of a tunnel.
    pub fn is_tunnel_input(&self, ofport: u32) -> bool {
        u16::try_from(ofport).is_ok_and(|number| self.tunnel_inputs.contains(&number))
    }

    /// Octets that the tunnel behind an OpenFlow port puts before each packet;
    /// `None`: the port is not known to be a tunnel's.
    pub fn tunnel_overhead(&self, ofport: u32) -> Option<u64> {
        let number = u16::try_from(ofport).ok()?;
        let tunnel = self.tunnels.iter().find(|t| t.ofports.contains(&number))?;
        Some(u64::from(tunnel.overhead))
    }
}

/// All known exporters.
#[derive(Debug, Default)]
pub struct Exporters {
    marked: HashMap<Mark, Vec<Exporter>, RandomState>,
    by_source: HashMap<IpAddr, Vec<Exporter>, RandomState>,
    nodes: HashMap<Arc<str>, NodeExports, RandomState>,
    /// Some node exports something.
    active: bool,
    /// What all nodes see, of IPv4 and of anything else.
    coverage: [Coverage; 2],
}

/// What a datagram says about who sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mark {
    /// IPFIX observation domain.
    Domain(u32),
    /// NetFlow v5 engine type and id.
    Engine(u8, u8),
    /// sFlow agent.
    Agent(IpAddr),
}

impl Mark {
    /// The mark on a record. Domain 0 marks nobody: it is what exporters send that
    /// were given none.
    pub fn of(record: &Record) -> Option<Self> {
        match record.protocol {
            Protocol::NetFlow5 => record
                .engine_type
                .zip(record.engine_id)
                .map(|(t, i)| Self::Engine(t, i)),
            Protocol::Sflow5 => record.agent.map(Self::Agent),
            Protocol::Ipfix => Self::of_domain(record.observation_domain?),
            Protocol::NetFlow9 => None,
        }
    }

    /// The mark of an observation domain.
    pub fn of_domain(domain: u32) -> Option<Self> {
        (domain != 0).then_some(Self::Domain(domain))
    }
}

impl Exporters {
    /// The table of these exporters and of the addresses that nodes send from.
    pub fn new(exporters: Vec<Exporter>, sources: impl Iterator<Item = (IpAddr, Arc<str>)>) -> Self {
        let mut table = Self::default();
        for exporter in &exporters {
            let node = table.nodes.entry(Arc::clone(&exporter.node)).or_default();
            node.add(&exporter.bridge, exporter.formats);
            table.active |= exporter.formats != Formats::default();
        }
        table.coverage = [true, false].map(|ipv4| Coverage::of(table.nodes.values(), ipv4));
        for (address, node) in sources {
            let on_node = exporters.iter().filter(|e| e.node == node).cloned();
            let known = table.by_source.entry(address).or_default();
            known.extend(on_node);
            if known.is_empty() {
                known.push(Exporter {
                    node,
                    ..Exporter::default()
                });
            }
        }
        for exporter in exporters {
            let domain = exporter.domain.and_then(Mark::of_domain);
            let engine = exporter.engine.map(|(kind, id)| Mark::Engine(kind, id));
            let agent = exporter.agent.map(Mark::Agent);
            for mark in [domain, engine, agent].into_iter().flatten() {
                table.marked.entry(mark).or_default().push(exporter.clone());
            }
        }
        table
    }

    /// Who sent a datagram with this mark from this address. When several bear
    /// the mark, the address decides between them; when it cannot, nobody did.
    pub fn resolve(&self, mark: Option<Mark>, source: IpAddr) -> Option<&Exporter> {
        let at_source = self.by_source.get(&source).map_or(&[][..], Vec::as_slice);
        let marked = mark
            .and_then(|mark| self.marked.get(&mark))
            .map_or(&[][..], Vec::as_slice);
        match marked {
            [only] => Some(only),
            [] => at_source.first(),
            several => several
                .iter()
                .find(|e| at_source.iter().any(|s| s.node == e.node))
                .or_else(|| {
                    let one_node = several.iter().all(|e| e.node == several[0].node);
                    one_node.then_some(&several[0])
                }),
        }
    }

    /// What a node's bridges export together. While nobody exports anything,
    /// records can still come that were on their way: every known node counts then.
    pub fn node(&self, name: &str) -> Option<&NodeExports> {
        let node = self.nodes.get(name)?;
        (!self.active || node.bridges > 0).then_some(node)
    }

    /// What the bridges of each node export together.
    pub fn nodes(&self) -> impl Iterator<Item = (&str, &NodeExports)> {
        self.nodes.iter().map(|(node, exports)| (&**node, exports))
    }

    /// Whether any node exports anything.
    pub fn is_active(&self) -> bool {
        self.active
    }

    /// What all nodes see of packets of IPv4, or of others.
    pub fn coverage(&self, ipv4: bool) -> Coverage {
        self.coverage[usize::from(!ipv4)]
    }

    /// How many marks are known.
    pub fn len(&self) -> usize {
        self.marked.len()
    }

    /// Whether no mark is known.
    pub fn is_empty(&self) -> bool {
        self.marked.is_empty()
    }

    /// Whether a known node sends from this address.
    pub fn knows(&self, source: IpAddr) -> bool {
        self.by_source.contains_key(&source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exporter(node: &str, domain: u32) -> Exporter {
        Exporter {
            node: node.into(),
            bridge: "br-int".into(),
            domain: Some(domain),
            engine: Some((0, domain as u8)),
            ..Exporter::default()
        }
    }

    fn table() -> Exporters {
        let exporters = vec![
            exporter("a", 1),
            exporter("b", 2),
            exporter("c", 7),
            exporter("d", 7),
        ];
        let sources = [("10.0.0.1", "a"), ("10.0.0.4", "d"), ("10.0.0.9", "bare")];
        Exporters::new(
            exporters,
            sources.into_iter().map(|(a, n)| (address(a), n.into())),
        )
    }

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn node(mark: Option<Mark>, source: &str) -> Option<String> {
        table().resolve(mark, address(source)).map(|e| e.node.to_string())
    }

    #[test]
    fn the_mark_decides_before_the_source_address() {
        assert_eq!(node(Some(Mark::Domain(2)), "10.0.0.1").as_deref(), Some("b"));
        assert_eq!(node(Some(Mark::Engine(0, 2)), "10.0.0.1").as_deref(), Some("b"));
    }

    #[test]
    fn the_source_address_decides_when_there_is_no_mark_or_several_bear_it() {
        assert_eq!(node(None, "10.0.0.1").as_deref(), Some("a"));
        assert_eq!(node(Some(Mark::Domain(99)), "10.0.0.1").as_deref(), Some("a"));
        assert_eq!(node(Some(Mark::Domain(7)), "10.0.0.4").as_deref(), Some("d"));
    }

    #[test]
    fn nobody_is_named_when_neither_decides() {
        assert_eq!(node(Some(Mark::Domain(7)), "192.0.2.1"), None);
        assert_eq!(node(Some(Mark::Domain(0)), "192.0.2.1"), None);
        assert_eq!(node(None, "192.0.2.1"), None);
    }

    #[test]
    fn a_node_without_exports_is_named_but_not_taken_for_ovs() {
        let table = table();
        let bare = table.resolve(None, address("10.0.0.9")).unwrap();
        assert_eq!((&*bare.node, bare.is_ovs()), ("bare", false));
    }
}
