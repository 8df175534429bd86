//! Type and code of ICMP. They stand in elements of their own (IE 176 to 179), in one
//! number (IE 32, 139), or in the destination port, as in NetFlow v5; exporters fill in
//! some of these and leave others zero, and fill them in for other protocols, too.

use crate::element::{Icmp, IcmpFamily};
use crate::protocol::Protocol;
use crate::record::Record;
use crate::store;

const ICMP: u8 = 1;
const ICMPV6: u8 = 58;

/// What the elements of a record say.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct IcmpElements {
    v4: Family,
    v6: Family,
}

#[derive(Debug, Clone, Copy, Default)]
struct Family {
    kind: Option<u8>,
    code: Option<u8>,
    both: Option<u16>,
}

impl IcmpElements {
    pub(super) fn put(&mut self, icmp: Icmp, bytes: &[u8]) {
        let (Icmp::Type(family) | Icmp::Code(family) | Icmp::Both(family)) = icmp;
        let place = match family {
            IcmpFamily::V4 => &mut self.v4,
            IcmpFamily::V6 => &mut self.v6,
        };
        let value = store::integer(bytes).and_then(|value| u16::try_from(value).ok());
        let octet = value.and_then(|value| u8::try_from(value).ok());
        match icmp {
            Icmp::Type(_) => place.kind = octet,
            Icmp::Code(_) => place.code = octet,
            Icmp::Both(_) => place.both = value,
        }
    }

    /// Puts what fits the protocol into the record; what is zero only if nothing else is
    /// said.
    pub(super) fn fill(&self, record: &mut Record) {
        let (own, other) = if record.ip_protocol == Some(ICMPV6) {
            (self.v6, self.v4)
        } else {
            (self.v4, self.v6)
        };
        let said = [own.pair(), own.both, other.both, other.pair()];
        let said = || said.into_iter().flatten();
        if let Some(pair) = said().find(|pair| *pair != 0).or_else(|| said().next()) {
            set(record, pair);
        }
    }
}

impl Family {
    fn pair(&self) -> Option<u16> {
        if self.kind.is_none() && self.code.is_none() {
            return None;
        }
        let octet = |value: Option<u8>| value.unwrap_or(0);
        Some(u16::from_be_bytes([octet(self.kind), octet(self.code)]))
    }
}

fn set(record: &mut Record, pair: u16) {
    let [kind, code] = pair.to_be_bytes();
    record.icmp_type = Some(kind);
    record.icmp_code = Some(code);
}

/// Takes type and code from the destination port where nothing else says them, and away
/// where the protocol has none. Ports of zero are type and code, too, in NetFlow, where
/// they are known to be; in IPFIX they may as well be nothing.
#[inline]
pub(super) fn settle(record: &mut Record) {
    match record.ip_protocol {
        Some(ICMP | ICMPV6) => from_port(record),
        Some(_) => (record.icmp_type, record.icmp_code) = (None, None),
        None => {}
    }
}

fn from_port(record: &mut Record) {
    if record.icmp_type.is_some_and(|kind| kind != 0) || record.icmp_code.is_some_and(|code| code != 0) {
        return;
    }
    let is_said = record.icmp_type.is_some() || record.icmp_code.is_some();
    match record.dst_port {
        Some(0) | None if is_said => {}
        Some(0) if record.protocol != Protocol::NetFlow9 => {}
        Some(pair) => {
            set(record, pair);
            (record.src_port, record.dst_port) = (None, None);
        }
        None => {}
    }
}
