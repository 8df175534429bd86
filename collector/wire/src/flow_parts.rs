//! The parts of an sFlow flow sample (sflow_version_5.txt §5.3, sflow_tunnels.txt).
//! The packet's own header counts first; other parts fill what it does not say, in
//! whatever order they come (OVS puts the newest first).

use std::net::IpAddr;

use crate::flow_extensions;
use crate::packet::{self, Headers, Layer};
use crate::reader::Reader;
use crate::record::{Direction, PacketSample, Record};
use crate::reject::Reject;
use crate::sflow::padded;

/// VLAN 0 is no VLAN, all ones is unknown, and there are only 4094 of them.
const VLANS: std::ops::Range<u32> = 1..4095;

/// Parts that only count where the packet's header did not say it.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    ethernet: Option<Ethernet>,
    packet: Option<Packet>,
    switch: Option<Switch>,
    /// What the packet's header says of a tunnel.
    headers: Headers,
}

/// Part 2.
#[derive(Debug)]
struct Ethernet {
    src_mac: [u8; 6],
    dst_mac: [u8; 6],
    ether_type: u32,
}

/// Parts 3 and 4; a tunnel's outer header in parts 1023 to 1026.
#[derive(Debug)]
struct Packet {
    version: u8,
    length: u32,
    protocol: u32,
    src: IpAddr,
    dst: IpAddr,
    src_port: u32,
    dst_port: u32,
    tcp_flags: u32,
    tos: u32,
}

/// Part 1001.
#[derive(Debug)]
struct Switch {
    src_vlan: u32,
    src_priority: u32,
    dst_vlan: u32,
}

impl Parts {
    /// Reads one part; an unknown one is left alone.
    pub(crate) fn read(
        &mut self,
        format: u32,
        mut body: Reader<'_>,
        record: &mut Record,
    ) -> Result<(), Reject> {
        let body = &mut body;
        match format {
            1 => self.headers = header(body, record)?,
            2 => self.ethernet = Some(ethernet(body)?),
            3 => self.packet = Some(ipv4(body)?),
            4 => self.packet = Some(ipv6(body)?),
            1001 => self.switch = Some(switch(body)?),
            1023 => tunnel(record, Direction::Egress, &ipv4(body)?),
            1024 => tunnel(record, Direction::Ingress, &ipv4(body)?),
            1025 => tunnel(record, Direction::Egress, &ipv6(body)?),
            1026 => tunnel(record, Direction::Ingress, &ipv6(body)?),
            1029 => tunnel_key(record, Direction::Egress, body.u32()?),
            1030 => tunnel_key(record, Direction::Ingress, body.u32()?),
            _ => flow_extensions::read(format, body, record),
        }
        Ok(())
    }

    /// Takes what the packet's header did not say.
    pub(crate) fn fill_gaps(self, record: &mut Record) {
        if let Some(switch) = self.switch {
            switch.fill(record);
        }
        if let Some(frame) = self.ethernet.filter(|_| record.src_mac.is_none()) {
            record.src_mac = Some(frame.src_mac);
            record.dst_mac = Some(frame.dst_mac);
            record.ether_type = u16::try_from(frame.ether_type).ok();
        }
        if let Some(packet) = self.packet.filter(|_| record.src_addr.is_none()) {
            packet.fill(record);
        }
        if let Some(tunnel) = self.headers.tunnel
            && tunnel.fill(record)
            && let Some(sample) = &mut record.sample
        {
            sample.inner = self.headers.inner;
        }
    }
}

impl Switch {
    fn fill(&self, record: &mut Record) {
        if record.vlan.is_none() && VLANS.contains(&self.src_vlan) {
            record.vlan = u16::try_from(self.src_vlan).ok();
            record.vlan_priority = u8::try_from(self.src_priority)
                .ok()
                .filter(|&priority| priority < 8);
        }
        record.dst_vlan = u16::try_from(self.dst_vlan)
            .ok()
            .filter(|&vlan| VLANS.contains(&vlan.into()));
    }
}

impl Packet {
    fn fill(&self, record: &mut Record) {
        record.ip_version = Some(self.version);
        record.src_addr = Some(self.src);
        record.dst_addr = Some(self.dst);
        record.tos = u8::try_from(self.tos).ok();
        record.ip_protocol = u8::try_from(self.protocol).ok();
        record.src_port = u16::try_from(self.src_port).ok();
        record.dst_port = u16::try_from(self.dst_port).ok();
        let flags = u16::try_from(self.tcp_flags).ok();
        record.tcp_flags = flags.filter(|_| self.protocol == 6);
        if let Some(sample) = &mut record.sample {
            sample.ip_length = Some(self.length);
        }
    }
}

/// Part 1: the first bytes of the packet.
fn header(body: &mut Reader<'_>, record: &mut Record) -> Result<Headers, Reject> {
    let protocol = body.u32()?;
    let frame_length = body.u32()?;
    let stripped = body.u32()?;
    let length = body.u32()?;
    let mut bytes = body.part(padded(length))?;
    let bytes = bytes.take(usize::try_from(length).unwrap_or(usize::MAX))?;
    let layer = layer(protocol);
    let sampled_length = frame_length.checked_sub(stripped);
    let headers = layer.map(|layer| {
        // With nothing taken off, it is not known whether the check sequence is counted.
        let is_known = stripped != 0 || layer == Layer::Ip;
        let wire_length = sampled_length.filter(|_| is_known);
        let wire_length = wire_length.and_then(|length| usize::try_from(length).ok());
        packet::read(layer, bytes, wire_length, record)
    });
    let headers = headers.unwrap_or_default();
    let sample = record.sample.get_or_insert_with(PacketSample::default);
    let is_frame = matches!(layer, None | Some(Layer::Ethernet));
    sample.frame_length = if is_frame { frame_length } else { 0 };
    sample.stripped = stripped;
    sample.ip_length = match headers.ip_length {
        None | Some(0) if layer == Some(Layer::Ip) => sampled_length,
        length => length,
    };
    Ok(headers)
}

/// What a header of this protocol begins with; POS is PPP (RFC 2615).
fn layer(header_protocol: u32) -> Option<Layer> {
    match header_protocol {
        1 => Some(Layer::Ethernet),
        7 | 14 => Some(Layer::Ppp),
        11 | 12 => Some(Layer::Ip),
        13 => Some(Layer::Mpls),
        _ => None,
    }
}

/// MAC addresses are padded to eight octets.
fn ethernet(body: &mut Reader<'_>) -> Result<Ethernet, Reject> {
    let _length = body.u32()?;
    let src_mac = body.array()?;
    body.take(2)?;
    let dst_mac = body.array()?;
    body.take(2)?;
    let ether_type = body.u32()?;
    Ok(Ethernet {
        src_mac,
        dst_mac,
        ether_type,
    })
}

fn ipv4(body: &mut Reader<'_>) -> Result<Packet, Reject> {
    let (length, protocol) = (body.u32()?, body.u32()?);
    let (src, dst) = (body.array::<4>()?, body.array::<4>()?);
    ip(body, 4, length, protocol, src.into(), dst.into())
}

fn ipv6(body: &mut Reader<'_>) -> Result<Packet, Reject> {
    let (length, protocol) = (body.u32()?, body.u32()?);
    let (src, dst) = (body.array::<16>()?, body.array::<16>()?);
    ip(body, 6, length, protocol, src.into(), dst.into())
}

fn ip(
    body: &mut Reader<'_>,
    version: u8,
    length: u32,
    protocol: u32,
    src: IpAddr,
    dst: IpAddr,
) -> Result<Packet, Reject> {
    Ok(Packet {
        version,
        length,
        protocol,
        src,
        dst,
        src_port: body.u32()?,
        dst_port: body.u32()?,
        tcp_flags: body.u32()?,
        tos: body.u32()?,
    })
}

fn switch(body: &mut Reader<'_>) -> Result<Switch, Reject> {
    let (src_vlan, src_priority) = (body.u32()?, body.u32()?);
    let (dst_vlan, _dst_priority) = (body.u32()?, body.u32()?);
    Ok(Switch {
        src_vlan,
        src_priority,
        dst_vlan,
    })
}

/// A packet may come out of one tunnel and go into another: the one that it goes
/// into says where it is sent.
fn enters(record: &mut Record, direction: Direction) -> bool {
    if record.tunnel_direction == Some(Direction::Egress) && direction == Direction::Ingress {
        return false;
    }
    if record.tunnel_direction != Some(direction) {
        record.tunnel_key = None;
        record.tunnel_direction = Some(direction);
    }
    true
}

fn tunnel_key(record: &mut Record, direction: Direction, vni: u32) {
    if enters(record, direction) {
        record.tunnel_key = Some(u64::from(vni));
    }
}

fn tunnel(record: &mut Record, direction: Direction, outer: &Packet) {
    if enters(record, direction) {
        record.tunnel_src = Some(outer.src);
        record.tunnel_dst = Some(outer.dst);
        record.tunnel_protocol = u8::try_from(outer.protocol).ok();
        record.tunnel_src_port = u16::try_from(outer.src_port).ok();
        record.tunnel_dst_port = u16::try_from(outer.dst_port).ok();
    }
}
