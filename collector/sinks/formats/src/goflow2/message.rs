//! The message and what of a row is in it.

use std::net::IpAddr;

use prost::Message;
use weir_fields::Column;

use crate::row::FlowRow;

/// `FlowMessage` of `pb/flow.proto`, with the fields that we can fill, and ours behind.
#[derive(Clone, PartialEq, Eq, Message)]
pub struct FlowMessage {
    /// What it came in.
    #[prost(enumeration = "FlowType", tag = "1")]
    pub r#type: i32,
    /// Counters are to be multiplied by it; 1.
    #[prost(uint64, tag = "3")]
    pub sampling_rate: u64,
    /// Number of the datagram.
    #[prost(uint32, tag = "4")]
    pub sequence_num: u32,
    /// 4 or 16 octets.
    #[prost(bytes = "vec", tag = "6")]
    pub src_addr: Vec<u8>,
    /// 4 or 16 octets.
    #[prost(bytes = "vec", tag = "7")]
    pub dst_addr: Vec<u8>,
    /// Octets.
    #[prost(uint64, tag = "9")]
    pub bytes: u64,
    /// Packets.
    #[prost(uint64, tag = "10")]
    pub packets: u64,
    /// 4 or 16 octets.
    #[prost(bytes = "vec", tag = "11")]
    pub sampler_address: Vec<u8>,
    /// 4 or 16 octets.
    #[prost(bytes = "vec", tag = "12")]
    pub next_hop: Vec<u8>,
    /// Autonomous system.
    #[prost(uint32, tag = "14")]
    pub src_as: u32,
    /// Autonomous system.
    #[prost(uint32, tag = "15")]
    pub dst_as: u32,
    /// Bits of the prefix.
    #[prost(uint32, tag = "16")]
    pub src_net: u32,
    /// Bits of the prefix.
    #[prost(uint32, tag = "17")]
    pub dst_net: u32,
    /// Interface.
    #[prost(uint32, tag = "18")]
    pub in_if: u32,
    /// Interface.
    #[prost(uint32, tag = "19")]
    pub out_if: u32,
    /// IANA protocol number.
    #[prost(uint32, tag = "20")]
    pub proto: u32,
    /// Port.
    #[prost(uint32, tag = "21")]
    pub src_port: u32,
    /// Port.
    #[prost(uint32, tag = "22")]
    pub dst_port: u32,
    /// Type of service.
    #[prost(uint32, tag = "23")]
    pub ip_tos: u32,
    /// RFC 7270 §4.12: two bits of status, six of reason.
    #[prost(uint32, tag = "24")]
    pub forwarding_status: u32,
    /// TTL or hop limit.
    #[prost(uint32, tag = "25")]
    pub ip_ttl: u32,
    /// Control bits.
    #[prost(uint32, tag = "26")]
    pub tcp_flags: u32,
    /// The address's 48 bits.
    #[prost(uint64, tag = "27")]
    pub src_mac: u64,
    /// The address's 48 bits.
    #[prost(uint64, tag = "28")]
    pub dst_mac: u64,
    /// 802.1Q.
    #[prost(uint32, tag = "29")]
    pub vlan_id: u32,
    /// Ethernet's type.
    #[prost(uint32, tag = "30")]
    pub etype: u32,
    /// ICMP or ICMPv6.
    #[prost(uint32, tag = "31")]
    pub icmp_type: u32,
    /// ICMP or ICMPv6.
    #[prost(uint32, tag = "32")]
    pub icmp_code: u32,
    /// IPFIX observation domain, NetFlow v9 source id.
    #[prost(uint32, tag = "70")]
    pub observation_domain_id: u32,
    /// IPFIX observation point.
    #[prost(uint32, tag = "71")]
    pub observation_point_id: u32,
    /// The top label first.
    #[prost(uint32, repeated, tag = "81")]
    pub mpls_label: Vec<u32>,
    /// 4 or 16 octets.
    #[prost(bytes = "vec", tag = "100")]
    pub bgp_next_hop: Vec<u8>,
    /// When it reached the collector, ns since the epoch UTC.
    #[prost(uint64, tag = "110")]
    pub time_received_ns: u64,
    /// First packet, ns since the epoch UTC.
    #[prost(uint64, tag = "111")]
    pub time_flow_start_ns: u64,
    /// Last packet, ns since the epoch UTC.
    #[prost(uint64, tag = "112")]
    pub time_flow_end_ns: u64,
    /// Weir's `ns`.
    #[prost(string, tag = "1000")]
    pub src_ns: String,
    /// Weir's `dst_ns`.
    #[prost(string, tag = "1001")]
    pub dst_ns: String,
    /// Weir's `name`.
    #[prost(string, tag = "1002")]
    pub src_name: String,
    /// Weir's `dst_name`.
    #[prost(string, tag = "1003")]
    pub dst_name: String,
    /// Weir's `kind`.
    #[prost(string, tag = "1004")]
    pub src_kind: String,
    /// Weir's `dst_kind`.
    #[prost(string, tag = "1005")]
    pub dst_kind: String,
    /// Weir's `workload_name`.
    #[prost(string, tag = "1006")]
    pub src_workload_name: String,
    /// Weir's `dst_workload_name`.
    #[prost(string, tag = "1007")]
    pub dst_workload_name: String,
    /// Weir's `workload_kind`.
    #[prost(string, tag = "1008")]
    pub src_workload_kind: String,
    /// Weir's `dst_workload_kind`.
    #[prost(string, tag = "1009")]
    pub dst_workload_kind: String,
    /// Weir's `node_name`.
    #[prost(string, tag = "1010")]
    pub src_node_name: String,
    /// Weir's `dst_node_name`.
    #[prost(string, tag = "1011")]
    pub dst_node_name: String,
    /// Weir's `service_name`.
    #[prost(string, tag = "1012")]
    pub src_service_name: String,
    /// Weir's `dst_service_name`.
    #[prost(string, tag = "1013")]
    pub dst_service_name: String,
    /// Weir's `primary`: the one observation of several that sums count.
    #[prost(bool, tag = "1020")]
    pub primary: bool,
    /// Weir's `exporter_node`.
    #[prost(string, tag = "1021")]
    pub exporter_node: String,
}

/// What a flow came in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub enum FlowType {
    /// Something else.
    Flowunknown = 0,
    /// sFlow version 5.
    Sflow5 = 1,
    /// NetFlow version 5.
    NetflowV5 = 2,
    /// NetFlow version 9.
    NetflowV9 = 3,
    /// IPFIX.
    Ipfix = 4,
}

impl FlowType {
    fn of(format: &str) -> Self {
        match format {
            "sflow5" => Self::Sflow5,
            "netflow5" => Self::NetflowV5,
            "netflow9" => Self::NetflowV9,
            "ipfix" => Self::Ipfix,
            _ => Self::Flowunknown,
        }
    }
}

/// Ethernet's types (IANA).
const IPV4: u32 = 0x0800;
const IPV6: u32 = 0x86dd;

impl FlowMessage {
    /// What of a row goflow2's readers can have.
    pub fn of(row: &(impl FlowRow + ?Sized)) -> Self {
        let number = |column| row.number(column).unwrap_or(0);
        let small = |column| u32::try_from(number(column)).unwrap_or(u32::MAX);
        let octets = |column| row.address(column).map_or_else(Vec::new, octets);
        let text = |column| row.text(column).to_owned();
        let time = |column| row.time(column).unwrap_or(0);
        Self {
            r#type: FlowType::of(row.text(const { Column::of("format") })).into(),
            sampling_rate: 1,
            sequence_num: 0,
            src_addr: octets(const { Column::of("addr") }),
            dst_addr: octets(const { Column::of("dst_addr") }),
            bytes: number(const { Column::of("bytes") }),
            packets: number(const { Column::of("packets") }),
            sampler_address: octets(const { Column::of("exporter") }),
            next_hop: octets(const { Column::of("next_hop") }),
            src_as: small(const { Column::of("asn") }),
            dst_as: small(const { Column::of("dst_asn") }),
            src_net: small(const { Column::of("prefix_len") }),
            dst_net: small(const { Column::of("dst_prefix_len") }),
            in_if: small(const { Column::of("if_index") }),
            out_if: small(const { Column::of("dst_if_index") }),
            proto: small(const { Column::of("proto") }),
            src_port: small(const { Column::of("port") }),
            dst_port: small(const { Column::of("dst_port") }),
            ip_tos: small(const { Column::of("dscp") }) << 2,
            forwarding_status: forwarding_status(row.text(const { Column::of("forwarding_status") })),
            ip_ttl: small(const { Column::of("ttl") }),
            tcp_flags: small(const { Column::of("tcp_flags") }),
            src_mac: row.mac(const { Column::of("mac") }).map_or(0, bits),
            dst_mac: row.mac(const { Column::of("dst_mac") }).map_or(0, bits),
            vlan_id: small(const { Column::of("vlan_id") }),
            etype: etype(row),
            icmp_type: small(const { Column::of("icmp_type") }),
            icmp_code: small(const { Column::of("icmp_code") }),
            observation_domain_id: small(const { Column::of("obs_domain_id") }),
            observation_point_id: small(const { Column::of("obs_point_id") }),
            mpls_label: labels(row.text(const { Column::of("mpls_labels") })),
            bgp_next_hop: octets(const { Column::of("bgp_next_hop") }),
            time_received_ns: time(const { Column::of("time") }),
            time_flow_start_ns: time(const { Column::of("start") }),
            time_flow_end_ns: time(const { Column::of("end") }),
            src_ns: text(const { Column::of("ns") }),
            dst_ns: text(const { Column::of("dst_ns") }),
            src_name: text(const { Column::of("name") }),
            dst_name: text(const { Column::of("dst_name") }),
            src_kind: text(const { Column::of("kind") }),
            dst_kind: text(const { Column::of("dst_kind") }),
            src_workload_name: text(const { Column::of("workload_name") }),
            dst_workload_name: text(const { Column::of("dst_workload_name") }),
            src_workload_kind: text(const { Column::of("workload_kind") }),
            dst_workload_kind: text(const { Column::of("dst_workload_kind") }),
            src_node_name: text(const { Column::of("node_name") }),
            dst_node_name: text(const { Column::of("dst_node_name") }),
            src_service_name: text(const { Column::of("service_name") }),
            dst_service_name: text(const { Column::of("dst_service_name") }),
            primary: number(const { Column::of("primary") }) == 1,
            exporter_node: text(const { Column::of("exporter_node") }),
        }
    }

    /// Appends it with its length before it, as goflow2's `-format bin` does.
    pub fn write_delimited(&self, out: &mut Vec<u8>) {
        self.encode_length_delimited(out)
            .expect("a Vec takes whatever is written to it");
    }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

fn bits(mac: [u8; 6]) -> u64 {
    mac.iter().fold(0, |bits, octet| bits << 8 | u64::from(*octet))
}

fn etype(row: &(impl FlowRow + ?Sized)) -> u32 {
    let source = row.address(const { Column::of("addr") });
    match source.or_else(|| row.address(const { Column::of("dst_addr") })) {
        Some(IpAddr::V4(_)) => IPV4,
        Some(IpAddr::V6(_)) => IPV6,
        None => 0,
    }
}

/// The two bits of status: the six of its reason are not kept.
fn forwarding_status(word: &str) -> u32 {
    let status = match word {
        "forwarded" => 1,
        "dropped" => 2,
        "consumed" => 3,
        _ => 0,
    };
    status << 6
}

/// Numbers with `,` between them.
fn labels(text: &str) -> Vec<u32> {
    text.split(',').filter_map(|label| label.parse().ok()).collect()
}
