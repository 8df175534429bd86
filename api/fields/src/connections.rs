//! The fields of a connection's output: some of those of a flow record, and those that
//! only connections have. Of an output the source is the client, the destination the
//! server; `rev_` is what went from the server to the client.

use crate::FieldKind::{Bool, Enum, String, Timestamp, Unsigned};
use crate::{Column, Field, FieldKind, one, pair};

/// Fields of a flow record that an output has too, in its order.
const SHARED: &[&str] = &[
    "start",
    "end",
    "bytes",
    "packets",
    "proto",
    "addr",
    "dst_addr",
    "port",
    "dst_port",
    "network",
    "dst_network",
    "tcp_state",
    "end_reason",
    "kind",
    "dst_kind",
    "ns",
    "dst_ns",
    "name",
    "dst_name",
    "pod_name",
    "dst_pod_name",
    "workload_name",
    "dst_workload_name",
    "workload_kind",
    "dst_workload_kind",
    "service_name",
    "dst_service_name",
    "service_ns",
    "dst_service_ns",
    "dst_service_addr",
    "dst_service_port",
    "node_name",
    "dst_node_name",
];

/// Fields that only connections have; of a pair first what the client's node saw, then
/// what the server's saw, absent where that told nothing.
#[rustfmt::skip]
pub const FIELDS: &[Field] = &[
    one("connection_id", String, "32 hexadecimal digits", "", "", "", "the same in all outputs of a connection"),
    one("seq", Unsigned(32), "", "", "", "", "which of its outputs, from 1; with connection_id it names the output"),
    one("final", Bool, "", "", "", "", "no other is expected, but for late records"),
    one("late", Bool, "", "", "", "", "it tells of what came after the end"),
    one("midstream", Bool, "", "", "", "", "its beginning was not seen"),
    one("evidence", Enum, "conntrack syn service listener port none", "", "", "", "what it rests on which end is the client"),
    one("sides", Enum, "src dst both or empty", "", "", "", "whose nodes told of it"),
    one("joined_by", Enum, "conntrack service or empty", "", "", "", "what tells that the server's address was translated; then dst_service_addr is the one before"),
    one("flow_type", Enum, "intra_node inter_node to_external from_external unknown", "", "", "137", "where its ends are"),
    one("bytes_total", Unsigned(64), "octets (layer 3)", "", "85", "", "since it began; bytes is since the last output"),
    one("packets_total", Unsigned(64), "packets", "", "86", "", "since it began"),
    one("rev_bytes", Unsigned(64), "octets (layer 3)", "", "PEN29305:1", "", "since the last output"),
    one("rev_packets", Unsigned(64), "packets", "", "PEN29305:2", "", "since the last output"),
    one("rev_bytes_total", Unsigned(64), "octets (layer 3)", "", "PEN29305:85", "", "since it began"),
    one("rev_packets_total", Unsigned(64), "packets", "", "PEN29305:86", "", "since it began"),
    one("exact", Bool, "", "", "", "", "no primary record of it was sampled"),
    one("sampled_packets", Unsigned(32), "packets", "", "", "", "that were looked at, of sampled ones: the relative error is about 1.96/sqrt of it"),
    one("covered", Unsigned(64), "µs", "", "", "", "time that the records since the last output cover"),
    one("throughput", Unsigned(64), "bits a second", "", "", "145", "bytes over covered; absent for an instant"),
    one("rev_throughput", Unsigned(64), "bits a second", "", "", "146", ""),
    one("lost_packets", Unsigned(64), "packets", "", "", "", "sent by the client's node and not come to the server's; absent where not both counted each packet of the same time"),
    one("rev_lost_packets", Unsigned(64), "packets", "", "", "", ""),
    one("resets", Unsigned(32), "", "", "", "", "counters of connection tracking that began again"),
    one("clock_off", Bool, "", "", "", "", "a record of it ended after it had arrived: the clock of a node is wrong"),
    one("service_bytes", Unsigned(64), "octets (layer 3)", "", "", "", "what of bytes was seen under dst_service_addr; absent without one"),
    one("service_packets", Unsigned(64), "packets", "", "", "", ""),
    one("service_rev_bytes", Unsigned(64), "octets (layer 3)", "", "", "", ""),
    one("service_rev_packets", Unsigned(64), "packets", "", "", "", ""),
    one("service_bytes_total", Unsigned(64), "octets (layer 3)", "", "", "", ""),
    one("service_packets_total", Unsigned(64), "packets", "", "", "", ""),
    one("service_rev_bytes_total", Unsigned(64), "octets (layer 3)", "", "", "", ""),
    one("service_rev_packets_total", Unsigned(64), "packets", "", "", "", ""),
    pair("bytes_src", "bytes_dst", Unsigned(64), "octets (layer 3)", "", "", "123/131", "since the last output"),
    pair("packets_src", "packets_dst", Unsigned(64), "packets", "", "", "122/130", "since the last output"),
    pair("rev_bytes_src", "rev_bytes_dst", Unsigned(64), "octets (layer 3)", "", "", "127/135", ""),
    pair("rev_packets_src", "rev_packets_dst", Unsigned(64), "packets", "", "", "126/134", ""),
    pair("bytes_total_src", "bytes_total_dst", Unsigned(64), "octets (layer 3)", "", "", "121/129", "since it began"),
    pair("packets_total_src", "packets_total_dst", Unsigned(64), "packets", "", "", "120/128", "since it began"),
    pair("rev_bytes_total_src", "rev_bytes_total_dst", Unsigned(64), "octets (layer 3)", "", "", "125/133", ""),
    pair("rev_packets_total_src", "rev_packets_total_dst", Unsigned(64), "packets", "", "", "124/132", ""),
    pair("throughput_src", "throughput_dst", Unsigned(64), "bits a second", "", "", "147/148", ""),
    pair("rev_throughput_src", "rev_throughput_dst", Unsigned(64), "bits a second", "", "", "149/150", ""),
    pair("exact_src", "exact_dst", Bool, "", "", "", "", "it counted each packet, in one way all the time"),
    pair("end_src", "end_dst", Timestamp, "ns UTC", "", "", "151/152", "last packet that the node saw, to the millisecond"),
];

/// All names of an output, in its order, with the kind of their values.
pub fn columns() -> impl Iterator<Item = (&'static str, FieldKind)> {
    let shared = SHARED.iter().copied().filter_map(Column::find);
    let shared = shared.map(|column| (column.name(), column.kind()));
    let own = FIELDS.iter().flat_map(|field| {
        let names = [Some(field.name), field.dst_name];
        names.into_iter().flatten().map(|name| (name, field.kind))
    });
    shared.chain(own)
}

/// Names of an output that flow records have too.
pub fn shared() -> impl Iterator<Item = &'static str> {
    SHARED.iter().copied()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_unique_and_what_is_shared_is_a_field_of_flows() {
        assert!(SHARED.iter().all(|name| Column::find(name).is_some()));
        let all: Vec<_> = columns().map(|(name, _)| name).collect();
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
        let own = &all[SHARED.len()..];
        assert!(own.iter().all(|name| Column::find(name).is_none()), "{own:?}");
    }
}
