//! Tunnels whose outer header a sampled packet has: VXLAN, Geneve, GRE with ERSPAN, IP
//! in IP. The record stays the outer packet's; what is said here is which tunnel it
//! belongs to, and what layer the tunnel carries.

use super::Layer;
use crate::reader::Reader;
use crate::record::Record;
use crate::reject::Reject;

/// PEN 6876 IE 891.
const VXLAN: u8 = 1;
const GRE: u8 = 2;
const GENEVE: u8 = 7;

/// UDP ports of VXLAN (RFC 7348 §5), of Linux' VXLAN before it had one, and of
/// Geneve (RFC 8926 §3.3).
const VXLAN_PORT: u16 = 4789;
const OLD_VXLAN_PORT: u16 = 8472;
const GENEVE_PORT: u16 = 6081;

/// The EtherType of a frame in GRE or Geneve.
const FRAME: u16 = 0x6558;

/// The kind of a tunnel, its key and what it carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tunnel {
    /// PEN 6876 IE 891; IP in IP has no number there.
    kind: Option<u8>,
    /// VNI, GRE key, ERSPAN session.
    key: Option<u64>,
    /// Of the packet inside, at which reading stands; `None`: not one that is read.
    pub(super) carries: Option<Layer>,
}

impl Tunnel {
    const fn new(kind: u8, key: Option<u64>, carries: Option<Layer>) -> Self {
        Self {
            kind: Some(kind),
            key,
            carries,
        }
    }

    /// What a UDP datagram to the record's destination port carries. Reserved bits tell
    /// a tunnel from what else may come to the port that nobody has assigned.
    pub(super) fn over_udp(reader: &mut Reader<'_>, record: &Record) -> Result<Option<Self>, Reject> {
        let port = record.dst_port;
        if !matches!(port, Some(VXLAN_PORT | OLD_VXLAN_PORT | GENEVE_PORT)) {
            return Ok(None);
        }
        let head @ [first, _, high, low] = reader.array()?;
        let word = reader.u32()?;
        let vni = Some(u64::from(word >> 8));
        let is_vxlan = match port {
            // RFC 7348 §5: the flag that there is a VNI.
            Some(VXLAN_PORT) => first & 0x08 != 0,
            Some(OLD_VXLAN_PORT) => head == [8, 0, 0, 0] && word & 0xff == 0,
            _ => false,
        };
        if is_vxlan {
            return Ok(Some(Self::new(VXLAN, vni, Some(Layer::Ethernet))));
        }
        // RFC 8926 §3.4: version 0, an EtherType, options in words.
        let ether_type = u16::from_be_bytes([high, low]);
        if port != Some(GENEVE_PORT) || first >> 6 != 0 || ether_type < 0x600 {
            return Ok(None);
        }
        let options = reader.take(usize::from(first & 0x3f) * 4);
        let carries = options.ok().and_then(|_| layer(ether_type));
        Ok(Some(Self::new(GENEVE, vni, carries)))
    }

    /// RFC 2784, RFC 2890. ERSPAN has its session in a header of its own
    /// (draft-foschiano-erspan-03 §4), which is there when GRE's sequence number is: of
    /// 8 bytes in version II, of 12 in III and 8 more when its last bit is set.
    pub(super) fn over_gre(reader: &mut Reader<'_>) -> Result<Option<Self>, Reject> {
        const CHECKSUM: u16 = 0x8000;
        const ROUTING: u16 = 0x4000;
        const KEY: u16 = 0x2000;
        const SEQUENCE: u16 = 0x1000;
        let flags = reader.u16()?;
        let ether_type = reader.u16()?;
        // Version 1 is PPTP's (RFC 2637); source routes are of the past (RFC 1701).
        if flags & 7 != 0 || flags & ROUTING != 0 {
            return Ok(None);
        }
        if flags & CHECKSUM != 0 {
            reader.u32()?;
        }
        let mut key = None;
        if flags & KEY != 0 {
            key = Some(u64::from(reader.u32()?));
        }
        if flags & SEQUENCE != 0 {
            reader.u32()?;
        }
        let carries = match (ether_type, flags & SEQUENCE != 0) {
            (0x88be, false) => Some(Layer::Ethernet),
            (0x88be, true) => {
                key = Some(u64::from(reader.u32()? & 0x03ff));
                reader.u32().ok().map(|_| Layer::Ethernet)
            }
            (0x22eb, true) => {
                key = Some(u64::from(reader.u32()? & 0x03ff));
                let more = reader.u32().and_then(|_| reader.u32());
                let more = more.and_then(|word| reader.take(if word & 1 == 0 { 0 } else { 8 }));
                more.ok().map(|_| Layer::Ethernet)
            }
            _ => layer(ether_type),
        };
        Ok(Some(Self::new(GRE, key, carries)))
    }

    /// RFC 2003, RFC 4213, RFC 2473: a packet of that version.
    pub(super) fn over_ip(reader: &mut Reader<'_>, version: u8) -> Result<Option<Self>, Reject> {
        let is_ip = reader.clone().u8()? >> 4 == version;
        Ok(is_ip.then_some(Self {
            kind: None,
            key: None,
            carries: Some(Layer::Ip),
        }))
    }

    /// Says of a record whose addresses are the tunnel's ends which tunnel it is,
    /// unless a tunnel is told of already. Returns whether it does.
    pub(crate) fn fill(self, record: &mut Record) -> bool {
        let is_told = record.tunnel_direction.is_some()
            || record.tunnel_type.is_some()
            || record.tunnel_key.is_some()
            || record.tunnel_src.is_some();
        if is_told {
            return false;
        }
        record.tunnel_type = self.kind;
        record.tunnel_key = self.key;
        record.tunnel_src = record.src_addr;
        record.tunnel_dst = record.dst_addr;
        record.tunnel_protocol = record.ip_protocol;
        record.tunnel_src_port = record.src_port;
        record.tunnel_dst_port = record.dst_port;
        true
    }
}

fn layer(ether_type: u16) -> Option<Layer> {
    match ether_type {
        FRAME => Some(Layer::Ethernet),
        0x0800 | 0x86dd => Some(Layer::Ip),
        _ => None,
    }
}
