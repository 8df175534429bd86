//! Which way a flow goes, from the nodes' view: NetObserv's `FlowDirection`.

use weir_fields::Column;

use crate::record::{Record, Value};
use crate::source::text;

/// The directions of the reports that NetObserv's agents make of the flow of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Directions {
    /// Of the record itself.
    pub own: u8,
    /// Of the report of the other node, which a primary record stands for as well.
    pub other: Option<u8>,
}

const INGRESS: u8 = 0;
const EGRESS: u8 = 1;
const INNER: u8 = 2;

/// Which reports there would be. A flow from node to node is one report of each node, and
/// one primary record here.
pub(crate) fn directions(record: &impl Record) -> Option<Directions> {
    let one = |own| Some(Directions { own, other: None });
    let src = text(record, const { Column::of("node_name") });
    let dst = text(record, const { Column::of("dst_node_name") });
    match (src.is_empty(), dst.is_empty()) {
        (true, true) => one(match told_direction(record) {
            "ingress" => INGRESS,
            "egress" => EGRESS,
            "inner" => INNER,
            _ => return None,
        }),
        (false, true) => one(EGRESS),
        (true, false) => one(INGRESS),
        (false, false) if src == dst => one(INNER),
        (false, false) => {
            let at_destination = text(record, const { Column::of("exporter_node") }) == dst;
            let (own, other) = if at_destination {
                (INGRESS, EGRESS)
            } else {
                (EGRESS, INGRESS)
            };
            let other = is_primary(record).then_some(other);
            Some(Directions { own, other })
        }
    }
}

fn told_direction(record: &impl Record) -> &str {
    match text(record, const { Column::of("flow_direction") }) {
        "" => text(record, const { Column::of("direction") }),
        told => told,
    }
}

/// Whether it is the one observation of several that counts.
pub(crate) fn is_primary(record: &impl Record) -> bool {
    record.value(const { Column::of("primary") }) != Value::Bool(false)
}
