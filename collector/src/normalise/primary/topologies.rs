//! The table of cases: for each topology the whole way of one packet, and so all
//! observations that OVS makes of it in each format. Whatever is exported on which
//! bridge, exactly one of those that are made counts.
//!
//! OVS makes an IPFIX ingress, NetFlow and sFlow record where a packet enters the
//! datapath, and an IPFIX egress record for each port that it leaves by (none into a
//! tunnel on the userspace datapath, where the ways below are from).

use super::tests::{ALL, IPFIX, NETFLOW, NONE, SFLOW, SPARSE, is_counted};
use super::*;
use crate::normalise::{Context, normalise};
use weir_api::interface::PRIMARY;
use weir_identity::exporters::{Formats, Ipfix};

const INGRESS_ONLY: Formats = Formats {
    ipfix: Some(Ipfix {
        sampling: 1,
        ingress: true,
        egress: false,
    }),
    ..NONE
};
const EGRESS_ONLY: Formats = Formats {
    ipfix: Some(Ipfix {
        sampling: 1,
        ingress: false,
        egress: true,
    }),
    ..NONE
};
const EACH: [Formats; 8] = [
    NONE,
    IPFIX,
    INGRESS_ONLY,
    EGRESS_ONLY,
    NETFLOW,
    SFLOW,
    ALL,
    SPARSE,
];

/// Whose an address is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Pod(&'static str),
    /// A node's own address, or one of its router's.
    Node(&'static str),
    /// The same with the port of a Service.
    NodePort(&'static str),
    /// A node's address in the pods' network.
    Gateway(&'static str),
    Service,
    /// Nobody's that is known.
    Unknown,
}
use End::{Gateway, Node, NodePort, Pod, Service, Unknown};

/// A port that a packet goes through. A pod's is called after its node.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Port {
    Workload(&'static str),
    /// The node's own, on the integration bridge.
    Own,
    Tunnel,
    /// A network card or the node's own, on an outer bridge.
    Outer,
    /// The packet came by a patch port.
    Patch,
}
use Port::{Outer, Own, Patch, Tunnel, Workload};

/// What one bridge sees of the packet.
#[derive(Clone, Copy, Debug)]
enum Event {
    In(Port),
    /// By the second port, having come by the first.
    Out(Port, Port),
}
use Event::{In, Out};

#[derive(Clone, Copy, Debug)]
struct Step(&'static str, &'static str, Event, End, End);

const INT: &str = "br-int";
const EX: &str = "br-ex";

/// What a node leaves unsaid of its switch where names come from Kubernetes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Names {
    Kubernetes,
    /// Tunnel ports are known by name, and Services are not.
    Switches,
}

fn exporters(inner: Formats, outer: Formats, names: Names) -> Vec<Exporter> {
    let bridges = [
        ("a", INT, inner),
        ("a", EX, outer),
        ("b", INT, inner),
        ("b", EX, outer),
    ];
    let exporter = |(node, bridge, formats): (&str, &str, Formats)| Exporter {
        node: node.into(),
        bridge: bridge.into(),
        formats,
        tunnel_names: match names {
            Names::Switches if bridge == INT => ["ovn-2-0".into()].into(),
            _ => [].into(),
        },
        ..Exporter::default()
    };
    bridges.map(exporter).into()
}

fn identity(end: End, names: Names) -> Identity {
    let (kind, node, network) = match end {
        Pod(node) => (Kind::Pod, node, PRIMARY),
        NodePort(node) if names == Names::Kubernetes => (Kind::Node, node, ""),
        NodePort(_) => (Kind::Unknown, "", ""),
        Node(node) => (Kind::Node, node, ""),
        Gateway(node) => (Kind::Node, node, PRIMARY),
        Service if names == Names::Kubernetes => (Kind::Service, "", ""),
        Service | Unknown => (Kind::Unknown, "", ""),
    };
    Identity {
        kind,
        node_name: node.into(),
        network: network.into(),
        service_name: if matches!(end, NodePort(_) | Service) {
            "web"
        } else {
            ""
        }
        .into(),
        ..Identity::default()
    }
}

fn port_name(port: Port) -> &'static str {
    match port {
        Workload(name) => name,
        Own => "antrea-gw0",
        Tunnel => "ovn-2-0",
        Outer => "eth0",
        Patch => "",
    }
}

/// The records that one step leaves in the formats of its bridge.
fn records(step: Step, exporter: &Exporter, v6: bool, names: Names) -> Vec<FlowRecord> {
    let Step(_, _, event, src, dst) = step;
    let formats = exporter.formats;
    let ipfix = |on: fn(Ipfix) -> bool| formats.ipfix.is_some_and(on).then_some(Protocol::Ipfix);
    let seen_by = match event {
        In(_) => vec![
            ipfix(|i| i.ingress),
            formats.net_flow.filter(|_| !v6).map(|_| Protocol::NetFlow5),
            formats.s_flow.map(|_| Protocol::Sflow5),
        ],
        Out(..) => vec![ipfix(|i| i.egress)],
    };
    let record = |format| {
        let address: IpAddr = if v6 { [1; 16].into() } else { [1; 4].into() };
        let (direction, input, output) = match event {
            In(input) => (Direction::Ingress, input, None),
            Out(input, output) => (Direction::Egress, input, Some(output)),
        };
        let named = |port| {
            if format == Protocol::Ipfix {
                port_name(port)
            } else {
                ""
            }
        };
        let raw = wire::Record {
            src_addr: Some(address),
            dst_addr: Some(address),
            direction: Some(direction),
            // As OVS's are: of others the rule is another.
            observation_point: Some(1),
            ethernet_header_len: Some(14),
            l2_bytes: Some(60),
            in_if_name: named(input).into(),
            out_if_name: output.map_or("", named).into(),
            // NetFlow knows tunnel ports only of the userspace datapath.
            tunnel_type: matches!(event, In(Tunnel)).then_some(7),
            tunnel_direction: matches!(event, In(Tunnel)).then_some(Direction::Ingress),
            sample: (format == Protocol::Sflow5).then(wire::PacketSample::default),
            in_if: Some(match (format, input) {
                (Protocol::NetFlow5, Tunnel) => 102,
                (_, Patch) => 0,
                _ => 5,
            }),
            ..wire::Record::new(format, 1)
        };
        let context = Context {
            received_ns: 1,
            source: [127, 0, 0, 1].into(),
            exporter: Some(exporter),
        };
        let mut flow = normalise(raw, context);
        // What `enrich` finds behind a port goes before the address.
        let behind = |port| match port {
            Workload(_) if names == Names::Switches => Some(Pod(exporter_node(exporter))),
            _ => None,
        };
        let of = |port: Option<Port>, end| identity(port.and_then(behind).unwrap_or(end), names);
        flow.src.identity = of(Some(input), src).into();
        flow.dst.identity = of(output, dst).into();
        flow
    };
    seen_by.into_iter().flatten().map(record).collect()
}

fn exporter_node(exporter: &Exporter) -> &'static str {
    if &*exporter.node == "a" { "a" } else { "b" }
}

/// How many records of the packet there are, and which of them count.
fn count(way: &[Step], [inner, outer]: [Formats; 2], v6: bool, names: Names) -> (usize, Vec<String>) {
    let mut known = exporters(inner, outer, names);
    let tunnels: std::sync::Arc<[_]> = [weir_api::export::TunnelPorts {
        overhead: 50,
        ofports: vec![102],
    }]
    .into();
    for exporter in &mut known {
        exporter.tunnels = std::sync::Arc::clone(&tunnels);
    }
    let table = Exporters::new(known.clone(), std::iter::empty());
    let (mut seen, mut counted) = (0, Vec::new());
    for step in way {
        let Some(exporter) = known.iter().find(|e| (&*e.node, &*e.bridge) == (step.0, step.1)) else {
            continue;
        };
        for record in records(*step, exporter, v6, names) {
            seen += 1;
            if is_counted(&record, Some(exporter), &table) {
                counted.push(format!("{:?} {step:?}", record.format));
            }
        }
    }
    (seen, counted)
}

/// Name, and the way of one packet.
type Topology = (&'static str, Vec<Step>);

fn pods() -> Vec<Topology> {
    let (a, b) = (Workload("cart"), Workload("db"));
    vec![
        (
            "pod to pod on one node",
            vec![
                Step("a", INT, In(a), Pod("a"), Pod("a")),
                Step("a", INT, Out(a, b), Pod("a"), Pod("a")),
            ],
        ),
        (
            "pod to pod across nodes",
            vec![
                Step("a", INT, In(a), Pod("a"), Pod("b")),
                Step("b", INT, In(Tunnel), Pod("a"), Pod("b")),
                Step("b", INT, Out(Tunnel, b), Pod("a"), Pod("b")),
            ],
        ),
        (
            "pod to ClusterIP, backend on another node",
            vec![
                Step("a", INT, In(a), Pod("a"), Service),
                Step("b", INT, In(Tunnel), Pod("a"), Pod("b")),
                Step("b", INT, Out(Tunnel, b), Pod("a"), Pod("b")),
            ],
        ),
        (
            "answer of a ClusterIP from another node",
            vec![
                Step("b", INT, In(b), Pod("b"), Pod("a")),
                Step("a", INT, In(Tunnel), Pod("b"), Pod("a")),
                Step("a", INT, Out(Tunnel, a), Service, Pod("a")),
            ],
        ),
        (
            "answer of a ClusterIP on one node",
            vec![
                Step("a", INT, In(b), Pod("a"), Pod("a")),
                Step("a", INT, Out(b, a), Service, Pod("a")),
            ],
        ),
        (
            "pod to its own Service",
            vec![
                Step("a", INT, In(a), Pod("a"), Service),
                // 169.254.169.5 of OVN-Kubernetes, the Service's address of others.
                Step("a", INT, Out(a, a), Unknown, Pod("a")),
            ],
        ),
        (
            "answer of a pod to itself",
            vec![
                Step("a", INT, In(a), Pod("a"), Unknown),
                Step("a", INT, Out(a, a), Service, Pod("a")),
            ],
        ),
        (
            "pod to the outside, masqueraded",
            vec![
                Step("a", INT, In(a), Pod("a"), Unknown),
                Step("a", EX, Out(Patch, Outer), Node("a"), Unknown),
            ],
        ),
        (
            "pod to the outside by the egress address of another node",
            vec![
                Step("b", INT, In(b), Pod("b"), Unknown),
                Step("a", INT, In(Tunnel), Pod("b"), Unknown),
                Step("a", EX, Out(Patch, Outer), Unknown, Unknown),
            ],
        ),
        (
            "pod to another node's own address, masqueraded",
            vec![
                Step("a", INT, In(a), Pod("a"), Node("b")),
                Step("a", EX, Out(Patch, Outer), Node("a"), Node("b")),
                Step("b", EX, In(Outer), Node("a"), Node("b")),
                Step("b", EX, Out(Outer, Outer), Node("a"), Node("b")),
            ],
        ),
        (
            "pod to a Service of another node's own address",
            vec![
                Step("a", INT, In(a), Pod("a"), Service),
                Step("a", EX, Out(Patch, Outer), Node("a"), Node("b")),
                Step("b", EX, In(Outer), Node("a"), Node("b")),
                Step("b", EX, Out(Outer, Outer), Node("a"), Node("b")),
            ],
        ),
        (
            "virtual machine to virtual machine over a VLAN between hosts",
            vec![
                Step("a", INT, In(a), Pod("a"), Pod("b")),
                Step("a", EX, Out(Patch, Outer), Pod("a"), Pod("b")),
                Step("b", EX, In(Outer), Pod("a"), Pod("b")),
                Step("b", INT, Out(Patch, b), Pod("a"), Pod("b")),
            ],
        ),
        (
            "virtual machine to another of its host, routed outside",
            vec![
                Step("a", INT, In(a), Pod("a"), Pod("a")),
                Step("a", EX, Out(Patch, Outer), Pod("a"), Pod("a")),
                Step("a", EX, In(Outer), Pod("a"), Pod("a")),
                Step("a", INT, Out(Patch, b), Pod("a"), Pod("a")),
            ],
        ),
        (
            "virtual machine to the outside over a VLAN",
            vec![
                Step("a", INT, In(a), Pod("a"), Unknown),
                Step("a", EX, Out(Patch, Outer), Pod("a"), Unknown),
            ],
        ),
    ]
}

fn outside() -> Vec<Topology> {
    let (a, b) = (Workload("cart"), Workload("db"));
    let mut ways = vec![
        (
            "outside to a pod over a VLAN",
            vec![
                Step("a", EX, In(Outer), Unknown, Pod("a")),
                Step("a", INT, Out(Patch, a), Unknown, Pod("a")),
            ],
        ),
        (
            "outside to a node",
            vec![
                Step("a", EX, In(Outer), Unknown, Node("a")),
                Step("a", EX, Out(Outer, Outer), Unknown, Node("a")),
            ],
        ),
        (
            "outside to a Service of an address outside",
            vec![
                Step("a", EX, In(Outer), Unknown, Service),
                Step("a", EX, Out(Outer, Outer), Node("a"), Unknown),
            ],
        ),
        (
            "answer to a masqueraded pod",
            vec![
                Step("a", EX, In(Outer), Unknown, Node("a")),
                Step("a", INT, Out(Patch, a), Unknown, Pod("a")),
            ],
        ),
    ];
    // A load balancer's address, a node port, and an egress or router's address that nobody told.
    for (name, address) in [
        ("outside to a load balancer's address", Service),
        ("outside to a node port", NodePort("a")),
        ("outside to a router's address that nobody told", Unknown),
    ] {
        for router in [Unknown, Node("a")] {
            ways.push((
                name,
                vec![
                    Step("a", EX, In(Outer), Unknown, address),
                    Step("a", INT, Out(Patch, a), router, Pod("a")),
                ],
            ));
            ways.push((
                name,
                vec![
                    Step("a", EX, In(Outer), Unknown, address),
                    Step("b", INT, In(Tunnel), router, Pod("b")),
                    Step("b", INT, Out(Tunnel, b), router, Pod("b")),
                ],
            ));
        }
    }
    ways
}

fn nodes() -> Vec<Topology> {
    let (a, b) = (Workload("cart"), Workload("db"));
    vec![
        (
            "node to a pod on it, under its address outside",
            vec![
                Step("a", INT, In(Own), Node("a"), Pod("a")),
                Step("a", INT, Out(Own, a), Node("a"), Pod("a")),
            ],
        ),
        (
            "node to a pod on another, under its address outside",
            vec![
                Step("a", INT, In(Own), Node("a"), Pod("b")),
                Step("b", INT, In(Tunnel), Node("a"), Pod("b")),
                Step("b", INT, Out(Tunnel, b), Node("a"), Pod("b")),
            ],
        ),
        (
            "node to a pod on it",
            vec![
                Step("a", INT, In(Own), Gateway("a"), Pod("a")),
                Step("a", INT, Out(Own, a), Gateway("a"), Pod("a")),
            ],
        ),
        (
            "node to a pod on another",
            vec![
                Step("a", INT, In(Own), Gateway("a"), Pod("b")),
                Step("b", INT, In(Tunnel), Gateway("a"), Pod("b")),
                Step("b", INT, Out(Tunnel, b), Gateway("a"), Pod("b")),
            ],
        ),
        (
            "pod to a node",
            vec![
                Step("a", INT, In(a), Pod("a"), Gateway("b")),
                Step("b", INT, In(Tunnel), Pod("a"), Gateway("b")),
                Step("b", INT, Out(Tunnel, Own), Pod("a"), Gateway("b")),
            ],
        ),
        (
            "node to node",
            vec![
                Step("a", EX, In(Outer), Node("a"), Node("b")),
                Step("a", EX, Out(Outer, Outer), Node("a"), Node("b")),
                Step("b", EX, In(Outer), Node("a"), Node("b")),
                Step("b", EX, Out(Outer, Outer), Node("a"), Node("b")),
            ],
        ),
        (
            "node to the outside",
            vec![
                Step("a", EX, In(Outer), Node("a"), Unknown),
                Step("a", EX, Out(Outer, Outer), Node("a"), Unknown),
            ],
        ),
        (
            "node to a Service by its router, backend on another node",
            vec![
                Step("a", EX, In(Outer), Node("a"), Service),
                Step("b", INT, In(Tunnel), Node("a"), Pod("b")),
                Step("b", INT, Out(Tunnel, b), Node("a"), Pod("b")),
            ],
        ),
        (
            "answer of a Service to a node by its router",
            vec![
                Step("b", INT, In(b), Pod("b"), Node("a")),
                Step("a", INT, In(Tunnel), Pod("b"), Node("a")),
                Step("a", EX, Out(Patch, Outer), Service, Node("a")),
            ],
        ),
        (
            "node to a Service by its router, backend another node",
            vec![
                Step("a", EX, In(Outer), Node("a"), Service),
                Step("a", EX, Out(Outer, Outer), Node("a"), Node("b")),
                Step("b", EX, In(Outer), Node("a"), Node("b")),
                Step("b", EX, Out(Outer, Outer), Node("a"), Node("b")),
            ],
        ),
        (
            "answer of a node port that a pod called, put back by its switch",
            vec![
                Step("b", INT, In(b), Pod("b"), Pod("a")),
                Step("a", INT, In(Tunnel), Pod("b"), Pod("a")),
                Step("a", INT, Out(Tunnel, a), NodePort("a"), Pod("a")),
            ],
        ),
        (
            "answer of a node port",
            vec![
                Step("b", INT, In(b), Pod("b"), Node("a")),
                Step("a", INT, In(Tunnel), Pod("b"), Node("a")),
                Step("a", EX, Out(Patch, Outer), Node("a"), Unknown),
            ],
        ),
    ]
}

/// AntreaProxy translates what comes by the node's own port of the integration bridge.
fn antrea() -> Vec<Topology> {
    let (a, b) = (Workload("cart"), Workload("db"));
    let mut ways = vec![
        (
            "AntreaProxy: node to a Service of another node's address",
            vec![
                Step("a", INT, In(Own), Gateway("a"), Service),
                Step("a", INT, Out(Own, Own), Gateway("a"), Node("b")),
            ],
        ),
        (
            "AntreaProxy: answer to a node",
            vec![
                Step("b", INT, In(b), Pod("b"), Gateway("a")),
                Step("a", INT, In(Tunnel), Pod("b"), Gateway("a")),
                Step("a", INT, Out(Tunnel, Own), Service, Gateway("a")),
            ],
        ),
    ];
    // The Service's own address, or the virtual one of node ports.
    for address in [Service, Unknown] {
        for sender in [Unknown, Gateway("a")] {
            ways.push((
                "AntreaProxy: to a Service with its backend on the node",
                vec![
                    Step("a", INT, In(Own), sender, address),
                    Step("a", INT, Out(Own, a), sender, Pod("a")),
                ],
            ));
            ways.push((
                "AntreaProxy: to a Service with its backend on another node",
                vec![
                    Step("a", INT, In(Own), sender, address),
                    Step("b", INT, In(Tunnel), Gateway("a"), Pod("b")),
                    Step("b", INT, Out(Tunnel, b), Gateway("a"), Pod("b")),
                ],
            ));
        }
    }
    ways
}

fn bridges(formats: Formats) -> String {
    match EACH.iter().position(|f| *f == formats) {
        Some(n) => [
            "none",
            "IPFIX",
            "IPFIX in",
            "IPFIX out",
            "NetFlow",
            "sFlow",
            "all",
            "sparse",
        ][n]
            .to_owned(),
        None => format!("{formats:?}"),
    }
}

/// Whether the rule can tell (see `primary`). Pods' packets leave by a patch port to the
/// outer bridge, where only IPFIX has a record of them; on that bridge alone, or with
/// egress records alone, what comes back from another router looks as if sent there.
fn is_told_apart(way: &[Step], [inner, outer]: [Formats; 2], v6: bool) -> bool {
    let from_inside = way[0].1 == INT;
    let comes_back = way
        .iter()
        .any(|step| step.1 == EX && matches!(step.2, In(_)) && step.0 == way[0].0);
    let leaves = outer.ipfix.is_some_and(|ipfix| ipfix.egress);
    let enters = inner.see_entries(!v6) || !comes_back;
    let alone = [inner, outer].contains(&EGRESS_ONLY) && ![NONE, inner].contains(&outer);
    !from_inside || (enters && !alone && (inner.see(!v6) || (leaves && outer != EGRESS_ONLY)))
}

#[test]
fn of_each_packet_exactly_one_observation_counts_whatever_is_exported_where() {
    let with_outer = [pods(), outside(), nodes()].concat();
    let all = EACH.map(|inner| EACH.map(|outer| [inner, outer])).concat();
    let all: Vec<_> = all
        .into_iter()
        .filter(|s| s[0] != EGRESS_ONLY || [NONE, s[0]].contains(&s[1]))
        .collect();
    let mut cases: Vec<_> = with_outer
        .iter()
        .flat_map(|way| all.iter().map(move |s| (way, *s)))
        .collect();
    let of_antrea = antrea();
    cases.extend(
        of_antrea
            .iter()
            .flat_map(|way| EACH.map(|inner| (way, [inner, NONE]))),
    );
    let mut wrong = Vec::new();
    for ((name, way), setup) in cases {
        for (v6, names) in [
            (false, Names::Kubernetes),
            (true, Names::Kubernetes),
            (false, Names::Switches),
            (true, Names::Switches),
        ] {
            if !is_told_apart(way, setup, v6) {
                continue;
            }
            let (seen, counted) = count(way, setup, v6, names);
            if counted.len() != usize::from(seen > 0) {
                let setup = setup.map(bridges);
                wrong.push(format!(
                    "{name}, {setup:?} v6={v6} {names:?} {way:?}: {counted:#?}"
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{} wrong:\n{}", wrong.len(), wrong.join("\n"));
}
