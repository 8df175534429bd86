//! Names as [`Enrich`] gives them, against the rules of `enrich` written down once more
//! without a cache and without haste.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::sync::Arc;

use proptest::prelude::*;
use weir_flow::{FlowRecord, IdentifiedBy, Identity, Kind, Side};
use weir_identity::interfaces::{ExporterRef, Interfaces, SwitchInterfaces};
use weir_identity::subnets::Labels;
use weir_identity::{Directory, Endpoint, Held, NodePort, Owners, Ports, Published, Span, Timeline, reach};
use wire::{InterfaceName, Options, OptionsRecord, Protocol};

use super::{Enrich, span};
use crate::normalise::{Context, normalise};

/// Half of the clocks' tolerance, so that flows end within it, too.
const TICK: u64 = 500_000_000;
const SOURCE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
/// The last is no Service's.
const PORTS: [u16; 4] = [0, 80, 443, 50_000];
const PROTOS: [u8; 3] = [0, 6, 17];

/// Who a side is, and what that rests on.
type Named = (Arc<Identity>, IdentifiedBy);

fn oracle(side: &Side, record: &FlowRecord, world: &World, here: Option<&SwitchInterfaces>) -> Named {
    let (directory, flow) = (&world.directory, span(record));
    let (mut who, mut found) = identify(side, record, world, here);
    let endpoint = side.addr.zip(side.port).filter(|(_, port)| *port != 0);
    let endpoint = endpoint.map(|(address, port)| Endpoint {
        address,
        proto: record.proto.unwrap_or(0),
        port,
    });
    let endpoint = endpoint.filter(|_| found != IdentifiedBy::Ambiguous);
    let on_node = |e: Endpoint| {
        let port = NodePort {
            proto: e.proto,
            port: e.port,
        };
        directory.node_port(port, flow).filter(|_| who.kind == Kind::Node)
    };
    let service = endpoint.and_then(|e| directory.service(e, flow).or_else(|| on_node(e)));
    if let Some(service) = service {
        who = Arc::new(Identity {
            service_name: Arc::clone(&service.service_name),
            service_ns: Arc::clone(&service.service_ns),
            ..(*who).clone()
        });
    }
    if let Some(label) = side.addr.and_then(|address| world.labels.get(address)) {
        who = Arc::new(Identity {
            subnet_label: Arc::clone(label),
            ..(*who).clone()
        });
        found = if found == IdentifiedBy::Nothing {
            IdentifiedBy::Subnet
        } else {
            found
        };
    }
    (who, found)
}

fn identify(
    side: &Side,
    record: &FlowRecord,
    world: &World,
    here: Option<&SwitchInterfaces>,
) -> (Arc<Identity>, IdentifiedBy) {
    let (directory, flow) = (&world.directory, span(record));
    if let Some(pod) = here.and_then(|here| here.pod(side, flow.from)) {
        let known = directory.pod(pod.name(), flow).unwrap_or(pod.identity());
        return (Arc::clone(known), IdentifiedBy::Interface);
    }
    let ports = directory.nodes.get(&record.exporter_node);
    let port = ports.and_then(|ports| ports.interfaces.get(side.if_name.as_str()));
    if let Some(pod) = port.filter(|who| who.kind == Kind::Pod) {
        return (Arc::clone(pod), IdentifiedBy::Interface);
    }
    match side.addr.map(|address| directory.owners(address, flow)) {
        Some(Owners::One(who)) => return (Arc::clone(who), IdentifiedBy::Address),
        Some(Owners::Several(all)) => return common(&all, side, record, world),
        Some(Owners::Nobody) | None => {}
    }
    let mac = ports.and_then(|ports| ports.macs.get(&side.mac?));
    match (port, mac, side.addr) {
        (Some(who), ..) => (Arc::clone(who), IdentifiedBy::Interface),
        (_, Some(who), _) => (Arc::clone(who), IdentifiedBy::Mac),
        (.., Some(address)) => (Arc::clone(reach::stranger(address)), IdentifiedBy::Nothing),
        (.., None) => (Identity::nobody(), IdentifiedBy::Nothing),
    }
}

fn common(
    all: &[&Arc<Identity>],
    side: &Side,
    record: &FlowRecord,
    world: &World,
) -> (Arc<Identity>, IdentifiedBy) {
    let endpoint = side.addr.zip(side.port).map(|(address, port)| Endpoint {
        address,
        proto: record.proto.unwrap_or(0),
        port,
    });
    let service = endpoint
        .filter(|e| e.port != 0)
        .and_then(|e| world.directory.service(e, span(record)));
    let services = all.iter().all(|who| who.kind == Kind::Service);
    if let Some(who) = all.iter().find(|who| services && Some(**who) == service) {
        return (Arc::clone(who), IdentifiedBy::Address);
    }
    let mut derived = super::DerivedIdentities::with_room(64);
    let first = Arc::clone(all[0]);
    let common = all[1..]
        .iter()
        .fold(first, |who, other| derived.common(&who, other));
    (common, IdentifiedBy::Ambiguous)
}

/// All that names come from.
#[derive(Debug)]
struct World {
    directory: Directory,
    labels: Labels,
    interfaces: Interfaces,
}

fn address(number: u8) -> IpAddr {
    [10, 0, number % 2, number].into()
}

fn identity(number: u8) -> Arc<Identity> {
    let kinds = [
        Kind::Pod,
        Kind::Pod,
        Kind::Pod,
        Kind::Node,
        Kind::Service,
        Kind::Service,
    ];
    let kind = kinds[usize::from(number) % kinds.len()];
    let name: Arc<str> = format!("who-{number}").into();
    let service = if kind == Kind::Service {
        Arc::clone(&name)
    } else {
        Arc::default()
    };
    Arc::new(Identity {
        kind,
        ns: "shop".into(),
        network: if number == 2 {
            "shop/blue".into()
        } else {
            Arc::default()
        },
        service_ns: if service.is_empty() {
            Arc::default()
        } else {
            "shop".into()
        },
        service_name: service,
        name,
        ..Identity::default()
    })
}

prop_compose! {
    fn times()(from in 0..80_u64, length in 0..60_u64, open in any::<bool>()) -> Span {
        let to = if open { u64::MAX } else { (from + length) * TICK };
        Span { from: from * TICK, to }
    }
}

fn world() -> impl Strategy<Value = World> {
    let held = || prop::collection::vec((0..5_u8, 0..6_u8, times()), 0..8);
    let ports = || prop::collection::vec((0..5_u8, 0..3_usize, 0..3_usize, 4..6_u8, times()), 0..8);
    let announced = prop::collection::vec((1..4_u32, 0..4_u8, 0..60_u64), 0..4);
    let switch = prop::collection::vec((0..3_u8, 0..4_u8), 0..4);
    let labelled = any::<bool>();
    (held(), ports(), ports(), held(), announced, switch, labelled).prop_map(
        |(addresses, endpoints, node_ports, pods, announced, switch, labelled)| {
            let mut directory = Directory::default();
            let mut held = HashMap::new();
            for (number, proto, port, who, span) in endpoints {
                let (proto, port) = (PROTOS[proto], PORTS[port]);
                directory.services.portless |= port == 0;
                let endpoint = Endpoint {
                    address: address(number),
                    proto,
                    port,
                };
                insert(&mut held, endpoint, who, span);
            }
            held.into_iter()
                .for_each(|(endpoint, held)| directory.services.insert(endpoint, held));
            let mut held = HashMap::new();
            for (_, proto, port, who, span) in node_ports {
                let port = NodePort {
                    proto: PROTOS[proto],
                    port: PORTS[port],
                };
                insert(&mut held, port, who, span);
            }
            held.into_iter()
                .for_each(|(port, held)| directory.services.insert(port, held));
            let (mut held, mut pods_held) = (HashMap::new(), HashMap::new());
            for (number, who, span) in addresses {
                insert(&mut held, address(number), who, span);
            }
            for (number, who, span) in pods {
                let name: Arc<str> = format!("shop/who-{number}").into();
                insert(&mut pods_held, name, who % 3, span);
            }
            held.into_iter()
                .for_each(|(address, held)| directory.addresses.insert(address, held));
            pods_held
                .into_iter()
                .for_each(|(name, held)| directory.pods.insert(name, held));
            let interfaces = Interfaces::default();
            for (interface, pod, at) in announced {
                announce(&interfaces, interface, pod, at);
            }
            if !switch.is_empty() {
                let mut ports = Ports::default();
                for (number, who) in switch {
                    ports
                        .interfaces
                        .insert(format!("v{number}").into(), identity(who));
                    ports.macs.insert([number; 6], identity(who));
                }
                directory.nodes.insert("node".into(), ports);
            }
            let text = "customLabels: [{name: lan, cidrs: [10.0.1.0/24]}]";
            let text = if labelled { text } else { "" };
            let labels = Labels::parse(text, std::path::Path::new("x")).unwrap();
            World {
                directory,
                labels,
                interfaces,
            }
        },
    )
}

fn insert<K: Hash + Eq>(all: &mut HashMap<K, Timeline>, key: K, who: u8, span: Span) {
    let timeline = all.entry(key).or_default();
    let who = identity(who);
    let mut held = [timeline, &[Held { span, who }][..]].concat();
    held.sort_by_key(|held| held.span.from);
    *timeline = held.into();
}

fn origin() -> ExporterRef<'static> {
    ExporterRef {
        exporter: None,
        source: SOURCE,
        domain: 1,
    }
}

fn announce(interfaces: &Interfaces, interface: u32, pod: u8, at: u64) {
    let record = OptionsRecord {
        protocol: Protocol::Ipfix,
        observation_domain: 1,
        export_ns: 0,
        content: Options::Interface(InterfaceName {
            interface,
            port: None,
            name: format!("v{interface}").as_str().into(),
            description: format!("shop/who-{pod}").as_str().into(),
        }),
    };
    interfaces.learn(origin(), &[record], at * TICK / 1_000_000);
}

prop_compose! {
    fn flow()(
        ends in prop::array::uniform2((prop::option::of(0..6_u8), 0..4_usize, prop::option::of(0..4_u32), 0..4_u8)),
        proto in 0..3_usize,
        from in 0..100_u64,
        length in 0..30_u64,
        node in any::<bool>(),
    ) -> FlowRecord {
        let [src, dst] = ends;
        let raw = wire::Record {
            src_addr: src.0.map(address),
            dst_addr: dst.0.map(address),
            src_port: Some(PORTS[src.1]),
            dst_port: Some(PORTS[dst.1]),
            in_if: src.2,
            out_if: dst.2,
            in_if_name: if src.3 == 3 { "".into() } else { format!("v{}", src.3).as_str().into() },
            out_if_name: if dst.3 == 3 { "".into() } else { format!("v{}", dst.3).as_str().into() },
            src_mac: Some([src.3; 6]),
            dst_mac: Some([dst.3; 6]),
            ip_protocol: Some(PROTOS[proto]),
            start_ns: Some(from * TICK),
            end_ns: Some((from + length) * TICK),
            ..wire::Record::new(Protocol::Ipfix, 0)
        };
        let context = Context { received_ns: 200 * TICK, source: SOURCE, exporter: None };
        let mut record = normalise(raw, context);
        record.exporter_node = if node { "node".into() } else { Arc::default() };
        record
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn what_was_found_before_is_what_the_rules_say_of_each_flow_that_gets_it(
        worlds in prop::collection::vec(world(), 2),
        flows in prop::collection::vec((flow(), 0..40_u8), 300),
    ) {
        let (mut enrich, mut world) = (Enrich::default(), &worlds[0]);
        for (mut record, change) in flows {
            if change == 0 {
                world = &worlds[usize::from(std::ptr::eq(world, &worlds[0]))];
                enrich.names_changed();
            }
            let here = world.interfaces.here(origin(), Protocol::Ipfix);
            // What is found the first time is mostly remembered the second time.
            for _ in 0..2 {
                enrich.enrich(&mut record, &world.directory, &world.labels, here.as_ref());
                for side in [&record.src, &record.dst] {
                    let (who, found) = oracle(side, &record, world, here.as_ref());
                    prop_assert_eq!((side.identity.shared(), side.found), (&who, found), "{:?}", record);
                }
            }
        }
        prop_assert!(enrich.cache.filled() > 0);
    }
}
