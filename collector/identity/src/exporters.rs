//! Which node and bridge sends which records. What speaks for a node has to come from
//! it: the source address tells the node, and the identity that the exporter was
//! configured with, its mark (IPFIX observation domain, NetFlow engine, sFlow agent),
//! which of the node's bridges it is. Where a Service, a NAT or a relay on the way
//! replaces the address, the configuration has to name it ([`Trust`]): then the mark
//! alone tells. Marks are small numbers that anybody can write, routers among them.
//!
//! An exporter that is found here with a bridge may be Open vSwitch, configured by
//! us or read from its own database. Whether a record is OVS's, `normalise` says.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use foldhash::quality::RandomState;

use weir_api::export::TunnelPorts;

mod formats;
mod trust;

pub use formats::{Coverage, Formats, Ipfix, NetFlow, NodeExports};
pub use trust::{Attribution, Standing, Trust};

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
    /// Whether it is a bridge of Open vSwitch, and not a node of which nothing else is
    /// known.
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

    fn marks(&self) -> impl Iterator<Item = ExporterKey> + use<> {
        let domain = self.domain.and_then(ExporterKey::of_domain);
        let engine = self.engine.map(|(kind, id)| ExporterKey::Engine(kind, id));
        [domain, engine, self.agent.map(ExporterKey::Agent)]
            .into_iter()
            .flatten()
    }

    /// Two bridges of a node that bear the same mark (OVS gives all bridges of a node
    /// one sFlow agent, and numbers them in an order that nobody knows): one of them
    /// sent it, so only what holds of both is believed.
    fn joined(&self, other: &Self) -> Self {
        let sends = |e: &Self| e.formats != Formats::default();
        if sends(self) != sends(other) {
            return if sends(self) { self.clone() } else { other.clone() };
        }
        let formats = Formats {
            s_flow: self
                .formats
                .s_flow
                .filter(|_| self.formats.s_flow == other.formats.s_flow),
            net_flow: self
                .formats
                .net_flow
                .filter(|_| self.formats.net_flow == other.formats.net_flow),
            ipfix: self
                .formats
                .ipfix
                .filter(|_| self.formats.ipfix == other.formats.ipfix),
        };
        Self {
            domain: self.domain.filter(|_| self.domain == other.domain),
            engine: self.engine.filter(|_| self.engine == other.engine),
            formats,
            single_pass: self.single_pass && other.single_pass,
            ..self.clone()
        }
    }
}

/// All known exporters.
#[derive(Debug, Default)]
pub struct Exporters {
    nodes: HashMap<Arc<str>, Arc<NodeExporters>, RandomState>,
    by_source: HashMap<IpAddr, Vec<Arc<NodeExporters>>, RandomState>,
    marked: HashMap<ExporterKey, Vec<Arc<NodeExporters>>, RandomState>,
    /// Some node exports something.
    active: bool,
    /// What all nodes see, of IPv4 and of anything else.
    coverage: [Coverage; 2],
}

/// What a datagram says about who sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ExporterKey {
    /// IPFIX observation domain.
    Domain(u32),
    /// NetFlow v5 engine type and id.
    Engine(u8, u8),
    /// sFlow agent.
    Agent(IpAddr),
}

impl ExporterKey {
    /// The mark of an observation domain. Domain 0 marks nobody: it is what exporters send
    /// that were given none.
    pub fn of_domain(domain: u32) -> Option<Self> {
        (domain != 0).then_some(Self::Domain(domain))
    }
}

impl Exporters {
    /// The table of these exporters and of the addresses that nodes, or the pods of
    /// their node daemons, send from.
    pub fn new(exporters: Vec<Exporter>, sources: impl Iterator<Item = (IpAddr, Arc<str>)>) -> Self {
        let mut grouped: HashMap<Arc<str>, Vec<Exporter>, RandomState> = HashMap::default();
        for exporter in exporters {
            grouped
                .entry(Arc::clone(&exporter.node))
                .or_default()
                .push(exporter);
        }
        let mut table = Self::default();
        for (node, exporters) in grouped {
            let known = Arc::new(NodeExporters::new(&node, exporters));
            table.active |= known.exports.bridges > 0;
            for mark in known.marks() {
                table.marked.entry(mark).or_default().push(Arc::clone(&known));
            }
            table.nodes.insert(node, known);
        }
        // Which of several nodes is taken must not depend on how a map is laid out.
        for nodes in table.marked.values_mut() {
            nodes.sort_unstable_by(|a, b| a.node.cmp(&b.node));
        }
        let exports = || table.nodes.values().map(|node| &node.exports);
        table.coverage = [true, false].map(|ipv4| Coverage::of(exports(), ipv4));
        for (address, node) in sources {
            let known = table.nodes.get(&node).map(Arc::clone);
            let known = known.unwrap_or_else(|| Arc::new(NodeExporters::new(&node, Vec::new())));
            table.by_source.entry(address).or_default().push(known);
        }
        table
    }

    /// Whose a datagram with this mark from this address is. What speaks for a node has
    /// to come from it: the address says which node it is, and the mark which of its
    /// bridges. Through a declared relay the mark says both. From anywhere else a mark
    /// proves nothing.
    pub fn resolve(&self, mark: Option<ExporterKey>, source: IpAddr, trust: &Trust) -> Attribution<'_> {
        let here = self.by_source.get(&source).map_or(&[][..], Vec::as_slice);
        let marked = mark
            .and_then(|mark| self.marked.get(&mark))
            .map_or(&[][..], Vec::as_slice);
        if trust.is_relay(source) {
            return Attribution {
                exporter: through_relay(mark, marked, here),
                standing: Standing::Relay,
                claims: None,
            };
        }
        let bridge = mark.and_then(|mark| here.iter().find_map(|node| node.find(mark)));
        let claims = marked.first().filter(|_| bridge.is_none()).map(|node| &node.node);
        Attribution {
            exporter: bridge.or_else(|| here.first().map(|node| node.first())),
            standing: if here.is_empty() {
                Standing::Stranger
            } else {
                Standing::Node
            },
            claims,
        }
    }

    /// What a node's bridges export together. While nobody exports anything,
    /// records can still come that were on their way: every known node counts then.
    pub fn node(&self, name: &str) -> Option<&NodeExports> {
        let node = &self.nodes.get(name)?.exports;
        (!self.active || node.bridges > 0).then_some(node)
    }

    /// What the bridges of each node export together.
    pub fn nodes(&self) -> impl Iterator<Item = (&str, &NodeExports)> {
        self.nodes.iter().map(|(node, known)| (&**node, &known.exports))
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

    /// Whether a known node, or the pod of its node daemon, sends from this address.
    pub fn knows(&self, source: IpAddr) -> bool {
        self.by_source.contains_key(&source)
    }
}

/// When several nodes bear the mark, the address decides between them; when it
/// cannot, nobody did.
fn through_relay<'a>(
    mark: Option<ExporterKey>,
    marked: &'a [Arc<NodeExporters>],
    here: &'a [Arc<NodeExporters>],
) -> Option<&'a Exporter> {
    let node = match (marked, mark) {
        ([], _) | (_, None) => return here.first().map(|node| node.first()),
        ([only], _) => only,
        (several, _) => several
            .iter()
            .find(|node| here.iter().any(|source| source.node == node.node))?,
    };
    node.find(mark?)
}

/// What is known of one node. It has one exporter at least: the node alone where no
/// bridge is known.
#[derive(Debug)]
struct NodeExporters {
    node: Arc<str>,
    exports: NodeExports,
    exporters: Vec<Exporter>,
    /// Places in `exporters`; each mark once.
    marks: Vec<(ExporterKey, usize)>,
}

impl NodeExporters {
    fn new(node: &Arc<str>, mut exporters: Vec<Exporter>) -> Self {
        let mut exports = NodeExports::default();
        exporters
            .iter()
            .for_each(|exporter| exports.add(&exporter.bridge, exporter.formats));
        let mut marks: Vec<(ExporterKey, usize)> = Vec::new();
        for place in 0..exporters.len() {
            for mark in exporters[place].marks() {
                match marks.iter_mut().find(|(known, _)| *known == mark) {
                    None => marks.push((mark, place)),
                    Some((_, known)) => {
                        let both = exporters[*known].joined(&exporters[place]);
                        exporters.push(both);
                        *known = exporters.len() - 1;
                    }
                }
            }
        }
        if exporters.is_empty() {
            exporters.push(Exporter {
                node: Arc::clone(node),
                ..Exporter::default()
            });
        }
        Self {
            node: Arc::clone(node),
            exports,
            exporters,
            marks,
        }
    }

    fn marks(&self) -> impl Iterator<Item = ExporterKey> {
        self.marks.iter().map(|(mark, _)| *mark)
    }

    fn find(&self, mark: ExporterKey) -> Option<&Exporter> {
        let (_, place) = self.marks.iter().find(|(known, _)| *known == mark)?;
        self.exporters.get(*place)
    }

    fn first(&self) -> &Exporter {
        &self.exporters[0]
    }
}

#[cfg(test)]
mod tests;
