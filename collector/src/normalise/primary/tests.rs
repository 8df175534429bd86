//! Each case lists every record that OVS makes of one packet, and the one of
//! them that counts.

use std::net::IpAddr;
use std::sync::Arc;

use super::*;
use crate::normalise::{Context, normalise};
use weir_identity::exporters::{Formats, Ipfix, NetFlow};

pub(super) const IPFIX: Formats = Formats {
    net_flow: None,
    s_flow: None,
    ipfix: Some(Ipfix {
        sampling: 1,
        ingress: true,
        egress: true,
    }),
};
pub(super) const NETFLOW: Formats = Formats {
    net_flow: Some(NetFlow {
        id_in_interfaces: false,
        active_timeout: 60,
    }),
    s_flow: None,
    ipfix: None,
};
pub(super) const SFLOW: Formats = Formats {
    net_flow: None,
    s_flow: Some(400),
    ipfix: None,
};
pub(super) const NONE: Formats = Formats {
    net_flow: None,
    s_flow: None,
    ipfix: None,
};
/// All three, as `exportNetworkFlows` with three lists sets them up.
pub(super) const ALL: Formats = Formats {
    net_flow: NETFLOW.net_flow,
    s_flow: SFLOW.s_flow,
    ipfix: IPFIX.ipfix,
};
/// The same, but IPFIX is sampled as much as OVS's default does it.
pub(super) const SPARSE: Formats = Formats {
    ipfix: Some(Ipfix {
        sampling: 400,
        ingress: true,
        egress: true,
    }),
    ..ALL
};

/// Whether a record of this exporter counts.
pub(super) fn is_counted(record: &FlowRecord, exporter: Option<&Exporter>, exporters: &Exporters) -> bool {
    is_primary(
        record,
        &VantagePoint::new(exporter, exporters, Metering::default()),
    )
}

/// Who stands at an end.
#[derive(Clone, Copy)]
enum End {
    Pod(&'static str),
    Node(&'static str),
    Outside,
}
use End::{Node, Outside, Pod};

/// One record: node, bridge, format and what it shows.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Seen(&'static str, &'static str, Protocol, Shape);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Shape {
    In,
    InFromTunnel,
    Out,
    OutFromPatch,
}
use Protocol::{Ipfix as I, NetFlow5 as N, Sflow5 as S};
use Shape::{In, InFromTunnel, Out, OutFromPatch};

/// The formats of each bridge of each node.
type Setup<'a> = &'a [(&'static str, &'static str, Formats)];

fn exporters(setup: Setup<'_>) -> Vec<Exporter> {
    let exporter = |(node, bridge, formats): &(&str, &str, Formats)| Exporter {
        node: (*node).into(),
        bridge: (*bridge).into(),
        formats: *formats,
        ..Exporter::default()
    };
    setup.iter().map(exporter).collect()
}

fn identity(end: End) -> Arc<Identity> {
    let (kind, node) = match end {
        Pod(node) => (Kind::Pod, node),
        Node(node) => (Kind::Node, node),
        Outside => (Kind::Unknown, ""),
    };
    Arc::new(Identity {
        kind,
        node_name: node.into(),
        ..Identity::default()
    })
}

fn flow(seen: Seen, (src, dst): (End, End), exporter: Option<&Exporter>, v6: bool) -> FlowRecord {
    let address: IpAddr = if v6 { [1; 16].into() } else { [1; 4].into() };
    let raw = wire::Record {
        src_addr: Some(address),
        dst_addr: Some(address),
        ..wire::Record::new(seen.2, 1)
    };
    let context = Context {
        received_ns: 1,
        source: [127, 0, 0, 1].into(),
        exporter,
    };
    let mut flow = normalise(raw, context);
    flow.exporter_node = seen.0.into();
    flow.direction = Some(match seen.3 {
        In | InFromTunnel => Direction::Ingress,
        Out | OutFromPatch => Direction::Egress,
    });
    flow.path.entered = match seen.3 {
        In | Out => Entered::Port,
        InFromTunnel => Entered::Tunnel,
        OutFromPatch => Entered::Patch,
    };
    (flow.src.identity, flow.dst.identity) = (identity(src).into(), identity(dst).into());
    flow
}

fn primaries(setup: Setup<'_>, ends: (End, End), v6: bool, records: &[Seen]) -> Vec<Seen> {
    let known = exporters(setup);
    let table = Exporters::new(known.clone(), std::iter::empty());
    let counts = |seen: &&Seen| {
        let exporter = known.iter().find(|e| (&*e.node, &*e.bridge) == (seen.0, seen.1));
        is_counted(&flow(**seen, ends, exporter, v6), exporter, &table)
    };
    records.iter().filter(counts).copied().collect()
}

/// All records of one packet through `br-int` of both nodes: those that the
/// formats of `setup` make.
fn between_nodes(setup: Setup<'_>) -> Vec<Seen> {
    let of = |node, bridge| setup.iter().find(|s| (s.0, s.1) == (node, bridge)).map(|s| s.2);
    let mut seen = Vec::new();
    for (node, enters) in [("a", In), ("b", InFromTunnel)] {
        let Some(formats) = of(node, "br-int") else {
            continue;
        };
        seen.extend(formats.net_flow.map(|_| Seen(node, "br-int", N, enters)));
        seen.extend(formats.s_flow.map(|_| Seen(node, "br-int", S, enters)));
        seen.extend(formats.ipfix.map(|_| Seen(node, "br-int", I, enters)));
        seen.extend(formats.ipfix.map(|_| Seen(node, "br-int", I, Out)));
    }
    seen
}

fn both(formats: Formats) -> [(&'static str, &'static str, Formats); 2] {
    [("a", "br-int", formats), ("b", "br-int", formats)]
}

#[test]
fn a_pods_packet_counts_where_it_enters_its_node_in_the_most_exact_format() {
    let ends = (Pod("a"), Pod("b"));
    for (formats, expected) in [(IPFIX, I), (NETFLOW, N), (SFLOW, S), (ALL, I), (SPARSE, N)] {
        let setup = both(formats);
        let counted = primaries(&setup, ends, false, &between_nodes(&setup));
        assert_eq!(counted, [Seen("a", "br-int", expected, In)], "{formats:?}");
    }
}

#[test]
fn packets_of_a_pod_that_is_one_of_several_count_where_they_are_first_seen() {
    for formats in [IPFIX, NETFLOW, SFLOW, ALL] {
        let setup = both(formats);
        let records = between_nodes(&setup);
        let counted = primaries(&setup, (Pod(""), Pod("b")), false, &records);
        assert_eq!(counted, primaries(&setup, (Pod("a"), Pod("b")), false, &records));
    }
}

#[test]
fn on_one_node_what_enters_counts_and_what_leaves_does_not() {
    let records = [
        Seen("a", "br-int", N, In),
        Seen("a", "br-int", S, In),
        Seen("a", "br-int", I, In),
        Seen("a", "br-int", I, Out),
    ];
    for (formats, expected) in [(ALL, 2), (SPARSE, 0)] {
        let counted = primaries(&both(formats), (Pod("a"), Pod("a")), false, &records);
        assert_eq!(counted, [records[expected]]);
    }
}

#[test]
fn ipv6_counts_in_a_format_that_sees_it() {
    let records = [
        Seen("a", "br-int", S, In),
        Seen("a", "br-int", I, In),
        Seen("a", "br-int", I, Out),
    ];
    let sampled_alike = Formats {
        s_flow: Some(400),
        ..SPARSE
    };
    let counted = primaries(&both(sampled_alike), (Pod("a"), Pod("a")), true, &records);
    assert_eq!(counted, [records[1]], "NetFlow would be more exact and sees none");
    let only_netflow_at_the_source = [("a", "br-int", NETFLOW), ("b", "br-int", IPFIX)];
    let at_the_destination = [Seen("b", "br-int", I, InFromTunnel), Seen("b", "br-int", I, Out)];
    let counted = primaries(
        &only_netflow_at_the_source,
        (Pod("a"), Pod("b")),
        true,
        &at_the_destination,
    );
    assert_eq!(counted, [at_the_destination[1]]);
}

#[test]
fn a_pods_packet_to_the_outside_counts_where_it_enters() {
    let records = [
        Seen("a", "br-int", N, In),
        Seen("a", "br-int", S, In),
        Seen("a", "br-int", I, In),
    ];
    let counted = primaries(&both(ALL), (Pod("a"), Outside), false, &records);
    assert_eq!(counted, [records[2]]);
}

#[test]
fn what_comes_through_the_patch_port_counts_in_ipfix_whatever_the_others_sampling() {
    let records = [Seen("b", "br-int", I, OutFromPatch)];
    for formats in [IPFIX, ALL, SPARSE] {
        assert_eq!(
            primaries(&both(formats), (Outside, Pod("b")), false, &records),
            records
        );
        assert_eq!(
            primaries(&both(formats), (Node("b"), Pod("b")), false, &records),
            records
        );
        assert_eq!(
            primaries(&both(formats), (Outside, Outside), false, &records),
            records
        );
    }
}

#[test]
fn with_the_outer_bridge_exported_too_a_packet_still_counts_once() {
    let setup = |formats| [("b", "br-int", formats), ("b", "br-ex", formats)];
    let inward = [
        Seen("b", "br-ex", N, In),
        Seen("b", "br-ex", S, In),
        Seen("b", "br-ex", I, In),
        Seen("b", "br-int", I, OutFromPatch),
    ];
    let count = |formats, ends| primaries(&setup(formats), ends, false, &inward);
    assert_eq!(count(ALL, (Outside, Pod("b"))), [inward[3]]);
    assert_eq!(count(SPARSE, (Outside, Pod("b"))), [inward[0]]);
    assert_eq!(count(ALL, (Outside, Outside)), [inward[3]], "to a pod, perhaps");
    assert_eq!(count(ALL, (Node("b"), Pod("b"))), [inward[3]]);
    let outward = [
        Seen("b", "br-int", N, In),
        Seen("b", "br-int", I, In),
        Seen("b", "br-ex", I, OutFromPatch),
    ];
    let count = |formats| primaries(&setup(formats), (Pod("b"), Outside), false, &outward);
    assert_eq!(count(ALL), [outward[1]]);
    assert_eq!(count(SPARSE), [outward[0]]);
}

#[test]
fn with_the_outer_bridge_alone_exported_a_pods_packets_count_there() {
    let setup = [("a", "br-ex", IPFIX), ("b", "br-ex", IPFIX)];
    let outward = [Seen("a", "br-ex", I, OutFromPatch)];
    assert_eq!(primaries(&setup, (Pod("a"), Outside), false, &outward), outward);
    let inward = [Seen("b", "br-ex", I, In)];
    assert_eq!(primaries(&setup, (Outside, Outside), false, &inward), inward);
}

#[test]
fn a_pods_packet_that_comes_back_by_the_patch_port_was_counted_before() {
    let records = [Seen("a", "br-int", I, OutFromPatch)];
    assert_eq!(primaries(&both(IPFIX), (Pod("a"), Pod("a")), false, &records), []);
}

#[test]
fn a_packet_of_nobody_known_counts_at_its_destinations_node() {
    for (formats, expected) in [
        (IPFIX, Seen("b", "br-int", I, Out)),
        (NETFLOW, Seen("b", "br-int", N, InFromTunnel)),
        (SPARSE, Seen("b", "br-int", N, InFromTunnel)),
        (ALL, Seen("b", "br-int", I, Out)),
    ] {
        let setup = both(formats);
        for source in [Outside, Node("a")] {
            let counted = primaries(&setup, (source, Pod("b")), false, &between_nodes(&setup));
            assert_eq!(counted, [expected], "{formats:?}");
        }
    }
}

#[test]
fn what_has_nobodys_address_counts_where_its_interface_tells_whose_it_is() {
    let setup = both(IPFIX);
    let known = exporters(&setup);
    let table = Exporters::new(known.clone(), std::iter::empty());
    // What interfaces tell: the sender where it comes in, the receiver where it leaves.
    let seen = [
        (Seen("a", "br-int", I, In), (Pod("a"), Outside)),
        (Seen("a", "br-int", I, Out), (Pod("a"), Outside)),
        (Seen("b", "br-int", I, InFromTunnel), (Outside, Outside)),
        (Seen("b", "br-int", I, Out), (Outside, Pod("b"))),
    ];
    for address in [
        None,
        Some("::"),
        Some("0.0.0.0"),
        Some("fe80::1"),
        Some("febf::1"),
    ] {
        let address: Option<IpAddr> = address.map(|text| text.parse().unwrap());
        let counted = seen.map(|(seen, ends)| {
            let exporter = known.iter().find(|e| &*e.node == seen.0);
            let mut flow = flow(seen, ends, exporter, false);
            flow.src.addr = address;
            is_counted(&flow, exporter, &table)
        });
        assert_eq!(counted, [true, false, false, false], "{address:?}");
    }
}

/// Whether what leaves towards a pod on b with a Service's address counts there.
fn answer_counts(setup: Setup<'_>, interface: &str, shape: Shape) -> bool {
    let known = exporters(setup);
    let table = Exporters::new(known.clone(), std::iter::empty());
    let exporter = known.iter().find(|e| &*e.node == "b");
    let seen = Seen("b", "br-int", I, shape);
    let mut flow = flow(seen, (Outside, Pod("b")), exporter, false);
    flow.src.identity = Identity {
        kind: Kind::Service,
        ..Identity::default()
    }
    .into();
    flow.src.if_name = interface.into();
    is_counted(&flow, exporter, &table)
}

#[test]
fn an_answer_with_a_services_address_counted_where_the_pod_behind_it_sent_it() {
    for formats in [IPFIX, ALL] {
        assert!(!answer_counts(&both(formats), "ovn-123456-0", Out), "{formats:?}");
    }
    assert!(answer_counts(&both(IPFIX), "", OutFromPatch), "of no pod");
    for port in ["ovn-k8s-mp0", "antrea-gw0", "ovn0"] {
        assert!(answer_counts(&both(IPFIX), port, Out), "{port} is the node's");
    }
    let source_unseen = [("a", "br-int", NONE), ("b", "br-int", IPFIX)];
    assert!(
        answer_counts(&source_unseen, "ovn-123456-0", Out),
        "seen nowhere else"
    );
}

#[test]
fn a_node_that_does_not_export_leaves_the_count_to_the_other_one() {
    let source_only = [("a", "br-int", ALL), ("b", "br-int", NONE)];
    let counted = primaries(
        &source_only,
        (Outside, Pod("b")),
        false,
        &between_nodes(&source_only),
    );
    assert_eq!(counted, [Seen("a", "br-int", I, In)]);
    let destination_only = [("a", "br-int", NONE), ("b", "br-int", ALL)];
    let counted = primaries(
        &destination_only,
        (Pod("a"), Pod("b")),
        false,
        &between_nodes(&destination_only),
    );
    assert_eq!(counted, [Seen("b", "br-int", I, Out)]);
}

#[test]
fn between_two_that_nobody_knows_the_first_node_counts() {
    for (formats, expected) in [(IPFIX, I), (NETFLOW, N), (ALL, I)] {
        let setup = both(formats);
        let counted = primaries(&setup, (Outside, Outside), false, &between_nodes(&setup));
        assert_eq!(counted, [Seen("a", "br-int", expected, In)]);
    }
}

#[test]
fn nodes_among_themselves_count_on_the_senders_node() {
    let outer = [("a", "br-ex", IPFIX), ("b", "br-ex", IPFIX)];
    let whole = [outer[0], outer[1], ("a", "br-int", IPFIX), ("b", "br-int", IPFIX)];
    let records = [
        Seen("a", "br-ex", I, In),
        Seen("a", "br-ex", I, Out),
        Seen("b", "br-ex", I, In),
        Seen("b", "br-ex", I, Out),
    ];
    let ends = (Node("a"), Node("b"));
    assert_eq!(primaries(&outer, ends, false, &records), [records[0]]);
    assert_eq!(primaries(&whole, ends, false, &records), [records[1]]);
    let masqueraded = [Seen("a", "br-ex", I, OutFromPatch), records[2], records[3]];
    assert_eq!(
        primaries(&whole, ends, false, &masqueraded),
        [],
        "the pod's counted"
    );
    assert_eq!(
        primaries(&outer, (Node("a"), Outside), false, &records[..2]),
        [records[0]]
    );
}

#[test]
fn a_packet_around_another_does_not_count_where_the_other_does() {
    let setup = [("b", "br-int", IPFIX), ("b", "br-ex", IPFIX)];
    let mut known = exporters(&setup);
    known[1].tunnel_udp_ports = [7471].into();
    let counts = |known: &[Exporter], proto, port| {
        let table = Exporters::new(known.to_vec(), std::iter::empty());
        let exporter = known.last();
        let seen = Seen("b", "br-ex", I, Out);
        let mut record = flow(seen, (Outside, Outside), exporter, false);
        (record.proto, record.dst.port) = (Some(proto), Some(port));
        is_counted(&record, exporter, &table)
    };
    assert!(!counts(&known, UDP, 6081) && !counts(&known, UDP, 4789));
    assert!(!counts(&known, UDP, 7471), "a port of its own");
    assert!(!counts(&known, ESP, 0), "encrypted");
    assert!(counts(&known, UDP, 53) && counts(&known, 6, 6081));
    // Where no bridge counts what is inside.
    let [_, outer] = exporters(&[("b", "br-int", NONE), ("b", "br-ex", NETFLOW)])
        .try_into()
        .unwrap();
    let alone = [outer];
    let table = Exporters::new(alone.to_vec(), std::iter::empty());
    let mut record = flow(
        Seen("b", "br-ex", N, In),
        (Outside, Outside),
        alone.first(),
        false,
    );
    (record.proto, record.dst.port) = (Some(UDP), Some(6081));
    assert!(is_counted(&record, alone.first(), &table));
}

#[test]
fn without_egress_records_what_enters_the_destinations_node_counts() {
    let formats = Formats {
        ipfix: Some(Ipfix {
            egress: false,
            sampling: 1,
            ingress: true,
        }),
        ..NONE
    };
    let records = [Seen("b", "br-int", I, InFromTunnel)];
    assert_eq!(
        primaries(&both(formats), (Outside, Pod("b")), false, &records),
        records
    );
}

#[test]
fn without_ingress_records_what_leaves_the_destinations_node_counts() {
    let formats = Formats {
        ipfix: Some(Ipfix {
            ingress: false,
            sampling: 1,
            egress: true,
        }),
        ..NONE
    };
    let records = [Seen("b", "br-int", I, Out)];
    assert_eq!(
        primaries(&both(formats), (Pod("a"), Pod("b")), false, &records),
        records
    );
}

#[test]
fn records_that_were_on_their_way_when_all_exports_ended_still_count_once() {
    let setup = both(NONE);
    for formats in [IPFIX, NETFLOW, SFLOW] {
        let counted = primaries(
            &setup,
            (Pod("a"), Pod("b")),
            false,
            &between_nodes(&both(formats)),
        );
        assert_eq!(counted.len(), 1, "{counted:?}");
    }
}

#[test]
fn an_unknown_exporter_counts_what_enters_unless_a_node_of_ours_does() {
    let router = [Seen("", "", I, In), Seen("", "", I, Out)];
    assert_eq!(
        primaries(&both(IPFIX), (Outside, Outside), false, &router),
        [router[0]]
    );
    assert_eq!(primaries(&both(IPFIX), (Pod("a"), Outside), false, &router), []);
    assert_eq!(primaries(&both(IPFIX), (Outside, Pod("a")), false, &router), []);
}
