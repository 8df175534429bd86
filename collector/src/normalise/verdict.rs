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
//!
//! Exporters that are not OVS say it themselves, if at all: in forwardingStatus and
//! firewallEvent.

use weir_flow::Left;
use weir_flow::{FlowRecord, Verdict};
use weir_identity::exporters::Exporter;
use wire::{Attribute, AttributeValue, Attributes, Direction, Protocol};

/// The two highest of the eight bits of forwardingStatus (RFC 7270 §4.12).
const FORWARDED: u64 = 0b01;
const DROPPED: u64 = 0b10;
const CONSUMED: u64 = 0b11;
/// forwardingStatus of a packet that the exporter took for itself and could not send
/// on: the next hop has no known link-layer address.
const INCOMPLETE_ADJACENCY: u64 = 194;
/// firewallEvent "Flow Denied" (RFC 8158's registry of IE 233).
const DENIED: u64 = 3;

/// What an exporter states. A packet that is forwarded, or was for the exporter, arrived
/// as far as it can tell.
pub fn stated(attributes: &Attributes) -> Verdict {
    if attributes.is_empty() {
        return Verdict::Unknown;
    }
    let number = |attribute| match attributes.get(attribute) {
        Some(AttributeValue::Unsigned(number)) => Some(*number),
        _ => None,
    };
    if number(Attribute::FirewallEvent) == Some(DENIED) {
        return Verdict::Dropped;
    }
    let status = number(Attribute::ForwardingStatus).unwrap_or(0);
    match status >> 6 {
        DROPPED => Verdict::Dropped,
        CONSUMED if status == INCOMPLETE_ADJACENCY => Verdict::Unknown,
        FORWARDED | CONSUMED => Verdict::Delivered,
        _ => Verdict::Unknown,
    }
}

/// The verdict of a record of OVS that has its names.
pub fn verdict(record: &FlowRecord, exporter: Option<&Exporter>) -> Verdict {
    let output = record.format == Protocol::Ipfix && record.direction == Some(Direction::Egress);
    let who = &record.dst.identity;
    let hosted_here = !who.node_name.is_empty() && who.node_name == record.exporter_node;
    match record.path.left {
        Left::Port if output || hosted_here => Verdict::Delivered,
        Left::Nowhere if exporter.is_some_and(|e| e.single_pass) => Verdict::Dropped,
        _ => Verdict::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(attribute: Attribute, number: u64) -> Verdict {
        let mut attributes = Attributes::NONE;
        attributes.set(attribute, AttributeValue::Unsigned(number));
        stated(&attributes)
    }

    #[test]
    fn the_status_that_an_exporter_states_decides() {
        let status = |number| said(Attribute::ForwardingStatus, number);
        for (number, verdict) in [
            (0, Verdict::Unknown),
            (1, Verdict::Unknown),
            (64, Verdict::Delivered),
            (66, Verdict::Delivered),
            (128, Verdict::Dropped),
            (130, Verdict::Dropped),
            (143, Verdict::Dropped),
            (192, Verdict::Delivered),
            (194, Verdict::Unknown),
            (256, Verdict::Unknown),
        ] {
            assert_eq!(status(number), verdict, "{number}");
        }
        assert_eq!(stated(&Attributes::NONE), Verdict::Unknown);
    }

    #[test]
    fn a_firewall_that_denied_a_flow_dropped_it_whatever_became_of_the_packet_before() {
        let event = |number| said(Attribute::FirewallEvent, number);
        assert_eq!(event(3), Verdict::Dropped);
        for number in [0, 1, 2, 4, 5] {
            assert_eq!(event(number), Verdict::Unknown, "{number}");
        }
        let mut both = Attributes::NONE;
        both.set(Attribute::ForwardingStatus, AttributeValue::Unsigned(64));
        both.set(Attribute::FirewallEvent, AttributeValue::Unsigned(3));
        assert_eq!(stated(&both), Verdict::Dropped);
    }
}
