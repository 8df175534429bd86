//! Which records of exporters that are not Open vSwitch count. Nothing is known of
//! what they are configured to export, so what one says counts once:
//!
//! - not what its role takes out (`core`), nor an event without any counter;
//! - not what goes out of it (direction egress), when it is known to tell what comes in
//!   as well: the same packets would count twice. One that meters egress alone counts;
//! - not what a node of the cluster counts: a packet of a pod on an exporting node, or
//!   to one (`primary`).

use weir_flow::{Entered, FlowRecord};
use wire::Direction;

use super::primary::{self, VantagePoint};
use crate::roles::Role;

/// What is known of how an exporter meters, beside its records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Metering {
    /// What it was declared to be.
    pub role: Option<Role>,
    /// It tells of packets that come in, not of those alone that go out.
    pub ingress: bool,
}

/// Whether a record that has its names is the one to count.
pub(super) fn is_primary(record: &FlowRecord, at: &VantagePoint<'_>) -> bool {
    if !has_counter(record) {
        return false;
    }
    if !is_foreign(record) {
        return primary::is_primary(record, at);
    }
    if at.metering.role.is_some_and(|role| role != Role::Edge) {
        return false;
    }
    if at.is_on_exporting_node() {
        // Of a node whose switch counts the same packets.
        return primary::is_primary(record, at);
    }
    let again = record.direction == Some(Direction::Egress) && at.metering.ingress;
    !again && !primary::counts_on_a_node(record, at)
}

/// Whether it is no record of Open vSwitch.
pub(super) fn is_foreign(record: &FlowRecord) -> bool {
    record.path.entered == Entered::Unknown
}

fn has_counter(record: &FlowRecord) -> bool {
    record.bytes.or(record.packets).or(record.l2_bytes).is_some()
}

#[cfg(test)]
mod tests {

    use weir_flow::{Identity, Kind, Verdict};
    use weir_identity::exporters::{Exporter, Exporters, Formats, Ipfix};
    use wire::{Protocol, Record};

    use super::super::{Context, judge, normalise};
    use super::*;

    fn record(direction: Option<Direction>) -> Record {
        Record {
            direction,
            bytes: Some(100),
            ..Record::new(Protocol::NetFlow9, 1)
        }
    }

    fn judged(raw: Record, exporters: &Exporters, pod_on: &str, metering: Metering) -> FlowRecord {
        let context = Context {
            received_ns: 1,
            source: [192, 0, 2, 1].into(),
            exporter: None,
        };
        let mut flow = normalise(raw, context);
        if !pod_on.is_empty() {
            flow.src.identity = Identity {
                kind: Kind::Pod,
                node_name: pod_on.into(),
                ..Identity::default()
            }
            .into();
        }
        judge(&mut flow, &VantagePoint::new(None, exporters, metering));
        flow
    }

    fn counts(direction: Option<Direction>, metering: Metering) -> bool {
        judged(record(direction), &Exporters::default(), "", metering).primary
    }

    #[test]
    fn an_exporter_that_meters_egress_alone_counts_and_one_that_meters_both_counts_once() {
        let (ingress, egress) = (Some(Direction::Ingress), Some(Direction::Egress));
        let both = Metering {
            ingress: true,
            ..Metering::default()
        };
        let alone = Metering::default();
        assert!(counts(egress, alone));
        assert!(counts(None, alone) && counts(None, both));
        assert!(counts(ingress, both) && !counts(egress, both));
    }

    #[test]
    fn the_role_says_whether_an_exporter_counts() {
        let role = |role| Metering {
            role: Some(role),
            ..Metering::default()
        };
        assert!(counts(None, role(Role::Edge)));
        assert!(!counts(None, role(Role::Core)));
        assert!(!counts(None, role(Role::Ignore)));
    }

    #[test]
    fn a_record_without_a_counter_is_no_primary_one() {
        let event = Record::new(Protocol::NetFlow9, 1);
        let flow = judged(event, &Exporters::default(), "", Metering::default());
        assert_eq!((flow.primary, flow.verdict), (false, Verdict::Unknown));
        let packets = Record {
            packets: Some(0),
            ..Record::new(Protocol::NetFlow9, 1)
        };
        assert!(judged(packets, &Exporters::default(), "", Metering::default()).primary);
    }

    #[test]
    fn what_a_node_counts_does_not_count_at_a_router_again() {
        let node = Exporter {
            node: "node-a".into(),
            bridge: "br-int".into(),
            formats: Formats {
                ipfix: Some(Ipfix {
                    sampling: 1,
                    ingress: true,
                    egress: true,
                }),
                ..Formats::default()
            },
            ..Exporter::default()
        };
        let exporters = Exporters::new(vec![node], std::iter::empty());
        let on = |node| judged(record(None), &exporters, node, Metering::default()).primary;
        assert!(!on("node-a"));
        assert!(on("node-b") && on(""), "nobody else counts it");
    }
}
