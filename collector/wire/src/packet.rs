//! Headers of a sampled packet, from the link layer to the ports: Ethernet with VLAN
//! tags and LLC/SNAP, PPP and PPPoE, MPLS with what its labels carry. Owns the way
//! down to the network layer; that layer and the one above are `network`'s, tunnels
//! `tunnel`'s. A sample may end anywhere; what is there is taken.
//!
//! MPLS does not say what its labels carry. What is taken for IP there must prove it
//! (`network`), since a pseudowire without a control word begins with a MAC address,
//! which may begin like an IP header (RFC 8469 §3). The link layer of the record is the
//! outermost, its network layer the one below: that of the frame in a pseudowire, the
//! outer one of a tunnel.

mod network;
mod tunnel;

use tunnel::Tunnel;

use crate::attribute::{Attribute, AttributeValue};
use crate::reader::Reader;
use crate::record::{PacketSample, Record};
use crate::reject::Reject;
use crate::text::Text;

/// Bytes of a frame check sequence. A frame in a tunnel has none; lengths count it.
const FRAME_CHECK: usize = 4;
/// VLAN tags that are read; a frame with more says no more.
const MAX_TAGS: usize = 4;
/// MPLS labels that are read.
const MAX_LABELS: usize = 16;
/// VLAN 0 is a priority without a VLAN, 4095 is reserved (IEEE 802.1Q §9.6).
const VLANS: std::ops::Range<u16> = 1..4095;

/// The layer that a sampled header begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layer {
    /// An Ethernet frame, without preamble.
    Ethernet,
    /// PPP, with or without HDLC's address and control (RFC 1661, RFC 1662).
    Ppp,
    /// A label stack (RFC 3032).
    Mpls,
    /// IPv4 or IPv6.
    Ip,
}

/// What the headers say beside what is in the record.
#[derive(Debug, Default)]
pub(crate) struct Headers {
    /// Bytes of layer 3 as the IP header has it.
    pub ip_length: Option<u32>,
    /// The tunnel whose outer header the record's network layer is.
    pub tunnel: Option<Tunnel>,
    /// The packet that the tunnel carries, if it is IP; its `sample` has its lengths.
    pub inner: Option<Box<Record>>,
}

/// Reads an Ethernet frame into `record`. Returns the octets of layer 3 as the
/// IP header has it.
pub(crate) fn ethernet(frame: &[u8], record: &mut Record) -> Option<u32> {
    whole(Layer::Ethernet, frame, record)
}

/// Reads a packet that begins with its IPv4 or IPv6 header.
pub(crate) fn ip(packet: &[u8], record: &mut Record) -> Option<u32> {
    whole(Layer::Ip, packet, record)
}

fn whole(layer: Layer, bytes: &[u8], record: &mut Record) -> Option<u32> {
    let headers = read(layer, bytes, None, record);
    if let Some(tunnel) = headers.tunnel {
        tunnel.fill(record);
    }
    headers.ip_length
}

/// Reads the first `bytes` of a packet into `record`. `wire_length`: the bytes that the
/// packet had from there to its end, without a frame check sequence, if known.
pub(crate) fn read(layer: Layer, bytes: &[u8], wire_length: Option<usize>, record: &mut Record) -> Headers {
    let mut walk = Walk::new(bytes, wire_length, record);
    walk.read(layer);
    let inner = walk.headers.tunnel.and_then(|tunnel| walk.inner(tunnel.carries?));
    Headers {
        inner,
        ..walk.headers
    }
}

/// The way down through one packet.
struct Walk<'p, 'r> {
    reader: Reader<'p>,
    wire_length: Option<usize>,
    record: &'r mut Record,
    headers: Headers,
}

impl<'p, 'r> Walk<'p, 'r> {
    fn new(bytes: &'p [u8], wire_length: Option<usize>, record: &'r mut Record) -> Self {
        Self {
            reader: Reader::new(bytes),
            wire_length,
            record,
            headers: Headers::default(),
        }
    }

    fn read(&mut self, layer: Layer) {
        // Running out of bytes is how samples end.
        let _ = match layer {
            Layer::Ethernet => self.ethernet(),
            Layer::Ppp => self.ppp(),
            Layer::Mpls => self.mpls(),
            Layer::Ip => self.ip(),
        };
    }

    /// Bytes on the wire from here to the end of the packet.
    fn wire_left(&self) -> Option<usize> {
        self.wire_length
            .and_then(|length| length.checked_sub(self.reader.offset()))
    }

    /// The packet that begins here, in a tunnel. A tunnel within is not followed.
    fn inner(&self, layer: Layer) -> Option<Box<Record>> {
        let (mut inner, wire_left) = (Record::default(), self.wire_left());
        let mut walk = Walk::new(self.reader.rest(), wire_left, &mut inner);
        walk.read(layer);
        let ip_length = walk.headers.ip_length;
        let frame_length = wire_left.filter(|_| layer == Layer::Ethernet);
        let frame_length = frame_length.and_then(|length| u32::try_from(length + FRAME_CHECK).ok());
        inner.src_addr?;
        inner.sample = Some(PacketSample {
            frame_length: frame_length.unwrap_or(0),
            stripped: FRAME_CHECK as u32,
            ip_length,
            ..PacketSample::default()
        });
        Some(Box::new(inner))
    }

    fn ethernet(&mut self) -> Result<(), Reject> {
        let mut header = EthernetHeader::default();
        let result = header.read(&mut self.reader);
        self.record.dst_mac = header.dst_mac;
        self.record.src_mac = header.src_mac;
        self.record.vlan = header.vlan;
        self.record.vlan_priority = header.vlan_priority;
        result?;
        self.record.ether_type = header.ether_type;
        self.record.ethernet_header_len = u16::try_from(self.reader.offset()).ok();
        match header.ether_type {
            Some(ether_type @ (0x0800 | 0x86dd)) => self.network(ether_type),
            Some(0x8847 | 0x8848) => self.mpls(),
            // Discovery, 0x8863, carries no packets.
            Some(0x8864) => self.pppoe(),
            _ => Ok(()),
        }
    }

    /// RFC 2516 §4: a session carries PPP.
    fn pppoe(&mut self) -> Result<(), Reject> {
        let version_and_type = self.reader.u8()?;
        let code = self.reader.u8()?;
        let _session_and_length = self.reader.u32()?;
        match (version_and_type, code) {
            (0x11, 0) => self.ppp(),
            _ => Ok(()),
        }
    }

    /// RFC 1661 §2, after the address and control of RFC 1662 §3.1 if they are there.
    fn ppp(&mut self) -> Result<(), Reject> {
        if self.reader.rest().starts_with(&[0xff, 0x03]) {
            self.reader.take(2)?;
        }
        match self.reader.u16()? {
            0x0021 => self.network(0x0800),
            0x0057 => self.network(0x86dd),
            0x0281 | 0x0283 => self.mpls(),
            _ => Ok(()),
        }
    }

    /// RFC 3032: the last label has the bottom-of-stack bit.
    fn mpls(&mut self) -> Result<(), Reject> {
        let mut labels = Vec::new();
        while labels.len() < MAX_LABELS {
            let entry = self.reader.u32()?;
            labels.push(entry >> 12);
            if entry & 0x100 != 0 {
                self.labels(&labels);
                return self.label_payload(entry >> 12);
            }
        }
        Ok(())
    }

    fn labels(&mut self, labels: &[u32]) {
        let texts: Vec<String> = labels.iter().map(u32::to_string).collect();
        let text = AttributeValue::Text(Text::from(texts.join(",").as_str()));
        self.record.attributes.set(Attribute::MplsLabels, text);
    }

    /// What the bottom label carries: the two explicit nulls say it (RFC 3032 §2.1), of
    /// others it must show.
    fn label_payload(&mut self, bottom: u32) -> Result<(), Reject> {
        match (bottom, self.reader.clone().u8()? >> 4) {
            (0, 4) | (2, 6) => self.ip(),
            (_, 4 | 6) if self.proves_ip() => self.ip(),
            (_, 0) => self.pseudowire(),
            _ => Ok(()),
        }
    }

    /// An Ethernet frame after a control word (RFC 4385 §3, RFC 4448 §4.6). Whether the
    /// wire is one of Ethernet is not said either: there must be IP in the frame.
    fn pseudowire(&mut self) -> Result<(), Reject> {
        let _control_word = self.reader.u32()?;
        let mut header = EthernetHeader::default();
        header.read(&mut self.reader)?;
        match header.ether_type {
            Some(ether_type @ (0x0800 | 0x86dd)) if self.proves_ip() => self.network(ether_type),
            _ => Ok(()),
        }
    }
}

/// An Ethernet header up to the payload, as far as it is there.
#[derive(Debug, Default)]
struct EthernetHeader {
    dst_mac: Option<[u8; 6]>,
    src_mac: Option<[u8; 6]>,
    /// Of the outermost tag that names one.
    vlan: Option<u16>,
    /// Of the outermost tag.
    vlan_priority: Option<u8>,
    /// None in an IEEE 802.3 frame without SNAP, and behind too many tags.
    ether_type: Option<u16>,
}

impl EthernetHeader {
    fn read(&mut self, reader: &mut Reader<'_>) -> Result<(), Reject> {
        self.dst_mac = Some(reader.array()?);
        self.src_mac = Some(reader.array()?);
        let mut ether_type = reader.u16()?;
        let mut tags = 0;
        // IEEE 802.1Q, 802.1ad and its forerunner.
        while matches!(ether_type, 0x8100 | 0x88a8 | 0x9100) {
            if tags == MAX_TAGS {
                return Ok(());
            }
            tags += 1;
            let tag = reader.u16()?;
            self.vlan = self
                .vlan
                .or(Some(tag & 0x0fff).filter(|vlan| VLANS.contains(vlan)));
            self.vlan_priority.get_or_insert((tag >> 13) as u8);
            ether_type = reader.u16()?;
        }
        // Below 0x600 it is the length of an IEEE 802.3 frame.
        self.ether_type = if ether_type < 0x600 {
            snap(reader)
        } else {
            Some(ether_type)
        };
        Ok(())
    }
}

/// The EtherType in an LLC header with SNAP (RFC 1042; IEEE 802.1H for the second
/// organisation), which is then read.
fn snap(reader: &mut Reader<'_>) -> Option<u16> {
    let mut header = reader.clone();
    let organisation = header.array::<6>().ok()?;
    let ether_type = header.u16().ok()?;
    let is_ethernet = matches!(
        organisation,
        [0xaa, 0xaa, 0x03, 0, 0, 0] | [0xaa, 0xaa, 0x03, 0, 0, 0xf8]
    );
    if !is_ethernet || ether_type < 0x600 {
        return None;
    }
    *reader = header;
    Some(ether_type)
}

#[cfg(test)]
mod tests;
