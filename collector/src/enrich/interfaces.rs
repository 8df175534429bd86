//! Names by interfaces, as node daemons announce them, on records of each format.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use weir_flow::{FlowRecord, IdentifiedBy, Identity, Kind};
use weir_identity::exporters::Exporter;
use weir_identity::interfaces::{
    ExporterRef, FORGOTTEN_MS, Interfaces, MAX_INTERFACES, MAX_NAME, MAX_OF_STRANGER, MAX_OF_STRANGERS,
    Switches,
};
use weir_identity::subnets::Labels;
use weir_identity::{Directory, Held, Span, Timeline};
use wire::{Direction, InterfaceName, Options, OptionsRecord, Protocol, Record};

use super::Enrich;
use crate::normalise::{Context, normalise};

const NODE: IpAddr = IpAddr::V4(Ipv4Addr::new(172, 30, 0, 11));
const SHARED: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 9, 0, 5));

fn exporter(node: &str, domain: u32) -> Exporter {
    Exporter {
        node: node.into(),
        bridge: "br-int".into(),
        domain: Some(domain),
        ..Exporter::default()
    }
}

fn origin(exporter: Option<&Exporter>, domain: u32) -> ExporterRef<'_> {
    ExporterRef {
        exporter,
        source: NODE,
        domain,
    }
}

fn always(who: &Arc<Identity>) -> Timeline {
    let span = Span {
        from: 0,
        to: u64::MAX,
    };
    let who = Arc::clone(who);
    [Held { span, who }].into()
}

fn told(interface: u32, port: u32, name: &str, description: &str) -> OptionsRecord {
    OptionsRecord {
        protocol: Protocol::Ipfix,
        observation_domain: 1,
        export_ns: 0,
        content: Options::Interface(InterfaceName {
            interface,
            port: Some(port),
            name: name.into(),
            description: description.into(),
        }),
    }
}

fn raw(protocol: Protocol, input: (u32, &str), output: (u32, &str)) -> Record {
    Record {
        src_addr: Some(SHARED),
        dst_addr: Some(SHARED),
        in_if: Some(input.0),
        in_if_name: input.1.into(),
        out_if: Some(output.0),
        out_if_name: output.1.into(),
        observation_point: Some(1),
        direction: Some(Direction::Egress),
        ethernet_header_len: Some(14),
        l2_bytes: Some(60),
        ..Record::new(protocol, 0)
    }
}

/// The record as the pods behind its interfaces name it.
fn named(
    interfaces: &Interfaces,
    origin: ExporterRef<'_>,
    raw: Record,
    directory: &Directory,
) -> Option<FlowRecord> {
    let context = Context {
        received_ns: 3_600_000_000_000,
        source: origin.source,
        exporter: origin.exporter,
    };
    let mut record = normalise(raw, context);
    let mut switches = Switches::default();
    let here = switches.here(interfaces, origin, record.format)?;
    Enrich::default().enrich(&mut record, directory, &Labels::default(), Some(here));
    Some(record)
}

fn pods(record: Option<FlowRecord>) -> [String; 2] {
    let record = record.expect("a known switch");
    [record.src, record.dst].map(|side| {
        format!(
            "{}/{} {}",
            side.identity.ns,
            side.identity.name,
            side.found.as_str()
        )
    })
}

#[test]
fn the_interface_in_names_the_source_and_the_interface_out_the_destination() {
    let (interfaces, nobody) = (Interfaces::default(), Directory::default());
    let told = [
        told(12, 3, "v1", "shop/web-1"),
        told(13, 4, "v2", "bank/web-1 net1"),
    ];
    interfaces.learn(origin(None, 1), &told, 0);
    assert_eq!(interfaces.len(), 2);
    let both = raw(Protocol::Ipfix, (12, "v1"), (13, "v2"));
    assert_eq!(
        pods(named(&interfaces, origin(None, 1), both, &nobody)),
        ["shop/web-1 interface", "bank/web-1 interface"]
    );
    let uplink = raw(Protocol::Ipfix, (7, "genev_sys"), (13, "v2"));
    assert_eq!(
        pods(named(&interfaces, origin(None, 1), uplink, &nobody)),
        ["/ ", "bank/web-1 interface"]
    );
}

#[test]
fn the_same_interface_number_on_another_switch_is_another_interface() {
    let (interfaces, nobody) = (Interfaces::default(), Directory::default());
    interfaces.learn(origin(None, 1), &[told(12, 3, "v1", "red/web")], 0);
    interfaces.learn(origin(None, 2), &[told(12, 3, "v1", "blue/web")], 0);
    let (a, b) = (exporter("a", 8), exporter("b", 9));
    interfaces.learn(origin(Some(&a), 8), &[told(12, 3, "v1", "green/web")], 0);
    let source = |origin| {
        let record = raw(Protocol::Ipfix, (12, "v1"), (0, ""));
        named(&interfaces, origin, record, &nobody).map(|r| r.src.identity.ns.to_string())
    };
    assert_eq!(source(origin(None, 1)).as_deref(), Some("red"));
    assert_eq!(source(origin(None, 2)).as_deref(), Some("blue"));
    assert_eq!(source(origin(Some(&a), 8)).as_deref(), Some("green"));
    assert_eq!(source(origin(Some(&b), 9)), None);
}

#[test]
fn the_interface_outranks_the_address_and_the_index_knows_the_rest() {
    let interfaces = Interfaces::default();
    interfaces.learn(origin(None, 1), &[told(12, 3, "v1", "red/web")], 0);
    let identity = Arc::new(Identity {
        kind: Kind::Pod,
        name: "web".into(),
        ns: "red".into(),
        workload_name: "web-deployment".into(),
        ..Identity::default()
    });
    let mut directory = Directory::default();
    directory.pods.insert("red/web".into(), always(&identity));
    directory.addresses.insert(SHARED, always(&Identity::nobody()));
    let record = raw(Protocol::Ipfix, (12, "v1"), (0, ""));
    let record = named(&interfaces, origin(None, 1), record, &directory).expect("a known switch");
    assert!(Arc::ptr_eq(record.src.identity.shared(), &identity));
    assert_eq!(record.src.found, IdentifiedBy::Interface);
}

#[test]
fn a_pod_that_no_index_knows_runs_on_the_exporters_node() {
    let (interfaces, nobody) = (Interfaces::default(), Directory::default());
    let a = exporter("a", 1);
    interfaces.learn(origin(Some(&a), 1), &[told(12, 3, "v1", "red/web")], 0);
    let record = raw(Protocol::Ipfix, (12, "v1"), (0, ""));
    let record = named(&interfaces, origin(Some(&a), 1), record, &nobody).expect("a known switch");
    assert_eq!(&*record.src.identity.node_name, "a");
}

#[test]
fn netflow_names_open_flow_ports_of_its_bridge() {
    let (interfaces, nobody) = (Interfaces::default(), Directory::default());
    let a = exporter("a", 1);
    interfaces.learn(origin(Some(&a), 1), &[told(12, 3, "v1", "red/web")], 0);
    let sides = |domain, input| {
        let record = raw(Protocol::NetFlow5, (input, ""), (0, ""));
        pods(named(&interfaces, origin(Some(&a), domain), record, &nobody))
    };
    assert_eq!(sides(1, 3)[0], "red/web interface");
    assert_eq!(sides(1, 12)[0], "/ ", "an ifIndex is no port");
    assert_eq!(sides(2, 3)[0], "/ ", "another bridge's port");
}

#[test]
fn a_pod_that_got_the_number_of_another_gets_none_of_its_flows() {
    const MINUTE: u64 = 60_000;
    let (interfaces, nobody) = (Interfaces::default(), Directory::default());
    let tell =
        |index, pod: &str, now_ms| interfaces.learn(origin(None, 1), &[told(index, 3, "", pod)], now_ms);
    let sender = |began_ms: u64| {
        let raw = Record {
            start_ns: Some(began_ms * 1_000_000),
            end_ns: Some(11 * MINUTE * 1_000_000),
            ..raw(Protocol::Ipfix, (12, ""), (0, ""))
        };
        named(&interfaces, origin(None, 1), raw, &nobody).map(|record| pods(Some(record))[0].clone())
    };
    tell(7, "shop/other", 10 * MINUTE);
    tell(12, "shop/first", 10 * MINUTE);
    assert_eq!(sender(MINUTE).as_deref(), Some("shop/first interface"));
    tell(12, "", 11 * MINUTE);
    tell(12, "shop/second", 11 * MINUTE);
    assert_ne!(sender(10 * MINUTE).as_deref(), Some("shop/second interface"));
    assert_eq!(sender(11 * MINUTE).as_deref(), Some("shop/second interface"));
}

#[test]
fn a_number_that_another_interface_has_meanwhile_names_nobody() {
    let (interfaces, nobody) = (Interfaces::default(), Directory::default());
    interfaces.learn(origin(None, 1), &[told(12, 3, "v1", "red/web")], 0);
    let record = raw(Protocol::Ipfix, (12, "v9"), (0, ""));
    assert_eq!(
        pods(named(&interfaces, origin(None, 1), record, &nobody))[0],
        "/ "
    );
}

#[test]
fn an_interface_that_lost_its_pod_or_is_not_told_any_more_is_forgotten() {
    let interfaces = Interfaces::default();
    let both = [told(12, 3, "v1", "red/web"), told(13, 4, "v2", "red/db")];
    interfaces.learn(origin(None, 1), &both, 0);
    interfaces.learn(origin(None, 1), &[told(12, 3, "v1", "")], 0);
    assert_eq!(interfaces.len(), 1);
    let other = [told(1, 1, "v", "red/other")];
    interfaces.learn(origin(None, 2), &other, FORGOTTEN_MS + 1);
    assert_eq!(interfaces.len(), 1);
    assert!(interfaces.here(origin(None, 1), Protocol::Ipfix).is_none());
}

#[test]
fn interfaces_are_forgotten_and_found_by_the_new_time_when_the_clock_was_set_back() {
    const HOUR: u64 = 3_600_000;
    const BACK: u64 = HOUR / 2;
    let interfaces = Interfaces::default();
    let [one, other] = [told(12, 3, "v1", "red/web"), told(13, 4, "v2", "red/db")];
    interfaces.learn(origin(None, 1), std::slice::from_ref(&one), 10 * HOUR);
    interfaces.learn(origin(None, 1), std::slice::from_ref(&other), 12 * HOUR);
    interfaces.learn(origin(None, 1), &[one, other], BACK);
    let record = Record {
        end_ns: Some((BACK + 2_000) * 1_000_000),
        start_ns: Some((BACK + 1_000) * 1_000_000),
        ..raw(Protocol::Ipfix, (12, "v1"), (13, "v2"))
    };
    assert_eq!(
        pods(named(&interfaces, origin(None, 1), record, &Directory::default())),
        ["red/web interface", "red/db interface"]
    );
    let elsewhere = [told(1, 1, "v", "red/other")];
    interfaces.learn(origin(None, 2), &elsewhere, BACK + FORGOTTEN_MS + 1);
    assert_eq!(interfaces.len(), 1, "nobody told of the others since");
}

#[test]
fn a_thread_sees_what_was_learned_after_it_looked() {
    let (interfaces, mut switches) = (Interfaces::default(), Switches::default());
    let a = exporter("a", 1);
    let mut pod = |domain: u32, exporter| {
        let here = switches.here(&interfaces, origin(exporter, domain), Protocol::Ipfix)?;
        let record = raw(Protocol::Ipfix, (12, "v1"), (0, ""));
        let context = Context {
            received_ns: 0,
            source: NODE,
            exporter,
        };
        let side = normalise(record, context).src;
        here.pod(&side, 0).map(|pod| pod.name().to_string())
    };
    assert_eq!(pod(1, None), None);
    for name in ["red/web", "red/db"] {
        interfaces.learn(origin(None, 1), &[told(12, 3, "v1", name)], 0);
        assert_eq!((pod(1, None).as_deref(), pod(2, None)), (Some(name), None));
        assert_eq!(pod(1, None).as_deref(), Some(name));
    }
    interfaces.learn(origin(Some(&a), 1), &[told(12, 3, "v1", "red/of-a")], 0);
    assert_eq!(pod(1, Some(&a)).as_deref(), Some("red/of-a"));
    assert_eq!(pod(1, None).as_deref(), Some("red/db"));
}

#[test]
fn what_routers_write_on_their_interfaces_is_no_pod() {
    let interfaces = Interfaces::default();
    for description in ["", "uplink", "to core/1/2", "Core/Spine", "a/b/c", "/x", "x/"] {
        interfaces.learn(origin(None, 1), &[told(12, 3, "ge-0/0/0", description)], 0);
        assert!(interfaces.is_empty(), "{description}");
    }
}

#[test]
fn what_is_no_interface_of_a_switch_is_not_taken() {
    let interfaces = Interfaces::default();
    let name = "v".repeat(MAX_NAME + 1);
    interfaces.learn(origin(None, 1), &[told(12, 3, &name, "red/web")], 0);
    interfaces.learn(origin(None, 1), &[told(0, 3, "v1", "red/web")], 0);
    assert!(interfaces.is_empty());
}

#[test]
fn a_flood_of_interfaces_takes_bounded_room_and_leaves_that_of_known_nodes() {
    let interfaces = Interfaces::default();
    let flood: Vec<_> = (1..=2_000).map(|n| told(n, n, "v", "x/y")).collect();
    for domain in 0..100 {
        interfaces.learn(origin(None, domain), &flood, 0);
    }
    assert_eq!(interfaces.len(), MAX_OF_STRANGER, "one leaves room for others");
    for n in 0..100 {
        let source = Ipv4Addr::new(192, 0, 2, n).into();
        let other = ExporterRef {
            source,
            ..origin(None, 1)
        };
        interfaces.learn(other, &flood, 0);
    }
    assert_eq!(interfaces.len(), MAX_OF_STRANGERS);
    let a = exporter("a", 1);
    interfaces.learn(origin(Some(&a), 1), &flood, 0);
    assert_eq!(interfaces.len(), MAX_OF_STRANGERS + MAX_INTERFACES);
}
