//! Tunnels whose outer header a sampled packet has: VXLAN, Geneve, GRE with ERSPAN, IP
//! in IP. The record's addresses stay those of the outer header, so that a record is
//! about one packet and its lengths; what is said here is which tunnel it belongs to.
//! What the tunnel carries is not read.

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

/// The kind of a tunnel and its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tunnel {
    /// PEN 6876 IE 891; IP in IP has no number there.
    kind: Option<u8>,
    /// VNI, GRE key, ERSPAN session.
    key: Option<u64>,
}

impl Tunnel {
    const fn new(kind: u8, key: Option<u64>) -> Self {
        Self {
            kind: Some(kind),
            key,
        }
    }

    /// What a UDP datagram to the record's destination port carries. Reserved bits tell
    /// a tunnel from what else may come to the port that nobody has assigned.
    pub(super) fn over_udp(reader: &mut Reader<'_>, record: &Record) -> Result<Option<Self>, Reject> {
        let port = record.dst_port;
        if !matches!(port, Some(VXLAN_PORT | OLD_VXLAN_PORT | GENEVE_PORT)) {
            return Ok(None);
        }
        let [first, second, high, low] = reader.array()?;
        let word = reader.u32()?;
        let vni = Some(u64::from(word >> 8));
        let tunnel = match port {
            // RFC 7348 §5: the flag that there is a VNI.
            Some(VXLAN_PORT) if first & 0x08 != 0 => Some(Self::new(VXLAN, vni)),
            Some(OLD_VXLAN_PORT) if [first, second, high, low] == [8, 0, 0, 0] && word & 0xff == 0 => {
                Some(Self::new(VXLAN, vni))
            }
            // RFC 8926 §3.4: version 0, and an EtherType.
            Some(GENEVE_PORT) if first >> 6 == 0 && high >= 6 => Some(Self::new(GENEVE, vni)),
            _ => None,
        };
        Ok(tunnel)
    }

    /// RFC 2784, RFC 2890. ERSPAN has its session in a header of its own
    /// (draft-foschiano-erspan-03 §4), which is there when GRE's sequence number is.
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
            if matches!(ether_type, 0x88be | 0x22eb) {
                key = Some(u64::from(reader.u32()? & 0x03ff));
            }
        }
        Ok(Some(Self::new(GRE, key)))
    }

    /// RFC 2003, RFC 4213, RFC 2473: a packet of that version.
    pub(super) fn over_ip(reader: &mut Reader<'_>, version: u8) -> Result<Option<Self>, Reject> {
        let is_ip = reader.u8()? >> 4 == version;
        Ok(is_ip.then_some(Self {
            kind: None,
            key: None,
        }))
    }

    /// Says of a record whose addresses are the tunnel's ends which tunnel it is,
    /// unless a tunnel is told of already.
    pub(crate) fn fill(self, record: &mut Record) {
        let is_told = record.tunnel_direction.is_some()
            || record.tunnel_type.is_some()
            || record.tunnel_key.is_some()
            || record.tunnel_src.is_some();
        if is_told {
            return;
        }
        record.tunnel_type = self.kind;
        record.tunnel_key = self.key;
        record.tunnel_src = record.src_addr;
        record.tunnel_dst = record.dst_addr;
        record.tunnel_protocol = record.ip_protocol;
        record.tunnel_src_port = record.src_port;
        record.tunnel_dst_port = record.dst_port;
    }
}
