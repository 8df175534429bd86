//! Which records are Open vSwitch's: the one place that says so. Those are read by
//! OVS's rules (`normalise`, `packet_path`, `primary`), all others as they state themselves.
//!
//! | format | it is OVS's |
//! |---|---|
//! | NetFlow v9 | never: OVS does not speak it |
//! | IPFIX | by the fields that OVS puts in every template and no other exporter is known to put together, whoever sent it |
//! | NetFlow v5, sFlow | when it comes from a bridge that is known, which its node's address proves, or a declared relay (`weir_identity::exporters`): nothing in them tells OVS from a router |

use weir_identity::exporters::Exporter;
use wire::{Protocol, Record};

/// Whether OVS sent the record. `exporter`: who is proven to have sent it.
pub fn is_ovs(record: &Record, exporter: Option<&Exporter>) -> bool {
    match record.protocol {
        Protocol::NetFlow9 => false,
        Protocol::Ipfix => has_ovs_shape(record),
        Protocol::NetFlow5 | Protocol::Sflow5 => exporter.is_some_and(Exporter::is_ovs),
    }
}

/// Whether the record has the fields that every IPFIX template of OVS has and no
/// other exporter is known to put together, or one of its enterprise elements.
pub fn has_ovs_shape(record: &Record) -> bool {
    record.protocol == Protocol::Ipfix
        && record.observation_point.is_some()
        && record.direction.is_some()
        && record.ethernet_header_len.is_some()
        && record.l2_bytes.is_some()
}
