use super::*;
use crate::normalise::{Context, normalise};
use std::path::Path;
use weir_flow::Kind;
use weir_identity::{Endpoint, Held, NodePort, Published, Timeline};
use wire::Protocol;

const TIME: u64 = 1_000_000_000_000;
const SECOND: u64 = 1_000_000_000;

fn who(kind: Kind, name: &str) -> Arc<Identity> {
    Arc::new(Identity {
        kind,
        name: name.into(),
        ns: "shop".into(),
        ..Identity::default()
    })
}

fn always(all: &[&Arc<Identity>]) -> Timeline {
    let held = |who: &&Arc<Identity>| Held {
        span: Span::ALWAYS,
        who: Arc::clone(who),
    };
    all.iter().map(held).collect()
}

fn directory() -> Directory {
    let mut directory = Directory::default();
    let (web, db, node) = (
        who(Kind::Pod, "web"),
        who(Kind::Pod, "db"),
        who(Kind::Node, "node-a"),
    );
    let service = Arc::new(Identity {
        service_name: "front".into(),
        service_ns: "shop".into(),
        ..(*who(Kind::Service, "front")).clone()
    });
    let other = who(Kind::Service, "other");
    let mut has = |address: &str, all: &[&Arc<Identity>]| {
        directory.addresses.insert(address.parse().unwrap(), always(all));
    };
    has("10.0.0.1", &[&web]);
    has("10.0.0.2", &[&web, &db]);
    has("10.0.0.3", &[&service, &other]);
    has("192.168.0.1", &[&node]);
    for (address, port) in [("10.0.0.1", 8080), ("10.0.0.3", 80)] {
        let address = address.parse().unwrap();
        let endpoint = Endpoint {
            address,
            proto: 6,
            port,
        };
        directory.services.insert(endpoint, always(&[&service]));
    }
    let port = NodePort {
        proto: 6,
        port: 30080,
    };
    directory.services.insert(port, always(&[&service]));
    let mut ports = Ports::default();
    ports.interfaces.insert("veth-db".into(), Arc::clone(&db));
    ports.interfaces.insert("mp0".into(), Arc::clone(&node));
    ports.macs.insert([2; 6], db);
    directory.macs.insert([3; 6], always(&[&web]));
    directory.nodes.insert("node-a".into(), ports);
    directory
}

fn labels() -> Labels {
    let text = "customLabels: [{name: lan, cidrs: [10.0.0.0/24]}, {name: dns, cidrs: [8.8.8.0/24]}]";
    Labels::parse(text, Path::new("x")).unwrap()
}

/// A TCP flow from an address and port to `10.9.9.9:50000`.
fn flow(address: &str, port: u16) -> FlowRecord {
    let raw = wire::Record {
        src_addr: Some(address.parse().unwrap()),
        dst_addr: Some([10, 9, 9, 9].into()),
        src_port: Some(port),
        dst_port: Some(50_000),
        ip_protocol: Some(6),
        start_ns: Some(TIME - 9 * SECOND),
        end_ns: Some(TIME - SECOND),
        ..wire::Record::new(Protocol::Ipfix, TIME)
    };
    let context = Context {
        received_ns: TIME,
        source: [127, 0, 0, 1].into(),
        exporter: None,
    };
    let mut flow = normalise(raw, context);
    flow.exporter_node = "node-a".into();
    flow
}

fn named(mut flow: FlowRecord) -> FlowRecord {
    Enrich::default().enrich(&mut flow, &directory(), &labels(), None);
    flow
}

/// Name, what it rests on, Service, label, workload kind of the source.
fn source(flow: FlowRecord) -> [String; 5] {
    let side = named(flow).src;
    let who = &side.identity;
    [
        &*who.name,
        side.found.as_str(),
        &who.service_name,
        &who.subnet_label,
        &who.workload_kind,
    ]
    .map(str::to_owned)
}

#[test]
fn a_side_is_named_by_its_address_with_its_service_and_its_label() {
    assert_eq!(
        source(flow("10.0.0.1", 8080)),
        ["web", "address", "front", "lan", ""]
    );
    assert_eq!(source(flow("10.0.0.1", 8081)), ["web", "address", "", "lan", ""]);
    assert_eq!(
        source(flow("192.168.0.1", 30080)),
        ["node-a", "address", "front", "", ""]
    );
    assert_eq!(
        source(flow("192.168.0.1", 30081)),
        ["node-a", "address", "", "", ""]
    );
}

#[test]
fn the_pod_behind_an_interface_outranks_the_address_and_a_node_does_not() {
    let mut behind = flow("10.0.0.1", 1);
    behind.src.if_name = "veth-db".into();
    assert_eq!(source(behind)[..2], ["db", "interface"]);
    let mut behind = flow("10.0.0.2", 1);
    behind.src.if_name = "veth-db".into();
    assert_eq!(source(behind)[..2], ["db", "interface"]);
    let mut behind = flow("10.0.0.1", 1);
    behind.src.if_name = "mp0".into();
    assert_eq!(source(behind)[..2], ["web", "address"]);
    let mut behind = flow("100.64.0.2", 1);
    behind.src.if_name = "mp0".into();
    assert_eq!(source(behind)[..2], ["node-a", "interface"]);
    let mut framed = flow("8.8.8.8", 1);
    framed.src.mac = Some([2; 6]);
    assert_eq!(source(framed)[..2], ["db", "mac"]);
    // What another node's pod has may be told by the pod's owner.
    let elsewhere = |address| {
        let mut framed = flow(address, 1);
        framed.src.mac = Some([3; 6]);
        source(framed)
    };
    assert_eq!(elsewhere("192.168.7.7")[..2], ["web", "mac"]);
    assert_eq!(elsewhere("8.8.4.4")[..2], ["", ""]);
}

#[test]
fn an_address_of_several_is_ambiguous_and_only_what_they_share_is_told() {
    let flow = named(flow("10.0.0.2", 8080));
    let who = &flow.src.identity;
    assert_eq!(flow.src.found, IdentifiedBy::Ambiguous);
    assert_eq!((who.kind, &*who.name, &*who.ns), (Kind::Pod, "", "shop"));
}

#[test]
fn services_that_share_an_address_are_told_apart_by_the_port() {
    assert_eq!(source(flow("10.0.0.3", 80))[..3], ["front", "address", "front"]);
    assert_eq!(source(flow("10.0.0.3", 81))[..3], ["", "ambiguous", ""]);
}

#[test]
fn an_address_of_nobody_is_private_or_of_the_internet() {
    assert_eq!(source(flow("100.64.0.1", 1)), ["", "", "", "", "private"]);
    assert_eq!(source(flow("1.1.1.1", 1)), ["", "", "", "", "internet"]);
    assert_eq!(source(flow("8.8.8.8", 1)), ["", "subnet", "", "dns", "internet"]);
}

#[test]
fn a_clock_that_is_ahead_does_not_make_a_flow_younger_than_its_arrival() {
    let mut ahead = flow("10.0.0.1", 1);
    (ahead.start_ns, ahead.end_ns) = (TIME + 5 * SECOND, TIME + 9 * SECOND);
    assert_eq!(span(&ahead), Span { from: TIME, to: TIME });
}

#[test]
fn a_clock_that_is_an_hour_behind_is_not_believed() {
    let mut behind = flow("10.0.0.1", 1);
    behind.time_ns = behind.end_ns + OLDEST;
    assert_eq!(span(&behind).to, behind.end_ns);
    behind.time_ns += 1;
    assert_eq!(
        span(&behind),
        Span {
            from: behind.time_ns,
            to: behind.time_ns
        }
    );
}

#[test]
fn the_side_with_the_port_of_a_service_is_the_server() {
    let flow = named(flow("10.0.0.1", 8080));
    assert_eq!(
        (flow.server.as_str(), flow.server_confidence.as_str()),
        ("src", "service")
    );
}

#[test]
fn the_names_of_a_connection_take_bounded_room() {
    let room = NameRoom::CONNECTION;
    let mut enrich = Enrich::with_room(room);
    for n in 0..4 * room.sides as u32 {
        let source = std::net::Ipv4Addr::from_bits(0xac10_0000 + n).to_string();
        let mut flow = flow(&source, 40_000);
        flow.tcp_flags = Some(weir_flow::TcpFlags {
            bits: 0x12,
            of_one_packet: true,
        });
        enrich.enrich(&mut flow, &directory(), &labels(), None);
    }
    let known = enrich.cache.filled();
    // A side has four places, one after the other, and the last has some as well.
    assert!((room.sides / 4..=room.sides + 4).contains(&known), "{known}");
    let bytes = 64 * room.sides + 300 * room.derived + 24 * room.listeners + (2 << 10) * room.claims;
    assert!(bytes <= 2 << 20, "{bytes}");
}

#[test]
fn who_was_seen_to_take_a_connection_is_known_to_listen_afterwards() {
    let mut enrich = Enrich::default();
    let mut told = |bits: Option<u16>| {
        let mut flow = flow("1.1.1.1", 40_000);
        flow.tcp_flags = bits.map(|bits| weir_flow::TcpFlags {
            bits,
            of_one_packet: true,
        });
        enrich.enrich(&mut flow, &directory(), &labels(), None);
        (flow.server.as_str(), flow.server_confidence.as_str())
    };
    assert_eq!(told(None), ("unknown", "none"));
    assert_eq!(told(Some(0x12)), ("src", "syn"));
    assert_eq!(told(None), ("src", "listener"));
}
