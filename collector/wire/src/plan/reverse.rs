//! The packets of a biflow that go the other way (RFC 5103), which become a record of
//! their own.

use super::notes::{absolute, finest};
use crate::clock::Clock;
use crate::element::{Reverse, Side, TimeForm};
use crate::record::Record;
use crate::store;

/// What is said of them.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ReverseFlow {
    bytes: Option<u64>,
    packets: Option<u64>,
    l2_bytes: Option<u64>,
    tcp_flags: Option<u16>,
    tos: Option<u8>,
    ttl: Option<u8>,
    start: Option<(TimeForm, u64)>,
    end: Option<(TimeForm, u64)>,
}

impl ReverseFlow {
    pub(super) fn put(&mut self, clock: Clock, reverse: Reverse, bytes: &[u8]) {
        let Some(value) = store::integer(bytes) else {
            return;
        };
        match reverse {
            Reverse::Octets => self.bytes = Some(value),
            Reverse::Packets => self.packets = Some(value),
            Reverse::L2Octets => self.l2_bytes = Some(value),
            Reverse::TcpFlags => self.tcp_flags = u16::try_from(value).ok(),
            Reverse::Tos => self.tos = u8::try_from(value).ok(),
            Reverse::Ttl => self.ttl = u8::try_from(value).ok(),
            Reverse::Time(side, form) => {
                let place = match side {
                    Side::First => &mut self.start,
                    Side::Second => &mut self.end,
                };
                finest(place, form, absolute(clock, form, value));
            }
        }
    }

    /// Whether there were any.
    pub(super) fn counts(&self) -> bool {
        self.bytes.is_some_and(|octets| octets > 0) || self.packets.is_some_and(|packets| packets > 0)
    }

    /// The record of them. They were seen by the same observation as those of the
    /// forward direction, so that the two are counted or not counted together: the
    /// direction (IE 61), which says where the flow was metered, is that of both.
    pub(crate) fn record(&self, forward: &Record) -> Record {
        let time = |time: Option<(TimeForm, u64)>| time.map(|(_, ns)| ns);
        Record {
            start_ns: time(self.start).or(forward.start_ns),
            end_ns: time(self.end).or(forward.end_ns),
            src_addr: forward.dst_addr,
            dst_addr: forward.src_addr,
            src_port: forward.dst_port,
            dst_port: forward.src_port,
            src_mac: forward.dst_mac,
            dst_mac: forward.src_mac,
            vlan: forward.dst_vlan.or(forward.vlan),
            dst_vlan: forward.dst_vlan.and(forward.vlan),
            in_if: forward.out_if,
            out_if: forward.in_if,
            in_if_name: forward.out_if_name.clone(),
            in_if_description: forward.out_if_description.clone(),
            out_if_name: forward.in_if_name.clone(),
            out_if_description: forward.in_if_description.clone(),
            tunnel_src: forward.tunnel_dst,
            tunnel_dst: forward.tunnel_src,
            tunnel_src_port: forward.tunnel_dst_port,
            tunnel_dst_port: forward.tunnel_src_port,
            bytes: self.bytes,
            packets: self.packets,
            l2_bytes: self.l2_bytes,
            tcp_flags: self.tcp_flags,
            tos: self.tos,
            ttl: self.ttl,
            dscp: None,
            flow_label: None,
            icmp_type: None,
            icmp_code: None,
            dropped_bytes: None,
            dropped_packets: None,
            min_ip_len: None,
            max_ip_len: None,
            attributes: forward.attributes.reversed(),
            ..forward.clone()
        }
    }
}
