//! Templates with two headers: of an encapsulated packet, outer and inner (SRv6, IP in
//! IP), or of IPv4 and IPv6 in one template, of which a record fills one. The inner flow
//! is who talks to whom. A layer is taken whole: addresses of one header with the ports
//! of another would be a flow that there never was.

use std::net::IpAddr;

use crate::element::{self, Layered, Octet};
use crate::record::Record;
use crate::store;
use crate::template::{Definition, Field};

const KINDS: usize = 11;

/// Where a field of one of several layers goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// It is of the innermost layer.
    Record,
    /// It is of the outermost one.
    Outer(Layered),
    /// It is of one between them.
    Nowhere,
}

/// How the layers of a template are told apart.
#[derive(Debug, Default)]
pub(super) struct Layers {
    /// How often each kind of field comes; empty when there is one layer only.
    counts: [usize; KINDS],
    /// How often each came so far.
    seen: [usize; KINDS],
    /// There are addresses of each family once: the outer ones are of 16 octets.
    outer_is_v6: Option<bool>,
    several: bool,
}

impl Layers {
    pub(super) fn of(definition: &Definition<'_>) -> Self {
        let mut layers = Self::default();
        let mut addresses = Vec::new();
        for field in definition.fields() {
            if let Some(kind) = element::layered(&field)
                && let Some(count) = layers.counts.get_mut(kind as usize)
            {
                *count += 1;
                if matches!(kind, Layered::Src | Layered::Dst) {
                    addresses.push(field.id);
                }
            }
        }
        let [sources, destinations, ..] = layers.counts;
        layers.several = sources > 1 && destinations > 1;
        let first_is_v6 = addresses.first().is_some_and(|id| is_v6(*id));
        addresses.sort_unstable();
        layers.outer_is_v6 = (addresses == [8, 12, 27, 28]).then_some(first_is_v6);
        layers
    }

    /// Where the next field goes; `None` when there is no question.
    pub(super) fn place(&mut self, field: &Field) -> Option<Place> {
        let kind = element::layered(field).filter(|_| self.several)?;
        let count = *self.counts.get(kind as usize)?;
        let seen = self.seen.get_mut(kind as usize)?;
        *seen += 1;
        if count < 2 {
            return None;
        }
        if let Some(outer_is_v6) = self.outer_is_v6
            && matches!(kind, Layered::Src | Layered::Dst)
        {
            let is_outer = is_v6(field.id) == outer_is_v6;
            return Some(if is_outer {
                Place::Outer(kind)
            } else {
                Place::Record
            });
        }
        Some(match *seen {
            last if last == count => Place::Record,
            1 => Place::Outer(kind),
            _ => Place::Nowhere,
        })
    }
}

const fn is_v6(id: u16) -> bool {
    matches!(id, 27 | 28)
}

/// The outer layer of one record.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Outer {
    src: Option<IpAddr>,
    dst: Option<IpAddr>,
    /// By kind; those of addresses stay empty.
    values: [Option<u64>; KINDS],
}

impl Outer {
    pub(super) fn put(&mut self, layered: Layered, bytes: &[u8]) {
        match layered {
            Layered::Src => self.src = store::ip_address(bytes),
            Layered::Dst => self.dst = store::ip_address(bytes),
            _ => {
                if let Some(place) = self.values.get_mut(layered as usize) {
                    *place = store::integer(bytes);
                }
            }
        }
    }

    /// Takes the place of an inner layer that says nothing: the packet had one header.
    pub(super) fn settle(&self, record: &mut Record) {
        if says(record.src_addr) || says(record.dst_addr) || !(says(self.src) || says(self.dst)) {
            return;
        }
        (record.src_addr, record.dst_addr) = (self.src, self.dst);
        let value = |kind: Layered| self.values.get(kind as usize).copied().flatten();
        let short = |kind| value(kind).and_then(|value| u16::try_from(value).ok());
        if let Some(port) = short(Layered::SrcPort) {
            record.src_port = Some(port);
        }
        if let Some(port) = short(Layered::DstPort) {
            record.dst_port = Some(port);
        }
        if let Some(flags) = short(Layered::TcpFlags) {
            record.tcp_flags = Some(flags);
        }
        if let Some(label) = value(Layered::FlowLabel).and_then(|label| u32::try_from(label).ok()) {
            record.flow_label = Some(label);
        }
        for (kind, octet) in OCTETS {
            if let Some(value) = value(kind) {
                store::octet(record, octet, value);
            }
        }
    }
}

const OCTETS: [(Layered, Octet); 5] = [
    (Layered::Protocol, Octet::Protocol),
    (Layered::IpVersion, Octet::IpVersion),
    (Layered::Tos, Octet::Tos),
    (Layered::Dscp, Octet::Dscp),
    (Layered::Ttl, Octet::Ttl),
];

fn says(address: Option<IpAddr>) -> bool {
    address.is_some_and(|address| !address.is_unspecified())
}
