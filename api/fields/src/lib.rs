//! The flow field table: the only place that names a field of a flow record.
//!
//! Names are snake_case; the source side is bare, the destination side has
//! `dst_`. An unknown string is `""`, never null. From this table come the JSON
//! names, the columns of the store ([`Column`]), the identifiers of the filter
//! language and `docs/fields.md`. A crate of its own, without dependencies, so that pure
//! crates know fields without the resources of `weir-api`, which shows it as `fields`.

#![deny(missing_docs)]

pub mod connections;

use FieldKind::{Address, Bool, Enum, EnumList, Mac, Map, String, Timestamp, Unsigned};

/// What kind of values a field holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldKind {
    /// Text; `""` when unknown.
    String,
    /// Text out of a small fixed set; `""` when unknown.
    Enum,
    /// Several texts out of a small fixed set.
    EnumList,
    /// Text to text.
    Map,
    /// Unsigned number of that many bits.
    Unsigned(u8),
    /// True or false.
    Bool,
    /// IPv4 or IPv6 address.
    Address,
    /// Ethernet address.
    Mac,
    /// Nanoseconds since 1970-01-01 UTC; RFC 3339 in JSON.
    Timestamp,
}

/// One field, or a pair of fields: one for each side of the flow.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// Name; of the source side where there are two sides.
    pub name: &'static str,
    /// Name of the destination side.
    pub dst_name: Option<&'static str>,
    /// Kind of its values.
    pub kind: FieldKind,
    /// Unit, or the values that it takes.
    pub unit: &'static str,
    /// NetObserv's name.
    pub netobserv: &'static str,
    /// IANA information element, or another registry's.
    pub ie: &'static str,
    /// Antrea's information element (PEN 56506).
    pub antrea_ie: &'static str,
    /// What it says, in a few words.
    pub description: &'static str,
    /// It says who stands on a side, and follows from who that is: flows share it.
    pub identity: bool,
    /// Something fills it; the others have their names, and are empty in every record.
    pub filled: bool,
    /// Few exporters say it: it takes no room in records that lack it.
    pub sparse: bool,
    /// How it looks from the other end of the flow.
    pub mirror: Mirror,
    /// It orders records of one time: together with what few exporters say and who is on
    /// their sides, these tell two records apart.
    pub orders: bool,
    /// Records always have this text, be it `""`.
    pub always: bool,
    /// What people type who do not know its name; of the source's side. Hints know it.
    pub also: &'static [&'static str],
}

/// How a field looks from the other end of the flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mirror {
    /// The two of a pair change places; what is of the flow itself stays.
    Sides,
    /// It stays where it is: its columns belong to the flow's direction, not to its ends.
    Direction,
    /// Its values name a side: `src` becomes `dst`.
    Value,
}

/// Every field of a flow record: names, kind, unit or values, NetObserv's name,
/// IANA element, Antrea's element, description.
#[rustfmt::skip]
pub const FIELDS: &[Field] = &[
    one("time", Timestamp, "ns UTC", "TimeReceived (s)", "", "", "when the record reached the collector"),
    one("start", Timestamp, "ns UTC", "TimeFlowStartMs (ms)", "150/152", "", "first packet of the record").orders(),
    one("end", Timestamp, "ns UTC", "TimeFlowEndMs (ms)", "151/153", "", "last packet of the record").orders(),
    one("bytes", Unsigned(64), "octets (layer 3)", "Bytes", "1", "", "scaled by sampling exactly once").orders(),
    one("packets", Unsigned(64), "packets", "Packets", "2", "", "scaled by sampling exactly once").orders(),
    one("l2_bytes", Unsigned(64), "octets (layer 2)", "", "352", "", "where the format has it"),
    one("sampling", Unsigned(32), "1 in N", "Sampling", "34", "", "1 = every packet; from the record or from the export configuration we applied"),
    one("protocol", Enum, "tcp udp icmp icmp6 sctp or the number", "", "4", "", "lower-case name").also(&["ip_protocol", "l4_protocol"]),
    one("proto", Unsigned(8), "IANA number", "Proto", "4", "", "").orders(),
    pair("addr", "dst_addr", Address, "", "SrcAddr/DstAddr", "8+27/12+28", "", "").also(&["ip", "address", "ip_addr", "host"]).orders(),
    pair("port", "dst_port", Unsigned(16), "", "SrcPort/DstPort", "7/11", "", "0 where the protocol has none").orders(),
    pair("mac", "dst_mac", Mac, "", "SrcMac/DstMac", "56/80", "", ""),
    one("dscp", Unsigned(8), "", "Dscp", "195", "", ""),
    one("ttl", Unsigned(8), "hops", "", "192", "", ""),
    one("icmp_type", Unsigned(8), "", "IcmpType", "176/178", "", ""),
    one("icmp_code", Unsigned(8), "", "IcmpCode", "177/179", "", ""),
    one("tcp_flags", EnumList, "FIN SYN RST PSH ACK URG ECE CWR SYN_ACK FIN_ACK RST_ACK", "Flags", "6", "", "combined forms only where single packets are seen (sFlow); NetFlow gives the OR over the flow; OVS IPFIX has none per flow"),
    one("tcp_state", String, "", "", "", "136", "only from connection tracking").sparse(),
    one("vlan_id", Unsigned(16), "", "", "58", "", ""),
    one("tunnel_type", Enum, "vxlan gre geneve …", "", "PEN6876:891", "", ""),
    one("tunnel_key", Unsigned(64), "", "", "PEN6876:892", "", "VNI"),
    pair("tunnel_addr", "tunnel_dst_addr", Address, "", "", "PEN6876:893/894", "", ""),
    one("direction", Enum, "ingress egress", "IfDirections", "61", "", "as seen by the interface of the observation").orders(),
    one("flow_direction", Enum, "ingress egress inner", "FlowDirection (0 1 2)", "", "", "as seen by the reporting node").not_filled(),
    pair("if_index", "dst_if_index", Unsigned(32), "", "", "10/14", "", "ifIndex or OpenFlow port as the format has it").orders(),
    pair("if_name", "dst_if_name", String, "", "Interfaces", "82", "", "").also(&["interface", "iface"]),
    one("format", Enum, "netflow5 netflow9 ipfix sflow5", "", "", "", "").always(),
    one("exporter", Address, "", "AgentIP", "", "", "source of the datagram").orders(),
    one("exporter_node", String, "", "", "", "", "node behind the exporter").always(),
    one("obs_domain_id", Unsigned(32), "", "", "149", "", ""),
    one("obs_point_id", Unsigned(64), "", "", "138", "", "").orders(),
    one("primary", Bool, "", "", "", "", "the one observation of several that sums count"),
    one("verdict", Enum, "delivered dropped unknown", "", "", "", "").always(),
    one("dropped_packets", Unsigned(64), "packets", "PktDropPackets", "133", "", ""),
    one("dropped_bytes", Unsigned(64), "octets", "PktDropBytes", "132", "", ""),
    one("end_reason", Enum, "idle active end forced lack", "", "136", "", ""),
    pair("nat_addr", "dst_nat_addr", Address, "", "XlatSrcAddr/XlatDstAddr", "225+281/226+282", "", "after translation").sparse(),
    pair("nat_port", "dst_nat_port", Unsigned(16), "", "XlatSrcPort/XlatDstPort", "227/228", "", "after translation").sparse(),
    one("nat_event", Unsigned(8), "", "", "230", "", "what a translator did; 4 and 5: a session of IPv4 was made, was ended (RFC 8158)").sparse(),
    one("next_hop", Address, "", "", "15+62", "", "router that the packets were sent to").sparse(),
    one("bgp_next_hop", Address, "", "", "18+63", "", "border router of the next autonomous system").sparse(),
    pair("asn", "dst_asn", Unsigned(32), "", "", "16/17", "", "autonomous system of the address; of the neighbour, where the exporter is set so").sparse(),
    pair("prefix_len", "dst_prefix_len", Unsigned(8), "bits", "", "9+29/13+30", "", "length of the route's prefix").sparse(),
    pair("vrf", "dst_vrf", Unsigned(32), "", "", "234/235", "", "routing table in which the packets came, and left").sparse(),
    one("mpls_labels", String, "label,label…", "", "70 to 79", "", "the top label first").sparse(),
    one("application_id", String, "engine:selector", "", "95", "", "RFC 6759").sparse(),
    one("application", String, "", "", "96", "", "name of the application, as the exporter classified it").sparse(),
    one("user_name", String, "", "", "371", "", "who was logged in at the source, as the exporter knows it").sparse(),
    one("forwarding_status", Enum, "forwarded dropped consumed unknown", "", "89", "", "what the exporter did with the packets").sparse(),
    one("firewall_event", Enum, "created deleted denied alert update", "", "233", "", "why a firewall sent the record").sparse(),
    one("flow_id", Unsigned(64), "", "", "148", "", "the exporter's number of the flow; the two records of a biflow share it").sparse(),
    pair("identified_by", "dst_identified_by", Enum, "interface address mac subnet exporter ambiguous or empty", "", "", "", "what the names rest on; exporter: a node's exporter says so; ambiguous: several fit and none is believed").always(),
    one("server", Enum, "src dst unknown", "", "", "", "which side listens").names_a_side().always(),
    one("server_confidence", Enum, "syn service listener port none", "", "", "", "what the answer rests on").always(),
    pair("process", "dst_process", String, "", "", "", "", "Linux process name behind the socket").not_filled(),
    pair("container_name", "dst_container_name", String, "", "", "", "", "").not_filled(),
    pair("pod_name", "dst_pod_name", String, "", "SrcK8S_Name/DstK8S_Name (Type Pod)", "", "101/103", "").of_identity().also(&["pod"]),
    pair("ns", "dst_ns", String, "", "SrcK8S_Namespace/…", "", "100/102", "").of_identity().also(&["namespace", "namespace_name"]),
    pair("kind", "dst_kind", Enum, "Pod Service Node or empty", "SrcK8S_Type/…", "", "", "").of_identity(),
    pair("name", "dst_name", String, "", "SrcK8S_Name/…", "", "", "name of the Pod Service or Node").of_identity(),
    pair("workload_name", "dst_workload_name", String, "", "SrcK8S_OwnerName/…", "", "", "top owner: ReplicaSet -> Deployment; Job -> CronJob").of_identity().also(&["workload", "owner", "deployment", "app"]),
    pair("workload_kind", "dst_workload_kind", String, "Deployment DaemonSet … Node Service or private, internet", "SrcK8S_OwnerType/…", "", "", "").of_identity(),
    pair("service_name", "dst_service_name", String, "", "", "", "109 (with port)", "Service whose ClusterIP or endpoint it is").of_identity().also(&["service", "svc"]),
    pair("service_ns", "dst_service_ns", String, "", "", "", "", "").of_identity(),
    pair("service_addr", "dst_service_addr", Address, "", "", "", "106/107/168/169", "ClusterIP before translation; of the destination alone").sparse(),
    pair("service_port", "dst_service_port", Unsigned(16), "", "", "", "108", "of the destination alone").sparse(),
    pair("node_name", "dst_node_name", String, "", "SrcK8S_HostName/…", "", "104/105", "").of_identity().also(&["node"]),
    pair("node_addr", "dst_node_addr", Address, "", "SrcK8S_HostIP/…", "", "", "").of_identity(),
    pair("zone", "dst_zone", String, "", "SrcK8S_Zone/…", "", "", "").of_identity(),
    pair("region", "dst_region", String, "", "", "", "", "of the node, like its zone").of_identity(),
    pair("network", "dst_network", String, "primary, NAD/UDN name, external (a Service's externalIPs) or unproven (by the pod's own annotations)", "SrcK8S_NetworkName/…", "", "", "").of_identity(),
    pair("pod_labels", "dst_pod_labels", Map, "", "", "", "143/144", "as a node's exporter says; absent where none does").of_identity().also(&["labels", "label"]),
    pair("subnet_label", "dst_subnet_label", String, "", "SrcSubnetLabel/…", "", "", "longest prefix wins").of_identity(),
    pair("domain", "dst_domain", String, "", "DnsName", "", "", "best effort").not_filled(),
    one("cluster", String, "", "K8S_ClusterName", "", "158", "as the exporter names it").sparse(),
    one("layer", Enum, "app infra", "K8S_FlowLayer", "", "", "").not_filled(),
    one("policy_verdict", Enum, "allow deny unknown or empty", "", "", "", "what the policies of the flow's time say; empty: not judged"),
    one("policy_reason", Enum, "rule isolation default node self host external, of unknown: direction identity backend changed gap protocol domain order foreign", "", "", "", "why the verdict is so"),
    pair("ingress_policy", "egress_policy", String, "ns/name", "", "", "110+111/112+113", "that decides, or the first that isolates").of_direction(),
    pair("ingress_policy_rule", "egress_policy_rule", String, "name or ingress[1], egress[0]", "", "", "141/142", "empty where no rule matched").of_direction(),
    pair("ingress_policy_action", "egress_policy_action", Enum, "allow drop reject", "", "", "139/140", "").of_direction(),
];

const fn one(
    name: &'static str,
    kind: FieldKind,
    unit: &'static str,
    netobserv: &'static str,
    ie: &'static str,
    antrea_ie: &'static str,
    description: &'static str,
) -> Field {
    Field {
        name,
        dst_name: None,
        kind,
        unit,
        netobserv,
        ie,
        antrea_ie,
        description,
        identity: false,
        filled: true,
        sparse: false,
        mirror: Mirror::Sides,
        orders: false,
        always: false,
        also: &[],
    }
}

#[expect(
    clippy::too_many_arguments,
    reason = "a row of the table reads best on one line"
)]
const fn pair(
    name: &'static str,
    dst_name: &'static str,
    kind: FieldKind,
    unit: &'static str,
    netobserv: &'static str,
    ie: &'static str,
    antrea_ie: &'static str,
    description: &'static str,
) -> Field {
    Field {
        dst_name: Some(dst_name),
        ..one(name, kind, unit, netobserv, ie, antrea_ie, description)
    }
}

impl Field {
    const fn of_identity(self) -> Self {
        Self {
            identity: true,
            ..self
        }
    }

    const fn not_filled(self) -> Self {
        Self {
            filled: false,
            ..self
        }
    }

    const fn sparse(self) -> Self {
        Self { sparse: true, ..self }
    }

    const fn orders(self) -> Self {
        Self { orders: true, ..self }
    }

    const fn always(self) -> Self {
        Self { always: true, ..self }
    }

    const fn also(self, also: &'static [&'static str]) -> Self {
        Self { also, ..self }
    }

    const fn of_direction(self) -> Self {
        Self {
            mirror: Mirror::Direction,
            ..self
        }
    }

    const fn names_a_side(self) -> Self {
        Self {
            mirror: Mirror::Value,
            ..self
        }
    }
}

/// Whose a column is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    /// The flow's.
    Flow,
    /// The source's.
    Src,
    /// The destination's.
    Dst,
}

/// One name of the table: its place in the order of the table, where a pair
/// takes two places, the source first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Column(u8);

#[derive(Clone, Copy)]
struct Place {
    field: u8,
    side: Side,
}

const COUNT: usize = {
    let (mut field, mut count) = (0, 0);
    while field < FIELDS.len() {
        count += if FIELDS[field].dst_name.is_some() { 2 } else { 1 };
        field += 1;
    }
    count
};

const PLACES: [Place; COUNT] = {
    let flow = Place {
        field: 0,
        side: Side::Flow,
    };
    let mut places = [flow; COUNT];
    let (mut field, mut next) = (0, 0);
    while field < FIELDS.len() {
        let at = field as u8;
        if FIELDS[field].dst_name.is_some() {
            places[next] = Place {
                field: at,
                side: Side::Src,
            };
            places[next + 1] = Place {
                field: at,
                side: Side::Dst,
            };
            next += 2;
        } else {
            places[next].field = at;
            next += 1;
        }
        field += 1;
    }
    places
};

impl Column {
    /// How many there are.
    pub const COUNT: usize = COUNT;

    /// The column of this name, for names that stand in the code.
    ///
    /// # Panics
    /// There is none; in a `const` that is an error of the compiler.
    pub const fn of(name: &str) -> Self {
        match Self::find(name) {
            Some(column) => column,
            None => panic!("no field of the table has this name"),
        }
    }

    /// The column of this name, if there is one.
    pub const fn find(name: &str) -> Option<Self> {
        let mut at = 0;
        while at < COUNT {
            let column = Self(at as u8);
            if same(column.name(), name) {
                return Some(column);
            }
            at += 1;
        }
        None
    }

    /// All columns in the order of the table.
    pub fn all() -> impl ExactSizeIterator<Item = Self> {
        PLACES.iter().enumerate().map(|(at, _)| Self(at as u8))
    }

    /// Its place, from 0.
    pub const fn index(self) -> usize {
        self.0 as usize
    }

    /// The row of the table that it comes from.
    pub const fn field(self) -> &'static Field {
        &FIELDS[PLACES[self.index()].field as usize]
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        let field = self.field();
        match (self.side(), field.dst_name) {
            (Side::Dst, Some(name)) => name,
            _ => field.name,
        }
    }

    /// What kind of values it holds.
    pub const fn kind(self) -> FieldKind {
        self.field().kind
    }

    /// Whose it is.
    pub const fn side(self) -> Side {
        PLACES[self.index()].side
    }

    /// The column that stands in its place when the flow is looked at from its other end.
    pub const fn mirrored(self) -> Self {
        match (self.field().mirror, self.side()) {
            (Mirror::Sides, Side::Src) => Self(self.0 + 1),
            (Mirror::Sides, Side::Dst) => Self(self.0 - 1),
            _ => self,
        }
    }
}

const fn same(one: &str, other: &str) -> bool {
    let (one, other) = (one.as_bytes(), other.as_bytes());
    if one.len() != other.len() {
        return false;
    }
    let mut at = 0;
    while at < one.len() {
        if one[at] != other[at] {
            return false;
        }
        at += 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_find_their_column() {
        let all: std::collections::HashSet<_> = Column::all().map(Column::name).collect();
        assert_eq!(all.len(), Column::COUNT);
        assert!(Column::all().all(|c| Column::find(c.name()) == Some(c)));
        assert_eq!(Column::find("nobody"), None);
    }

    #[test]
    fn from_the_other_end_the_sides_change_places_and_policies_stay_with_their_direction() {
        for column in Column::all() {
            let mirrored = column.mirrored();
            assert_eq!(mirrored.mirrored(), column, "{}", column.name());
            assert_eq!(mirrored.kind(), column.kind(), "{}", column.name());
            let is_policy = column.name().contains("gress_policy");
            let stays = column.side() == Side::Flow || is_policy;
            assert_eq!(mirrored == column, stays, "{}", column.name());
        }
        assert_eq!(Column::of("ns").mirrored(), Column::of("dst_ns"));
        assert_eq!(
            Column::of("tunnel_dst_addr").mirrored(),
            Column::of("tunnel_addr")
        );
        let values = Column::all().filter(|column| column.field().mirror == Mirror::Value);
        assert_eq!(values.map(Column::name).collect::<Vec<_>>(), ["server"]);
    }

    #[test]
    fn a_pair_has_a_column_on_each_side() {
        let (src, dst) = (Column::of("zone"), Column::of("dst_zone"));
        assert_eq!((src.side(), dst.side()), (Side::Src, Side::Dst));
        assert_eq!(src.field().name, dst.field().name);
        assert_eq!(Column::of("bytes").side(), Side::Flow);
        assert!(src.field().identity && !Column::of("bytes").field().identity);
    }
}
