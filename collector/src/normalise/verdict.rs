//! What became of the packets of a record, as far as something proves it.
//!
//! *Delivered*: an IPFIX egress record, made right before the packet goes out of
//! a port; or a NetFlow or sFlow record that names an output port on the node
//! that hosts the destination. A packet that went into a tunnel may still be
//! dropped on the other node.
//!
//! *Dropped*: a NetFlow or sFlow record without any output, of a bridge that
//! recirculates nothing. A packet that meets `ct()` looks the same on its first
//! pass, the only one that OVS reports (`docs/ovs-quirks.md`), and neither the
//! record nor OVSDB tells whether a rule of the bridge uses `ct()`: the owner of
//! the rules has to vouch for it ([`weir_api::export::SINGLE_PASS_KEY`]).

use weir_flow::Left;
use weir_flow::{FlowRecord, Verdict};
use weir_identity::exporters::Exporter;
use wire::{Direction, Protocol};

/// The verdict of a record that has its names.
pub fn verdict(record: &FlowRecord, exporter: Option<&Exporter>) -> Verdict {
    let output = record.format == Protocol::Ipfix && record.direction == Some(Direction::Egress);
    let who = &record.dst.identity;
    let hosted_here = !who.node_name.is_empty() && who.node_name == record.exporter_node;
    match record.sight.left {
        Left::Port if output || hosted_here => Verdict::Delivered,
        Left::Nowhere if exporter.is_some_and(|e| e.single_pass) => Verdict::Dropped,
        _ => Verdict::Unknown,
    }
}
