//! One flow record as the exporter told it, whatever the format. Nothing is
//! scaled, paired or corrected here.

use std::net::IpAddr;

use crate::attribute::Attributes;
use crate::protocol::Protocol;
use crate::text::Text;

/// Which way the packets went through the interface of the observation
/// (IE 61 flowDirection).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Into the exporter.
    Ingress,
    /// Out of the exporter.
    Egress,
}

/// One end of the way a sampled packet took (sFlow v5 §5.3, `interface`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct SampledInterface {
    /// [`Self::SINGLE`], [`Self::DISCARDED`] or [`Self::MULTIPLE`].
    pub format: u32,
    /// ifIndex, reason code or number of interfaces, by format.
    pub value: u32,
}

impl SampledInterface {
    /// The value is an ifIndex; 0 means unknown.
    pub const SINGLE: u32 = 0;
    /// The packet was discarded; the value is a reason code (256 = unknown).
    pub const DISCARDED: u32 = 1;
    /// The packet left through several interfaces; 0 means it is not known how many.
    pub const MULTIPLE: u32 = 2;

    /// The ifIndex, when there is exactly one and it is known. 0x3fffffff stands
    /// for traffic from or to the exporter itself and is no ifIndex.
    pub fn if_index(self) -> Option<u32> {
        (self.format == Self::SINGLE && self.value != 0 && self.value != 0x3fff_ffff).then_some(self.value)
    }
}

/// What an sFlow flow sample says beside the packet's own headers.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PacketSample {
    /// Number of this sample at its source.
    pub sequence: u32,
    /// Class of the data source (0 ifIndex, 1 VLAN, 2 physical entity).
    pub source_type: u32,
    /// Index of the data source in its class.
    pub source_index: u32,
    /// One of so many packets is sampled.
    pub rate: u32,
    /// Packets that could have been sampled until now.
    pub pool: u32,
    /// Samples lost for lack of resources. Always 0 from OVS.
    pub drops: u32,
    /// Where the packet came in.
    pub input: SampledInterface,
    /// Where it went.
    pub output: SampledInterface,
    /// Octets of the whole frame on the wire, frame check sequence included; 0
    /// when the sample has no raw header, or one that begins above Ethernet (PPP, MPLS,
    /// IP): what the frame was is not known then.
    pub frame_length: u32,
    /// Octets taken off the frame before it was sampled (4 for the check sequence).
    pub stripped: u32,
    /// Octets of layer 3 (IPv4 total length, IPv6 payload length + 40), from the
    /// sampled header. 0 in an IPv6 jumbogram. Where the sample begins with IP and does
    /// not say it, the octets that were sampled.
    pub ip_length: Option<u32>,
    /// The packet in the tunnel whose outer header was sampled, if it is IP: its headers,
    /// and in its own `sample` its `frame_length` (0 when it is no frame) and `ip_length`.
    pub inner: Option<Box<Record>>,
}

/// One record, raw. `None`, zero or an empty text: the exporter did not say.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Record {
    /// The format it came in.
    pub protocol: Protocol,

    /// IPFIX observation domain, NetFlow v9 source id.
    pub observation_domain: Option<u32>,
    /// IE 138 observationPointId.
    pub observation_point: Option<u64>,
    /// PEN 6876 IE 898 virtualObsID.
    pub virtual_obs_id: Text,
    /// NetFlow v5 header; IE 38.
    pub engine_type: Option<u8>,
    /// NetFlow v5 header; IE 39.
    pub engine_id: Option<u8>,
    /// sFlow agent address.
    pub agent: Option<IpAddr>,
    /// sFlow sub-agent.
    pub sub_agent: Option<u32>,

    /// When the exporter sent it, ns since the epoch UTC; for sFlow, which has no
    /// wall clock, when it was received.
    pub export_ns: u64,
    /// When its data set came, ms since the epoch UTC, if that waited for its template:
    /// earlier than the datagram that brings the record.
    pub waited_since_ms: Option<u64>,
    /// First packet, ns since the epoch UTC.
    pub start_ns: Option<u64>,
    /// Last packet, ns since the epoch UTC.
    pub end_ns: Option<u64>,

    /// Source address.
    pub src_addr: Option<IpAddr>,
    /// Destination address.
    pub dst_addr: Option<IpAddr>,
    /// Transport source port.
    pub src_port: Option<u16>,
    /// Transport destination port.
    pub dst_port: Option<u16>,
    /// IANA protocol number. From sFlow: of the upper layer, after IPv6 extension headers.
    pub ip_protocol: Option<u8>,
    /// 4 or 6.
    pub ip_version: Option<u8>,
    /// Type of service or traffic class, all 8 bits (OVS clears ECN in NetFlow v5).
    pub tos: Option<u8>,
    /// IE 195, 6 bits.
    pub dscp: Option<u8>,
    /// TTL or hop limit.
    pub ttl: Option<u8>,
    /// IPv6 flow label.
    pub flow_label: Option<u32>,
    /// ICMP or ICMPv6 type: IE 176, 178, 32, 139, or the destination port.
    pub icmp_type: Option<u8>,
    /// ICMP or ICMPv6 code.
    pub icmp_code: Option<u8>,
    /// TCP control bits: an OR over the flow (NetFlow, IE 6) or of one packet (sFlow).
    pub tcp_flags: Option<u16>,

    /// Source MAC address: IE 56, or 81; not all zero.
    pub src_mac: Option<[u8; 6]>,
    /// Destination MAC address: IE 80, or 57; not all zero.
    pub dst_mac: Option<[u8; 6]>,
    /// VLAN id, never 0: IE 58 or 243; from sFlow the tag in the frame, else the input VLAN.
    pub vlan: Option<u16>,
    /// VLAN id after the exporter, never 0: IE 59 or 254; the sFlow output VLAN.
    pub dst_vlan: Option<u16>,
    /// 802.1p priority.
    pub vlan_priority: Option<u8>,
    /// EtherType, after VLAN tags.
    pub ether_type: Option<u16>,
    /// Octets of the Ethernet header, VLAN tags included.
    pub ethernet_header_len: Option<u16>,

    /// IE 1, or the best of what stands for it: IE 231, 85, 23, 171; NetFlow v5 dOctets, in
    /// which OVS counts the Ethernet header. Of a sampled packet (IE 313, 315) its IP
    /// length. `None` in a record without any such counter.
    pub bytes: Option<u64>,
    /// IE 352 layer2OctetDeltaCount, or 353.
    pub l2_bytes: Option<u64>,
    /// IE 2, or IE 298, 86, 24, 172; NetFlow v5 dPkts. 1 for a sampled packet.
    pub packets: Option<u64>,
    /// IE 132.
    pub dropped_bytes: Option<u64>,
    /// IE 133.
    pub dropped_packets: Option<u64>,
    /// `octets` or `packets` are totals of the flow so far (IE 85, 86, 171, 172), because
    /// the template has no delta counter (IE 1, 2) for it. Most who send totals export a
    /// flow once, when it has ended.
    pub totals: bool,
    /// IE 25, octets.
    pub min_ip_len: Option<u64>,
    /// IE 26, octets.
    pub max_ip_len: Option<u64>,

    /// IE 61.
    pub direction: Option<Direction>,
    /// IE 136: 1 idle, 2 active timeout, 3 end of flow, 4 forced, 5 lack of resources.
    pub end_reason: Option<u8>,
    /// ifIndex in (IE 10), an OpenFlow port number in OVS NetFlow v5.
    pub in_if: Option<u32>,
    /// ifIndex out (IE 14), an OpenFlow port number in OVS NetFlow v5.
    pub out_if: Option<u32>,
    /// First IE 82 of the record: the ingress interface.
    pub in_if_name: Text,
    /// First IE 83 of the record.
    pub in_if_description: Text,
    /// Second IE 82 of the record: the egress interface.
    pub out_if_name: Text,
    /// Second IE 83 of the record.
    pub out_if_description: Text,

    /// From sFlow only: the tunnel the packet came out of or goes into. In IPFIX it is
    /// that of the record's own direction. `None` beside a tunnel in sFlow: the packet is
    /// the tunnel's own, and the record's addresses are the tunnel's ends.
    pub tunnel_direction: Option<Direction>,
    /// PEN 6876 IE 891: 1 VXLAN, 2 GRE, 3 LISP, 4 STT, 7 Geneve.
    pub tunnel_type: Option<u8>,
    /// PEN 6876 IE 892; the VNI in sFlow records 1029 and 1030.
    pub tunnel_key: Option<u64>,
    /// PEN 6876 IE 893; sFlow records 1023 to 1026.
    pub tunnel_src: Option<IpAddr>,
    /// PEN 6876 IE 894; sFlow records 1023 to 1026.
    pub tunnel_dst: Option<IpAddr>,
    /// PEN 6876 IE 895: protocol of the outer header (17 UDP, 47 GRE).
    pub tunnel_protocol: Option<u8>,
    /// PEN 6876 IE 896.
    pub tunnel_src_port: Option<u16>,
    /// PEN 6876 IE 897.
    pub tunnel_dst_port: Option<u16>,

    /// One of so many packets is counted: NetFlow v5 header (when not 0), IE 34 or 50,
    /// IE 305 and 306, 309 and 310, 311, sFlow sampling rate. What OVS sends by IPFIX is scaled already
    /// and says nothing here.
    pub sampling: Option<u32>,
    /// The sampler that took the packets: IE 302, NetFlow v9 48. Its rate is in options
    /// data ([`crate::Sampling`]).
    pub selector: Option<u64>,
    /// There in sFlow records only.
    pub sample: Option<PacketSample>,
    /// What few exporters say.
    pub attributes: Attributes,
}

impl Record {
    /// The record of the packet in the tunnel, where a tunnel's packet was sampled: its
    /// headers and lengths in place of all of the outer packet's, of which the ends of the
    /// tunnel are left. Any other record is returned as it is.
    ///
    /// Which of the two counts depends on who else sees them. Open vSwitch sees the inner
    /// packets on another bridge; of a switch between the nodes they are all there is.
    #[must_use]
    pub fn into_inner(mut self) -> Self {
        let Some(sample) = &mut self.sample else {
            return self;
        };
        let Some(inner) = sample.inner.take() else {
            return self;
        };
        let lengths = inner.sample.as_ref();
        sample.frame_length = lengths.map_or(0, |lengths| lengths.frame_length);
        sample.stripped = lengths.map_or(0, |lengths| lengths.stripped);
        sample.ip_length = lengths.and_then(|lengths| lengths.ip_length);
        Self {
            src_addr: inner.src_addr,
            dst_addr: inner.dst_addr,
            src_port: inner.src_port,
            dst_port: inner.dst_port,
            ip_protocol: inner.ip_protocol,
            ip_version: inner.ip_version,
            tos: inner.tos,
            ttl: inner.ttl,
            flow_label: inner.flow_label,
            icmp_type: inner.icmp_type,
            icmp_code: inner.icmp_code,
            tcp_flags: inner.tcp_flags,
            src_mac: inner.src_mac,
            dst_mac: inner.dst_mac,
            vlan: inner.vlan,
            dst_vlan: None,
            vlan_priority: inner.vlan_priority,
            ether_type: inner.ether_type,
            ethernet_header_len: inner.ethernet_header_len,
            ..self
        }
    }

    /// An empty record of `protocol`.
    #[inline]
    pub fn new(protocol: Protocol, export_ns: u64) -> Self {
        Self {
            protocol,
            export_ns,
            ..Self::default()
        }
    }
}
